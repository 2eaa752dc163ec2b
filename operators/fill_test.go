package operators_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"millrace/engine/enginetest"
	"millrace/operators"
)

// fillLog is a log of orders of people, of whom every tenth is nobody yet.
func fillLog(people int) *enginetest.Log {
	log := ttlLog{enginetest.NewLog()}
	for i := range 3 * people {
		who := fmt.Sprintf(`"userId":"u%d"`, i%people)
		if i%10 == 0 {
			who = fmt.Sprintf(`"anonymousId":"a%d"`, i%people)
		}
		log.see(float64(i)/1000, who, `,"type":"track","event":"Product Viewed","properties":{"product_id":"mug","category":"cups"}`)
	}
	return log.Log
}

// TestFillMessages: a fill reads up to its message and no further, goes on after a stop,
// makes the same messages each time, of bounded size, and what they hold is what a run had.
func TestFillMessages(t *testing.T) {
	const people, upto = 700, 1500
	set := ttlSet(t, "")
	log := fillLog(people)
	f := &operators.Filling{Set: set, Names: []string{"looked"}, Upto: upto, Pseudonyms: pseudonyms(t), Source: log, Store: memoryStore(t)}
	ctx, cancel := context.WithCancel(t.Context())
	furthest := uint64(0)
	f.Progress = func(seq uint64) {
		if furthest = seq; seq > upto/2 {
			cancel()
		}
	}
	if _, err := f.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("a run that was ended: %v", err)
	}
	cancel()
	f.Progress = func(seq uint64) { furthest = seq }
	p, err := f.Run(t.Context())
	if err != nil || furthest != upto {
		t.Fatalf("read to %d: %v", furthest, err)
	}
	var all [2][][]byte
	for round := range all {
		n, err := f.Each(p, func(n int, data []byte) error {
			if all[round] = append(all[round], bytes.Clone(data)); n != len(all[round]) {
				t.Errorf("message %d comes as number %d", len(all[round]), n)
			}
			return nil
		})
		if err != nil || n < people {
			t.Fatalf("%d keys: %v", n, err)
		}
	}
	if len(all[0]) < 2 || len(all[0]) != len(all[1]) {
		t.Fatalf("%d messages, then %d", len(all[0]), len(all[1]))
	}
	keys, visitors := 0, 0
	for i, data := range all[0] {
		if !bytes.Equal(data, all[1][i]) {
			t.Errorf("message %d is another one the second time", i)
		}
		got, err := operators.ReadFill(data, pseudonyms(t))
		if err != nil || got.Upto != upto || len(got.Keys) > 500 {
			t.Fatalf("message %d: %v", i, err)
		}
		keys += len(got.Keys)
		for _, k := range got.Keys {
			if k.Visitor {
				visitors++
			}
		}
		data[len(data)/2] ^= 1
		if _, err := operators.ReadFill(data, pseudonyms(t)); !errors.Is(err, operators.ErrFill) {
			t.Errorf("a changed message: %v", err)
		}
	}
	if keys-visitors != people*9/10 || visitors != people/10 {
		t.Errorf("%d keys, %d of them visitors", keys, visitors)
	}
	// A log that was trimmed beyond the fill has nothing for it.
	late := enginetest.NewLog()
	for _, m := range log.Messages() {
		late.Append(m.Time, m.Data)
	}
	late.Trim(upto + 10)
	g := *f
	g.Source, g.Store, g.Progress = late, memoryStore(t), nil
	limited, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	if p, err = g.Run(limited); err != nil {
		t.Fatal(err)
	}
	if n, err := g.Each(p, func(int, []byte) error { return nil }); n != 0 || err != nil {
		t.Errorf("%d keys of nothing: %v", n, err)
	}
}

func FuzzReadFill(f *testing.F) {
	names := pseudonyms(f)
	fill := operators.Fill{Upto: 7, Keys: []operators.FillKey{{Key: "k", Fields: []byte{1, 0, 0, 0, 0}}}}
	data, err := fill.Append(nil, names)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"mr":1,"kind":"fill","mac":"0","fill":{}}`))
	f.Add([]byte("{"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := operators.ReadFill(b, names)
		if err != nil {
			return
		}
		again, err := got.Append(nil, names)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := operators.ReadFill(again, names); err != nil {
			t.Fatal(err)
		}
	})
}
