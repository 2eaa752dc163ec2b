package engine_test

import (
	"context"
	"testing"
	"time"

	"millrace/engine"
	"millrace/engine/enginetest"
	"millrace/state"
)

// word is a decoder that takes a message for one unit.
type word struct{}

// Decode implements engine.Decoder.
func (word) Decode(dst []engine.Unit, m *engine.Message) []engine.Unit {
	return append(dst, engine.Unit{Value: string(m.Data)})
}

// TestSettledInItsEpoch reads a decision and its receipt in one epoch, as after the
// restore of an older state: nothing is carried out again, and no receipt is waited for.
func TestSettledInItsEpoch(t *testing.T) {
	log := enginetest.NewLog()
	for _, m := range []string{"decide", "decide", "receipt"} {
		log.Append(1, []byte(m))
	}
	store, err := state.Open(state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	g := engine.NewGraph(func(c *engine.Ctx, u *engine.Unit) {
		if u.Value == "decide" {
			c.Effect("mail", "", nil)
			return
		}
		c.Settle(1)
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var rows []uint64
	e, err := engine.Open(ctx, engine.Options{
		Source: log, Store: store, Decoder: word{}, Graph: g, Once: true, LogEnd: log.Last, Workers: 1,
		Handlers: map[string]engine.Handler{"mail": func(_ context.Context, _ *engine.View, row engine.Row) (engine.Result, time.Duration, error) {
			if rows = append(rows, row.ID); row.ID == 1 {
				cancel() // its receipt will never come: end the run
				return engine.Reported, 0, nil
			}
			return engine.Removed, 0, nil
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if len(rows) != 1 || rows[0] != 2 {
		t.Fatalf("the rows %v were carried out, want only 2", rows)
	}
	v := store.Snapshot()
	defer v.Close()
	err = v.Scan([]byte{state.SpaceOutbox}, nil, func(key, _ []byte) bool {
		t.Errorf("row %x is left in the outbox", key)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
}
