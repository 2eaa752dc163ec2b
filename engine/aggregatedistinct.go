package engine

import (
	"encoding/binary"
	"slices"

	"github.com/axiomhq/hyperloglog"
)

// Distinct counts different values: exactly up to distinctExact of them (but for equal
// 64-bit hashes), then with HyperLogLog of 4096 registers, whose standard error is
// 1.04/sqrt(4096), 1.6 %. What it holds depends on the set of values alone, not on their
// order or on how it was merged: the library's own sparse form does not promise that,
// so it is not used. It takes at most 3.1 KB in the store.
type Distinct struct {
	few    []uint64            // sorted hashes, while there are at most distinctExact
	sketch *hyperloglog.Sketch // from then on
}

// What a Distinct is made of.
const (
	distinctExact     = 256 // 2 KB, still below the registers
	distinctPrecision = 12
	distinctRegisters = 1 << distinctPrecision
	distinctRank      = 64 - distinctPrecision + 1 // the greatest value of a register, 6 bits
	distinctHeader    = 8                          // of the library's stored form
)

// Add counts v.
func (d *Distinct) Add(v string) { d.AddHash(hash64(v)) }

// AddHash counts a value by its hash, all 64 bits of which must be good.
func (d *Distinct) AddHash(h uint64) {
	if d.sketch != nil {
		d.sketch.InsertHash(h)
		return
	}
	at, found := slices.BinarySearch(d.few, h)
	if found {
		return
	}
	if len(d.few) < distinctExact {
		d.few = slices.Insert(d.few, at, h)
		return
	}
	d.grow()
	d.sketch.InsertHash(h)
}

func (d *Distinct) grow() {
	sketch, err := hyperloglog.NewSketch(distinctPrecision, false)
	if err != nil {
		panic("BUG: hyperloglog refuses a precision of 12")
	}
	for _, h := range d.few {
		sketch.InsertHash(h)
	}
	d.few, d.sketch = nil, sketch
}

// Merge counts what other has counted.
func (d *Distinct) Merge(other *Distinct) {
	if other.sketch == nil {
		for _, h := range other.few {
			d.AddHash(h)
		}
		return
	}
	if d.sketch == nil {
		d.grow()
	}
	if err := d.sketch.Merge(other.sketch); err != nil {
		panic("BUG: two sketches differ in precision")
	}
}

// Count is how many different values were added.
func (d *Distinct) Count() uint64 {
	if d.sketch != nil {
		return d.sketch.Estimate()
	}
	return uint64(len(d.few))
}

// Exact tells whether Count is no estimate.
func (d *Distinct) Exact() bool { return d.sketch == nil }

// AppendTo implements state.Codec.
func (d *Distinct) AppendTo(b []byte) []byte {
	if d.sketch == nil {
		b = binary.AppendUvarint(append(b, aggregateVersion, 0), uint64(len(d.few)))
		for _, h := range d.few {
			b = binary.LittleEndian.AppendUint64(b, h)
		}
		return b
	}
	b = append(b, aggregateVersion, 1)
	raw, err := d.sketch.MarshalBinary()
	if err != nil || len(raw) != distinctHeader+distinctRegisters {
		panic("BUG: hyperloglog changed its stored form")
	}
	regs := raw[distinctHeader:]
	for i := 0; i < len(regs); i += 4 { // four registers of six bits in three bytes
		v := uint32(regs[i]) | uint32(regs[i+1])<<6 | uint32(regs[i+2])<<12 | uint32(regs[i+3])<<18
		b = append(b, byte(v), byte(v>>8), byte(v>>16))
	}
	return b
}

// DecodeFrom implements state.Codec.
func (d *Distinct) DecodeFrom(b []byte) error {
	*d = Distinct{}
	r := opened(b)
	if r.byte() == 0 {
		n := r.count(8)
		r.bad = r.bad || n > distinctExact
		for i := 0; i < n && !r.bad; i++ {
			h := r.fixed()
			r.bad = r.bad || i > 0 && h <= d.few[i-1]
			d.few = append(d.few, h)
		}
		return r.closed("distinct")
	}
	packed := r.bytes(distinctRegisters / 4 * 3)
	if packed == nil {
		return r.closed("distinct")
	}
	raw := make([]byte, distinctHeader, distinctHeader+distinctRegisters) // the sketch keeps it
	raw[0], raw[1] = 2, distinctPrecision
	binary.BigEndian.PutUint32(raw[4:], distinctRegisters)
	for i := 0; i < len(packed); i += 3 {
		v := uint32(packed[i]) | uint32(packed[i+1])<<8 | uint32(packed[i+2])<<16
		raw = append(raw, byte(v&63), byte(v>>6&63), byte(v>>12&63), byte(v>>18))
	}
	r.bad = r.bad || slices.Max(raw[distinctHeader:]) > distinctRank
	if err := r.closed("distinct"); err != nil {
		return err
	}
	d.grow()
	return d.sketch.UnmarshalBinary(raw)
}

// DistinctOf counts the different results of of.
func DistinctOf[In any](of func(In) string) Aggregate[In, Distinct, uint64] {
	return Aggregate[In, Distinct, uint64]{
		Add: func(d *Distinct, in In) { d.Add(of(in)) }, Merge: (*Distinct).Merge, Result: (*Distinct).Count,
	}
}

// hash64 is FNV-1a with the finaliser of SplitMix64, which makes all bits good. It is
// stored in sketches, so it is for good.
func hash64(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h ^= uint64(s[i])
		h *= 1099511628211
	}
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
