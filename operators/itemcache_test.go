package operators

import (
	"testing"
	"testing/synctest"
	"time"

	"millrace/engine"
	"millrace/operators/recommend"
)

// TestItemCache checks for how long a record is used: in epochs for a busy shop, in time for
// a quiet one, and never that there is none.
func TestItemCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c itemCache
		reads := 0
		now := &recommend.Item{}
		f := func(epoch uint64, often, want bool) {
			t.Helper()
			before := reads
			c.get(&engine.View{Epoch: epoch}, "A", often, func(string) (*recommend.Item, error) {
				reads++
				return now, nil
			})
			if read := reads > before; read != want {
				t.Fatalf("epoch %d, often %v: read %v", epoch, often, read)
			}
		}
		now = nil // nothing is known of it yet
		f(1, false, true)
		f(1, true, false)
		now = &recommend.Item{}
		f(2, true, true) // the next epoch may have brought it, were it the last one of the day
		f(2+itemCacheEpochs, false, false)
		f(3+itemCacheEpochs, false, true)
		time.Sleep(itemCacheRest)
		f(3+itemCacheEpochs, false, false) // nothing was committed
		f(4+itemCacheEpochs, false, true)
		f(4+3*itemCacheEpochs, true, true) // it has no units: it is not busy
	})
}
