package configs

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// bundleMax is the size of the files of a bundle together: it travels as one message and
// is one value of the state. A shop has dozens of files of a few kilobytes.
const bundleMax = 768 << 10

// ErrBundle says that a set of files is too large, or empty, to be one version.
var ErrBundle = errors.New("the files cannot be one version")

// File is a file of a bundle.
type File struct {
	Path string `json:"path"` // as it was named, for messages
	Text string `json:"text"`
}

// Bundle is everything that a set is made of, so that it can be checked and built
// elsewhere and later.
type Bundle struct {
	Files []File `json:"files"` // by path
}

// Collect reads the files that Load would, without judging what they say.
func (l *Loader) Collect(paths ...string) (Bundle, error) {
	g := &loading{Loader: l}
	var b Bundle
	size, journeys, shop := 0, "", false
	for _, f := range g.files(paths) {
		raw, err := g.read(f.path)
		if err != nil {
			g.trouble(f.path, "cannot be read: %v", cause(err))
			continue
		}
		if f.listed && !ours(raw) {
			continue
		}
		shop = shop || hasKey(raw, "shop")
		if journeys == "" && hasKey(raw, "pipeline") {
			journeys = f.path
		}
		size += len(raw)
		b.Files = append(b.Files, File{Path: f.path, Text: string(raw)})
	}
	if !shop && journeys != "" {
		near := filepath.Join(filepath.Dir(journeys), shopFile)
		raw, err := g.read(near)
		if err != nil { // as Load does; another program may have shipped another one
			if raw, err = shipped.ReadFile(shopFile); err != nil {
				panic("BUG: the shipped shop is missing: " + err.Error())
			}
		}
		size += len(raw)
		b.Files = append(b.Files, File{Path: near, Text: string(raw)})
	}
	if problems := g.problems.sorted(); len(problems) > 0 {
		return Bundle{}, problems
	}
	if len(b.Files) == 0 || size > bundleMax {
		return Bundle{}, fmt.Errorf("got %d files of %d bytes, expected some, of at most %d bytes: %w", len(b.Files), size, bundleMax, ErrBundle)
	}
	slices.SortFunc(b.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return b, nil
}

// hasKey tells whether a file has a key on its outermost level.
func hasKey(raw []byte, key string) bool {
	return bytes.HasPrefix(raw, []byte(key+":")) || bytes.Contains(raw, []byte("\n"+key+":"))
}

// Hash is the hash of what the files are called, without their directories, and hold.
func (b *Bundle) Hash() string {
	h := sha256.New()
	files := slices.Clone(b.Files)
	slices.SortFunc(files, func(a, b File) int {
		return cmp.Or(strings.Compare(filepath.Base(a.Path), filepath.Base(b.Path)), strings.Compare(a.Text, b.Text))
	})
	for _, f := range files {
		fmt.Fprintf(h, "%q\n%d\n%s", filepath.Base(f.Path), len(f.Text), f.Text)
	}
	return hex.EncodeToString(h.Sum(nil))[:versionLen]
}

// Load checks the files of a bundle as Loader.Load does those on a disk; o.FS is not used.
func (b *Bundle) Load(o Options) (*Set, *Loader, error) {
	size := 0
	for _, f := range b.Files {
		size += len(f.Text)
	}
	if len(b.Files) == 0 || size > bundleMax {
		return nil, nil, fmt.Errorf("got %d files of %d bytes: %w", len(b.Files), size, ErrBundle)
	}
	o.FS = bundleFS{b}
	l, err := NewLoader(o)
	if err != nil {
		return nil, nil, err
	}
	paths := make([]string, 0, len(b.Files))
	for _, f := range b.Files {
		paths = append(paths, f.Path)
	}
	set, err := l.Load(paths...)
	return set, l, err
}

// bundleFS is a bundle as a file system of files only, with the names that they had.
type bundleFS struct{ b *Bundle }

// Open implements fs.FS.
func (f bundleFS) Open(name string) (fs.File, error) {
	for i := range f.b.Files {
		if filepath.ToSlash(filepath.Clean(f.b.Files[i].Path)) == filepath.ToSlash(name) {
			return &bundleFile{file: &f.b.Files[i], rest: strings.NewReader(f.b.Files[i].Text)}, nil
		}
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// bundleFile is an open file of a bundle, and its own fs.FileInfo.
type bundleFile struct {
	file *File
	rest io.Reader
}

func (f *bundleFile) Stat() (fs.FileInfo, error) { return f, nil }
func (f *bundleFile) Read(p []byte) (int, error) { return f.rest.Read(p) }
func (f *bundleFile) Close() error               { return nil }
func (f *bundleFile) Name() string               { return filepath.Base(f.file.Path) }
func (f *bundleFile) Size() int64                { return int64(len(f.file.Text)) }
func (f *bundleFile) Mode() fs.FileMode          { return 0o400 }
func (f *bundleFile) ModTime() time.Time         { return time.Time{} }
func (f *bundleFile) IsDir() bool                { return false }
func (f *bundleFile) Sys() any                   { return nil }

// NeedsRestart names the settings in which two shops differ that a running program cannot
// change: how event time is told, and where mail leaves.
func NeedsRestart(running, next *Shop) []string {
	var keys []string
	differ := func(key string, different bool) {
		if different {
			keys = append(keys, key)
		}
	}
	differ("shop", running.Name != next.Name)
	differ("log.out_of_order", running.Log.OutOfOrder != next.Log.OutOfOrder)
	differ("log.allowed_lateness", running.Log.AllowedLateness != next.Log.AllowedLateness)
	differ("log.producer_idle", running.Log.ProducerIdle != next.Log.ProducerIdle)
	differ("outbox.rate", running.Outbox.Rate != next.Outbox.Rate)
	differ("log.idle", running.Log.Idle != next.Log.Idle)
	differ("tracking", running.Tracking != next.Tracking)
	a, b := running.Senders["main"], next.Senders["main"]
	differ("senders.main.smtp", a.SMTP != b.SMTP)
	return keys
}

// Change is what becomes of a part of the configuration in a new version.
type Change struct {
	Part    string `json:"part"`    // "shop", or the name of a journey
	Verdict string `json:"verdict"` // no-op, keep, new, retire or restart
	Detail  string `json:"detail,omitempty"`
}

// Plan says what becomes of each part when next takes the place of running; process is the
// shop whose settings the program was started with.
func Plan(process *Shop, running, next *Set) []Change {
	changes := []Change{{Part: "shop", Verdict: "no-op"}}
	if keys := NeedsRestart(process, next.Shop); len(keys) > 0 {
		changes[0] = Change{Part: "shop", Verdict: "restart", Detail: "cannot change while the program runs: " + strings.Join(keys, ", ")}
	} else if running.Shop.Version != next.Shop.Version {
		changes[0] = Change{Part: "shop", Verdict: "keep", Detail: "state and pending timers stay"}
	}
	for _, j := range next.Journeys {
		c := Change{Part: j.Name, Verdict: "no-op"}
		switch old := running.Journey(j.Name); {
		case old == nil:
			c.Verdict, c.Detail = "new", "starts empty"
		case old.Version != j.Version:
			c.Verdict, c.Detail = "keep", "state stays; pending timers keep their due time and are judged by the new rules"
		}
		changes = append(changes, c)
	}
	for _, j := range running.Journeys {
		if next.Journey(j.Name) == nil {
			changes = append(changes, Change{Part: j.Name, Verdict: "retire", Detail: "what waits ends as skipped when it is due; decided mails still leave"})
		}
	}
	return changes
}
