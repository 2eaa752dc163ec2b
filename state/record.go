package state

import "slices"

// Record is what one epoch changes: it commits whole or not at all. Keys and values
// are copied into one buffer, so a record of thousands of changes costs few
// allocations and can be used again after Reset. One goroutine at a time.
type Record struct {
	Epoch uint64
	ops   []op
	buf   []byte
}

// op is a change: places in the record's buffer, which is far below 4 GiB.
type op struct {
	key, keyLen uint32
	val, valLen uint32
	del         bool
}

// Put sets key to value.
func (r *Record) Put(key, value []byte) {
	k := len(r.buf)
	r.buf = append(r.buf, key...)
	v := len(r.buf)
	r.buf = append(r.buf, value...)
	r.ops = append(r.ops, op{key: uint32(k), keyLen: uint32(len(key)), val: uint32(v), valLen: uint32(len(value))}) //nolint:gosec // see op
}

// PutFunc sets key to what fill appends.
func (r *Record) PutFunc(key []byte, fill func(dst []byte) []byte) int {
	k := len(r.buf)
	r.buf = append(r.buf, key...)
	v := len(r.buf)
	r.buf = fill(r.buf)
	r.ops = append(r.ops, op{key: uint32(k), keyLen: uint32(len(key)), val: uint32(v), valLen: uint32(len(r.buf) - v)}) //nolint:gosec // see op
	return len(r.buf) - v
}

// Delete removes key.
func (r *Record) Delete(key []byte) {
	k := len(r.buf)
	r.buf = append(r.buf, key...)
	r.ops = append(r.ops, op{key: uint32(k), keyLen: uint32(len(key)), del: true}) //nolint:gosec // see op
}

// Len is the number of changes, Bytes their size.
func (r *Record) Len() int { return len(r.ops) }

// Bytes is the size of all keys and values.
func (r *Record) Bytes() int { return len(r.buf) }

// Each calls fn for every change in order; value is nil for a removal. Both are
// valid until the record is reset.
func (r *Record) Each(fn func(key, value []byte, removed bool)) {
	for i := range r.ops {
		o := &r.ops[i]
		if o.del {
			fn(r.buf[o.key:o.key+o.keyLen], nil, true)
			continue
		}
		fn(r.buf[o.key:o.key+o.keyLen], r.buf[o.val:o.val+o.valLen], false)
	}
}

// Grow makes room for about so many more changes, of so many bytes.
func (r *Record) Grow(changes, bytes int) {
	r.ops, r.buf = slices.Grow(r.ops, changes), slices.Grow(r.buf, bytes)
}

// Reset empties the record and keeps its memory.
func (r *Record) Reset() {
	r.ops = r.ops[:0]
	r.buf = r.buf[:0]
}
