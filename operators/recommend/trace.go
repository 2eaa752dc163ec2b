package recommend

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"

	"millrace/operators/profile"
)

// Trace is what a Hybrid must know of one person to be built anew: the newest choices,
// each with its session. It is the durable form of the voices, kept with the person and
// erased with the person; the indexes in memory are made of all traces, in any order, as
// the voices count the same whatever the order. The zero value is an empty trace. One
// goroutine at a time.
type Trace struct {
	Lost     uint32   // choices that the bounds dropped
	sessions []string // in the order of coming
	choices  []choice // in the order of time, session, item
}

// choice is an action of a trace.
type choice struct {
	at      int64
	session int
	item    string
	how     Strength
}

// The bounds of a trace: an active person's year, in about 8 kB.
const (
	maxChoices     = 400
	maxTraceVisits = 100
)

// compare orders choices; how is no part of what makes one known.
func (t *Trace) compare(a, b *choice) int {
	return cmp.Or(cmp.Compare(a.at, b.at), strings.Compare(t.sessions[a.session], t.sessions[b.session]), strings.Compare(a.item, b.item))
}

// Add notes an action. It answers false when it is known already, or older than all that
// is kept.
func (t *Trace) Add(a *Action) bool {
	if a.Item == "" || a.How >= strengths {
		return false
	}
	s := slices.Index(t.sessions, a.Session)
	if s < 0 {
		s = len(t.sessions)
		t.sessions = append(t.sessions, strings.Clone(a.Session))
	}
	c := choice{at: a.Time, session: s, item: a.Item, how: a.How}
	at, known := slices.BinarySearchFunc(t.choices, &c, func(e choice, c *choice) int { return t.compare(&e, c) })
	if known {
		return false
	}
	c.item = strings.Clone(a.Item)
	t.choices = slices.Insert(t.choices, at, c)
	for len(t.choices) > maxChoices {
		t.drop(1)
	}
	for len(t.sessions) > maxTraceVisits {
		t.drop(1)
	}
	return slices.ContainsFunc(t.choices, func(e choice) bool { return e.at == a.Time && e.item == a.Item && t.sessions[e.session] == a.Session })
}

// drop forgets the n oldest choices, and sessions that have none left.
func (t *Trace) drop(n int) {
	t.choices = slices.Delete(t.choices, 0, n)
	t.Lost += uint32(n) //nolint:gosec // at most maxChoices
	used := make([]bool, len(t.sessions))
	for k := range t.choices {
		used[t.choices[k].session] = true
	}
	place := make([]int, len(t.sessions))
	kept := 0
	for k, s := range t.sessions {
		place[k] = kept
		if used[k] {
			t.sessions[kept] = s
			kept++
		}
	}
	clear(t.sessions[kept:])
	t.sessions = t.sessions[:kept]
	for k := range t.choices {
		t.choices[k].session = place[t.choices[k].session]
	}
}

// Len is the number of choices.
func (t *Trace) Len() int { return len(t.choices) }

// Replay passes the choices on, oldest first, as those of a person.
func (t *Trace) Replay(person string, to func(Action)) {
	for _, c := range t.choices {
		to(Action{Person: person, Session: t.sessions[c.session], Item: c.item, How: c.how, Time: c.at})
	}
}

// Items are the newest n choices, oldest first, those of one session and those before it:
// what a Request starts from.
func (t *Trace) Items(session string, n int) (present, past []string) {
	for _, c := range t.choices[max(len(t.choices)-n, 0):] {
		if t.sessions[c.session] == session {
			present = append(present, c.item)
		} else {
			past = append(past, c.item)
		}
	}
	return present, past
}

// schemaTrace is the version of the stored form of Trace.
const schemaTrace = 1

// AppendTo appends the stored form.
func (t *Trace) AppendTo(b []byte) []byte {
	b = append(b, schemaTrace)
	b = binary.AppendUvarint(b, uint64(t.Lost))
	b = binary.AppendUvarint(b, uint64(len(t.sessions)))
	for _, s := range t.sessions {
		b = profile.AppendString(b, s)
	}
	b = binary.AppendUvarint(b, uint64(len(t.choices)))
	last := int64(0)
	for _, c := range t.choices {
		b = binary.AppendVarint(b, c.at-last)
		last = c.at
		b = binary.AppendUvarint(b, uint64(c.session)) //nolint:gosec // not negative
		b = append(b, byte(c.how))
		b = profile.AppendString(b, c.item)
	}
	return b
}

// DecodeFrom replaces the trace by its stored form. It answers profile.ErrNewer or
// profile.ErrDamaged, wrapped with the facts; the trace is then empty.
func (t *Trace) DecodeFrom(b []byte) error {
	*t = Trace{}
	w, _ := profile.ReadWire(b, schemaTrace)
	t.read(w)
	if err := w.Err(); err != nil {
		*t = Trace{}
		return err
	}
	return nil
}

func (t *Trace) read(w *profile.Wire) {
	t.Lost = uint32(w.Int(1<<32 - 1)) //nolint:gosec // bounded by Int
	if n := w.Len(maxTraceVisits, 1); n > 0 {
		t.sessions = make([]string, n)
	}
	for k := range t.sessions {
		t.sessions[k] = w.String()
		if slices.Contains(t.sessions[:k], t.sessions[k]) {
			w.Fail("a session twice")
			return
		}
	}
	if n := w.Len(maxChoices, 4); n > 0 {
		t.choices = make([]choice, n)
	}
	last := int64(0)
	for k := range t.choices {
		c := &t.choices[k]
		c.at = last + w.Varint()
		last = c.at
		c.session = w.Int(1<<31 - 1)
		c.how = Strength(w.Byte())
		c.item = w.String()
		if c.session >= len(t.sessions) || c.how >= strengths || c.item == "" {
			w.Fail("a choice of unknown kind")
			return
		}
		if k > 0 && t.compare(&t.choices[k-1], c) >= 0 {
			w.Fail("choices out of order")
			return
		}
	}
}
