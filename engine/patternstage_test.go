package engine_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace/engine"
	"millrace/engine/enginetest"
	"millrace/state"
)

// act is what a shopper did: "at who what n" in a log, several behind ";".
type act struct {
	At   int64
	Who  string
	What string
	N    int64
}

func appendAct(b []byte, a act) []byte {
	b = binary.AppendVarint(b, a.At)
	b = binary.AppendVarint(b, a.N)
	b = binary.AppendUvarint(b, uint64(len(a.Who)))
	b = append(b, a.Who...)
	return append(b, a.What...)
}

func decodeAct(b []byte) (act, error) {
	at, n := binary.Varint(b)
	if n <= 0 {
		return act{}, errors.New("not an act")
	}
	b = b[n:]
	num, n := binary.Varint(b)
	if n <= 0 {
		return act{}, errors.New("not an act")
	}
	b = b[n:]
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return act{}, errors.New("not an act")
	}
	b = b[n:]
	return act{At: at, N: num, Who: string(b[:size]), What: string(b[size:])}, nil
}

func actCodec() engine.EventCodec[act] {
	return engine.EventCodec[act]{Append: appendAct, Decode: decodeAct}
}

// acts decodes a message.
type acts struct{}

func (acts) Decode(dst []engine.Unit, m *engine.Message) []engine.Unit {
	for part := range strings.SplitSeq(string(m.Data), ";") {
		f := strings.Fields(part)
		if len(f) < 3 {
			continue
		}
		at, _ := strconv.ParseInt(f[0], 10, 64)
		a := act{At: at, Who: f[1], What: f[2]}
		if len(f) > 3 {
			a.N, _ = strconv.ParseInt(f[3], 10, 64)
		}
		dst = append(dst, engine.Unit{Time: at, Received: at, Value: a})
	}
	return dst
}

// playLog runs a log through a graph, whole or cut off by a crash at each so many commits,
// and answers its effects by their number and what is left in the store.
func playLog(t fatal, build func() *engine.Graph, log *enginetest.Log, o engine.Options, crashEach int) (said, left []string) {
	store, err := state.Open(state.Options{})
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer func() { _ = store.Close() }()
	var mu sync.Mutex
	byRow := make(map[uint64]string)
	note := func(_ context.Context, _ *engine.View, row engine.Row) (engine.Result, time.Duration, error) {
		mu.Lock()
		defer mu.Unlock()
		byRow[row.ID] = string(row.Body)
		return engine.Removed, 0, nil
	}
	o.Source, o.Store, o.Decoder, o.Once, o.LogEnd = log, store, acts{}, true, log.Last
	o.Handlers = map[string]engine.Handler{"note": note}
	for {
		o.Graph = build()
		if crashEach > 0 {
			o.Committer = &crash{store: store, left: crashEach, after: crashEach%2 == 0}
		}
		e, err := engine.Open(context.Background(), o)
		if err != nil {
			t.Fatalf("open: %v", err)
		}
		err = e.Run(context.Background())
		if err == nil {
			break
		}
		if !errors.Is(err, errCrash) {
			t.Fatalf("run: %v", err)
		}
		crashEach++ // so that it gets through in the end
	}
	var rows []uint64
	for id := range byRow {
		rows = append(rows, id)
	}
	slices.Sort(rows)
	for _, id := range rows {
		said = append(said, byRow[id])
	}
	if left, err = enginetest.Dump(store, state.SpaceCells, state.SpaceTimers); err != nil {
		t.Fatalf("%v", err)
	}
	return said, left
}

type fatal interface{ Fatalf(string, ...any) }

// stageOf is a graph with one stage, by who acts.
func stageOf(use func(g *engine.Graph, s *engine.Stage[act])) func() *engine.Graph {
	return func() *engine.Graph {
		var people *engine.Stage[act]
		g := engine.NewGraph(func(c *engine.Ctx, u *engine.Unit) {
			a := u.Value.(act)
			people.Send(c, a.Who, a)
		})
		people = engine.AddStage[act](g, "person")
		use(g, people)
		return g
	}
}

func does(what string) func(act) bool { return func(a act) bool { return a.What == what } }

// abandoned is the pattern of a cart that was left.
func abandoned(t fatal, within time.Duration) *engine.Pattern[act] {
	p, err := engine.BeginPattern[act]("cart").Where(does("cart")).
		NotFollowedBy("order").Where(does("order")).Within(within).
		Skip(engine.SkipPastLast()).Build()
	if err != nil {
		t.Fatalf("%v", err)
	}
	return p
}

func patternGraph(p *engine.Pattern[act], limits engine.PatternLimits) func() *engine.Graph {
	return stageOf(func(g *engine.Graph, s *engine.Stage[act]) {
		op := engine.NewPatternOperator(engine.PatternOptions[act]{
			Cell: "person/pattern", Pattern: p, Codec: actCodec(), Limits: limits,
			At: func(a act) int64 { return a.At },
			Emit: func(c *engine.Ctx, r engine.PatternResult[act]) {
				var b strings.Builder
				fmt.Fprintf(&b, "%s %s@%d", c.Key(), r.Outcome, r.Time)
				for _, e := range r.Events {
					fmt.Fprintf(&b, " %s:%d", e.Step, e.Time)
				}
				c.Effect("note", c.Key(), []byte(b.String()))
			},
		})
		s.Use("pattern", op)
		g.Keep(op.Cell)
	})
}

func logOf(messages ...string) *enginetest.Log {
	l := enginetest.NewLog()
	for i, m := range messages {
		l.Append(int64(i), []byte(m))
	}
	return l
}

func TestPatternOperator(t *testing.T) {
	f := func(want string, messages ...string) {
		t.Helper()
		said, _ := playLog(t, patternGraph(abandoned(t, 100*time.Millisecond), engine.PatternLimits{}), logOf(messages...), engine.Options{OutOfOrder: 10 * time.Millisecond}, 0)
		if got := strings.Join(said, "; "); got != want {
			t.Errorf("%q: got %q, want %q", messages, got, want)
		}
	}
	// The watermark of somebody else's event fires it.
	f("ann matched@101 cart:1", "1 ann cart", "150 bob view")
	// The watermark trails by ten.
	f("", "1 ann cart", "110 bob view")
	f("ann matched@101 cart:1", "1 ann cart", "111 bob view")
	// An order that comes late in the log, but in time by its own, counts.
	f("", "1 ann cart;108 bob view;100 ann order;300 bob view")
	// One that comes behind the watermark is said to be late.
	f("ann late@50 :50; ann matched@101 cart:1", "1 ann cart", "70 bob view", "50 ann order", "300 bob view")
}

// Any split into epochs, and crashes in between, give the same outcomes and the same
// bytes of state.
func TestPatternEpochs(t *testing.T) {
	for seed := range uint64(8) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		b := engine.BeginPattern[act]("view").Where(does("view")).FollowedByAny("cart").Where(does("cart")).OneOrMore()
		if seed%2 == 0 {
			b.FollowedBy("order").Where(does("order"))
		} else {
			b.NotFollowedBy("order").Where(does("order"))
		}
		skip := []engine.SkipStrategy{engine.NoSkip(), engine.SkipPastLast(), engine.SkipToNext()}
		p, err := b.Within(60 * time.Millisecond).Skip(skip[seed%3]).Build()
		if err != nil {
			t.Fatal(err)
		}
		log := drawLog(rnd, []string{"view", "cart", "order", "else"}, 100)
		said := sameEverywhere(t, patternGraph(p, engine.PatternLimits{Partial: 6, Pending: 5}), log)
		if len(said) < 10 {
			t.Fatalf("seed %d: only %d outcomes", seed, len(said))
		}
	}
}

// drawLog draws a log of three persons, out of order.
func drawLog(rnd *rand.Rand, what []string, events int) *enginetest.Log {
	log := enginetest.NewLog()
	now := int64(1000)
	for range events {
		now += rnd.Int64N(21)
		log.Append(now, fmt.Appendf(nil, "%d %s %s %d", now-rnd.Int64N(40), []string{"ann", "bob", "cid"}[rnd.IntN(3)], what[rnd.IntN(len(what))], rnd.IntN(4)))
	}
	return log
}

// sameEverywhere runs a log with epochs of 1, 7 and 1000 units, and with crashes.
func sameEverywhere(t *testing.T, build func() *engine.Graph, log *enginetest.Log) (said []string) {
	t.Helper()
	said, left := playLog(t, build, log, engine.Options{EpochEvents: 1000, OutOfOrder: 20 * time.Millisecond}, 0)
	for _, size := range []int{1, 7} {
		for _, crashes := range []int{0, 40 / size} {
			o := engine.Options{EpochEvents: size, OutOfOrder: 20 * time.Millisecond}
			s, l := playLog(t, build, log, o, crashes)
			if !slices.Equal(s, said) {
				t.Fatalf("epochs of %d, crashes %d: said %q, whole %q", size, crashes, s, said)
			}
			if !slices.Equal(l, left) {
				t.Fatalf("epochs of %d, crashes %d: the state differs from that of the whole run", size, crashes)
			}
		}
	}
	return said
}

// Somebody who is done leaves nothing behind (the peers' FLINK-23314: state stays for
// keys that live shortly).
func TestPatternLeavesNothing(t *testing.T) {
	var messages []string
	for i := range 100 {
		messages = append(messages, fmt.Sprintf("%d p%d cart;%d p%d order", 10*i, i, 10*i+1, i))
	}
	messages = append(messages, "99999 other view")
	said, left := playLog(t, patternGraph(abandoned(t, time.Second), engine.PatternLimits{}), logOf(messages...), engine.Options{OutOfOrder: time.Millisecond}, 0)
	if len(said) > 0 || len(left) > 0 { // the last event concerns nobody, so it does not even wait
		t.Fatalf("%d outcomes, %d keys are left", len(said), len(left))
	}
}

// A cart that is touched all day costs one pending timer, not one for each touch.
func TestPatternTimersAreFew(t *testing.T) {
	var messages []string
	for i := range 50 {
		messages = append(messages, fmt.Sprintf("%d ann cart", 10*i), fmt.Sprintf("%d ann order", 10*i+5))
	}
	_, left := playLog(t, patternGraph(abandoned(t, time.Hour), engine.PatternLimits{}), logOf(messages...), engine.Options{OutOfOrder: time.Millisecond}, 0)
	timers := 0
	for _, l := range left {
		if strings.HasPrefix(l, `"\x03`) {
			timers++
		}
	}
	if timers > 2 { // one for the last event, one for the deadline
		t.Fatalf("%d timers are left", timers)
	}
}

// BenchmarkPatternStage runs a log of 100,000 keys through an engine with a store in
// memory, with a pattern of three steps; commits are included.
func BenchmarkPatternStage(b *testing.B) {
	const keys, events = 100_000, 300_000
	p, err := engine.BeginPattern[act]("view").Where(does("view")).FollowedBy("cart").Where(does("cart")).
		NotFollowedBy("order").Where(does("order")).Within(2 * time.Second).Skip(engine.SkipPastLast()).Build()
	if err != nil {
		b.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	what := []string{"view", "view", "view", "cart", "order", "else"}
	log := enginetest.NewLog()
	for i := range events {
		log.Append(0, fmt.Appendf(nil, "%d p%d %s", 1000+i/50, rnd.IntN(keys), what[rnd.IntN(len(what))]))
	}
	b.ReportAllocs()
	for b.Loop() {
		playLog(b, patternGraph(p, engine.PatternLimits{}), log, engine.Options{OutOfOrder: 100 * time.Millisecond}, 0)
	}
	b.ReportMetric(float64(b.N)*events/b.Elapsed().Seconds(), "events/s")
}
