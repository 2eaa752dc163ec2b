package recommend

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Product is what the catalogue says of an item.
type Product struct {
	Title    string
	Category string // levels parted by / or >
	Brand    string
	Price    float64 // 0: unknown
	Margin   float64 // share of the price, for rules
	NoStock  bool
}

// Content compares items by words, category, brand and price band, so that an item that
// nobody has touched yet can be recommended at once. Texts become sparse tf-idf vectors;
// Chinese, Japanese and Korean run together without spaces, so there pairs of neighbouring
// signs are the words. One goroutine at a time, or many that only ask.
type Content struct {
	Seeds    SeedOptions
	names    *Names
	features map[uint64]Num // by hash of the word
	words    []word
	texts    []text // by item
	count    int
	weighed  int // count as of the last Weigh
}

// word is a feature and the items that have it.
type word struct {
	items []entry // at most maxWordItems, in the order of coming
	df    int
}

// entry is an item that has a word, and how strongly.
type entry struct {
	item Num
	tf   float32
}

// text is the vector of an item.
type text struct {
	words []Num
	tf    []float32
	norm  float64 // as of the last Weigh or description
}

// Bounds of the vectors.
const (
	maxWords     = 64      // of an item: titles are short
	maxFeatures  = 1 << 22 // different words
	maxWordItems = 2000    // a word that more items have says little; the first ones stand for them
	queryWords   = 48      // of a query, the heaviest
)

// contentScratch is the working memory of a query to Content.
type contentScratch struct {
	words  Scores
	ranked []Ranked
}

// NewContent makes an empty catalogue.
func NewContent(names *Names) *Content {
	return &Content{names: names, features: make(map[uint64]Num)}
}

// Name implements Voice.
func (x *Content) Name() string { return VoiceContent }

// Len is the number of items that are described.
func (x *Content) Len() int { return x.count }

// Describe takes over what is said of an item, in the place of what was said before.
func (x *Content) Describe(i Num, p Product) {
	x.describe(i, p)
	if x.count >= 2*x.weighed {
		x.Weigh()
	}
}

// describe is Describe for one who calls weighSome.
func (x *Content) describe(i Num, p Product) {
	if i < 0 {
		return
	}
	x.texts = grown(x.texts, i)
	t := &x.texts[i]
	if len(t.words) > 0 {
		x.forget(i)
	}
	t.words, t.tf = x.vector(p)
	if len(t.words) == 0 {
		return
	}
	x.count++
	for k, w := range t.words {
		x.words[w].df++
		if len(x.words[w].items) < maxWordItems {
			x.words[w].items = append(x.words[w].items, entry{i, t.tf[k]})
		}
	}
	t.norm = x.length(t)
}

// weighSome is Weigh for n items from one on. It answers the item to go on with.
func (x *Content) weighSome(from, n int) int {
	if from >= len(x.texts) {
		from = 0
	}
	to := min(from+n, len(x.texts))
	for i := from; i < to; i++ {
		x.texts[i].norm = x.length(&x.texts[i])
	}
	return to
}

// Forget takes an item out.
func (x *Content) Forget(i Num) {
	if i >= 0 && int(i) < len(x.texts) && len(x.texts[i].words) > 0 {
		x.forget(i)
	}
}

func (x *Content) forget(i Num) {
	for _, w := range x.texts[i].words {
		x.words[w].df--
		x.words[w].items = slices.DeleteFunc(x.words[w].items, func(e entry) bool { return e.item == i })
	}
	x.texts[i] = text{}
	x.count--
}

// Weigh brings the lengths of all vectors up to date with the frequencies of words. It
// is done by itself each time the catalogue has doubled.
func (x *Content) Weigh() {
	for i := range x.texts {
		x.texts[i].norm = x.length(&x.texts[i])
	}
	x.weighed = x.count
}

// vector turns a product into words and their weights.
func (x *Content) vector(p Product) ([]Num, []float32) {
	var words []Num
	var tf []float32
	add := func(kind byte, w string, weight float32) {
		f := x.feature(kind, w)
		if f == None {
			return
		}
		if k := slices.Index(words, f); k >= 0 {
			tf[k] += weight
		} else if len(words) < maxWords {
			words, tf = append(words, f), append(tf, weight)
		}
	}
	var path strings.Builder
	for level := range strings.FieldsFuncSeq(strings.ToLower(p.Category), func(r rune) bool { return r == '/' || r == '>' }) {
		path.WriteByte('/')
		path.WriteString(strings.TrimSpace(level))
		add('c', path.String(), 1)
	}
	if b := strings.TrimSpace(strings.ToLower(p.Brand)); b != "" {
		add('b', b, 1)
	}
	if p.Price > 0 {
		band := math.Floor(2 * math.Log2(p.Price)) // steps of 41 %
		add('p', strconv.FormatFloat(band, 'f', 0, 64), 0.5)
	}
	for w := range wordsOf(p.Title) {
		add('t', w, 1)
	}
	for k := range tf {
		tf[k] = float32(math.Sqrt(float64(tf[k]))) // a word said four times says twice as much
	}
	return words, tf
}

// feature is the number of a word, which it gets if need be. Words are known by their
// hash: of four million, the chance that any two share one of 64 bits is one in two million.
func (x *Content) feature(kind byte, w string) Num {
	h := scramble(hashOf(w) ^ uint64(kind))
	f, ok := x.features[h]
	if !ok {
		if len(x.words) >= maxFeatures {
			return None
		}
		f = Num(len(x.words)) //nolint:gosec // at most maxFeatures
		x.features[h] = f
		x.words = append(x.words, word{})
	}
	return f
}

// wordsOf yields the words of a text: runs of letters and digits in lower case without a
// plural s, and pairs of neighbouring signs where words are not parted by spaces.
func wordsOf(s string) func(func(string) bool) {
	return func(yield func(string) bool) {
		runes := []rune(strings.ToLower(s))
		for at := 0; at < len(runes); {
			end := at
			switch {
			case dense(runes[at]):
				for end < len(runes) && dense(runes[end]) {
					end++
				}
				for k := at; k < max(end-1, at+1); k++ {
					if !yield(string(runes[k:min(k+2, end)])) {
						return
					}
				}
			case unicode.IsLetter(runes[at]) || unicode.IsDigit(runes[at]):
				for end < len(runes) && !dense(runes[end]) && (unicode.IsLetter(runes[end]) || unicode.IsDigit(runes[end]) || unicode.IsMark(runes[end])) {
					end++
				}
				if !yield(singular(string(runes[at:end]))) {
					return
				}
			default:
				end++
			}
			at = end
		}
	}
}

// singular takes the s off an English plural, well enough to compare words.
func singular(w string) string {
	if len(w) > 3 && strings.HasSuffix(w, "s") && !strings.HasSuffix(w, "ss") {
		return w[:len(w)-1]
	}
	return w
}

// dense tells whether a sign belongs to a script that does not part words by spaces.
func dense(r rune) bool {
	return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Thai)
}

// idf weighs a word by its rarity.
func (x *Content) idf(w Num) float64 {
	return math.Log(1 + float64(x.count)/float64(max(x.words[w].df, 1)))
}

// length is the length of a vector by the present frequencies.
func (x *Content) length(t *text) float64 {
	sum := 0.0
	for k, w := range t.words {
		v := float64(t.tf[k]) * x.idf(w)
		sum += v * v
	}
	return math.Sqrt(sum)
}

// Similarity is the cosine of two items.
func (x *Content) Similarity(a, b Num) float64 {
	if a < 0 || b < 0 || int(a) >= len(x.texts) || int(b) >= len(x.texts) {
		return 0
	}
	s, t := &x.texts[a], &x.texts[b]
	dot := 0.0
	for k, w := range s.words {
		if l := slices.Index(t.words, w); l >= 0 {
			f := x.idf(w)
			dot += float64(s.tf[k]) * float64(t.tf[l]) * f * f
		}
	}
	if dot == 0 {
		return 0
	}
	return dot / (x.length(s) * x.length(t))
}

// Score implements Voice: the cosine of each item with the sum of the seeds' vectors. A
// seed does not speak for itself.
func (x *Content) Score(c *Context, s *Scratch) {
	q := &s.content
	q.words.Reset(len(x.words))
	seeds := x.Seeds.withDefaults().of(c, s)
	for _, from := range seeds {
		if int(from.item) >= len(x.texts) || x.texts[from.item].norm == 0 {
			continue
		}
		t := &x.texts[from.item]
		for k, w := range t.words {
			q.words.Add(w, from.weight*float64(t.tf[k])*x.idf(w)/t.norm)
		}
	}
	q.ranked = q.ranked[:0]
	for _, w := range q.words.found {
		q.ranked = append(q.ranked, Ranked{w, q.words.value[w] * x.idf(w)})
	}
	slices.SortFunc(q.ranked, func(a, b Ranked) int {
		switch {
		case a.Score != b.Score && a.Score > b.Score, a.Score == b.Score && a.Item < b.Item:
			return -1
		default:
			return 1
		}
	})
	for _, r := range q.ranked[:min(len(q.ranked), queryWords)] {
		for _, e := range x.words[r.Item].items {
			s.Scores.Add(e.item, r.Score*float64(e.tf)/x.texts[e.item].norm)
		}
	}
	for _, from := range seeds {
		if s.Scores.Of(from.item) != 0 {
			s.Scores.value[from.item] = 0
		}
	}
}

// Why implements Voice.
func (x *Content) Why(c *Context, item Num, s *Scratch) (Reason, bool) {
	best := Reason{Voice: VoiceContent, Seed: None}
	most := 0.0
	for _, from := range x.Seeds.withDefaults().of(c, s) {
		if w := from.weight * x.Similarity(from.item, item); w > most && from.item != item {
			most = w
			best.Seed = from.item
		}
	}
	return best, best.Seed != None
}
