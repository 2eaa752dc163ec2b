package experiment_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"millrace/engine"
	"millrace/engine/enginetest"
	"millrace/operators/event"
	"millrace/operators/experiment"
	"millrace/state"
)

// live runs a log to its end while what comes of it is put into it: beliefs of optimisers,
// and the order of whoever orders. It answers the decisions in the order of the log.
func live(t testing.TB, running map[string]*experiment.Running, all []step, orders func(d *event.Decision, features []int64) bool) (processed, []event.Decision) {
	t.Helper()
	store, err := state.Open(state.Options{MemTable: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	log := enginetest.NewLog()
	put := func(s step) {
		raw, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		log.Append(s.At, raw)
	}
	rig := newRig(running, 0)
	var decisions []event.Decision
	var bought []step
	rig.decided = func(d *event.Decision, features []int64) {
		decisions = append(decisions, *d)
		if orders != nil && orders(d, features) {
			id := uint64(len(decisions))
			bought = append(bought, step{Key: d.Person, At: d.Decided + 1000, Outcome: &experiment.Outcome{
				ID: id, Name: experiment.OutcomeOrder, At: d.Decided + 1000, Amount: 1000,
			}})
		}
	}
	var words []step
	run := func() {
		e, err := engine.Open(t.Context(), engine.Options{
			Source: log, Store: store, Decoder: steps{}, Graph: rig.graph, Once: true, LogEnd: log.Last, OutOfOrder: time.Minute, Workers: 1,
			Handlers: map[string]engine.Handler{experiment.EffectSteer: func(_ context.Context, _ *engine.View, row engine.Row) (engine.Result, time.Duration, error) {
				var s event.Steer
				if err := json.Unmarshal(row.Body, &s); err != nil {
					return engine.Again, time.Hour, err
				}
				words = append(words, step{At: 1, Steer: &s})
				return engine.Removed, 0, nil
			}},
		})
		if err == nil {
			err = e.Run(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	const batch = 100 // people come while orders and beliefs are on their way
	for len(all) > 0 {
		n := min(batch, len(all))
		for _, s := range all[:n] {
			put(s)
		}
		all = all[n:]
		for _, s := range bought {
			put(s)
		}
		for _, s := range words {
			put(s)
		}
		bought, words = nil, nil
		run()
		if len(all) > 0 { // a graph is opened once
			next := newRig(running, 0)
			next.decided = rig.decided
			rig = next
		}
	}
	final := make(map[string]experiment.Progress)
	v := store.Snapshot()
	defer v.Close()
	for _, r := range running {
		p, _, err := rig.totals.Cell.View(v, r.Key())
		if err != nil {
			t.Fatal(err)
		}
		final[r.Key()] = p
	}
	return processed{read: func(key string) experiment.Progress { return final[key] }}, decisions
}

// liveOnce runs a log to its end in one go and answers what came of the only experiment.
func liveOnce(t testing.TB, running map[string]*experiment.Running, all []step) experiment.Progress {
	t.Helper()
	store, err := state.Open(state.Options{MemTable: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	log := enginetest.NewLog()
	for i := range all {
		raw, err := json.Marshal(all[i])
		if err != nil {
			t.Fatal(err)
		}
		log.Append(all[i].At, raw)
	}
	rig := newRig(running, 0)
	e, err := engine.Open(context.Background(), engine.Options{
		Source: log, Store: store, Decoder: steps{}, Graph: rig.graph, Once: true, LogEnd: log.Last, OutOfOrder: time.Minute, Workers: 1,
	})
	if err == nil {
		err = e.Run(context.Background())
	}
	if err != nil {
		t.Fatal(err)
	}
	v := store.Snapshot()
	defer v.Close()
	p, _, err := rig.totals.Cell.View(v, running["p"].Key())
	if err != nil {
		t.Fatal(err)
	}
	return p
}
