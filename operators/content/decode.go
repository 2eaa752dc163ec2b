package content

import (
	"cmp"
	"context"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"unicode/utf8"

	"millrace/operators/lstm"
)

// The settings of decoding.
const (
	openTokens  = 2 // at the beginning of a line, where the choice is free: temperature 1, and tokens down to openShare
	openShare   = 0.03
	nucleusMass = 0.9  // Holtzman et al. 2020: the smallest set of tokens with this much of the probability
	leastShare  = 0.1  // of the likeliest token's probability (min-p, Nguyen et al. 2024): wide at the beginning of a line, strict within
	temperature = 0.7  // the corpus is small: a little less than the model's own doubt keeps lines clean
	likelyFirst = -0.4 // a surviving line with this log probability per token is taken at once
	candidates  = 3    // after so many surviving lines that are less likely, the likeliest is taken
	attempts    = 8    // lines tried for them; with none, the written subject is used
	tokensMax   = 16   // the longest line of the corpus has 12
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
	mass    float64 // massLeast, or less in tests of the masks alone

	likely float64 // log probability per token of the line in ids, but for its first tokens
	last   float64 // log probability of the token drawn last
}

type pick struct {
	id int32
	p  float64
}

func newDecoder(v *vocabulary, r *lstm.Runner) *decoder {
	return &decoder{
		vocab: v, state: r.NewState(), mass: massLeast, grammar: newGrammar(),
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
	banned banned
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

// write returns a sampled line that survives every check, or why there is none. A line
// that went astray somewhere has unlikely tokens: it has to compete with others.
func (d *decoder) write(ctx context.Context, t task) (written, string) {
	for s := range slotCount {
		if t.cond.want[s] && t.values[s] == "" {
			return written{}, "slot " + s.String() + " has no value"
		}
		if t.values[s] != "" && t.banned.find(t.values[s]) != "" {
			t.values[s] = ""
		}
		t.cond.has[s] = t.values[s] != ""
	}
	r := generator(t.seed)
	t.cond.vector(d.cond)
	d.state.Start(d.cond)
	var best written
	likeliest, found := math.Inf(-1), 0
	for range attempts {
		d.state.Restart()
		alive, late := d.sample(ctx, t, r)
		if late {
			return written{}, WhyDeadline
		}
		if !alive || d.stutters() {
			continue
		}
		w := written{line: d.vocab.line(d.ids)}
		w.subject = d.vocab.render(d.ids, func(s Slot) string { return t.values[s] })
		if verify(w.line, w.subject, t.values, t.limit, t.banned) != "" {
			continue
		}
		if t.cond.language == "en" && d.grammar.stumbles(w.line) != "" {
			continue
		}
		if d.likely > likeliest {
			best, likeliest = w, d.likely
		}
		if found++; found == candidates || d.likely >= likelyFirst {
			break
		}
	}
	if found == 0 {
		return written{}, WhyNothing
	}
	return best, ""
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
func (d *decoder) stutters() bool {
	for i, id := range d.ids {
		weight := d.vocab.runes[id]
		if d.vocab.latin[id] {
			weight -= 3 // four letters and the space of English say about as much as two characters
		}
		if weight >= 2 && slices.Contains(d.ids[:i], id) {
			return true
		}
	}
	return false
}

// length is the rendered length of a token.
func (d *decoder) length(id int32, t task) int {
	n := d.vocab.runes[id]
	if s := d.vocab.slot[id]; s >= 0 {
		n += utf8.RuneCountInString(t.values[s])
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
			reserve += utf8.RuneCountInString(t.values[s]) + 1
		}
	}
	// The first token's space is not rendered, so its length is counted one too high:
	// the limit is kept, not reached.
	room := t.limit - length - reserve
	onlySlots := len(d.ids)+missing >= tokensMax
	for i := range d.allow {
		id := int32(i)
		if id <= tokenEnd {
			d.allow[i] = id == tokenEnd && missing == 0 && len(d.ids) > 0
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
			d.allow[i] = n <= room+utf8.RuneCountInString(t.values[s])+1
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
		if !d.completes(picks[i].id, t) {
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
	share, heat := leastShare, temperature
	if len(d.ids) < openTokens {
		share, heat = openShare, 1
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
	for ; n < len(d.picks) && head < nucleusMass*sum; n++ {
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
