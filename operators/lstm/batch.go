package lstm

// Batch is several sequences that go through the network side by side, in lanes. Each
// row of weights is read once for all lanes, and a step allocates nothing. It belongs to
// one goroutine at a time; Start makes a lane new.
type Batch struct {
	run    *Runner
	lanes  int
	wide   int       // sums of the gates of one lane
	cond   []float32 // condition, with the constant 1 behind it
	gates  []float32 // the condition's share of the gates, by lane
	bias   []float32 // the condition's share of the logits, by lane
	a      []float32
	u      []float32 // of a GRU: the outputs' share of the gates
	h, c   []float32
	logits []float32

	spareH, spareC []float32 // what Arrange writes to
}

// NewBatch returns a Batch of as many sequences as lanes, at least one.
func (r *Runner) NewBatch(lanes int) *Batch {
	c := r.model.config
	wide := c.Cell.gates() * c.Hidden
	room := (lanes + stripLanes - 1) / stripLanes * stripLanes // see packed.add
	floats := func(n int) []float32 { return make([]float32, room*n) }
	b := &Batch{
		run: r, lanes: lanes, wide: wide, cond: make([]float32, c.Cond+1),
		gates: floats(wide), bias: floats(c.Vocab), a: floats(wide), h: floats(c.Hidden), logits: floats(c.Vocab),
		spareH: floats(c.Hidden),
	}
	if c.Cell == GRU {
		b.u = floats(wide)
	} else {
		b.c, b.spareC = floats(c.Hidden), floats(c.Hidden)
	}
	return b
}

// Start begins a new sequence in a lane under cond, whose length must be the model's
// Cond.
func (b *Batch) Start(lane int, cond []float32) {
	m, c := b.run.model, b.run.model.config
	if len(cond) != c.Cond {
		panic("BUG: condition of the wrong length")
	}
	copy(b.cond, cond)
	b.cond[c.Cond] = 1
	gates, bias := row(b.gates, lane, b.wide), row(b.bias, lane, c.Vocab)
	clear(gates)
	clear(bias)
	accumulate(m.wc, b.cond, gates, 1)
	accumulate(m.wk, b.cond, bias, 1)
	b.Restart(lane)
}

// StartAll begins a new sequence in every lane, all under one condition.
func (b *Batch) StartAll(cond []float32) {
	b.Start(0, cond)
	for lane := 1; lane < b.lanes; lane++ {
		copy(row(b.gates, lane, b.wide), b.gates[:b.wide])
		copy(row(b.bias, lane, b.run.model.config.Vocab), b.bias)
		b.Restart(lane)
	}
}

// Restart begins a new sequence in a lane, under the condition of its last Start.
func (b *Batch) Restart(lane int) {
	n := b.run.model.config.Hidden
	clear(row(b.h, lane, n))
	if b.c != nil {
		clear(row(b.c, lane, n))
	}
}

// Step lets the first lanes read one token each, at most one for every lane. The
// tokens must lie within the vocabulary.
func (b *Batch) Step(tokens []int32) {
	c := b.run.model.config
	live, n := len(tokens), c.Hidden
	for lane, token := range tokens {
		a, x, k := row(b.a, lane, b.wide), row(b.run.table, int(token), b.wide), row(b.gates, lane, b.wide)
		for j := range a {
			a[j] = x[j] + k[j]
		}
	}
	if c.Cell == GRU {
		u := b.u[:live*b.wide]
		clear(u)
		b.run.wh.add(b.h, b.u, live)
		for lane := range live {
			gruLane(row(b.a, lane, b.wide), row(u, lane, b.wide), row(b.h, lane, n))
		}
	} else {
		b.run.wh.add(b.h, b.a, live)
		for lane := range live {
			lstmCell(row(b.a, lane, b.wide), row(b.h, lane, n), row(b.c, lane, n))
		}
	}
	copy(b.logits, b.bias[:live*c.Vocab])
	b.run.out.add(b.h, b.logits, live)
}

// Logits returns the logits of a lane after the last Step, which the next one
// overwrites.
func (b *Batch) Logits(lane int) []float32 { return row(b.logits, lane, b.run.model.config.Vocab) }

// Arrange lets lane i go on where lane from[i] stands. The conditions stay where they
// are, so all lanes of from must have begun under the same one.
func (b *Batch) Arrange(from []int) {
	n := b.run.model.config.Hidden
	for lane, source := range from {
		copy(row(b.spareH, lane, n), row(b.h, source, n))
		if b.c != nil {
			copy(row(b.spareC, lane, n), row(b.c, source, n))
		}
	}
	b.h, b.spareH = b.spareH, b.h
	b.c, b.spareC = b.spareC, b.c
}

func row(m []float32, i, width int) []float32 { return m[i*width : (i+1)*width : (i+1)*width] }

// lstmCell turns the sums of one lane into its next output and cell.
func lstmCell(a, h, c []float32) {
	n := len(h)
	ai, af, ag, ao := a[:n], a[n:2*n], a[2*n:3*n], a[3*n:4*n]
	c = c[:n]
	for j := range h {
		v := fastSigmoid(af[j])*c[j] + fastSigmoid(ai[j])*fastTanh(ag[j])
		c[j] = v
		h[j] = fastSigmoid(ao[j]) * fastTanh(v)
	}
}

// gruLane turns the sums of one lane into its next output.
func gruLane(a, u, h []float32) {
	n := len(h)
	for j := range h {
		r, z := fastSigmoid(a[j]+u[j]), fastSigmoid(a[n+j]+u[n+j])
		g := fastTanh(a[2*n+j] + r*u[2*n+j])
		h[j] = (1-z)*g + z*h[j]
	}
}

// accumulate adds x·w to y for each lane: w has a row for each number of a lane's x. A
// row of w is used for all lanes while it is in the nearest cache; conditions, which
// are mostly 0, cost next to nothing.
func accumulate(w, x, y []float32, lanes int) {
	rows, cols := len(x)/lanes, len(y)/lanes
	for k := range rows {
		line := w[k*cols : (k+1)*cols]
		for lane := range lanes {
			if v := x[lane*rows+k]; v != 0 {
				kernel.Saxpy(cols, v, line, 1, y[lane*cols:], 1)
			}
		}
	}
}
