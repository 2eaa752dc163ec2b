package content

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// FairnessOptions say over what the fairness of offers is counted. The zero value works.
type FairnessOptions struct {
	Window time.Duration // of event time: 30 days
	Least  int           // mails of a group before it counts: 50
}

// FairnessLeast is the least ratio between the rates of two groups that counts as fair:
// the rule of four fifths of the US guidelines on selection (29 CFR 1607.4 D).
const FairnessLeast = 0.8

// fairnessDays is into how many slices the window is cut, and fairnessGroups how many
// groups of a trait are told apart; further ones count as the last.
const (
	fairnessDays   = 30
	fairnessGroups = 16
)

// Fairness counts, by group, how many mails held an offer, over a window of event time.
// Safe for concurrent use.
type Fairness struct {
	o      FairnessOptions
	mu     sync.Mutex
	traits map[string][]fairGroup
}

type fairGroup struct {
	name   string
	slices [fairnessDays]fairSlice
}

type fairSlice struct {
	at           int64 // number of the slice since 1970
	mails, offer int
}

// NewFairness returns counts of nothing.
func NewFairness(o FairnessOptions) *Fairness {
	o.Window = cmp.Or(o.Window, 30*24*time.Hour) // long enough for a campaign, short enough to see a change
	o.Least = cmp.Or(o.Least, 50)                // below it the ratio of two fair groups is often under .8 by chance
	return &Fairness{o: o, traits: map[string][]fairGroup{}}
}

func (f *Fairness) slice(at int64) int64 { return at / (f.o.Window.Milliseconds() / fairnessDays) }

// Add counts a mail to somebody of a group of a trait, at a moment in Unix milliseconds. The
// traits are the caller's own few.
func (f *Fairness) Add(trait, group string, offered bool, at int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	groups := f.traits[trait]
	i := slices.IndexFunc(groups, func(g fairGroup) bool { return g.name == group })
	switch {
	case i >= 0:
	case len(groups) < fairnessGroups:
		i = len(groups)
		groups = append(groups, fairGroup{name: group})
		f.traits[trait] = groups
	default:
		i = fairnessGroups - 1
	}
	n := f.slice(max(at, 0))
	s := &groups[i].slices[n%fairnessDays]
	if s.at > n {
		return // older than the window
	}
	if s.at < n {
		*s = fairSlice{at: n}
	}
	s.mails++
	if offered {
		s.offer++
	}
}

// Ratio is the lowest rate of offers among the groups of a trait over the highest, as of a
// moment. ok is false where there is nothing to compare: fewer than two groups of enough
// mails, or no offer at all.
func (f *Fairness) Ratio(trait string, now int64) (ratio float64, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	newest := f.slice(max(now, 0))
	least, most, n := 2.0, 0.0, 0
	for _, g := range f.traits[trait] {
		mails, offers := 0, 0
		for _, s := range g.slices {
			if s.at > newest-fairnessDays && s.at <= newest {
				mails, offers = mails+s.mails, offers+s.offer
			}
		}
		if mails < f.o.Least {
			continue
		}
		rate := float64(offers) / float64(mails)
		least, most, n = min(least, rate), max(most, rate), n+1
	}
	if n < 2 || most == 0 {
		return 1, false
	}
	return least / most, true
}

// FairnessTraits are the traits by which offers are compared.
func FairnessTraits() []string { return []string{"customer", "language"} }
