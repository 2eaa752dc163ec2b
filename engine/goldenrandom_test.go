package engine_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"millrace/engine"
	"millrace/engine/enginetest"
	"millrace/state"
)

// goldenCells keeps lists, maps and sums with a time to live, and deadlines in event time
// and in processing time, and sends on to a second stage that keeps a list as well.
func goldenCells(b *goldenBuild) *engine.Graph {
	ttl := b.span("ttl")
	var stage, second *engine.Stage[thing]
	g := keyed(&stage, same)
	if b.has("clock") { // timers of processing time
		stage.Alone()
	}
	second = engine.AddStage[thing](g, "second")
	alarm := state.NewCell[alarms]("alarms", 1)
	stage.Use("mix", &mixer{
		collector: collector{
			list: engine.NewListState(stage, "list", engine.ListOptions[int64]{Codec: numbers(), Max: listMax, TTL: ttl, CacheMax: 2}),
			m:    engine.NewMapState(stage, "map", engine.MapOptions[int64]{Codec: numbers(), Max: mapMax, TTL: ttl, CacheMax: 2}),
			sum: engine.NewReducingState(stage, "sum", engine.ReducingOptions[int64]{
				Codec: numbers(), Reduce: func(a, b int64) int64 { return a + b }, TTL: ttl, CacheMax: 2,
			}),
		},
		alarm: alarmist{alarm}, next: second,
	})
	second.Use("heard", heard{engine.NewListState(second, "heard", engine.ListOptions[string]{Codec: words(), Max: 4, TTL: ttl})})
	g.Keep(alarm)
	return g
}

// mixer does to its state what the words say.
type mixer struct {
	collector
	alarm alarmist
	next  *engine.Stage[thing]
}

func (o *mixer) Process(c *engine.Ctx, v thing) {
	switch v.words[0] {
	case "event", "clock", "cancel-event", "cancel-clock":
		o.alarm.Process(c, &order{at: v.at, received: v.at, key: v.key, verb: v.words[0], due: v.at + int64(number2(v))})
	default:
		o.collector.Process(c, act{Who: v.key, What: v.words[0], At: v.at, N: int64(number2(v)) % 9})
	}
	o.next.Send(c, "s"+v.words[0], v)
}

// Timer implements engine.TimerHandler.
func (o *mixer) Timer(c *engine.Ctx, tm engine.Timer) {
	o.alarm.Timer(c, tm)
	note(c, "timer %s %t", tm.Tag, tm.Processing)
	o.next.Send(c, "timers", thing{tm.Due, c.Key(), []string{tm.Tag}})
}

type heard struct{ list *engine.ListState[string] }

func (o heard) Process(c *engine.Ctx, v thing) {
	o.list.Append(c, fmt.Sprintf("%s %s@%d", v.key, v.word(), v.at))
	note(c, "heard %v", o.list.All(c))
}

// drawnGraph is a graph of scenarios with drawn options, and the words that it listens to.
func drawnGraph(t *rapid.T) (lines, words []string) {
	one := func(name string, of ...string) string { return rapid.SampledFrom(of).Draw(t, name) }
	span := func(name string) string { return one(name, "1s", "2s", "5s", "13s") }
	maybe := func(word string) string { return one(word, "", " "+word) }
	kind := func() string { return one("kind", "", " kind=inner", " kind=left", " kind=outer") }
	switch rapid.SampledFrom([]string{"window", "session", "global", "pattern", "interval", "table", "lookup", "cells"}).Draw(t, "graph") {
	case "window":
		size := rapid.SampledFrom([][2]string{{"4s", ""}, {"4s", " slide=2s"}, {"12s", " slide=3s"}}).Draw(t, "size")
		g := "window size=" + size[0] + size[1] + one("lateness", "", " lateness=3s", " lateness=20s")
		if size[1] == "" {
			g += one("early", "", " count=2", " every=1s") + maybe("discard")
		}
		return []string{g}, []string{"a", "b", "c"}
	case "session":
		return []string{"window gap=" + span("gap") + one("longest", "", " longest=20s") + one("lateness", "", " lateness=4s")}, []string{"a", "b", "c"}
	case "global":
		return []string{"window count=" + one("count", "2", "3") + maybe("discard")}, []string{"a", "b"}
	case "pattern":
		lines = []string{"pattern", "begin a where a" + one("first", "", " oneOrMore", " times 2")}
		lines = append(lines, one("second", "followedBy b where b", "next b where b oneOrMore", "followedByAny b where b", "notFollowedBy n where n", "followedBy b where b optional"))
		if strings.HasPrefix(lines[2], "not") || rapid.Bool().Draw(t, "third") {
			lines = append(lines, "followedBy c where c")
		}
		lines = append(lines, "within "+span("within"))
		if s := one("skip", "", "skip past-last", "skip to-next"); s != "" {
			lines = append(lines, s)
		}
		return lines, []string{"a", "b", "c", "n"}
	case "interval":
		return []string{"interval lower=" + one("lower", "-2s", "0s", "-9s") + " upper=" + one("upper", "3s", "0s", "8s") + kind()}, []string{"a", "right x", "right y"}
	case "table":
		return []string{"table history=" + span("history") + one("kind", "", " kind=left")}, []string{"a", "b", "is x", "is y", "gone"}
	case "lookup":
		return []string{"lookup timeout=" + span("timeout") + one("tries", "", " tries=2", " tries=3") + one("flight", "", " flight=1", " flight=3") + maybe("unordered") + one("backoff", "", " backoff=1s")},
			[]string{"a", "b", "answer", "fails"}
	default:
		words = []string{
			"append", "append", "clear", "put 1", "put 2", "put 5", "delete 2", "empty", "add", "add", "event 900", "event 5000", "cancel-event",
		}
		g := "cells" + one("ttl", "", " ttl=1s", " ttl=6s") + maybe("clock")
		if strings.HasSuffix(g, " clock") {
			words = append(words, "clock 700", "clock 4000", "cancel-clock")
		}
		return []string{g}, words
	}
}

// drawnEvents is a log for a drawn graph: out of order, several events in a message, keys
// that repeat, times that repeat.
func drawnEvents(t *rapid.T, words []string) *enginetest.Log {
	rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 9))
	log, now := enginetest.NewLog(), int64(1_000_000)
	n := rapid.SampledFrom([]int{1, 5, 30, 90}).Draw(t, "messages")
	for seq := range n {
		var parts []string
		for range 1 + rng.IntN(4) {
			now += rng.Int64N(900)
			at := max(now-rng.Int64N(2500)*rng.Int64N(2), 0) / 100 * 100
			word := words[rng.IntN(len(words))]
			if word == "answer" || word == "fails" {
				word = fmt.Sprintf("%s %d/%d yes", word, 1+rng.IntN(seq+1), 1+rng.IntN(2))
			}
			key := fmt.Sprintf("k%d", rng.IntN(6))
			if rng.IntN(12) == 0 {
				key = "-"
			}
			parts = append(parts, fmt.Sprintf("%s %s %s", seconds(at), key, word))
		}
		log.Append(1, []byte(strings.Join(parts, ";")))
	}
	log.Append(1, []byte(seconds(now+60_000)+" -")) // time passes
	return log
}

// played is what a drawn graph leaves behind, in full.
func (g *golden) played(t *testing.T, rt *rapid.T, tunes []func(*engine.Options), crashes []int) string {
	s, n := openGolden(t, ""), &goldenNotes{all: map[uint64]string{}}
	defer func() { _ = s.Close() }()
	for run := 0; ; run++ {
		var c *crash
		if run < len(crashes) {
			c = &crash{left: crashes[run], after: crashes[run]%2 == 0}
		}
		if err := g.run(t, s, n, tunes[run%len(tunes)], c); err == nil {
			break
		} else if !errors.Is(err, errCrash) {
			rt.Fatal(err)
		}
	}
	text := n.text(t, s)
	dump, err := enginetest.Dump(s, state.SpaceCells, state.SpaceParts, state.SpaceTimers, state.SpaceOutbox)
	if err != nil {
		rt.Fatal(err)
	}
	return text + strings.Join(dump, "\n")
}

// TestDrawnGraphs draws windows, patterns, joins, lookups, collections with a time to live
// and deadlines of both kinds of time, and a log for them; one goroutine that never stops
// is the reference. At one, two and four goroutines, at any size of epochs, over crashes and
// resumes, every effect with its number and moment, and every byte of the state, is the same.
func TestDrawnGraphs(t *testing.T) {
	kinds := make(map[string]int)
	rapid.Check(t, func(rt *rapid.T) {
		lines, words := drawnGraph(rt)
		slack := time.Duration(rapid.SampledFrom([]int{1, 700, 2000}).Draw(rt, "slack")) * time.Millisecond
		g := &golden{graph: lines, slack: slack, log: drawnEvents(rt, words)}
		want := g.played(t, rt, []func(*engine.Options){func(o *engine.Options) { o.EpochEvents = 100_000 }}, nil)
		kinds[strings.Fields(lines[0])[0]] += strings.Count(want, "\n")
		for range 2 {
			var tunes []func(*engine.Options)
			for range rapid.IntRange(1, 3).Draw(rt, "runs") {
				workers := rapid.SampledFrom([]int{1, 2, 4}).Draw(rt, "goroutines")
				epoch, timers, rows := rapid.SampledFrom([]int{1, 2, 7, 1000}).Draw(rt, "epoch"), rapid.IntRange(1, 9).Draw(rt, "timers"), rapid.IntRange(1, 9).Draw(rt, "rows")
				tunes = append(tunes, func(o *engine.Options) {
					o.Parallel, o.EpochEvents, o.TimersOpen, o.OutboxMax = workers, epoch, timers, rows
				})
			}
			crashes := rapid.SliceOfN(rapid.IntRange(1, 25), 0, 4).Draw(rt, "crashes")
			if got := g.played(t, rt, tunes, crashes); got != want {
				rt.Fatalf("%q, crashes %v: got\n%s\nwant\n%s", lines, crashes, got, want)
			}
		}
	})
	t.Logf("lines of each kind: %v", kinds)
}
