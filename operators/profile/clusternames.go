package profile

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Standing is by how many standard deviations of all vectors the centre of a group
// differs from their mean in one feature.
type Standing struct {
	Feature int
	Off     float64
}

// StandsOut answers what sets group number i apart, most first, at most n features.
func (c *Clusters) StandsOut(i, n int) []Standing {
	all := make([]Standing, 0, c.width)
	for j, v := range c.All[i].Centre {
		if j < len(c.scale.All) {
			all = append(all, Standing{j, (v - c.scale.All[j].Mean) / c.scale.Scale(j)})
		}
	}
	slices.SortStableFunc(all, func(a, b Standing) int { return cmp.Compare(math.Abs(b.Off), math.Abs(a.Off)) })
	return all[:min(max(n, 0), len(all))]
}

// How a name is made.
const (
	standsOut     = .5 // standard deviations below which nothing is worth a word
	nameWords     = 2  // features in a name
	nameWordsMost = 4  // when two groups would be called the same
)

// Names gives each group a name made of the features that stand out: "high orders, low
// discount". No two are the same. A group near the mean of everything is "typical".
func (c *Clusters) Names(features []string) []string {
	names := make([]string, len(c.All))
	for i := range names {
		names[i] = c.name(i, nameWords, features)
	}
	for words := nameWords + 1; words <= nameWordsMost; words++ {
		for _, i := range repeated(names) {
			names[i] = c.name(i, words, features)
		}
	}
	for _, i := range repeated(names) {
		names[i] = fmt.Sprintf("%s (%d)", names[i], c.All[i].ID)
	}
	return names
}

func (c *Clusters) name(i, words int, features []string) string {
	var parts []string
	for _, s := range c.StandsOut(i, words) {
		if math.Abs(s.Off) < standsOut || s.Feature >= len(features) {
			break
		}
		how := "high "
		if s.Off < 0 {
			how = "low "
		}
		parts = append(parts, how+features[s.Feature])
	}
	if len(parts) == 0 {
		return "typical"
	}
	return strings.Join(parts, ", ")
}

// repeated answers which of the names are not alone.
func repeated(names []string) []int {
	n := make(map[string]int, len(names))
	for _, s := range names {
		n[s]++
	}
	var all []int
	for i, s := range names {
		if n[s] > 1 {
			all = append(all, i)
		}
	}
	return all
}
