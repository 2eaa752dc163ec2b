package state

import (
	"iter"
	"slices"
)

// Record is what one epoch changes: it commits whole or not at all. Keys and values
// are copied into chunks, so a record of thousands of changes costs few allocations,
// none of them moves what stands in it already, and it can be used again after Reset.
// One goroutine at a time.
type Record struct {
	Epoch uint64
	ops   []op
	full  [][]byte // chunks, in order, and after them
	last  []byte   // the one that is being filled
	spare [][]byte // of earlier records
	bytes int      // in full
}

// op is a change. Its key and then its value stand in one chunk, behind those of the one
// before.
type op struct {
	keyLen, valLen uint32
	del            bool
}

// chunkBytes is a chunk: of the largest records there are a hundred.
const chunkBytes = 1 << 20

// oftenBytes is what most values are smaller than: a larger one may move its chunk.
const oftenBytes = 4 << 10

// Room lets the next change take so many bytes without moving what stands before it.
func (r *Record) Room(n int) {
	if cap(r.last)-len(r.last) >= n {
		return
	}
	switch {
	case len(r.last) > 0:
		r.full = append(r.full, r.last)
		r.bytes += len(r.last)
	case r.last != nil:
		r.spare = append(r.spare, r.last)
	}
	if at := slices.IndexFunc(r.spare, func(c []byte) bool { return cap(c) >= n }); at >= 0 {
		r.last = r.spare[at]
		r.spare = slices.Delete(r.spare, at, at+1)
		return
	}
	r.last = make([]byte, 0, max(n, chunkBytes))
}

// Put sets key to value.
func (r *Record) Put(key, value []byte) {
	r.Room(len(key) + len(value))
	r.last = append(append(r.last, key...), value...)
	r.ops = append(r.ops, op{keyLen: uint32(len(key)), valLen: uint32(len(value))}) //nolint:gosec // far below 4 GiB
}

// PutFunc sets key to what fill appends, and answers its length.
func (r *Record) PutFunc(key []byte, fill func(dst []byte) []byte) int {
	r.Room(len(key) + oftenBytes)
	r.last = append(r.last, key...)
	v := len(r.last)
	r.last = fill(r.last)
	n := len(r.last) - v
	r.ops = append(r.ops, op{keyLen: uint32(len(key)), valLen: uint32(n)}) //nolint:gosec // far below 4 GiB
	return n
}

// Delete removes key.
func (r *Record) Delete(key []byte) {
	r.Room(len(key))
	r.last = append(r.last, key...)
	r.ops = append(r.ops, op{keyLen: uint32(len(key)), del: true}) //nolint:gosec // far below 4 GiB
}

// Len is the number of changes, Bytes their size.
func (r *Record) Len() int { return len(r.ops) }

// Bytes is the size of all keys and values.
func (r *Record) Bytes() int { return r.bytes + len(r.last) }

// chunks are what holds the changes, in order.
func (r *Record) chunks() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for _, c := range r.full {
			if !yield(c) {
				return
			}
		}
		if len(r.last) > 0 {
			yield(r.last)
		}
	}
}

// Each calls fn for every change in order; value is nil for a removal. Both are
// valid until the record is reset.
func (r *Record) Each(fn func(key, value []byte, removed bool)) {
	ops := r.ops
	for c := range r.chunks() {
		for at := 0; at < len(c); ops = ops[1:] {
			o := &ops[0]
			value := at + int(o.keyLen)
			end := value + int(o.valLen)
			if o.del {
				fn(c[at:value], nil, true)
			} else {
				fn(c[at:value], c[value:end], false)
			}
			at = end
		}
	}
}

// Reset empties the record and keeps its memory.
func (r *Record) Reset() {
	r.ops = r.ops[:0]
	r.bytes = 0
	for _, c := range r.full {
		r.spare = append(r.spare, c[:0])
	}
	clear(r.full)
	r.full, r.last = r.full[:0], r.last[:0]
}
