package recommend

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
)

// The voices of a running shop, in the order of their weights.
const (
	liveTogether = iota // what goes with the seeds by the counts of the state
	liveVisits          // what visits like the present one hold
	liveContent         // what is like the seeds by its words
	livePopular         // what is popular, in the person's categories first
	liveVoices
)

// liveNames are the names of the voices.
var liveNames = [liveVoices]string{"together", "visits", "content", "popular"}

// features of a candidate: per voice its score beside the best, and 1/log2(1+rank).
const liveFeatures = 2 * liveVoices

// features of a candidate.
type features [liveFeatures]float32

// shippedWeights are those before anything is learned; docs/accuracy.md says where they
// come from.
var shippedWeights = [liveFeatures]float64{
	liveTogether * 2: 0.5, liveTogether*2 + 1: 0.5,
	liveVisits * 2: 2.0, liveVisits*2 + 1: 1.4,
	liveContent * 2: 0.3, liveContent*2 + 1: 0.2,
	livePopular * 2: 0.1, livePopular*2 + 1: 0.2,
}

// PlacementOptions say how the weights of the voices are learned. The zero value works.
type PlacementOptions struct {
	Rate       float64 // step of learning
	Pull       float64 // how strongly weights are pulled back to those shipped, per click
	Placements int     // placements with weights of their own
	Shown      int     // newest mails whose clicks teach
}

func (o PlacementOptions) withDefaults() PlacementOptions {
	o.Rate = cmp.Or(o.Rate, 0.05)           // half of BlendOptions: of three items shown, the first is clicked most
	o.Pull = cmp.Or(o.Pull, 1e-3)           // a hundred clicks move a weight, ten do not
	o.Placements = cmp.Or(o.Placements, 64) // a shop has about ten kinds of mail
	o.Shown = cmp.Or(o.Shown, 20_000)       // some days of a middling shop, about 4 MB
	return o
}

// shownMost is how many items of a mail are remembered.
const shownMost = 12

// Placements learn how much each voice counts where: a mail that was clicked says that
// the item behind the link was chosen among those it showed, and the weights of its
// placement step up the log-probability of that choice (a conditional logit with AdaGrad,
// as Blend). Where an item stood in the mail has a weight of its own, which is learned
// and then left out, so that standing first is no merit. Each link of a mail teaches
// once. Safe for concurrent use; who asks for weights waits for nobody.
type Placements struct {
	o     PlacementOptions
	heads atomic.Pointer[map[string]*placed] // never changed

	mu    sync.Mutex // guards what is below, and the making of new heads
	shown map[uint64]*shown
	queue []uint64 // in the order of showing
	dirty bool
}

// placed is what is learned for a placement.
type placed struct {
	Weight   [liveFeatures]float64 `json:"weight"`
	Square   [liveFeatures]float64 `json:"square"`
	Place    [shownMost]float64    `json:"place"`
	PlaceSq  [shownMost]float64    `json:"place_square"`
	Examples int                   `json:"examples"`
}

// shown is what a mail showed. It holds hashes, and nothing of a person.
type shown struct {
	Placement string      `json:"p"`
	Items     []shownItem `json:"i"`
}

type shownItem struct {
	Link     uint64   `json:"l"`
	Features features `json:"f"`
	Taught   bool     `json:"t,omitempty"`
}

// NewPlacements makes placements that have learned nothing.
func NewPlacements(o PlacementOptions) *Placements {
	p := &Placements{o: o.withDefaults(), shown: make(map[uint64]*shown)}
	p.heads.Store(&map[string]*placed{})
	return p
}

// weights are those of a placement; not to be changed.
func (p *Placements) weights(placement string) *[liveFeatures]float64 {
	if h := (*p.heads.Load())[placement]; h != nil {
		return &h.Weight
	}
	return &shippedWeights
}

// Learned is how many clicks have taught each placement.
func (p *Placements) Learned() map[string]int {
	out := make(map[string]int)
	for name, h := range *p.heads.Load() {
		out[name] = h.Examples
	}
	return out
}

// Weights are those of a placement, by voice: of the score, and of the rank.
func (p *Placements) Weights(placement string) map[string][2]float64 {
	w := p.weights(placement)
	out := make(map[string][2]float64, liveVoices)
	for v, name := range liveNames {
		out[name] = [2]float64{w[2*v], w[2*v+1]}
	}
	return out
}

// Remember notes what a mail shows, by where each item's link leads.
func (p *Placements) Remember(decision, placement string, list []Scored) {
	if len(list) < 2 { // there is no choice to learn from
		return
	}
	m := &shown{Placement: placement}
	for k := range list[:min(len(list), shownMost)] {
		m.Items = append(m.Items, shownItem{Link: hashOf(list[k].Facts.URL), Features: list[k].features})
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	key := hashOf(decision)
	if _, again := p.shown[key]; !again {
		p.queue = append(p.queue, key)
	}
	p.shown[key] = m
	for len(p.queue) > p.o.Shown {
		delete(p.shown, p.queue[0])
		p.queue = p.queue[1:]
	}
	p.dirty = true
}

// Clicked takes a step. It answers false when the mail is not remembered, the link leads
// to nothing that it recommended, or has taught before.
func (p *Placements) Clicked(decision, address string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.shown[hashOf(decision)]
	if m == nil {
		return false
	}
	if address == "" {
		return false
	}
	link := hashOf(address)
	at := slices.IndexFunc(m.Items, func(i shownItem) bool { return i.Link == link })
	if at < 0 || m.Items[at].Taught {
		return false
	}
	heads := *p.heads.Load()
	h := heads[m.Placement]
	if h == nil {
		if len(heads) >= p.o.Placements {
			return false
		}
		h = &placed{Weight: shippedWeights}
	}
	next := *h
	next.step(m.Items, at, &p.o)
	heads = maps.Clone(heads)
	heads[m.Placement] = &next
	p.heads.Store(&heads)
	m.Items[at].Taught, p.dirty = true, true
	return true
}

// step makes the choice of an item among those shown more likely.
func (h *placed) step(items []shownItem, chosen int, o *PlacementOptions) {
	value := make([]float64, len(items))
	for k := range items {
		value[k] = h.Place[k]
		for j, f := range items[k].Features {
			value[k] += h.Weight[j] * float64(f)
		}
	}
	softmax(value)
	for j := range h.Weight {
		g := float64(items[chosen].Features[j])
		for k := range items {
			g -= value[k] * float64(items[k].Features[j])
		}
		climb(&h.Weight[j], &h.Square[j], g-o.Pull*(h.Weight[j]-shippedWeights[j]), o.Rate)
	}
	for k := range items {
		g := -value[k]
		if k == chosen {
			g++
		}
		climb(&h.Place[k], &h.PlaceSq[k], g-o.Pull*h.Place[k], o.Rate)
	}
	h.Examples++
}

// climb is a step of AdaGrad.
func climb(weight, square *float64, gradient, rate float64) {
	*square += gradient * gradient
	*weight += rate * gradient / math.Sqrt(*square+1e-8)
}

// savedPlacements is the stored form.
type savedPlacements struct {
	Version int                `json:"version"`
	Heads   map[string]*placed `json:"placements"`
	Shown   []savedShown       `json:"shown"`
}

type savedShown struct {
	Mail  uint64 `json:"m"`
	Shown *shown `json:"s"`
}

// placementsVersion is the version of the stored form.
const placementsVersion = 1

// Changed tells whether there is anything that Save has not seen.
func (p *Placements) Changed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dirty
}

// Save answers the stored form: what was learned, and the mails that may still teach.
func (p *Placements) Save() ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := savedPlacements{Version: placementsVersion, Heads: *p.heads.Load()}
	for _, key := range p.queue {
		s.Shown = append(s.Shown, savedShown{key, p.shown[key]})
	}
	b, err := json.Marshal(&s)
	if err != nil {
		return nil, fmt.Errorf("encode the weights of recommendations: %w", err)
	}
	p.dirty = false
	return b, nil
}

// Load takes over a stored form. After an error nothing has changed.
func (p *Placements) Load(b []byte) error {
	var s savedPlacements
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("read the weights of recommendations: %w", err)
	}
	if s.Version != placementsVersion {
		return fmt.Errorf("read the weights of recommendations: version %d, known is %d", s.Version, placementsVersion)
	}
	for name, h := range s.Heads {
		if h == nil || !h.sound() {
			return fmt.Errorf("read the weights of recommendations: placement %q is damaged", name)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.Heads == nil {
		s.Heads = make(map[string]*placed)
	}
	p.heads.Store(&s.Heads)
	clear(p.shown)
	p.queue = p.queue[:0]
	for _, m := range s.Shown[max(0, len(s.Shown)-p.o.Shown):] {
		if m.Shown == nil || len(m.Shown.Items) > shownMost || p.shown[m.Mail] != nil {
			continue
		}
		p.shown[m.Mail] = m.Shown
		p.queue = append(p.queue, m.Mail)
	}
	p.dirty = false
	return nil
}

// sound tells whether all numbers are of a size that steps can lead to.
func (h *placed) sound() bool {
	for _, list := range [...][]float64{h.Weight[:], h.Square[:], h.Place[:], h.PlaceSq[:]} {
		for _, x := range list {
			if !(math.Abs(x) < 1e9) {
				return false
			}
		}
	}
	return h.Examples >= 0
}
