package operators_test

import (
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
	"millrace/operators/event"
	"millrace/state"
)

// ttlSet is a shop that keeps visitors for ten days, with fields and the quality check,
// which keep something of visitors too.
func ttlSet(t testing.TB, ttl string) *configs.Set {
	change := strings.NewReplacer("half_life: 30d  ", "half_life: 30d\n  "+ttl+"  ")
	return fieldsSetOf(t, change, "quality: {per_minute: 5, excess: 3}\nfields: {looked: {count: events, on: Product Viewed}}\n", "cart.items > 0")
}

// ttlLog is an imported log of visitors who come and go: at is days after its start.
type ttlLog struct{ *enginetest.Log }

func (l ttlLog) see(at float64, who, rest string) {
	ms := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC).Add(time.Duration(at * float64(24*time.Hour))).UnixMilli()
	raw := fmt.Sprintf(`{%s,"messageId":"m%.4f%s","timestamp":%q%s}`, who, at, strings.ReplaceAll(who, `"`, ""), time.UnixMilli(ms).UTC().Format(time.RFC3339Nano), rest)
	l.Append(ms, event.AppendEnvelope(nil, event.Header{ReceivedAt: ms, Source: "web"}, []event.Item{{Raw: []byte(raw)}}))
}

func (l ttlLog) look(at float64, visitor string) {
	l.see(at, `"anonymousId":"`+visitor+`"`, `,"type":"track","event":"Product Viewed","properties":{"product_id":"mug","category":"cups"}`)
}

// TestVisitorTTL: what is kept of a visitor goes by event time, the timers with it; who
// comes again in time is kept, who comes later is a stranger, and who made himself known
// keeps his history.
func TestVisitorTTL(t *testing.T) {
	f := func(ttl, until string, days float64, want string) {
		t.Helper()
		store, log := memoryStore(t), ttlLog{enginetest.NewLog()}
		log.look(0, "gone")
		log.look(0, "faithful")
		log.look(0.5, "faithful")
		log.look(0, "known")
		log.look(9, "faithful")
		log.see(9.5, `"anonymousId":"known","userId":"ann"`, `,"type":"identify","traits":{"email":"ann@example.com"}`)
		if days > 12 {
			log.look(days-0.1, "gone") // a stranger with the same id
		}
		log.look(days, "passer-by")
		fieldsRun(t, ttlSet(t, ttl), store, log.Log, nil, func(p *operators.Pipeline, v *engine.View) {
			var got []string
			for _, id := range []string{"gone", "faithful", "known"} {
				s, found, err := p.Visitor(v, id)
				if err != nil {
					t.Fatal(err)
				}
				looks := uint64(0)
				for _, k := range s.Person.Kinds {
					looks += k.Count
				}
				switch {
				case !found:
					got = append(got, id+" -")
				case s.Owner != "":
					got = append(got, id+" is ann")
				default:
					got = append(got, fmt.Sprintf("%s %d", id, looks))
				}
			}
			values, err := p.FieldValues(v, "ann")
			if err != nil || values["looked"] != float64(1) {
				t.Errorf("%s, day %v: the history of who made himself known: %v, %v", ttl, days, values, err)
			}
			if all := strings.Join(got, ", "); all != want {
				t.Errorf("%s, day %v: got %s, want %s", ttl, days, all, want)
			}
		})
		all, err := engine.Inventory(&engine.View{Snapshot: store.Snapshot()})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range all {
			if until != "" && strings.HasPrefix(s.Name, "visitor/") && s.Name != "visitor/link" && s.Keys > 3 {
				t.Errorf("%d values are left in %s", s.Keys, s.Name)
			}
		}
	}
	const ten = "visitor_ttl: 10d"
	f(ten, "", 9.9, "gone 1, faithful 3, known is ann")
	f(ten, "", 11.9, "gone -, faithful 3, known is ann") // the day that he was seen is over at 0.6
	f(ten, "", 19.9, "gone 1, faithful -, known is ann")
	f("", "", 400, "gone 2, faithful 3, known is ann")
}

// TestVisitorTTLSame: which visitors go, and what is left of them, does not depend on where
// epochs end, on the number of workers, or on a restart.
func TestVisitorTTLSame(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	log := ttlLog{enginetest.NewLog()}
	at := 0.0
	for range 1500 {
		at += rng.ExpFloat64() * 0.05
		log.look(at-rng.Float64()*0.4, fmt.Sprint("v", rng.IntN(40)*rng.IntN(40)))
		if rng.IntN(30) == 0 {
			id := rng.IntN(40)
			log.see(at, fmt.Sprintf(`"anonymousId":"v%d","userId":"u%d"`, id, id/2), `,"type":"identify","traits":{}`)
		}
	}
	set := ttlSet(t, "visitor_ttl: 10d")
	var want []string
	f := func(workers, epoch, stop int) {
		t.Helper()
		store := memoryStore(t)
		forgotten := uint64(0)
		part := enginetest.NewLog()
		for i, m := range log.Messages() {
			if part.Append(m.Time, m.Data); i+1 != stop && i+1 != len(log.Messages()) {
				continue
			}
			fieldsRun(t, set, store, part, func(o *engine.Options) { o.Parallel, o.EpochEvents = workers, epoch },
				func(p *operators.Pipeline, _ *engine.View) { forgotten += p.Counters.Forgotten.Load() })
		}
		got, err := enginetest.Dump(store, state.SpaceCells, state.SpaceTimers)
		if err != nil {
			t.Fatal(err)
		}
		if want == nil {
			want = got
			t.Logf("%d visitors were forgotten, %d keys are left", forgotten, len(got))
			if forgotten < 50 {
				t.Fatal("the test is about nobody")
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%d workers, epochs of %d, stopped at %d: another state, of %d keys instead of %d", workers, epoch, stop, len(got), len(want))
		}
	}
	f(1, 0, 0)
	f(1, 1, 0)
	f(2, 7, 0)
	f(4, 0, 0)
	f(1, 0, 700)
	f(4, 3, 900)
}
