//go:build !race

package lstm

// raced says that the tests run under the race detector.
const raced = false
