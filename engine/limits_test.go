package engine_test

import (
	"testing"
	"time"

	"millrace/engine"
	"millrace/engine/enginetest"
	"millrace/state"
)

// TestLimits: what is reached is counted, and what is not is not.
func TestLimits(t *testing.T) {
	f := func(events, timers int, want map[string]bool) {
		t.Helper()
		log := enginetest.NewLog()
		for range 4000 {
			log.Append(1, []byte("x"))
		}
		store, err := state.Open(state.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		var stage *engine.Stage[string]
		n := 0
		g := engine.NewGraph(func(c *engine.Ctx, _ *engine.Unit) {
			n++
			stage.Send(c, string(rune('a'+n%20))+string(rune('a'+n/20%20))+string(rune('a'+n/400)), "")
		})
		stage = engine.AddStage[string](g, "stage")
		stage.Use("timer", later{})
		e, err := engine.Open(t.Context(), engine.Options{
			Source: log, Store: store, Decoder: word{}, Graph: g, Once: true, LogEnd: log.Last, EpochEvents: events, BacklogUnits: events, TimersOpen: timers,
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		for name, reached := range e.Limits() {
			if name != "read_ahead" && (reached > 0) != want[name] {
				t.Errorf("epochs of %d, %d timers in memory: %s was reached %d times", events, timers, name, reached)
			}
		}
		if used, limit := e.ValuesMemory(); used < 0 || limit <= 0 {
			t.Errorf("values take %d of %d bytes", used, limit)
		}
	}
	f(100_000, 100_000, nil)
	f(500, 100_000, map[string]bool{"epoch_units": true})
	f(100_000, 10, map[string]bool{"timers_memory": true})
}

// later sets a timer that never fires.
type later struct{}

// Process implements engine.Operator.
func (later) Process(c *engine.Ctx, _ string) {
	c.SetTimer(time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli(), "")
}

// Timer implements engine.TimerHandler.
func (later) Timer(*engine.Ctx, engine.Timer) {}
