package operators_test

import (
	"context"
	"encoding/json"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"millrace/engine"
	"millrace/engine/enginetest"
	"millrace/operators"
	"millrace/operators/event"
	"millrace/operators/trigger"
)

// sink carries out effects, and stalls when told to: whoever comes then waits.
type sink struct {
	mu     sync.Mutex
	stall  chan struct{} // closed when the stall is over
	dead   []uint64      // sequences of dead letters, in the order of arrival
	mails  map[string][]int64
	rows   map[uint64]int
	busy   map[string]bool
	broken string // what must not be
}

func (s *sink) handle(ctx context.Context, _ *engine.View, row engine.Row) (engine.Result, time.Duration, error) {
	s.enter(row)
	select {
	case <-s.stall:
	case <-ctx.Done():
		s.leave(row, false)
		return engine.Again, 0, ctx.Err()
	}
	s.leave(row, true)
	return engine.Removed, 0, nil
}

func (s *sink) enter(row engine.Row) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy[row.Lane] {
		s.broken = "two effects of a lane at a time"
	}
	s.busy[row.Lane] = true
}

func (s *sink) leave(row engine.Row, done bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy[row.Lane] = false
	if !done {
		return
	}
	s.rows[row.ID]++
	if row.Kind == operators.EffectDeadLetter {
		var d operators.DeadLetter
		if err := json.Unmarshal(row.Body, &d); err != nil {
			s.broken = err.Error()
		}
		s.dead = append(s.dead, d.Seq<<20|uint64(d.Index))
		return
	}
	s.mails[row.Lane] = append(s.mails[row.Lane], int64(row.ID))
}

// TestSinkStalls lets everything behind the outbox stand still for five minutes
// while more than a hundred thousand effects are decided.
func TestSinkStalls(t *testing.T) {
	enginetest.Bubble(t, func(t *testing.T) {
		w := newWorld(t, "cart-abandonment.yaml")
		defer w.close()
		s := &sink{stall: make(chan struct{}), mails: map[string][]int64{}, rows: map[uint64]int{}, busy: map[string]bool{}}
		const most = 10_000
		w.options = func(o *engine.Options) {
			o.OutboxMax = most
			o.Handlers = map[string]engine.Handler{trigger.EffectMail: s.handle, operators.EffectDeadLetter: s.handle}
		}
		w.start()
		const people = 500
		for i := range people { // their carts are left when the stall begins
			id := "p" + strconv.Itoa(i) // "0" alone is no id
			w.take(encode(t, object("type", "identify", "userId", id, "traits", object("email", id+"@example.com", "marketing_consent", true))))
			w.take(encode(t, object("type", "track", "event", "Product Added", "userId", id,
				"properties", object("product_id", "mug", "name", "mug", "price", 12.9, "cart_id", "c"))))
		}
		time.Sleep(2 * time.Hour)
		before := heap()
		const messages, items = 1040, 100
		junk := make([]event.Item, items)
		for i := range junk {
			junk[i].Raw = []byte(`{"type":"track","event":"Order Completed"}`) // whose?
		}
		for range messages {
			data := event.AppendEnvelope(nil, event.Header{ReceivedAt: time.Now().UnixMilli(), Source: "shop"}, junk)
			_, err := w.Log.Publish(t.Context(), "in.http", "", data)
			w.check(err)
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		st := w.Engine.Stats()
		if st.Unresolved < most || st.Unresolved > most+items {
			t.Errorf("%d effects wait, want %d and at most one message more", st.Unresolved, most)
		}
		if st.Position.Seq > 2*people+messages/2 {
			t.Errorf("the engine read on to %d while nothing could leave", st.Position.Seq)
		}
		// Two batches of the reader at 4 MB and their units, two more in the reader's prefetch,
		// 1,024 rows of the outbox, and Badger's memtables of 8 MB; the backlog itself is on disk.
		grown := int64(heap()) - int64(before)
		t.Logf("stalled at %d of %d effects, message %d; memory grew by %d MB", st.Unresolved, messages*items, st.Position.Seq, grown>>20)
		if grown > 64<<20 {
			t.Errorf("memory grew by %d MB while nothing could leave", grown>>20)
		}
		close(s.stall)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if len(s.dead) != messages*items || len(s.mails) != people || len(s.rows) != messages*items+people {
			t.Errorf("%d effects were carried out, %d dead letters, want %d; %d mails, want %d",
				len(s.rows), len(s.dead), messages*items, len(s.mails), people)
		}
		for i := 1; i < len(s.dead); i++ {
			if s.dead[i] <= s.dead[i-1] {
				t.Fatalf("dead letter %d came after %d", s.dead[i], s.dead[i-1])
			}
		}
		for id, n := range s.rows {
			if n != 1 {
				t.Fatalf("effect %d was carried out %d times", id, n)
			}
		}
		if s.broken != "" {
			t.Error(s.broken)
		}
	})
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
