package bench_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"millrace/bench/shop"
	"millrace/engine"
	"millrace/engine/enginetest"
	"millrace/operators"
	"millrace/operators/event"
	"millrace/operators/privacy"
	"millrace/operators/profile"
	"millrace/operators/trigger"
	"millrace/state"
)

var (
	userPattern     = regexp.MustCompile(`"userId":"([^"]+)"`)
	receivedPattern = regexp.MustCompile(`"receivedAt":(\d+)`)
)

// merging are n events of a little shop without repeats, and the same with merges of its
// users in between: pairs drawn at random, so that there are chains, circles and repeats.
func merging(seed uint64, n, every int) (plain, merged [][]byte, users []string) {
	sim := shop.New(shop.Options{Seed: seed, Shoppers: 25, Carting: 0.5, Bought: 0.4, SecondCart: 0.5, Late: 0.05, Refunded: 0.3, Duplicate: -1})
	dice := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // a test
	for len(plain) < n {
		e := sim.Next()
		data := event.AppendEnvelope(nil, event.Header{ReceivedAt: e.At.UnixMilli(), Source: "shop", Sim: true}, []event.Item{{Raw: e.JSON}})
		plain, merged = append(plain, data), append(merged, data)
		for _, m := range userPattern.FindAllSubmatch(data, -1) {
			if id := string(m[1]); !slices.Contains(users, id) {
				users = append(users, id)
			}
		}
		if len(plain)%every == 0 && len(users) > 1 {
			at, _ := strconv.ParseInt(string(receivedPattern.FindSubmatch(data)[1]), 10, 64)
			raw := fmt.Sprintf(`{"type":"merge","messageId":"merge%d","mergeProperties":[{"type":"userId","value":%q},{"type":"userId","value":%q}]}`,
				len(plain), users[dice.IntN(len(users))], users[dice.IntN(len(users))])
			merged = append(merged, event.AppendEnvelope(nil, event.Header{ReceivedAt: at, Source: "shop", Sim: true}, []event.Item{{Raw: []byte(raw)}}))
		}
	}
	return plain, merged, users
}

// liveRun is what a run left behind whose handovers and receipts came back in the log.
type liveRun struct {
	store    []string
	log      [][]byte // all that stood in it in the end
	sent     map[string]int
	people   map[string]profile.Person // by user, as the user's id leads to them
	owners   map[string]string         // pseudonym by user
	refused  map[string]uint64
	merges   uint64
	pendings int
}

// live runs the log through the real graph. Handovers and receipts go back into the log,
// more than once if a crash comes in between. In a replay the log has them already.
func live(t rapid.TB, all [][]byte, c cutting, users []string, replay bool) liveRun {
	t.Helper()
	store, err := state.Open(state.Options{MemTable: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	out := liveRun{sent: make(map[string]int), people: make(map[string]profile.Person), owners: make(map[string]string)}
	log := enginetest.NewLog()
	var mu sync.Mutex
	publish := func(data []byte) error {
		mu.Lock()
		defer mu.Unlock()
		if replay { // the log holds it already, and knows it by its id
			return nil
		}
		out.log = append(out.log, data)
		log.Append(int64(len(out.log)), data)
		return nil
	}
	stops, crashes := append(slices.Clone(c.Stop), len(all)), c.Crash
	for sent := 0; len(stops) > 0; {
		for ; sent < min(stops[0], len(all)); sent++ {
			out.log = append(out.log, all[sent])
			log.Append(int64(len(out.log)), all[sent])
		}
		p := shopGraph(t, c)
		o := engine.Options{
			Source: log, Store: store, Decoder: operators.NewDecoder(event.Options{}), Graph: p.Graph,
			EpochEvents: c.Epoch, TimersOpen: c.TimersOpen, Once: true, LogEnd: log.Last, Parallel: c.parallel(len(stops) + len(crashes)),
			Handlers: map[string]engine.Handler{
				trigger.EffectMail: func(_ context.Context, _ *engine.View, row engine.Row) (engine.Result, time.Duration, error) {
					var d event.Decision
					if err := json.Unmarshal(row.Body, &d); err != nil {
						t.Error(err)
					}
					mu.Lock()
					out.sent[d.ID]++
					mu.Unlock()
					r := event.Receipt{Decision: d.ID, Person: d.Person, Effect: strconv.FormatUint(row.ID, 10), Outcome: event.Sent, Subject: "s", At: row.At}
					return engine.Reported, 0, publish(event.AppendReceipt(nil, &r))
				},
				operators.EffectDeadLetter: func(context.Context, *engine.View, engine.Row) (engine.Result, time.Duration, error) {
					return engine.Removed, 0, nil
				},
				operators.EffectHandover: operators.NewHandover(p, operators.HandoverOptions{
					Publish:  func(_ context.Context, _ string, data []byte) error { return publish(data) },
					Suppress: func(string, string) error { return nil },
				}),
			},
		}
		if len(crashes) > 0 {
			o.Committer = &failing{Store: store, left: crashes[0], written: crashes[0]%2 == 0}
			crashes = crashes[1:]
		}
		e, err := engine.Open(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		switch err := e.Run(context.Background()); {
		case err == nil:
			stops = stops[1:]
		case !errors.Is(err, errCrash):
			t.Fatal(err)
		}
		if len(stops) == 0 {
			out.look(t, e, p, users)
		}
	}
	if out.store, err = enginetest.Dump(store, state.SpaceCells, state.SpaceTimers, state.SpaceOutbox); err != nil {
		t.Fatal(err)
	}
	return out
}

// look asks for everybody.
func (r *liveRun) look(t rapid.TB, e *engine.Engine, p *operators.Pipeline, users []string) {
	t.Helper()
	v := e.View()
	defer v.Close()
	seen := map[string]bool{}
	for _, user := range users {
		person, _, err := p.Person(v, user)
		if err != nil {
			t.Fatal(err)
		}
		m, err := p.Merged(v, user)
		if err != nil || m.Awaits != 0 {
			t.Fatalf("%d handovers never came: %v", m.Awaits, err)
		}
		r.people[user] = person
		r.owners[user] = m.Into
		decisions, err := p.Decisions(v, user)
		if err != nil {
			t.Fatal(err)
		}
		for i := range decisions {
			if d := &decisions[i]; d.Outcome == event.Pending && !seen[d.ID] {
				seen[d.ID] = true
				r.pendings++
			}
		}
	}
	r.refused, r.merges = p.Counters.DeadLetters(), p.Counters.Merges.Load()
}

// TestMergesSameAnswer plays merges with their handovers, and the log that came of it
// again: in epochs of one to ten thousand, with stops, crashes and tiny caches it must
// give the same bytes.
func TestMergesSameAnswer(t *testing.T) {
	_, all, users := merging(1, 4000, 60)
	stops := []int{}
	for i := 37; i < len(all); i += 41 { // at each of them what is on its way arrives
		stops = append(stops, i)
	}
	want := live(t, all, cutting{Stop: stops}, users, false)
	handovers := 0
	for _, data := range want.log {
		if _, ok := kindOf(data); ok {
			handovers++
		}
	}
	if handovers < 15 || len(want.sent) < 15 || want.pendings != 0 {
		t.Fatalf("%d handovers, %d mails, %d pending", handovers, len(want.sent), want.pendings)
	}
	f := func(c cutting) {
		t.Helper()
		got := live(t, want.log, c, users, true)
		compare(t, outcome{store: got.store}, outcome{store: want.store}, c)
		if got.refused[string(event.MergeCycle)] == 0 && got.refused[string(event.MergeTaken)] == 0 && len(c.Crash)+len(c.Stop) == 0 {
			t.Fatalf("no circle in the log: %v", got.refused)
		}
	}
	f(cutting{})
	f(cutting{Epoch: 1})
	f(cutting{Epoch: 7, Cache: 3, TimersOpen: 2})
	f(cutting{Epoch: 100, Crash: []int{1, 2, 3, 4, 5, 6}})
	f(cutting{Epoch: 10_000, Cache: 1, TimersOpen: 1})
	f(cutting{Epoch: 33, Cache: 5, Crash: []int{1, 2, 3, 4, 17, 30}})
	f(cutting{Parallel: 4})
	f(cutting{Parallel: 2, Epoch: 33, Cache: 5, Crash: []int{1, 2, 3, 4, 17, 30}})
}

func kindOf(data []byte) (string, bool) {
	var e struct{ Kind string }
	err := json.Unmarshal(data, &e)
	return e.Kind, err == nil && e.Kind == "handover"
}

// TestMergesLoseNothing compares runs with merges, crashes and handovers that come twice
// with a run without merges: everybody is the sum of those who became him, to 1e-9.
func TestMergesLoseNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		plain, all, users := merging(rapid.Uint64().Draw(t, "seed"), rapid.IntRange(50, 400).Draw(t, "events"), rapid.IntRange(5, 40).Draw(t, "every"))
		stops := rapid.SliceOfN(rapid.IntRange(0, len(all)), 0, 6).Draw(t, "stops")
		slices.Sort(stops)
		c := cutting{
			Epoch: rapid.IntRange(1, 60).Draw(t, "epoch"), Parallel: 1 << rapid.IntRange(0, 2).Draw(t, "goroutines"), Cache: rapid.IntRange(1, 10).Draw(t, "cache"),
			TimersOpen: rapid.IntRange(1, 10).Draw(t, "timers"), Stop: stops,
			Crash: rapid.SliceOfN(rapid.IntRange(1, 12), 0, 6).Draw(t, "crashes"),
		}
		alone := live(t, plain, cutting{}, users, false)
		got := live(t, all, c, users, false)
		if got.pendings != 0 {
			t.Fatalf("%d decisions never ended", got.pendings)
		}
		// Whom each became: users with one picture. One who stayed leads to himself.
		groups := map[string][]string{}
		for _, user := range users {
			owner := got.owners[user]
			if owner == "" {
				owner = pseudonymOf(t, user)
			}
			groups[owner] = append(groups[owner], user)
		}
		for _, members := range groups {
			p := got.people[members[0]]
			now := p.Newest
			for k := event.KindCount - 1; k > 0; k-- {
				var count uint64
				var decayed, spent float64
				for _, m := range members {
					o := alone.people[m]
					count += o.Stat(k).Count
					half := math.Exp2(-float64(now-max(o.Newest, 1)) / float64((30 * 24 * time.Hour).Milliseconds()))
					decayed += o.Count(k, o.Newest) * half
					spent += o.Spent(k, o.Newest) * half
				}
				if k == event.Alias {
					continue // the merges themselves
				}
				if p.Stat(k).Count != count || !close9(p.Count(k, now), decayed) || !close9(p.Spent(k, now), spent) {
					t.Fatalf("%v of %v: %d %v %v, want %d %v %v", k, members, p.Stat(k).Count, p.Count(k, now), p.Spent(k, now), count, decayed, spent)
				}
			}
		}
		again := live(t, got.log, cutting{}, users, true)
		compare(t, outcome{store: again.store}, outcome{store: got.store}, c)
		if !maps.Equal(again.owners, got.owners) {
			t.Fatal("other owners")
		}
	})
}

func pseudonymOf(t rapid.TB, user string) string {
	t.Helper()
	names, err := privacy.NewPseudonyms(bytes.Repeat([]byte{3}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return names.Person(user)
}

func close9(a, b float64) bool { return math.Abs(a-b) <= 1e-9*max(1, math.Abs(a), math.Abs(b)) }
