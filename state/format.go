package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Format is the version of the layout of a data directory that this program writes. 1 had
// no epoch log; nothing that wrote it was released.
const Format = 2

// KeyGroups is the number of key groups, fixed when a data directory is made.
const KeyGroups = 256

// ErrNewerFormat says that a data directory was written by a newer millrace.
var ErrNewerFormat = errors.New("the data directory was written by a newer millrace")

// formatFile is what FORMAT.json of a data directory holds.
type formatFile struct {
	Format    int `json:"format"`
	KeyGroups int `json:"key_groups"`
}

// checkFormat reads FORMAT.json of dir, or writes it into a new directory.
func checkFormat(dir string) error {
	path := filepath.Join(dir, "FORMAT.json")
	raw, err := os.ReadFile(path) //nolint:gosec // the data directory is the operator's choice
	if errors.Is(err, fs.ErrNotExist) {
		return writeFormat(path)
	}
	if err != nil {
		return fmt.Errorf("read the format of the data directory: %w", err)
	}
	var f formatFile
	if err := json.Unmarshal(raw, &f); err != nil {
		return fmt.Errorf("%w: %s: not a format file: %w", ErrDamaged, path, err)
	}
	if f.Format > Format {
		return fmt.Errorf("%s has format %d, this millrace reads up to %d: %w", dir, f.Format, Format, ErrNewerFormat)
	}
	if f.Format == 1 {
		return fmt.Errorf("%s has format 1, of a millrace that was never released: remove the directory, and the log is read again", dir)
	}
	if f.Format < 1 || f.KeyGroups != KeyGroups {
		return fmt.Errorf("%w: %s: format %d with %d key groups is not one that millrace ever wrote", ErrDamaged, path, f.Format, f.KeyGroups)
	}
	return nil
}

func writeFormat(path string) error {
	raw, err := json.Marshal(formatFile{Format: Format, KeyGroups: KeyGroups})
	if err != nil {
		return fmt.Errorf("encode the format of the data directory: %w", err)
	}
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, append(raw, '\n'), 0o600); err != nil {
		return fmt.Errorf("write the format of the data directory: %w", err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("write the format of the data directory: %w", err)
	}
	return nil
}

// KeyGroup is the group that owns a key: FNV-1a, 32 bits, modulo KeyGroups.
func KeyGroup(key string) byte {
	h := uint32(2166136261)
	for i := range len(key) {
		h ^= uint32(key[i])
		h *= 16777619
	}
	return byte(h % KeyGroups)
}
