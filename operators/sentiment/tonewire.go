package sentiment

import (
	"encoding/binary"
	"fmt"
	"math"
	"unicode/utf8"
)

// stored reads what the cells of this package hold. After its first error it returns zero
// values.
type stored struct {
	rest []byte
	err  error
}

// beginStored reads the schema of a stored value.
func beginStored(b []byte) (*stored, error) {
	switch {
	case len(b) == 0:
		return nil, fmt.Errorf("%w: it is empty", ErrToneDamaged)
	case b[0] > toneSchema:
		return nil, fmt.Errorf("%w: schema %d, this one knows %d", ErrToneNewer, b[0], toneSchema)
	case b[0] == 0:
		return nil, fmt.Errorf("%w: schema 0", ErrToneDamaged)
	}
	return &stored{rest: b[1:]}, nil
}

func (r *stored) fail(why string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrToneDamaged, why)
	}
	r.rest = nil
}

func (r *stored) end() error {
	if r.err == nil && len(r.rest) > 0 {
		r.fail("bytes left over")
	}
	return r.err
}

func (r *stored) uvarint() uint64 {
	x, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.fail("number cut off")
		return 0
	}
	r.rest = r.rest[n:]
	return x
}

// timeMax bounds a time in milliseconds: the year 33,000.
const timeMax = 1 << 50

func (r *stored) varint() int64 {
	x, n := binary.Varint(r.rest)
	if n <= 0 || x < -timeMax || x > timeMax {
		r.fail("number cut off or out of bounds")
		return 0
	}
	r.rest = r.rest[n:]
	return x
}

func (r *stored) within(least, most int64, x uint64) int64 {
	if x > math.MaxInt64 || int64(x) < least || int64(x) > most { //nolint:gosec // looked at
		r.fail("number out of bounds")
		return least
	}
	return int64(x)
}

func (r *stored) score() int64 {
	x := r.varint()
	if x < -ScoreMax || x > ScoreMax {
		r.fail("score out of bounds")
		return 0
	}
	return x
}

func (r *stored) text(most int) string {
	n := r.within(0, int64(min(most, len(r.rest))), r.uvarint())
	if n > int64(len(r.rest)) {
		r.fail("text cut off")
		return ""
	}
	s := string(r.rest[:n])
	r.rest = r.rest[n:]
	if !utf8.ValidString(s) {
		r.fail("text is no UTF-8")
		return ""
	}
	return s
}

func (r *stored) finite(least, most float64) float64 {
	if len(r.rest) < 8 {
		r.fail("number cut off")
		return 0
	}
	x := math.Float64frombits(binary.LittleEndian.Uint64(r.rest))
	r.rest = r.rest[8:]
	if !(x >= least && x <= most) {
		r.fail("number out of bounds")
		return 0
	}
	return x
}
