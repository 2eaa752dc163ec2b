package profile

// Visitor is what is kept of an anonymous visitor: a picture of his own until he
// makes himself known, and from then on only whose he is.
type Visitor struct {
	Owner  string // the person's pseudonym, "" while unknown
	Person Person // what he did before
}

// AppendTo appends the stored form.
func (v *Visitor) AppendTo(b []byte) []byte {
	b = append(b, visitorSchema)
	b = AppendString(b, v.Owner)
	if v.Owner != "" {
		return b
	}
	return v.Person.AppendTo(b)
}

// AppendHead implements state.Parted, as of Person.
func (v *Visitor) AppendHead(b []byte) (head []byte, parts int) {
	b = append(b, visitorSchema)
	b = AppendString(b, v.Owner)
	if v.Owner != "" {
		return b, 0
	}
	return v.Person.AppendHead(b)
}

// AppendPart implements state.Parted.
func (v *Visitor) AppendPart(b []byte, n int) []byte { return v.Person.AppendPart(b, n) }

// Missing implements state.Parted.
func (v *Visitor) Missing() int { return v.Person.Missing() }

// DecodePart implements state.Parted.
func (v *Visitor) DecodePart(n int, b []byte) error { return v.Person.DecodePart(n, b) }

// Reset implements state.Reusable.
func (v *Visitor) Reset() {
	v.Owner = ""
	v.Person.Reset()
}

const visitorSchema = 1

// DecodeFrom replaces the visitor by its stored form. It answers ErrNewer or
// ErrDamaged, wrapped with the facts. It keeps nothing of b.
func (v *Visitor) DecodeFrom(b []byte) error {
	v.Reset()
	w, _ := ReadWire(b, visitorSchema)
	v.Owner = w.String()
	if v.Owner != "" || w.err != nil {
		return w.Err()
	}
	return v.Person.DecodeFrom(b[w.at:])
}
