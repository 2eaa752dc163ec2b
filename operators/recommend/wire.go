package recommend

import (
	"encoding/binary"

	"millrace/operators/event"
	"millrace/operators/profile"
)

// touchSchema is the version of a touch as it stands in an epoch record.
const touchSchema = 1

// AppendTouch appends a touch as it stands in an epoch record, without its item, which
// is the key.
func AppendTouch(b []byte, t *Touch) []byte {
	b = append(b, touchSchema, byte(t.Relation))
	b = binary.AppendUvarint(b, uint64(t.Own))
	b = binary.AppendVarint(b, t.Time)
	b = binary.AppendUvarint(b, uint64(len(t.Others)))
	for _, id := range t.Others {
		b = profile.AppendString(b, id)
	}
	if t.Facts == (Facts{}) {
		return append(b, 0)
	}
	f := &t.Facts
	b = append(b, 1)
	for _, s := range [...]string{f.Name, f.Category, f.URL, f.ImageURL, f.Currency} {
		b = profile.AppendString(b, s)
	}
	b = binary.AppendVarint(b, int64(f.Price))
	if f.HasPrice {
		return append(b, 1)
	}
	return append(b, 0)
}

// ReadTouch reads what AppendTouch wrote into t, whose memory is used again. It answers
// profile.ErrNewer or profile.ErrDamaged, wrapped with the facts. The strings of t are
// pieces of s.
func ReadTouch(t *Touch, s string) error {
	var r profile.Wire
	r.Begin(s, touchSchema)
	w := &r
	*t = Touch{Relation: Relation(w.Byte()), Others: t.Others[:0]}
	if t.Relation >= RelationCount {
		w.Fail("relation of unknown kind")
	}
	t.Own = uint32(w.Int(1<<32 - 1))
	t.Time = w.Varint()
	for range w.Len(len(s), 1) {
		t.Others = append(t.Others, w.String())
	}
	if w.Byte() == 1 {
		f := &t.Facts
		for _, s := range [...]*string{&f.Name, &f.Category, &f.URL, &f.ImageURL, &f.Currency} {
			*s = w.String()
		}
		f.Price = event.Money(w.Varint())
		f.HasPrice = w.Byte() == 1
	}
	return w.Err()
}

// TouchReader makes a function that reads touches, each into the memory of the last.
func TouchReader() func(s string) (*Touch, error) {
	t := &Touch{}
	return func(s string) (*Touch, error) { return t, ReadTouch(t, s) }
}
