package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace/engine"
	"millrace/engine/enginetest"
	"millrace/state"
)

// sides is a graph with one stage of two kinds of messages, by who acts: what right
// answers true to is a right one.
func sides[R any](right func(a act) (R, bool), use func(g *engine.Graph, s *engine.Stage[engine.Either[act, R]])) func() *engine.Graph {
	return func() *engine.Graph {
		var people *engine.Stage[engine.Either[act, R]]
		g := engine.NewGraph(func(c *engine.Ctx, u *engine.Unit) {
			a := u.Value.(act)
			if r, ok := right(a); ok {
				people.Send(c, a.Who, engine.RightOf[act](r))
			} else {
				people.Send(c, a.Who, engine.LeftOf[act, R](a))
			}
		})
		people = engine.AddStage[engine.Either[act, R]](g, "person")
		use(g, people)
		return g
	}
}

func noteJoin(c *engine.Ctx, r engine.JoinResult[act, act]) {
	c.Effect("note", c.Key(), fmt.Appendf(nil, "%s %s %t:%d %t:%d", c.Key(), r.Outcome, r.HasLeft, r.LeftAt, r.HasRight, r.RightAt))
}

func actAt(a act) int64 { return a.At }

func intervalGraph(t *testing.T) func() *engine.Graph {
	t.Helper()
	join, err := engine.NewIntervalJoin(engine.IntervalOptions[act, act]{
		Lower: -5 * time.Millisecond, Upper: 40 * time.Millisecond, Kind: engine.JoinOuter, Left: actCodec(), Right: actCodec(), Max: 4,
	})
	if err != nil {
		t.Fatal(err)
	}
	return sides(func(a act) (act, bool) { return a, a.What == "order" }, func(g *engine.Graph, s *engine.Stage[engine.Either[act, act]]) {
		op := engine.NewIntervalJoinOperator(engine.IntervalJoinOptions[act, act]{
			Cell: "person/join", Join: join, LeftAt: actAt, RightAt: actAt, Emit: noteJoin,
		})
		s.Use("join", op)
		g.Keep(op.Cell)
	})
}

func tableGraph(t *testing.T) func() *engine.Graph {
	t.Helper()
	join, err := engine.NewTableJoin(engine.TableOptions[act, act]{
		Kind: engine.JoinLeft, Row: actCodec(), Version: actCodec(), History: 3 * time.Millisecond, Versions: 3, Pending: 4,
	})
	if err != nil {
		t.Fatal(err)
	}
	version := func(a act) (engine.Version[act], bool) {
		return engine.Version[act]{Value: a, Deleted: a.N == 0}, a.What == "price"
	}
	return sides(version, func(g *engine.Graph, s *engine.Stage[engine.Either[act, engine.Version[act]]]) {
		op := engine.NewTableJoinOperator(engine.TableJoinOptions[act, act]{
			Cell: "person/table", Join: join, RowAt: actAt, VersionAt: actAt, Emit: noteJoin,
		})
		s.Use("table", op)
		g.Keep(op.Cell)
	})
}

func TestJoinEpochs(t *testing.T) {
	for seed := range uint64(3) {
		log := drawLog(rand.New(rand.NewPCG(seed, 2)), []string{"view", "view", "order", "price"}, 100)
		for name, build := range map[string]func() *engine.Graph{"interval": intervalGraph(t), "table": tableGraph(t)} {
			said := sameEverywhere(t, build, log)
			outcomes := make(map[string]bool)
			for _, s := range said {
				outcomes[strings.Fields(s)[1]] = true
			}
			if !outcomes["matched"] || !outcomes["unmatched"] || !outcomes["late"] {
				t.Errorf("%s, seed %d: only the outcomes %v", name, seed, outcomes)
			}
		}
	}
}

// asked is the decoder of lookups: an answer is a message that begins with "!".
type asked struct{}

func (asked) Decode(dst []engine.Unit, m *engine.Message) []engine.Unit {
	if rest, ok := strings.CutPrefix(string(m.Data), "!"); ok {
		a, err := engine.DecodeLookupAnswer([]byte(rest))
		if err != nil {
			return dst
		}
		return append(dst, engine.Unit{Value: a})
	}
	var at int64
	if n, _ := fmt.Sscanf(string(m.Data), "tick %d", &at); n == 1 {
		return append(dst, engine.Unit{Time: at})
	}
	return acts{}.Decode(dst, m)
}

// counter is a service that is asked: it fails at each third call, and sums.
type counter struct {
	mu    sync.Mutex
	calls int
	log   *enginetest.Log
	fail  bool
}

func (s *counter) call(_ context.Context, _ *engine.View, input []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	a, err := decodeAct(input)
	if err != nil {
		return nil, err
	}
	if s.fail && s.calls%3 == 0 {
		return nil, errors.New("not now")
	}
	return fmt.Appendf(nil, "%d", 2*a.N), nil
}

func (s *counter) publish(_ context.Context, answer []byte) error {
	s.log.Append(0, append([]byte("!"), answer...))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log.Append(0, fmt.Appendf(nil, "tick %d", 400+10*s.calls)) // time goes on
	return nil
}

// lookupGraph notes what each question came to. Asking is muted in a replay: the
// answers stand in the log.
func lookupGraph(unordered bool) func() *engine.Graph {
	return func() *engine.Graph {
		var people *engine.Stage[engine.Either[act, engine.LookupAnswer]]
		g := engine.NewGraph(func(c *engine.Ctx, u *engine.Unit) {
			switch v := u.Value.(type) {
			case act:
				people.Send(c, v.Who, engine.LeftOf[act, engine.LookupAnswer](v))
			case engine.LookupAnswer:
				people.Send(c, v.Key, engine.RightOf[act](v))
			}
		})
		people = engine.AddStage[engine.Either[act, engine.LookupAnswer]](g, "person")
		op := engine.NewLookupOperator(engine.LookupOperatorOptions[act]{
			Cell: "person/lookup", Kind: "ask",
			Lookup: engine.NewLookup(engine.LookupOptions[act]{Input: actCodec(), Unordered: unordered, Flight: 2, Timeout: 10 * time.Second,
				Backoff: engine.Backoff{Base: 10 * time.Millisecond}}),
			Emit: func(c *engine.Ctx, r engine.LookupResult[act]) {
				c.Effect("note", c.Key(), fmt.Appendf(nil, "%s %s %d=%s", c.Key(), r.Outcome, r.Input.N, r.Body))
			},
		})
		people.Use("lookup", op)
		g.Keep(op.Cell)
		return g
	}
}

// The answers stand in the log: what was decided live is decided again, byte for byte,
// from the log alone, without asking anybody, at every epoch size and after crashes.
func TestLookupReplay(t *testing.T) {
	for _, unordered := range []bool{false, true} {
		log := enginetest.NewLog()
		for i := range int64(40) {
			log.Append(i, fmt.Appendf(nil, "%d %s ask %d", 10*i, []string{"ann", "bob"}[i%2], i))
		}
		s := &counter{log: log, fail: true}
		live := runLookup(t, lookupGraph(unordered), log, engine.Options{}, engine.LookupCaller{Call: s.call, Publish: s.publish}.Handler(), 0)
		log.Append(50, []byte("tick 99999")) // what was not answered ends
		if s.calls < 50 || len(live.said) < 30 {
			t.Fatalf("%d calls, %d outcomes", s.calls, len(live.said))
		}
		silent := func(context.Context, *engine.View, engine.Row) (engine.Result, time.Duration, error) {
			return engine.Removed, 0, nil
		}
		whole := runLookup(t, lookupGraph(unordered), log, engine.Options{EpochEvents: 1000}, silent, 0)
		if !slices.Equal(whole.said[:len(live.said)], live.said) {
			t.Fatalf("unordered %t: replayed %q, live %q", unordered, whole.said, live.said)
		}
		for _, size := range []int{1, 7} {
			again := runLookup(t, lookupGraph(unordered), log, engine.Options{EpochEvents: size}, silent, 40/size)
			if !slices.Equal(again.said, whole.said) || !slices.Equal(again.left, whole.left) {
				t.Fatalf("unordered %t, epochs of %d: said %q, whole %q", unordered, size, again.said, whole.said)
			}
		}
		asks := make(map[string]bool)
		for _, line := range whole.said {
			asks[line] = true
		}
		if len(whole.said) != 40 || len(asks) != 40 {
			t.Fatalf("%d outcomes, %d different ones, of 40 questions", len(whole.said), len(asks))
		}
	}
}

type playedLookup struct{ said, left []string }

func runLookup(t *testing.T, build func() *engine.Graph, log *enginetest.Log, o engine.Options, ask engine.Handler, crashEach int) playedLookup {
	t.Helper()
	store, err := state.Open(state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	n := &lookupNotes{byRow: make(map[uint64]string)}
	o.Source, o.Store, o.Decoder, o.Once, o.LogEnd = log, store, asked{}, true, log.Last
	o.OutOfOrder = time.Millisecond
	o.Handlers = map[string]engine.Handler{"note": n.handle, "ask": ask}
	for {
		o.Graph = build()
		if crashEach > 0 {
			o.Committer = &crash{store: store, left: crashEach}
		}
		e, err := engine.Open(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		if err = e.Run(context.Background()); err == nil {
			break
		}
		if !errors.Is(err, errCrash) {
			t.Fatal(err)
		}
		crashEach++
	}
	left, err := enginetest.Dump(store, state.SpaceCells, state.SpaceTimers)
	if err != nil {
		t.Fatal(err)
	}
	return playedLookup{n.lines(), left}
}

// lookupNotes collects notes by the number of their row.
type lookupNotes struct {
	mu    sync.Mutex
	byRow map[uint64]string
}

func (n *lookupNotes) handle(_ context.Context, _ *engine.View, row engine.Row) (engine.Result, time.Duration, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.byRow[row.ID] = string(row.Body)
	return engine.Removed, 0, nil
}

func (n *lookupNotes) lines() (all []string) {
	var rows []uint64
	for id := range n.byRow {
		rows = append(rows, id)
	}
	slices.Sort(rows)
	for _, id := range rows {
		all = append(all, n.byRow[id])
	}
	return all
}

// A handler says what becomes of its row: an answer that cannot be published is tried
// again, a call that fails is an answer, and one that is too long has failed.
func TestLookupHandler(t *testing.T) {
	call := engine.LookupCall{Key: "ann", ID: engine.LookupID{Seq: 3}, Try: 1, Input: []byte("in")}
	row := engine.Row{ID: 9, Body: engine.AppendLookupCall(nil, &call)}
	down := errors.New("the log is down")
	f := func(body string, callErr, publishErr error, wantResult engine.Result, wantFailed bool) {
		t.Helper()
		var sent []byte
		h := engine.LookupCaller{AnswerMax: 5,
			Call:    func(context.Context, *engine.View, []byte) ([]byte, error) { return []byte(body), callErr },
			Publish: func(_ context.Context, b []byte) error { sent = b; return publishErr },
		}.Handler()
		result, _, err := h(t.Context(), nil, row)
		if !errors.Is(err, publishErr) || publishErr == nil && result != wantResult {
			t.Fatalf("got %v %v", result, err)
		}
		a, err := engine.DecodeLookupAnswer(sent)
		if err != nil || a.Row != 9 || a.Key != "ann" || a.ID.Seq != 3 || a.Try != 1 || a.Failed != wantFailed || !a.Failed && string(a.Body) != body {
			t.Fatalf("published %+v: %v", a, err)
		}
	}
	f("well", nil, nil, engine.Reported, false)
	f("well", nil, down, engine.Again, false)
	f("", errors.New("no"), nil, engine.Reported, true)
	f("too long", nil, nil, engine.Reported, true)
	if result, _, err := (engine.LookupCaller{
		Call:    func(context.Context, *engine.View, []byte) ([]byte, error) { return nil, nil },
		Publish: func(context.Context, []byte) error { return nil },
	}).Handler()(t.Context(), nil, engine.Row{ID: 9, Body: []byte("?")}); err == nil || result != engine.Again {
		t.Fatalf("a body that cannot be read: %v %v", result, err)
	}
}
