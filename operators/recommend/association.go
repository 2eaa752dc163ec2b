package recommend

import (
	"cmp"
	"time"

	"millrace/operators/profile"
)

// AssociationOptions say how rules are counted. The zero value counts association rules.
type AssociationOptions struct {
	Sequential bool          // what follows counts, by 1/distance; else all pairs of a visit count alike
	HalfLife   time.Duration // of the counts; negative or 0: no decay
	Bound      int           // items remembered per item
	Seeds      SeedOptions   // from which items of the context
}

// sequenceReach is how far apart two clicks may stand that a sequential rule joins.
const sequenceReach = 10

// Associations counts which items stand together in visits (AR) or follow each other
// (SR), in the words of Ludewig and Jannach, Evaluation of session-based recommendation
// algorithms, 2018. An item counts with itself when it is clicked again. One goroutine
// at a time, or many that only ask.
type Associations struct {
	o     AssociationOptions
	half  int64
	decay profile.Decay
	rows  []row
	last  int64
	lost  uint64
}

// NewAssociations makes an empty set of rules.
func NewAssociations(o AssociationOptions) *Associations {
	o.Bound = cmp.Or(o.Bound, 512) // 6 kB an item; not tuned
	if o.Seeds == (SeedOptions{}) {
		o.Seeds = SeedOptions{Last: 1, Past: -1} // the published form looks at the last click alone
	}
	o.Seeds = o.Seeds.withDefaults()
	a := &Associations{o: o, half: -1}
	if o.HalfLife > 0 {
		a.half = max(o.HalfLife.Milliseconds(), 1000)
	}
	return a
}

// Name implements Voice.
func (a *Associations) Name() string {
	if a.o.Sequential {
		return VoiceSR
	}
	return VoiceAR
}

// Lost is the number of pairs that the bound dropped.
func (a *Associations) Lost() uint64 { return a.lost }

// Add counts the click that stands at a place of a visit as Trails answers it. A pair
// counts as of its later click, and a click that arrives late corrects the distances
// around it, so the order of arrival changes nothing.
func (a *Associations) Add(clicks []Click, at int) {
	if at < 0 || at >= len(clicks) {
		return
	}
	c := clicks[at]
	for k := range clicks {
		switch {
		case k < at && a.o.Sequential:
			a.pair(clicks[k].Item, c.Item, closeness(at-k), c.Time)
		case k > at && a.o.Sequential:
			a.pair(c.Item, clicks[k].Item, closeness(k-at), clicks[k].Time)
		case k != at:
			t := max(clicks[k].Time, c.Time)
			a.pair(clicks[k].Item, c.Item, 1, t)
			a.pair(c.Item, clicks[k].Item, 1, t)
		}
	}
	if !a.o.Sequential {
		return
	}
	for i := max(at-sequenceReach, 0); i < at; i++ {
		for j := at + 1; j < len(clicks) && j-i <= sequenceReach+1; j++ {
			a.pair(clicks[i].Item, clicks[j].Item, closeness(j-i)-closeness(j-i-1), clicks[j].Time)
		}
	}
}

// closeness is what two clicks weigh that stand so far apart.
func closeness(distance int) float64 {
	if distance > sequenceReach {
		return 0
	}
	return 1 / float64(distance)
}

func (a *Associations) pair(from, to Num, x float64, at int64) {
	if x == 0 {
		return
	}
	w, f := a.decay.Weigh(at, a.half, a.last)
	if f != 1 {
		for k := range a.rows {
			a.rows[k].scale(f)
		}
	}
	a.last = max(a.last, at)
	a.rows = grown(a.rows, max(from, to))
	a.lost += uint64(a.rows[from].add(to, x*w, a.o.Bound)) //nolint:gosec // not negative
}

// Weight is the count of a rule as of now.
func (a *Associations) Weight(from, to Num, now int64) float64 {
	if from < 0 || int(from) >= len(a.rows) {
		return 0
	}
	return a.decay.Value(a.rows[from].at(to), max(now, a.last))
}

// Score implements Voice.
func (a *Associations) Score(c *Context, s *Scratch) {
	for _, from := range a.o.Seeds.of(c, s) {
		if int(from.item) >= len(a.rows) {
			continue
		}
		r := &a.rows[from.item]
		top := 0.0
		for _, v := range r.value {
			top = max(top, v)
		}
		if top <= 0 {
			continue
		}
		for k, i := range r.items {
			s.Scores.Add(i, from.weight*r.value[k]/top)
		}
	}
}

// Why implements Voice.
func (a *Associations) Why(c *Context, item Num, s *Scratch) (Reason, bool) {
	best := Reason{Voice: a.Name(), Seed: None}
	for _, from := range a.o.Seeds.of(c, s) {
		if n := a.Weight(from.item, item, c.Now); n > best.Count && from.item != item {
			best.Seed, best.Count = from.item, n
		}
	}
	return best, best.Seed != None
}
