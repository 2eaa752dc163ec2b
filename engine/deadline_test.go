package engine_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"millrace/engine"
	"millrace/engine/enginetest"
	"millrace/state"
)

// alarms is the state of a key: a deadline in event time, one in processing time, and
// when each was over.
type alarms struct {
	event, clock engine.Deadline
	over         string
}

func (a *alarms) AppendTo(b []byte) []byte {
	for _, d := range []*engine.Deadline{&a.event, &a.clock} {
		raw := d.AppendTo(nil)
		b = append(binary.AppendUvarint(b, uint64(len(raw))), raw...)
	}
	return append(b, a.over...)
}

func (a *alarms) DecodeFrom(b []byte) error {
	for _, d := range []*engine.Deadline{&a.event, &a.clock} {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > uint64(len(b)-size) {
			return engine.ErrDeadline
		}
		if err := d.DecodeFrom(b[size : size+int(n)]); err != nil { //nolint:gosec // bounded
			return err
		}
		b = b[size+int(n):] //nolint:gosec // bounded
	}
	a.over = string(b)
	return nil
}

// order is a message: what to do with a key's deadline.
type order struct {
	at, received int64
	key, verb    string
	due          int64
}

func (o *order) String() string {
	return fmt.Sprintf("%d %d %s %s %d", o.at, o.received, o.key, o.verb, o.due)
}

type orders struct{}

func (orders) Decode(dst []engine.Unit, m *engine.Message) []engine.Unit {
	o := &order{}
	if _, err := fmt.Sscan(string(m.Data), &o.at, &o.received, &o.key, &o.verb, &o.due); err != nil {
		panic(err)
	}
	return append(dst, engine.Unit{Time: o.at, Received: o.received, Value: o})
}

// alarmist sets, moves and cancels deadlines as it is told.
type alarmist struct{ cell *state.Cell[alarms, *alarms] }

func (a alarmist) Process(c *engine.Ctx, o *order) {
	s := engine.Value(c, a.cell)
	switch o.verb {
	case "event":
		s.event.Set(c, o.due, "e")
	case "clock":
		s.clock.SetProcessing(c, o.due, "c")
	case "cancel-event":
		s.event.Cancel()
	case "cancel-clock":
		s.clock.Cancel()
	default:
		return
	}
	engine.Changed(c, a.cell)
}

func (a alarmist) Timer(c *engine.Ctx, t engine.Timer) {
	s := engine.Value(c, a.cell)
	seq, _ := c.Position()
	d := &s.event
	if t.Processing {
		d = &s.clock
	}
	due, _ := d.At()
	if d.Fired(c, t) {
		s.over += fmt.Sprintf("%s%d@%d ", t.Tag, due, seq)
	}
	engine.Changed(c, a.cell)
}

func alarmGraph() (*engine.Graph, *state.Cell[alarms, *alarms]) {
	cell := state.NewCell[alarms]("alarms", 4)
	var stage *engine.Stage[*order]
	g := engine.NewGraph(func(c *engine.Ctx, u *engine.Unit) {
		o, _ := u.Value.(*order)
		stage.Send(c, o.key, o)
	})
	stage = engine.AddStage[*order](g, "person")
	stage.Use("alarm", alarmist{cell})
	g.Keep(cell)
	return g, cell
}

// naiveAlarms is what should come of a log: at each message every deadline that is over is
// noted, then the message is carried out.
func naiveAlarms(log []order, outOfOrder int64) map[string][]string {
	over := map[string][]string{}
	deadlines := map[string]int64{} // "event key"
	mark, clock := int64(-1<<62), int64(0)
	for i := range log {
		o := &log[i]
		mark, clock = max(mark, o.at-outOfOrder), max(clock, o.received)
		for name, due := range deadlines {
			kind, key, _ := strings.Cut(name, " ")
			if kind == "event" && due <= mark || kind == "clock" && due <= clock {
				over[key] = append(over[key], fmt.Sprintf("%c%d@%d", kind[0], due, i+1))
				delete(deadlines, name)
			}
		}
		switch kind, cancelled := strings.CutPrefix(o.verb, "cancel-"); {
		case cancelled:
			delete(deadlines, kind+" "+o.key)
		case o.verb != "nothing":
			deadlines[o.verb+" "+o.key] = o.due
		}
	}
	return over
}

// TestDeadlines: deadlines in both kinds of time, moved and cancelled at will, are over
// exactly once, at the position where their time has come, also with restarts in between
// and epochs of any size.
func TestDeadlines(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		store, err := state.Open(state.Options{Virtual: true, MemTable: 8 << 20})
		if err != nil {
			rt.Fatal(err)
		}
		defer func() { _ = store.Close() }()
		log := enginetest.NewLog()
		var all []order
		at := int64(1000)
		read := func() {
			g, _ := alarmGraph()
			e, err := engine.Open(t.Context(), engine.Options{
				Source: log, Store: store, Decoder: orders{}, Graph: g, OutOfOrder: 5 * time.Millisecond, Once: true, LogEnd: log.Last,
				EpochEvents: rapid.IntRange(1, 8).Draw(rt, "epoch"), TimersOpen: 2,
			})
			if err != nil {
				rt.Fatal(err)
			}
			if err := e.Run(t.Context()); err != nil {
				rt.Fatal(err)
			}
		}
		for range rapid.IntRange(1, 30).Draw(rt, "messages") {
			at += rapid.Int64Range(0, 10).Draw(rt, "pass")
			o := order{
				at: at - rapid.Int64Range(0, 8).Draw(rt, "lag"), received: at, key: rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "key"),
				verb: rapid.SampledFrom([]string{"event", "clock", "cancel-event", "cancel-clock", "nothing"}).Draw(rt, "verb"),
				due:  at + rapid.Int64Range(-10, 40).Draw(rt, "due"),
			}
			all = append(all, o)
			log.Append(at, []byte(o.String()))
			if rapid.IntRange(0, 4).Draw(rt, "restart") == 0 {
				read()
			}
		}
		read()
		g, cell := alarmGraph()
		view, err := engine.OpenView(store, g)
		if err != nil {
			rt.Fatal(err)
		}
		v := view()
		defer v.Close()
		want := naiveAlarms(all, 5)
		for _, key := range []string{"a", "b"} {
			s, _, err := engine.Read(v, cell, key)
			if err != nil {
				rt.Fatal(err)
			}
			got := strings.Fields(s.over)
			slices.Sort(got)
			slices.Sort(want[key])
			if !slices.Equal(got, want[key]) {
				rt.Fatalf("%s: got %v, want %v, of %v", key, got, want[key], all)
			}
		}
	})
}

// TestClock wants a timer of processing time to fire when its time has come although the
// log holds nothing but what has no receive time, and then without moving the watermark.
func TestClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, log := openStore(t), enginetest.NewLog()
		now := func() int64 { return time.Now().UnixMilli() }
		g, cell := alarmGraph()
		clocks := 0
		e, stop := run(t, engine.Options{
			Source: log, Store: store, Decoder: orders{}, Graph: g, OutOfOrder: time.Second,
			Tick: func(context.Context, int64) error {
				t.Error("a tick in a log that is not quiet")
				return nil
			},
			Clock: func(_ context.Context, at int64) error {
				clocks++
				log.Append(now(), []byte((&order{received: at, key: "p", verb: "nothing"}).String()))
				return nil
			},
		})
		start := now()
		log.Append(start, []byte((&order{at: start, received: start, key: "p", verb: "clock", due: start + 60_000}).String()))
		for range 120 { // receipts and the like
			time.Sleep(time.Second)
			log.Append(now(), []byte((&order{key: "q", verb: "nothing"}).String()))
		}
		synctest.Wait()
		v := e.View()
		s, _, err := engine.Read(v, cell, "p")
		v.Close()
		if err != nil || clocks != 1 || !strings.HasPrefix(s.over, fmt.Sprintf("c%d@", start+60_000)) {
			t.Errorf("%d clock messages, %q, %v", clocks, s.over, err)
		}
		if mark := e.Stats().Watermark; mark != start-1000 {
			t.Errorf("the watermark moved by %d ms", mark-start+1000)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzDeadline(f *testing.F) {
	f.Add((&engine.Deadline{}).AppendTo(nil))
	f.Add([]byte{1, 3, 2, 4})
	f.Fuzz(func(t *testing.T, raw []byte) {
		var d engine.Deadline
		if d.DecodeFrom(raw) != nil {
			return
		}
		if err := new(engine.Deadline).DecodeFrom(d.AppendTo(nil)); err != nil {
			t.Fatal(err)
		}
	})
}
