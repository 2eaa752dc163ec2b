package profile

// Visitor is what is kept of an anonymous visitor: a picture of his own until he
// makes himself known, and from then on only whose he is.
type Visitor struct {
	Owner  string // the person's pseudonym, "" while unknown
	First  string // who got what he did before, if that is not Owner any more
	Person Person // what he did before
}

// AppendTo appends the stored form.
func (v *Visitor) AppendTo(b []byte) []byte {
	b = v.appendLink(b)
	if v.Owner != "" {
		return b
	}
	return v.Person.AppendTo(b)
}

// AppendHead implements state.Parted, as of Person.
func (v *Visitor) AppendHead(b []byte) (head []byte, parts int) {
	b = v.appendLink(b)
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
	v.Owner, v.First = "", ""
	v.Person.Reset()
}

// visitorSchema is the version of the stored form; the second one is written of those only
// who were somebody else first.
const visitorSchema = 2

// appendLink appends the version and whose the visitor is.
func (v *Visitor) appendLink(b []byte) []byte {
	if v.Owner == "" || v.First == "" {
		return AppendString(append(b, 1), v.Owner)
	}
	return AppendString(AppendString(append(b, 2), v.Owner), v.First)
}

// link notes that the visitor is a person from now on.
func (v *Visitor) link(person string) {
	if v.Owner != "" && v.First == "" {
		v.First = v.Owner
	}
	if v.Owner = person; v.First == person {
		v.First = ""
	}
}

// DecodeFrom replaces the visitor by its stored form. It answers ErrNewer or
// ErrDamaged, wrapped with the facts. It keeps nothing of b.
func (v *Visitor) DecodeFrom(b []byte) error {
	v.Reset()
	w, schema := ReadWire(b, visitorSchema)
	v.Owner = w.String()
	if schema > 1 {
		if v.First = w.String(); v.First == "" || v.Owner == "" {
			w.Fail("visitor who was nobody first")
		}
	}
	if v.Owner != "" || w.err != nil {
		return w.Err()
	}
	return v.Person.DecodeFrom(b[w.at:])
}
