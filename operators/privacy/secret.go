package privacy

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrSecretOpen says that a secret may be read by others than its owner.
var ErrSecretOpen = errors.New("secret is readable by others")

// ErrSecretSize says that a secret file is cut short or is something else.
var ErrSecretSize = errors.New("secret has the wrong length")

// LoadOrCreateSecret reads the secret at path, or makes a new one there, readable by
// its owner only. The file appears whole or not at all, and of several that start at
// once one wins. A file that others may read, or of another length, is refused: its
// pseudonyms would be worthless, or every person a stranger.
func LoadOrCreateSecret(path string) ([]byte, error) {
	secret, err := loadSecret(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return secret, err
	}
	if err := createSecret(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("create secret %s: %w", path, err)
	}
	return loadSecret(path)
}

// loadSecret reads and checks the secret at path.
func loadSecret(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open secret: %w", err)
	}
	defer func() { _ = file.Close() }() // only read
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("open secret: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("secret %s is not a regular file", path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("%s has mode %04o, want 0600 (chmod 600 it if nobody has read it): %w", path, mode, ErrSecretOpen)
	}
	secret, err := io.ReadAll(io.LimitReader(file, SecretSize+1))
	if err != nil {
		return nil, fmt.Errorf("read secret: %w", err)
	}
	if len(secret) != SecretSize {
		return nil, fmt.Errorf("%s has %d bytes, want %d: %w", path, info.Size(), SecretSize, ErrSecretSize)
	}
	return secret, nil
}

// createSecret writes a new secret beside path, syncs it and links it there, which
// fails when path exists by then.
func createSecret(path string) error {
	dir := filepath.Dir(path)
	temp, err := os.CreateTemp(dir, ".secret-*") // CreateTemp makes it 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temp.Name()) }()
	secret := make([]byte, SecretSize)
	rand.Read(secret) //nolint:errcheck // never fails: it stops the program instead
	_, err = temp.Write(secret)
	if err == nil {
		err = temp.Sync()
	}
	if closed := temp.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	if err := os.Link(temp.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes a new name in dir survive a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	return d.Sync()
}
