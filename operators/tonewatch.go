package operators

import (
	"maps"
	"sync"

	"millrace/operators/event"
	"millrace/operators/sentiment"
)

// ToneWatch counts what is heard, and compares what a model says of it with what it said
// of the texts that it was trained on. It decides nothing. Safe for concurrent use; a nil
// one counts nothing.
type ToneWatch struct {
	// Alarm is told when the texts begin to differ from those of the training, and when
	// they cease to; nil: nobody is. Set it before anything is heard.
	Alarm func(version string, index float64, on bool)

	mu      sync.Mutex
	counts  map[ToneCount]uint64
	version string
	card    sentiment.Card
	own     bool // the card's reference is of texts such as these
	first   [10]int
	firsts  int
	drift   *sentiment.Drift
	alarm   bool
	window  int
}

// ToneCount is what is counted: texts of a kind of event, and whether they were bad
// experiences.
type ToneCount struct {
	Kind string
	Bad  bool
}

// driftWindow is how many texts are compared, as sentiment.DriftOptions has it.
const driftWindow = 500

// NewToneWatch makes one that has heard nothing.
func NewToneWatch() *ToneWatch {
	return &ToneWatch{counts: make(map[ToneCount]uint64), window: driftWindow}
}

// Use begins to compare with the training of a model, unless that is the one in use. The
// shipped model knows no shop's texts: own says whether this one does, else the first
// texts that it judges stand for them.
func (w *ToneWatch) Use(version string, card sentiment.Card, own bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if version == w.version {
		return
	}
	w.version, w.card, w.own = version, card, own
	w.first, w.firsts, w.drift, w.alarm = [10]int{}, 0, nil, false
}

// judged takes in what a model said of a text. Another model than the one in use may
// judge for a moment, as at an activation: that is not compared.
func (w *ToneWatch) judged(version string, probability float64) {
	if w == nil {
		return
	}
	w.mu.Lock()
	if version != w.version {
		w.mu.Unlock()
		return
	}
	changed, on, index := w.compare(probability)
	w.mu.Unlock()
	if changed && w.Alarm != nil {
		w.Alarm(version, index, on)
	}
}

func (w *ToneWatch) compare(probability float64) (changed, on bool, index float64) {
	if w.drift == nil && !w.own {
		w.first[max(0, min(len(w.first)-1, int(probability*float64(len(w.first)))))]++
		if w.firsts++; w.firsts < w.window {
			return false, false, 0
		}
		w.card.Reference = w.first
	}
	if w.drift == nil {
		var err error
		if w.drift, err = sentiment.NewDrift(w.card, sentiment.DriftOptions{Window: w.window}); err != nil {
			w.own, w.firsts, w.first = false, 0, [10]int{} // a model without a reference: the texts to come stand for it
			return false, false, 0
		}
		if !w.own {
			return false, false, 0
		}
	}
	on = w.drift.Observe(probability)
	changed, w.alarm = on != w.alarm, on
	return changed, on, w.drift.Index()
}

// heard counts a text.
func (w *ToneWatch) heard(k event.Kind, h *sentiment.Heard) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts[ToneCount{k.String(), h.Bad}]++
}

// ToneFigures are what a ToneWatch knows.
type ToneFigures struct {
	Version string
	Counts  map[ToneCount]uint64
	Drift   float64 // population stability index; 0 before there is enough to compare
	Alarm   bool
}

// Figures are what was counted since the start of the process.
func (w *ToneWatch) Figures() ToneFigures {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := ToneFigures{Version: w.version, Counts: maps.Clone(w.counts), Alarm: w.alarm}
	if w.drift != nil && w.drift.Full() {
		f.Drift = w.drift.Index()
	}
	return f
}
