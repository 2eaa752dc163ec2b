package recommend

// table adds up numbers by a small key. It is reset in the time that it takes to forget
// what it holds, however many keys there may be. The zero value works. One goroutine at a
// time.
type table struct {
	keys   []uint32 // key + 1; 0: free
	places []int32
	slots  []int32 // by place: where its key stands
	order  []uint32
	values []float64
}

func (t *table) reset() {
	for _, s := range t.slots {
		t.keys[s] = 0
	}
	t.order, t.values, t.slots = t.order[:0], t.values[:0], t.slots[:0]
}

// slot is where a key stands or belongs.
func (t *table) slot(key uint32) int {
	mask := len(t.keys) - 1
	at := int(scramble(uint64(key))) & mask //nolint:gosec // masked
	for t.keys[at] != 0 && t.keys[at] != key+1 {
		at = (at + 1) & mask
	}
	return at
}

// at is the place of a key, which it gets if need be.
func (t *table) at(key uint32) (place int, isNew bool) {
	if 2*(len(t.order)+1) > len(t.keys) {
		t.grow()
	}
	s := t.slot(key)
	if t.keys[s] != 0 {
		return int(t.places[s]), false
	}
	t.keys[s], t.places[s] = key+1, int32(len(t.order)) //nolint:gosec // bounded by what a question looks at
	t.order, t.values = append(t.order, key), append(t.values, 0)
	t.slots = append(t.slots, int32(s)) //nolint:gosec // as above
	return len(t.order) - 1, true
}

// add adds to the number of a key.
func (t *table) add(key uint32, x float64) {
	at, _ := t.at(key)
	t.values[at] += x
}

func (t *table) grow() {
	n := max(2*len(t.keys), 256)
	t.keys, t.places = make([]uint32, n), make([]int32, n)
	for place, k := range t.order {
		s := t.slot(k)
		t.keys[s], t.places[s] = k+1, int32(place) //nolint:gosec // as above
		t.slots[place] = int32(s)                  //nolint:gosec // as above
	}
}
