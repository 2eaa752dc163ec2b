package main

import (
	"fmt"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

// TestMain lets the test binary be the program: under the name millrace, for scripts
// and children, and as the child that the crash test kills when its variable is set.
func TestMain(m *testing.M) {
	if plan := os.Getenv(crashEnv); plan != "" {
		os.Exit(crashChild(plan))
	}
	testscript.Main(withoutLeaks{m}, map[string]func(){"millrace": main})
}

// withoutLeaks runs the tests and fails when they leave goroutines behind.
type withoutLeaks struct{ m *testing.M }

// Run implements testscript.TestingM.
func (w withoutLeaks) Run() int {
	code := w.m.Run()
	if code != 0 {
		return code
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, "goleak:", err)
		return 1
	}
	return 0
}
