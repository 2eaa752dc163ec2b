package recommend

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// HybridOptions say which voices there are and how they listen. The zero value works.
type HybridOptions struct {
	Voices     []string           // names of voices; nil: all
	Items      int                // items numbered; 0: the default of NewNames
	Sessions   SessionOptions     // session neighbours
	AR, SR     AssociationOptions // rules; the kind is set by the voice
	CF         CFOptions          // item-to-item counts
	CFSeeds    SeedOptions        // from which items the readers of these counts start
	Gram       GramOptions        // EASE
	Repeat     Repeat             // what was chosen before
	PopularFor time.Duration      // half-life of popularity; 0: two weeks; negative: no decay
	Blend      BlendOptions       // how the voices are joined
}

// voiceNames is the order of the voices in blends.
var voiceNames = [...]string{
	VoicePopular, VoiceRepeat, VoiceSessions, VoiceAR, VoiceSR, VoiceCosine, VoiceLLR, VoiceContent, VoiceEASE,
}

// Hybrid joins the voices: it passes each choice to all of them, and answers what to
// show. It is safe for concurrent use; questions do not wait for each other.
type Hybrid struct {
	mu       sync.RWMutex // guards all below but the pool
	o        HybridOptions
	names    *Names
	trails   *Trails
	sessions *Sessions
	ar, sr   *Associations
	cf       *ItemCF
	gram     *Gram
	popular  *Popularity
	content  *Content
	products []Product
	voices   []Voice // by the order of voiceNames, without those that are not wanted
	ease     int     // place of EASE among them, -1
	blend    *Blend
	pool     sync.Pool // of *desk
}

// desk is the working memory of a question.
type desk struct {
	s     Scratch
	b     BlendScratch
	lists [][]Ranked
	out   []Ranked
	c     Context
	hide  []Num
}

// NewHybrid makes a hybrid that knows nothing yet.
func NewHybrid(o HybridOptions) *Hybrid {
	switch {
	case o.PopularFor == 0:
		o.PopularFor = 14 * 24 * time.Hour // what is popular changes faster than what goes together
	case o.PopularFor < 0:
		o.PopularFor = 0
	}
	o.AR.Sequential, o.SR.Sequential = false, true
	n := NewNames(o.Items)
	h := &Hybrid{
		o: o, names: n, trails: NewTrails(n), sessions: NewSessions(n, o.Sessions), ar: NewAssociations(o.AR), sr: NewAssociations(o.SR),
		cf: NewItemCF(n, o.CF), popular: NewPopularity(n, o.PopularFor), content: NewContent(n), ease: -1,
	}
	h.pool.New = func() any { return new(desk) }
	all := [...]Voice{
		h.popular, o.Repeat, h.sessions, h.ar, h.sr, &CFVoice{Counts: h.cf, Seeds: o.CFSeeds},
		&CFVoice{Counts: h.cf, Similarity: LogLikelihood, Seeds: o.CFSeeds}, h.content, &EASE{},
	}
	for k, v := range all {
		if len(o.Voices) > 0 && !slices.Contains(o.Voices, voiceNames[k]) {
			continue
		}
		if v.Name() == VoiceEASE {
			h.ease = len(h.voices)
			h.gram = NewGram(o.Gram)
		}
		h.voices = append(h.voices, v)
	}
	h.blend = NewBlend(len(h.voices), o.Blend)
	return h
}

// Action is a choice that somebody made.
type Action struct {
	Person  string // pseudonym; whom Erase forgets; may be empty
	Session string // visit, cart or order
	Unit    string // within which choices go together; empty: Person, else Session
	Item    string
	How     Strength
	Time    int64 // milliseconds
}

// Observe counts an action at once. It answers false when the same click of the session
// is known already, or when there is no room for another item.
func (h *Hybrid) Observe(a Action) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := h.names.Put(a.Item)
	if i == None {
		return false
	}
	unit := cmp.Or(a.Unit, a.Person, a.Session)
	clicks, at := h.trails.Add(a.Session, Click{i, a.Time})
	if at < 0 {
		return false
	}
	h.trails.own(a.Session, a.Person)
	h.ar.Add(clicks, at)
	h.sr.Add(clicks, at)
	h.sessions.Click(a.Person, a.Session, i, a.Time)
	h.cf.Add(unit, i, a.How, a.Time)
	h.popular.Add(i, 1, a.Time)
	if h.gram != nil {
		h.gram.Add(cmp.Or(a.Person, unit), i)
	}
	return true
}

// Describe takes over what the catalogue says of an item, which can be recommended from
// then on.
func (h *Hybrid) Describe(item string, p Product) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := h.names.Put(item)
	if i == None {
		return false
	}
	h.products = grown(h.products, i)
	h.products[i] = p
	h.content.Describe(i, p)
	return true
}

// Fit brings up to date what is only approximate between fits: which neighbours vote, the
// lengths of texts, and the weights of EASE. Nothing else needs a fit. Those who observe
// wait only while the counts are copied and the answer is put in place.
func (h *Hybrid) Fit() error {
	h.mu.Lock()
	h.cf.Refresh()
	h.content.Weigh()
	h.mu.Unlock()
	if h.ease < 0 {
		return nil
	}
	h.mu.RLock()
	counts := h.gram.counts()
	h.mu.RUnlock()
	e, err := counts.fit()
	if err != nil {
		return err
	}
	h.mu.Lock()
	h.voices[h.ease] = e
	h.mu.Unlock()
	return nil
}

// Erase forgets a person's visits and takes the person out of the counts of pairs. Sums
// that name nobody, which are popularity and rules, stay. It answers how many visits and
// choices there were.
func (h *Hybrid) Erase(person string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.trails.Erase(person)
	n := h.sessions.Erase(person) + h.cf.Erase(person)
	if h.gram != nil {
		h.gram.Erase(person)
	}
	return n
}

// Names is the numbering of the items; only to be read, and not while others Observe.
func (h *Hybrid) Names() *Names { return h.names }

// Voices are the opinions that are joined, in the order of the weights; only to be asked,
// and not while others Observe or Fit.
func (h *Hybrid) Voices() []Voice { return h.voices }

// Blend is what joins the voices; not to be used while others use the hybrid.
func (h *Hybrid) Blend() *Blend { return h.blend }
