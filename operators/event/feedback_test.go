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
