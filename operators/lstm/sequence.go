package lstm

import "gonum.org/v1/gonum/blas"

// recurrence is what the operation of a sequence computes with: cells of one kind.
type recurrence interface {
	forward(xw, cw, wh, hs []float32)
	backward(wh, hs, dhs []float32)
	common() *flow
}

// flow is what all kinds of cells have: the size of the batch, and the gradients of its
// last backward run.
type flow struct {
	steps, batch, hidden int

	backwardDone  bool
	dxw, dcw, dwh []float32
}

func (f *flow) common() *flow { return f }

// sequence is the arithmetic of a batch of LSTM sequences (Hochreiter and
// Schmidhuber 1997, with the forget gate of Gers et al. 2000), without peepholes.
// All sequences begin at zero. Rows are step·batch + line; the columns of the gates
// are i, f, g, o.
type sequence struct {
	flow

	gates []float32 // activations of the last forward run
	cells []float32
	tanhs []float32 // tanh of the cells
}

// forward computes hs from the input's and the condition's share of the gates.
func (s *sequence) forward(xw, cw, wh, hs []float32) {
	b, n := s.batch, s.hidden
	s.gates = resize(s.gates, s.steps*b*4*n)
	s.cells = resize(s.cells, s.steps*b*n)
	s.tanhs = resize(s.tanhs, s.steps*b*n)
	s.backwardDone = false
	copy(s.gates, xw)
	for t := range s.steps {
		a := s.gates[t*b*4*n : (t+1)*b*4*n]
		for j, v := range cw {
			a[j] += v
		}
		if t > 0 {
			gemm(blas.NoTrans, blas.NoTrans, b, 4*n, n, hs[(t-1)*b*n:t*b*n], wh, 1, a)
		}
		for row := range b {
			s.cell(t, row, hs)
		}
	}
}

// cell turns the sums of one row into gates, cell and output.
func (s *sequence) cell(t, row int, hs []float32) {
	b, n := s.batch, s.hidden
	at := t*b + row
	a := s.gates[at*4*n : (at+1)*4*n]
	for j := range n {
		i, f := sigmoid(a[j]), sigmoid(a[n+j])
		g, o := tanh(a[2*n+j]), sigmoid(a[3*n+j])
		a[j], a[n+j], a[2*n+j], a[3*n+j] = i, f, g, o
		c := i * g
		if t > 0 {
			c += f * s.cells[(at-b)*n+j]
		}
		s.cells[at*n+j] = c
		s.tanhs[at*n+j] = tanh(c)
		hs[at*n+j] = o * s.tanhs[at*n+j]
	}
}

// backward computes the three gradients from that of the outputs. The results are
// fresh memory, since the machine may keep or change what it is given.
func (s *sequence) backward(wh, hs, dhs []float32) {
	b, n := s.batch, s.hidden
	s.dxw = make([]float32, s.steps*b*4*n)
	s.dcw = make([]float32, b*4*n)
	s.dwh = make([]float32, n*4*n)
	dh := make([]float32, b*n) // what the next step wants of this one's output
	dc := make([]float32, b*n) // and of its cell
	for t := s.steps - 1; t >= 0; t-- {
		da := s.dxw[t*b*4*n : (t+1)*b*4*n]
		for at := range b * n {
			s.cellBack(t, at, dh[at]+dhs[t*b*n+at], dc, da)
		}
		for j, v := range da {
			s.dcw[j] += v
		}
		if t > 0 {
			gemm(blas.NoTrans, blas.Trans, b, n, 4*n, da, wh, 0, dh)
		}
	}
	if s.steps > 1 {
		rows := (s.steps - 1) * b
		gemm(blas.Trans, blas.NoTrans, n, 4*n, rows, hs[:rows*n], s.dxw[b*4*n:], 0, s.dwh)
	}
	s.backwardDone = true
}

// cellBack carries the gradient dh of one cell's output back to the sums of its
// gates, and leaves in dc what the step before is to get for its cell.
func (s *sequence) cellBack(t, at int, dh float32, dc, da []float32) {
	b, n := s.batch, s.hidden
	row, j := at/n, at%n
	cellAt := t*b*n + at
	g := s.gates[(t*b+row)*4*n:]
	i, f, u, o := g[j], g[n+j], g[2*n+j], g[3*n+j]
	th := s.tanhs[cellAt]
	d := dc[at] + dh*o*(1-th*th)
	var before float32
	if t > 0 {
		before = s.cells[cellAt-b*n]
	}
	out := da[row*4*n:]
	out[j] = d * u * i * (1 - i)
	out[n+j] = d * before * f * (1 - f)
	out[2*n+j] = d * i * (1 - u*u)
	out[3*n+j] = dh * th * o * (1 - o)
	dc[at] = d * f
}

func resize(s []float32, n int) []float32 {
	if cap(s) < n {
		return make([]float32, n)
	}
	return s[:n]
}
