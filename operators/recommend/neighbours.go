package recommend

import (
	"math/bits"
	"slices"
	"unsafe"

	"millrace/operators/profile"
)

// neighbours are other items with counts. The collector need not look into them: the ids
// stand one after the other in one text. The zero value is empty. One goroutine at a time.
type neighbours struct {
	list []neighbour // ordered by hash, then id
	text []byte      // only ever appended to, since ids that were answered are pieces of it
}

// neighbour is another item and the units shared with it.
type neighbour struct {
	hash     uint64 // of its id
	count    float64
	at, size uint32 // of its id in the text
}

// id is that of the kth.
func (n *neighbours) id(k int) string {
	a := &n.list[k]
	return unsafe.String(unsafe.SliceData(n.text[a.at:]), a.size) //nolint:gosec // what stands in the text never changes
}

// put makes an entry for an id that is not there.
func (n *neighbours) put(k int, hash uint64, id string, count float64) {
	n.list = slices.Insert(n.list, k, neighbour{hash, count, uint32(len(n.text)), uint32(len(id))}) //nolint:gosec // ids are short, and few
	n.text = append(n.text, id...)
}

// hashOf spreads ids evenly over all numbers, so that find knows about where one
// stands, however alike the ids of a shop are. It is part of the stored form: lists
// are ordered by it.
func hashOf(id string) uint64 {
	h := uint64(len(id))
	for len(id) >= 8 {
		h = scramble(h ^ (uint64(id[0]) | uint64(id[1])<<8 | uint64(id[2])<<16 | uint64(id[3])<<24 |
			uint64(id[4])<<32 | uint64(id[5])<<40 | uint64(id[6])<<48 | uint64(id[7])<<56))
		id = id[8:]
	}
	rest := uint64(0)
	for i := range len(id) {
		rest = rest<<8 | uint64(id[i])
	}
	return scramble(h ^ rest)
}

// scramble is the finalizer of SplitMix64: one to one, and every bit depends on all.
func scramble(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// find is where id stands, or belongs. It begins where an id of that hash stands if hashes
// are spread evenly, and walks from there: a few steps, as they are.
func (n *neighbours) find(hash uint64, id string) (at int, ok bool) {
	list := n.list
	guess, _ := bits.Mul64(hash, uint64(len(list)))
	at = int(guess) //nolint:gosec // below len(list)
	for at < len(list) && list[at].hash < hash {
		at++
	}
	for at > 0 && list[at-1].hash >= hash {
		at--
	}
	for ; at < len(list) && list[at].hash == hash; at++ { // nearly always one
		if other := n.id(at); other >= id {
			return at, other == id
		}
	}
	return at, false
}

// add adds to the count of an id, and says how many others had to leave. bound is at most
// MaxNeighbours.
func (n *neighbours) add(id string, w float64, bound int) (lost uint32) {
	hash := hashOf(id)
	at, ok := n.find(hash, id)
	if ok {
		n.list[at].count += w
		return 0
	}
	if n.put(at, hash, id, w); len(n.list) <= bound {
		return 0
	}
	return n.halve(bound)
}

// halve is lossy counting: the stronger half stays, of equals those that come first.
func (n *neighbours) halve(bound int) (lost uint32) {
	var counts [MaxNeighbours + 1]float64
	all := len(n.list)
	for k := range n.list {
		counts[k] = n.list[k].count
	}
	slices.Sort(counts[:all])
	least := counts[all-bound/2]
	equals := bound / 2
	for k := range n.list {
		if n.list[k].count > least {
			equals--
		}
	}
	text := make([]byte, 0, len(n.text))
	n.list = slices.DeleteFunc(n.list, func(a neighbour) bool {
		if a.count == least {
			equals--
			return equals < 0
		}
		return a.count < least
	})
	for k := range n.list {
		a := &n.list[k]
		at := len(text)
		text = append(text, n.text[a.at:a.at+a.size]...)
		a.at = uint32(at) //nolint:gosec // a place in the text
	}
	n.text = text
	return uint32(all - len(n.list)) //nolint:gosec // half of bound
}

func (n *neighbours) multiply(f float64) {
	for k := range n.list {
		n.list[k].count *= f
	}
}

// appendTo appends ids and counts.
func (n *neighbours) appendTo(b []byte) []byte {
	for k := range n.list {
		b = profile.AppendString(b, n.id(k))
		b = profile.AppendFloat(b, n.list[k].count)
	}
	return b
}

// read reads so many that appendTo wrote, into an empty list. It keeps nothing of what w
// reads.
func (n *neighbours) read(w *profile.Wire, count int) {
	if count == 0 {
		return
	}
	n.list = make([]neighbour, 0, count)
	n.text = make([]byte, 0, count*8) // most ids have no more
	last := ""
	for k := range count {
		id, c := w.String(), w.Float()
		hash := hashOf(id)
		if k > 0 && (hash < n.list[k-1].hash || hash == n.list[k-1].hash && id <= last) {
			w.Fail("neighbours out of order")
			return
		}
		n.put(k, hash, id, c)
		last = id
	}
}
