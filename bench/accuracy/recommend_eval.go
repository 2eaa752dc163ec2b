package accuracy

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"millrace/operators/recommend"
)

// RecommendOptions say how a data set is measured. The zero value works.
type RecommendOptions struct {
	Exclude  string // none, last, session or purchased; empty: as the data set was published
	Seed     uint64 // of the split of ratings and the order of learning
	Epochs   int    // how often the weights of the voices learn from each validation example
	Examples int    // newest validation examples that are learned from
	Progress func(set string, done, total int)
}

func (o RecommendOptions) withDefaults() RecommendOptions {
	o.Epochs = cmp.Or(o.Epochs, 5)          // few examples are to be used well; not tuned
	o.Examples = cmp.Or(o.Examples, 10_000) // some 30 weights need no more, and it bounds memory
	if o.Progress == nil {
		o.Progress = func(string, int, int) {}
	}
	return o
}

// EvalRecommend measures every voice and their blend on a data set. The weights of the
// blend are learned from validation data alone, which end before the test data begin
// where the data have times.
func EvalRecommend(ctx context.Context, s *RecommendSet, o RecommendOptions) ([]RecommendResult, error) {
	o = o.withDefaults()
	switch s.Kind {
	case RecommendRatings:
		return evalRatings(ctx, s, o)
	case RecommendBaskets:
		return evalBaskets(ctx, s, o)
	case RecommendSessions, RecommendPrefixes:
		return evalSessions(ctx, s, o)
	default:
		return nil, fmt.Errorf("%s: no protocol for %q", s.Name, s.Kind)
	}
}

// panel asks all voices and their blend.
type panel struct {
	o       RecommendOptions
	set     string
	hybrid  *recommend.Hybrid
	scratch recommend.Scratch
	blend   recommend.BlendScratch
	lists   [][]recommend.Ranked
	joined  []recommend.Ranked
	seconds []float64
	tallies []*tally
	cluster []int
	learned []example
}

// example is a prediction that was kept to learn from.
type example struct {
	placement string
	lists     [][]recommend.Ranked
	chosen    recommend.Num
}

func newPanel(set string, o RecommendOptions, h recommend.HybridOptions) *panel {
	p := &panel{o: o, set: set, hybrid: recommend.NewHybrid(h)}
	n := len(p.hybrid.Voices())
	p.lists, p.seconds = make([][]recommend.Ranked, n), make([]float64, n)
	for range n + 1 {
		p.tallies = append(p.tallies, &tally{shown: make(map[recommend.Num]bool)})
	}
	return p
}

// num is the number of an item, None if it has none.
func (p *panel) num(id string) recommend.Num { return p.hybrid.Names().Find(id) }

// ask fills the lists of the voices.
func (p *panel) ask(c *recommend.Context, skip func(recommend.Num) bool) {
	names := p.hybrid.Names()
	for k, v := range p.hybrid.Voices() {
		began := time.Now()
		p.scratch.Scores.Reset(names.Len())
		v.Score(c, &p.scratch)
		p.lists[k] = p.scratch.Scores.Top(p.lists[k][:0], p.hybrid.Blend().Depth(), names, skip)
		p.seconds[k] += time.Since(began).Seconds()
	}
}

// judge adds the present lists and their blend to the tallies.
func (p *panel) judge(placement string, cluster int, w *truth) {
	began := time.Now()
	p.joined = p.hybrid.Blend().Rank(p.joined[:0], placement, p.lists, p.hybrid.Names(), 20, &p.blend)
	joining := time.Since(began).Seconds()
	for k, l := range p.lists {
		p.tallies[k].add(l, w)
		p.tallies[k].seconds = p.seconds[k]
	}
	all := p.tallies[len(p.lists)]
	all.add(p.joined, w)
	all.seconds += joining
	p.cluster = append(p.cluster, cluster)
}

// keep remembers the present lists to learn from.
func (p *panel) keep(placement string, chosen recommend.Num) {
	if chosen == recommend.None {
		return
	}
	e := example{placement: placement, chosen: chosen}
	for _, l := range p.lists {
		e.lists = append(e.lists, slices.Clone(l))
	}
	if len(p.learned) >= p.o.Examples {
		p.learned = p.learned[1:]
	}
	p.learned = append(p.learned, e)
}

// learn teaches the blend what was kept, in a seeded order.
func (p *panel) learn() {
	rng := rand.New(rand.NewPCG(p.o.Seed, 1)) //nolint:gosec // an evaluation is to be repeatable
	for range p.o.Epochs {
		for _, k := range rng.Perm(len(p.learned)) {
			e := &p.learned[k]
			p.hybrid.Blend().Learn(e.placement, e.lists, p.hybrid.Names(), e.chosen, &p.blend)
		}
	}
	p.learned = nil
	clear(p.seconds)
}

// results makes the rows of the table. By each of the metrics the blend is compared with
// the voice that is best on the test data by that very metric.
func (p *panel) results(protocol, exclude string, items int, metrics ...string) []RecommendResult {
	var rows []RecommendResult
	for k, v := range p.hybrid.Voices() {
		if len(p.tallies[k].shown) > 0 { // a voice that had nothing to go by has no row
			rows = append(rows, p.row(k, v.Name(), protocol, exclude, items))
		}
	}
	all := len(p.lists)
	for _, s := range p.seconds {
		p.tallies[all].seconds += s
	}
	row := p.row(all, "hybrid", protocol, exclude, items)
	for _, m := range metrics {
		best := p.best(m)
		row.Gains = append(row.Gains, gainOver(m, p.hybrid.Voices()[best].Name(), p.tallies[all], p.tallies[best], p.cluster))
	}
	return append(rows, row)
}

// best is the voice that is best by a metric.
func (p *panel) best(metric string) int {
	best, most := 0, -1.0
	for k := range p.lists {
		sum := 0.0
		for i := range p.tallies[k].all {
			sum += float64(measures[metric](&p.tallies[k].all[i]))
		}
		if sum > most {
			best, most = k, sum
		}
	}
	return best
}

func (p *panel) row(k int, method, protocol, exclude string, items int) RecommendResult {
	r := p.tallies[k].result(items)
	r.Name, r.Method, r.Protocol, r.Exclude = p.set, method, protocol, exclude
	return r
}

// observe passes a visit to the hybrid.
func (p *panel) observe(v *RecommendVisit, person, unit string) {
	for _, c := range v.Clicks {
		p.hybrid.Observe(recommend.Action{Person: person, Session: v.Key, Unit: unit, Item: c.Item, How: recommend.Purchased, Time: c.Time})
	}
}

// describe passes the catalogue to the hybrid.
func (p *panel) describe(s *RecommendSet) {
	for _, d := range s.Products {
		p.hybrid.Describe(d.Item, d.Product)
	}
}

// truthOf says what is relevant: next by the protocol, rest for Serenade's metrics.
func (p *panel) truthOf(next, rest []string) *truth {
	w := &truth{clicks: len(rest)}
	for _, id := range next {
		if i := p.num(id); i == recommend.None {
			w.others++
		} else {
			w.next = append(w.next, i)
		}
	}
	for _, id := range rest {
		if i := p.num(id); i != recommend.None && !slices.Contains(w.rest, i) {
			w.rest = append(w.rest, i)
		}
	}
	return w
}

// distinct lists the items of a visit, each once.
func distinct(v *RecommendVisit) []string {
	var out []string
	for _, c := range v.Clicks {
		if !slices.Contains(out, c.Item) {
			out = append(out, c.Item)
		}
	}
	return out
}

// excluded says which items may not be recommended to a session.
func excluded(rule string, session []recommend.Num) (func(recommend.Num) bool, error) {
	switch rule {
	case "none", "purchased": // nobody bought anything
		return nil, nil
	case "last":
		return func(i recommend.Num) bool { return len(session) > 0 && session[len(session)-1] == i }, nil
	case "session":
		return func(i recommend.Num) bool { return slices.Contains(session, i) }, nil
	default:
		return nil, fmt.Errorf("exclude %q: want one of %s", rule, strings.Join([]string{"none", "last", "session", "purchased"}, ", "))
	}
}
