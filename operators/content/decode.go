package content

import (
	"cmp"
	"context"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"millrace/operators/event"
	"millrace/operators/lstm"
)

// The settings of decoding.
const (
	openTokens  = 2 // at the beginning of a line, where the choice is free: temperature 1, and tokens down to openShare
	openShare   = 0.03
	nucleusMass = 0.9  // Holtzman et al. 2020: the smallest set of tokens with this much of the probability
	leastShare  = 0.1  // of the likeliest token's probability (min-p, Nguyen et al. 2024): wide at the beginning of a line, strict within
	temperature = 0.7  // the corpus is small: a little less than the model's own doubt keeps lines clean
	likelyFirst = -0.4 // a line with this log probability per token is sound; without one the likeliest is taken
	candidates  = 4    // sound lines to choose from, where there is something to choose by
	unsound     = 3    // after so many surviving lines of which none is sound, no more are drawn
	attempts    = 8    // lines drawn for them; then the likeliest ones are searched for
	attemptsNew = 16   // likewise, for somebody who got lines before
	tokensMax   = 16   // of a subject; the longest one of the corpus has 12
	stepsMost   = 48   // of any line
	massLeast   = 0.02 // below it the masks fight the network, and the line would not be one
)

// decoder samples subject lines under constraints. It belongs to one goroutine at a
// time.
type decoder struct {
	vocab   *vocabulary
	state   *lstm.State
	grammar grammar
	cond    []float32
	allow   []bool // scratch, by token
	picks   []pick // scratch
	ids     []int32
	wide    bool    // lines begin in less likely ways, for somebody who got the likely ones
	mass    float64 // massLeast, or less in tests of the masks alone

	likely float64 // log probability per token of the line in ids, but for its first tokens
	last   float64 // log probability of the token drawn last

	run   *lstm.Runner
	beams [2]*lstm.Beam // without and with words that are required, made when first used
	task  *task         // of the running search
	place place         // of the line that is being written
	words [][]int32     // required words as tokens
}

type pick struct {
	id int32
	p  float64
}

func newDecoder(v *vocabulary, r *lstm.Runner) *decoder {
	return &decoder{
		vocab: v, state: r.NewState(), run: r, mass: massLeast, grammar: newGrammar(),
		cond:  make([]float32, r.Model().Config().Cond),
		allow: make([]bool, len(v.tokens)),
	}
}

// task is one subject to write.
type task struct {
	seed   string // the decision: the same one gets the same subject
	cond   condition
	values [slotCount]string // "" masks the slot
	limit  int               // runes of the rendered subject
	clicks *Clicks           // that ranks subjects, nil for none
	banned banned
	words  []string // that the subject must hold
	// What the subject is chosen by: nil for a person of whom nothing is known.
	interests []float64
	seen      []string
	hashes    []uint32
	said      []string // by other parts of the same mail
	// categories are those that a line may be about, where the condition's is not the only
	// one; itemCategory is the shop's own of the item that the slots show.
	categories   []string
	itemCategory string
}

// got reports whether the person got a text before.
func (t *task) got(text string) bool {
	return slices.Contains(t.seen, text) || slices.Contains(t.hashes, event.HashText(text))
}

// written is a subject and the line it was filled from.
type written struct{ subject, line string }

// generator returns the random numbers of a decision.
func generator(seed string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(seed))
	a := h.Sum64()
	_, _ = h.Write([]byte{0})
	return rand.New(rand.NewPCG(a, h.Sum64()))
}

// write returns the line that suits best of those that survive every check, or why there
// is none.
func (d *decoder) write(ctx context.Context, t task) (written, string) {
	all, why := d.propose(ctx, t)
	if why != "" {
		return written{}, why
	}
	best, _ := matcher{}.judge(all, t)
	if best < 0 {
		return written{}, WhyNothing
	}
	return all[best].written, ""
}

// propose returns lines for a task, those that were refused among them, or why there can
// be none: drawn ones first, and where they are too few, the likeliest there are.
func (d *decoder) propose(ctx context.Context, t task) ([]proposal, string) {
	if why := d.prepare(&t); why != "" {
		return nil, why
	}
	enough := 1
	if t.interests != nil || len(t.seen)+len(t.said) > 0 {
		if enough = candidates; t.cond.part != Subject {
			enough = 3 // the subject is what is read first; the others cost more to draw
		}
	}
	r := generator(t.seed)
	var all []proposal
	sound, found := 0, 0
	draws := attempts
	if len(t.seen)+len(t.hashes) > 0 {
		draws = attemptsNew
	}
	d.wide = len(t.hashes) > 0 && t.cond.part != Subject
	for i := range draws {
		if len(t.categories) > 0 {
			t.cond.category = t.categories[i%len(t.categories)]
		}
		d.place = t.cond.place()
		t.cond.vector(d.cond)
		d.state.Start(d.cond)
		alive, late := d.sample(ctx, t, r)
		if late {
			return nil, WhyDeadline
		}
		if !alive {
			continue
		}
		p := d.check(t, d.ids, d.likely)
		if slices.ContainsFunc(all, func(q proposal) bool { return q.line == p.line }) {
			continue
		}
		all = append(all, p)
		if p.why == "" && !t.got(p.subject) {
			found++
			if p.likely >= likelyFirst {
				sound++
			}
		}
		if sound >= enough || sound == 0 && found == unsound {
			break
		}
	}
	if found > 0 && sound+1 >= min(enough, 2) {
		return all, ""
	}
	if ctx.Err() != nil {
		return nil, WhyDeadline
	}
	return d.search(t, all), ""
}

// prepare sets what follows from the values of a task.
func (d *decoder) prepare(t *task) string {
	for s := range slotCount {
		if t.cond.want[s] && t.values[s] == "" {
			return "slot " + s.String() + " has no value"
		}
		if t.values[s] != "" && t.banned.find(t.values[s]) != "" {
			t.values[s] = ""
		}
		t.cond.has[s] = t.values[s] != ""
	}
	d.words = d.words[:0]
	for _, word := range t.words {
		if t.banned.find(word) != "" {
			return "required word is banned"
		}
		ids, ok := d.vocab.word(t.cond.language, word)
		if !ok {
			return "required word is not in the vocabulary"
		}
		d.words = append(d.words, ids)
	}
	return ""
}

// check renders a line and says what is wrong with it.
func (d *decoder) check(t task, ids []int32, likely float64) proposal {
	p := proposal{written: written{line: d.vocab.line(ids)}, likely: likely}
	p.subject = copied(p.line, t.values)
	switch p.why = verify(p.line, p.subject, t.values, t.limit, t.banned); {
	case p.why != "":
	case d.stutters(ids):
		p.why = whyRepeats
	case t.cond.part == Subject && t.cond.language == "en" && d.grammar.stumbles(p.line) != "":
		p.why = whyStumbles
	case !spoken(p.line, t.cond.language):
		p.why = whyLanguage
	case !readable(p.line):
		p.why = whyHard
	case colons(p.line, p.subject):
		p.why = whyColons
	case !d.vocab.finished(ids):
		p.why = whyUnfinished
	case !d.vocab.attests(&d.place, ids):
		p.why = whyStrange
	}
	for _, word := range d.words {
		if p.why == "" && !contains(ids, word) {
			p.why = whyMissing
		}
	}
	return p
}

// search adds the likeliest lines that the constraints let through.
func (d *decoder) search(t task, all []proposal) []proposal {
	kind := 0
	if len(t.words) > 0 {
		kind = 1
	}
	if d.beams[kind] == nil {
		o := lstm.BeamOptions{Begin: tokenBegin, End: tokenEnd, Width: 4, Steps: stepsMost,
			Allow: func(ids []int32, allow []bool) { d.constrain(ids, allow) }}
		if kind == 1 {
			o.Met, o.Also, o.Width = d.met, d.also, 12 // the beginning that leads to a word may be an unlikely one
		}
		d.beams[kind] = d.run.NewBeam(o)
	}
	d.task, d.place = &t, t.cond.place()
	defer func() { d.task = nil }()
	t.cond.vector(d.cond)
	for _, h := range d.beams[kind].Search(d.cond) {
		p := d.check(t, h.Tokens, h.Mean())
		if !slices.ContainsFunc(all, func(q proposal) bool { return q.line == p.line }) {
			all = append(all, p)
		}
	}
	return all
}

// constrain masks what may not follow ids in a search.
func (d *decoder) constrain(ids []int32, allow []bool) {
	t := *d.task
	var used [slotCount]bool
	length := 0
	for _, id := range ids {
		if s := d.vocab.slot[id]; s >= 0 {
			used[s] = true
		}
		length += d.length(id, t)
	}
	d.ids = append(d.ids[:0], ids...)
	d.mask(t, used, length)
	for i, ok := range d.allow {
		allow[i] = allow[i] && ok
	}
	for _, id := range ids { // a word of weight stands once
		if d.weighty(id) {
			allow[id] = false
		}
	}
	for i := range allow {
		allow[i] = allow[i] && d.vocab.known.follows(&d.place, ids, int32(i))
		if allow[i] && int32(i) != tokenEnd && d.vocab.risky(int32(i), t.banned) && d.completes(int32(i), t) {
			allow[i] = false
		}
	}
	if allow[tokenEnd] && !d.saysAll(ids) {
		allow[tokenEnd] = false
	}
}

// saysAll reports whether all required words stand in a line.
func (d *decoder) saysAll(ids []int32) bool { return d.met(ids) == len(d.words) }

// met counts the required words that stand in a line.
func (d *decoder) met(ids []int32) int {
	n := 0
	for _, word := range d.words {
		if contains(ids, word) {
			n++
		}
	}
	return n
}

// also lists the tokens by which required words go on, or begin.
func (d *decoder) also(ids, tokens []int32) []int32 {
	for _, word := range d.words {
		if contains(ids, word) {
			continue
		}
		next := word[0]
		for n := len(word) - 1; n > 0; n-- {
			if len(ids) >= n && slices.Equal(ids[len(ids)-n:], word[:n]) {
				next = word[n]
				break
			}
		}
		tokens = append(tokens, next)
	}
	return tokens
}

// contains reports whether word stands in ids.
func contains(ids, word []int32) bool {
	for i := 0; i+len(word) <= len(ids); i++ {
		if slices.Equal(ids[i:i+len(word)], word) {
			return true
		}
	}
	return false
}

// sample draws one line into ids. It is not alive when the constraints cornered it.
func (d *decoder) sample(ctx context.Context, t task, r *rand.Rand) (alive, late bool) {
	d.ids = d.ids[:0]
	var used [slotCount]bool
	length := 0
	at := tokenBegin
	var sum float64
	for {
		if ctx.Err() != nil {
			return false, true
		}
		logits := d.state.Step(at)
		d.mask(t, used, length)
		next, ok := d.draw(t, logits, r)
		if !ok {
			return false, false
		}
		// How a line begins is a matter of choice, how it goes on one of grammar.
		if len(d.ids) >= openTokens {
			sum += d.last
		}
		if next == tokenEnd {
			d.likely = sum / float64(max(len(d.ids)-openTokens+1, 1))
			return true, false
		}
		at = next
		d.ids = append(d.ids, at)
		if s := d.vocab.slot[at]; s >= 0 {
			used[s] = true
		}
		length += d.length(at, t)
	}
}

// stutters reports whether a word of some weight stands in the line twice: in so short
// a text that is nearly always two lines of the corpus run together.
func (d *decoder) stutters(ids []int32) bool {
	for i, id := range ids {
		if d.weighty(id) && slices.Contains(ids[:i], id) {
			return true
		}
	}
	return false
}

// weighty reports whether a word says something by itself.
func (d *decoder) weighty(id int32) bool {
	weight, least := d.vocab.runes[id], 2
	if d.vocab.latin[id] {
		weight -= 3 // four letters and the space of English say about as much as two characters
	}
	if d.place.part != Subject { // there is room for "your" in both sentences
		least = 5
	}
	return weight >= least
}

// length is the rendered length of a token.
func (d *decoder) length(id int32, t task) int {
	n := d.vocab.runes[id]
	if s := d.vocab.slot[id]; s >= 0 {
		n += slotRunes(Slot(s), t.values[s], t.cond.language)
	}
	return n
}

// mask decides which tokens may come next: those of the language, that leave room for
// the slots that are required and still missing; slots with a value, once; the end
// when nothing is missing.
func (d *decoder) mask(t task, used [slotCount]bool, length int) {
	missing, reserve := 0, 0
	for s := range slotCount {
		if t.cond.want[s] && !used[s] {
			missing++
			reserve += slotRunes(s, t.values[s], t.cond.language) + 1
		}
	}
	// The first token's space is not rendered, so its length is counted one too high:
	// the limit is kept, not reached.
	room := t.limit - length - reserve
	onlySlots := len(d.ids)+missing >= t.cond.part.steps()
	for i := range d.allow {
		id := int32(i)
		if id <= tokenEnd {
			d.allow[i] = id == tokenEnd && missing == 0 && len(d.ids) > 0 && d.vocab.finished(d.ids)
			continue
		}
		foreign := d.vocab.latin[i]
		if t.cond.language == "en" {
			foreign = d.vocab.han[i]
		}
		n := d.length(id, t)
		s := d.vocab.slot[i]
		switch {
		case foreign:
			d.allow[i] = false
		case s < 0:
			d.allow[i] = !onlySlots && n <= room
		case used[s] || t.values[s] == "":
			d.allow[i] = false
		case t.cond.want[s]:
			d.allow[i] = n <= room+slotRunes(Slot(s), t.values[s], t.cond.language)+1
		default:
			d.allow[i] = !onlySlots && n <= room
		}
	}
}

// draw samples the next token from the nucleus of what is allowed. A token that would
// complete a banned phrase is left out.
func (d *decoder) draw(t task, logits []float32, r *rand.Rand) (int32, bool) {
	top, best := slices.Max(logits), float32(math.Inf(-1))
	var all, allowed float64
	for i, l := range logits {
		p := math.Exp(float64(l - top))
		all += p
		if d.allow[i] {
			allowed += p
			best = max(best, l)
		}
	}
	if allowed/all < d.mass || math.IsInf(float64(best), -1) {
		return 0, false
	}
	picks := d.nucleus(logits, best)
	for len(picks) > 0 {
		i := choose(picks, r)
		if d.vocab.known.follows(&d.place, d.ids, picks[i].id) && !d.completes(picks[i].id, t) {
			d.last = float64(logits[picks[i].id]-top) - math.Log(all)
			return picks[i].id, true
		}
		picks = slices.Delete(picks, i, i+1)
	}
	return 0, false
}

// nucleus returns the tokens to choose from, the likeliest first: those not much less
// likely than the best, and of them the smallest set with most of the probability.
func (d *decoder) nucleus(logits []float32, best float32) []pick {
	share, heat, mass := leastShare, temperature, nucleusMass
	if len(d.ids) < openTokens {
		share, heat = openShare, 1
		if d.wide {
			share, heat, mass = openShare/10, 2, 0.99
		}
	}
	least := best + float32(math.Log(share))
	d.picks = d.picks[:0]
	var sum float64
	for i, l := range logits {
		if d.allow[i] && l >= least {
			p := math.Exp(float64(l-best) / heat)
			sum += p
			d.picks = append(d.picks, pick{int32(i), p})
		}
	}
	slices.SortFunc(d.picks, func(a, b pick) int { return cmp.Or(cmp.Compare(b.p, a.p), cmp.Compare(a.id, b.id)) })
	var head float64
	n := 0
	for ; n < len(d.picks) && head < mass*sum; n++ {
		head += d.picks[n].p
	}
	return d.picks[:n]
}

// choose draws an index with the probabilities of picks.
func choose(picks []pick, r *rand.Rand) int {
	var sum float64
	for _, p := range picks {
		sum += p.p
	}
	x := r.Float64() * sum
	for i, p := range picks {
		if x -= p.p; x < 0 {
			return i
		}
	}
	return len(picks) - 1
}

// completes reports whether a banned phrase ends with this token.
func (d *decoder) completes(id int32, t task) bool {
	if id == tokenEnd || len(t.banned.phrases) == 0 {
		return false
	}
	// The last few tokens are enough for any phrase that was not found before.
	tail := d.ids[max(0, len(d.ids)-12):]
	text := d.vocab.render(append(slices.Clone(tail), id), func(s Slot) string { return t.values[s] })
	return t.banned.find(strings.TrimSpace(text)) != ""
}
