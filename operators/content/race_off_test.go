//go:build !race

package content

// raced says that the tests run under the race detector.
const raced = false
