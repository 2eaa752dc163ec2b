package operators_test

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"millrace/engine"
	"millrace/engine/enginetest"
	"millrace/operators/event"
)

// TestStateGoneLogCut loses the state, while the first half of the log is gone too: effects
// have other numbers than the receipts in the log name. The run ends, nobody is mailed twice, no
// decision is taken for another one that had its number, and each ends.
func TestStateGoneLogCut(t *testing.T) {
	f := func(pause time.Duration) {
		t.Helper()
		enginetest.Bubble(t, func(t *testing.T) {
			w := newWorld(t, "cart-abandonment.yaml")
			defer w.close()
			w.start()
			const people = 30
			cart := func(i int) {
				id := "p" + strconv.Itoa(i)
				w.take(encode(t, object("type", "identify", "userId", id, "traits", object("email", id+"@example.com", "marketing_consent", true))))
				w.take(encode(t, object("type", "track", "event", "Product Added", "userId", id,
					"properties", object("product_id", "mug", "name", "mug", "price", 12.9, "cart_id", "c"))))
			}
			var cut uint64
			for i := range people {
				cart(i)
				if i == people/2 {
					var err error
					cut, err = w.End(t.Context())
					w.check(err)
				}
				time.Sleep(time.Second)
			}
			for len(w.inbox.List(0, 100)) < people {
				time.Sleep(time.Second)
			}
			time.Sleep(5 * time.Second) // their receipts are read
			synctest.Wait()
			if st := w.Engine.Stats(); st.Unresolved+st.Reported > 0 {
				t.Fatalf("%+v", st)
			}
			w.check(w.Log.Purge(t.Context(), cut))
			w.stop()
			w.check(os.RemoveAll(filepath.Join(w.dir, "state")))
			time.Sleep(pause)
			w.options = func(o *engine.Options) { o.Once, o.Tick = true, nil }
			w.start()
			time.Sleep(24 * time.Hour)
			if st := w.Engine.Stats(); st.Unresolved+st.Reported > 0 {
				t.Errorf("it does not end: %d effects wait, of %d the receipt", st.Unresolved, st.Reported)
				w.check(w.Halt())
			}
			w.check(w.Wait())
			if n := len(w.inbox.List(0, 100)); n != people {
				t.Errorf("%d mails after the state was lost, want %d", n, people)
			}
			ended, pending, skipped := 0, 0, 0
			v := w.Engine.View()
			defer v.Close()
			for i := range people {
				all, err := w.pipeline.Decisions(v, "p"+strconv.Itoa(i))
				w.check(err)
				for _, d := range all {
					switch d.Outcome {
					case event.Sent:
						ended++
					case event.Pending:
						pending++
					default: // of whom the cut log knows no address
						skipped++
					}
				}
			}
			if ended != people/2-1 || pending > 0 || skipped > 1 {
				t.Errorf("%d decisions ended, %d did not, %d were skipped", ended, pending, skipped)
			}
		})
	}
	f(0) // the log still knows the ids of the receipts that it got
	f(time.Hour)
}
