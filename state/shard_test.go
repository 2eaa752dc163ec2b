package state

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// A cell in shards holds, and writes, what a whole one does; each shard belongs to a
// goroutine of its own.
func TestShardsHoldWhatACellDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var dumps []string
		many := 2 << rapid.IntRange(0, 2).Draw(t, "more than one shard")
		steps := rapid.SliceOfN(rapid.IntRange(0, 1<<20), 1, 30).Draw(t, "steps")
		for _, n := range []int{1, many} {
			s := open(t, Options{})
			cell := NewCell[words]("words", rapid.IntRange(1, 4).Draw(t, "cache"))
			cell.Share(func(key string) bool { return key == "everybody" })
			main := s.NewReader()
			readers := make([]*Reader, n)
			for i := range readers {
				readers[i] = s.NewReader()
			}
			cell.Attach(main, 7)
			cell.Split(readers)
			for i, step := range steps {
				var wg sync.WaitGroup
				for w := range n {
					wg.Go(func() { shardSteps(t, cell, step, w, n) })
				}
				wg.Wait()
				if step%3 == 0 {
					commitShards(t, s, cell, uint64(i+1)) //nolint:gosec // small
				}
			}
			commitShards(t, s, cell, uint64(len(steps)+1)) //nolint:gosec // small
			if values, bytes := cell.Dirty(); values != 0 || bytes != 0 {
				t.Fatalf("%d dirty values of %d bytes after a flush", values, bytes)
			}
			dumps = append(dumps, dumpWords(t, s, cell))
			for _, r := range append(readers, main) {
				r.Close()
			}
			_ = s.Close()
		}
		for _, d := range dumps[1:] {
			if d != dumps[0] {
				t.Fatalf("in shards\n%s\nwhole\n%s", d, dumps[0])
			}
		}
	})
}

// shardSteps changes the keys of one owner.
func shardSteps(t *rapid.T, cell *Cell[words, *words], step, w, n int) {
	for k := range 8 {
		key := fmt.Sprintf("k%d", k)
		if int(Owner(key))%n != w {
			continue
		}
		for _, key := range []string{key, key + "/cart"} {
			if cell.Common(key) {
				t.Errorf("%q is common", key)
			}
			if _, err := cell.Get("everybody"); err != nil {
				t.Error(err)
			}
			v, err := cell.Get(key)
			if err != nil {
				t.Error(err)
				return
			}
			switch step >> k % 5 {
			case 0:
				err = cell.Delete(key)
			case 1, 2:
				v.all = append(v.all, fmt.Sprint(step%7))
				err = cell.Touch(key)
			}
			if err != nil {
				t.Error(err)
			}
		}
	}
}

func commitShards(t *rapid.T, s *Store, cell *Cell[words, *words], epoch uint64) {
	r := &Record{Epoch: epoch}
	cell.Flush(r, epoch, 1<<20)
	if err := s.Commit(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	cell.Evict(epoch)
}

func dumpWords(t *rapid.T, s *Store, cell *Cell[words, *words]) string {
	v := s.Snapshot()
	defer v.Close()
	var b strings.Builder
	if err := cell.Each(v, func(key string, value *words) bool {
		fmt.Fprintf(&b, "%s=%v\n", key, value.all)
		return true
	}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// A key and its sub-keys have one owner.
func TestOwner(t *testing.T) {
	f := func(a, b string, same bool) {
		t.Helper()
		if (Owner(a) == Owner(b)) != same {
			t.Fatalf("%q and %q: %d and %d", a, b, Owner(a), Owner(b))
		}
	}
	f("a", "a/cart", true)
	f("a/b/c", "a/d", true)
	f("", "/x", true)
	f("a", "b", false)
}
