package content

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"millrace/operators/event"
)

// subjectRunesMost is the longest subject anybody may ask for: a header line of 78
// characters (RFC 5322, section 2.1.1) is what mail programs show whole.
const subjectRunesMost = 78

// ErrUnsubscribe says that a mail has no usable address to unsubscribe at. Such a mail
// must not be sent.
var ErrUnsubscribe = errors.New("content: unsubscribe URL is missing or not http or https")

// Options says how subjects and bodies are written. The zero value works.
type Options struct {
	// Model is the file of a model of subjects, as EncodeModel writes it. Nil is the
	// model that is shipped.
	Model []byte
	// NoModel writes every subject from the written ones.
	NoModel bool
	// SubjectRunes is the longest subject, in runes of the rendered text: 60 if zero,
	// which phones show whole, and at most 78.
	SubjectRunes int
	// SubjectWait is how long the model may take before a written subject is used.
	SubjectWait time.Duration
	// Banned are words and phrases that no subject may hold, besides the usual ones of
	// spam.
	Banned []string
	// Knowledge bounds what may be said of the shop and its products.
	Knowledge Knowledge
	// Tone predicts how a text sounds, -1 to 1, nil where nobody does. It must be safe for
	// concurrent use.
	Tone func(text string) float64
	// External asks a model outside for a text, nil for none. It may fail; see External.
	External *External
	// Accent is the colour of buttons, "#rrggbb".
	Accent string
}

func (o Options) withDefaults() Options {
	o.SubjectRunes = min(cmp.Or(o.SubjectRunes, 60), subjectRunesMost)
	o.SubjectWait = cmp.Or(o.SubjectWait, 200*time.Millisecond) // a hundred times what a subject takes
	o.Accent = cmp.Or(o.Accent, "#0f766e")                      // white on it has a contrast of 5.5 to 1
	return o
}

// Request is what a mail is written from.
type Request struct {
	DecisionID     string // seeds the subject: the same decision gets the same one
	Kind           string // "cart", "post-purchase": one of Kinds, or another one
	Category       string // the shop's own; "" takes that of the main item
	Language       string // BCP 47 tag of the reader, such as "de-AT"
	FirstName      string
	Returning      bool // has bought here before
	New            bool // is known not to have
	Value          event.Money
	Currency       string // ISO 4217
	Items          []event.CartItem
	Recommended    []event.CartItem // three are shown
	ShopName       string
	ShopURL        string
	CartURL        string // where the button leads; "" leads to the shop
	UnsubscribeURL string
	// Link gives what stands in the HTML part in place of an address of the shop; nil
	// leaves it. The address to unsubscribe at is never asked about.
	Link    func(address string) string
	Pixel   string // address of a picture of one pixel that reports an opening; "" for none
	Note    string // shown in the footer, such as "made from synthetic carts"
	Require []Slot // slots the subject must use, if there is a model
	// Words are words or short phrases that the subject must hold, if there is a model that
	// knows them; at most four.
	Words []string
	// Stock is how many of the main item the shop says are left, 0 where it does not say.
	// Only at 1 may a subject call it the last one.
	Stock int
	// Interests are the person's, of which the subject should speak; nil where unknown.
	Interests []Interest
	// Seen are subjects that the person got before, oldest first; the last twenty count.
	Seen []string
	// SeenHashes are event.HashText of other lines that the person got before.
	SeenHashes []uint32
	Tone       Tone
	Mood       float64     // how the person has spoken of late, -1 to 1; 0 where unknown. Templates know it as profile.tone
	Was        event.Money // what the main item cost before its price fell, 0 where that is unknown
	Design     Design
}

// Writer writes mails. It is safe for concurrent use.
type Writer struct {
	options  Options
	banned   banned
	claims   claims
	policies policies
	wording  *wording
	fallback fallback
	matcher  matcher
	body     *body
	model    atomic.Pointer[subjects]
	clicks   atomic.Pointer[Clicks] // nil where nobody predicts them
}

// New returns a Writer with the given options.
func New(o Options) (*Writer, error) {
	o = o.withDefaults()
	fb, err := readFallback()
	if err != nil {
		return nil, err
	}
	w := &Writer{options: o, banned: newBanned(slices.Concat(defaultBanned(), o.Banned, o.Knowledge.Never)), fallback: fb}
	if w.claims, err = readClaims(); err != nil {
		return nil, err
	}
	if w.policies, err = readPolicies(); err != nil {
		return nil, err
	}
	if w.wording, err = shippedWording(); err != nil {
		return nil, err
	}
	if err := o.Knowledge.check(); err != nil {
		return nil, err
	}
	for _, name := range w.policies.names() {
		if !slices.Contains(o.Knowledge.Allow, name) {
			w.banned.add(w.policies[name].phrases...)
		}
	}
	if w.matcher, err = newMatcher(); err != nil {
		return nil, err
	}
	w.matcher.tone = o.Tone
	if w.body, err = newBody(o.Accent); err != nil {
		return nil, err
	}
	if o.NoModel {
		return w, nil
	}
	file := o.Model
	if file == nil {
		if file, err = ShippedModel(); err != nil {
			return nil, err
		}
	}
	return w, w.Swap(file)
}

// Swap puts another model in place, from its file. Mails that are being written keep
// the model they began with.
func (w *Writer) Swap(file []byte) error {
	s, err := newSubjects(file)
	if err != nil {
		return err
	}
	w.model.Store(s)
	return nil
}

// Version names the model in place, or is "" when there is none.
func (w *Writer) Version() string {
	if s := w.model.Load(); s != nil {
		return s.version
	}
	return ""
}

// Write writes the mail of a decision. A missing, slow or cornered model costs the
// mail its own subject, never the mail: Draft.Fallback and Draft.Why then say so. When
// ctx is cancelled, or the mail has no address to unsubscribe at, there is no draft.
func (w *Writer) Write(ctx context.Context, r Request) (event.Draft, error) {
	d, _, err := w.Choose(ctx, r)
	return d, err
}

// Choose writes the mail of a decision like Write, and returns the subjects that were
// considered too, the chosen one and at most seven others.
func (w *Writer) Choose(ctx context.Context, r Request) (event.Draft, []Candidate, error) {
	d, written, err := w.Compose(ctx, r)
	if err != nil {
		return d, nil, err
	}
	return d, written.Lines[0].Others, nil
}

// Compose writes the mail of a decision like Write, and returns what the decision keeps of
// it: each part with what else was considered, the subject first.
func (w *Writer) Compose(ctx context.Context, r Request) (event.Draft, *event.Written, error) {
	if errors.Is(ctx.Err(), context.Canceled) {
		return event.Draft{}, nil, fmt.Errorf("content: write %s mail: %w", clean(r.Kind, 40), ctx.Err())
	}
	if webURL(r.UnsubscribeURL) == "" {
		return event.Draft{}, nil, ErrUnsubscribe
	}
	if err := r.Design.Check(); err != nil {
		return event.Draft{}, nil, err
	}
	t := w.task(r)
	d, considered, err := w.subject(ctx, t, r.Require)
	if err != nil {
		return event.Draft{}, nil, err
	}
	d.Design = r.Design.Name
	out := &event.Written{Design: d.Design, Lines: []event.WrittenLine{{Part: Subject.String(), Text: d.Subject, Why: d.Why, Others: keep(considered, candidatesMost)}}}
	if t.clicks != nil && !d.Fallback {
		out.Clicks = t.clicks.Version
	}
	if err := w.parts(ctx, &r, t, &d, out); err != nil {
		return event.Draft{}, nil, err
	}
	d.HTML, d.Text, err = w.body.write(r, t, d)
	return d, out, err
}

// Divergence is the divergence, in nats, of a subject's topics from a person's interests,
// as Choose weighs it: of a subject for this request, and of the interests in it. ok is
// false when nothing is known of the person.
func (w *Writer) Divergence(r Request, subject string) (nats float64, ok bool) {
	t := w.task(r)
	if t.interests == nil {
		return 0, false
	}
	line := subject
	for _, s := range []Slot{Product, Category, FirstName, Price} {
		if v := t.values[s]; v != "" {
			line = strings.Replace(line, v, s.String(), 1)
		}
	}
	return Divergence(t.interests, w.matcher.topics(line, t.itemCategory)), true
}

// task is the request as the network is told it.
func (w *Writer) task(r Request) task {
	main := mainItem(r.Items)
	lang := languageOf(r.Language)
	category := cmp.Or(r.Category, main.Category)
	know := &w.options.Knowledge
	t := task{
		seed: r.DecisionID, limit: w.options.SubjectRunes, clicks: w.clicks.Load(),
		cond: condition{
			kind: r.Kind, category: CanonicalCategory(category), language: lang, tone: r.Tone,
			returning: r.Returning, fresh: r.New && !r.Returning, last: r.Stock == 1, replies: know.Replies,
			value: band(cmp.Or(r.Value, main.Price), r.Currency),
		},
	}
	t.banned = w.claims.without(w.banned, t.cond)
	for _, claim := range know.untrue(main.ID) {
		t.banned.add(fold(claim))
	}
	t.interests, t.itemCategory = InterestTopics(r.Interests), category
	t.hashes = r.SeenHashes[max(0, len(r.SeenHashes)-seenHashesMost):]
	for _, s := range r.Seen[max(0, len(r.Seen)-seenMost):] {
		t.seen = append(t.seen, clip(s))
	}
	t.words = r.Words[:min(len(r.Words), wordsMost)]
	if category == "" {
		t.categories = favourites(r.Interests)
	}
	t.values[FirstName] = name(r.FirstName)
	t.values[Product] = slotValue(main.Name)
	if t.values[Category] = categoryText(lang, category); !spoken(t.values[Category], lang) {
		t.values[Category] = "" // a line of another language has no word for it
	}
	t.values[Shop] = slotValue(r.ShopName)
	t.values[Attribute] = know.attribute(main.ID, lang, r.DecisionID, w.policies)
	if main.Price > 0 && r.Currency != "" {
		t.values[Price] = FormatMoney(main.Price, r.Currency, r.Language)
		if r.Was > main.Price {
			t.values[Was] = FormatMoney(r.Was, r.Currency, r.Language)
		}
	}
	if r.Stock > 1 && r.Stock <= stockTold {
		t.values[Stock] = strconv.Itoa(r.Stock)
	}
	return t
}

const (
	stockTold      = 20  // of more left than this a number says nothing
	seenHashesMost = 128 // of lines that a person got before: those of thirty mails
)

// wordsMost is how many required words a subject of sixty characters can hold.
const wordsMost = 4

// favourites are the categories that a line about no item may be about: the person's
// first two, and none in particular.
func favourites(interests []Interest) []string {
	all := slices.Clone(interests[:min(len(interests), interestMost)])
	slices.SortStableFunc(all, func(a, b Interest) int { return cmp.Compare(b.Weight, a.Weight) })
	var out []string
	for _, i := range all {
		if c := CanonicalCategory(i.Category); c != "" && i.Weight > 0 && len(out) < 2 && !slices.Contains(out, c) {
			out = append(out, c)
		}
	}
	if len(out) == 0 {
		return nil
	}
	return append(out, "")
}

// mainItem is what a subject is about: the item of the highest price, the first of
// several.
func mainItem(items []event.CartItem) event.CartItem {
	if len(items) == 0 {
		return event.CartItem{}
	}
	return slices.MaxFunc(items, func(a, b event.CartItem) int { return cmp.Compare(a.Price, b.Price) })
}

// slotValue is the text a slot takes, or "" when it is too long to be copied whole.
func slotValue(s string) string {
	s = clean(s, 4*slotRunesMax)
	if utf8.RuneCountInString(s) > slotRunesMax {
		return ""
	}
	return s
}

// subject writes the subject by the model, or else takes a written one.
func (w *Writer) subject(ctx context.Context, t task, require []Slot) (event.Draft, []Candidate, error) {
	for _, slot := range require {
		if slot < slotCount {
			t.cond.want[slot] = true
		}
	}
	text, version, considered, why := w.choose(ctx, t)
	d := event.Draft{Subject: text, Model: version, Fallback: why != "", Why: why}
	if why == "" {
		return d, considered, nil
	}
	t.cond.want = [slotCount]bool{}
	var err error
	d.Subject, err = w.fallback.write(t)
	return d, considered, err
}

// choose takes the best of what the models propose for a part, or says why there is none.
func (w *Writer) choose(ctx context.Context, t task) (text, version string, considered []Candidate, why string) {
	s := w.model.Load()
	if e := w.options.External; e != nil {
		p, err := e.propose(ctx, w, &t)
		if err == "" {
			best, considered := w.matcher.judge([]proposal{p}, t)
			if best >= 0 {
				return p.subject, e.version(), considered, ""
			}
		}
	}
	switch {
	case s == nil:
		return "", "", nil, WhyNoModel
	case !slices.Contains(Kinds(), t.cond.kind):
		return "", "", nil, WhyKind
	}
	all, why := s.propose(ctx, t, w.options.SubjectWait)
	if why != "" {
		return "", "", nil, why
	}
	best, considered := w.matcher.judge(all, t)
	if best < 0 {
		return "", "", considered, WhyNothing
	}
	return all[best].subject, s.version, considered, ""
}

// parts writes all parts but the subject into d and out. A part without a line of a model
// gets the written one of its kind; the sentence about the product is then left out.
func (w *Writer) parts(ctx context.Context, r *Request, t task, d *event.Draft, out *event.Written) error {
	words := w.body.kind(&t.cond)
	blocks := r.Design.withDefaults().Blocks
	for _, p := range Parts()[1:] {
		if p == Opening && !slices.Contains(blocks, BlockText) || p == Sentence && !slices.Contains(blocks, BlockSentence) {
			continue
		}
		q := t
		q.cond.part, q.limit, q.words = p, p.runes(), nil
		q.seed = r.DecisionID + "/" + p.String()
		q.cond.want = [slotCount]bool{}
		if p == Sentence {
			q.cond.want[Product] = true
			w.suggest(r, &q)
		}
		if p == Sentence && q.values[Product] == "" {
			continue // there is nothing to speak of
		}
		for _, l := range out.Lines { // no part is to say what another one said
			q.said = append(q.said, l.Text)
		}
		text, _, considered, why := w.choose(ctx, q)
		if errors.Is(ctx.Err(), context.Canceled) {
			return fmt.Errorf("content: write %s mail: %w", clean(r.Kind, 40), ctx.Err())
		}
		if why != "" {
			text = map[Part]string{Preheader: words["intro"], Opening: words["intro"], Action: words["button"]}[p]
		}
		switch p {
		case Preheader:
			d.Preheader = text
		case Opening:
			d.Opening = text
		case Sentence:
			d.Sentence = text
		case Action:
			d.Action = text
		}
		out.Lines = append(out.Lines, event.WrittenLine{Part: p.String(), Text: text, Why: why, Others: keep(considered, othersMost)})
	}
	return nil
}

// suggest lets the sentence of a mail about no item speak of the first that is recommended.
func (w *Writer) suggest(r *Request, t *task) {
	if len(r.Items) > 0 || len(r.Recommended) == 0 || t.cond.kind != "win-back" && t.cond.kind != "welcome" {
		return
	}
	it := r.Recommended[0]
	t.values[Product] = slotValue(it.Name)
	t.values[Attribute] = w.options.Knowledge.attribute(it.ID, t.cond.language, r.DecisionID, w.policies)
	if it.Price > 0 && r.Currency != "" {
		t.values[Price] = FormatMoney(it.Price, r.Currency, r.Language)
	}
	t.cond.category, t.itemCategory, t.categories = CanonicalCategory(it.Category), it.Category, nil
}

// propose asks a decoder of the pool for subjects, for at most wait.
func (s *subjects) propose(ctx context.Context, t task, wait time.Duration) ([]proposal, string) {
	d, ok := s.pool.Get().(*decoder)
	if !ok {
		panic("BUG: the pool of decoders holds something else")
	}
	defer s.pool.Put(d)
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	return d.propose(ctx, t)
}
