package profile

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"millrace/operators/event"
)

// Head and parts are the whole; a part that stands is never written otherwise.
func TestSeenParts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := New(Options{})
		var p Person
		var ch Change
		at := testBase
		var before [][]byte
		for i := range rapid.SampledFrom([]int{0, 31, 32, 33, 70, 500}).Draw(t, "messages") {
			at += rapid.SampledFrom([]int64{0, 1000, 3_600_000}).Draw(t, "gap")
			u.Apply(&p, &event.Event{Kind: event.Page, MessageID: fmt.Sprint(i), Time: at - rapid.Int64Range(0, 7_200_000).Draw(t, "late")}, &ch)
			if p.Lost.Seen == 0 && p.seen.len() == i+1 { // nothing was forgotten
				_, n := p.AppendHead(nil)
				for k := range n {
					part := p.AppendPart(nil, k)
					if k == len(before) {
						before = append(before, part)
					}
					if !bytes.Equal(part, before[k]) {
						t.Fatalf("part %d changed with message %d", k, i)
					}
				}
			}
		}
		head, n := p.AppendHead(nil)
		var q Person
		if err := q.DecodeFrom(head); err != nil || q.Missing() != n {
			t.Fatalf("%v, %d missing, want %d", err, q.Missing(), n)
		}
		for k := range n {
			if err := q.DecodePart(k, p.AppendPart(nil, k)); err != nil {
				t.Fatal(err)
			}
		}
		if q.Missing() != 0 || !bytes.Equal(q.AppendTo(nil), p.AppendTo(nil)) {
			t.Fatal("head and parts are not the whole")
		}
	})
}

func FuzzDecodePart(f *testing.F) {
	u := New(Options{})
	var p Person
	var ch Change
	for i := range 40 {
		u.Apply(&p, &event.Event{Kind: event.Page, MessageID: fmt.Sprint(i), Time: testBase + int64(i)*1_800_000}, &ch)
	}
	f.Add(p.AppendPart(nil, 0))
	f.Add([]byte{2})
	f.Add([]byte{1, 32, 0, 0})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		var q Person
		err := q.DecodePart(0, b)
		if err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewer) {
			t.Fatal(err)
		}
		if err == nil && q.seen.len() != seenPart || err != nil && q.seen.len() != 0 {
			t.Fatalf("%v, %d messages", err, q.seen.len())
		}
	})
}
