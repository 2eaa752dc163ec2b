package operators_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace/engine"
	"millrace/engine/enginetest"
	"millrace/operators"
	"millrace/operators/event"
)

const declaredSegments = declaredFields + `
segments:
  vip: 'profile.fields.spent > 100'
  lookers: 'profile.fields.looks >= 2 && profile.orders == 0'
  loyal: '"acme" in profile.fields.brands'
  nobody: 'profile.orders > 1000'
`

// say appends an event of the shop to a log.
func say(log *enginetest.Log, at time.Time, raw string) {
	ms := at.UnixMilli()
	log.Append(ms, event.AppendEnvelope(nil, event.Header{ReceivedAt: ms, Source: "shop", Sim: true}, []event.Item{{Raw: []byte(raw)}}))
}

// A journey mails by declared segments, in both ways that conditions can ask.
func TestSegmentsInConditions(t *testing.T) {
	f := func(audience string, want event.Outcome) {
		t.Helper()
		set := fieldsSet(t, declaredSegments, audience)
		store, log := memoryStore(t), enginetest.NewLog()
		at := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
		say(log, at, `{"type":"identify","userId":"ann","traits":{"email":"ann@shop.example","marketing_consent":true}}`)
		say(log, at, `{"type":"track","event":"Order Completed","userId":"ann","properties":{"order_id":"o","total":120,"currency":"EUR","products":[{"product_id":"mug","brand":"acme","price":120,"quantity":1}]}}`)
		say(log, at.Add(time.Second), `{"type":"track","event":"Product Added","userId":"ann","properties":{"cart_id":"c","product_id":"cup","price":12.5,"quantity":1}}`)
		say(log, at.Add(6*time.Hour), `{"type":"track","event":"Product Viewed","userId":"eve","properties":{"product_id":"mug"}}`)
		for _, parallel := range []int{1, 4} {
			fieldsRun(t, set, store, log, func(o *engine.Options) { o.Parallel = parallel }, func(p *operators.Pipeline, v *engine.View) {
				all, err := p.Decisions(v, "ann")
				if err != nil || len(all) != 1 || all[0].Outcome != want {
					t.Errorf("%s: got %+v, %v, want one that is %v", audience, all, err, want)
				}
			})
		}
	}
	f(`segment("vip")`, event.Pending)
	f(`segment("lookers")`, event.Skipped)
	f(`!segment("lookers") && segment("loyal")`, event.Pending)
	f(`"vip" in profile.segments`, event.Pending)
	f(`len(profile.segments) == 2`, event.Pending)
	f(`segment("nobody") || "lookers" in profile.segments`, event.Skipped)
}

// A scan counts each person once, also one made of two, and not those who are gone.
func TestSegmentsScan(t *testing.T) {
	set := fieldsSet(t, declaredSegments, "cart.items > 0")
	store, log := memoryStore(t), enginetest.NewLog()
	at := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	const people = 1500 // more than a step of the scan
	for i := range people {
		say(log, at, fmt.Sprintf(`{"type":"track","event":"Product Viewed","userId":"u%d","properties":{"product_id":"mug"}}`, i))
		if i%3 == 0 {
			say(log, at, fmt.Sprintf(`{"type":"track","event":"Product Viewed","userId":"u%d","properties":{"product_id":"cup"}}`, i))
		}
	}
	say(log, at, `{"type":"track","event":"Product Viewed","anonymousId":"v","properties":{"product_id":"mug"}}`)
	say(log, at, `{"type":"track","event":"Order Completed","userId":"u1","properties":{"order_id":"o","total":60}}`)
	say(log, at, `{"type":"track","event":"Order Completed","userId":"u2","properties":{"order_id":"p","total":60}}`)
	log.Append(at.UnixMilli(), event.AppendEnvelope(nil, event.Header{ReceivedAt: at.UnixMilli(), Source: "shop", Sim: true}, []event.Item{{Raw: []byte(alias("u1", "u2"))}}))
	fieldsRun(t, set, store, log, nil, func(*operators.Pipeline, *engine.View) {})
	fieldsRun(t, set, store, log, nil, func(p *operators.Pipeline, v *engine.View) {
		var steps []int
		got, err := p.ScanSegments(t.Context(), v, func(n int) { steps = append(steps, n) })
		if err != nil {
			t.Fatal(err)
		}
		sizes := make(map[string]int)
		for _, s := range got.Segments {
			sizes[s.Name] = s.People
			if want := float64(s.People) / float64(got.People); s.Share != want {
				t.Errorf("%s: got share %v, want %v", s.Name, s.Share, want)
			}
		}
		want := map[string]int{"vip": 1, "lookers": 500, "loyal": 0, "nobody": 0}
		if got.People != people-1 || fmt.Sprint(sizes) != fmt.Sprint(want) || got.Segments[0].Name != "lookers" || got.Segments[3].When != "profile.fields.spent > 100" {
			t.Errorf("got %+v, want %d people and %v", got, people-1, want)
		}
		if !slices.Equal(steps, []int{1024, people - 1}) {
			t.Errorf("got progress %v", steps)
		}
		in, err := p.SegmentsOf(v, "u2") // merged into u1
		if err != nil || !slices.Equal(in, []string{"vip"}) {
			t.Errorf("got %v, %v", in, err)
		}
		if in, err = p.SegmentsOf(v, "nobody-known"); err != nil || in != nil {
			t.Errorf("got %v, %v", in, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := p.ScanSegments(ctx, v, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want that it was cancelled", err)
		}
	})
}

// Without segments nothing is kept, and conditions cannot ask for any.
func TestSegmentsNone(t *testing.T) {
	set := fieldsSet(t, "", "cart.items > 0")
	if s := operators.NewSegments(set, nil, nil); s != nil || s.Names() != nil || s.Of(nil) != nil {
		t.Errorf("got %+v", s)
	}
	if operators.Pace(set) != nil {
		t.Error("a pace that nobody asked for")
	}
}

// BenchmarkSegmentsOf measures ten segments of a person.
func BenchmarkSegmentsOf(b *testing.B) {
	text := declaredFields + "\nsegments:\n"
	for i := range 10 {
		text += fmt.Sprintf("  s%d: 'profile.fields.spent > %d && profile.orders > 0 || \"x\" in profile.fields.brands'\n", i, i)
	}
	set := fieldsSet(b, text, "cart.items > 0")
	store, log := memoryStore(b), enginetest.NewLog()
	say(log, time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC), `{"type":"track","event":"Product Viewed","userId":"ann","properties":{"product_id":"mug"}}`)
	fieldsRun(b, set, store, log, nil, func(p *operators.Pipeline, v *engine.View) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := p.SegmentsOf(v, "ann"); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// Models that are fitted over a state are functions of a person in conditions: of the
// group, of how likely the person is gone, and when the next order comes.
func TestPeopleModels(t *testing.T) {
	begin := time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)
	log := enginetest.NewLog()
	type order struct {
		day int
		raw string
	}
	var orders []order
	for i := range 90 {
		for n := range 1 + i%3*3 { // a third orders once, a third four times, a third seven times
			day := i%5 + n*(9+i%4)
			orders = append(orders, order{day, fmt.Sprintf(`{"type":"track","event":"Order Completed","userId":"u%d","properties":{"order_id":"o%d-%d","total":%d}}`, i, i, n, 10+i%3*40)})
		}
		orders = append(orders, order{i % 5, fmt.Sprintf(`{"type":"identify","userId":"u%d","traits":{"email":"u%d@shop.example"}}`, i, i)})
	}
	slices.SortStableFunc(orders, func(a, b order) int { return a.day - b.day })
	for _, o := range orders {
		say(log, begin.AddDate(0, 0, o.day), o.raw)
	}
	set := fieldsSet(t, "", "cart.items > 0")
	models := new(operators.PeopleModels)
	fieldsRun(t, set, memoryStore(t), log, nil, func(p *operators.Pipeline, v *engine.View) {
		var err error
		if models.Groups, err = p.FitGroups(t.Context(), v, 3, nil, 0, nil); err != nil {
			t.Fatal(err)
		}
		if models.Lifetime, err = p.FitLifetime(t.Context(), v, nil); err != nil {
			t.Fatal(err)
		}
		if x, err := p.ExpectedOf(v, "u2"); x != nil || err != nil {
			t.Errorf("without models: %+v, %v", x, err)
		}
		again, err := p.FitGroups(t.Context(), v, 3, models.Groups, 1, nil)
		if err != nil || again.Stability != 1 {
			t.Errorf("the same state gives other groups: %v, %v", again.Stability, err)
		}
	})
	if n := models.Lifetime.Lifetime.People; n != 90 {
		t.Errorf("got %v buyers, want 90", n)
	}
	const named = `
segments:
  soon: 'profile.churn < 0.5 && profile.next_order_days < 60'
`
	text := strings.NewReplacer("  viewed: 20 ", "  cluster: 1\n  lifetime: 1\n  viewed: 20 ")
	set = fieldsSetOf(t, text, named, `segment("soon") && profile.cluster != "" && profile.rfm != ""`)
	say(log, begin.AddDate(0, 0, 80), `{"type":"track","event":"Product Added","userId":"u2","properties":{"cart_id":"c","product_id":"cup","price":12.5,"quantity":1}}`)
	say(log, begin.AddDate(0, 0, 80), `{"type":"track","event":"Product Added","userId":"u0","properties":{"cart_id":"d","product_id":"cup","price":12.5,"quantity":1}}`)
	say(log, begin.AddDate(0, 0, 80).Add(6*time.Hour), `{"type":"track","event":"Product Viewed","userId":"eve","properties":{"product_id":"mug"}}`)
	for _, parallel := range []int{1, 4} {
		modelsRun(t, set, models, memoryStore(t), log, func(o *engine.Options) { o.Parallel = parallel }, func(p *operators.Pipeline, v *engine.View) {
			x, err := p.ExpectedOf(v, "u2")
			if err != nil || x.Cluster == "" || len(x.RFM) != 5 || x.Churn <= 0 || x.Churn >= 1 || x.NextOrderDays <= 0 {
				t.Errorf("got %+v, %v", x, err)
			}
			once, err := p.ExpectedOf(v, "u0")
			if err != nil || !(once.NextOrderDays > x.NextOrderDays) || once.Cluster == x.Cluster {
				t.Errorf("who ordered once, long ago: got %+v, %v; who orders every ten days: %+v", once, err, x)
			}
			f := func(who string, want event.Outcome) {
				all, err := p.Decisions(v, who)
				if err != nil || len(all) != 1 || all[0].Outcome != want {
					t.Errorf("%s: got %+v, %v, want %v", who, all, err, want)
				}
			}
			f("u2", event.Pending)
			f("u0", event.Skipped)
		})
	}
}
