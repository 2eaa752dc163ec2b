package recommend

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gonum.org/v1/gonum/mat"
)

// GramOptions say how the matrix of common choices is kept. The zero value works.
type GramOptions struct {
	History int     // items remembered per person
	Bound   int     // items remembered per item
	People  int     // people remembered
	Items   int     // most chosen items that get weights
	Lambda  float64 // ridge
}

func (o GramOptions) withDefaults() GramOptions {
	o.History = cmp.Or(o.History, 1000) // the most active of MovieLens has 737
	o.Bound = cmp.Or(o.Bound, 4096)     // nothing is lost below that many items
	o.People = cmp.Or(o.People, 1<<20)  // about half a GB at fifty items each
	o.Items = cmp.Or(o.Items, 3000)     // 36 MB of weights; the fit takes seconds and grows with the cube
	o.Lambda = cmp.Or(o.Lambda, 200)    // the usual one for MovieLens; not tuned
	return o
}

// Gram keeps XᵀX, the number of people who chose both of two items, choice by choice:
// what EASE needs, so that a fit reads no log. Choices are sets, so neither order nor
// repeats matter. One goroutine at a time.
type Gram struct {
	o      GramOptions
	rows   []row
	people map[string][]Num
	queue  []string
	lost   uint64
}

// NewGram makes an empty matrix.
func NewGram(o GramOptions) *Gram {
	return &Gram{o: o.withDefaults(), people: make(map[string][]Num)}
}

// Lost is how many choices, counts and people the bounds dropped.
func (g *Gram) Lost() uint64 { return g.lost }

// Add counts a choice. It reports whether it is new.
func (g *Gram) Add(person string, item Num) bool {
	if item < 0 {
		return false
	}
	items, ok := g.people[person]
	if slices.Contains(items, item) {
		return false
	}
	if len(items) >= g.o.History {
		g.lost++
		return false
	}
	if !ok {
		person = strings.Clone(person)
		g.queue = append(g.queue, person)
		for len(g.people) >= g.o.People || len(g.queue) > 2*g.o.People {
			delete(g.people, g.queue[0]) // the counts stay
			g.queue = g.queue[1:]
			g.lost++
		}
	}
	g.count(items, item, 1)
	g.people[person] = append(items, item)
	return true
}

// count adds to the counts of an item with others and itself.
func (g *Gram) count(items []Num, item Num, by float64) {
	g.rows = grown(g.rows, item)
	g.lost += uint64(g.rows[item].add(item, by, g.o.Bound)) //nolint:gosec // not negative
	for _, j := range items {
		g.lost += uint64(g.rows[item].add(j, by, g.o.Bound)) //nolint:gosec // not negative
		g.lost += uint64(g.rows[j].add(item, by, g.o.Bound)) //nolint:gosec // not negative
	}
}

// Erase takes a person out and says how many items there were.
func (g *Gram) Erase(person string) int {
	items := g.people[person]
	for k, item := range slices.Backward(items) {
		g.count(items[:k], item, -1)
	}
	delete(g.people, person)
	return len(items)
}

// Shared is the number of people who chose both items.
func (g *Gram) Shared(i, j Num) float64 {
	if i < 0 || int(i) >= len(g.rows) {
		return 0
	}
	return g.rows[i].at(j)
}

// ErrNothingToFit is the answer when nobody chose anything yet.
var ErrNothingToFit = errors.New("no choices to fit weights to")

// Fit computes the weights of EASE (Steck, Embarrassingly shallow autoencoders, WWW
// 2019) for the most chosen items: P = (XᵀX + λI)⁻¹, B = -P·diag(P)⁻¹ with a diagonal
// of 0. It costs some n³ operations; the answer does not change afterwards.
func (g *Gram) Fit() (*EASE, error) { return g.counts().fit() }

// gramCounts is a copy of the counts of the most chosen items, so that a fit, which takes
// seconds, holds up nobody who adds.
type gramCounts struct {
	items  []Num
	place  []int32 // by item: row, from 1
	gram   *mat.SymDense
	people []float32
	ridge  float64
}

// counts copies what a fit needs; the copy has nothing in common with g.
func (g *Gram) counts() *gramCounts {
	items := g.most()
	n := len(items)
	c := &gramCounts{items: items, place: make([]int32, len(g.rows)), people: make([]float32, n), ridge: g.o.Lambda}
	if n == 0 {
		return c
	}
	for k, i := range items {
		c.place[i] = int32(k) + 1 //nolint:gosec // at most Items
	}
	c.gram = mat.NewSymDense(n, nil)
	for k, i := range items {
		r := &g.rows[i]
		for l, j := range r.items {
			if at := int(c.place[j]) - 1; at >= k {
				c.gram.SetSym(k, at, r.value[l])
			}
		}
		c.people[k] = float32(r.at(i))
	}
	return c
}

// fit computes the weights. It uses the copy up.
func (c *gramCounts) fit() (*EASE, error) {
	n := len(c.items)
	if n == 0 {
		return nil, ErrNothingToFit
	}
	for k := range n {
		c.gram.SetSym(k, k, c.gram.At(k, k)+c.ridge)
	}
	var f mat.Cholesky
	if !f.Factorize(c.gram) {
		return nil, fmt.Errorf("factorise the counts of %d items: not positive definite with ridge %g", n, c.ridge)
	}
	if err := f.InverseTo(c.gram); err != nil {
		return nil, fmt.Errorf("invert the counts of %d items: %w", n, err)
	}
	e := &EASE{items: c.items, place: c.place, people: c.people, weight: make([]float32, n*n)}
	for i := range n {
		for j := range n {
			if i != j {
				e.weight[i*n+j] = float32(-c.gram.At(i, j) / c.gram.At(j, j))
			}
		}
	}
	return e, nil
}

// most lists the most chosen items, at most Items, in the order of their numbers.
func (g *Gram) most() []Num {
	var items []Num
	for i := range g.rows {
		if g.rows[i].at(Num(i)) > 0 { //nolint:gosec // numbered items
			items = append(items, Num(i)) //nolint:gosec // numbered items
		}
	}
	slices.SortFunc(items, func(a, b Num) int {
		return cmp.Or(cmp.Compare(g.rows[b].at(b), g.rows[a].at(a)), cmp.Compare(a, b))
	})
	items = items[:min(len(items), g.o.Items)]
	slices.Sort(items)
	return items
}

// EASE is a fitted matrix of weights between items. It is safe for concurrent use.
type EASE struct {
	Seeds  SeedOptions // from which items of the context; zero: all of the history alike
	items  []Num
	place  []int32 // by item: row, from 1
	weight []float32
	people []float32
}

// Name implements Voice.
func (e *EASE) Name() string { return VoiceEASE }

// Weight is what the choice of one item says for another.
func (e *EASE) Weight(from, to Num) float64 {
	f, t := e.row(from), e.row(to)
	if f < 0 || t < 0 {
		return 0
	}
	return float64(e.weight[f*len(e.items)+t])
}

// row is where an item stands, -1 for nowhere.
func (e *EASE) row(i Num) int {
	if i < 0 || int(i) >= len(e.place) {
		return -1
	}
	return int(e.place[i]) - 1
}

// Score implements Voice.
func (e *EASE) Score(c *Context, s *Scratch) {
	o := e.Seeds
	if o == (SeedOptions{}) {
		o = SeedOptions{Past: 1000, PastWeight: 1, Fade: 1, Last: 1000}
	}
	n := len(e.items)
	for _, from := range o.of(c, s) {
		r := e.row(from.item)
		if r < 0 {
			continue
		}
		for k, w := range e.weight[r*n : (r+1)*n] {
			if w != 0 {
				s.Scores.Add(e.items[k], from.weight*float64(w))
			}
		}
	}
}

// Why implements Voice.
func (e *EASE) Why(c *Context, item Num, _ *Scratch) (Reason, bool) {
	best := Reason{Voice: VoiceEASE, Seed: None}
	most := 0.0
	for _, list := range [...][]Num{c.History, c.Session} {
		for _, i := range list {
			if w := e.Weight(i, item); w > most && i != item {
				most = w
				best.Seed, best.Count = i, float64(e.people[e.row(i)])
			}
		}
	}
	return best, best.Seed != None
}
