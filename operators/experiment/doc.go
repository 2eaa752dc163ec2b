// Package experiment assigns people to variants, counts what came of it and says at every
// moment what may be concluded. Everything but operator.go, which fits it to the engine, is
// a pure function of its arguments: no clock, no state, no engine. Sums are integers that merge and retract, so that a replay, a
// shuffle or another number of workers gives equal bits; statistics are computed from sums
// only. The formulas, their sources and what they promise stand in docs/experiments.md.
package experiment
