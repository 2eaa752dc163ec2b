// Package bench is the place of what puts millrace to work without a real shop: a
// library behind thin commands. Package shop is the simulated shop that `millrace
// dev`, the crash test and the benchmarks play; the benchmarks of whole pipelines
// stand beside this file.
package bench
