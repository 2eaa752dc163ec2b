//go:build race

package content

// raced says that the tests run under the race detector, which looks for two goroutines at
// one place: a draw tells it as much as a hundred do, and costs twenty times as much.
const raced = true
