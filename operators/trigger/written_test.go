package trigger

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"millrace/operators/event"
)

// TestWritten: what a receipt says was written is bounded, kept through storage, and
// fades from all mails but the newest.
func TestWritten(t *testing.T) {
	long := strings.Repeat("é", 1000)
	var s State
	for i := range 5 {
		id := fmt.Sprint("d", i)
		s.note(&event.Decision{ID: id, Kind: "cart", Decided: int64(i)}, "r", id, 0)
		w := &event.Written{Design: "hero", Propensity: 0.5, Seen: []uint32{1, 2, 3}}
		for range 20 {
			l := event.WrittenLine{Part: "subject", Text: long, Why: long}
			for range 20 {
				l.Others = append(l.Others, event.Candidate{Subject: long, Why: long, Score: 1})
			}
			w.Lines = append(w.Lines, l)
		}
		if !s.Settle(&event.Receipt{Decision: id, Outcome: event.Sent, Subject: "s", At: int64(i), Written: w}) {
			t.Fatalf("receipt of %s is not known", id)
		}
	}
	if b := s.AppendTo(nil); len(b) > 100<<10 {
		t.Errorf("a state of %d bytes", len(b))
	}
	for i, d := range s.Records {
		w := d.Written
		if w == nil || w.Design != "hero" || w.Propensity != 0.5 || len(w.Seen) != event.WrittenLinesMost || w.Seen[0] != event.HashText(long[:event.WrittenTextMost]) {
			t.Fatalf("record %d: %+v", i, w)
		}
		if full := len(w.Lines) > 0; full != (i >= 3) {
			t.Errorf("record %d keeps its lines: %v", i, full)
		}
	}
	var back State
	if err := back.DecodeFrom(s.AppendTo(nil)); err != nil || !reflect.DeepEqual(back.Records, s.Records) {
		t.Fatalf("%v", err)
	}
	// A receipt that comes twice, or without what was written, changes nothing.
	if s.Settle(&event.Receipt{Decision: "d4", Outcome: event.Sent}) || s.Records[4].Written == nil {
		t.Error("a repeat took what was written")
	}
	for _, bad := range []float64{-1, 2} {
		if w := (&event.Written{Propensity: bad}).Bounded(); w.Propensity != 0 {
			t.Errorf("a probability of %g", w.Propensity)
		}
	}
}
