package sentiment

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// Example is a text with its label.
type Example struct {
	Doc      *Doc
	Positive bool
	// Group, unless "", is what other examples share with this one, such as the pattern that
	// they were spelt out of: what is known of one tells of the others.
	Group string
}

// Deal deals examples into folds, at random but the same for the same seed: each class
// as evenly as possible, and texts that say the same in the same fold, since a copy of a
// text would be known before it is asked for. Examples of a group share a fold likewise.
func Deal(examples []Example, folds int, seed uint64) ([]int, error) {
	if folds < 2 || folds > len(examples) {
		return nil, fmt.Errorf("sentiment: %d folds of %d examples, want 2 to as many as there are", folds, len(examples))
	}
	fold := make([]int, len(examples))
	home := make(map[string]int, len(examples))
	var sizes [2][]int
	sizes[0], sizes[1] = make([]int, folds), make([]int, folds)
	r := rand.New(rand.NewPCG(seed, 0x666f6c64))
	for _, i := range r.Perm(len(examples)) {
		key := "group " + examples[i].Group
		if examples[i].Group == "" {
			key = "text " + examples[i].Doc.Key()
		}
		k := class(examples[i].Positive)
		at, known := home[key]
		if !known {
			for j := range folds {
				if sizes[k][j] < sizes[k][at] {
					at = j
				}
			}
			home[key] = at
		}
		fold[i] = at
		sizes[k][at]++
	}
	return fold, nil
}

// Key returns what is equal for texts that differ in blanks and capitals only.
func (d *Doc) Key() string { return strings.ToLower(strings.Join(strings.Fields(d.text), " ")) }
