package event

import "testing"

// TestOwnMessages reads what this program itself puts into the log.
func TestOwnMessages(t *testing.T) {
	d := NewDecoder(Options{})
	r := Receipt{Decision: "d1", Person: "p1", Effect: "4", Outcome: Sent, Subject: "Your kettle \"waits\"", At: 1767600635599}
	got := d.DecodeAll(nil, AppendReceipt(nil, &r), 1767600639999)
	if len(got) != 1 || got[0].Receipt == nil || *got[0].Receipt != r {
		t.Fatalf("receipt: got %+v", got)
	}
	f := Feedback{Kind: Unsubscribed, Person: "p1", Decision: "d1", At: 1767600635599}
	got = d.DecodeAll(nil, AppendFeedback(nil, &f), 1767600639999)
	if len(got) != 1 || got[0].Event == nil {
		t.Fatalf("feedback: got %+v %s", got, got[0].Reject.Detail)
	}
	if e := got[0].Event; e.Kind != Unsubscribed || e.Person != "p1" || e.Time != f.At || e.Mailing.EmailID != "d1" {
		t.Fatalf("feedback: got %+v", e)
	}
	bad := func(msg string) {
		t.Helper()
		got := d.DecodeAll(nil, []byte(msg), 1767600639999)
		if len(got) != 1 || got[0].Reject == nil || got[0].Reject.Code != BadEnvelope {
			t.Fatalf("%s: got %+v", msg, got)
		}
	}
	bad(`{"mr":1,"kind":"feedback"}`)
	bad(`{"mr":1,"kind":"feedback","feedback":{"kind":12,"person":"p1","at":1}}`) // an order is no feedback
	bad(`{"mr":1,"kind":"feedback","feedback":{"kind":20,"person":"","at":1}}`)
	bad(`{"mr":1,"kind":"receipt","receipt":{"outcome":9,"decision":"d"}}`)
	if got := d.DecodeAll(nil, AppendTick(nil, 1767600635599), 1767600639999); len(got) != 1 || got[0].Tick != 1767600635599 {
		t.Fatalf("tick: got %+v", got)
	}
}

// TestImportedFuture holds the rows of a data set to the time of the import; a
// simulation's clock is its own.
func TestImportedFuture(t *testing.T) {
	const stored = 1767600639999
	f := func(h Header, time string, want int64, flag Flags) {
		t.Helper()
		raw := []byte(`{"type":"track","event":"Product Viewed","userId":"u","messageId":"m","timestamp":"` + time + `","properties":{"product_id":"p"}}`)
		got := NewDecoder(Options{}).DecodeAll(nil, AppendEnvelope(nil, h, []Item{{Raw: raw}}), stored)
		if len(got) != 1 || got[0].Event == nil {
			t.Fatalf("%s: got %+v", time, got)
		}
		if e := got[0].Event; e.Time != want || e.ReceivedAt != want || e.Flags&(ClockFuture|ClockBad) != flag {
			t.Fatalf("%s: time %d, received %d, flags %b; want %d, flags %b", time, e.Time, e.ReceivedAt, e.Flags, want, flag)
		}
	}
	f(Header{Import: true}, "2011-08-31T17:45:00Z", 1314812700000, 0)
	f(Header{Import: true}, "2199-01-01T00:00:00Z", stored, ClockFuture)
	f(Header{Import: true}, "9999-01-01T00:00:00Z", stored, ClockBad)
	f(Header{Sim: true}, "2199-01-01T00:00:00Z", 7226582400000, 0)
	f(Header{Sim: true}, "9999-01-01T00:00:00Z", stored, ClockBad)
}
