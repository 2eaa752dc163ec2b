package lstm

import (
	"cmp"
	"slices"
)

// BeamOptions says how a Beam searches. Begin and End are required.
type BeamOptions struct {
	Begin, End int32 // the marks of a sequence
	Width      int   // hypotheses that are kept
	Steps      int   // tokens of the longest sequence, without its marks
	// Allow, if set, takes out of allow, by token, what may not follow ids. It must not
	// keep either.
	Allow func(ids []int32, allow []bool)
	// Met, if set, counts the demands that ids meet. Of hypotheses that meet as many,
	// Width are kept, so that what meets a demand need not outdo what ignores it (Post and
	// Vilar 2018); only those that meet most survive at the end.
	Met func(ids []int32) int
	// Also, if set, appends to tokens what is to be tried behind ids however unlikely it
	// is.
	Also func(ids, tokens []int32) []int32
	// Mass is the least share of the probability that what is allowed must have: below it
	// the masks fight the network, and the hypothesis dies.
	Mass float64
}

// The limits of a search: its memory is their product.
const (
	beamWidthMax = 32
	beamStepsMax = 256
	beamMetMax   = 4
)

func (o BeamOptions) withDefaults() BeamOptions {
	o.Width = min(cmp.Or(max(o.Width, 0), 4), beamWidthMax)  // more finds nothing better in short lines
	o.Steps = min(cmp.Or(max(o.Steps, 0), 16), beamStepsMax) // a subject line
	return o
}

// Hypothesis is a sequence that a Beam found, without its marks.
type Hypothesis struct {
	Tokens []int32
	// LogProb is the sum of the tokens' log probabilities, the end mark's included.
	LogProb float64
}

// Mean is the log probability per token: long and short sequences can be compared by it.
func (h Hypothesis) Mean() float64 { return h.LogProb / float64(len(h.Tokens)+1) }

// Beam searches for the likeliest sequences under constraints. It belongs to one
// goroutine at a time, and a search allocates nothing.
type Beam struct {
	o     BeamOptions
	batch *Batch
	live  []path // one for each lane
	next  []path
	moves []move
	done  []Hypothesis
	allow []bool
	read  []int32
	from  []int
	extra []int32
	store [3][]int32 // tokens of live, of next and of done
}

// path is a sequence that is not at its end.
type path struct {
	ids  []int32
	logp float64
	met  int
}

// move is a way to go on: a path and a token.
type move struct {
	from  int
	token int32
	logp  float64
	met   int
}

// NewBeam returns a Beam. Its memory is bounded by its options.
func (r *Runner) NewBeam(o BeamOptions) *Beam {
	o = o.withDefaults()
	lanes := o.Width
	if o.Met != nil {
		lanes *= beamMetMax + 1
	}
	b := &Beam{o: o, batch: r.NewBatch(lanes), allow: make([]bool, r.model.config.Vocab),
		read: make([]int32, 0, lanes), from: make([]int, 0, lanes), extra: make([]int32, 0, 16)}
	for i := range b.store {
		b.store[i] = make([]int32, lanes*(o.Steps+1))
	}
	b.live, b.next = make([]path, 0, lanes), make([]path, 0, lanes)
	b.done = make([]Hypothesis, 0, lanes+1)
	return b
}

// Search returns the likeliest sequences under cond, best first by Mean: at most Width,
// none when the constraints let nothing through. The next Search overwrites them.
func (b *Beam) Search(cond []float32) []Hypothesis {
	b.batch.StartAll(cond)
	b.done = b.done[:0]
	b.live = append(b.live[:0], path{ids: b.store[0][:0:b.o.Steps]})
	for step := 0; step <= b.o.Steps && len(b.live) > 0; step++ {
		b.read = b.read[:0]
		for _, p := range b.live {
			if step == 0 {
				b.read = append(b.read, b.o.Begin)
			} else {
				b.read = append(b.read, p.ids[step-1])
			}
		}
		b.batch.Step(b.read)
		b.moves = b.moves[:0]
		for lane := range b.live {
			b.expand(lane, step == b.o.Steps)
		}
		b.advance()
	}
	return b.done
}

// expand lists the likeliest moves of a path, and finishes it where it may end.
func (b *Beam) expand(lane int, last bool) {
	p := b.live[lane]
	logits := b.batch.Logits(lane)
	total := float64(fastLogSumExp(logits))
	for i := range b.allow {
		b.allow[i] = true
	}
	b.allow[b.o.Begin] = false
	if b.o.Allow != nil {
		b.o.Allow(p.ids, b.allow)
	}
	if b.o.Mass > 0 && b.mass(logits, total) < b.o.Mass {
		return
	}
	if b.allow[b.o.End] {
		b.finish(p, p.logp+float64(logits[b.o.End])-total)
	}
	if last {
		return
	}
	b.allow[b.o.End] = false
	first := len(b.moves)
	for i, l := range logits {
		if b.allow[i] {
			b.offer(first, move{lane, int32(i), p.logp + float64(l) - total, p.met})
		}
	}
	if b.o.Met == nil {
		return
	}
	if b.o.Also != nil {
		b.extra = b.o.Also(p.ids, b.extra[:0])
		for _, id := range b.extra {
			if b.allow[id] && !slices.ContainsFunc(b.moves[first:], func(m move) bool { return m.token == id }) {
				b.moves = append(b.moves, move{lane, id, p.logp + float64(logits[id]) - total, p.met})
			}
		}
	}
	for i := range b.moves[first:] {
		m := &b.moves[first+i]
		m.met = min(b.o.Met(append(p.ids, m.token)), beamMetMax)
	}
}

// mass is the share of the probability that is allowed.
func (b *Beam) mass(logits []float32, total float64) float64 {
	var sum float64
	for i, l := range logits {
		if b.allow[i] {
			sum += float64(fastExp(l - float32(total)))
		}
	}
	return sum
}

// offer keeps the Width likeliest moves from first on, best first.
func (b *Beam) offer(first int, m move) {
	n := len(b.moves) - first
	if n == b.o.Width {
		if b.moves[len(b.moves)-1].logp >= m.logp {
			return
		}
		n--
		b.moves = b.moves[:first+n]
	}
	b.moves = append(b.moves, m)
	for i := first + n; i > first && b.moves[i].logp > b.moves[i-1].logp; i-- {
		b.moves[i], b.moves[i-1] = b.moves[i-1], b.moves[i]
	}
}

// finish keeps a sequence that is at its end, if it is among the best.
func (b *Beam) finish(p path, logp float64) {
	if b.o.Met != nil && len(b.done) > 0 { // all that are kept meet as many
		switch n := min(b.o.Met(b.done[0].Tokens), beamMetMax); {
		case n > p.met:
			return
		case n < p.met:
			b.done = b.done[:0]
		}
	}
	h := Hypothesis{p.ids, logp}
	at := len(b.done)
	for at > 0 && b.done[at-1].Mean() < h.Mean() {
		at--
	}
	if at == b.o.Width {
		return
	}
	// The memory of what falls out, or the next that is free.
	var free []int32
	if len(b.done) == b.o.Width {
		free = b.done[len(b.done)-1].Tokens[:0]
		b.done = b.done[:len(b.done)-1]
	} else {
		free = b.spare()
	}
	h.Tokens = append(free, p.ids...)
	b.done = slices.Insert(b.done, at, h)
}

// spare returns memory of the finished sequences that none of them uses.
func (b *Beam) spare() []int32 {
	long := b.o.Steps + 1
	for i := range b.o.Width {
		s := b.store[2][i*long : i*long : (i+1)*long]
		if !slices.ContainsFunc(b.done, func(h Hypothesis) bool { return cap(h.Tokens) > 0 && &h.Tokens[:1][0] == &s[:1][0] }) {
			return s
		}
	}
	panic("BUG: more finished sequences than the width")
}

// advance takes the best moves, Width for each number of demands met.
func (b *Beam) advance() {
	slices.SortFunc(b.moves, func(x, y move) int {
		return cmp.Or(cmp.Compare(y.logp, x.logp), cmp.Compare(x.from, y.from), cmp.Compare(x.token, y.token))
	})
	var taken [beamMetMax + 1]int
	b.next, b.from = b.next[:0], b.from[:0]
	long := b.o.Steps + 1
	for _, m := range b.moves {
		if taken[m.met] == b.o.Width {
			continue
		}
		taken[m.met]++
		i := len(b.next)
		ids := append(b.store[1][i*long:i*long:(i+1)*long], b.live[m.from].ids...)
		b.next = append(b.next, path{append(ids, m.token), m.logp, m.met})
		b.from = append(b.from, m.from)
	}
	b.batch.Arrange(b.from)
	b.live, b.next = b.next, b.live
	b.store[0], b.store[1] = b.store[1], b.store[0]
}
