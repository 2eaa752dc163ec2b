package recommend

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"millrace/operators/profile"
)

// Exclude says which items are never recommended.
type Exclude uint8

// What may be excluded. Each includes nothing of the others.
const (
	ExcludePurchased Exclude = iota // what the person bought: the default
	ExcludeNone
	ExcludeLast    // what the person looked at last
	ExcludeSession // what the person looked at or put into a cart in the present window
)

// ParseExclude reads the setting: none, last, session or purchased.
func ParseExclude(s string) (Exclude, bool) {
	i := slices.Index([]string{"purchased", "none", "last", "session"}, s)
	return Exclude(max(i, 0)), i >= 0
}

// Reader finds the record of an item. What it answers is only read.
type Reader func(item string) (*Item, bool)

// Seed is an item from which a recommendation starts.
type Seed struct {
	Item   string
	Weight float64
}

// Query asks what to show.
type Query struct {
	Seeds     []Seed
	Limit     int
	Now       int64
	Hide      []string          // items that are shown already
	Skip      func(string) bool // items that are excluded; nil for none
	NeedName  bool              // only items whose name is known
	NeedPrice bool              // only items whose price is known
	NoFill    bool              // do not fill up with popular items
	// Categories whose popular items are shown before those of the whole shop, where
	// the seeds say too little; the most wanted first.
	Categories []string
	Tops       *Tops // remembers what goes with an item; nil: it is looked up each time
	// Brief finds the record of an item without its neighbours; nil: with them.
	Brief Reader
	// Weights of the relations; all zero: those of the Recommender.
	Weights [RelationCount]float64
}

// Scored is a recommended item.
type Scored struct {
	Item     string
	Score    float64
	Facts    Facts
	Seed     string   // the seed that speaks most for it; "" when it is merely popular
	SeedName string   // its name; "" when that is not known
	Relation Relation // how the two go together
	LLR      float64  // how surely
	Shared   float64  // units that hold both, decayed
	Category string   // in which it is popular, when that is why it is shown
	Visits   int      // visits that hold both, when that is why it is shown
	Alike    bool     // it is like the seed by its words, when that is why it is shown

	features features
}

// Why says in words why the item is recommended, by the name of what it goes with, or
// by its id where no name is known.
func (s Scored) Why() string {
	if s.Seed == "" {
		return "popular"
	}
	switch name := cmp.Or(s.SeedName, s.Seed); {
	case s.Visits > 0:
		return "in one visit with " + name
	case s.Alike:
		return "similar to " + name
	default:
		return s.Relation.String() + " with " + name
	}
}

// MaxSeeds bounds the items that a recommendation starts from: the newest ones say
// most, and each costs up to 3 × MaxNeighbours reads.
const MaxSeeds = 5

// QueryFor starts from what a person has in the newest cart, else looked at last, else
// bought last.
func QueryFor(p *profile.Person, x Exclude, limit int, now int64) Query {
	q := Query{Limit: limit, Now: now}
	if c := p.NewestCart(); c != nil {
		for _, t := range slices.Backward(c.Contents()) {
			q.Seeds = append(q.Seeds, Seed{t.ID, 1})
			q.Hide = append(q.Hide, t.ID)
		}
	}
	if len(q.Seeds) == 0 {
		for i, v := range p.Viewed[:min(len(p.Viewed), MaxSeeds)] {
			q.Seeds = append(q.Seeds, Seed{v.ID, 1 / float64(1+i)})
		}
	}
	if len(q.Seeds) == 0 {
		for _, t := range p.LastOrder.Items {
			q.Seeds = append(q.Seeds, Seed{t.ID, 1})
		}
	}
	q.Seeds = q.Seeds[:min(len(q.Seeds), MaxSeeds)]
	q.Skip = skipFor(p, x)
	return q
}

func skipFor(p *profile.Person, x Exclude) func(string) bool {
	switch x {
	case ExcludePurchased:
		return p.HasBought
	case ExcludeLast:
		return func(id string) bool { return len(p.Viewed) > 0 && p.Viewed[0].ID == id }
	case ExcludeSession:
		return func(id string) bool {
			for i := range p.Viewed {
				if p.Viewed[i].ID == id && p.Viewed[i].At >= p.Window {
					return true
				}
			}
			for i := range p.Carts {
				for j := range p.Carts[i].Items {
					if p.Carts[i].Items[j].ID == id {
						return true
					}
				}
			}
			return false
		}
	default:
		return nil
	}
}

// LLR is Dunning's log-likelihood ratio of a two by two table: k11 units with both, k12
// with the first only, k21 with the second only, k22 with neither. It is 0 when the two
// are together no more often than chance would have it: what avoids each other must not
// rank high.
func LLR(k11, k12, k21, k22 float64) float64 {
	k11, k12, k21, k22 = max(k11, 0), max(k12, 0), max(k21, 0), max(k22, 0)
	n := k11 + k12 + k21 + k22
	if k11*n <= (k11+k12)*(k11+k21) {
		return 0
	}
	return max(2*(entropy(k11+k12, k21+k22)+entropy(k11+k21, k12+k22)-entropy(k11, k12, k21, k22)), 0)
}

func entropy(k ...float64) float64 {
	var sum, parts float64
	for _, n := range k {
		sum += n
		parts += xlogx(n)
	}
	return xlogx(sum) - parts
}

func xlogx(n float64) float64 {
	if n <= 0 {
		return 0
	}
	return n * math.Log(n)
}

// Neighbour is an item that goes with another.
type Neighbour struct {
	Item   string
	LLR    float64
	Shared float64 // units with both, decayed
	Facts  Facts
}

// Top lists what goes with an item in one relation, surest first. Ties are in the order
// of the ids.
func (r *Recommender) Top(id string, rel Relation, now int64, read Reader, totals *Totals) []Neighbour {
	if rel >= RelationCount {
		return nil
	}
	return top(id, rel, now, read, read, totals.Units(rel, now, r.half))
}

// top is Top among n units; brief finds the neighbours.
func top(id string, rel Relation, now int64, read, brief Reader, n float64) []Neighbour {
	i, ok := read(id)
	if !ok {
		return nil
	}
	own := i.Units(rel, now)
	out := make([]Neighbour, 0, len(i.relations[rel].list))
	others := &i.relations[rel].neighbours
	for k, a := range others.list {
		o, ok := brief(others.id(k))
		shared := i.value(a.count, now)
		if !ok || shared <= 0 {
			continue
		}
		other := o.Units(rel, now)
		if s := LLR(shared, own-shared, other-shared, n-own-other+shared); s > 0 {
			out = append(out, Neighbour{others.id(k), s, shared, o.Facts})
		}
	}
	slices.SortFunc(out, func(a, b Neighbour) int {
		return cmp.Or(cmp.Compare(b.LLR, a.LLR), strings.Compare(a.Item, b.Item))
	})
	return out
}

// Recommend answers what to show: what goes with the seeds in any relation, each
// contributing weight × ln(1 + LLR), and popular items if that is not enough. Ties are
// in the order of the ids, so the same records give the same answer.
func (r *Recommender) Recommend(q Query, read Reader, totals *Totals) []Scored {
	full := remembered(read)
	cached := full
	if q.Brief != nil {
		cached = q.Brief
	}
	if q.Weights == [RelationCount]float64{} {
		q.Weights = r.o.Weights
	}
	found := make(map[string]*Scored)
	for rel := range RelationCount {
		if q.Weights[rel] == 0 {
			continue
		}
		units := totals.Units(rel, q.Now, r.half)
		for _, s := range q.Seeds {
			for _, n := range q.Tops.of(s.Item, rel, q.Now, full, cached, units) {
				vote(found, &q, s, rel, n)
			}
		}
	}
	out := make([]Scored, 0, len(found))
	for _, s := range found {
		out = append(out, *s)
	}
	slices.SortFunc(out, func(a, b Scored) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), strings.Compare(a.Item, b.Item))
	})
	out = out[:min(len(out), max(q.Limit, 0))]
	for i := range out {
		if seed, ok := cached(out[i].Seed); ok {
			out[i].SeedName = seed.Facts.Name
		}
	}
	if q.NoFill || len(out) >= q.Limit {
		return out
	}
	return q.fill(q.fillCategories(out, cached, totals), cached, totals)
}

// remembered is a reader that asks once for each item.
func remembered(read Reader) Reader {
	cache := make(map[string]*Item)
	return func(id string) (*Item, bool) {
		i, known := cache[id]
		if !known {
			if i, known = read(id); !known {
				i = nil
			}
			cache[id] = i
		}
		return i, i != nil
	}
}

// vote adds what a seed says for a neighbour.
func vote(found map[string]*Scored, q *Query, s Seed, rel Relation, n Neighbour) {
	if !q.allows(n.Item, &n.Facts) {
		return
	}
	add := s.Weight * q.Weights[rel] * math.Log1p(n.LLR)
	f := found[n.Item]
	if f == nil {
		found[n.Item] = &Scored{Item: n.Item, Score: add, Facts: n.Facts, Seed: s.Item, Relation: rel, LLR: n.LLR, Shared: n.Shared}
		return
	}
	f.Score += add
	if n.LLR > f.LLR {
		f.Seed, f.Relation, f.LLR, f.Shared = s.Item, rel, n.LLR, n.Shared
	}
}

// allows tells whether an item may be shown.
func (q *Query) allows(id string, f *Facts) bool {
	if q.NeedName && f.Name == "" || q.NeedPrice && (!f.HasPrice || f.Price <= 0) {
		return false
	}
	return !slices.Contains(q.Hide, id) && (q.Skip == nil || !q.Skip(id))
}

// fill adds popular items up to the limit.
func (q *Query) fill(out []Scored, read Reader, totals *Totals) []Scored {
	for _, id := range totals.Popular(MaxPopular) {
		if len(out) >= q.Limit {
			break
		}
		i, ok := read(id)
		if !ok || !q.allows(id, &i.Facts) || slices.ContainsFunc(out, func(s Scored) bool { return s.Item == id }) {
			continue
		}
		out = append(out, Scored{Item: id, Facts: i.Facts})
	}
	return out
}
