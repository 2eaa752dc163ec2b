package event

import "testing"

// TestStop: a stop is read as it was written; what is no stop goes to the dead letters.
func TestStop(t *testing.T) {
	want := Stop{Experiment: "words@1", Variant: "short", Metric: "unsubscribe", Reason: "too many", At: 5}
	got := NewDecoder(Options{}).DecodeAll(nil, AppendStop(nil, &want), 9)
	if len(got) != 1 || got[0].Stop == nil || *got[0].Stop != want {
		t.Fatalf("%+v", got)
	}
	f := func(text string) {
		t.Helper()
		got := NewDecoder(Options{}).DecodeAll(nil, []byte(text), 9)
		if len(got) != 1 || got[0].Reject == nil || got[0].Reject.Code != BadEnvelope {
			t.Fatalf("%s: %+v", text, got)
		}
	}
	f(`{"mr":1,"kind":"stop"}`)
	f(`{"mr":1,"kind":"stop","stop":{"experiment":"words@1"}}`)
	f(`{"mr":1,"kind":"stop","stop":{"metric":"unsubscribe"}}`)
	f(`{"mr":1,"kind":"stop","stop":7}`)
}
