package operators_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace/configs"
	"millrace/engine"
	"millrace/engine/enginetest"
	"millrace/operators"
	"millrace/operators/catalogue"
	"millrace/operators/event"
	"millrace/operators/trigger"
	"millrace/state"
)

// This file shows that the catalogue, and what journeys make of it, depend on what was
// said alone: not on its order within lateness, nor on repeats, restarts and workers.

// offerJourneys are the shipped ones with waits that outlast all that is said.
func offerJourneys(t testing.TB) []operators.Journey {
	t.Helper()
	all := journeysOf(t, configs.Shipped(), "price-drop.yaml", "back-in-stock.yaml")
	for i := range all {
		all[i].Rule.Wait = 24 * time.Hour
		all[i].Rule.OncePer, all[i].Rule.Freshness = 0, 240*time.Hour
	}
	return all
}

// shelfRun processes a log to its end, or to a sequence, and asks. Offers go back into the
// log unless they stand there already.
func shelfRun(t testing.TB, store *state.Store, log *enginetest.Log, to uint64, mute bool, parallel int, ask func(p *operators.Pipeline, v *engine.View)) {
	t.Helper()
	var rules []trigger.Rule
	for _, j := range offerJourneys(t) {
		rules = append(rules, j.Rule)
	}
	p := operators.Build(operators.Options{Pseudonyms: pseudonyms(t), Rules: rules, PeopleMax: 2, ItemsMax: 2})
	drop := func(context.Context, *engine.View, engine.Row) (engine.Result, time.Duration, error) {
		return engine.Removed, 0, nil
	}
	tell := operators.OfferHandler(func(_ context.Context, _ string, data []byte) error {
		log.Append(0, data)
		return nil
	})
	if mute {
		tell = drop
	}
	end := log.Last
	if to > 0 {
		end = func(context.Context) (uint64, error) { return to, nil }
	}
	e, err := engine.Open(t.Context(), engine.Options{
		Source: log, Store: store, Decoder: operators.NewDecoder(event.Options{}), Graph: p.Graph, Once: true, LogEnd: end, Workers: 1,
		Parallel: parallel, EpochEvents: 7,
		Handlers: map[string]engine.Handler{operators.EffectDeadLetter: drop, trigger.EffectMail: drop, catalogue.EffectOffer: tell},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	v := e.View()
	ask(p, v)
	v.Close()
}

// said is something of a drawn shop: its time, and the event.
type said struct {
	at  time.Time
	raw string
}

var shelfDay = time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC) //nolint:gochecknoglobals // constant

// drawShelf draws six hours of people who look, and of prices and stock that change.
func drawShelf(r *rand.Rand) []said {
	var all []said
	for i := range 6 {
		all = append(all, said{shelfDay, fmt.Sprintf(`{"type":"identify","userId":"u%d","messageId":"i%d","traits":{"email":"u%d@shop.example","marketing_consent":true}}`, i, i, i)})
	}
	for n := range 80 {
		at := shelfDay.Add(time.Duration(r.IntN(6*3600))*time.Second + time.Duration(n)*time.Millisecond)
		item, user := r.IntN(4), r.IntN(6)
		raw := ""
		switch r.IntN(8) {
		case 0, 1, 2:
			price := []string{"", `,"price":10`, `,"price":8`}[r.IntN(3)]
			raw = fmt.Sprintf(`{"type":"track","event":"Product Viewed","userId":"u%d","messageId":"m%d","properties":{"product_id":"p%d"%s}}`, user, n, item, price)
		case 3:
			raw = fmt.Sprintf(`{"type":"track","event":"Order Completed","userId":"u%d","messageId":"m%d","properties":{"order_id":"o%d","products":[{"product_id":"p%d","price":8}]}}`, user, n, n, item)
		case 4, 5:
			raw = fmt.Sprintf(`{"type":"track","event":"Product Upserted","messageId":"m%d","properties":{"product_id":"p%d","name":"n%d","price":%d}}`, n, item, n%3, 6+r.IntN(6))
		default:
			raw = fmt.Sprintf(`{"type":"track","event":"Product Upserted","messageId":"m%d","properties":{"product_id":"p%d","stock":%d}}`, n, item, r.IntN(3))
		}
		all = append(all, said{at, raw})
	}
	slices.SortStableFunc(all, func(a, b said) int { return a.at.Compare(b.at) })
	return all
}

// mails are what was decided to be mailed, and of the catalogue all.
func mails(t testing.TB, p *operators.Pipeline, v *engine.View, reasons bool) string {
	t.Helper()
	var b strings.Builder
	for i := range 6 {
		all, err := p.Decisions(v, fmt.Sprintf("u%d", i))
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, d := range all {
			if reasons || d.Outcome == event.Pending {
				text := fmt.Sprintf("u%d %s %s %d %v", i, d.ID[:8], d.Pipeline, d.Started, d.Outcome)
				for _, it := range d.Items {
					text += fmt.Sprintf(" %s %d", it.ID, it.Price)
				}
				if reasons {
					text += fmt.Sprint(" ", d.Reason, " ", d.Decided)
				}
				lines = append(lines, text)
			}
		}
		slices.Sort(lines)
		fmt.Fprintln(&b, strings.Join(lines, "\n"))
	}
	products, total, err := p.Products(v, "", 100)
	if err != nil || total != len(products) {
		t.Fatalf("%d products of %d, %v", len(products), total, err)
	}
	for _, l := range products {
		fmt.Fprintf(&b, "%s %x\n", l.ID, l.Product.AppendTo(nil))
	}
	return b.String()
}

// shelfLog puts what was said into a log in the order of arrival.
func shelfLog(all []said) *enginetest.Log {
	log := enginetest.NewLog()
	for _, s := range all {
		say(log, s.at, s.raw)
	}
	return log
}

// TestCatalogueOrder says the same in any order within two hours, and some of it twice,
// stops in between, and decides a day later: the mails and the catalogue are the same.
func TestCatalogueOrder(t *testing.T) {
	sent := 0
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 1))
		all := drawShelf(r)
		want := ""
		for trial := range 3 {
			order := slices.Clone(all)
			if trial > 0 {
				order = append(order, all[r.IntN(len(all))], all[r.IntN(len(all))], all[r.IntN(len(all))])
				late := make(map[int]time.Time)
				index := make([]int, len(order))
				for i := range order {
					index[i], late[i] = i, order[i].at.Add(time.Duration(r.IntN(7200))*time.Second)
				}
				slices.SortStableFunc(index, func(a, b int) int { return late[a].Compare(late[b]) })
				mixed := make([]said, len(order))
				for i, j := range index {
					mixed[i] = order[j]
				}
				order = mixed
			}
			store, log := memoryStore(t), shelfLog(order)
			parallel := 1 << trial
			shelfRun(t, store, log, uint64(len(order)/2), false, parallel, func(*operators.Pipeline, *engine.View) {})
			shelfRun(t, store, log, 0, false, parallel, func(*operators.Pipeline, *engine.View) {})
			log.Append(0, event.AppendTick(nil, shelfDay.Add(72*time.Hour).UnixMilli()))
			shelfRun(t, store, log, 0, false, parallel, func(p *operators.Pipeline, v *engine.View) {
				got := mails(t, p, v, false)
				sent += strings.Count(got, "pending")
				if trial == 0 {
					want = got
				} else if got != want {
					t.Errorf("seed %d, trial %d: got\n%s\nin order it is\n%s", seed, trial, got, want)
				}
			})
		}
	}
	if sent < 30 {
		t.Errorf("only %d mails in all: the test shows nothing", sent)
	}
}

// TestOffersReplay reads a log that holds the offers anew, with other workers, other
// epochs and a restart: each decision and its reason is the same.
func TestOffersReplay(t *testing.T) {
	for seed := range uint64(6) {
		log := shelfLog(drawShelf(rand.New(rand.NewPCG(seed, 2))))
		store := memoryStore(t)
		shelfRun(t, store, log, 0, false, 1, func(*operators.Pipeline, *engine.View) {})
		log.Append(0, event.AppendTick(nil, shelfDay.Add(72*time.Hour).UnixMilli()))
		shelfRun(t, store, log, 0, false, 1, func(*operators.Pipeline, *engine.View) {})
		want := ""
		for _, parallel := range []int{1, 2, 4} {
			again := memoryStore(t)
			shelfRun(t, again, log, uint64(20+10*parallel), true, parallel, func(*operators.Pipeline, *engine.View) {})
			shelfRun(t, again, log, 0, true, parallel, func(p *operators.Pipeline, v *engine.View) {
				got := mails(t, p, v, true)
				if want == "" {
					want = got
				}
				if got != want || !strings.Contains(got, "pending") {
					t.Errorf("seed %d, %d workers: got\n%s\nwant\n%s", seed, parallel, got, want)
				}
			})
		}
	}
}
