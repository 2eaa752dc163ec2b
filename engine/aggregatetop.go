package engine

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strconv"
)

// Top finds the most frequent keys with a fixed number of counters (Metwally, Agrawal,
// El Abbadi, Efficient computation of frequent and top-k elements in data streams, 2005,
// "space saving"; merging after Agarwal and others, Mergeable summaries, 2012). With m
// counters and n values every key that came more than n/m times has a counter; a count
// is too high by at most its Over, which is at most n/m, and never too low.
type Top struct {
	Values   uint64 // n
	capacity int    // m
	floor    uint64 // no key without a counter came more often; only after a merge beyond the least counter
	counters []TopEntry
	at       map[string]int
}

// TopEntry is a key with its counter: it came at most Count times, and at least Count
// minus Over times.
type TopEntry struct {
	Key   string
	Count uint64
	Over  uint64
}

// The bounds of a Top.
const (
	TopCountersMax = 4096
	TopKeyMax      = 128 // bytes; a longer key is shortened and gets its hash
)

// Add counts key n times, with the given number of counters if these are the first.
func (t *Top) Add(key string, n uint64, capacity int) {
	if n == 0 {
		return
	}
	if t.capacity == 0 {
		t.capacity = min(max(capacity, 1), TopCountersMax)
	}
	if len(key) > TopKeyMax {
		key = key[:TopKeyMax-17] + "~" + strconv.FormatUint(hash64(key), 16)
	}
	t.index()
	t.Values += n
	if i, found := t.at[key]; found {
		t.counters[i].Count += n
		t.sink(i)
		return
	}
	if len(t.counters) < t.capacity {
		t.counters = append(t.counters, TopEntry{Key: key, Count: t.floor + n, Over: t.floor})
		t.at[key] = len(t.counters) - 1
		t.rise(len(t.counters) - 1)
		return
	}
	least := &t.counters[0]
	over := max(least.Count, t.floor)
	delete(t.at, least.Key)
	*least = TopEntry{Key: key, Count: over + n, Over: over}
	t.at[key] = 0
	t.sink(0)
}

// index makes the map of counters, which is not stored.
func (t *Top) index() {
	if t.at != nil {
		return
	}
	t.at = make(map[string]int, len(t.counters))
	slices.SortFunc(t.counters, compareLeast) // ascending, so it is a heap
	for i := range t.counters {
		t.at[t.counters[i].Key] = i
	}
}

// compareLeast orders counters so that the least is always the same one.
func compareLeast(a, b TopEntry) int {
	return cmp.Or(cmp.Compare(a.Count, b.Count), cmp.Compare(a.Key, b.Key))
}

func (t *Top) swap(i, j int) {
	t.counters[i], t.counters[j] = t.counters[j], t.counters[i]
	t.at[t.counters[i].Key], t.at[t.counters[j].Key] = i, j
}

func (t *Top) rise(i int) {
	for i > 0 && compareLeast(t.counters[i], t.counters[(i-1)/2]) < 0 {
		t.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
}

func (t *Top) sink(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(t.counters); child++ {
			if compareLeast(t.counters[child], t.counters[least]) < 0 {
				least = child
			}
		}
		if least == i {
			return
		}
		t.swap(i, least)
		i = least
	}
}

// least is the most that a key without a counter can have come.
func (t *Top) least() uint64 {
	if len(t.counters) < t.capacity || t.capacity == 0 {
		return t.floor
	}
	m := t.counters[0].Count
	for i := range t.counters {
		m = min(m, t.counters[i].Count)
	}
	return max(m, t.floor)
}

// Merge counts what other has counted.
func (t *Top) Merge(other *Top) {
	if other.capacity == 0 {
		return
	}
	if t.capacity == 0 {
		*t = Top{Values: other.Values, capacity: other.capacity, floor: other.floor, counters: slices.Clone(other.counters)}
		return
	}
	t.index()
	mine, theirs := t.least(), other.least()
	for i := range t.counters { // what other may have counted and forgotten
		t.counters[i].Count += theirs
		t.counters[i].Over += theirs
	}
	for _, c := range other.counters {
		if i, found := t.at[c.Key]; found {
			t.counters[i].Count += c.Count - theirs
			t.counters[i].Over += c.Over
			t.counters[i].Over -= min(t.counters[i].Over, theirs)
		} else {
			t.counters = append(t.counters, TopEntry{Key: c.Key, Count: c.Count + mine, Over: c.Over + mine})
		}
	}
	t.Values += other.Values
	t.floor = mine + theirs
	slices.SortFunc(t.counters, compareLeast)
	if n := len(t.counters) - t.capacity; n > 0 {
		t.floor = max(t.floor, t.counters[n-1].Count)
		t.counters = slices.Delete(t.counters, 0, n)
	}
	t.at = nil
}

// First are the k most frequent keys, the most frequent first; of equal ones those that
// come first in the alphabet.
func (t *Top) First(k int) []TopEntry {
	all := slices.Clone(t.counters)
	slices.SortFunc(all, func(a, b TopEntry) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Key, b.Key))
	})
	return all[:min(max(k, 0), len(all))]
}

// AppendTo implements state.Codec.
func (t *Top) AppendTo(b []byte) []byte {
	all := slices.Clone(t.counters)
	slices.SortFunc(all, compareLeast)
	b = binary.AppendUvarint(append(b, aggregateVersion), uint64(t.capacity))
	b = binary.AppendUvarint(b, t.Values)
	b = binary.AppendUvarint(b, t.floor)
	b = binary.AppendUvarint(b, uint64(len(all)))
	before := uint64(0)
	for _, c := range all {
		b = binary.AppendUvarint(b, c.Count-before)
		before = c.Count
		b = binary.AppendUvarint(b, c.Over)
		b = binary.AppendUvarint(b, uint64(len(c.Key)))
		b = append(b, c.Key...)
	}
	return b
}

// DecodeFrom implements state.Codec.
func (t *Top) DecodeFrom(b []byte) error {
	*t = Top{}
	r := opened(b)
	capacity := r.uvarint()
	t.Values, t.floor = r.uvarint(), r.uvarint()
	n := r.count(3)
	if capacity > TopCountersMax || uint64(n) > capacity || t.Values > 1<<62 || t.floor > 1<<62 {
		r.bad = true
	}
	t.capacity = int(capacity & (2*TopCountersMax - 1)) //nolint:gosec // bounded
	before := uint64(0)
	for i := 0; i < n && !r.bad; i++ {
		c := TopEntry{Count: before + r.uvarint(), Over: r.uvarint()}
		c.Key = string(r.bytes(r.count(1)))
		r.bad = r.bad || len(c.Key) > TopKeyMax || c.Over > c.Count || c.Count < max(before, t.floor) || c.Count > 1<<62 ||
			i > 0 && compareLeast(t.counters[i-1], c) >= 0
		before = c.Count
		t.counters = append(t.counters, c)
	}
	return r.closed("top")
}

// TopOf are the k most frequent results of of, each counted with weight; a nil weight
// counts 1. counters is how many are kept, of which 8 times k is plenty.
func TopOf[In any](k, counters int, of func(In) string, weight func(In) uint64) Aggregate[In, Top, []TopEntry] {
	return Aggregate[In, Top, []TopEntry]{
		Add: func(t *Top, in In) {
			n := uint64(1)
			if weight != nil {
				n = weight(in)
			}
			t.Add(of(in), n, max(k, counters))
		},
		Merge:  (*Top).Merge,
		Result: func(t *Top) []TopEntry { return t.First(k) },
	}
}
