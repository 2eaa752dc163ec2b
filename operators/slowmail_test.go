package operators_test

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"millrace/engine"
	"millrace/engine/enginetest"
)

// TestSlowMailServer lets the mail server take connections and never say a word for six
// hours, while more mails are decided than the outbox may hold: reading stops, memory stays
// as it is, and when the server answers again everybody gets one mail.
func TestSlowMailServer(t *testing.T) {
	enginetest.Bubble(t, func(t *testing.T) {
		w := newWorld(t, "cart-abandonment.yaml")
		defer w.close()
		const most, people = 50, 400
		w.options = func(o *engine.Options) { o.OutboxMax = most }
		w.start()
		w.hang.Store(true)
		before := heap()
		for i := range people {
			id := "p" + strconv.Itoa(i)
			w.take(encode(t, object("type", "identify", "userId", id, "traits", object("email", id+"@example.com", "marketing_consent", true))))
			w.take(encode(t, object("type", "track", "event", "Product Added", "userId", id,
				"properties", object("product_id", "mug", "name", "mug", "price", 12.9, "cart_id", "c"))))
			time.Sleep(time.Minute) // so that carts are left one after the other
		}
		synctest.Wait()
		st := w.Engine.Stats()
		end, err := w.End(t.Context())
		w.check(err)
		if st.Unresolved < most || st.Unresolved > 2*most || st.Position.Seq >= end {
			t.Errorf("%d effects wait, %d may; message %d of %d is read", st.Unresolved, most, st.Position.Seq, end)
		}
		grown := int64(heap()) - int64(before)
		t.Logf("stalled at %d effects, message %d of %d; memory grew by %d MB", st.Unresolved, st.Position.Seq, end, grown>>20)
		if grown > 64<<20 {
			t.Errorf("memory grew by %d MB while no mail could leave", grown>>20)
		}
		w.hang.Store(false)
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		got := make(map[string]int)
		for _, m := range w.inbox.List(0, 2*people) {
			got[m.To]++
		}
		if st := w.Engine.Stats(); len(got) != people || st.Unresolved > 0 {
			t.Errorf("%d of %d people got a mail, %d effects wait", len(got), people, st.Unresolved)
		}
		for to, n := range got {
			if n != 1 {
				t.Fatalf("%s got %d mails", to, n)
			}
		}
	})
}
