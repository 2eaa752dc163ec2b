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
	"testing"
	"time"

	"millrace/engine"
	"millrace/engine/enginetest"
)

// words is a codec of text.
func words() engine.EventCodec[string] {
	return engine.EventCodec[string]{
		Append: func(b []byte, v string) []byte { return append(b, v...) },
		Decode: func(b []byte) (string, error) { return string(b), nil },
	}
}

func numbers() engine.EventCodec[int64] {
	return engine.EventCodec[int64]{
		Append: binary.AppendVarint,
		Decode: func(b []byte) (int64, error) {
			v, n := binary.Varint(b)
			if n != len(b) {
				return 0, errors.New("no number")
			}
			return v, nil
		},
	}
}

// The bounds of the collections under test.
const (
	listMax  = 5
	mapMax   = 6
	entryTTL = 60
)

// collector does to the collections what messages say, and notes what they hold then.
type collector struct {
	list *engine.ListState[int64]
	m    *engine.MapState[int64]
	sum  *engine.ReducingState[int64]
}

func (o *collector) Process(c *engine.Ctx, a act) {
	name := "e" + strconv.FormatInt(a.N, 10)
	switch a.What {
	case "append":
		o.list.Append(c, a.At)
	case "clear":
		o.list.Clear(c)
		o.sum.Clear(c)
	case "put":
		o.m.Put(c, name, a.At)
	case "delete":
		o.m.Delete(c, name)
	case "empty":
		o.m.Clear(c)
	case "add":
		o.sum.Add(c, a.At)
	}
	c.Effect("note", c.Key(), []byte(o.hold(c)))
}

func (o *collector) hold(c *engine.Ctx) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %v/%d", c.Key(), o.list.All(c), o.list.Len(c))
	for name, v := range o.m.All(c) {
		fmt.Fprintf(&b, " %s=%d", name, v)
	}
	sum, ok := o.sum.Get(c)
	fmt.Fprintf(&b, " %d %t %d", sum, ok, o.m.Len(c))
	return b.String()
}

func collectionGraph(ttl time.Duration) func() *engine.Graph {
	return func() *engine.Graph {
		var s *engine.Stage[act]
		g := engine.NewGraph(func(c *engine.Ctx, u *engine.Unit) { a := u.Value.(act); s.Send(c, a.Who, a) })
		s = engine.AddStage[act](g, "person")
		s.Use("collect", &collector{
			list: engine.NewListState(s, "list", engine.ListOptions[int64]{Codec: numbers(), Max: listMax, TTL: ttl}),
			m:    engine.NewMapState(s, "map", engine.MapOptions[int64]{Codec: numbers(), Max: mapMax, TTL: ttl}),
			sum: engine.NewReducingState(s, "sum", engine.ReducingOptions[int64]{
				Codec: numbers(), Reduce: func(a, b int64) int64 { return a + b }, TTL: ttl,
			}),
		})
		return g
	}
}

// plainState is what a key holds, in plain Go.
type plainState struct {
	list            []int64
	m, wrote        map[string]int64
	sum             int64
	some            bool
	listAt, reduced int64
}

func (n *plainState) expire(now, ttl int64) {
	if ttl == 0 {
		return
	}
	if now >= n.listAt+ttl {
		n.list = nil
	}
	if now >= n.reduced+ttl {
		n.sum, n.some = 0, false
	}
	for name, at := range n.wrote {
		if now >= at+ttl {
			delete(n.m, name)
			delete(n.wrote, name)
		}
	}
}

func (n *plainState) apply(a act, now int64) {
	name := "e" + strconv.FormatInt(a.N, 10)
	switch a.What {
	case "append":
		n.list, n.listAt = append(n.list, a.At), now
		n.list = n.list[max(len(n.list)-listMax, 0):]
	case "clear":
		n.list, n.sum, n.some = nil, 0, false
	case "put":
		if _, ok := n.m[name]; ok || len(n.m) < mapMax {
			n.m[name], n.wrote[name] = a.At, now
		}
	case "delete":
		delete(n.m, name)
		delete(n.wrote, name)
	case "empty":
		clear(n.m)
		clear(n.wrote)
	case "add":
		n.sum, n.some, n.reduced = n.sum+a.At, true, now
	}
}

func (n *plainState) hold(who string) string {
	var b strings.Builder
	if n.list == nil {
		n.list = []int64{}
	}
	fmt.Fprintf(&b, "%s %v/%d", who, n.list, len(n.list))
	var names []string
	for name := range n.m {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(&b, " %s=%d", name, n.m[name])
	}
	fmt.Fprintf(&b, " %d %t %d", n.sum, n.some, len(n.m))
	return b.String()
}

// Collections hold what plain slices and maps would, with and without a TTL, at every
// epoch size, with crashes and resumes; and nothing stays of what is too old.
func TestCollections(t *testing.T) {
	what := []string{"append", "append", "put", "put", "put", "put", "delete", "add", "look", "clear", "empty"}
	for seed := range uint64(6) {
		ttl := int64(seed%2) * entryTTL
		log := enginetest.NewLog()
		people := make(map[string]*plainState)
		var want []string
		rnd := rand.New(rand.NewPCG(seed, 4))
		now, watermark := int64(1000), int64(980)
		for range 150 {
			now += rnd.Int64N(12)
			a := act{At: now, Who: []string{"ann", "bob/x"}[rnd.IntN(2)], What: what[rnd.IntN(len(what))], N: rnd.Int64N(9)}
			log.Append(now, fmt.Appendf(nil, "%d %s %s %d", a.At, a.Who, a.What, a.N))
			watermark = max(watermark, now-20)
			n := people[a.Who]
			if n == nil {
				n = &plainState{m: make(map[string]int64), wrote: make(map[string]int64)}
				people[a.Who] = n
			}
			n.expire(watermark, ttl)
			n.apply(a, watermark)
			want = append(want, n.hold(a.Who))
		}
		log.Append(0, []byte("99999 cid look 0"))
		want = append(want, "cid []/0 0 false 0")
		build := collectionGraph(time.Duration(ttl) * time.Millisecond)
		said := sameEverywhere(t, build, log)
		for i := range want {
			if said[i] != want[i] {
				t.Fatalf("seed %d, ttl %d, event %d: holds %q, want %q", seed, ttl, i, said[i], want[i])
			}
		}
		_, left := playLog(t, build, log, engine.Options{OutOfOrder: 20 * time.Millisecond}, 0)
		for _, crashes := range []int{0, 6} {
			many := engine.Options{OutOfOrder: 20 * time.Millisecond, Parallel: 4, EpochEvents: 7}
			if s, l := playLog(t, build, log, many, crashes); !slices.Equal(s, said) || !slices.Equal(l, left) {
				t.Fatalf("seed %d, four goroutines, crashes %d: said %q, one %q; left %q, one %q", seed, crashes, s, said, l, left)
			}
		}
		if ttl > 0 && len(left) > 0 {
			t.Errorf("seed %d: after the TTL of all, %q stay on disk", seed, left)
		}
		if ttl == 0 && len(left) == 0 {
			t.Errorf("seed %d: nothing was kept", seed)
		}
	}
}

// A value is there until its age by the watermark is the TTL, to the millisecond, also
// when the engine stood still in between, and each write begins its time anew.
func TestTTLExact(t *testing.T) {
	rig, err := enginetest.NewRig(func(_ *engine.Graph, s *engine.Stage[string]) {
		list := engine.NewListState(s, "list", engine.ListOptions[string]{Codec: words(), TTL: 100 * time.Millisecond})
		s.Use("op", engine.Func[string, string]{Do: func(c *engine.Ctx, v string, _ engine.Output[string]) {
			if v != "?" {
				list.Append(c, v)
			}
			c.Effect("note", c.Key(), []byte(strings.Join(list.All(c), ",")))
		}})
	}, "note")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rig.Close() }()
	f := func(at int64, say, want string) {
		t.Helper()
		rig.Send(at, "ann", say)
		got, err := rig.Run(t.Context())
		if err != nil || len(got) != 1 || got[0] != "note ann: "+want {
			t.Fatalf("at %d: %q, %v, want %q", at, got, err, want)
		}
	}
	out := rig.Options.OutOfOrder.Milliseconds()
	f(1000+out, "a", "a")
	f(1099+out, "?", "a")
	f(1099+out, "b", "a,b")
	f(1198+out, "?", "a,b")
	f(1199+out, "?", "")
	f(1300+out, "c", "c")
	rig.Advance(1400)
	if _, err := rig.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left, err := rig.Dump(); err != nil || len(left) > 0 {
		t.Fatalf("%q stays, %v", left, err)
	}
}

func TestVersioned(t *testing.T) {
	v1 := engine.Versioned(words())
	v3 := engine.Versioned(words(),
		func(old []byte) ([]byte, error) { return append(old, "+2"...), nil },
		func(old []byte) ([]byte, error) { return append(old, "+3"...), nil })
	got, err := v3.Decode(v1.Append(nil, "x"))
	if err != nil || got != "x+2+3" {
		t.Fatalf("%q, %v", got, err)
	}
	if got, err = v3.Decode(v3.Append(nil, "y")); err != nil || got != "y" {
		t.Fatalf("%q, %v", got, err)
	}
	if _, err = v1.Decode(v3.Append(nil, "y")); !errors.Is(err, engine.ErrNewer) {
		t.Fatalf("%v, want ErrNewer", err)
	}
	for _, b := range []string{"", "\x00x"} {
		if _, err = v3.Decode([]byte(b)); err == nil || errors.Is(err, engine.ErrNewer) {
			t.Fatalf("%q: %v", b, err)
		}
	}
	bad := engine.Versioned(words(), func([]byte) ([]byte, error) { return nil, errors.New("odd") })
	if _, err = bad.Decode(v1.Append(nil, "x")); err == nil || !strings.Contains(err.Error(), "schema 1: odd") {
		t.Fatal(err)
	}
}

// A cell and its operator keep state and timers under a new name, and a program that
// knows only an older schema of it does not begin.
func TestRenameAndSchema(t *testing.T) {
	id, schema, renamed := "old", 1, false
	rig, err := enginetest.NewRig(func(g *engine.Graph, s *engine.Stage[string]) {
		sum := engine.NewReducingState(s, id, engine.ReducingOptions[string]{Codec: words(), Reduce: func(a, b string) string { return a + b }})
		s.Use(id, engine.Func[string, string]{
			Do: func(c *engine.Ctx, v string, _ engine.Output[string]) {
				sum.Add(c, v)
				c.SetTimer(5000, "t")
			},
			Due: func(c *engine.Ctx, _ engine.Timer, _ engine.Output[string]) {
				v, _ := sum.Get(c)
				c.Effect("note", c.Key(), []byte(v))
			},
		})
		g.Schema("stage/"+id, schema)
		if renamed {
			g.Rename("stage/old", "stage/new")
		}
	}, "note")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rig.Close() }()
	rig.Send(1000, "ann", "a")
	if _, err := rig.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	id, schema, renamed = "new", 2, true
	rig.Send(1001, "ann", "b")
	for range 2 { // the second time nothing is to be renamed
		if _, err := rig.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	rig.Advance(99_999_999)
	schema = 1
	if _, err := rig.Run(t.Context()); !errors.Is(err, engine.ErrNewer) || !strings.Contains(err.Error(), "stage/new") {
		t.Fatalf("an older program: %v", err)
	}
	schema = 2
	if got, err := rig.Run(t.Context()); err != nil || !slices.Equal(got, []string{"note ann: ab"}) {
		t.Fatalf("%q, %v", got, err)
	}
}

func TestOpener(t *testing.T) {
	fail := errors.New("no table")
	rig, err := enginetest.NewRig(func(_ *engine.Graph, s *engine.Stage[string]) {
		s.Use("op", engine.Func[string, string]{
			Do:    func(*engine.Ctx, string, engine.Output[string]) {},
			Ready: func(context.Context) error { return fail },
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rig.Close() }()
	if _, err := rig.Run(t.Context()); !errors.Is(err, fail) || !strings.Contains(err.Error(), "stage/op") {
		t.Fatal(err)
	}
	fail = nil
	if _, err := rig.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
}
