package content

import (
	"fmt"
	"slices"
)

// The blocks of a mail, behind its head line and greeting.
const (
	BlockText        = "text"        // the opening
	BlockHero        = "hero"        // the product that the mail is about, large
	BlockSentence    = "product"     // the sentence about it
	BlockItems       = "items"       // what the mail is about
	BlockButton      = "button"      // the call to action
	BlockRecommended = "recommended" // what goes with it
)

// Blocks returns the names of all blocks.
func Blocks() []string {
	return []string{BlockText, BlockHero, BlockSentence, BlockItems, BlockButton, BlockRecommended}
}

// Design is a layout of a mail. The zero value is the standard one.
type Design struct {
	Name     string
	Blocks   []string // in their order; nil for the standard ones
	Products int      // recommended at most, 3 if 0
}

// standardBlocks are those of a mail of no design.
func standardBlocks() []string {
	return []string{BlockText, BlockSentence, BlockItems, BlockButton, BlockRecommended}
}

func (d Design) withDefaults() Design {
	if d.Blocks == nil {
		d.Blocks = standardBlocks()
	}
	if d.Products == 0 {
		d.Products = recommendedShown
	}
	return d
}

// Check refuses a design that no mail could be rendered by.
func (d Design) Check() error {
	for i, b := range d.Blocks {
		if !slices.Contains(Blocks(), b) {
			return fmt.Errorf("content: design %s: unknown block %q, one of %v", d.Name, b, Blocks())
		}
		if slices.Contains(d.Blocks[:i], b) {
			return fmt.Errorf("content: design %s: block %s stands twice", d.Name, b)
		}
	}
	if d.Blocks != nil && !slices.Contains(d.Blocks, BlockButton) {
		return fmt.Errorf("content: design %s has no button", d.Name)
	}
	if d.Products < 0 || d.Products > productsMost {
		return fmt.Errorf("content: design %s: %d products, at most %d", d.Name, d.Products, productsMost)
	}
	return nil
}

// productsMost are two rows.
const productsMost = 6

// ChooseDesign picks one of the allowed designs for a decision, each with the same
// probability, by a hash; it is what is used while nobody learns which one is best.
func ChooseDesign(decision string, allowed []Design) (Design, float64) {
	if len(allowed) == 0 {
		return Design{}, 1
	}
	return allowed[generator(decision+"/design").IntN(len(allowed))], 1 / float64(len(allowed))
}
