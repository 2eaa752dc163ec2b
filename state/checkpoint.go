package state

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// copyBytes is how much one commit of a checkpoint takes.
const copyBytes = 8 << 20

// CopyTo writes everything that the snapshot sees into a new store in dir, which must not
// exist: all of it or nothing. The store that is copied works on meanwhile. note, unless
// nil, is told how many bytes were copied so far.
func (v *Snapshot) CopyTo(ctx context.Context, dir string, note func(bytes int64)) error {
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("write a checkpoint to %s: it exists", dir)
	}
	tmp := dir + ".partial"
	if err := os.RemoveAll(tmp); err != nil {
		return fmt.Errorf("write a checkpoint: %w", err)
	}
	to, err := Open(Options{Dir: tmp, Sync: true})
	if err != nil {
		return err
	}
	err = errors.Join(v.copyTo(ctx, to, note), to.Close())
	if err != nil {
		return errors.Join(err, os.RemoveAll(tmp))
	}
	if err := os.Rename(tmp, dir); err != nil {
		return fmt.Errorf("write a checkpoint: %w", err)
	}
	return nil
}

func (v *Snapshot) copyTo(ctx context.Context, to *Store, note func(bytes int64)) error {
	r, done := &Record{}, int64(0)
	commit := func() error {
		if err := to.Commit(ctx, r); err != nil {
			return err
		}
		done += int64(r.Bytes())
		if note != nil {
			note(done)
		}
		r.Reset()
		return nil
	}
	var failed error
	err := v.Scan(nil, nil, func(key, value []byte) bool {
		r.Put(key, value)
		if r.Bytes() >= copyBytes {
			failed = commit()
		}
		return failed == nil
	})
	if err := errors.Join(err, failed); err != nil {
		return err
	}
	return commit()
}
