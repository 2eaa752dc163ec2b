package event

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

// TestEnvelopeRoundTrip: what goes in comes out, in order, whatever lies between.
func TestEnvelopeRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := Header{
			ReceivedAt: rapid.Int64Range(timeMin, timeMax-1).Draw(t, "at"), Source: rapid.StringMatching(`[a-z "\\é]{0,8}`).Draw(t, "source"),
			Synthetic: rapid.Bool().Draw(t, "synthetic"), AssumedConsent: rapid.Bool().Draw(t, "consent"), Public: rapid.Bool().Draw(t, "public"),
		}
		n := rapid.IntRange(0, 6).Draw(t, "n")
		items, want := make([]Item, n), make([]string, n)
		for i := range items {
			user, _ := json.Marshal(rapid.StringMatching(`[a-z"\\äö]{1,9}x`).Draw(t, "user"))
			items[i] = Item{
				Type: rapid.SampledFrom([]string{"", "page", "identify"}).Draw(t, "type"), IP: rapid.SampledFrom([]string{"", "::1"}).Draw(t, "ip"),
				SentAt: rapid.SampledFrom([]string{"", "2026-01-01T00:00:00Z", `"`}).Draw(t, "sent"),
				Raw:    fmt.Appendf(nil, ` {"type":"screen","messageId":"m%d","userId":%s}`, i, user), Flags: rapid.SampledFrom([]Flags{0, Synthetic, AssumedConsent, NumberBad}).Draw(t, "flags"),
			}
			want[i] = fmt.Sprintf("m%d %s", i, user)
			if rapid.IntRange(0, 4).Draw(t, "bad") == 0 {
				items[i].Raw, want[i] = []byte("no JSON\xff"), string(NotJSON)
			}
		}
		data := AppendEnvelope(nil, h, items)
		if !json.Valid(data) {
			t.Fatalf("not JSON: %s", data)
		}
		records := NewDecoder(Options{}).DecodeAll(nil, data, 1)
		if len(records) != n {
			t.Fatalf("%d records of %d items: %s", len(records), n, data)
		}
		for i, r := range records {
			checkItem(t, r, i, h, items[i], want[i])
		}
	})
}

func checkItem(t *rapid.T, r Record, i int, h Header, item Item, want string) {
	got := ""
	switch {
	case int(r.Index) != i:
		t.Fatalf("index %d at %d", r.Index, i)
	case r.Reject != nil:
		got = string(r.Reject.Code)
		if !bytes.Equal(r.Reject.Bytes, item.Raw) {
			t.Fatalf("bytes %q of %q", r.Reject.Bytes, item.Raw)
		}
	case r.Event != nil:
		user, _ := json.Marshal(r.Event.UserID)
		got = r.Event.MessageID + " " + string(user)
		kind := map[string]Kind{"": Screen, "page": Page, "identify": Identify}[item.Type]
		flags := item.Flags & (Synthetic | AssumedConsent)
		for flag, on := range map[Flags]bool{Synthetic: h.Synthetic, AssumedConsent: h.AssumedConsent, PublicKey: h.Public} {
			if on {
				flags |= flag
			}
		}
		if r.Event.Kind != kind || r.Event.Flags != flags || r.Event.ReceivedAt != h.ReceivedAt {
			t.Fatalf("event %+v of %+v in %+v", *r.Event, item, h)
		}
	}
	if got != want {
		t.Fatalf("got %q, want %q", got, want)
	}
}

func TestEnvelopeOfOwnTime(t *testing.T) {
	f := func(h Header, timestamp string, want int64, flags Flags) {
		t.Helper()
		raw := fmt.Appendf(nil, `{"type":"page","userId":"u","messageId":"m","timestamp":%s,"sentAt":"2020-01-01T00:00:00Z"}`, timestamp)
		r := NewDecoder(Options{}).DecodeAll(nil, AppendEnvelope(nil, h, []Item{{Raw: raw}}), received)
		if e := r[0].Event; e == nil || e.Time != want || e.ReceivedAt != want || e.Flags != flags {
			t.Fatalf("%s: got %s, want %d", timestamp, show(r), want)
		}
	}
	f(Header{Import: true}, `"2010-12-01T08:26:00Z"`, 1291191960000, FromImport)
	f(Header{Sim: true, ReceivedAt: received}, `"2030-01-01T00:00:00Z"`, 1893456000000, 0) // ahead of us: not clamped
	f(Header{Sim: true, ReceivedAt: received}, `null`, received, 0)
	f(Header{Import: true, ReceivedAt: received}, `"9999-01-01T00:00:00Z"`, received, ClockBad|FromImport)
}

// A simulation is held to the limits of a shop's SDK; only imports are not.
func TestEnvelopeLimits(t *testing.T) {
	f := func(h Header, want Code) {
		t.Helper()
		raw := fmt.Appendf(nil, `{"type":"page","userId":"u","name":"%s"}`, bytes.Repeat([]byte("a"), MaxEvent))
		r := NewDecoder(Options{}).DecodeAll(nil, AppendEnvelope(nil, h, []Item{{Raw: raw}}), received)
		if got := r[0].Reject; got == nil && want != "" || got != nil && got.Code != want {
			t.Fatalf("%+v: got %s, want %q", h, show(r), want)
		}
	}
	f(Header{ReceivedAt: received}, TooLarge)
	f(Header{Sim: true, ReceivedAt: received}, TooLarge)
	f(Header{Import: true, ReceivedAt: received}, "")
	f(Header{Import: true, Sim: true, ReceivedAt: received}, "")
}

func TestEnvelopeInAnyOrder(t *testing.T) {
	ordered := AppendEnvelope(nil, Header{ReceivedAt: received, Source: "web", Synthetic: true}, []Item{
		{Type: "track", SentAt: "2026-03-02T10:15:10.050Z", Raw: []byte(plainTrack), Context: json.RawMessage(`{"locale":"de_AT","active":false}`), Integrations: json.RawMessage(`{"All":false}`)},
		{Raw: []byte(`{"type":"page","userId":"u","messageId":"m"}`), Flags: AssumedConsent},
	})
	want := NewDecoder(Options{}).DecodeAll(nil, ordered, received)
	if e := want[0].Event; e == nil || !e.Off || !e.Inactive || e.Traits.Locale != "de-AT" || e.Flags != Synthetic {
		t.Fatal(show(want))
	}
	var generic map[string]any
	if err := json.Unmarshal(ordered, &generic); err != nil {
		t.Fatal(err)
	}
	sorted, err := json.MarshalIndent(generic, "", " ") // keys in the order of the alphabet
	if err != nil {
		t.Fatal(err)
	}
	if got := NewDecoder(Options{}).DecodeAll(nil, sorted, received); show(got) != show(want) {
		t.Fatalf("got  %s\nwant %s", show(got), show(want))
	}
	// A flag behind the items counts too.
	late := append(bytes.Replace(ordered[:len(ordered)-1], []byte(`"synthetic":true,`), nil, 1), `,"synthetic":true}`...)
	if got := NewDecoder(Options{}).DecodeAll(nil, late, received); show(got) != show(want) {
		t.Fatalf("got  %s\nwant %s", show(got), show(want))
	}
}

func TestPublicKeysMayNotForgeMailEvents(t *testing.T) {
	f := func(name string, want Code) {
		t.Helper()
		data := AppendEnvelope(nil, Header{ReceivedAt: received, Public: true}, []Item{{Raw: []byte(track(name, `{"email_id":"d"}`))}})
		got := Code("")
		if r := NewDecoder(Options{}).DecodeAll(nil, data, received)[0]; r.Reject != nil {
			got = r.Reject.Code
		}
		if got != want {
			t.Fatalf("%s: got %q, want %q", name, got, want)
		}
	}
	f("Email Opened", NotAllowed)
	f("Email Bounced", NotAllowed)
	f("Unsubscribed", "")
	f("Email Marked as Spam", "")
	f("Product Viewed", "")
}

func TestTickAndReceipts(t *testing.T) {
	d := NewDecoder(Options{})
	if r := d.DecodeAll(nil, AppendTick(nil, received), 1); len(r) != 1 || r[0].Tick != received {
		t.Fatal(show(r))
	}
	want := []Receipt{
		{Decision: "d1", Person: "p", Effect: "e", Outcome: Sent, Subject: "Your \"mug\" ☕", Model: "m1", At: 5},
		{Decision: "d2", Outcome: Skipped, Reason: "capped", Fallback: true},
	}
	r := d.DecodeAll(nil, AppendReceipt(nil, &want[0]), 1)
	if len(r) != 1 || !reflect.DeepEqual(r[0].Receipt, &want[0]) {
		t.Fatal(show(r))
	}
	r = d.DecodeAll(nil, AppendReceipts(nil, want), 1)
	if len(r) != 2 || !reflect.DeepEqual(r[1].Receipt, &want[1]) || r[1].Index != 1 {
		t.Fatal(show(r))
	}
}

// TestAssignedIDs: equal events without messageId differ by their place in the log, and
// reading the log again gives them the same ids.
func TestAssignedIDs(t *testing.T) {
	data := []byte(`[{"type":"page","userId":"u"},{"type":"page","userId":"u"}]`)
	ids := func(seq uint64) [2]string {
		d := NewDecoder(Options{})
		d.Seq = seq
		r := d.DecodeAll(nil, data, received)
		return [2]string{r[0].Event.MessageID, r[1].Event.MessageID}
	}
	one, again, two := ids(1), ids(1), ids(2)
	if one != again || one[0] == one[1] || one[0] == two[0] || one[1] == two[0] {
		t.Fatalf("%v %v %v", one, again, two)
	}
}
