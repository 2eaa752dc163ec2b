package operators

import (
	"strings"
	"sync"
	"time"

	"millrace/engine"
	"millrace/operators/recommend"
	"millrace/state"
)

// itemCache keeps item records without their neighbours, which recommendations share: a
// mail may look at a thousand of them. They are only read. Safe for concurrent use.
type itemCache struct {
	mu       sync.Mutex
	new, old map[string]cachedItem // two generations: what is asked for moves to the new one
}

type cachedItem struct {
	item  *recommend.Item // nil: there is none
	epoch uint64
	made  time.Time
}

const (
	itemCacheMax    = 1 << 15 // of a generation; two are about 30 MB
	itemCacheEpochs = 64      // as far as the records themselves may trail their messages
	itemCacheAge    = 30 * time.Second
	itemCacheRest   = time.Second // 64 epochs of a quiet shop may take a day
	// An item of n units changes by a sixteenth with n/16 more of them: one that is busy
	// may be older.
	itemCacheUnit = 100 * time.Millisecond
)

// get is the record of an item. A mail wants it as of 64 epochs and a second ago at most; a
// question that comes often takes an older one where that hardly matters. That there is no
// record holds for the epoch that was asked only.
func (c *itemCache) get(v *engine.View, id string, often bool, read func(string) (*recommend.Item, error)) *recommend.Item {
	c.mu.Lock()
	e, ok := c.new[id]
	if !ok {
		if e, ok = c.old[id]; ok {
			c.put(strings.Clone(id), e)
		}
	}
	c.mu.Unlock()
	if ok && e.fits(v.Epoch, often) {
		return e.item
	}
	it, err := read(id)
	if err != nil {
		return nil
	}
	e = cachedItem{item: it.Brief(), epoch: v.Epoch, made: time.Now()}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.put(strings.Clone(id), e)
	return e.item
}

// fits tells whether a record may be used at an epoch.
func (e *cachedItem) fits(epoch uint64, often bool) bool {
	switch {
	case epoch == e.epoch:
		return true
	case e.item == nil:
		return false
	}
	age := time.Since(e.made)
	return epoch <= e.epoch+itemCacheEpochs && age < itemCacheRest || often && age < e.lasts()
}

// lasts is for how long a record may be used by questions that come often.
func (e *cachedItem) lasts() time.Duration {
	units := 0.0
	for r := range recommend.RelationCount {
		units += e.item.Units(r, e.item.Last)
	}
	return min(time.Duration(units*float64(itemCacheUnit)), itemCacheAge)
}

// put remembers a record; c.mu is held.
func (c *itemCache) put(id string, e cachedItem) {
	if len(c.new) >= itemCacheMax || c.new == nil {
		c.old, c.new = c.new, make(map[string]cachedItem)
	}
	c.new[id] = e
}

// totalsCache keeps the totals, ranked. Safe for concurrent use.
type totalsCache struct {
	mu    sync.Mutex
	now   *recommend.Totals
	epoch uint64
}

func (c *totalsCache) get(v *engine.View, cell *state.Cell[recommend.Totals, *recommend.Totals]) (*recommend.Totals, error) {
	c.mu.Lock()
	now, epoch := c.now, c.epoch
	c.mu.Unlock()
	if now != nil && v.Epoch == epoch {
		return now, nil
	}
	t, _, err := engine.Read(v, cell, "")
	if err != nil {
		return nil, err
	}
	t.Rank()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now, c.epoch = &t, v.Epoch
	return &t, nil
}
