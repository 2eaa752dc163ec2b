package enginetest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"

	"millrace/state"
)

// DiskOp is an operation of a simulated disk.
type DiskOp string

// The operations that DiskOptions.Before is asked about.
const (
	DiskCreate   DiskOp = "disk-create"
	DiskOpen     DiskOp = "disk-open"
	DiskWrite    DiskOp = "disk-write"
	DiskSync     DiskOp = "disk-sync"
	DiskTruncate DiskOp = "disk-truncate"
	DiskRead     DiskOp = "disk-read" // of a whole file; asked while locks may be held, so it must not wait
	DiskRemove   DiskOp = "disk-remove"
	DiskSyncDir  DiskOp = "disk-syncdir"
)

// ErrFault is what an operation of a simulated disk answers that was told to fail.
var ErrFault = errors.New("simulated fault")

// DiskOptions say how a simulated disk behaves. The zero value is a disk without faults.
type DiskOptions struct {
	// Before is called before each operation. It may wait, which is a slow disk; an error
	// makes the operation fail: a write half-way, a sync with what it was to keep.
	Before func(op DiskOp) error
}

// Disk is a file system in memory that knows what was synced. A loss of power keeps that,
// and of the rest whatever the seed says: all of it, nothing, a part, or sectors in any
// order. Names that were created or removed and not synced are lost from the last one
// on, as with a journal. It is a state.Disk. Safe for concurrent use.
type Disk struct {
	o DiskOptions

	mu    sync.Mutex
	rng   *rand.Rand
	dirs  map[string]bool
	files map[string]*diskFile
	names []diskName // created and removed since the last SyncDir
	run   int        // a file that was opened in an earlier run of the machine is gone
}

// diskFile is a file's content: what is synced, what a reader sees, and what leads from
// the one to the other.
type diskFile struct {
	kept, seen []byte
	since      []diskWrite
}

// diskWrite is a write that was not synced, or a truncation where data is nil.
type diskWrite struct {
	at     int64
	data   []byte
	doomed bool // a sync failed: the system forgets that it must be written
}

type diskName struct {
	path string
	file *diskFile // nil: the file was created, else it is the one that was removed
}

var _ state.Disk = (*Disk)(nil)

// NewDisk makes an empty disk; seed says what losses of power leave.
func NewDisk(seed uint64, o DiskOptions) *Disk {
	if o.Before == nil {
		o.Before = func(DiskOp) error { return nil }
	}
	return &Disk{o: o, rng: rand.New(rand.NewPCG(seed, 4)), dirs: make(map[string]bool), files: make(map[string]*diskFile)}
}

// Kill is the end of the program: what was written stays, open files are gone.
func (d *Disk) Kill() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.run++
}

// PowerLoss is the end of the machine: what was not synced may be lost.
func (d *Disk) PowerLoss() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.run++
	for n := d.rng.IntN(len(d.names) + 1); len(d.names) > n; {
		last := d.names[len(d.names)-1]
		d.names = d.names[:len(d.names)-1]
		if delete(d.files, last.path); last.file != nil {
			d.files[last.path] = last.file
		}
	}
	d.names = nil
	paths := make([]string, 0, len(d.files))
	for p := range d.files {
		paths = append(paths, p)
	}
	slices.Sort(paths) // the seed decides, not the order of a map
	for _, p := range paths {
		d.files[p].lose(d.rng)
	}
}

// sector is what a disk writes whole.
const sector = 512

// lose makes the file what a loss of power leaves of it.
func (f *diskFile) lose(rng *rand.Rand) {
	mode := rng.IntN(4)
	left := slices.Clone(f.kept)
	whole := rng.IntN(len(f.since) + 1)
	for i, w := range f.since {
		switch {
		case w.doomed || mode == 0 || mode == 1 && i > whole:
		case w.data == nil:
			left = left[:min(int64(len(left)), w.at)]
		case mode == 1 && i == whole:
			left = put(left, w.at, w.data[:rng.IntN(len(w.data)+1)])
		case mode == 2: // sectors in any order
			for at, rest := w.at, w.data; len(rest) > 0; {
				n := min(int64(len(rest)), sector-at%sector)
				if rng.IntN(2) == 0 {
					left = put(left, at, rest[:n])
				}
				at, rest = at+n, rest[n:]
			}
		default:
			left = put(left, w.at, w.data)
		}
	}
	f.kept, f.seen, f.since = left, slices.Clone(left), nil
}

// put writes data at a place, behind which there may be a hole.
func put(b []byte, at int64, data []byte) []byte {
	if n := at + int64(len(data)) - int64(len(b)); n > 0 {
		b = append(b, make([]byte, n)...)
	}
	copy(b[at:], data)
	return b
}

// Corrupt flips a bit of a file at rest.
func (d *Disk) Corrupt(name string, at int64, bit uint) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.files[name]
	f.seen[at] ^= 1 << (bit % 8)
	f.kept = slices.Clone(f.seen)
}

// MakeDir implements state.Disk.
func (d *Disk) MakeDir(dir string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dirs[dir] = true
	return nil
}

// List implements state.Disk.
func (d *Disk) List(dir string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.dirs[dir] {
		return nil, fmt.Errorf("list %s: %w", dir, fs.ErrNotExist)
	}
	var names []string
	for p := range d.files {
		if name, ok := strings.CutPrefix(p, dir+"/"); ok && path.Base(p) == name {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// Create implements state.Disk.
func (d *Disk) Create(name string) (state.DiskFile, error) {
	if err := d.o.Before(DiskCreate); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.files[name] != nil {
		return nil, fmt.Errorf("create %s: %w", name, fs.ErrExist)
	}
	f := &diskFile{}
	d.files[name] = f
	d.names = append(d.names, diskName{path: name})
	return &diskHandle{disk: d, file: f, run: d.run}, nil
}

// Open implements state.Disk.
func (d *Disk) Open(name string, readOnly bool) (state.DiskFile, error) {
	if err := d.o.Before(DiskOpen); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.files[name]
	if f == nil {
		return nil, fmt.Errorf("open %s: %w", name, fs.ErrNotExist)
	}
	return &diskHandle{disk: d, file: f, run: d.run, readOnly: readOnly}, nil
}

// Remove implements state.Disk.
func (d *Disk) Remove(name string) error {
	if err := d.o.Before(DiskRemove); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.files[name]
	if f == nil {
		return fmt.Errorf("remove %s: %w", name, fs.ErrNotExist)
	}
	delete(d.files, name)
	d.names = append(d.names, diskName{path: name, file: f})
	return nil
}

// SyncDir implements state.Disk.
func (d *Disk) SyncDir(string) error {
	if err := d.o.Before(DiskSyncDir); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.names = nil
	return nil
}

// diskHandle is an open file.
type diskHandle struct {
	disk     *Disk
	file     *diskFile
	run      int
	readOnly bool
	closed   bool
}

// usable is asked with the lock held.
func (h *diskHandle) usable(write bool) error {
	if h.closed || h.run != h.disk.run || write && h.readOnly {
		return fs.ErrClosed
	}
	return nil
}

// ReadAt implements state.DiskFile.
func (h *diskHandle) ReadAt(p []byte, at int64) (int, error) {
	if at == 0 {
		if err := h.disk.o.Before(DiskRead); err != nil {
			return 0, err
		}
	}
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if err := h.usable(false); err != nil {
		return 0, err
	}
	n := copy(p, h.file.seen[min(at, int64(len(h.file.seen))):])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt implements state.DiskFile.
func (h *diskHandle) WriteAt(p []byte, at int64) (int, error) {
	fault := h.disk.o.Before(DiskWrite)
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if err := h.usable(true); err != nil {
		return 0, err
	}
	if fault != nil {
		if !errors.Is(fault, ErrFault) {
			return 0, fault
		}
		p = p[:h.disk.rng.IntN(len(p)+1)]
	}
	h.file.seen = put(h.file.seen, at, p)
	h.file.since = append(h.file.since, diskWrite{at: at, data: append([]byte{}, p...)})
	return len(p), fault
}

// Truncate implements state.DiskFile.
func (h *diskHandle) Truncate(size int64) error {
	if err := h.disk.o.Before(DiskTruncate); err != nil {
		return err
	}
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if err := h.usable(true); err != nil {
		return err
	}
	h.file.seen = h.file.seen[:min(size, int64(len(h.file.seen)))]
	h.file.since = append(h.file.since, diskWrite{at: size})
	return nil
}

// Sync implements state.DiskFile.
func (h *diskHandle) Sync() error {
	fault := h.disk.o.Before(DiskSync)
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if err := h.usable(false); err != nil {
		return err
	}
	f := h.file
	if fault != nil {
		if errors.Is(fault, ErrFault) {
			for i := range f.since {
				f.since[i].doomed = f.since[i].data != nil
			}
		}
		return fault
	}
	left := f.kept
	var doomed []diskWrite
	for _, w := range f.since {
		switch {
		case w.doomed:
			doomed = append(doomed, w)
		case w.data == nil:
			left = left[:min(int64(len(left)), w.at)]
			doomed = slices.DeleteFunc(doomed, func(d diskWrite) bool { return d.at >= w.at }) // taken back
		default:
			left = put(left, w.at, w.data)
		}
	}
	f.kept, f.since = left, doomed
	return nil
}

// Size implements state.DiskFile.
func (h *diskHandle) Size() (int64, error) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	return int64(len(h.file.seen)), h.usable(false)
}

// Close implements state.DiskFile.
func (h *diskHandle) Close() error {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	err := h.usable(false)
	h.closed = true
	return err
}
