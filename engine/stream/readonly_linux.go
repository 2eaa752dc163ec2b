package stream

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// ReadOnly tells whether the file system that holds dir is mounted read-only.
func ReadOnly(dir string) (bool, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return false, fmt.Errorf("ask whether %s can be written: %w", dir, err)
	}
	return s.Flags&unix.ST_RDONLY != 0, nil
}
