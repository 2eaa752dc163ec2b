package bench_test

import (
	"fmt"
	"testing"

	"millrace/engine"
	"millrace/engine/enginetest"
	"millrace/operators"
	"millrace/operators/event"
	"millrace/operators/privacy"
	"millrace/operators/trigger"
	"millrace/state"
	"context"
	"time"
	"os"
	"runtime/pprof"
)

func TestTmp(t *testing.T) {
	n := benchEvents()
	log := enginetest.NewLog()
	for msg := range workload(n).All() {
		log.Append(1, append([]byte(nil), msg...))
	}
	dir := t.TempDir()
	store, err := state.Open(state.Options{Dir: dir})
	if err != nil { t.Fatal(err) }
	names, _ := privacy.NewPseudonyms(make([]byte, 32))
	p := operators.Build(operators.Options{Pseudonyms: names,
		Rules:      []trigger.Rule{{Pipeline: "cart-abandonment", ID: "abandoned", Kind: trigger.CartAbandoned, Content: "cart", AssumeConsent: true}},
	})
	ack := func(context.Context, *engine.View, engine.Row) (engine.Result, time.Duration, error) { return engine.Removed, 0, nil }
	e, err := engine.Open(t.Context(), engine.Options{
		Source: log, Store: store, Decoder: operators.NewDecoder(event.Options{}), Graph: p.Graph, Once: true,
		Handlers: map[string]engine.Handler{trigger.EffectMail: ack, operators.EffectDeadLetter: ack}, LogEnd: log.Last,
	})
	if err != nil { t.Fatal(err) }
	f, _ := os.Create("/tmp/cpu2.prof")
	pprof.StartCPUProfile(f)
	b := &testing.B{}
	before := cpu(b)
	if err := e.Run(t.Context()); err != nil { t.Fatal(err) }
	fmt.Println("cpu-s/M", (cpu(b)-before).Seconds()/float64(n)*1e6)
	pprof.StopCPUProfile()
	s := e.Stats()
	fmt.Println("commits", s.Commits, "writes/ev", float64(s.Changes)/float64(n), "B/ev", float64(s.Bytes)/float64(n))
	v := store.Snapshot()
	type agg struct{ n, b, max int }
	by := map[string]*agg{}
	v.Scan([]byte{state.SpaceCells}, nil, func(k, val []byte) bool {
		id := fmt.Sprintf("%x", k[2:4])
		a := by[id]; if a == nil { a = &agg{}; by[id] = a }
		a.n++; a.b += len(val); a.max = max(a.max, len(val))
		return true
	})
	raw, _, _ := v.Get(nil, []byte("\x01cells"))
	fmt.Println(string(raw))
	for id, a := range by { fmt.Println(id, a.n, "avg", a.b/a.n, "max", a.max) }
	v.Close(); store.Close()
}
