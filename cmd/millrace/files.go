package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"millrace/operators/privacy"
)

// files are the places in a data directory.
type files struct{ dir string }

func (f files) log() string        { return filepath.Join(f.dir, "log") }
func (f files) state() string      { return filepath.Join(f.dir, "state") }
func (f files) journal() string    { return filepath.Join(f.dir, "journal") }
func (f files) suppressed() string { return filepath.Join(f.dir, "suppressed") }
func (f files) secret() string     { return filepath.Join(f.dir, "secret") }

// socket is where the running program answers questions. The path of a Unix socket
// is at most about 100 bytes: a deep directory gets one in the temporary folder,
// named by the directory's hash.
func (f files) socket() (string, error) {
	abs, err := filepath.Abs(f.dir)
	if err != nil {
		return "", fmt.Errorf("data directory: %w", err)
	}
	path := filepath.Join(abs, "millrace.sock")
	if len(path) <= 100 {
		return path, nil
	}
	sum := sha256.Sum256([]byte(abs))
	return filepath.Join(os.TempDir(), "millrace-"+hex.EncodeToString(sum[:8])+".sock"), nil
}

// open makes the data directory.
func (f files) open() error {
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	return nil
}

// errInUse says that another process works on a data directory.
var errInUse = errors.New("another millrace works on this data directory")

// lock takes the data directory for this process, until unlock. It must be held while
// the log or the state is open: the embedded server takes no lock of its own, and two
// of them would damage the log. A lock ends with its process, however that ends.
func (f files) lock() (unlock func(), err error) {
	d, err := os.Open(f.dir)
	if err != nil {
		return nil, fmt.Errorf("open data directory: %w", err)
	}
	if err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil { //nolint:gosec // a descriptor is small
		_ = d.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s: %w", f.dir, errInUse)
		}
		return nil, fmt.Errorf("lock data directory %s: %w", f.dir, err)
	}
	return func() { _ = d.Close() }, nil
}

// errSecretGone says that a data directory was in use with a secret that is not there.
var errSecretGone = errors.New("the secret of this data directory is gone")

// loadSecret reads the secret. A directory without one gets a new one, but not when
// something rests on the old one: with another secret everybody is a stranger, so that
// who has said no would get mail again.
func (f files) loadSecret() ([]byte, error) {
	if _, err := os.Lstat(f.secret()); errors.Is(err, os.ErrNotExist) {
		for _, path := range []string{f.state(), f.journal(), f.suppressed()} {
			if holdsSomething(path) {
				return nil, fmt.Errorf("%s: %w, and %s was written with it: restore the file from a backup; "+
					"a directory that begins anew knows nobody, nor who has unsubscribed", f.secret(), errSecretGone, path)
			}
		}
	}
	secret, err := privacy.LoadOrCreateSecret(f.secret())
	if errors.Is(err, privacy.ErrSecretSize) {
		return nil, fmt.Errorf("%w: restore the file from a backup", err)
	}
	return secret, err
}

// holdsSomething tells whether there is a file with something in it, or a directory with
// a file in it.
func holdsSomething(path string) bool {
	info, err := os.Stat(path)
	if err != nil {
		return false
	}
	if !info.IsDir() {
		return info.Size() > 0
	}
	names, err := os.ReadDir(path)
	return err != nil || len(names) > 0
}
