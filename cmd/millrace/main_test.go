package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets the test binary be the program: under the name millrace, for scripts
// and children, and as the child that the crash test kills when its variable is set.
func TestMain(m *testing.M) {
	if plan := os.Getenv(crashEnv); plan != "" {
		os.Exit(crashChild(plan))
	}
	testscript.Main(m, map[string]func(){"millrace": main})
}
