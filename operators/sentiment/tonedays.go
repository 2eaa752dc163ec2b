package sentiment

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"time"
)

// daysMax is how many days with texts are kept of a campaign: over a year.
const daysMax = 400

const dayMillis = int64(24 * time.Hour / time.Millisecond)

// ToneDay is how people spoke on one day, UTC.
type ToneDay struct {
	Day   int64  `json:"day"` // since 1970
	Texts uint64 `json:"texts"`
	Bad   uint64 `json:"bad"` // bad experiences among them
	Sum   int64  `json:"sum"` // of the scores, in thousandths
}

// Mean is the mean tone, -1 to 1.
func (d ToneDay) Mean() float64 {
	if d.Texts == 0 {
		return 0
	}
	return float64(d.Sum) / float64(d.Texts) / ScoreMax
}

// ToneDays is how people spoke of a campaign, day by day. The zero value works.
type ToneDays struct {
	Days []ToneDay // oldest first
}

// Add counts a text. What is older than all of as many days as are kept is left out.
func (t *ToneDays) Add(h Heard) {
	day := h.At / dayMillis
	if h.At < 0 && h.At%dayMillis != 0 {
		day--
	}
	i, ok := slices.BinarySearchFunc(t.Days, day, func(d ToneDay, day int64) int { return cmp.Compare(d.Day, day) })
	if !ok {
		if len(t.Days) >= daysMax {
			if i == 0 {
				return
			}
			t.Days = slices.Delete(t.Days, 0, 1)
			i--
		}
		t.Days = slices.Insert(t.Days, i, ToneDay{Day: day})
	}
	d := &t.Days[i]
	d.Texts = min(d.Texts+1, heardMax)
	d.Sum += int64(h.Score)
	if h.Bad {
		d.Bad = min(d.Bad+1, heardMax)
	}
}

// AppendTo appends the stored form.
func (t *ToneDays) AppendTo(b []byte) []byte {
	b = append(b, toneSchema)
	b = binary.AppendUvarint(b, uint64(len(t.Days)))
	at := int64(0)
	for _, d := range t.Days {
		b = binary.AppendVarint(b, d.Day-at)
		b = binary.AppendUvarint(b, d.Texts)
		b = binary.AppendUvarint(b, d.Bad)
		b = binary.AppendVarint(b, d.Sum)
		at = d.Day
	}
	return b
}

// DecodeFrom reads what AppendTo wrote. It answers ErrToneNewer or ErrToneDamaged, wrapped
// with the facts; the days are then empty.
func (t *ToneDays) DecodeFrom(b []byte) error {
	*t = ToneDays{}
	r, err := beginStored(b)
	if err != nil {
		return fmt.Errorf("tone of a campaign: %w", err)
	}
	at := int64(0)
	for i := range r.within(0, daysMax, r.uvarint()) {
		step := r.varint()
		if at += step; i > 0 && step <= 0 {
			r.fail("days out of order")
		}
		d := ToneDay{Day: at}
		d.Texts = uint64(r.within(1, heardMax, r.uvarint()))                    //nolint:gosec // bounded
		d.Bad = uint64(r.within(0, int64(min(d.Texts, heardMax)), r.uvarint())) //nolint:gosec // bounded
		d.Sum = r.varint()
		if bound := int64(d.Texts) * ScoreMax; d.Sum > bound || d.Sum < -bound || at > math.MaxInt32 || at < math.MinInt32 { //nolint:gosec // bounded
			r.fail("sum or day out of bounds")
		}
		if r.err != nil {
			break
		}
		t.Days = append(t.Days, d)
	}
	if err := r.end(); err != nil {
		*t = ToneDays{}
		return fmt.Errorf("tone of a campaign: %w", err)
	}
	return nil
}
