package main

import (
	"context"
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

// logHolds is why the log that is ours takes nothing any more, or nil.
func (a *app) logHolds() error {
	if a.server == nil {
		return nil
	}
	return a.server.Err()
}

// whileLogHolds is a context that also ends when the log that is ours breaks: the program
// then stops as it does when it is told to, and can be started anew. Call release at the end.
func (a *app) whileLogHolds(ctx context.Context) (while context.Context, release func()) {
	while, release = context.WithCancel(ctx)
	if a.server == nil {
		return while, release
	}
	go func() {
		select {
		case <-a.server.Broken():
			a.log.Error("the log cannot be written: stopping", "err", a.server.Err())
			release()
		case <-while.Done():
		}
	}()
	return while, release
}
