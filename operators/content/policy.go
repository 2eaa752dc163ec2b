package content

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// The reasons for which a text is refused, besides those of a line.
const (
	whyLanguage = "is in another language"
	whyHard     = "is hard to read"
	whyClaim    = "claims what is not known of the product"
)

// policies are the words that no mail may say, by the reason.
type policies map[string]banned

// lifted are the policies that a shop of the sector may lift.
func liftable() []string { return []string{"health", "finance"} }

func readPolicies() (policies, error) {
	b, err := corpusFiles.ReadFile("corpus/policy.txt")
	if err != nil {
		return nil, fmt.Errorf("content: read policies: %w", err)
	}
	secs, err := sections(string(b))
	if err != nil {
		return nil, fmt.Errorf("content: policies: %w", err)
	}
	out := policies{}
	for _, s := range secs {
		if len(s.head) != 1 {
			return nil, fmt.Errorf("content: policies: section %q, want one word", s.head)
		}
		out[s.head[0]] = newBanned(s.lines)
	}
	return out, nil
}

// names are the reasons in the order in which they are looked at.
func (p policies) names() []string { return []string{"toxic", "trait", "health", "finance", "spam"} }

// breaks names the first policy that a text breaks, or is "".
func (p policies) breaks(text string, lifted []string) string {
	for _, name := range p.names() {
		if !slices.Contains(lifted, name) && p[name].find(text) != "" {
			return name
		}
	}
	return ""
}

// The longest sentences that read easily: plain-language guides ask for 15 to 20 words on
// average, and none above 30. A Chinese character says about two thirds of a word.
const (
	wordsMostSentence = 30
	hanMostSentence   = 45
)

// readable reports whether every sentence of a text is short enough.
func readable(text string) bool {
	for sentence := range strings.FieldsFuncSeq(text, func(r rune) bool { return strings.ContainsRune(".?!。？！", r) }) {
		han := 0
		for _, r := range sentence {
			if unicode.Is(unicode.Han, r) {
				han++
			}
		}
		if han > hanMostSentence || len(strings.Fields(sentence)) > wordsMostSentence {
			return false
		}
	}
	return true
}

// spoken reports whether a line holds no word of the other language, its slots aside:
// Chinese no word of Latin letters, English no Chinese character.
func spoken(line, lang string) bool {
	for s := range slotCount {
		line = strings.ReplaceAll(line, s.String(), " ")
	}
	han := strings.ContainsFunc(line, func(r rune) bool { return unicode.Is(unicode.Han, r) })
	latin := strings.ContainsFunc(line, wordRune)
	if lang == "zh" {
		return !latin
	}
	return !han
}

// Knowledge is what a shop says of itself and its products. It bounds what mails may say.
type Knowledge struct {
	Attributes map[string][]string // short true phrases, by product id
	Claims     []Claim
	Never      []string // words that the brand does not use
	Allow      []string // policies that the sector of the shop lifts: health, finance
	Replies    bool     // answers to mails are read by people
}

// Claim is a phrase that is true of some products only.
type Claim struct {
	Say  string
	Only []string // product ids
}

// check refuses what no writer could use.
func (k *Knowledge) check() error {
	for _, name := range k.Allow {
		if !slices.Contains(liftable(), name) {
			return fmt.Errorf("content: knowledge allows %q, only %v can be", name, liftable())
		}
	}
	for i, c := range k.Claims {
		if fold(c.Say) == "" {
			return fmt.Errorf("content: claim %d of the knowledge is empty", i+1)
		}
	}
	return nil
}

// untrue are the claims that do not hold of a product.
func (k *Knowledge) untrue(product string) []string {
	var out []string
	for _, c := range k.Claims {
		if !slices.Contains(c.Only, product) {
			out = append(out, c.Say)
		}
	}
	return out
}

// attribute is what is said of a product: one of its phrases, drawn by the decision. One
// that breaks a policy, is in another language than the mail, or makes a claim that is
// not true of the product, is not said.
func (k *Knowledge) attribute(product, lang, seed string, p policies) string {
	var fit []string
	for _, a := range k.Attributes[product] {
		if a = slotValue(a); a != "" && spoken(a, lang) && p.breaks(a, k.Allow) == "" && fineWordings(a) && newBanned(append(k.untrue(product), k.Never...)).find(a) == "" {
			fit = append(fit, a)
		}
	}
	if len(fit) == 0 {
		return ""
	}
	return fit[generator(seed+"/attribute").IntN(len(fit))]
}
