package operators_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"millrace/configs"
	"millrace/engine"
	"millrace/engine/enginetest"
	"millrace/operators"
	"millrace/operators/event"
	"millrace/operators/experiment"
	"millrace/operators/trigger"
	"millrace/state"
)

const heldJourney = `apiVersion: v1
pipeline: trial
trigger: {id: abandoned, key: [user_id, cart_id], start: {on: [Product Added]}, wait: 1h}
audience: {when: AUDIENCE, holdout: 40%}
content:
  id: content
  kind: cart
  subject: fallback
  variants: {control: {weight: 1}, wide: {weight: 1}}
measure: {goal: {on: Order Completed, within: 2d}}
send: {id: send, via: smtp/main}
`

// heldSet loads the journey with an audience, and the shipped shop with a change.
func heldSet(t testing.TB, audience string, change *strings.Replacer) *configs.Set {
	t.Helper()
	shop, err := fs.ReadFile(configs.Shipped(), "shop.yaml")
	if err != nil {
		t.Fatal(err)
	}
	loader, err := configs.NewLoader(configs.Options{FS: fstest.MapFS{
		"a.yaml":    {Data: []byte(strings.Replace(heldJourney, "AUDIENCE", "'"+audience+"'", 1))},
		"shop.yaml": {Data: []byte(change.Replace(string(shop)))},
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

// heldRun processes a log once by the journeys of a set with their experiments.
func heldRun(t testing.TB, set *configs.Set, models *operators.PeopleModels, store *state.Store, log *enginetest.Log, parallel int, ask func(p *operators.Pipeline, v *engine.View)) {
	t.Helper()
	all, err := operators.JourneysWith(set, models, true)
	if err != nil {
		t.Fatal(err)
	}
	var rules []trigger.Rule
	for _, j := range all {
		rules = append(rules, j.Rule)
	}
	p := operators.Build(operators.Options{Pseudonyms: pseudonyms(t), Rules: rules, Models: models, Experiments: operators.Experiments(all)})
	decoder := operators.NewDecoder(event.Options{})
	decoder.Quality = p.Counters.Quality
	drop := func(context.Context, *engine.View, engine.Row) (engine.Result, time.Duration, error) {
		return engine.Removed, 0, nil
	}
	e, err := engine.Open(t.Context(), engine.Options{
		Source: log, Store: store, Decoder: decoder, Graph: p.Graph, Once: true, LogEnd: log.Last, Workers: 1, Parallel: parallel,
		Handlers: map[string]engine.Handler{
			operators.EffectDeadLetter: drop, trigger.EffectMail: drop, operators.EffectWebhook: drop,
			experiment.EffectStop: drop, experiment.EffectSteer: drop, experiment.EffectNotice: drop,
		},
	})
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

const tried = 900

// heldLog lets people leave carts. A third has ordered before; of those who are mailed,
// these order, and hardly anybody else does.
func heldLog(t testing.TB, held func(person string) bool) *enginetest.Log {
	t.Helper()
	log, begin := enginetest.NewLog(), time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)
	order := func(user int, at time.Time, id string) {
		say(log, at, fmt.Sprintf(`{"type":"track","event":"Order Completed","userId":"u%d","properties":{"order_id":"%s%d","total":40}}`, user, id, user))
	}
	for i := range tried {
		say(log, begin, fmt.Sprintf(`{"type":"identify","userId":"u%d","traits":{"email":"u%d@shop.example","marketing_consent":true}}`, i, i))
		if i%3 == 0 {
			order(i, begin, "before")
			order(i, begin.Add(time.Minute), "again")
		}
	}
	day := begin.AddDate(0, 0, 10)
	for i := range tried {
		say(log, day, fmt.Sprintf(`{"type":"track","event":"Product Added","userId":"u%d","properties":{"cart_id":"c","product_id":"cup","price":12.5,"quantity":1}}`, i))
	}
	say(log, day.Add(4*time.Hour), `{"type":"track","event":"Product Viewed","userId":"clock","properties":{"product_id":"mug"}}`)
	for i := range tried {
		if mailed := !held(pseudonyms(t).Person(fmt.Sprintf("u%d", i))); i%3 == 0 && mailed && i%2 == 0 || i%20 == 0 {
			order(i, day.Add(20*time.Hour), "after")
		}
	}
	say(log, day.AddDate(0, 0, 20), `{"type":"track","event":"Product Viewed","userId":"clock","properties":{"product_id":"mug"}}`)
	return log
}

// TestUpliftEndToEnd: through the engine, with one worker and four, it is learnt that mails
// move those who have ordered before; the model is kept, read, and decides who is mailed.
func TestUpliftEndToEnd(t *testing.T) {
	set := heldSet(t, "profile.consent.marketing", strings.NewReplacer())
	all, err := operators.JourneysWith(set, nil, true)
	if err != nil {
		t.Fatal(err)
	}
	log := heldLog(t, all[0].Experiment.Held)
	var first []byte
	for _, parallel := range []int{1, 4} {
		heldRun(t, set, nil, memoryStore(t), log, parallel, func(p *operators.Pipeline, v *engine.View) {
			fit, err := p.FitUplift(t.Context(), v, p.Experiment("trial"))
			if err != nil {
				t.Fatal(err)
			}
			raw, err := json.Marshal(fit)
			if err != nil {
				t.Fatal(err)
			}
			if first == nil {
				first = raw
			}
			if string(raw) != string(first) {
				t.Errorf("%d workers learn something else", parallel)
			}
			if fit.People != tried || !fit.Sure || fit.Waiting != 0 || fit.Bins[0].Observed < .3 || fit.Bins[9].Observed > .2 {
				t.Errorf("learnt %s", raw)
			}
			rules(t, p, v)
		})
	}
	var kept struct{ Model json.RawMessage }
	if err := json.Unmarshal(first, &kept); err != nil {
		t.Fatal(err)
	}
	models := new(operators.PeopleModels)
	if models.Uplift, err = operators.ReadUpliftModel(kept.Model); err != nil {
		t.Fatal(err)
	}
	decides(t, models)
}

// rules asks what rules would have brought.
func rules(t *testing.T, p *operators.Pipeline, v *engine.View) {
	t.Helper()
	x := p.Experiment("trial")
	q := operators.RuleQuestion{When: []string{"profile.orders >= 2=wide", "profile.days_since_order == 0=holdout"}, Alpha: .05}
	got, err := p.RuleValue(t.Context(), v, x, q)
	if err != nil {
		t.Fatal(err)
	}
	// A sixth of the people order when they are mailed, and a twentieth of the others.
	if got.Matched[0] != tried/3 || got.Matched[1] != tried-tried/3 || got.Gain.Lo <= 0 || got.Value.Lo > .2 || got.Value.Hi < .2 {
		t.Errorf("%+v", got)
	}
	// Beside what is credited to the mails stands what came beyond the holdout.
	figures, err := p.Figures(v)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range figures[0].Arms {
		i := a.Incremental
		if (i == nil) != (a.Name == experiment.ArmHoldout) || i != nil && (i.Revenue <= 0 || i.Lo > i.Revenue || i.Hi < i.Revenue || i.Variant != a.Name) {
			t.Errorf("%s brought %+v", a.Name, i)
		}
	}
	if raw, err := json.Marshal(figures[0].Arms[0]); err != nil || !strings.Contains(string(raw), `"incremental":{"variant":"control","revenue":`) {
		t.Errorf("%s, %v", raw, err)
	}
	f := func(want string, q operators.RuleQuestion) {
		t.Helper()
		if _, err := p.RuleValue(t.Context(), v, x, q); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", q, err, want)
		}
	}
	f("want CONDITION=VARIANT", operators.RuleQuestion{When: []string{"profile.orders == 3"}, Alpha: .05})
	f(`no variant "thin"`, operators.RuleQuestion{When: []string{"profile.orders == 3=thin"}, Alpha: .05})
	f("known is what was at the first exposure: profile.orders", operators.RuleQuestion{When: []string{"profile.locale == \"de\"=wide"}, Alpha: .05})
	f(`--else: no variant "thin"`, operators.RuleQuestion{Else: "thin", Alpha: .05})
}

// decides lets the model say who is mailed.
func decides(t *testing.T, models *operators.PeopleModels) {
	t.Helper()
	set := heldSet(t, "profile.uplift > 0.15", strings.NewReplacer("  viewed: 20 ", "  uplift: 1\n  viewed: 20 "))
	all, err := operators.JourneysWith(set, models, true)
	if err != nil {
		t.Fatal(err)
	}
	for _, parallel := range []int{1, 4} {
		heldRun(t, set, models, memoryStore(t), heldLog(t, all[0].Experiment.Held), parallel, func(p *operators.Pipeline, v *engine.View) {
			for i := range 12 {
				user := fmt.Sprintf("u%d", i)
				decisions, err := p.Decisions(v, user)
				if err != nil || len(decisions) != 1 {
					t.Fatalf("%s: %+v, %v", user, decisions, err)
				}
				audience := strings.Contains(decisions[0].Reason, "audience")
				if worth := i%3 == 0; audience == worth {
					t.Errorf("%s, worth mailing %v: %+v", user, worth, decisions[0])
				}
			}
			x, err := p.ExpectedOf(v, "u3")
			if err != nil || x.Uplift == nil || *x.Uplift < .1 || x.UpliftGoal != "order of trial" {
				t.Errorf("%+v, %v", x, err)
			}
		})
	}
}
