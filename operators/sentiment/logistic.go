package sentiment

import (
	"cmp"
	"math"
	"math/rand/v2"
)

// linear is a logistic regression on hashed binary features, each scaled, every text
// brought to length 1. Its scales are the naive Bayes log ratios of Wang and Manning
// 2012: features that tell the classes apart in the training set may weigh more.
//
// It is solved in the dual, one text after the other (Yu, Huang and Lin 2011, "Dual
// coordinate descent methods for logistic regression"): exactly regularised, without a
// step size, and one more label is learnt by the same step as in training.
type linear struct {
	entries []entry // by the lowest bits of a feature's hash
	bias    float64
	cost    float64
}

// entry is what is kept of a feature: its square scale, and its weight times its scale,
// so that a score is a sum of one kind of number and reads one line of the cache.
type entry struct{ weight, square float32 }

// scaleFloor is the square scale of features that say nothing of the class or were
// never met; it lets them be learnt later.
const scaleFloor = 0.1

// mask picks the bits of a hash that say where its entry is.
func (l *linear) mask() uint32 { return uint32(len(l.entries) - 1) } //nolint:gosec // at most two million

// row is one text to learn from, or the difference of two.
type row struct {
	plus, minus []uint32
	positive    bool
	weight      float64 // 0 counts as 1
}

// solver is how a linear model is trained.
type solver struct {
	cost   float64 // how much an error weighs against the length of the weights
	epochs int
	biased bool // whether there is a constant feature
	seed   uint64
}

func (s solver) withDefaults() solver {
	s.cost = cmp.Or(s.cost, 4)      // of 1, 4 and 16 the best or second on the sets of docs/accuracy.md
	s.epochs = cmp.Or(s.epochs, 10) // the sets of docs/accuracy.md were measured with ten
	return s
}

// solve trains a model whose scales are set.
func (s solver) solve(rows []row, entries []entry) *linear {
	s = s.withDefaults()
	l := &linear{entries: entries, cost: s.cost}
	inverse := make([]float64, len(rows))
	duals := make([]dual, len(rows))
	for i, r := range rows {
		inverse[i] = l.inverse(r)
		duals[i] = newDual(s.cost * cmp.Or(r.weight, 1))
		l.move(r, inverse[i], duals[i].up, s.biased)
	}
	rnd := rand.New(rand.NewPCG(s.seed, 0x746f6e65))
	order := rnd.Perm(len(rows))
	for range s.epochs {
		rnd.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, i := range order {
			l.visit(rows[i], inverse[i], &duals[i], s.biased)
		}
	}
	return l
}

// visit makes the loss of one row as small as the others allow.
func (l *linear) visit(r row, inverse float64, d *dual, biased bool) {
	length := 0.0 // square length of the row
	if inverse > 0 {
		length++
	}
	if biased {
		length++
	}
	if length == 0 {
		return
	}
	margin := l.sum(r) * inverse
	if biased {
		margin += l.bias
	}
	if !r.positive {
		margin = -margin
	}
	if by := d.step(length, margin); by != 0 {
		l.move(r, inverse, by, biased)
	}
}

// inverse returns one over the length of a row, or 0 if it is empty.
func (l *linear) inverse(r row) float64 {
	var q float64
	mask := l.mask()
	for _, f := range r.plus {
		q += float64(l.entries[f&mask].square)
	}
	for _, f := range r.minus {
		q += float64(l.entries[f&mask].square)
	}
	if q == 0 {
		return 0
	}
	return 1 / math.Sqrt(q)
}

func (l *linear) sum(r row) float64 {
	var s float64
	mask := l.mask()
	for _, f := range r.plus {
		s += float64(l.entries[f&mask].weight)
	}
	for _, f := range r.minus {
		s -= float64(l.entries[f&mask].weight)
	}
	return s
}

// move adds the row by times, turned to the side of its class.
func (l *linear) move(r row, inverse, by float64, biased bool) {
	if !r.positive {
		by = -by
	}
	if biased {
		l.bias += by
	}
	k, mask := float32(by*inverse), l.mask()
	for _, f := range r.plus {
		e := &l.entries[f&mask]
		e.weight += k * e.square
	}
	for _, f := range r.minus {
		e := &l.entries[f&mask]
		e.weight -= k * e.square
	}
}

// dual is the dual variable of one row, between 0 and the cost, and the rest to it.
type dual struct{ up, down float64 }

func newDual(cost float64) dual {
	least := min(1e-3*cost, 1e-8)
	return dual{least, cost - least}
}

// step solves the problem of one variable, the others standing still, by the guarded
// Newton method of the paper (algorithm 4), and returns by how much the variable grew.
// It works on whichever of the two is the smaller, where no digit is lost.
func (d *dual) step(length, margin float64) float64 {
	cost := d.up + d.down
	a, b, sign := &d.up, &d.down, 1.0
	if length*(d.down-d.up)/2+margin < 0 {
		a, b, sign = &d.down, &d.up, -1
	}
	old := *a
	z := old
	if z > cost/2 {
		z /= 10
	}
	for range 100 {
		slope := length*(z-old) + sign*margin + math.Log(z/(cost-z))
		if math.Abs(slope) < 1e-3 {
			break
		}
		next := z - slope/(length+cost/(cost-z)/z)
		if next <= 0 {
			next = z / 10
		}
		if next >= cost {
			next = (z + cost) / 2
		}
		z = next
	}
	*a, *b = z, cost-z
	return sign * (z - old)
}

// trainLogistic trains on texts.
func trainLogistic(docs []*Doc, positive []bool, s solver) *linear {
	size := tableSize(featuresOf(docs))
	mask := uint32(size - 1) //nolint:gosec // at most two million
	counts := make([][2]float32, size)
	var texts [2]float64
	rows := make([]row, len(docs))
	for i, d := range docs {
		k := class(positive[i])
		texts[k]++
		for _, f := range d.linear {
			counts[f&mask][k]++
		}
		rows[i] = row{plus: d.linear, positive: positive[i]}
	}
	entries := make([]entry, size)
	for i, c := range counts {
		entries[i].square = scaleFloor
		if c[0]+c[1] > 0 {
			ratio := math.Log((float64(c[1]) + laplace) / (texts[1] + 2*laplace) * (texts[0] + 2*laplace) / (float64(c[0]) + laplace))
			entries[i].square += float32(ratio * ratio)
		}
	}
	s.biased = true
	return s.solve(rows, entries)
}

// score returns the log odds that the text is positive.
func (l *linear) score(d *Doc) float64 {
	r := row{plus: d.linear}
	return l.sum(r)*l.inverse(r) + l.bias
}

// learnShare is how much one more label counts against one of the training set. The
// labels of the set cannot answer a label that comes alone, as they did in training, and a
// row of labels of one kind would drown them.
const learnShare = 0.25

// learn takes one more label in by the step that training would take for it with the
// others standing still: the implicit update of Kulis and Bartlett 2010, which cannot
// overshoot. The constant stays, since which texts get labels says nothing of how many
// are positive.
func (l *linear) learn(d *Doc, positive bool) {
	r := row{plus: d.linear, positive: positive}
	inverse := l.inverse(r)
	if inverse == 0 {
		return
	}
	margin := l.sum(r)*inverse + l.bias
	if !positive {
		margin = -margin
	}
	v := newDual(l.cost * learnShare)
	least := v.up
	l.move(r, inverse, least+v.step(1, margin), false)
}
