package sentiment

import (
	"slices"
	"unicode/utf8"
)

// Doc is a text made ready for the models: the hashes of its features, each once,
// ascending. It depends on the text alone, never on a training set, so that one Doc may
// serve any number of models. It is read only and safe for concurrent use.
type Doc struct {
	text   string
	bayes  []uint32 // units and pairs, negation marked
	linear []uint32 // n-grams of units, and of characters within words
	units  []uint32 // the text in order, for the network
	pairs  []uint32 // each unit with the one before it, in the same order
}

// NewDoc reads a text.
func NewDoc(text string) *Doc {
	us := units(text)
	d := &Doc{text: cut(text, textMax)}
	if chinese(us) {
		// A single character has too many meanings for naive Bayes, which would count its
		// evidence again with each pair that holds it; of a short text it is all there is.
		d.bayes = grams(nil, us, min(2, len(us)), chineseGrams)
		d.linear = grams(nil, us, 1, chineseGrams)
	} else {
		d.bayes = grams(marked(us), us, 1, 1)
		d.linear = spelled(grams(marked(us), us, englishGrams, englishGrams), us)
	}
	d.bayes, d.linear = distinct(d.bayes), distinct(d.linear)
	d.units, d.pairs = inOrder(us)
	return d
}

// Text returns the text, cut to the length that is read.
func (d *Doc) Text() string { return d.text }

// The lengths of n-grams.
const (
	chineseGrams     = 3
	englishGrams     = 3 // shorter ones come with their negation
	spellingShortest = 3 // bytes: endings such as ly> and stems
	spellingLongest  = 5
)

// Spaces of features, so that the word "a" is not the letter "a".
const (
	gramSpace = iota + 1
	markSpace
	letterSpace
	lengthSpace
	placeSpace
)

func distinct(f []uint32) []uint32 {
	slices.Sort(f)
	return slices.Clip(slices.Compact(f))
}

// grams appends the n-grams of units.
func grams(out []uint32, us []unit, shortest, longest int) []uint32 {
	for i := range us {
		h := newHash(gramSpace)
		for n := 1; n <= longest && i+n <= len(us); n++ {
			h = h.add(us[i+n-1].text)
			if n >= shortest {
				out = append(out, h.sum())
			}
		}
	}
	return out
}

// marked returns units with their negation, and pairs of them.
func marked(us []unit) []uint32 {
	not := negated(us)
	one := func(h hash, i int) hash {
		if not[i] {
			h = h.add("NOT")
		}
		return h.add(us[i].text)
	}
	out := make([]uint32, 0, 3*len(us))
	for i := range us {
		h := one(newHash(markSpace), i)
		out = append(out, h.sum())
		if i+1 < len(us) {
			out = append(out, one(h, i+1).sum())
		}
	}
	return out
}

// spelled appends the sequences of letters within words, with the word's ends.
func spelled(out []uint32, us []unit) []uint32 {
	var padded []byte
	for _, u := range us {
		if u.kind != wordUnit {
			continue
		}
		padded = append(append(append(padded[:0], '<'), u.text...), '>')
		for i := range padded {
			if !utf8.RuneStart(padded[i]) {
				continue
			}
			h := newHash(letterSpace)
			for n := 1; n <= spellingLongest && i+n <= len(padded); n++ {
				h = h.byte(padded[i+n-1])
				if n >= spellingShortest {
					out = append(out, h.sum())
				}
			}
		}
	}
	return out
}

// inOrder returns the units as they stand, alone and with the one before.
func inOrder(us []unit) (single, pair []uint32) {
	single, pair = make([]uint32, len(us)), make([]uint32, len(us))
	last := newHash(gramSpace)
	for i, u := range us {
		single[i] = newHash(gramSpace).add(u.text).sum()
		pair[i] = last.add(u.text).sum()
		last = newHash(gramSpace).add(u.text)
	}
	return single, pair
}

// hash is FNV-1a of 64 bits, whose sum is mixed once more (the finaliser of
// MurmurHash3), since its lower bits alone are weak.
type hash uint64

func newHash(space byte) hash { return hash(0xcbf29ce484222325).byte(space) }

func (h hash) byte(b byte) hash { return (h ^ hash(b)) * 0x100000001b3 }

func (h hash) add(s string) hash {
	for i := range len(s) {
		h = h.byte(s[i])
	}
	return h.byte(0)
}

func (h hash) sum() uint32 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	return uint32(h)
}
