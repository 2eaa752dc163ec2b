package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// The epoch log is the truth of a store: a record is committed when it stands there
// whole. It is a row of files, segments, that are only ever appended to; each record has
// a number, one higher than the record before it. What is still valid in the oldest
// segment moves to Badger, a good while later, and the segment is removed: a value that
// changed again meanwhile is never written to Badger, whose every byte costs many times
// that of a byte appended here.
//
// A record in a segment, numbers little-endian:
//
//	length(4) crc(4) number(8) table(4) headcrc(4)  table  keys and values
//
// length counts all behind the head, crc is its CRC-32C, headcrc that of the 20 bytes
// before it. The table has for each change the length of its key and that of its value
// plus one, or 0 for a removal, as uvarints; keys and values follow in that order.
const headBytes = 24

// ErrDamaged says that a file of the state is not what was written.
var ErrDamaged = errors.New("the state is damaged")

var castagnoli = crc32.MakeTable(crc32.Castagnoli) //nolint:gochecknoglobals // constant

// segment is one file of the epoch log, or a piece of memory in a store without a
// directory. Its file is never closed while a reader may hold it: the collector does.
type segment struct {
	id   uint64
	path string
	file DiskFile
	mem  []byte
	size int64
	base uint64 // number of the last record before it
	last uint64 // number of the last record in it, or before it
}

// wal is the epoch log. The store's lock guards number, segments and what is in them;
// only the goroutine that commits changes them, but for the removal of old segments.
type wal struct {
	dir      string // "" keeps it in memory
	disk     Disk
	sync     bool
	segments []*segment // oldest first; the last one is appended to
	retired  []*segment // moved to Badger, and perhaps read by a snapshot
	number   uint64     // of the last record
	head     []byte     // memory for encode
}

func (w *wal) bytes() (n int64) {
	for _, s := range w.segments {
		n += s.size
	}
	return n
}

// segment is the segment of a number, which there is, or was while a snapshot read it.
func (w *wal) segment(id uint64) *segment {
	if at := id - w.segments[0].id; at < uint64(len(w.segments)) && w.segments[at].id == id {
		return w.segments[at]
	}
	for _, s := range slices.Concat(w.segments, w.retired) {
		if s.id == id {
			return s
		}
	}
	panic("BUG: a version stands in a segment that is gone")
}

// active is the segment that is appended to.
func (w *wal) active() *segment { return w.segments[len(w.segments)-1] }

// following makes the segment behind last, which ends with the record of that number and
// is then whole on the disk.
func (w *wal) following(last *segment, number uint64) (*segment, error) {
	s := &segment{id: 1}
	if last != nil {
		s.id, s.base, s.last = last.id+1, number, number
	}
	if w.dir == "" {
		return s, nil
	}
	if last != nil {
		if err := last.file.Sync(); err != nil {
			return nil, fmt.Errorf("sync the epoch log: %w", err)
		}
	}
	s.path = filepath.Join(w.dir, fmt.Sprintf("%012d-%d.log", s.id, s.base))
	f, err := w.disk.Create(s.path)
	if err != nil {
		return nil, fmt.Errorf("begin a segment of the epoch log: %w", err)
	}
	s.file = f
	if err := w.disk.SyncDir(w.dir); err != nil {
		return nil, errors.Join(fmt.Errorf("sync the epoch log's directory: %w", err), f.Close())
	}
	return s, nil
}

// encode makes the head and the table of a record. They are valid until the next call.
func (w *wal) encode(r *Record) []byte {
	b := append(w.head[:0], make([]byte, headBytes)...)
	for i := range r.ops {
		o := &r.ops[i]
		b = binary.AppendUvarint(b, uint64(o.keyLen)) //nolint:gosec // a length
		if o.del {
			b = append(b, 0)
		} else {
			b = binary.AppendUvarint(b, uint64(o.valLen)+1) //nolint:gosec // a length
		}
	}
	w.head = b
	table := len(b) - headBytes
	length := table + r.Bytes()
	crc := crc32.Checksum(b[headBytes:], castagnoli)
	for c := range r.chunks() {
		crc = crc32.Update(crc, castagnoli, c)
	}
	binary.LittleEndian.PutUint32(b, uint32(length)) //nolint:gosec // below recordMax
	binary.LittleEndian.PutUint32(b[4:], crc)
	binary.LittleEndian.PutUint64(b[8:], w.number+1)
	binary.LittleEndian.PutUint32(b[16:], uint32(table)) //nolint:gosec // below length
	binary.LittleEndian.PutUint32(b[20:], crc32.Checksum(b[:20], castagnoli))
	return b
}

// The largest record. An engine closes its epochs far below, see Limits.
const (
	recordMax  = 256 << 20
	changesMax = 1 << 20
	keyMax     = 65_000 // as Badger's
)

// write appends to a segment's file. After an error the file is as before.
func (w *wal) write(s *segment, head []byte, r *Record) error {
	if s.file == nil {
		return nil
	}
	_, err := s.file.WriteAt(head, s.size)
	at := s.size + int64(len(head))
	for c := range r.chunks() {
		if err != nil {
			break
		}
		_, err = s.file.WriteAt(c, at)
		at += int64(len(c))
	}
	if err == nil && w.sync {
		err = s.file.Sync()
	}
	if err != nil {
		err = fmt.Errorf("write the epoch log: %w", err)
		if cut := s.file.Truncate(s.size); cut != nil {
			err = errors.Join(err, fmt.Errorf("take back what was written: %w", cut))
		}
	}
	return err
}

// rewrite writes the segment's file over with what stands in it. When a sync fails the
// system may forget that there is something to write, and yet show it: a program that
// finds it there and only syncs again would build on what a loss of power takes away
// (Rebello et al., Can Applications Recover from fsync Failures?, 2020).
func (s *segment) rewrite() error {
	data := make([]byte, s.size)
	_, err := s.file.ReadAt(data, 0)
	if err == nil {
		_, err = s.file.WriteAt(data, 0)
	}
	if err != nil {
		return fmt.Errorf("write the last segment of the epoch log over: %w", err)
	}
	return nil
}

// read appends a value to dst. mem is the segment's memory, as the lock showed it.
func (v *version) read(dst []byte, mem []byte) ([]byte, error) {
	n, size := len(dst), int(v.size)
	dst = slices.Grow(dst, size)[:n+size]
	if v.segment.file == nil {
		copy(dst[n:], mem[v.at:])
		return dst, nil
	}
	if _, err := v.segment.file.ReadAt(dst[n:], v.at); err != nil {
		return dst[:n], fmt.Errorf("read %s at byte %d: %w", v.segment.path, v.at, err)
	}
	return dst, nil
}

// each calls fn for every change in the segment, in order, with the number of its record
// and the place of its value, -1 for a removal. Key and value are valid until it returns.
// It answers the number of the last record. A record at the end that was never written
// whole ends it: then torn is where it begins, else -1.
func (s *segment) each(tail bool, fn func(number uint64, key, value []byte, at int64)) (last uint64, torn int64, err error) {
	var data []byte
	if s.file == nil {
		data = s.mem
	} else {
		data = make([]byte, s.size)
		if _, err := s.file.ReadAt(data, 0); err != nil && !errors.Is(err, io.EOF) {
			return 0, -1, fmt.Errorf("read %s: %w", s.path, err)
		}
	}
	last = s.base
	for at := int64(0); at < int64(len(data)); {
		head, body, why := cutRecord(data[at:])
		if why == "" && head.number != last+1 {
			why = "a record is out of its turn"
		}
		if why != "" {
			if tail && isTorn(data[at:], last) {
				return last, at, nil
			}
			return last, -1, fmt.Errorf("%w: %s: %s at byte %d", ErrDamaged, s.path, why, at)
		}
		last = head.number
		eachChange(body, head.table, func(key, value []byte, from int) {
			if from >= 0 {
				from += int(at) + headBytes
			}
			fn(last, key, value, int64(from))
		})
		at += headBytes + int64(len(body))
	}
	return last, -1, nil
}

// recordHead is what stands before a record.
type recordHead struct {
	number uint64
	table  int
}

// cutRecord reads the record at the beginning of data; why says what is wrong with it.
func cutRecord(data []byte) (h recordHead, body []byte, why string) {
	if len(data) < headBytes {
		return h, nil, "the head of a record is cut off"
	}
	if !isHead(data) {
		return h, nil, "the head of a record does not match its checksum"
	}
	length := int64(binary.LittleEndian.Uint32(data))
	h.number = binary.LittleEndian.Uint64(data[8:])
	h.table = int(binary.LittleEndian.Uint32(data[16:]))
	if length > int64(len(data)-headBytes) {
		return h, nil, "a record is cut off"
	}
	body = data[headBytes : headBytes+length]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(data[4:]) {
		return h, nil, "a record does not match its checksum"
	}
	if !validTable(body, h.table) {
		return h, nil, "a record's table does not fit it"
	}
	return h, body, ""
}

// isTorn tells whether what cannot be read behind the record of number last may be what
// a crash left of records that were being written. A disk keeps the pieces of what was
// not synced in any order, so anything may stand there, but for a whole record: before
// that one was begun, the one that cannot be read was whole.
func isTorn(data []byte, last uint64) bool {
	for at := range data {
		h, _, why := cutRecord(data[at:])
		if why == "" && (at == 0 || h.number > last) {
			return false
		}
	}
	return true
}

// isHead tells whether data begins with the head of a record.
func isHead(data []byte) bool {
	return crc32.Checksum(data[:20], castagnoli) == binary.LittleEndian.Uint32(data[20:])
}

// validTable tells whether the changes of a table fill the body.
func validTable(body []byte, table int) bool {
	if table < 0 || table > len(body) {
		return false
	}
	rest, left := body[:table], uint64(len(body)-table) //nolint:gosec // a length
	for len(rest) > 0 {
		key, n := binary.Uvarint(rest)
		if n <= 0 {
			return false
		}
		value, m := binary.Uvarint(rest[n:])
		if m <= 0 || key > left {
			return false
		}
		left -= key
		if value > 0 {
			if value-1 > left {
				return false
			}
			left -= value - 1
		}
		rest = rest[n+m:]
	}
	return left == 0
}

// eachChange calls fn for every change of a valid record with the place of its value in
// the body, -1 for a removal.
func eachChange(body []byte, table int, fn func(key, value []byte, at int)) {
	at := table
	for rest := body[:table]; len(rest) > 0; {
		k, n := binary.Uvarint(rest)
		v, m := binary.Uvarint(rest[n:])
		rest = rest[n+m:]
		key := body[at : at+int(k)] //nolint:gosec // see validTable
		at += len(key)
		if v == 0 {
			fn(key, nil, -1)
			continue
		}
		fn(key, body[at:at+int(v-1)], at) //nolint:gosec // see validTable
		at += int(v - 1)                  //nolint:gosec // see validTable
	}
}

// segmentNamed reads the name of a segment's file, nil if it is none.
func segmentNamed(name string) *segment {
	name, ok := strings.CutSuffix(name, ".log")
	id, base, dash := strings.Cut(name, "-")
	if !ok || !dash {
		return nil
	}
	s := &segment{}
	var err1, err2 error
	s.id, err1 = strconv.ParseUint(id, 10, 64)
	s.base, err2 = strconv.ParseUint(base, 10, 64)
	if err1 != nil || err2 != nil {
		return nil
	}
	s.last = s.base
	return s
}

// openSegments finds the segments of a directory, oldest first.
func openSegments(disk Disk, dir string, readOnly bool) ([]*segment, error) {
	names, err := disk.List(dir)
	if errors.Is(err, fs.ErrNotExist) && readOnly {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open the epoch log: %w", err)
	}
	var found []*segment
	for _, name := range names { // sorted
		s := segmentNamed(name)
		if s == nil {
			continue
		}
		s.path = filepath.Join(dir, name)
		if s.file, err = disk.Open(s.path, readOnly); err != nil {
			return nil, fmt.Errorf("open the epoch log: %w", err)
		}
		if s.size, err = s.file.Size(); err != nil {
			return nil, fmt.Errorf("open the epoch log: %w", err)
		}
		found = append(found, s)
	}
	return found, nil
}
