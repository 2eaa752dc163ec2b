package mail

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"millrace/operators/event"
)

// powerFiles is a disk that knows, by what it was asked and not by what the journal
// believes, how much of each file a loss of power leaves for certain.
type powerFiles struct {
	osFiles
	mu      sync.Mutex
	durable map[string]int64 // bytes, by path
	drop    bool             // the switch: a sync is answered and not done
}

type powerFile struct {
	file
	fs   *powerFiles
	path string
}

func (fs *powerFiles) open(path string) (file, error) {
	f, err := fs.osFiles.open(path)
	if err != nil {
		return nil, err
	}
	return &powerFile{f, fs, path}, nil
}

// Sync makes all that was written durable.
func (f *powerFile) Sync() error {
	size, err := f.Size()
	if err != nil {
		return err
	}
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if !f.fs.drop {
		f.fs.durable[f.path] = size
	}
	return nil
}

// Truncate cuts what is durable, too.
func (f *powerFile) Truncate(n int64) error {
	f.fs.mu.Lock()
	f.fs.durable[f.path] = min(f.fs.durable[f.path], n)
	f.fs.mu.Unlock()
	return f.file.Truncate(n)
}

// lose takes the power away: of each file a random part of what is not durable is gone.
func (fs *powerFiles) lose(dir string, rng *rand.Rand) error {
	paths, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		return err
	}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		least := max(fs.durable[path], segmentHeader) // a head that is torn is another test's matter
		if size := info.Size(); size > least {
			if err := os.Truncate(path, least+rng.Int64N(size-least+1)); err != nil {
				return err
			}
		}
		fs.durable[path] = least
	}
	return nil
}

// losePower writes a journal as sending mails does, with losses of power between, and
// complains about a mail that has left and that the journal does not know afterwards.
func losePower(dir string, seed uint64, drop bool) error {
	rng := rand.New(rand.NewPCG(seed, 3))
	fs := &powerFiles{durable: make(map[string]int64), drop: drop}
	o := JournalOptions{SegmentBytes: 300 + rng.Int64N(3000), KeepBytes: 1 << 20, fs: fs}
	left := make(map[string]bool)
	for round := range 4 {
		j, err := Open(dir, o)
		if err != nil {
			return err
		}
		for id := range left {
			if e, ok := j.Lookup(id); !ok || e.State != Attempted && e.State != Decided {
				_ = j.Close()
				return fmt.Errorf("%s has left, and is %s after the power was lost", id, e.State)
			}
		}
		for n := range 1 + rng.IntN(8) {
			id := fmt.Sprintf("d%d-%d", round, n)
			if err := j.Rendered(id, letterOf(strings.Repeat(id, 1+rng.IntN(30)))); err != nil {
				return err
			}
			if err := j.Attempt(id); err != nil {
				return err
			}
			left[id] = true // from here on the final dot may have gone out
			if rng.IntN(2) == 0 {
				if err := j.Outcome(id, event.Sent, 0, ""); err != nil {
					return err
				}
			}
		}
		if err := j.active.Close(); err != nil { // no goodbye
			return err
		}
		if err := fs.lose(dir, rng); err != nil {
			return err
		}
	}
	return nil
}

// TestJournalPower takes the power away again and again, and then breaks the promise by a
// switch, to show that the test would see it: a journal whose syncs do nothing.
func TestJournalPower(t *testing.T) {
	f := func(drop bool) (noticed int) {
		t.Helper()
		for seed := range uint64(40) {
			if err := losePower(t.TempDir(), seed, drop); err != nil {
				said := strings.Contains(err.Error(), "has left, and is") || strings.Contains(err.Error(), "mail journal is damaged")
				if noticed++; !drop || !said {
					t.Errorf("seed %d: %v", seed, err)
				}
			}
		}
		return noticed
	}
	if n := f(false); n > 0 {
		t.Errorf("%d seeds lose a mail that has left", n)
	}
	if n := f(true); n < 20 {
		t.Errorf("only %d of 40 seeds notice that nothing is synced", n)
	}
}
