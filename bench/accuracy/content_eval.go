package accuracy

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"millrace/operators/content"
	"millrace/operators/event"
)

// ContentOptions says how to measure the writer. The zero value measures the shipped
// model.
type ContentOptions struct {
	Model    []byte // nil is the shipped one
	Contexts int    // 2000 if 0
	Seed     uint64 // 1 if 0
	Show     int    // mails to keep for reading
}

// ContentResult is what a model's subjects are worth.
type ContentResult struct {
	Guard     *ContentGuard      `json:"guard,omitempty"` // where labelled messages were at hand
	Name      string             `json:"name"`
	Model     string             `json:"model"`
	Contexts  int                `json:"contexts"`
	Slots     float64            `json:"slots_right"` // share of the subjects whose facts are all copies
	Banned    int                `json:"banned"`      // subjects with a banned word
	Long      int                `json:"over_long"`
	Urgent    int                `json:"false_urgency"` // "last one" where the stock does not say so
	Unmet     int                `json:"unmet"`         // without a slot or word that was required
	Repeats   int                `json:"repeats"`       // word for word what the same person got before
	Fallbacks float64            `json:"fallbacks"`     // share of written subjects
	Why       map[string]int     `json:"fallback_reasons,omitempty"`
	Distinct2 float64            `json:"distinct_2"`
	SelfBLEU  map[string]float64 `json:"self_bleu"` // by language
	Different int                `json:"different"` // subjects, slots left open

	Perplexity        float64 `json:"perplexity"`         // of held-out text, per token
	TrigramPerplexity float64 `json:"trigram_perplexity"` // Kneser-Ney, same text, same training lines
	HeldTokens        int     `json:"held_tokens"`

	KL         float64 `json:"kl"`          // mean, nats, from the person's interests
	ShuffledKL float64 `json:"shuffled_kl"` // the same subjects, other people's interests
	KLGain     float64 `json:"kl_gain"`     // how much lower it is than shuffled

	Parts []ContentPart `json:"parts"`

	Seconds   float64 `json:"seconds"`    // of writing all
	MsSubject float64 `json:"ms_subject"` // of that, for each mail

	Mails []ContentMail `json:"-"`
}

// ContentMail is a mail as somebody reads it.
type ContentMail struct {
	Language, Kind, Interests                     string
	Subject, Preheader, Opening, Sentence, Action string
	Model                                         bool
}

// EvaluateContent writes a mail for each context and judges it by rules of its own: what
// the writer checks, it does not believe.
func EvaluateContent(ctx context.Context, o ContentOptions) (ContentResult, error) {
	if o.Contexts == 0 {
		o.Contexts = 2000
	}
	if o.Seed == 0 {
		o.Seed = 1
	}
	if o.Model == nil {
		var err error
		if o.Model, err = content.ShippedModel(); err != nil {
			return ContentResult{}, err
		}
	}
	out := ContentResult{Name: "content", Contexts: o.Contexts, Why: map[string]int{}, SelfBLEU: map[string]float64{}}
	held, err := content.MeasureHeld(o.Model)
	if err != nil {
		return out, err
	}
	out.HeldTokens, out.Perplexity = held.Tokens, math.Exp(held.Loss)
	out.TrigramPerplexity = math.Exp(NewContentTrigram(held.Learnt, held.Held).Loss(held.Held))
	e := contentEval{o: o, out: &out, writers: map[string]*content.Writer{}, seen: map[int][]string{}, hashes: map[int][]uint32{}, parts: map[string]*contentPart{}, lines: map[string][][]string{}, forms: map[string]bool{}}
	begin := time.Now()
	contexts := ContentContexts(o.Contexts, o.Seed)
	for i := range contexts {
		if err := e.write(ctx, &contexts[i]); err != nil {
			return out, err
		}
	}
	out.Seconds = time.Since(begin).Seconds()
	out.MsSubject = 1000 * out.Seconds / float64(o.Contexts)
	e.finish(contexts)
	return out, nil
}

// contentEval is a measurement under way.
type contentEval struct {
	o        ContentOptions
	out      *ContentResult
	writers  map[string]*content.Writer // by limit and ban
	seen     map[int][]string           // by person
	hashes   map[int][]uint32           // likewise, of other lines
	parts    map[string]*contentPart
	lines    map[string][][]string // words with open slots, by language
	forms    map[string]bool
	subjects []string
	used     []*content.Writer
	right    int
	fallen   int
}

func (e *contentEval) writer(c *ContentContext) (*content.Writer, error) {
	key := fmt.Sprint(c.Limit, c.Banned)
	if w := e.writers[key]; w != nil {
		return w, nil
	}
	w, err := content.New(content.Options{Model: e.o.Model, SubjectRunes: c.Limit, Banned: c.Banned, SubjectWait: time.Minute, Knowledge: contentKnowledge()})
	if err == nil {
		e.writers[key], e.out.Model = w, w.Version()
	}
	return w, err
}

func (e *contentEval) write(ctx context.Context, c *ContentContext) error {
	w, err := e.writer(c)
	if err != nil {
		return err
	}
	c.Request.Seen, c.Request.SeenHashes = e.seen[c.Person], e.hashes[c.Person]
	d, all, err := w.Compose(ctx, c.Request)
	if err != nil {
		return fmt.Errorf("context of a %s mail: %w", c.Request.Kind, err)
	}
	e.judge(c, d.Subject, d.Fallback)
	for i := range all.Lines {
		e.judgePart(c, &all.Lines[i])
	}
	if d.Fallback {
		e.fallen++
		e.out.Why[d.Why]++
	}
	e.seen[c.Person] = append(e.seen[c.Person], d.Subject)
	for _, l := range all.Lines[1:] {
		e.hashes[c.Person] = append(e.hashes[c.Person], event.HashText(l.Text))
	}
	e.subjects, e.used = append(e.subjects, d.Subject), append(e.used, w)
	if len(e.out.Mails) < e.o.Show {
		e.out.Mails = append(e.out.Mails, contentMail(c, &d))
	}
	return nil
}

// judge counts what is wrong with a subject.
func (e *contentEval) judge(c *ContentContext, subject string, fallback bool) {
	form := openSlots(c, subject)
	if contentFactsRight(c, subject) {
		e.right++
	}
	if utf8.RuneCountInString(subject) > c.Limit {
		e.out.Long++
	}
	if slices.ContainsFunc(c.Banned, func(b string) bool { return saysWord(form, b) }) {
		e.out.Banned++
	}
	if c.Request.Stock != 1 && slices.ContainsFunc(contentUrgency(), func(b string) bool { return saysWord(form, b) }) {
		e.out.Urgent++
	}
	if slices.Contains(c.Request.Seen, subject) {
		e.out.Repeats++
	}
	if !fallback {
		for _, slot := range c.Request.Require {
			if !strings.Contains(form, slot.String()) {
				e.out.Unmet++
			}
		}
		for _, word := range c.Request.Words {
			if !saysWord(form, word) {
				e.out.Unmet++
			}
		}
	}
	language := "en"
	if strings.HasPrefix(c.Request.Language, "zh") {
		language = "zh"
	}
	e.lines[language] = append(e.lines[language], contentWords(form))
	e.forms[form] = true
}

// contentUrgency are words that only a last piece may be sold with.
func contentUrgency() []string {
	return []string{"last one", "only one", "one left", "almost gone", "hurry", "be quick", "selling fast", "last chance", "最后一件", "只剩", "仅剩", "抢购"}
}

// saysWord reports whether a text holds a word, a whole one in letters of Latin.
func saysWord(text, word string) bool {
	text = strings.ToLower(text)
	for from := 0; ; {
		i := strings.Index(text[from:], word)
		if i < 0 {
			return false
		}
		before, _ := utf8.DecodeLastRuneInString(text[:from+i])
		after, _ := utf8.DecodeRuneInString(text[from+i+len(word):])
		inWord := func(r rune) bool { return unicode.IsLetter(r) && !unicode.Is(unicode.Han, r) }
		first, _ := utf8.DecodeRuneInString(word)
		if !inWord(first) || !inWord(before) && !inWord(after) {
			return true
		}
		from += i + len(word)
	}
}

// openSlots puts the names of the slots back in place of this context's values.
func openSlots(c *ContentContext, subject string) string {
	form := replaceValues(c, subject, content.Slot.String)
	if !strings.HasPrefix(c.Request.Language, "zh") {
		return form
	}
	return strings.NewReplacer(" {", "{", "} ", "}").Replace(form) // the spaces are the names', not the line's
}

// replaceValues puts something in place of each value of this context, once.
func replaceValues(c *ContentContext, subject string, with func(content.Slot) string) string {
	q := &c.Request
	put := func(value string, slot content.Slot) {
		if value != "" {
			subject = strings.Replace(subject, value, with(slot), 1)
		}
	}
	for _, i := range append(slices.Clone(q.Items), q.Recommended...) {
		put(i.Name, content.Product)
		put(content.FormatMoney(i.Price, q.Currency, q.Language), content.Price)
		if q.Was > 0 {
			put(content.FormatMoney(q.Was, q.Currency, q.Language), content.Was)
		}
		if !slices.Contains(content.Categories(), i.Category) {
			put(i.Category, content.Category)
		}
	}
	put(q.FirstName, content.FirstName)
	put(q.ShopName, content.Shop)
	for _, a := range contentAttributes() {
		put(a, content.Attribute)
	}
	if q.Stock > 1 {
		put(strconv.Itoa(q.Stock), content.Stock)
	}
	return subject
}

// contentFactsRight reports whether all that only a fact may be is a copy: without this
// context's values nothing is left that is a number, a currency or a brace, and no name
// of another person or thing.
func contentFactsRight(c *ContentContext, subject string) bool {
	rest := replaceValues(c, subject, func(content.Slot) string { return "" })
	if subject == "" || strings.ContainsFunc(rest, func(r rune) bool {
		return unicode.IsDigit(r) || unicode.Is(unicode.Sc, r) || strings.ContainsRune("{}<>%", r) || unicode.IsControl(r)
	}) {
		return false
	}
	for _, name := range contentNames() {
		if name != "" && strings.Contains(rest, name) {
			return false
		}
	}
	for _, names := range contentGoods() {
		for _, name := range names {
			if name != "Bell" && strings.Contains(rest, name) {
				return false
			}
		}
	}
	return true
}

// finish computes what needs all subjects.
func (e *contentEval) finish(contexts []ContentContext) {
	n := float64(len(contexts))
	e.out.Slots, e.out.Fallbacks, e.out.Different = float64(e.right)/n, float64(e.fallen)/n, len(e.forms)
	var all [][]string
	for _, language := range []string{"en", "zh"} {
		all = append(all, e.lines[language]...)
		e.out.SelfBLEU[language] = contentSelfBLEU(e.lines[language], 200, e.o.Seed)
	}
	e.out.Distinct2 = contentDistinct(all, 2)
	e.out.Parts = e.partResults()
	// Each subject once with its own person's interests and once with another's.
	order := rand.New(rand.NewPCG(e.o.Seed, 7)).Perm(len(contexts))
	var own, other float64
	pairs := 0
	for i := range contexts {
		c, j := contexts[i], order[i]
		if contexts[j].Person == c.Person {
			continue
		}
		a, _ := e.used[i].Divergence(c.Request, e.subjects[i])
		c.Request.Interests = contexts[j].Request.Interests
		b, _ := e.used[i].Divergence(c.Request, e.subjects[i])
		own, other, pairs = own+a, other+b, pairs+1
	}
	if pairs > 0 && other > 0 {
		e.out.KL, e.out.ShuffledKL, e.out.KLGain = own/float64(pairs), other/float64(pairs), 1-own/other
	}
}

// contentMail is a mail as somebody reads it.
func contentMail(c *ContentContext, d *event.Draft) ContentMail {
	m := ContentMail{Language: c.Request.Language, Kind: c.Request.Kind, Subject: d.Subject, Model: !d.Fallback,
		Preheader: d.Preheader, Opening: d.Opening, Sentence: d.Sentence, Action: d.Action}
	var names []string
	for _, i := range c.Request.Interests {
		names = append(names, i.Category)
	}
	m.Interests = strings.Join(names, ", ")
	return m
}
