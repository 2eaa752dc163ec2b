package state

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// cellWorld is a cell beside a map, with the commits that make epochs of it.
type cellWorld struct {
	store     *Store
	read      *Reader
	cell      *Cell[words, *words]
	live      map[string]string // as the cell answers
	committed map[string]string // as the store holds
	epoch     uint64
	visible   uint64 // what the reader sees
	packed    bool
	memory    int64 // of a packed cell
}

func newCellWorld(t interface{ Fatal(...any) }, cacheMax int, memory int64) *cellWorld {
	s := open(t, Options{})
	w := &cellWorld{store: s, read: s.NewReader(), live: map[string]string{}, committed: map[string]string{}, packed: memory > 0, memory: memory}
	w.reopen(cacheMax)
	return w
}

func (w *cellWorld) close() {
	w.read.Close()
	_ = w.store.Close()
}

func (w *cellWorld) reopen(cacheMax int) {
	if w.packed {
		w.cell = NewPackedCell[words]("words", cacheMax, NewMemory(w.memory))
	} else {
		w.cell = NewCell[words]("words", cacheMax)
	}
	w.cell.Attach(w.read, 7)
	if w.epoch == 0 {
		w.cell.Empty()
	}
	w.live = maps.Clone(w.committed)
}

// commit closes an epoch; what it wrote can be evicted from visible on.
func (w *cellWorld) commit(t *rapid.T) {
	w.epoch++
	r := &Record{Epoch: w.epoch}
	w.cell.Flush(r, 0, 0)
	if n, bytes := w.cell.Dirty(); n != 0 || bytes != 0 {
		t.Fatalf("%d dirty values of %d bytes after a flush", n, bytes)
	}
	if err := w.store.Commit(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	w.committed = maps.Clone(w.live)
	if rapid.Bool().Draw(t, "renew") { // else the reader trails, as while a commit is under way
		w.visible = w.epoch
	}
	w.cell.Evict(w.visible)
}

func (w *cellWorld) change(t *rapid.T, key string) {
	v, err := w.cell.Get(key)
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := strings.Join(v.all, " "), w.live[key]; got != ok {
		t.Fatalf("%q is %q, want %q", key, got, ok)
	}
	if has, err := w.cell.Has(key); err != nil || has != (func() bool { _, in := w.live[key]; return in })() {
		t.Fatalf("%q: has %v %v", key, has, err)
	}
	switch rapid.SampledFrom([]string{"grow", "grow", "grow", "shrink", "delete", "read"}).Draw(t, "how") {
	case "grow":
		v.all = append(v.all, rapid.SampledFrom([]string{"x", "yy", "zzz"}).Draw(t, "word"))
	case "shrink":
		v.all = slices.Delete(v.all, 0, min(len(v.all), 2))
	case "delete":
		if err := w.cell.Delete(key); err != nil {
			t.Fatal(err)
		}
		delete(w.live, key)
		return
	default:
		return
	}
	w.live[key] = strings.Join(v.all, " ")
	if err := w.cell.Touch(key); err != nil {
		t.Fatal(err)
	}
}

// check wants the committed values outside, and nothing else in the store.
func (w *cellWorld) check(t *rapid.T) {
	v := w.store.Snapshot()
	defer v.Close()
	got := map[string]string{}
	parts := 0
	if err := w.cell.Each(v, func(key string, value *words) bool {
		got[key] = strings.Join(value.all, " ")
		parts += len(value.all) / 3
		one, ok, err := w.cell.View(v, key)
		if err != nil || !ok || !slices.Equal(one.all, value.all) {
			t.Fatalf("view of %q: %v %v %v", key, one.all, ok, err)
		}
		return true
	}); err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(got, w.committed) {
		t.Fatalf("committed %q, want %q", got, w.committed)
	}
	if err := v.Scan([]byte{SpaceParts}, nil, func(_, _ []byte) bool { parts--; return true }); err != nil || parts != 0 {
		t.Fatalf("%d parts too few, %v", parts, err)
	}
	if _, ok, err := w.cell.View(v, "nobody"); ok || err != nil {
		t.Fatalf("a value of nobody: %v %v", ok, err)
	}
}

// A cell is a map, whatever is evicted and however often it is opened again; what is
// seen outside is the map as of the last commit.
func TestCellAgainstMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		memory := rapid.SampledFrom([]int64{0, 1, 300, 1 << 20}).Draw(t, "packed memory")
		w := newCellWorld(t, rapid.IntRange(1, 4).Draw(t, "cache"), memory)
		defer w.close()
		key := rapid.SampledFrom([]string{"", "a", "a/cart", "b", "c\x00d", "e", "f"})
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0, 1:
				w.commit(t)
				w.check(t)
			case 2:
				w.commit(t)
				w.visible = w.epoch
				w.reopen(rapid.IntRange(1, 4).Draw(t, "cache"))
			case 3:
				w.cell.Trim()
			default:
				w.change(t, key.Draw(t, "key"))
			}
		}
		w.commit(t)
		w.check(t)
	})
}

// Only a part that changed is written.
func TestPartsAreWrittenOnce(t *testing.T) {
	s := open(t, Options{})
	defer s.Close()
	read := s.NewReader()
	defer read.Close()
	cell := NewCell[words]("words", 10)
	cell.Attach(read, 7)
	epoch := uint64(0)
	f := func(story string, want int) {
		t.Helper()
		v, err := cell.Get("k")
		if err != nil {
			t.Fatal(err)
		}
		v.all = strings.Fields(story)
		if err := cell.Touch("k"); err != nil {
			t.Fatal(err)
		}
		epoch++
		r := &Record{Epoch: epoch}
		cell.Flush(r, 0, 0)
		if r.Len() != want {
			t.Fatalf("%q: %d changes, want %d", story, r.Len(), want)
		}
		if err := s.Commit(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	f("a b", 1)
	f("a b c", 2)
	f("a b c d", 1)
	f("a b c d e f g", 2)
	cell = NewCell[words]("words", 10) // knows the parts that it reads
	cell.Attach(read, 7)
	f("a b c d e f h", 1)
	f("a b c X e f h", 2)
	f("a b c", 2) // the second part goes
	f("", 2)
}

// A damaged value is a named error, wherever it is met.
func TestDamaged(t *testing.T) {
	f := func(cell *Cell[words, *words], head, part string, says string) {
		t.Helper()
		s := open(t, Options{})
		defer s.Close()
		r := &Record{}
		r.Put(AppendKey(nil, 7, "k"), []byte(head))
		if part != "" {
			r.Put(appendPartKey(nil, 7, 0, "k"), []byte(part))
		}
		if err := s.Commit(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		read, v := s.NewReader(), s.Snapshot()
		defer read.Close()
		defer v.Close()
		cell.Attach(read, 7)
		_, get := cell.Get("k")
		_, _, view := cell.View(v, "k")
		each := cell.Each(v, func(string, *words) bool { return true })
		for _, err := range []error{get, view, each} {
			if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), "cell words holds a value that cannot be read: "+says)) {
				t.Fatalf("%q %q: %v, want %q", head, part, err, says)
			}
		}
	}
	plain := func() *Cell[words, *words] { return NewCell[words]("words", 1) }
	lazy := func() *Cell[words, *words] { return NewLazyCell[words]("words", 1) }
	f(plain(), "\x01\x00a b", "", "")
	f(plain(), "\x01\x01a b", "c d e", "")
	f(plain(), "\x02\x00", "", "not words")
	f(plain(), "", "", "not words")
	f(plain(), "\x01\x01a", "", "part 0 of 1: a part of the value is missing")
	f(plain(), "\x01\x01a", "b c", "part 0 of 1: not words")
	f(lazy(), "\x09\x01\x00a b", "", "")
	f(lazy(), "\x80", "", "the number of the last message is damaged")
	f(lazy(), "\x09", "", "not words")
}

// A lazy cell writes what is overdue, the oldest first, no more than it is allowed, and
// numbers come back.
func TestLazyCell(t *testing.T) {
	s := open(t, Options{})
	defer s.Close()
	read := s.NewReader()
	defer read.Close()
	cell := NewLazyCell[number]("numbers", 2)
	cell.Attach(read, 3)
	if !cell.Lazy() || cell.Name() != "numbers" {
		t.Fatal("not what was made")
	}
	set := func(key string, message, epoch uint64) {
		t.Helper()
		v, err := cell.Get(key)
		if err != nil {
			t.Fatal(err)
		}
		v.n = message * 10
		if err := cell.TouchLazy(key, message, epoch); err != nil {
			t.Fatal(err)
		}
	}
	flush := func(epoch, until uint64, bytes int, want string) {
		t.Helper()
		r := &Record{Epoch: epoch}
		cell.Flush(r, until, bytes)
		var got []string
		r.Each(func(k, _ []byte, _ bool) { got = append(got, string(k[4:])) })
		if strings.Join(got, " ") != want {
			t.Fatalf("wrote %q, want %q", got, want)
		}
		if err := s.Commit(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		cell.Evict(epoch)
	}
	set("a", 1, 1)
	set("b", 2, 1)
	set("c", 3, 2)
	set("a", 4, 3) // stays the oldest
	if oldest, dirty := cell.Oldest(); oldest != 1 || !dirty || cell.Cached() != 3 {
		t.Fatalf("oldest %d %v, %d cached", oldest, dirty, cell.Cached())
	}
	flush(4, 0, 1<<20, "")
	if cell.Cached() != 3 {
		t.Fatal("a dirty value was evicted")
	}
	flush(5, 1, 1, "a")
	flush(6, 1, 1<<20, "b")
	flush(7, 9, 1<<20, "c")
	if _, dirty := cell.Oldest(); dirty || cell.Cached() > 2 {
		t.Fatalf("something is owed, or %d values are cached", cell.Cached())
	}
	cell = NewLazyCell[number]("numbers", 2)
	cell.Attach(read, 3)
	f := func(key string, message, value uint64) {
		t.Helper()
		got, err := cell.Applied(key)
		v, err2 := cell.Get(key)
		if err != nil || err2 != nil || got != message || v.n != value {
			t.Fatalf("%s: message %d, value %d; want %d %d; %v %v", key, got, v.n, message, value, err, err2)
		}
	}
	f("a", 4, 40)
	f("b", 2, 20)
	f("c", 3, 30)
	f("d", 0, 0)
}
