package content

import (
	"strings"
	"unicode"
)

// This file hears the stumbles that a small network makes in English when one line runs
// into another: "Something that go with your order", "A outfit", "Gifts is back". It
// knows the number of the corpus' nouns and verbs and holds its tongue about every other
// word: what it does not know it does not judge.

// plurality is what a word says of how many: one, many, both or nothing.
type plurality uint8

const (
	one plurality = 1 << iota
	many
)

func wordsOf(s string) map[string]bool {
	m := map[string]bool{}
	for w := range strings.FieldsSeq(s) {
		m[w] = true
	}
	return m
}

// grammar is the little that is known. It does not change.
type grammar struct {
	single, plural   map[string]bool // nouns
	verbOne, verbAll map[string]bool // finite verbs of the third person
	adverbs          map[string]bool // may stand between noun and verb
	prepositions     map[string]bool // end the noun phrase that a verb agrees with
	helpers          map[string]bool // before a verb: it is no finite one, or its subject is another
	ends             map[string]bool // words that are no part of a noun phrase
	commands         map[string]bool // begin a sentence that tells somebody what to do
	past             map[string]bool // verbs that cannot stand after "to" or "don't"
}

func newGrammar() grammar {
	return grammar{
		single: wordsOf(`cart basket world garden kitchen price order search step look welcome review gift tech eye style shelf match outfit book
			toy playtime favourite box wish visit treat thing friend gadget birthday list skincare wardrobe beauty company
			shop piece sequel routine purchase drawer bookshelf hike present chapter reminder upgrade recipe plant something
			patio trail season story holiday minute idea smile checkout room home taste hand`),
		plural: wordsOf(`things toys gadgets favourites finds picks pieces ideas presents page-turners gifts books prices steps
			results friends treats wishes stars outfits regulars others shelves eyes stories answers dishes children playmates electronics`),
		verbOne:      wordsOf(`is was has costs goes deserves misses likes needs suits comes agrees does begins`),
		verbAll:      wordsOf(`are were have cost go deserve miss need suit come do begin`),
		adverbs:      wordsOf(`now still just also almost all always often again`),
		prepositions: wordsOf(`of for in to from with on at by into since until after before`),
		helpers:      wordsOf(`to don't let's let do does did will would can could may shall should we you they i help and or us`),
		ends:         wordsOf(`and or but so that who while you we it they i`),
		commands:     wordsOf(`share tell come take finish complete pick say make write meet begin see review`),
		past:         wordsOf(`left kept saw went came caught bought brought viewed looked searched missed saved chose ordered liked wanted were was`),
	}
}

// noun is the plurality of a noun, 0 for any other word.
func (g *grammar) noun(word string) (n plurality) {
	if g.single[word] {
		n |= one
	}
	if g.plural[word] {
		n |= many
	}
	return n
}

// stumbles says what is wrong with an English line, or "". Slots are words of an unknown
// kind.
func (g *grammar) stumbles(line string) string {
	if strings.Contains(line, "??") || strings.Contains(line, ",,") || strings.Contains(line, "..") {
		return "a mark twice"
	}
	if said := g.asksNothing(line); said != "" {
		return said
	}
	for _, clause := range clauses(line) {
		for i, word := range clause {
			switch {
			case i > 0 && g.past[word] && (clause[i-1] == "to" || clause[i-1] == "don't" || clause[i-1] == "let's"):
				return clause[i-1] + " before " + word
			case g.article(clause, i):
				return "article before " + clause[i+1]
			case g.counted(clause, i):
				return word + " before a noun of another number"
			case g.disagrees(clause, i):
				return word + " after a subject of another number"
			case g.asks(clause, i):
				return word + " before a subject of another number"
			}
		}
	}
	return ""
}

// asksNothing reports a sentence that begins by telling somebody what to do and ends in a
// question mark: "Share a review?".
func (g *grammar) asksNothing(line string) string {
	for sentence := range strings.SplitAfterSeq(strings.ReplaceAll(strings.ToLower(line), "!", "."), ".") {
		for part := range strings.SplitAfterSeq(sentence, "?") {
			words := strings.Fields(part)
			if len(words) > 2 && strings.HasSuffix(part, "?") && g.commands[strings.Trim(words[0], ",:")] {
				return words[0] + " in a question"
			}
		}
	}
	return ""
}

// clauses cuts a line into its words between marks.
func clauses(line string) [][]string {
	var out [][]string
	for part := range strings.FieldsFuncSeq(strings.ToLower(line), func(r rune) bool { return strings.ContainsRune(".,:;?!", r) }) {
		if words := strings.Fields(part); len(words) > 0 {
			out = append(out, words)
		}
	}
	return out
}

// article reports an "a" before a vowel, or an "an" before none. The vocabulary has no
// "hour" and no "university".
func (g *grammar) article(clause []string, i int) bool {
	if clause[i] != "a" && clause[i] != "an" || i+1 == len(clause) || !unicode.IsLetter(rune(clause[i+1][0])) || clause[i+1] == "one" {
		return false
	}
	return strings.ContainsRune("aeiou", rune(clause[i+1][0])) != (clause[i] == "an")
}

// head is the plurality of the noun that a phrase is about: the last of the nouns from i
// on, the first of many, before anything that is none.
func (g *grammar) head(clause []string, i int) plurality {
	var n plurality
	for ; i < len(clause) && !g.prepositions[clause[i]] && !g.ends[clause[i]]; i++ {
		switch m := g.noun(clause[i]); {
		case m == many: // nothing is named after it
			return many
		case m != 0:
			n = m
		case n != 0 || strings.HasSuffix(clause[i], "s"): // perhaps a noun that is not known
			return n
		}
	}
	return n
}

// counted reports a noun that does not go with the word that counts it.
func (g *grammar) counted(clause []string, i int) bool {
	if i+1 == len(clause) || clause[i+1] == "few" {
		return false
	}
	n := g.head(clause, i+1)
	switch clause[i] {
	case "a", "an", "another":
		return n == many
	case "these", "those", "few":
		return n == one
	}
	return false
}

// disagrees reports a verb whose subject, right before it, has another number.
func (g *grammar) disagrees(clause []string, i int) bool {
	verb := g.verb(clause[i])
	j := i - 1
	for j >= 0 && g.adverbs[clause[j]] {
		j--
	}
	if verb == 0 || j < 0 || g.helpers[clause[j]] {
		return false
	}
	relative := clause[j] == "that" && j > 0
	if relative {
		j--
	}
	if j > 1 && (clause[j-1] == "you" || clause[j-1] == "we") { // "the finds you missed is"
		relative, j = true, j-2
	}
	n := g.noun(clause[j])
	if n == 0 {
		return false
	}
	if !relative { // "the price of gifts has": the noun before the preposition is the subject
		for k := range j {
			if g.prepositions[clause[k]] || g.helpers[clause[k]] {
				return false
			}
		}
	}
	return n&verb == 0
}

// asks reports a question, or an answer turned round, whose verb has another number than
// the phrase after it: "How is your picks".
func (g *grammar) asks(clause []string, i int) bool {
	if i+1 == len(clause) || i > 1 || i == 1 && clause[0] != "how" && clause[0] != "where" && clause[0] != "what" {
		return false
	}
	if next := clause[i+1]; next != "your" && next != "our" && next != "the" && next != "my" {
		return false
	}
	var verb plurality // of others nothing follows: "begin your order" commands
	switch clause[i] {
	case "is", "was":
		verb = one
	case "are", "were":
		verb = many
	}
	n := g.head(clause, i+2)
	return verb != 0 && n != 0 && n&verb == 0
}

func (g *grammar) verb(word string) (n plurality) {
	if g.verbOne[word] {
		n |= one
	}
	if g.verbAll[word] {
		n |= many
	}
	return n
}
