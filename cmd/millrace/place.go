package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"millrace/engine/stream"
)

// This file asks whether the data directory can be worked on.

// errReadOnly says that nothing can be written to the data directory.
var errReadOnly = errors.New("the data directory cannot be written")

// writable tries to write to the data directory: what it rests on answers each in its own
// words, and only after a part of the program has begun, what can be said once and at once.
func (f files) writable() error {
	probe, err := os.CreateTemp(f.dir, ".probe-*")
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		return fmt.Errorf("%s: %w: give this user the right to write there, or mount it for writing: %w", f.dir, errReadOnly, err)
	}
	if err != nil {
		return fmt.Errorf("try the data directory: %w", err)
	}
	err = errors.Join(probe.Close(), os.Remove(probe.Name()))
	if err != nil {
		return fmt.Errorf("try the data directory: %w", err)
	}
	return nil
}

// place tells whether files can be opened in the data directory, and it is not mounted
// read-only, as some systems do by themselves when a disk fails.
func (f files) place() error {
	d, err := os.Open(f.dir)
	if err != nil {
		return fmt.Errorf("files cannot be opened: %w", err)
	}
	if err := d.Close(); err != nil {
		return fmt.Errorf("the data directory: %w", err)
	}
	readOnly, err := stream.ReadOnly(f.dir)
	if err != nil {
		return err
	}
	if readOnly {
		return fmt.Errorf("%s: %w: it is mounted read-only, which some systems do when a disk fails", f.dir, errReadOnly)
	}
	return nil
}
