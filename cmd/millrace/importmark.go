package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"millrace/engine/stream"
	"millrace/operators/event"
)

// importMark is the file that says how far an import has come. It holds for the same
// files in the same log. A file that grew is another one: its new rows may come before
// old ones, so the numbers of events would not mean the same. The zero value remembers
// nothing.
type importMark struct {
	path   string
	log    int64 // when the log was made
	prints []fingerprint
}

// fingerprint tells whether a file is still the one that was imported.
type fingerprint struct {
	Size int64  `json:"size"`
	Head string `json:"head"` // hash of its first bytes
}

// headMax is how much of a file is hashed: enough to tell exports of two days apart.
const headMax = 64 << 10

// markFile is what stands in the file.
type markFile struct {
	Number int64         `json:"number"` // of the last event that is in the log
	Log    int64         `json:"log"`
	Files  []fingerprint `json:"files"`
}

// mark names the mark after everything that decides which events come in which order.
// What comes over standard input is another thing each time, so it leaves no mark.
func (o *importOptions) mark(ctx context.Context, l *stream.Log, paths []string) (importMark, error) {
	if slices.Contains(paths, "-") {
		return importMark{}, nil
	}
	info, err := l.Info(ctx)
	if err != nil {
		return importMark{}, err
	}
	raw, err := json.Marshal(struct {
		Format  string
		Options event.ImportOptions
		Paths   []string
	}{o.format, o.ImportOptions, paths})
	if err != nil {
		return importMark{}, fmt.Errorf("name the import's mark: %w", err)
	}
	sum := sha256.Sum256(raw)
	m := importMark{path: filepath.Join(o.dir, "imports", hex.EncodeToString(sum[:8])+".json"), log: info.Created}
	for _, path := range paths {
		p, err := takeFingerprint(path)
		if err != nil {
			return importMark{}, fmt.Errorf("import %s: %w", path, err)
		}
		m.prints = append(m.prints, p)
	}
	return m, nil
}

func takeFingerprint(path string) (fingerprint, error) {
	f, err := os.Open(path) //nolint:gosec // the operator names it
	if err != nil {
		return fingerprint{}, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return fingerprint{}, err
	}
	h := sha256.New()
	if _, err := io.CopyN(h, f, headMax); err != nil && !errors.Is(err, io.EOF) {
		return fingerprint{}, err
	}
	return fingerprint{Size: info.Size(), Head: hex.EncodeToString(h.Sum(nil)[:16])}, nil
}

func (m *importMark) load() (f markFile, ok bool) {
	raw, err := os.ReadFile(m.path)
	return f, err == nil && json.Unmarshal(raw, &f) == nil
}

// read answers the number of the last event that is in the log, 0 if none is known to be.
func (m *importMark) read() int64 {
	f, ok := m.load()
	if !ok || f.Log != m.log || !slices.Equal(f.Files, m.prints) {
		return 0
	}
	return f.Number
}

func (m *importMark) write(number int64) error {
	if m.path == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(m.path), 0o700); err != nil {
		return fmt.Errorf("write the import's mark: %w", err)
	}
	raw, err := json.Marshal(markFile{Number: number, Log: m.log, Files: m.prints})
	if err != nil {
		return err
	}
	return writeFile(m.path, raw)
}
