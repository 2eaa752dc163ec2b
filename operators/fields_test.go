package operators_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"millrace/configs"
	"millrace/engine"
	"millrace/engine/enginetest"
	"millrace/operators"
	"millrace/operators/event"
	"millrace/operators/profile"
	"millrace/operators/trigger"
	"millrace/state"
)

const declaredFields = `
fields:
  spent: {sum: total, on: Order Completed, half_life: 10d}
  looks: {count: events, on: Product Viewed}
  brands: {share: brand, on: [Product Viewed, Order Completed]}
  latest: {last: item, on: Product Viewed}
  dearest: {max: price}
  kinds: {distinct: item}
`

// fieldsSet loads a shop with fields, and a journey whose audience is by them.
func fieldsSet(t testing.TB, shop, audience string) *configs.Set {
	t.Helper()
	return fieldsSetOf(t, strings.NewReplacer(), shop, audience)
}

// fieldsSetOf is fieldsSet of a changed shop.
func fieldsSetOf(t testing.TB, change *strings.Replacer, shop, audience string) *configs.Set {
	t.Helper()
	read := func(name string) string {
		raw, err := fs.ReadFile(configs.Shipped(), name)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	const old = "profile.consent.marketing && !profile.suppressed && cart.items > 0"
	loader, err := configs.NewLoader(configs.Options{FS: fstest.MapFS{
		// The journey is read first: its conditions wait for the shop.
		"a.yaml":    {Data: []byte(strings.Replace(read("cart-abandonment.yaml"), old, "'"+audience+"'", 1))},
		"shop.yaml": {Data: []byte(change.Replace(read("shop.yaml")) + shop)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	set, err := loader.Load("a.yaml", "shop.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// fieldsRun processes a log once, with the options of an engine changed by with, and asks.
func fieldsRun(t testing.TB, set *configs.Set, store *state.Store, log *enginetest.Log, with func(*engine.Options), ask func(p *operators.Pipeline, v *engine.View)) {
	t.Helper()
	modelsRun(t, set, nil, store, log, with, ask)
}

// modelsRun is fieldsRun with the models that the set names.
func modelsRun(t testing.TB, set *configs.Set, models *operators.PeopleModels, store *state.Store, log *enginetest.Log, with func(*engine.Options), ask func(p *operators.Pipeline, v *engine.View)) {
	t.Helper()
	fields, err := operators.Fields(set)
	if err != nil {
		t.Fatal(err)
	}
	all, err := operators.JourneysWith(set, models, true)
	if err != nil {
		t.Fatal(err)
	}
	var rules []trigger.Rule
	for _, j := range all {
		rules = append(rules, j.Rule)
	}
	p := operators.Build(operators.Options{Pseudonyms: pseudonyms(t), Rules: rules, VisitorTTL: set.Shop.Profile.VisitorTTL, Fields: fields, Segments: operators.NewSegments(set, fields, models), Models: models, Pace: operators.Pace(set), Listening: listening(t, set), Experiments: operators.Experiments(all)})
	decoder := operators.NewDecoder(event.Options{})
	decoder.Quality = p.Counters.Quality
	drop := func(context.Context, *engine.View, engine.Row) (engine.Result, time.Duration, error) {
		return engine.Removed, 0, nil
	}
	o := engine.Options{
		Source: log, Store: store, Decoder: decoder, Graph: p.Graph, Once: true, LogEnd: log.Last, Workers: 1,
		Handlers: map[string]engine.Handler{
			operators.EffectDeadLetter: drop, trigger.EffectMail: drop,
			operators.EffectHandover: operators.NewHandover(p, operators.HandoverOptions{
				Publish: func(_ context.Context, _ string, data []byte) error {
					log.Append(time.Date(2026, 3, 9, 0, 0, 0, 0, time.UTC).UnixMilli(), data)
					return nil
				},
				Suppress: func(string, string) error { return nil },
			}),
		},
	}
	if with != nil {
		with(&o)
	}
	e, err := engine.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	v := e.View()
	defer v.Close()
	ask(p, v)
}

func memoryStore(t testing.TB) *state.Store {
	t.Helper()
	store, err := state.Open(state.Options{MemTable: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

// same compares the values of fields, numbers to 1e-9 of themselves.
func same(a, b any) bool {
	switch x := a.(type) {
	case float64:
		y, ok := b.(float64)
		return ok && math.Abs(x-y) <= 1e-9*math.Max(1, math.Abs(x))
	case map[string]float64:
		y, ok := b.(map[string]float64)
		for k := range x {
			ok = ok && same(x[k], y[k])
		}
		return ok && len(x) == len(y)
	}
	return fmt.Sprint(a) == fmt.Sprint(b)
}

// What the engine keeps of declared fields is the batch computation over all events,
// whatever their order, with repeats, with a restart at any point, with a visitor who
// turns out to be the person, and with a merge of two persons.
func TestFieldsStreamedAreBatch(t *testing.T) {
	set := fieldsSet(t, declaredFields, "cart.items > 0")
	compiled, err := operators.Fields(set)
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	rng := rand.New(rand.NewPCG(4, 1)) //nolint:gosec // a test's own
	var raws []string
	for i := range 60 {
		who := []string{`"userId":"ann"`, `"userId":"bob"`, `"anonymousId":"v"`}[rng.IntN(3)]
		product := fmt.Sprintf(`"product_id":"p%d","brand":"b%d","price":%d.5`, rng.IntN(9), rng.IntN(4), rng.IntN(90))
		at := begin.Add(time.Duration(i) * 17 * time.Minute).Format(time.RFC3339)
		props := `"event":"Product Viewed","properties":{` + product + `}`
		if rng.IntN(4) == 0 {
			props = fmt.Sprintf(`"event":"Order Completed","properties":{"order_id":"o%d","total":%d.25,"products":[{%s,"quantity":2}]}`, i, rng.IntN(200), product)
		}
		raws = append(raws, fmt.Sprintf(`{"type":"track",%s,"messageId":"m%d","timestamp":%q,%s}`, who, i, at, props))
	}
	received := begin.Add(20 * time.Hour).UnixMilli()
	identify := `{"type":"identify","userId":"ann","anonymousId":"v","messageId":"i","timestamp":"2026-03-02T10:30:00Z"}`
	// The oracle: every event once, in the order of their times.
	var batch profile.FieldState
	for _, raw := range append([]string{identify, alias("ann", "bob")}, raws...) {
		for _, r := range event.NewDecoder(event.Options{}).DecodeAll(nil, event.AppendEnvelope(nil, event.Header{ReceivedAt: received, Source: "shop"}, []event.Item{{Raw: []byte(raw)}}), received) {
			if r.Event == nil {
				t.Fatalf("%s: %+v", raw, r.Reject)
			}
			compiled.Apply(&batch, r.Event)
		}
	}
	for trial := range 6 {
		rng.Shuffle(len(raws), func(i, j int) { raws[i], raws[j] = raws[j], raws[i] })
		messages := append(append([]string{}, raws[:30]...), identify)
		messages = append(messages, raws[10:]...) // twenty come twice
		messages = append(messages, alias("ann", "bob"))
		cut := rng.IntN(len(messages))
		store, log := memoryStore(t), enginetest.NewLog()
		put := func(some []string) {
			for _, raw := range some {
				log.Append(received, event.AppendEnvelope(nil, event.Header{ReceivedAt: received, Source: "shop"}, []event.Item{{Raw: []byte(raw)}}))
			}
		}
		put(messages[:cut])
		fieldsRun(t, set, store, log, nil, func(*operators.Pipeline, *engine.View) {})
		put(messages[cut:])
		var dump string
		fieldsRun(t, set, store, log, func(o *engine.Options) { o.Parallel = 1 << (trial % 3) }, func(p *operators.Pipeline, v *engine.View) {
			got, err := p.FieldValues(v, "ann")
			if err != nil {
				t.Fatal(err)
			}
			other, err := p.FieldValues(v, "bob") // an id that was merged leads to the person
			if err != nil {
				t.Fatal(err)
			}
			if m, err := p.Merged(v, "bob"); err != nil || m.Into == "" {
				t.Fatalf("not merged: %+v, %v", m, err)
			}
			for i := range compiled.All {
				name := compiled.All[i].Name
				w := compiled.Value(&batch, i, v.Watermark)
				want := any(w.Num)
				switch w.Type {
				case profile.FieldMoney:
					want = w.Num / 100
				case profile.FieldText:
					want = w.Text
				case profile.FieldShares:
					shares := make(map[string]float64)
					for _, s := range w.Shares {
						shares[s.Name] = s.Weight
					}
					want = shares
				}
				if !same(got[name], want) || !same(other[name], want) {
					t.Errorf("trial %d, %s: got %v and %v, want %v", trial, name, got[name], other[name], want)
				}
			}
			raw, err := json.Marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			dump = string(raw)
		})
		if !strings.Contains(dump, `"looks"`) {
			t.Fatal(dump)
		}
	}
}

// A journey mails by a declared field.
func TestFieldsInConditions(t *testing.T) {
	f := func(audience string, want event.Outcome) {
		t.Helper()
		set := fieldsSet(t, declaredFields+"  seen: {max: time}\n", audience)
		store, log := memoryStore(t), enginetest.NewLog()
		at := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC).UnixMilli()
		say := func(after time.Duration, raw string) {
			at += after.Milliseconds()
			log.Append(at, event.AppendEnvelope(nil, event.Header{ReceivedAt: at, Source: "shop", Sim: true}, []event.Item{{Raw: []byte(raw)}}))
		}
		say(0, `{"type":"identify","userId":"ann","traits":{"email":"ann@shop.example","marketing_consent":true}}`)
		say(time.Second, `{"type":"track","event":"Product Viewed","userId":"ann","properties":{"product_id":"mug","brand":"acme","price":12.5,"currency":"EUR"}}`)
		say(time.Second, `{"type":"track","event":"Product Added","userId":"ann","properties":{"cart_id":"c","product_id":"mug","price":12.5,"quantity":1}}`)
		say(3*time.Hour, `{"type":"track","event":"Product Viewed","userId":"eve","properties":{"product_id":"mug"}}`)
		say(3*time.Hour, `{"type":"track","event":"Product Viewed","userId":"eve","properties":{"product_id":"mug"}}`)
		fieldsRun(t, set, store, log, nil, func(p *operators.Pipeline, v *engine.View) {
			all, err := p.Decisions(v, "ann")
			if err != nil || len(all) != 1 || all[0].Outcome != want {
				t.Errorf("%s: got %+v, %v, want one that is %v", audience, all, err, want)
			}
		})
	}
	f(`profile.fields.looks == 1`, event.Pending)
	f(`profile.fields.looks > 1`, event.Skipped)
	f(`profile.fields.dearest >= 12.5 && profile.fields.dearest < 13`, event.Pending)
	f(`profile.fields.latest == "mug"`, event.Pending)
	f(`profile.fields.latest == "cup"`, event.Skipped)
	f(`"acme" in profile.fields.brands`, event.Pending)
	f(`"other" in profile.fields.brands`, event.Skipped)
	f(`profile.fields.spent == 0`, event.Pending)
	f(`profile.fields.seen < 1`, event.Pending)
	f(`profile.stage == "prospect"`, event.Pending)
	f(`profile.stage == "new"`, event.Skipped)
}

// What the check of files takes, the operators can keep, and of one type.
func TestFieldsFormsAgree(t *testing.T) {
	if got, want := fmt.Sprint(configs.FieldProperties()), fmt.Sprint(profile.FieldProperties()); got != want {
		t.Fatalf("files know %s, the operators %s", got, want)
	}
	for _, op := range profile.FieldOps() {
		for _, of := range append(profile.FieldProperties(), "events") {
			text := fmt.Sprintf("\nfields:\n  x: {%s: %s}\n", op, of)
			raw, err := fs.ReadFile(configs.Shipped(), "shop.yaml")
			if err != nil {
				t.Fatal(err)
			}
			loader, err := configs.NewLoader(configs.Options{FS: fstest.MapFS{"shop.yaml": {Data: append(raw, text...)}}})
			if err != nil {
				t.Fatal(err)
			}
			problems := loader.Check("shop.yaml")
			spec := profile.FieldSpec{Name: "x", Op: op, Of: of}
			if op == "count" && of == "events" {
				spec.Of = ""
			}
			compiled, err := profile.CompileFields([]profile.FieldSpec{spec}, nil)
			if (len(problems) == 0) != (err == nil) {
				t.Errorf("%s of %s: the file says %v, the operators %v", op, of, problems, err)
				continue
			}
			if err != nil {
				continue
			}
			set, loadErr := loader.Load("shop.yaml")
			if loadErr != nil {
				t.Fatal(loadErr)
			}
			field := set.Shop.Fields["x"]
			want := map[profile.FieldType]configs.Type{profile.FieldText: configs.Text, profile.FieldShares: configs.Texts}[compiled.All[0].Type]
			if want == 0 {
				want = configs.Float
			}
			if got := field.Type(); got != want {
				t.Errorf("%s of %s: got type %s, want %s", op, of, got, want)
			}
		}
	}
}

// The stage of a person in conditions goes by the silence since the last order.
func TestStageInConditions(t *testing.T) {
	f := func(stage string, orders ...int) {
		t.Helper()
		set := fieldsSet(t, "", `profile.stage == "`+stage+`"`)
		store, log := memoryStore(t), enginetest.NewLog()
		begin := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
		say := func(at time.Time, raw string) {
			ms := at.UnixMilli()
			log.Append(ms, event.AppendEnvelope(nil, event.Header{ReceivedAt: ms, Source: "shop", Sim: true}, []event.Item{{Raw: []byte(raw)}}))
		}
		for i, days := range orders { // days before the cart
			say(begin.AddDate(0, 0, -days), fmt.Sprintf(`{"type":"track","event":"Order Completed","userId":"ann","properties":{"order_id":"o%d","total":20}}`, i))
		}
		say(begin, `{"type":"identify","userId":"ann","traits":{"email":"ann@shop.example"}}`)
		say(begin, `{"type":"track","event":"Product Added","userId":"ann","properties":{"cart_id":"c","product_id":"mug","price":12.5,"quantity":1}}`)
		say(begin.Add(3*time.Hour), `{"type":"track","event":"Product Viewed","userId":"eve","properties":{"product_id":"mug"}}`)
		fieldsRun(t, set, store, log, nil, func(p *operators.Pipeline, v *engine.View) {
			all, err := p.Decisions(v, "ann")
			if err != nil || len(all) != 1 || all[0].Outcome != event.Pending {
				t.Errorf("%s: got %+v, %v", stage, all, err)
			}
		})
	}
	f("prospect")
	f("new", 3)
	f("active", 40, 20, 3)
	f("at risk", 120)
	f("lapsed", 300)
	f("lapsed", 400, 395, 390)
}
