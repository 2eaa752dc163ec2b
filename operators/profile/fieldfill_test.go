package profile

import (
	"testing"

	"pgregory.net/rapid"
)

// TestFieldsFill: fields that are declared in the middle of a person's events, and filled
// with what came before, hold what they would if they had been there from the start: with
// persons who are merged before and after, and in the order in which fills come. A second
// state that counts the events itself is left as it is.
func TestFieldsFill(t *testing.T) {
	all := mustCompile(t, testFields, nil)
	old := mustCompile(t, testFields[:5], nil)
	added := mustCompile(t, testFields[5:], nil)
	rapid.Check(t, func(t *rapid.T) {
		events := drawEvents(t, 40)
		now := testBase + rapid.Int64Range(0, 40*24*3600*1000).Draw(t, "now")
		upto := rapid.IntRange(0, len(events)).Draw(t, "upto") // message i+1 is event i
		whole := &FieldState{}
		persons, fills := [2]*FieldState{{}, {}}, [2]*FieldState{{}, {}}
		stored := func(s *FieldState) *FieldState {
			var again FieldState
			if err := again.DecodeFrom(s.AppendTo(nil)); err != nil {
				t.Fatal(err)
			}
			return &again
		}
		for i := range events {
			seq := uint64(i + 1) //nolint:gosec // small
			who := rapid.IntRange(0, 1).Draw(t, "who")
			all.ApplyAt(whole, &events[i], seq)
			if i < upto {
				old.ApplyAt(persons[who], &events[i], seq)
				added.ApplyAt(fills[who], &events[i], seq)
				continue
			}
			all.ApplyAt(persons[who], &events[i], seq)
		}
		whole = stored(whole)
		fill := func(s *FieldState, who int) bool {
			return all.Fill(s, &FieldsFill{State: *stored(fills[who]), Upto: uint64(upto)}) //nolint:gosec // small
		}
		one := stored(persons[0])
		switch rapid.IntRange(0, 2).Draw(t, "order") {
		case 0: // both are filled, and merged
			fill(one, 0)
			two := stored(persons[1])
			fill(two, 1)
			one.Merge(two)
		case 1: // merged between two fills
			fill(one, 0)
			one = stored(one)
			one.Merge(stored(persons[1]))
			fill(one, 1)
		case 2: // merged, and then filled
			one.Merge(stored(persons[1]))
			fill(one, 1)
			one = stored(one)
			fill(one, 0)
		}
		want := readFields(all, whole, now)
		sameFields(t, "filled", readFields(all, stored(one), now), want)
		// In a state made anew from the log all fields are there from the start.
		again := stored(whole)
		for who := range 2 {
			fill(again, who)
		}
		if upto > 0 {
			for i := range again.slots {
				if o := &again.slots[i]; o.born == 0 && !o.empty() {
					t.Fatalf("nobody knows since when %s counts", all.All[i].Name)
				}
			}
		}
		sameFields(t, "made anew", readFields(all, again, now), want)
	})
}

// TestVisitorWhoWasAnother: whoever a visitor was first is remembered while it is not who he
// is now.
func TestVisitorWhoWasAnother(t *testing.T) {
	f := func(links []string, owner, first string) {
		t.Helper()
		var v, again Visitor
		for _, l := range links {
			v.link(l)
		}
		if err := again.DecodeFrom(v.AppendTo(nil)); err != nil || again.Owner != owner || again.First != first {
			t.Errorf("%v: %q, first %q, %v", links, again.Owner, again.First, err)
		}
	}
	f(nil, "", "")
	f([]string{"ann"}, "ann", "")
	f([]string{"ann", "bob"}, "bob", "ann")
	f([]string{"ann", "bob", "cid"}, "cid", "ann")
	f([]string{"ann", "bob", "ann"}, "ann", "")
	for _, bad := range [][]byte{{2, 0, 0}, {2, 1, 'a', 0}, {2, 1, 'a'}, {3}} {
		var v Visitor
		if err := v.DecodeFrom(bad); err == nil {
			t.Errorf("%v is taken", bad)
		}
	}
}
