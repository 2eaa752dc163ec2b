package recommend

import (
	"cmp"
	"slices"
)

// Rules are what the shop wants beside what fits. The zero value forbids nothing.
type Rules struct {
	InStock            bool
	PriceMin, PriceMax float64 // 0: no limit; an unknown price fits no limit
	MarginMin          float64
	PerBrand           int // items of one brand, 0: any
	PerCategory        int // items of one category, 0: any
	Allow              func(item string) bool
}

// Request asks a Hybrid what to show.
type Request struct {
	Placement string   // such as cart, post-purchase, win-back: whose weights are used
	Session   []string // what the person looks at or has in the cart, oldest first
	History   []string // what the person chose before, oldest first
	Purchased []string // what the person bought, for Exclude
	Hide      []string // what is shown already
	Exclude   Exclude
	Limit     int     // 0: 20; at most 500
	Now       int64   // milliseconds
	Diversity float64 // λ of maximal marginal relevance, 0 or 1: off
	Rules     Rules
	Explain   bool
}

// Suggestion is a recommended item.
type Suggestion struct {
	Item   string
	Score  float64
	Reason Reason
	Why    string // in words, when asked for
}

// maxLimit bounds an answer.
const maxLimit = 500

// Recommend answers a request: best first, at most Limit items. The popular ones are
// among the candidates, so that a person of whom nothing is known gets an answer.
func (h *Hybrid) Recommend(r Request) []Suggestion {
	h.mu.RLock()
	defer h.mu.RUnlock()
	d := h.pool.Get().(*desk)
	defer h.pool.Put(d)
	n := min(cmp.Or(max(r.Limit, 0), 20), maxLimit)
	h.ask(&r, d)
	d.out = h.blend.Rank(d.out[:0], r.Placement, d.lists, h.names, maxLimit, &d.b)
	list := d.out
	if r.Diversity > 0 && r.Diversity < 1 {
		list = Diversify(list[:min(len(list), max(5*n, 50))], len(list), r.Diversity, h.content.Similarity)
	}
	list = h.limit(list, &r.Rules, n)
	out := make([]Suggestion, len(list))
	for k, l := range list {
		out[k] = Suggestion{Item: h.names.ID(l.Item), Score: l.Score}
		if r.Explain {
			out[k].Reason = h.reason(&r, l.Item, d)
			out[k].Why = out[k].Reason.Text(h.title)
		}
	}
	return out
}

// Learn tells what was chosen from what a request might have shown: the weights of its
// placement take a step. Call it before the choice is observed. It answers false when
// there was nothing to learn.
func (h *Hybrid) Learn(r Request, chosen string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := h.names.Find(chosen)
	if i == None {
		return false
	}
	d := h.pool.Get().(*desk)
	defer h.pool.Put(d)
	h.ask(&r, d)
	return h.blend.Learn(r.Placement, d.lists, h.names, i, &d.b)
}

// ask collects the lists of all voices.
func (h *Hybrid) ask(r *Request, d *desk) {
	d.c.Session = h.names.FindAll(d.c.Session[:0], r.Session)
	d.c.History = h.names.FindAll(d.c.History[:0], r.History)
	d.c.Now = r.Now
	skip := h.skip(r, d)
	for len(d.lists) < len(h.voices) {
		d.lists = append(d.lists, nil)
	}
	for k, v := range h.voices {
		d.s.Scores.Reset(h.names.Len())
		v.Score(&d.c, &d.s)
		d.lists[k] = d.s.Scores.Top(d.lists[k][:0], h.blend.Depth(), h.names, skip)
	}
}

// skip is which items may not be shown.
func (h *Hybrid) skip(r *Request, d *desk) func(Num) bool {
	d.hide = h.names.FindAll(d.hide[:0], r.Hide)
	switch r.Exclude {
	case ExcludeLast:
		if n := len(d.c.Session); n > 0 {
			d.hide = append(d.hide, d.c.Session[n-1])
		}
	case ExcludeSession:
		d.hide = append(d.hide, d.c.Session...)
	case ExcludePurchased:
		d.hide = h.names.FindAll(d.hide, r.Purchased)
	case ExcludeNone:
	}
	slices.Sort(d.hide)
	return func(i Num) bool {
		_, hidden := slices.BinarySearch(d.hide, i)
		return hidden || !h.fits(i, &r.Rules)
	}
}

// fits tells whether an item meets the rules that look at one item.
func (h *Hybrid) fits(i Num, r *Rules) bool {
	p := h.product(i)
	switch {
	case r.InStock && p.NoStock, p.Margin < r.MarginMin:
		return false
	case p.Price == 0 && (r.PriceMin > 0 || r.PriceMax > 0):
		return false
	case p.Price < r.PriceMin, r.PriceMax > 0 && p.Price > r.PriceMax:
		return false
	}
	return r.Allow == nil || r.Allow(h.names.ID(i))
}

// unknownProduct is never changed.
var unknownProduct Product

func (h *Hybrid) product(i Num) *Product {
	if int(i) >= len(h.products) {
		return &unknownProduct
	}
	return &h.products[i]
}

// limit takes n of a list and heeds the rules that look at several items.
func (h *Hybrid) limit(list []Ranked, r *Rules, n int) []Ranked {
	if r.PerBrand <= 0 && r.PerCategory <= 0 {
		return list[:min(n, len(list))]
	}
	brands, categories := make(map[string]int), make(map[string]int)
	out := make([]Ranked, 0, n)
	for _, l := range list {
		p := h.product(l.Item)
		tooMany := r.PerBrand > 0 && p.Brand != "" && brands[p.Brand] >= r.PerBrand ||
			r.PerCategory > 0 && p.Category != "" && categories[p.Category] >= r.PerCategory
		if tooMany {
			continue
		}
		brands[p.Brand]++
		categories[p.Category]++
		if out = append(out, l); len(out) == n {
			break
		}
	}
	return out
}

// reason asks the voices, the one that gave the item the best rank first.
func (h *Hybrid) reason(r *Request, item Num, d *desk) Reason {
	type opinion struct{ voice, rank int }
	var asked []opinion
	weights := h.blend.Weights(r.Placement)
	for v, list := range d.lists[:len(h.voices)] {
		if k := slices.IndexFunc(list, func(l Ranked) bool { return l.Item == item }); k >= 0 && weights[v*featuresPerVoice]+weights[v*featuresPerVoice+1] > 0 {
			asked = append(asked, opinion{v, k})
		}
	}
	slices.SortStableFunc(asked, func(a, b opinion) int {
		pa, pb := h.voices[a.voice].Name() == VoicePopular, h.voices[b.voice].Name() == VoicePopular
		if pa != pb { // that it is popular is said only when nothing else can be
			if pa {
				return 1
			}
			return -1
		}
		return cmp.Compare(a.rank, b.rank)
	})
	for _, o := range asked {
		if why, ok := h.voices[o.voice].Why(&d.c, item, &d.s); ok {
			return why
		}
	}
	return Reason{Voice: VoicePopular, Seed: None, Count: h.popular.Count(item, r.Now)}
}

// title is how an item is called in a sentence.
func (h *Hybrid) title(i Num) string {
	return cmp.Or(h.product(i).Title, h.names.ID(i))
}
