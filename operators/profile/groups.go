package profile

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
)

// ErrGroups says that there are too few people to put into groups, or that a stored model
// is none.
var ErrGroups = errors.New("the model of groups cannot be used")

// PeopleGroups is K-means over people as they were at one moment: a function from a
// person and a time to a group, which does not change any more. It is stored as JSON.
type PeopleGroups struct {
	At       int64         `json:"at"`     // of the state, Unix milliseconds
	People   int           `json:"people"` // whom it was fitted to
	Features []string      `json:"features"`
	Mean     []float64     `json:"mean"`
	Scale    []float64     `json:"scale"`
	Groups   []PeopleGroup `json:"groups"` // largest first
	// Explained is the part of all differences between people that the groups explain.
	Explained float64 `json:"explained"`
	// Stability is the adjusted Rand index with the model before it over the same people:
	// 1 for the same groups, 0 for chance; 0 also without one before.
	Stability float64 `json:"stability"`
	Before    int     `json:"before,omitempty"` // the version of that one, 0 for none
	// Axes are the two directions in which people differ most, and Map how many people of
	// which group stand where along them: counts, no single person.
	Axes      [][]float64 `json:"axes"`
	AxesShare float64     `json:"axes_share"` // of all differences, along the two
	Map       []MapCell   `json:"map"`
}

// PeopleGroup is one of the groups.
type PeopleGroup struct {
	Name   string        `json:"name"`
	People int           `json:"people"`
	Share  float64       `json:"share"`
	Out    []StandingOut `json:"stands_out"` // most first
	Centre []float64     `json:"centre"`     // in standard deviations from the mean
}

// StandingOut is by how many standard deviations a group differs in a feature.
type StandingOut struct {
	Feature string  `json:"feature"`
	Off     float64 `json:"off"`
}

// MapCell counts the people of a group in a square of a map of mapSide to the side; the
// first column and row are 0.
type MapCell struct {
	X, Y   int
	Group  int
	People int
}

// The bounds of a fit.
const (
	mapSide      = 24  // squares to the side: finer ones would show single people
	mapReach     = 3.0 // standard deviations to each side; who is beyond stands at the edge
	groupStarts  = 10  // of K-means, of which the best is kept
	groupStands  = 4   // features that are told of a group
	peoplePerOne = 5   // fewer for each group make it chance
)

// GroupPeople fits k groups to people, as Vector tells them as of a time. seed chooses
// the starts. Fewer groups come out when there are fewer different people.
func GroupPeople(vectors [][]float64, at int64, k int, seed uint64) (*PeopleGroups, error) {
	k = min(max(k, 2), MaxClusters)
	if len(vectors) < k*peoplePerOne {
		return nil, fmt.Errorf("%w: %d people, at least %d for %d groups", ErrGroups, len(vectors), k*peoplePerOne, k)
	}
	var m Moments
	for _, x := range vectors {
		m.Add(x, at, 0)
	}
	d := NewDirections(MaxRows)
	xs := make([][]float64, 0, len(vectors))
	for _, x := range vectors {
		xs = append(xs, m.Standard(nil, x))
		d.Add(xs[len(xs)-1], at, 0)
	}
	centres, labels := KMeans(xs, k, groupStarts, seed)
	g := &PeopleGroups{At: at, People: len(xs), Features: VectorNames()}
	for i := range m.All {
		g.Mean, g.Scale = append(g.Mean, m.All[i].Mean), append(g.Scale, m.Scale(i))
	}
	order := bySize(labels, len(centres))
	g.name(centres, labels, order, &m)
	whole := SquaredError(xs, [][]float64{make([]float64, len(xs[0]))})
	if whole > 0 {
		g.Explained = math.Max(1-SquaredError(xs, centres)/whole, 0)
	}
	axes := d.Axes(2)
	g.Axes, g.AxesShare = axes.Vectors, axes.Explained()
	g.draw(xs)
	return g, nil
}

// bySize answers the numbers of the groups that hold anybody, largest first.
func bySize(labels []int, k int) []int {
	n := make([]int, k)
	for _, l := range labels {
		n[l]++
	}
	var order []int
	for {
		best := -1
		for i, v := range n {
			if v > 0 && (best < 0 || v > n[best]) {
				best = i
			}
		}
		if best < 0 {
			return order
		}
		order, n[best] = append(order, best), 0
	}
}

// name makes the groups in an order, named by what stands out.
func (g *PeopleGroups) name(centres [][]float64, labels, order []int, m *Moments) {
	c := &Clusters{width: len(m.All), scale: *m}
	for _, i := range order {
		raw := make([]float64, len(centres[i]))
		for j, v := range centres[i] {
			raw[j] = m.All[j].Mean + v*m.Scale(j)
		}
		c.All = append(c.All, Cluster{ID: uint32(len(c.All) + 1), Centre: raw}) //nolint:gosec // few
	}
	names := c.Names(g.Features)
	for n, i := range order {
		p := PeopleGroup{Name: names[n], Centre: centres[i]}
		for _, l := range labels {
			if l == i {
				p.People++
			}
		}
		p.Share = float64(p.People) / float64(len(labels))
		for _, s := range c.StandsOut(n, groupStands) {
			p.Out = append(p.Out, StandingOut{g.Features[s.Feature], s.Off})
		}
		g.Groups = append(g.Groups, p)
	}
}

// draw counts people on the map.
func (g *PeopleGroups) draw(xs [][]float64) {
	if len(g.Axes) < 2 {
		return // people differ in one way at most
	}
	sd := [2]float64{}
	for _, x := range xs {
		for a := range sd {
			v := dot(x, g.Axes[a])
			sd[a] += v * v / float64(len(xs))
		}
	}
	var counts [mapSide][mapSide][MaxClusters]int
	place := func(x []float64, a int) int {
		s := math.Sqrt(sd[a])
		if s == 0 {
			return mapSide / 2
		}
		return min(max(int((dot(x, g.Axes[a])/s/mapReach+1)/2*mapSide), 0), mapSide-1)
	}
	for _, x := range xs {
		counts[place(x, 0)][place(x, 1)][g.nearest(x)]++
	}
	for i := range counts {
		for j := range counts[i] {
			for l, n := range counts[i][j] {
				if n > 0 {
					g.Map = append(g.Map, MapCell{i, j, l, n})
				}
			}
		}
	}
}

func (g *PeopleGroups) nearest(x []float64) int {
	best, least := 0, math.Inf(1)
	for i := range g.Groups {
		if d := apart(g.Groups[i].Centre, x, nil); d < least {
			best, least = i, d
		}
	}
	return best
}

// Of answers the number of the group of a vector. What is not known of a person counts as
// the mean.
func (g *PeopleGroups) Of(vector []float64) int {
	x := make([]float64, len(g.Mean))
	for i := range x {
		if i < len(vector) && counts(vector[i]) {
			x[i] = (vector[i] - g.Mean[i]) / g.Scale[i]
		}
	}
	return g.nearest(x)
}

// Name is the name of the group of a person as of a time.
func (g *PeopleGroups) Name(p *Person, now int64) string {
	return g.Groups[g.Of(p.Vector(nil, now))].Name
}

// Compare notes how alike the groups are to those of an earlier model, over people.
func (g *PeopleGroups) Compare(old *PeopleGroups, version int, vectors [][]float64) {
	a, b := make([]int, len(vectors)), make([]int, len(vectors))
	for i, x := range vectors {
		a[i], b[i] = g.Of(x), old.Of(x)
	}
	g.Stability, g.Before = AdjustedRand(a, b), version
}

// ReadPeopleGroups reads a stored model. It answers ErrGroups, wrapped, for what is none.
func ReadPeopleGroups(raw []byte) (*PeopleGroups, error) {
	g := new(PeopleGroups)
	if err := json.Unmarshal(raw, g); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrGroups, err)
	}
	width := len(vectorNames)
	fits := len(g.Groups) > 0 && len(g.Groups) <= MaxClusters && len(g.Mean) == width && len(g.Scale) == width && len(g.Map) <= mapSide*mapSide*MaxClusters
	for i := range g.Groups {
		fits = fits && len(g.Groups[i].Centre) == width && g.Groups[i].Name != ""
	}
	for _, s := range g.Scale {
		fits = fits && s > 0
	}
	for _, c := range g.Map {
		fits = fits && c.X >= 0 && c.X < mapSide && c.Y >= 0 && c.Y < mapSide && c.Group >= 0 && c.Group < len(g.Groups)
	}
	if !fits {
		return nil, fmt.Errorf("%w: %d groups of %d features", ErrGroups, len(g.Groups), len(g.Mean))
	}
	return g, nil
}

// LifetimeModel is what is expected of people, fitted to them as they were at one moment.
// It is stored as JSON.
type LifetimeModel struct {
	At       int64    `json:"at"`
	Lifetime Lifetime `json:"lifetime"`
	Scale    RFMScale `json:"rfm"`
}

// FitPeople fits the model of lifetimes, and the fifths of buyers, to spells and what was
// spent, of a view at a time.
func FitPeople(c *Cohorts, spent *Quantiles, at int64) (*LifetimeModel, error) {
	l, err := FitLifetime(c.Groups(at))
	if err != nil {
		return nil, err
	}
	return &LifetimeModel{At: at, Lifetime: l, Scale: c.Scale(spent)}, nil
}

// ReadLifetimeModel reads a stored model. It answers ErrFit, wrapped, for what is none.
func ReadLifetimeModel(raw []byte) (*LifetimeModel, error) {
	m := new(LifetimeModel)
	if err := json.Unmarshal(raw, m); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFit, err)
	}
	if !m.Lifetime.Usable() {
		return nil, fmt.Errorf("%w: its numbers are out of range", ErrFit)
	}
	return m, nil
}

// Outlook is what is expected of a person as of a time, and the scores of what they have
// bought. Both are empty for who has never ordered.
func (m *LifetimeModel) Outlook(p *Person, now int64) (Outlook, RFM) {
	spell, ok := p.Spell()
	if !ok {
		return Outlook{}, RFM{}
	}
	const horizon = 30 // days
	return OutlookOf(spell, now, horizon, &m.Lifetime, StageOptions{}), m.Scale.Score(spell, float64(p.LTV()))
}
