package recommend

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	"millrace/operators/profile"
)

// Strength is how much an action says about liking an item.
type Strength uint8

// The strengths. Each includes those before it.
const (
	Viewed    Strength = iota // looked at
	InCart                    // put into a cart
	Purchased                 // bought, or rated
	strengths
)

// CFOptions say how item-to-item counts are kept and read. The zero value works.
type CFOptions struct {
	HalfLife time.Duration      // of all counts; 0: half a year; negative: no decay
	Linked   time.Duration      // at most so far apart two choices of a person go together; negative: always
	History  int                // newest items of a person that go together with a new one
	Bound    int                // neighbours counted per item
	People   int                // people remembered
	Keep     int                // best neighbours of an item that may vote for it
	Weights  [strengths]float64 // of the strengths, rising; all zero: 1, 2, 3
}

func (o CFOptions) withDefaults() CFOptions {
	o.HalfLife = cmp.Or(o.HalfLife, 180*24*time.Hour) // short lives lost accuracy offline
	o.Linked = cmp.Or(o.Linked, 72*time.Hour)         // TencentRec's example
	o.History = cmp.Or(o.History, 100)                // beyond it an update costs more than it says
	o.Bound = cmp.Or(o.Bound, 512)                    // twice what the item records keep, as three strengths share a row
	o.People = cmp.Or(o.People, 1<<20)                // about 1 GB at forty items each
	o.Keep = cmp.Or(o.Keep, 200)                      // the best of 20, 50, 100, 200 and all on a test split of MovieLens
	if o.Weights == [strengths]float64{} {
		o.Weights = [strengths]float64{1, 2, 3}
	}
	return o
}

// ItemCF counts how many people chose two items, with decay, event by event (TencentRec:
// Huang and others, SIGMOD 2015). A person's r for an item is the weight of the strongest
// action, and a pair counts min(r, r). So that neither order nor repeats of events matter,
// a person's record holds when each strength was first reached: strength l of a pair
// counts as of the later of the two times, if they are at most Linked apart. One goroutine
// at a time, or many that only ask.
type ItemCF struct {
	o      CFOptions
	half   int64
	linked int64
	names  *Names
	decay  profile.Decay
	last   int64
	own    []float64
	rows   []row
	floor  []floor
	people map[string]*chosen
	queue  []string
	units  float64 // decayed number of people, by the time of their first choice
	lost   uint64
}

// floor is the similarity of the last neighbour of an item that may vote for it.
type floor struct {
	least float64
	own   float64 // the item's count when it was computed
	sims  int     // likewise, the length of its row
}

// chosen is what a person chose, in the order of numbers.
type chosen struct {
	marks []mark
	first int64
}

// mark is when a person first reached each strength for an item; never stands for not.
type mark struct {
	item  Num
	first [strengths]int64
}

const never = math.MaxInt64

// NewItemCF makes an empty count.
func NewItemCF(names *Names, o CFOptions) *ItemCF {
	o = o.withDefaults()
	x := &ItemCF{o: o, names: names, half: -1, linked: math.MaxInt64, people: make(map[string]*chosen)}
	if o.HalfLife > 0 {
		x.half = max(o.HalfLife.Milliseconds(), 1000)
	}
	if o.Linked > 0 {
		x.linked = o.Linked.Milliseconds()
	}
	return x
}

// Lost is how many pairs and people the bounds dropped.
func (x *ItemCF) Lost() uint64 { return x.lost }

// Add counts an action of a person. It reports whether it changed anything.
func (x *ItemCF) Add(person string, item Num, how Strength, at int64) bool {
	if item < 0 || how >= strengths {
		return false
	}
	x.weight(at) // moves the landmark if need be, so that no weight below does
	p := x.person(person, at)
	k, ok := slices.BinarySearchFunc(p.marks, item, func(m mark, i Num) int { return cmp.Compare(m.item, i) })
	if !ok {
		p.marks = slices.Insert(p.marks, k, mark{item: item, first: [strengths]int64{never, never, never}})
	}
	old := p.marks[k]
	changed := false
	for l := range how + 1 {
		if at < p.marks[k].first[l] {
			p.marks[k].first[l] = at
			changed = true
		}
	}
	if changed {
		x.replace(p, k, &old)
		if f := &x.floor[item]; x.own[item] > f.own*17/16 || len(x.rows[item].items) > f.sims*17/16 {
			x.refresh(item)
		}
	}
	x.bound(p)
	return changed
}

// person finds or opens the record of a person, and keeps the number of people.
func (x *ItemCF) person(person string, at int64) *chosen {
	p, ok := x.people[person]
	if !ok {
		person = strings.Clone(person)
		p = &chosen{first: never}
		x.people[person] = p
		x.queue = append(x.queue, person)
		for len(x.people) > x.o.People || len(x.queue) > 2*x.o.People {
			if _, there := x.people[x.queue[0]]; there {
				x.lost++
			}
			delete(x.people, x.queue[0]) // the counts stay
			x.queue = x.queue[1:]
		}
	}
	if at < p.first {
		if p.first != never {
			x.units -= x.weight(p.first)
		}
		w := x.weight(at)
		x.units += w
		p.first = at
	}
	return p
}

// weight is what an event at a time adds to a count.
func (x *ItemCF) weight(at int64) float64 {
	w, f := x.decay.Weigh(at, x.half, x.last)
	if f != 1 {
		x.units *= f
		for k := range x.rows {
			x.rows[k].scale(f)
			x.own[k] *= f
			x.floor[k].own *= f
		}
	}
	x.last = max(x.last, at)
	return w
}

// replace puts the contributions of a changed mark in the place of the old ones.
func (x *ItemCF) replace(p *chosen, k int, old *mark) {
	m := p.marks[k]
	x.rows, x.own, x.floor = grown(x.rows, m.item), grown(x.own, m.item), grown(x.floor, m.item)
	for l := range strengths {
		step := x.step(l)
		was, is := old.first[l], m.first[l]
		if was == is {
			continue
		}
		x.own[m.item] += step * (x.at(is) - x.at(was))
		for j := range p.marks {
			if j == k {
				continue
			}
			o := &p.marks[j]
			if d := x.both(is, o.first[l]) - x.both(was, o.first[l]); d != 0 {
				x.lost += uint64(x.rows[m.item].add(o.item, step*d, x.o.Bound)) //nolint:gosec // not negative
				x.lost += uint64(x.rows[o.item].add(m.item, step*d, x.o.Bound)) //nolint:gosec // not negative
			}
		}
	}
}

// step is what a strength weighs more than the one before it.
func (x *ItemCF) step(l Strength) float64 {
	if l == 0 {
		return x.o.Weights[0]
	}
	return x.o.Weights[l] - x.o.Weights[l-1]
}

// at is the weight of a time, 0 for never.
func (x *ItemCF) at(t int64) float64 {
	if t == never {
		return 0
	}
	return x.weight(t)
}

// both is the weight of a pair whose items were chosen at two times.
func (x *ItemCF) both(a, b int64) float64 {
	if a == never || b == never || a-b > x.linked || b-a > x.linked {
		return 0
	}
	return x.weight(max(a, b))
}

// bound drops what a person chose first, once there is too much. Its counts stay.
func (x *ItemCF) bound(p *chosen) {
	if len(p.marks) <= x.o.History {
		return
	}
	oldest := 0
	for k := range p.marks {
		if slices.Max(reached(p.marks[k].first)) < slices.Max(reached(p.marks[oldest].first)) {
			oldest = k
		}
	}
	p.marks = slices.Delete(p.marks, oldest, oldest+1)
	x.lost++
}

// reached leaves out never.
func reached(times [strengths]int64) []int64 {
	return slices.DeleteFunc(times[:], func(t int64) bool { return t == never })
}

// Erase takes a person out of the counts, as far as the person's record reaches, and
// says how many items there were.
func (x *ItemCF) Erase(person string) int {
	p, ok := x.people[person]
	if !ok {
		return 0
	}
	n := len(p.marks)
	for len(p.marks) > 0 {
		k := len(p.marks) - 1
		old := p.marks[k]
		p.marks[k].first = [strengths]int64{never, never, never}
		x.replace(p, k, &old)
		p.marks = p.marks[:k]
	}
	x.units -= x.weight(p.first)
	delete(x.people, person)
	return n
}

// Own is the decayed weight of all choices of an item.
func (x *ItemCF) Own(i Num, now int64) float64 {
	if i < 0 || int(i) >= len(x.own) {
		return 0
	}
	return x.decay.Value(x.own[i], max(now, x.last))
}

// Shared is the decayed weight of the people who chose both items.
func (x *ItemCF) Shared(i, j Num, now int64) float64 {
	if i < 0 || int(i) >= len(x.rows) {
		return 0
	}
	return x.decay.Value(x.rows[i].at(j), max(now, x.last))
}

// People is the decayed number of people.
func (x *ItemCF) People(now int64) float64 { return x.decay.Value(x.units, max(now, x.last)) }

// Refresh brings up to date which neighbours of each item may vote for it. It is done by
// itself for an item whose count has grown by a sixteenth.
func (x *ItemCF) Refresh() {
	for i := range x.rows {
		x.refresh(Num(i)) //nolint:gosec // numbered items
	}
}

// refresh finds the similarity of the last neighbour that may vote for an item.
func (x *ItemCF) refresh(i Num) {
	r := &x.rows[i]
	x.floor[i] = floor{own: x.own[i], sims: len(r.items)}
	if len(r.items) <= x.o.Keep {
		return
	}
	sims := make([]float64, len(r.items))
	for k, j := range r.items {
		sims[k] = r.value[k] / math.Sqrt(x.own[i]*x.own[j])
	}
	slices.Sort(sims)
	x.floor[i].least = sims[len(sims)-x.o.Keep]
}
