package operators

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"millrace/operators/event"
	"millrace/operators/profile"
	"millrace/operators/trigger"
)

// The bounds of an identity.
const (
	// maxIDs is how many persons may become one: an id that so many share is no person's,
	// but that of a till, a test or a default.
	maxIDs = 64
	// maxEarly is how many receipts are kept of a person whose state is on its way: as
	// many decisions as it can have pending.
	maxEarly = trigger.MaxFired
	// maxHandover is how many bytes a person may hand over: in base64 they must fit the
	// megabyte that a server of the log takes by default.
	maxHandover = 700 << 10
)

// identity says, of a pseudonym, whose it is. Of nearly all persons there is none. An
// identity that names an owner is all that is left of a person: it never changes to
// another one but the owner's own new owner, so it leads there in one step.
type identity struct {
	Owner string   // whom this person was merged into, or ""
	At    int64    // watermark of that
	IDs   []merged // who were merged into this person, by pseudonym; "" while Owner is set
}

// merged is a person who is no more.
type merged struct {
	Person  string
	Arrived bool            // his state has joined his owner's
	Early   []event.Receipt // of his decisions, read before that
}

// find is where a person stands in the list, and whether.
func (d *identity) find(person string) (int, bool) {
	return slices.BinarySearchFunc(d.IDs, person, func(m merged, p string) int { return strings.Compare(m.Person, p) })
}

// adopt puts persons into the list. It answers false, and changes nothing, when there
// would be too many.
func (d *identity) adopt(all ...merged) bool {
	if len(d.IDs)+len(all) > maxIDs {
		return false
	}
	for _, m := range all {
		if i, ok := d.find(m.Person); !ok {
			d.IDs = slices.Insert(d.IDs, i, m)
		}
	}
	return true
}

// awaits is how many handovers have not arrived.
func (d *identity) awaits() int {
	n := 0
	for i := range d.IDs {
		if !d.IDs[i].Arrived {
			n++
		}
	}
	return n
}

const identitySchema = 1

// AppendTo appends the stored form.
func (d *identity) AppendTo(b []byte) []byte {
	b = append(b, identitySchema)
	b = profile.AppendString(b, d.Owner)
	b = binary.AppendVarint(b, d.At)
	b = binary.AppendUvarint(b, uint64(len(d.IDs)))
	for i := range d.IDs {
		m := &d.IDs[i]
		b = profile.AppendString(b, m.Person)
		arrived := byte(0)
		if m.Arrived {
			arrived = 1
		}
		b = append(b, arrived)
		b = binary.AppendUvarint(b, uint64(len(m.Early)))
		for j := range m.Early {
			b = appendEarly(b, &m.Early[j])
		}
	}
	return b
}

func appendEarly(b []byte, r *event.Receipt) []byte {
	for _, s := range [...]string{r.Decision, r.Person, r.Effect, r.Reason, r.Subject, r.Model} {
		b = profile.AppendString(b, s)
	}
	fallback := byte(0)
	if r.Fallback {
		fallback = 1
	}
	b = append(b, byte(r.Outcome), fallback)
	return binary.AppendVarint(b, r.At)
}

// DecodeFrom reads the stored form. It answers profile.ErrNewer or profile.ErrDamaged,
// wrapped with the facts; the identity is then empty.
func (d *identity) DecodeFrom(b []byte) error {
	*d = identity{}
	w, _ := profile.ReadWire(b, identitySchema)
	d.Owner, d.At = w.String(), w.Varint()
	if n := w.Len(maxIDs, 3); n > 0 {
		d.IDs = make([]merged, n)
	}
	for i := range d.IDs {
		m := &d.IDs[i]
		m.Person, m.Arrived = w.String(), w.Int(1) == 1
		if n := w.Len(maxEarly, 9); n > 0 {
			m.Early = make([]event.Receipt, n)
		}
		for j := range m.Early {
			m.Early[j] = readEarly(w)
		}
		if i > 0 && m.Person <= d.IDs[i-1].Person {
			w.Fail("persons out of order")
		}
	}
	if err := w.Err(); err != nil {
		*d = identity{}
		return fmt.Errorf("identity: %w", err)
	}
	return nil
}

func readEarly(w *profile.Wire) event.Receipt {
	var r event.Receipt
	for _, s := range [...]*string{&r.Decision, &r.Person, &r.Effect, &r.Reason, &r.Subject, &r.Model} {
		*s = w.String()
	}
	r.Outcome = event.Outcome(w.Int(int(event.UnknownOutcome))) //nolint:gosec // bounded
	r.Fallback = w.Int(1) == 1
	r.At = w.Varint()
	return r
}
