package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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
	if err == nil {
		err = markWhole(tmp, to.wal.number)
	}
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

// wholeName is a file that says how many commits a checkpoint was made of. The last file
// of an epoch log may lack its end after a crash; that of a checkpoint may not.
const wholeName = "CHECKPOINT.json"

type wholeFile struct {
	Commits uint64 `json:"commits"`
}

func markWhole(dir string, commits uint64) error {
	raw, err := json.Marshal(wholeFile{commits})
	if err != nil {
		return fmt.Errorf("encode the mark of a checkpoint: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, wholeName), append(raw, '\n'), 0o600); err != nil {
		return fmt.Errorf("write the mark of a checkpoint: %w", err)
	}
	return nil
}

// checkWhole wants at least the commits that the checkpoint had which the store began as,
// if it was one.
func (s *Store) checkWhole(dir string) error {
	path := filepath.Join(dir, wholeName)
	raw, err := os.ReadFile(path) //nolint:gosec // ours
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the mark of a checkpoint: %w", err)
	}
	var f wholeFile
	if err := json.Unmarshal(raw, &f); err != nil {
		return fmt.Errorf("%w: %s: %w: %s", ErrDamaged, path, err, advice)
	}
	if s.wal.number < f.Commits {
		return fmt.Errorf("%w: %s was made of %d commits, %d of them can be read: %s", ErrDamaged, dir, f.Commits, s.wal.number, advice)
	}
	return nil
}
