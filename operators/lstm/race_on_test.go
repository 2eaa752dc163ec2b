//go:build race

package lstm

// raced says that the tests run under the race detector, to which sums in one goroutine
// tell nothing and cost ten times as much.
const raced = true
