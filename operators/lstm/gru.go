package lstm

import "gonum.org/v1/gonum/blas"

// gruSequence is the arithmetic of a batch of sequences of gated recurrent units (Cho et
// al. 2014). The reset gate stands behind the product with the outputs, as in cuDNN, so
// that one product serves all gates. Rows and beginnings are those of sequence; the
// columns of the gates are r, z, n.
type gruSequence struct {
	flow

	gates []float32 // activations of the last forward run
	sums  []float32 // the outputs' share of the gates: h·wh
	du    []float32 // gradient of sums
}

// forward computes hs from the input's and the condition's share of the gates.
func (s *gruSequence) forward(xw, cw, wh, hs []float32) {
	b, n := s.batch, s.hidden
	s.gates = resize(s.gates, s.steps*b*3*n)
	s.sums = resize(s.sums, s.steps*b*3*n)
	s.backwardDone = false
	copy(s.gates, xw)
	clear(s.sums[:b*3*n]) // nothing came before the first step
	for t := range s.steps {
		a := s.gates[t*b*3*n : (t+1)*b*3*n]
		u := s.sums[t*b*3*n : (t+1)*b*3*n]
		for j, v := range cw {
			a[j] += v
		}
		if t > 0 {
			gemm(blas.NoTrans, blas.NoTrans, b, 3*n, n, hs[(t-1)*b*n:t*b*n], wh, 0, u)
		}
		for row := range b {
			var before []float32
			if t > 0 {
				before = hs[((t-1)*b+row)*n:][:n]
			}
			gruCell(a[row*3*n:][:3*n], u[row*3*n:][:3*n], before, hs[(t*b+row)*n:][:n])
		}
	}
}

// gruCell turns the sums of one row into gates, in place, and its output.
func gruCell(a, u, before, out []float32) {
	n := len(out)
	for j := range out {
		r, z := sigmoid(a[j]+u[j]), sigmoid(a[n+j]+u[n+j])
		g := tanh(a[2*n+j] + r*u[2*n+j])
		a[j], a[n+j], a[2*n+j] = r, z, g
		h := (1 - z) * g
		if before != nil {
			h += z * before[j]
		}
		out[j] = h
	}
}

// backward computes the three gradients from that of the outputs. The results are fresh
// memory, since the machine may keep or change what it is given.
func (s *gruSequence) backward(wh, hs, dhs []float32) {
	b, n := s.batch, s.hidden
	s.dxw = make([]float32, s.steps*b*3*n)
	s.dcw = make([]float32, b*3*n)
	s.dwh = make([]float32, n*3*n)
	s.du = resize(s.du, s.steps*b*3*n)
	dh := make([]float32, b*n) // what the next step wants of this one's output
	for t := s.steps - 1; t >= 0; t-- {
		da := s.dxw[t*b*3*n : (t+1)*b*3*n]
		du := s.du[t*b*3*n : (t+1)*b*3*n]
		for at := range b * n {
			var before float32
			if t > 0 {
				before = hs[(t-1)*b*n+at]
			}
			dh[at] = s.cellBack(t, at, dh[at]+dhs[t*b*n+at], before, da, du)
		}
		for j, v := range da {
			s.dcw[j] += v
		}
		if t > 0 {
			gemm(blas.NoTrans, blas.Trans, b, n, 3*n, du, wh, 1, dh)
		}
	}
	if s.steps > 1 {
		rows := (s.steps - 1) * b
		gemm(blas.Trans, blas.NoTrans, n, 3*n, rows, hs[:rows*n], s.du[b*3*n:], 0, s.dwh)
	}
	s.backwardDone = true
}

// cellBack carries the gradient dh of one output back to the sums of its gates, and
// returns what goes straight to the output before.
func (s *gruSequence) cellBack(t, at int, dh, before float32, da, du []float32) float32 {
	b, n := s.batch, s.hidden
	row, j := at/n, at%n
	g := s.gates[(t*b+row)*3*n:]
	u := s.sums[(t*b+row)*3*n:]
	r, z, c := g[j], g[n+j], g[2*n+j]
	dc := dh * (1 - z) * (1 - c*c)
	dr := dc * u[2*n+j] * r * (1 - r)
	dz := dh * (before - c) * z * (1 - z)
	a, v := da[row*3*n:], du[row*3*n:]
	a[j], a[n+j], a[2*n+j] = dr, dz, dc
	v[j], v[n+j], v[2*n+j] = dr, dz, dc*r
	return dh * z
}
