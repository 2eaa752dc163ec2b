package engine_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"millrace/engine"
	"millrace/engine/enginetest"
)

// count is a codec of whole numbers.
func count() engine.EventCodec[int64] {
	return engine.EventCodec[int64]{
		Append: binary.AppendVarint,
		Decode: func(b []byte) (int64, error) {
			v, n := binary.Varint(b)
			if n <= 0 {
				return 0, errors.New("no number")
			}
			return v, nil
		},
	}
}

// A word counter: a function that splits lines, and a stage that counts each word.
func ExampleFunc() {
	rig, err := enginetest.NewRig(func(g *engine.Graph, lines *engine.Stage[string]) {
		words := engine.AddStage[string](g, "word")
		lines.Use("split", engine.Func[string, string]{To: words, Do: func(_ *engine.Ctx, line string, out engine.Output[string]) {
			for _, word := range strings.Fields(line) {
				out.Send(word, word)
			}
		}})
		total := engine.NewReducingState(words, "total", engine.ReducingOptions[int64]{
			Codec: count(), Reduce: func(a, b int64) int64 { return a + b },
		})
		words.Use("count", engine.Func[string, string]{Do: func(c *engine.Ctx, word string, _ engine.Output[string]) {
			c.Effect("count", word, fmt.Append(nil, total.Add(c, 1)))
		}})
	}, "count")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = rig.Close() }()
	rig.Send(1000, "page", "to be or not to be")
	effects, err := rig.Run(context.Background())
	fmt.Println(strings.Join(effects, "\n"), err)
	// Output:
	// count to: 1
	// count be: 1
	// count or: 1
	// count not: 1
	// count to: 2
	// count be: 2 <nil>
}

// A timer: who was silent for a minute is said good-bye to. The deadline stands in the
// state; a timer that comes too early sets itself again.
func ExampleFunc_timer() {
	rig, err := enginetest.NewRig(func(_ *engine.Graph, people *engine.Stage[string]) {
		last := engine.NewReducingState(people, "last", engine.ReducingOptions[int64]{
			Codec: count(), Reduce: func(a, b int64) int64 { return max(a, b) },
		})
		people.Use("silence", engine.Func[string, string]{
			Do: func(c *engine.Ctx, _ string, _ engine.Output[string]) {
				c.SetTimer(last.Add(c, c.Newest()+time.Minute.Milliseconds()), "")
			},
			Due: func(c *engine.Ctx, t engine.Timer, _ engine.Output[string]) {
				if deadline, ok := last.Get(c); ok && deadline == t.Due {
					c.Effect("bye", c.Key(), []byte("see you"))
				}
			},
		})
	}, "bye")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = rig.Close() }()
	rig.Send(1_000, "ann", "hello")
	rig.Send(41_000, "ann", "still here")
	rig.Advance(100_999)
	fmt.Println(rig.Run(context.Background()))
	rig.Advance(101_000)
	fmt.Println(rig.Run(context.Background()))
	// Output:
	// [] <nil>
	// [bye ann: see you] <nil>
}

// A join with a table: views meet the price that held when they happened.
func ExampleNewTableJoinOperator() {
	type price = engine.Version[act]
	rig, err := enginetest.NewRig(func(g *engine.Graph, items *engine.Stage[engine.Either[act, price]]) {
		join, err := engine.NewTableJoin(engine.TableOptions[act, act]{Kind: engine.JoinLeft, Row: actCodec(), Version: actCodec(), History: time.Minute})
		if err != nil {
			panic(err)
		}
		op := engine.NewTableJoinOperator(engine.TableJoinOptions[act, act]{
			Cell: "stage/price", Join: join,
			RowAt: func(a act) int64 { return a.At }, VersionAt: func(a act) int64 { return a.At },
			Emit: func(c *engine.Ctx, r engine.JoinResult[act, act]) {
				c.Effect("view", c.Key(), fmt.Appendf(nil, "%s at %d", r.Left.Who, r.Right.N))
			},
		})
		g.Keep(op.Cell)
		items.Use("price", op)
	}, "view")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = rig.Close() }()
	rig.Send(1000, "mug", engine.RightOf[act](price{Value: act{At: 1000, N: 12}}))
	rig.Send(2000, "mug", engine.LeftOf[act, price](act{At: 2000, Who: "ann"}))
	rig.Send(3000, "mug", engine.RightOf[act](price{Value: act{At: 3000, N: 9}}))
	rig.Send(3500, "mug", engine.LeftOf[act, price](act{At: 3500, Who: "bob"}))
	rig.Advance(4000)
	effects, err := rig.Run(context.Background())
	fmt.Println(strings.Join(effects, "\n"), err)
	// Output:
	// view mug: ann at 12
	// view mug: bob at 9 <nil>
}

// Values of a cell change their form: prices were whole, and are cents now.
func ExampleVersioned() {
	old := engine.Versioned(count())
	now := engine.Versioned(count(), func(whole []byte) ([]byte, error) {
		v, err := count().Decode(whole)
		return binary.AppendVarint(nil, 100*v), err
	})
	fmt.Println(now.Decode(old.Append(nil, 12)))
	fmt.Println(now.Decode(now.Append(nil, 1250)))
	_, err := old.Decode(now.Append(nil, 1250))
	fmt.Println(err)
	// Output:
	// 1200 <nil>
	// 1250 <nil>
	// a value of schema 2, known is 1: the value was written by a newer millrace
}

// A list of the last three things, for each key, which goes a day after the last.
func ExampleNewListState() {
	rig, err := enginetest.NewRig(func(_ *engine.Graph, people *engine.Stage[string]) {
		seen := engine.NewListState(people, "seen", engine.ListOptions[string]{Codec: words(), Max: 3, TTL: 24 * time.Hour})
		people.Use("see", engine.Func[string, string]{Do: func(c *engine.Ctx, item string, _ engine.Output[string]) {
			seen.Append(c, item)
			c.Effect("seen", c.Key(), []byte(strings.Join(seen.All(c), " ")))
		}})
	}, "seen")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = rig.Close() }()
	for i, item := range []string{"mug", "pot", "cup", "jug"} {
		rig.Send(int64(1000+i), "ann", item)
	}
	rig.Send(90_000_000, "ann", "pan")
	effects, err := rig.Run(context.Background())
	fmt.Println(strings.Join(effects[3:], "\n"), err)
	// Output:
	// seen ann: pot cup jug
	// seen ann: pan <nil>
}

// A map of what lies in each cart, by product.
func ExampleNewMapState() {
	rig, err := enginetest.NewRig(func(_ *engine.Graph, carts *engine.Stage[string]) {
		lines := engine.NewMapState(carts, "lines", engine.MapOptions[int64]{Codec: count(), Max: 100})
		carts.Use("fill", engine.Func[string, string]{Do: func(c *engine.Ctx, item string, _ engine.Output[string]) {
			n, _ := lines.Get(c, item)
			lines.Put(c, item, n+1)
			var b []byte
			for name, n := range lines.All(c) {
				b = fmt.Appendf(b, "%d×%s ", n, name)
			}
			c.Effect("cart", c.Key(), b)
		}})
	}, "cart")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = rig.Close() }()
	for _, item := range []string{"pot", "mug", "pot"} {
		rig.Send(1000, "ann", item)
	}
	effects, err := rig.Run(context.Background())
	fmt.Println(effects[2], err)
	// Output:
	// cart ann: 1×mug 2×pot  <nil>
}
