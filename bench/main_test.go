package bench_test

import (
	"os"
	"testing"

	"millrace/engine"
)

// TestMain uses memory as the program does.
func TestMain(m *testing.M) {
	engine.UseMemory(0)
	os.Exit(m.Run())
}
