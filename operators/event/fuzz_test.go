package event

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// seeds are messages of every shape.
func seeds() []string {
	list := []string{
		segmentBatch, rudderOrder, plainTrack, "", "[", "{}", `[1,"x",null]`, "{\"type\":\"page\",\"userId\":\"\x7f\"}",
		track("purchase", `{"items":[{"item_id":"a"},{"id":1e2}],"value":"1.299,00 €","products":"[{\"sku\":\"x\"}]"}`),
		track("Order Completed", `{"products":[{"product_id":"\u0000\ud83d\ude00\ud800","price":"$1","quantity":-1}],"total":1e2,"tax":0.5}`),
		`{"type":"identify","userId":"a","userId":"b","traits":{"consent":{"m\u0061rketing":"no"},"email":null},"context":{"library":{"name":"analytics-go"},"userAgent":"bot"}}`,
		`{"type":"page","userId":"` + "\xff" + `","timestamp":"2026-03-02T10:15:00.5+01:00","sentAt":1772446500}`,
		`{"type":"track","event":"x","userId":"u","properties":{"a":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}}`,
		`{"items":[{"e":{"type":"page","userId":"u"},"t":"screen","zz":1},{"b":"eA=="},{"r":"too_large","e":1}],"kind":"events","mr":1,"receivedAt":1772446800300,"sim":true}`,
		string(AppendTick(nil, received)),
		`{"type":"merge","mergeProperties":[{"type":"userId","value":"new"},{"type":"user_id","value":7}],"messageId":"m"}`,
		`{"type":"merge","userId":"n","previousId":"o","mergeProperties":3}`,
		string(AppendHandover(nil, []byte(`{"id":"i","from":"a","to":"b","effect":"7","at":5,"parts":[{"name":"profile","data":"AQI="}]}`))),
		`{"mr":1,"kind":"handover","handover":{"id":"i","from":"a","to":"a"}}`,
		string(AppendReceipts(nil, []Receipt{{Decision: "d", Outcome: Sent}, {Decision: "e", At: 5}})),
		string(AppendEnvelope(nil, Header{ReceivedAt: received, Source: "web", Public: true}, []Item{
			{Type: "track", SentAt: "2026-03-02T10:15:10.050Z", Raw: []byte(plainTrack), Context: json.RawMessage(`{"locale":"de_AT"}`)},
			{Raw: []byte("{"), Flags: Synthetic}, {Raw: []byte(`{"type":"page"}`), Reject: TooLarge},
		})),
	}
	return list
}

// FuzzDecode holds the decoder against itself: nothing panics, the fast path and the
// slow one give equal records, and so do both ways of decoding.
func FuzzDecode(f *testing.F) {
	for _, s := range seeds() {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) { checkPaths(t, data) })
}

func checkPaths(t *testing.T, data []byte) {
	t.Helper()
	before := string(data)
	fast := NewDecoder(Options{}).DecodeAll(nil, data, received)
	slowly := NewDecoder(Options{})
	slowly.slowOnly = true
	slow := slowly.DecodeAll(nil, data, received)
	if !reflect.DeepEqual(fast, slow) {
		t.Fatalf("%q:\nfast %s\nslow %s", data, show(fast), show(slow))
	}
	again := NewDecoder(Options{})
	for range 2 { // the second time in used buffers
		var handled []Record
		again.Decode(data, received, Handler{
			Event:    func(i int, e *Event) { handled = append(handled, Record{Index: uint32(i), Event: e.Clone()}) },
			Reject:   func(r *Reject) { handled = append(handled, Record{Index: uint32(r.Index), Reject: r}) },
			Receipt:  func(i int, r *Receipt) { handled = append(handled, Record{Index: uint32(i), Receipt: r}) },
			Handover: func(h *Handover) { handled = append(handled, Record{Handover: h}) },
			Tick:     func(at int64) { handled = append(handled, Record{Tick: at}) },
		})
		if len(handled) != len(fast) || show(handled) != show(fast) {
			t.Fatalf("%q:\nDecode    %s\nDecodeAll %s", data, show(handled), show(fast))
		}
	}
	if string(data) != before {
		t.Fatal("the message was changed")
	}
	for _, r := range fast {
		if e := r.Event; e != nil && (e.Time > e.ReceivedAt || e.MessageID == "" || e.Kind >= KindCount) {
			t.Fatalf("%q: %+v", data, *e)
		}
	}
}

// FuzzValid holds the scanner against encoding/json.
func FuzzValid(f *testing.F) {
	for _, s := range append(seeds(), `"\u12"`, "-", "1.", "1e+", "01", `{"a" :1 , "b":[ ]}`, `[1,]`, `{"a":1,}`, strings.Repeat(`{"a":[`, 50)+strings.Repeat("]}", 50), strings.Repeat("[", 70)+strings.Repeat("}", 70), "\"\x7f\"", `"\x"`) {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if got, want := valid(data), json.Valid(data); got != want && strings.Count(string(data), "[")+strings.Count(string(data), "{") < 9000 {
			t.Fatalf("%q: got %v, encoding/json says %v", data, got, want)
		}
	})
}

func FuzzNumbers(f *testing.F) {
	for _, s := range []string{"10", "1.299,00 €", "$5", "-0.005", "1e5", "12,50", "1 299,00", "99999999999999999999", ".5", "1."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, _, ok := parseLoose(s)
		if !ok {
			return
		}
		if m, ok := d.times(2); ok && (m > moneyMax || m < -moneyMax) {
			t.Fatalf("%q: %d", s, m)
		}
		_, _ = d.whole()
		if d.scale > -40 && d.scale < 40 {
			again, ok := parseDecimal(d.plainText())
			if !ok && len(d.plainText()) <= digitsMax {
				t.Fatalf("%q: %+v writes %q", s, d, d.plainText())
			}
			if a, okA := d.times(2); okA && ok {
				if b, okB := again.times(2); !okB || a != b {
					t.Fatalf("%q: %d, then %d", s, a, b)
				}
			}
		}
	})
}
