package operators_test

import (
	"fmt"
	"testing"
	"time"

	"millrace/engine"
	"millrace/engine/enginetest"
	"millrace/operators"
	"millrace/operators/event"
	"millrace/state"
)

// TestFeedbackMovesNoClock follows the link of a mail in a shop whose time is not the
// wall's, as in a simulation or an import: neither watermark nor person jump there.
func TestFeedbackMovesNoClock(t *testing.T) {
	store, err := state.Open(state.Options{MemTable: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	log := enginetest.NewLog()
	then := time.Date(2011, 3, 1, 12, 0, 0, 0, time.UTC).UnixMilli()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixMilli()
	log.Append(now, event.AppendEnvelope(nil, event.Header{ReceivedAt: then, Source: "shop", Sim: true}, []event.Item{{Raw: fmt.Appendf(nil,
		`{"type":"track","event":"Product Viewed","userId":"ann","timestamp":%d,"properties":{"product_id":"mug"}}`, then)}}))
	log.Append(now, event.AppendFeedback(nil, &event.Feedback{Kind: event.Unsubscribed, Person: pseudonyms(t).Person("ann"), Decision: "d", At: now}))
	p := build(t, journeys(t, "cart-abandonment.yaml"), 0)
	e, err := engine.Open(t.Context(), engine.Options{
		Source: log, Store: store, Decoder: operators.NewDecoder(event.Options{}), Graph: p.Graph, Once: true, LogEnd: log.Last,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	v := e.View()
	defer v.Close()
	ann, _, err := p.Person(v, "ann")
	if err != nil {
		t.Fatal(err)
	}
	if v.Watermark > then || ann.Newest != then || !ann.Consent.Suppressed {
		t.Errorf("watermark %d, person %d, shop %d; suppressed: %v", v.Watermark, ann.Newest, then, ann.Consent.Suppressed)
	}
}
