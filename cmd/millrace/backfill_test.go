package main

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace/console"
	"millrace/operators"
)

const backfilledFields = `
fields:
  ltv: {sum: total, on: Order Completed}
  looks: {count: events, on: Product Viewed, half_life: 5d}
  seen: {distinct: item, on: [Product Viewed, Product Added]}
  cheapest: {min: price, on: Product Added}
  favourite: {share: category, on: Product Viewed, half_life: 9d}
  first: {first: item, on: Product Viewed}
  newest: {last: time, on: [Product Viewed, Order Completed]}
`

// addFields declares fields in the shop of a directory.
func addFields(t *testing.T, dir, fields string) string {
	t.Helper()
	path := filepath.Join(dir, "shop.yaml")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text, _, _ := strings.Cut(string(raw), "\nfields:")
	if err := os.WriteFile(path, []byte(strings.TrimRight(text, "\n")+"\n"+fields), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// shoppers are events of people who look around, anonymous at first, sign in, order, say
// things twice, and turn out to be one person.
func shoppers(rng *rand.Rand, n int) []string {
	at := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	var all []string
	for i := range n {
		at = at.Add(time.Duration(rng.IntN(40)) * time.Minute)
		who := fmt.Sprintf(`"userId":"u%d"`, rng.IntN(12))
		if rng.IntN(2) == 0 {
			who = fmt.Sprintf(`"anonymousId":"a%d"`, rng.IntN(14))
		}
		item := rng.IntN(9)
		stamp := at.Add(-time.Duration(rng.IntN(30)) * time.Minute).Format(time.RFC3339)
		head := fmt.Sprintf(`"messageId":"m%d",%s,"timestamp":%q`, i, who, stamp)
		product := fmt.Sprintf(`"product_id":"p%d","category":"c%d","price":%d.5`, item, item/3, item+1)
		switch k := rng.IntN(24); {
		case k < 12:
			all = append(all, fmt.Sprintf(`{"type":"track","event":"Product Viewed",%s,"properties":{%s}}`, head, product))
		case k < 17:
			all = append(all, fmt.Sprintf(`{"type":"track","event":"Product Added",%s,"properties":{"cart_id":"k%d",%s,"quantity":1}}`, head, rng.IntN(20), product))
		case k < 20:
			all = append(all, fmt.Sprintf(`{"type":"track","event":"Order Completed",%s,"properties":{"order_id":"o%d","total":%d,"currency":"EUR","products":[{%s,"quantity":2}]}}`, head, rng.IntN(60), 10+item, product))
		case k < 22:
			all = append(all, fmt.Sprintf(`{"type":"identify","messageId":"m%d","anonymousId":"a%d","userId":"u%d","timestamp":%q,"traits":{"email":"u%d@example.com"}}`, i, rng.IntN(14), rng.IntN(12), stamp, i))
		case k == 22 && i%3 == 0:
			from := rng.IntN(11)
			all = append(all, fmt.Sprintf(`{"type":"alias","messageId":"m%d","previousId":"u%d","userId":"u%d","timestamp":%q}`, i, from, from+1, stamp))
		case len(all) > 0:
			all = append(all, all[rng.IntN(len(all))])
		}
	}
	return all
}

// fieldsOf are the declared fields of all users.
func (r *live) fieldsOf() map[string]map[string]any {
	r.t.Helper()
	v := r.app.engine.View()
	defer v.Close()
	out := make(map[string]map[string]any)
	for i := range 12 {
		id := fmt.Sprint("u", i)
		values, err := r.acts.current().pipeline.FieldValues(v, id)
		if err != nil {
			r.t.Fatal(err)
		}
		out[id] = values
	}
	return out
}

// settled waits until all of the log is processed.
func (r *live) settled() {
	r.t.Helper()
	last := uint64(0)
	r.until("the end of the log", func() bool {
		s, err := r.events.Info(r.t.Context())
		if err != nil {
			r.t.Fatal(err)
		}
		st := r.app.engine.Stats()
		done := st.Position.Seq >= s.Last && st.Unresolved+st.Reported == 0 && s.Last == last
		last = s.Last
		return done
	})
}

// TestBackfill adds fields in the middle of a log, and wants them to hold what they hold
// where they were declared from the start, to 1e-9: with visitors who sign in before and
// after, repeats, merges, a stop in the middle, another fill later, and when the state is
// lost afterwards and made anew from the log.
func TestBackfill(t *testing.T) {
	seeds := 3
	if testing.Short() {
		seeds = 1
	}
	for seed := range seeds {
		rng := rand.New(rand.NewPCG(uint64(seed), 7)) //nolint:gosec // a small number
		events := shoppers(rng, 400)
		if seed == 0 { // what was merged before fields were declared is in the log without them
			events = slices.DeleteFunc(events, func(e string) bool { return strings.Contains(e, `"alias"`) })
		}
		cut := 150 + rng.IntN(100)
		more := cut + 60

		whole := start(t, settings{files: files{t.TempDir()}, configs: []string{addFields(t, pipelineDir(t, t.TempDir(), "1h"), backfilledFields)}, simulated: true, speed: 1})
		for _, part := range [][]string{events[:cut], events[cut:more], events[more:]} { // merges join between them
			whole.put(part...)
			whole.settled()
		}
		want := whole.fieldsOf()
		whole.stop()

		dir := pipelineDir(t, t.TempDir(), "1h")
		s := settings{files: files{t.TempDir()}, configs: []string{dir}, simulated: true, speed: 1}
		r := start(t, s)
		r.put(events[:cut]...)
		r.settled()
		half, _, _ := strings.Cut(backfilledFields, "  cheapest")
		if ans := r.acts.apply(t.Context(), &applyRequest{Bundle: bundleOf(t, addFields(t, dir, half)), By: "test"}); ans.Result != "applied" {
			t.Fatalf("%+v", ans)
		}
		r.put(events[cut:more]...)
		if seed != 1 {
			r.settled()
		} else { // the fill is begun, or not, or done
			r.stop()
			r = start(t, s)
		}
		r.filled(1)
		if ans := r.acts.apply(t.Context(), &applyRequest{Bundle: bundleOf(t, addFields(t, dir, backfilledFields)), By: "test"}); ans.Result != "applied" {
			t.Fatalf("%+v", ans)
		}
		r.filled(2)
		r.put(events[more:]...)
		r.settled()
		sameFields(t, fmt.Sprint("seed ", seed), r.fieldsOf(), want)
		p := r.profile("u3")
		if !strings.HasPrefix(p.Filled["ltv"], "filled from 20") || len(p.Filled) != 7 {
			t.Errorf("seed %d: it says %q", seed, p.Filled)
		}
		person, err := consolePeople{r.app}.Profile(t.Context(), "u3")
		if err != nil {
			t.Fatal(err)
		}
		if i := slices.IndexFunc(person.Facts, func(f console.Fact) bool { return f.Name == "Field ltv" }); i < 0 || !strings.Contains(person.Facts[i].Value, " (filled from 20") {
			t.Errorf("seed %d: the console's page shows %v", seed, person.Facts)
		}
		r.stop()
		if seed > 0 {
			continue
		}
		// Who is killed before he has noted that a fill is done does it again, and nothing counts twice.
		if err := os.Remove(s.fillMark(r.acts.list().Versions[0].Seq)); err != nil {
			t.Fatal(err)
		}
		r = start(t, s)
		r.filled(2)
		sameFields(t, "after a fill was done again", r.fieldsOf(), want)
		r.stop()
		if err := os.RemoveAll(s.state()); err != nil {
			t.Fatal(err)
		}
		r = start(t, s)
		r.settled()
		sameFields(t, "after the state was lost", r.fieldsOf(), want)
		r.stop()
	}
}

// filled waits until so many fills are done and read.
func (r *live) filled(n int) {
	r.t.Helper()
	r.until("the fill", func() bool {
		marks, err := r.s.fillMarks()
		if err != nil {
			r.t.Fatal(err)
		}
		done := 0
		for _, m := range marks {
			if m.Done {
				done++
			}
		}
		return done >= n
	})
	r.settled()
}

func sameFields(t *testing.T, when string, got, want map[string]map[string]any) {
	t.Helper()
	for _, id := range slices.Sorted(maps.Keys(want)) {
		for name, value := range want[id] {
			if !near(got[id][name], value) {
				t.Errorf("%s: %s of %s is %v, want %v", when, name, id, got[id][name], value)
			}
		}
		if len(got[id]) != len(want[id]) {
			t.Errorf("%s: %s has %d fields, want %d", when, id, len(got[id]), len(want[id]))
		}
	}
}

// near compares values of fields, numbers to 1e-9.
func near(a, b any) bool {
	switch b := b.(type) {
	case float64:
		a, ok := a.(float64)
		return ok && math.Abs(a-b) <= 1e-9*max(math.Abs(b), 1)
	case map[string]float64:
		a, ok := a.(map[string]float64)
		if !ok || len(a) != len(b) {
			return false
		}
		for name, w := range b {
			if math.Abs(a[name]-w) > 1e-9 {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(a, b)
}

// A fill that anybody could have written is not taken.
func TestForgedFill(t *testing.T) {
	dir := addFields(t, pipelineDir(t, t.TempDir(), "1h"), backfilledFields)
	r := start(t, settings{files: files{t.TempDir()}, configs: []string{dir}, simulated: true, speed: 1})
	r.put(`{"type":"track","event":"Order Completed","messageId":"m1","userId":"u3","timestamp":"2026-03-01T10:00:01Z","properties":{"order_id":"o","total":20,"currency":"EUR"}}`)
	for i, data := range []string{"", "{}", `{"mr":1,"kind":"fill","mac":"0","fill":{"upto":9,"keys":[]}}`} {
		if err := r.events.PublishOnce(t.Context(), fmt.Sprint(operators.FillSubject, "7.", i), []byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	r.settled()
	if n := r.pipeline.Counters.DeadLetters()["bad_envelope"]; n != 3 {
		t.Errorf("%d dead letters: %v", n, r.pipeline.Counters.DeadLetters())
	}
}
