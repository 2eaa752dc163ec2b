package content

import "strings"

// Part is what of a mail a line is for.
type Part uint8

// The parts. Their order stands in the condition: append, never reorder.
const (
	Subject   Part = iota
	Preheader      // what mail programs show behind the subject
	Opening        // the first paragraph
	Sentence       // about the product that the mail is about
	Action         // on the button
	partCount
)

// Parts returns all parts in the order in which they are read.
func Parts() []Part { return []Part{Subject, Preheader, Opening, Sentence, Action} }

// String returns the name of a part: that of its files and of its counts.
func (p Part) String() string {
	switch p {
	case Subject:
		return "subject"
	case Preheader:
		return "preheader"
	case Opening:
		return "opening"
	case Sentence:
		return "product"
	case Action:
		return "action"
	default:
		return "unknown"
	}
}

// runes is the longest rendered line of a part. That of a subject is an option.
func (p Part) runes() int {
	switch p {
	case Subject:
		return subjectRunesMost
	case Preheader:
		return 110 // what the wide lists of mail programs show
	case Opening:
		return 200 // three lines on a phone
	case Sentence:
		return 160
	default:
		return 28 // one line of a button on a phone
	}
}

// steps is how many tokens a line of a part may have: a few more than the longest of the
// corpus, which a test compares.
func (p Part) steps() int {
	switch p {
	case Subject:
		return tokensMax
	case Action:
		return 10
	default:
		return stepsMost
	}
}

// run is how many tokens in a row must stand in some line of the corpus. Longer parts
// have more seams, so theirs are held tighter.
func (p Part) run() int {
	switch p {
	case Subject, Action:
		return 3
	case Opening:
		return 5
	default:
		return 4
	}
}

// Tone is how a mail speaks.
type Tone string

// The tones.
const (
	AnyTone Tone = ""
	Calm    Tone = "calm"    // after a bad experience: no puns, nothing that pushes
	Playful Tone = "playful" // lines with a wink come first
)

// place is what of a condition decides which lines of the corpus are true of it.
type place struct {
	part     Part
	kind     string
	category uint16 // one bit
	tags     uint16 // a bit for each tag that holds, and one for lines without
}

// untagged is the bit of lines that are true of everybody.
const untagged uint16 = 1 << 15

// anyCategory are the bits of lines that are true of all categories, and of none.
const anyCategory uint16 = 1<<16 - 1

func (c *condition) place() place {
	p := place{part: c.part, kind: c.kind, category: categoryBit(c.category), tags: untagged}
	for i, tag := range tags() {
		if c.holds(tag) {
			p.tags |= 1 << i
		}
	}
	return p
}

// holds reports whether what a tag says is known to be true.
func (c *condition) holds(tag string) bool {
	switch tag {
	case "returning":
		return c.returning
	case "new":
		return c.fresh
	case valueLow, valueHigh:
		return c.value == tag
	case "last":
		return c.last
	case "replies":
		return c.replies
	case string(Calm):
		return c.tone == Calm
	case string(Playful):
		return c.tone != Calm
	default:
		return false
	}
}

func categoryBit(category string) uint16 {
	for i, c := range Categories() {
		if c == category {
			return 1 << i
		}
	}
	return 1 << len(Categories())
}

// place is where a line of the corpus is true.
func (l *Line) place() place {
	p := place{part: l.Part, kind: l.Kind, category: anyCategory, tags: untagged}
	if l.Category != "" {
		p.category = categoryBit(l.Category)
	}
	for i, tag := range tags() {
		if l.Tag == tag {
			p.tags = 1 << i
		}
	}
	return p
}

// attested are the runs of tokens that stand in the corpus in some wording, and where
// they are true. A line made of them runs from one line of the corpus into another only
// where both say the same words, and both are for the same part and trigger, for this
// category, and say nothing that is not known. It does not change.
type attested map[uint64]truth

// truth is of which categories and tags a run is true.
type truth struct{ category, tags uint16 }

// newAttested lists the runs of a corpus.
func newAttested(v *vocabulary, own string) (attested, error) {
	lines, err := everyAlternative(own)
	if err != nil {
		return nil, err
	}
	runs := make(attested, 8*len(lines))
	for i := range lines {
		ids, err := v.encode(lines[i])
		if err != nil { // words of no training
			continue
		}
		p := lines[i].place()
		ids = ids[1:]
		for j, next := range ids {
			key := p.key(ids[:j], next)
			t := runs[key]
			runs[key] = truth{t.category | p.category, t.tags | p.tags}
		}
	}
	return runs, nil
}

// key names the run of a part's length that ends with next. Two runs share a key with a
// chance of one in 10^13 for a corpus of a million runs.
func (p *place) key(ids []int32, next int32) uint64 {
	const prime = 0x100000001b3
	h := uint64(0xcbf29ce484222325)
	mix := func(x uint64) {
		h ^= x
		h *= prime
		h ^= h >> 29
	}
	mix(uint64(p.part))
	for _, c := range []byte(p.kind) {
		mix(uint64(c))
	}
	for n := p.part.run() - 1; n > 0; n-- {
		before := tokenBegin
		if len(ids) >= n {
			before = ids[len(ids)-n]
		}
		mix(uint64(before) + 256) //nolint:gosec // a token is not negative
	}
	mix(uint64(next) + 256) //nolint:gosec // likewise
	return h
}

// follows reports whether next may follow ids in a line for this place.
func (a attested) follows(p *place, ids []int32, next int32) bool {
	if a == nil {
		return true
	}
	t := a[p.key(ids, next)]
	return t.category&p.category != 0 && t.tags&p.tags != 0
}

// attests reports whether all runs of a line are attested for this place.
func (v *vocabulary) attests(p *place, ids []int32) bool {
	for i, id := range ids {
		if !v.known.follows(p, ids[:i], id) {
			return false
		}
	}
	return v.known.follows(p, ids, tokenEnd)
}

// partByName returns the part of a name.
func partByName(name string) (Part, bool) {
	for _, p := range Parts() {
		if strings.EqualFold(name, p.String()) {
			return p, true
		}
	}
	return 0, false
}
