package trigger

import (
	"encoding/binary"
	"slices"

	"millrace/operators/profile"
)

// personal tells whether there is anything that the third stored form adds.
func (s *State) personal() bool { return len(s.Sessions) > 0 || len(s.Greeted) > 0 }

// appendPersonal writes sessions and greetings.
func (s *State) appendPersonal(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(s.Sessions)))
	for i := range s.Sessions {
		x := &s.Sessions[i]
		b = binary.AppendVarint(profile.AppendString(b, x.Rule), x.Start)
		b = binary.AppendVarint(b, x.Last-x.Start)
		b = binary.AppendUvarint(b, uint64(x.Views)) //nolint:gosec // never negative
		b = binary.AppendUvarint(b, uint64(len(x.Looks)))
		for j := range x.Looks {
			l := &x.Looks[j]
			b = profile.AppendItem(b, &l.Item)
			b = binary.AppendUvarint(b, uint64(l.N)) //nolint:gosec // never negative
			b = binary.AppendVarint(b, l.At-x.Start)
		}
	}
	b = binary.AppendUvarint(b, uint64(len(s.Greeted)))
	for _, rule := range s.Greeted {
		b = profile.AppendString(b, rule)
	}
	return b
}

// readPersonal reads what appendPersonal wrote.
func (s *State) readPersonal(r *profile.Wire) {
	if n := r.Len(MaxSessions, 5); n > 0 {
		s.Sessions = make([]Session, n)
	}
	for i := range s.Sessions {
		x := &s.Sessions[i]
		x.Rule, x.Start = r.String(), r.Varint()
		x.Last = x.Start + r.Varint()
		x.Views = r.Int(maxLookCount)
		if n := r.Len(MaxLooks, 9); n > 0 {
			x.Looks = make([]Look, n)
		}
		for j := range x.Looks {
			l := &x.Looks[j]
			l.Item = profile.ReadItem(r)
			l.N = r.Int(maxLookCount)
			l.At = x.Start + r.Varint()
		}
	}
	if n := r.Len(MaxGreeted, 1); n > 0 {
		s.Greeted = make([]string, n)
	}
	for i := range s.Greeted {
		s.Greeted[i] = r.String()
	}
	if !slices.IsSorted(s.Greeted) || len(slices.Compact(slices.Clone(s.Greeted))) < len(s.Greeted) {
		r.Fail("greetings out of order")
	}
}
