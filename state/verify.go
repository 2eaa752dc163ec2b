package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4/fb"
)

// Badger keeps checksums of its tables and, when asked to, compares them. But where a table
// is damaged it often panics in a goroutine of its own, and a block that does not fit
// while it is read is taken for one without the key. So the tables are checked before
// Badger opens them: once they were written they never change.

// Layout of a table, numbers big-endian (table/builder.go of Badger):
//
//	blocks  index  indexlen(4)  checksum of index  its length(4)
//
// and of a block: entries, checksum of the entries, its length(4).

const advice = "restore a backup, or remove the directory and read the log again"

// verifyTables checks every table in a directory against its checksums.
func verifyTables(dir string) error {
	names, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil {
		return fmt.Errorf("look for tables: %w", err)
	}
	for _, name := range names {
		raw, err := os.ReadFile(name) //nolint:gosec // ours
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("check the state: %w", err)
		}
		if len(raw) == 0 {
			continue // half deleted, see isHalfDeleted
		}
		if why := verifyTable(raw); why != "" {
			return fmt.Errorf("%w: %s: %s: %s", ErrDamaged, name, why, advice)
		}
	}
	return nil
}

// verifyTable says what is wrong with a table.
func verifyTable(raw []byte) string {
	body, sum, ok := cutChecksum(raw)
	if !ok || len(body) < 4 {
		return "its end is not that of a table"
	}
	rest, size := body[:len(body)-4], binary.BigEndian.Uint32(body[len(body)-4:])
	if uint64(size) > uint64(len(rest)) {
		return "its end is not that of a table"
	}
	blocks, index := rest[:len(rest)-int(size)], rest[len(rest)-int(size):]
	if crc32.Checksum(index, castagnoli) != sum {
		return "its index does not match its checksum"
	}
	at := uint64(0)
	table, offset := fb.GetRootAsTableIndex(index, 0), fb.BlockOffset{}
	for i := range table.OffsetsLength() {
		if !table.Offsets(&offset, i) || uint64(offset.Offset()) != at || at+uint64(offset.Len()) > uint64(len(blocks)) {
			return fmt.Sprintf("block %d is not where the index says", i)
		}
		block, sum, ok := cutChecksum(blocks[at : at+uint64(offset.Len())])
		if !ok || crc32.Checksum(block, castagnoli) != sum {
			return fmt.Sprintf("the block at byte %d does not match its checksum", at)
		}
		at += uint64(offset.Len())
	}
	if at != uint64(len(blocks)) {
		return fmt.Sprintf("nobody knows of what stands behind byte %d", at)
	}
	return ""
}

// cutChecksum takes a checksum and its length off the end. It is a protocol buffer of one
// or two fields, the algorithm and the sum; a field that is zero is left out.
func cutChecksum(b []byte) (body []byte, sum uint32, ok bool) {
	if len(b) < 4 {
		return nil, 0, false
	}
	body, size := b[:len(b)-4], binary.BigEndian.Uint32(b[len(b)-4:])
	if uint64(size) > uint64(len(body)) {
		return nil, 0, false
	}
	body, raw := body[:len(body)-int(size)], body[len(body)-int(size):]
	for len(raw) > 0 {
		v, n := binary.Uvarint(raw[1:])
		if n <= 0 {
			return nil, 0, false
		}
		switch {
		case raw[0] == 1<<3 && v == 0: // CRC-32C
		case raw[0] == 2<<3 && v <= 1<<32-1:
			sum = uint32(v)
		default:
			return nil, 0, false
		}
		raw = raw[1+n:]
	}
	return body, sum, true
}
