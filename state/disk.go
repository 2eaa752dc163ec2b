package state

import (
	"fmt"
	"io"
	"os"

	"github.com/dgraph-io/badger/v4"
)

// Disk is the file system as the epoch log needs it: few files that are only appended
// to. OSDisk is the real one; a simulation puts another in its place, that forgets what
// was not synced. Safe for concurrent use.
type Disk interface {
	// MakeDir makes a directory, and those above it, if it is not there.
	MakeDir(dir string) error
	// List is the names in a directory, sorted. It answers fs.ErrNotExist if there is none.
	List(dir string) ([]string, error)
	// Create makes a new file and opens it.
	Create(path string) (DiskFile, error)
	// Open opens a file that is there.
	Open(path string, readOnly bool) (DiskFile, error)
	// Remove removes a file.
	Remove(path string) error
	// SyncDir makes what was created and removed in a directory survive a loss of power.
	SyncDir(dir string) error
}

// DiskFile is an open file of a Disk. Reading is safe for concurrent use.
type DiskFile interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	// Sync makes what was written survive a loss of power.
	Sync() error
	Size() (int64, error)
}

// OSDisk is the file system of the operating system.
type OSDisk struct{}

// MakeDir implements Disk.
func (OSDisk) MakeDir(dir string) error { return os.MkdirAll(dir, 0o700) }

// List implements Disk.
func (OSDisk) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

// Create implements Disk.
func (OSDisk) Create(path string) (DiskFile, error) {
	return openOS(path, os.O_RDWR|os.O_CREATE|os.O_EXCL)
}

// Open implements Disk.
func (OSDisk) Open(path string, readOnly bool) (DiskFile, error) {
	if readOnly {
		return openOS(path, os.O_RDONLY)
	}
	return openOS(path, os.O_RDWR)
}

func openOS(path string, flag int) (DiskFile, error) {
	f, err := os.OpenFile(path, flag, 0o600) //nolint:gosec // the data directory is the operator's choice
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// Remove implements Disk.
func (OSDisk) Remove(path string) error { return os.Remove(path) }

// SyncDir implements Disk.
func (OSDisk) SyncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // ours
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	return d.Sync()
}

type osFile struct{ *os.File }

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// Base is what lies below the epoch log: a Badger in memory that outlives the stores that
// are opened on it, one after the other, so that a simulated crash keeps what had moved
// there.
type Base struct{ db *badger.DB }

// NewBase makes an empty base. Close it after the stores on it.
func NewBase() (*Base, error) {
	o := Options{Virtual: true, MemTable: 8 << 20} // the least that Badger takes with its other settings
	db, err := badger.OpenManaged(badgerOptions(o))
	if err != nil {
		return nil, fmt.Errorf("open a base in memory: %w", err)
	}
	return &Base{db}, nil
}

// Close frees the base.
func (b *Base) Close() error {
	if err := b.db.Close(); err != nil {
		return fmt.Errorf("close a base: %w", err)
	}
	return nil
}
