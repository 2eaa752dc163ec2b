package recommend

import "strings"

// Num is the dense number of an item within one process. It is never stored: what is
// stored are the shop's own ids.
type Num int32

// None is the number of no item.
const None Num = -1

// maxNames is how many items are numbered unless told otherwise: ten times a large
// shop, at about 60 bytes each.
const maxNames = 1 << 22

// Names numbers items in the order in which they are first seen, so that the voices can
// keep them in slices. One goroutine at a time, or many that only read.
type Names struct {
	nums map[string]Num
	ids  []string
	most int
}

// NewNames makes a numbering of at most so many items; 0 is the default of four million.
func NewNames(most int) *Names {
	if most <= 0 || most > maxNames {
		most = maxNames
	}
	return &Names{nums: make(map[string]Num), most: most}
}

// Put answers the number of an item and gives it one if need be; None when all numbers
// are taken or the id is empty.
func (n *Names) Put(id string) Num {
	if i, ok := n.nums[id]; ok {
		return i
	}
	if len(n.ids) >= n.most || id == "" {
		return None
	}
	id = strings.Clone(id)
	i := Num(len(n.ids)) //nolint:gosec // at most maxNames
	n.nums[id] = i
	n.ids = append(n.ids, id)
	return i
}

// Find answers the number of an item, None when it has none.
func (n *Names) Find(id string) Num {
	if i, ok := n.nums[id]; ok {
		return i
	}
	return None
}

// FindAll appends the numbers of those items that have one, in their order.
func (n *Names) FindAll(dst []Num, ids []string) []Num {
	for _, id := range ids {
		if i := n.Find(id); i != None {
			dst = append(dst, i)
		}
	}
	return dst
}

// ID is the shop's own name of an item.
func (n *Names) ID(i Num) string {
	if i < 0 || int(i) >= len(n.ids) {
		return ""
	}
	return n.ids[i]
}

// Len is how many items have a number.
func (n *Names) Len() int { return len(n.ids) }
