package stream

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// FreeBytes is how much an ordinary user may still write to the disk that holds dir.
func FreeBytes(dir string) (uint64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, fmt.Errorf("ask for the free space at %s: %w", dir, err)
	}
	return s.Bavail * uint64(s.Bsize), nil //nolint:gosec // a block size is positive
}
