package operators_test

import (
	"fmt"
	"testing"
	"time"

	"millrace/engine"
	"millrace/engine/enginetest"
	"millrace/operators"
	"millrace/operators/event"
	"millrace/operators/recommend"
)

// What is wanting in events is counted by source and kind, with what only the state of a
// person shows.
func TestQualityCounts(t *testing.T) {
	set := fieldsSet(t, "quality: {per_minute: 5, excess: 3}\n", "cart.items > 0")
	store, log := memoryStore(t), enginetest.NewLog()
	at := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	put := func(source string, late time.Duration, raw string) {
		ms := at.UnixMilli()
		log.Append(ms, event.AppendEnvelope(nil, event.Header{ReceivedAt: ms + late.Milliseconds(), Source: source}, []event.Item{{Raw: []byte(raw)}}))
	}
	stamp := `"timestamp":"2026-03-02T10:00:00Z"`
	put("web", 0, `{"type":"track","event":"Order Completed","userId":"ann","messageId":"1",`+stamp+`,"properties":{"order_id":"o","total":10}}`)                              // no currency, no products
	put("web", 0, `{"type":"track","event":"Order Completed","userId":"ann","messageId":"1",`+stamp+`,"properties":{"order_id":"o","total":10}}`)                              // again
	put("app", 2*time.Hour, `{"type":"track","event":"Product Viewed","userId":"ann","messageId":"2",`+stamp+`,"properties":{"product_id":"mug","category":"cups"}}`)          // late
	put("app", 0, `{"type":"track","event":"Product Added","userId":"ann","messageId":"3",`+stamp+`,"properties":{"cart_id":"c","product_id":"mug","price":-3,"quantity":1}}`) // out of range
	for i := range 20 {
		put("bot", 0, fmt.Sprintf(`{"type":"track","event":"Product Viewed","userId":"bob","messageId":"b%d",%s,"properties":{"product_id":"p%d","category":"cups"}}`, i, stamp, i))
	}
	fieldsRun(t, set, store, log, nil, func(p *operators.Pipeline, _ *engine.View) {
		got := make(map[string]uint64)
		for _, s := range p.Counters.Quality.Sources() {
			got[s.Source+"/events"] = s.Events
			for _, q := range s.Problems {
				got[s.Source+"/"+string(q.Problem)] = q.Count
				if q.Class == "" {
					t.Errorf("%s has no class", q.Problem)
				}
			}
		}
		for name, want := range map[string]uint64{
			"web/events": 2, "web/no currency": 2, "web/no products": 2, "web/duplicate": 1,
			"app/events": 2, "app/late": 1, "app/no category": 1,
			"bot/events": 20, "bot/too fast": 13, // the eighth is the third over five
			"bot/duplicate": 0, "web/too fast": 0,
		} {
			if got[name] != want {
				t.Errorf("%s: got %d, want %d of %v", name, got[name], want, got)
			}
		}
		if got["app/price out of range"]+got["app/number repaired"] == 0 {
			t.Errorf("a price below nothing is not out of range: %v", got)
		}
	})
}

// What somebody does who is too fast teaches nothing about items, triggers nothing, and
// goes with a visitor who becomes known; a shop that does not ask for it learns from all.
func TestPaceSilences(t *testing.T) {
	f := func(quality, who string, wantSeen float64, wantWaits int) {
		t.Helper()
		set := fieldsSet(t, quality, "cart.items > 0")
		for _, parallel := range []int{1, 2, 4} {
			store, log := memoryStore(t), enginetest.NewLog()
			at := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
			for i := range 30 {
				say(log, at, fmt.Sprintf(`{"type":"track","event":"Product Viewed",%s,"properties":{"product_id":"p%d"}}`, who, i))
			}
			say(log, at.Add(time.Second), `{"type":"identify","userId":"bob","anonymousId":"v","traits":{"email":"bob@shop.example"}}`)
			say(log, at.Add(2*time.Second), `{"type":"track","event":"Product Added","userId":"bob","properties":{"cart_id":"c","product_id":"p1","price":12.5,"quantity":1}}`)
			cut := func(o *engine.Options) { o.Parallel = parallel }
			fieldsRun(t, set, store, log, cut, func(p *operators.Pipeline, v *engine.View) {
				seen := 0.0
				for i := range 30 {
					it, _, err := p.Item(v, fmt.Sprintf("p%d", i))
					if err != nil {
						t.Fatal(err)
					}
					seen += it.Units(recommend.Seen, at.UnixMilli())
				}
				waits, err := p.Waiting(v, "bob")
				if err != nil || len(waits) != wantWaits || seen < wantSeen-.01 || seen > wantSeen+.01 {
					t.Errorf("%s, %s, %d workers: got %v seen and %d waits, %v, want %v and %d", quality, who, parallel, seen, len(waits), err, wantSeen, wantWaits)
				}
			})
		}
	}
	for _, who := range []string{`"userId":"bob"`, `"anonymousId":"v"`} {
		f("", who, 30, 1)
		f("quality: {per_minute: 10, excess: 5}\n", who, 14, 0)
		f("quality: {}\n", who, 30, 1)
	}
}
