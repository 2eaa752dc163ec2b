package engine_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"millrace/engine"
)

// goldenGraphs make the graphs of scenarios, from the lines of their part "graph".
var goldenGraphs = map[string]func(b *goldenBuild) *engine.Graph{
	"window":   goldenWindow,   // options as name=value, or a name alone
	"pattern":  goldenPattern,  // steps, one a line
	"interval": goldenInterval, // lower=, upper=, kind=
	"table":    goldenTable,    // history=, kind=, versions=
	"lookup":   goldenLookup,   // timeout=, tries=, flight=, unordered
	"cells":    goldenCells,    // ttl=
}

// goldenBuild makes one graph.
type goldenBuild struct {
	t     *testing.T
	opts  map[string]string
	lines []string
}

func (g *golden) build(t *testing.T) *engine.Graph {
	t.Helper()
	b := &goldenBuild{t: t, opts: map[string]string{}, lines: g.graph[1:]}
	f := strings.Fields(g.graph[0])
	for _, word := range f[1:] {
		name, value, _ := strings.Cut(word, "=")
		b.opts[name] = value
	}
	build := goldenGraphs[f[0]]
	if build == nil {
		t.Fatalf("there is no graph %q", f[0])
	}
	graph := build(b)
	for name := range b.opts {
		t.Fatalf("graph %q has no option %q", f[0], name)
	}
	return graph
}

// has takes an option without a value.
func (b *goldenBuild) has(name string) bool {
	_, ok := b.opts[name]
	delete(b.opts, name)
	return ok
}

// span takes a length of time.
func (b *goldenBuild) span(name string) time.Duration {
	b.t.Helper()
	s, ok := b.opts[name]
	delete(b.opts, name)
	if !ok {
		return 0
	}
	return goldenSpan(b.t, s)
}

// count takes a number.
func (b *goldenBuild) count(name string) int {
	b.t.Helper()
	s, ok := b.opts[name]
	delete(b.opts, name)
	if !ok {
		return 0
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

func (b *goldenBuild) kind() engine.JoinKind {
	b.t.Helper()
	s := b.opts["kind"]
	delete(b.opts, "kind")
	k, ok := map[string]engine.JoinKind{"": engine.JoinInner, "inner": engine.JoinInner, "left": engine.JoinLeft, "outer": engine.JoinOuter}[s]
	if !ok {
		b.t.Fatalf("there is no join of kind %q", s)
	}
	return k
}

// note emits what came of something.
func note(c *engine.Ctx, format string, args ...any) {
	c.Effect("note", c.Key(), fmt.Appendf(nil, "%s "+format, append([]any{c.Key()}, args...)...))
}

// keyed makes a graph whose root sends things to a stage that in fits to its operator.
func keyed[T any](stage **engine.Stage[T], in func(c *engine.Ctx, v thing) T) *engine.Graph {
	g := engine.NewGraph(func(c *engine.Ctx, u *engine.Unit) {
		switch v := u.Value.(type) {
		case error:
			c.Fail(v)
		case thing:
			if v.key != "-" {
				(*stage).Send(c, v.key, in(c, v))
			}
		}
	})
	*stage = engine.AddStage[T](g, "keys")
	return g
}

func same(_ *engine.Ctx, v thing) thing { return v }

// spoken is an accumulator: the words in the order in which they came, sessions that
// became one in the order of their times.
type spoken struct{ words []string }

// AppendTo implements state.Codec.
func (s *spoken) AppendTo(b []byte) []byte {
	b = binary.AppendUvarint(append(b, 1), uint64(len(s.words)))
	for _, w := range s.words {
		b = append(binary.AppendUvarint(b, uint64(len(w))), w...)
	}
	return b
}

// DecodeFrom implements state.Codec.
func (s *spoken) DecodeFrom(b []byte) error {
	bad := errors.New("stored words are damaged")
	*s = spoken{}
	if len(b) < 2 || b[0] != 1 {
		return bad
	}
	n, at := binary.Uvarint(b[1:])
	for b = b[1+at:]; n > 0; n-- {
		l, at := binary.Uvarint(b)
		if at <= 0 || uint64(len(b)-at) < l {
			return bad
		}
		s.words, b = append(s.words, string(b[at:at+int(l)])), b[at+int(l):] //nolint:gosec // bounded above
	}
	return nil
}

// goldenWindow collects words in windows. The word "!" asks for a pane at once if the
// graph says punctuation.
func goldenWindow(b *goldenBuild) *engine.Graph {
	o := engine.WindowOptions{
		Size: b.span("size"), Slide: b.span("slide"), Offset: b.span("offset"), Gap: b.span("gap"), Longest: b.span("longest"),
		Lateness: b.span("lateness"), EveryCount: b.count("count"), Every: b.span("every"), Discard: b.has("discard"),
		Retract: b.has("retract"), OnChange: b.has("onchange"), MaxOpen: b.count("maxopen"),
	}
	words := engine.Aggregate[thing, spoken, string]{
		Add:    func(s *spoken, v thing) { s.words = append(s.words, v.word()) },
		Merge:  func(s, newer *spoken) { s.words = append(s.words, newer.words...) },
		Result: func(s *spoken) string { return strings.Join(s.words, " ") },
	}
	if b.has("punctuation") {
		words.Emit = func(v thing) bool { return v.word() == "!" }
	}
	op, err := engine.NewWindowOperator("keys/words", o, words, engine.WindowHooks[thing, string]{
		At: func(v thing) int64 { return v.at },
		Pane: func(c *engine.Ctx, p engine.Pane[string]) {
			value := p.Value
			if p.Empty {
				value = "(empty)"
			}
			note(c, "[%s, %s) %s: %s", seconds(p.Start), seconds(p.End), p.Kind, value)
		},
		Late: func(c *engine.Ctx, v thing, l engine.Late) {
			note(c, "late %s: %s, misses %d", v.word(), l.Why, l.Missed)
		},
	}, 1)
	if err != nil {
		b.t.Fatal(err)
	}
	var stage *engine.Stage[thing]
	g := keyed(&stage, same)
	stage.Use("words", op)
	g.Keep(op.Cell)
	return g
}

// goldenPattern looks for a pattern. A line is a step, "begin cart", with what it takes
// behind it, "where cart" (any word of one) and counts; or "within 10s", "skip past-last".
func goldenPattern(b *goldenBuild) *engine.Graph {
	var p *engine.PatternBuilder[thing]
	for _, line := range b.lines {
		f := strings.Fields(line)
		switch f[0] {
		case "begin":
			p = engine.BeginPattern[thing](f[1])
		case "next":
			p.Next(f[1])
		case "followedBy":
			p.FollowedBy(f[1])
		case "followedByAny":
			p.FollowedByAny(f[1])
		case "notNext":
			p.NotNext(f[1])
		case "notFollowedBy":
			p.NotFollowedBy(f[1])
		case "within":
			p.Within(goldenSpan(b.t, f[1]))
			continue
		case "skip":
			p.Skip(b.skip(f[1:]))
			continue
		default:
			b.t.Fatalf("there is no step %q", line)
		}
		b.step(p, f[2:])
	}
	pattern, err := p.Build()
	if err != nil {
		b.t.Fatal(err)
	}
	op := engine.NewPatternOperator(engine.PatternOptions[thing]{
		Cell: "keys/pattern", Pattern: pattern, Codec: goldenCodec(), CacheMax: 1,
		At: func(v thing) int64 { return v.at },
		Emit: func(c *engine.Ctx, r engine.PatternResult[thing]) {
			var all []string
			for _, e := range r.Events {
				all = append(all, fmt.Sprintf("%s=%s@%s", e.Step, e.Value.word(), seconds(e.Time)))
			}
			note(c, "%s at %s: %s", r.Outcome, seconds(r.Time), strings.Join(all, " "))
		},
	})
	var stage *engine.Stage[thing]
	g := keyed(&stage, same)
	stage.Use("pattern", op)
	g.Keep(op.Cell)
	return g
}

func (b *goldenBuild) skip(f []string) engine.SkipStrategy {
	b.t.Helper()
	switch f[0] {
	case "to-next":
		return engine.SkipToNext()
	case "past-last":
		return engine.SkipPastLast()
	case "to-first":
		return engine.SkipToFirst(f[1])
	case "to-last":
		return engine.SkipToLast(f[1])
	}
	b.t.Fatalf("there is no skip strategy %q", f[0])
	return engine.NoSkip()
}

// step adds what a step takes.
func (b *goldenBuild) step(p *engine.PatternBuilder[thing], f []string) {
	b.t.Helper()
	number := func() int {
		n, err := strconv.Atoi(f[1])
		if err != nil {
			b.t.Fatal(err)
		}
		f = f[1:]
		return n
	}
	for ; len(f) > 0; f = f[1:] {
		switch f[0] {
		case "where":
			kind := f[1]
			p.Where(func(v thing) bool { return len(v.words) > 0 && v.words[0] == kind })
			f = f[1:]
		case "more": // than what the step before took last, both a word with a number
			step := f[1]
			p.WhereMatched(func(v thing, m *engine.Matched[thing]) bool {
				before, ok := m.Last(step)
				return ok && number2(v) > number2(before)
			})
			f = f[1:]
		case "until":
			kind := f[1]
			p.Until(func(v thing) bool { return len(v.words) > 0 && v.words[0] == kind })
			f = f[1:]
		case "gap":
			p.Gap(goldenSpan(b.t, f[1]))
			f = f[1:]
		case "times":
			p.Times(number())
		case "timesOrMore":
			p.TimesOrMore(number())
		case "between":
			least := number()
			p.TimesBetween(least, number())
		case "oneOrMore":
			p.OneOrMore()
		case "optional":
			p.Optional()
		case "greedy":
			p.Greedy()
		case "consecutive":
			p.Consecutive()
		case "combinations":
			p.AllowCombinations()
		default:
			b.t.Fatalf("a step has no %q", f[0])
		}
	}
}

// number2 is the number behind the first word, or 0.
func number2(v thing) int {
	if len(v.words) < 2 {
		return 0
	}
	n, _ := strconv.Atoi(v.words[1])
	return n
}

// joined says what came of a join.
func joined(c *engine.Ctx, r engine.JoinResult[thing, thing]) {
	side := func(has bool, at int64, v thing) string {
		if !has {
			return "-"
		}
		return v.word() + "@" + seconds(at)
	}
	note(c, "%s: %s with %s", r.Outcome, side(r.HasLeft, r.LeftAt, r.Left), side(r.HasRight, r.RightAt, r.Right))
}

func thingAt(v thing) int64 { return v.at }

// sided sends what begins with a word to the right side of a join, without that word.
func sided(right string) func(*engine.Ctx, thing) engine.Either[thing, thing] {
	return func(_ *engine.Ctx, v thing) engine.Either[thing, thing] {
		if v.words[0] == right {
			return engine.RightOf[thing](thing{v.at, v.key, v.words[1:]})
		}
		return engine.LeftOf[thing, thing](v)
	}
}

// goldenInterval joins words with those that stand behind "right".
func goldenInterval(b *goldenBuild) *engine.Graph {
	join, err := engine.NewIntervalJoin(engine.IntervalOptions[thing, thing]{
		Lower: b.span("lower"), Upper: b.span("upper"), Kind: b.kind(), Max: b.count("max"), Left: goldenCodec(), Right: goldenCodec(),
	})
	if err != nil {
		b.t.Fatal(err)
	}
	op := engine.NewIntervalJoinOperator(engine.IntervalJoinOptions[thing, thing]{
		Cell: "keys/interval", Join: join, LeftAt: thingAt, RightAt: thingAt, Emit: joined, CacheMax: 1,
	})
	var stage *engine.Stage[engine.Either[thing, thing]]
	g := keyed(&stage, sided("right"))
	stage.Use("interval", op)
	g.Keep(op.Cell)
	return g
}

// goldenTable joins words with the versions of a table, "is WORD" and "gone".
func goldenTable(b *goldenBuild) *engine.Graph {
	join, err := engine.NewTableJoin(engine.TableOptions[thing, thing]{
		Kind: b.kind(), History: b.span("history"), Versions: b.count("versions"), Pending: b.count("pending"), Row: goldenCodec(), Version: goldenCodec(),
	})
	if err != nil {
		b.t.Fatal(err)
	}
	op := engine.NewTableJoinOperator(engine.TableJoinOptions[thing, thing]{
		Cell: "keys/table", Join: join, RowAt: thingAt, VersionAt: thingAt, Emit: joined, CacheMax: 1,
	})
	var stage *engine.Stage[engine.Either[thing, engine.Version[thing]]]
	g := keyed(&stage, func(_ *engine.Ctx, v thing) engine.Either[thing, engine.Version[thing]] {
		switch v.words[0] {
		case "is":
			return engine.RightOf[thing](engine.Version[thing]{Value: thing{v.at, v.key, v.words[1:]}})
		case "gone":
			return engine.RightOf[thing](engine.Version[thing]{Value: v, Deleted: true})
		}
		return engine.LeftOf[thing, engine.Version[thing]](v)
	})
	stage.Use("table", op)
	g.Keep(op.Cell)
	return g
}

// goldenLookup asks about words. An answer is an event as all others: "answer 3/1 yes" is
// that to the first try of the question of line 3, "fails 3/1" that there was none.
func goldenLookup(b *goldenBuild) *engine.Graph {
	lookup := engine.NewLookup(engine.LookupOptions[thing]{
		Input: goldenCodec(), Unordered: b.has("unordered"), Flight: b.count("flight"), Waiting: b.count("waiting"), Tries: b.count("tries"),
		Timeout: b.span("timeout"), Backoff: engine.Backoff{Base: b.span("backoff")},
	})
	op := engine.NewLookupOperator(engine.LookupOperatorOptions[thing]{
		Cell: "keys/lookup", Kind: "ask", Lookup: lookup, CacheMax: 1,
		Emit: func(c *engine.Ctx, r engine.LookupResult[thing]) {
			note(c, "%s after %d: %s, %q", r.Outcome, r.Tries, r.Input.word(), r.Body)
		},
	})
	var stage *engine.Stage[engine.Either[thing, engine.LookupAnswer]]
	g := keyed(&stage, func(_ *engine.Ctx, v thing) engine.Either[thing, engine.LookupAnswer] {
		if v.words[0] != "answer" && v.words[0] != "fails" {
			return engine.LeftOf[thing, engine.LookupAnswer](v)
		}
		a := engine.LookupAnswer{Key: v.key, Failed: v.words[0] == "fails", Body: []byte(strings.Join(v.words[2:], " "))}
		if _, err := fmt.Sscanf(v.words[1], "%d/%d", &a.ID.Seq, &a.Try); err != nil {
			b.t.Error(err)
		}
		return engine.RightOf[thing](a)
	})
	stage.Use("lookup", op)
	g.Keep(op.Cell)
	return g
}
