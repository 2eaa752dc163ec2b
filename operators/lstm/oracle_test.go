package lstm

import (
	"math"
	"slices"
)

// oracle is the same network written again, plainly, in float64 and one line at a
// time: neither gorgonia nor a matrix library, nor any code of the package.
type oracle struct {
	c       Config
	weights map[string][]float64
	grads   map[string][]float64
}

func newOracle(m *Model) *oracle {
	o := &oracle{m.config, map[string][]float64{}, map[string][]float64{}}
	for _, l := range m.layers() {
		w := make([]float64, len(*l.data))
		for i, x := range *l.data {
			w[i] = float64(x)
		}
		o.weights[l.name] = w
		o.grads[l.name] = make([]float64, len(w))
	}
	return o
}

type moment struct {
	token, target    int
	i, f, g, o, c, h []float64
	p                []float64
}

func sig(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// forward returns the line's moments and its summed cross-entropy.
func (o *oracle) forward(e Example) ([]moment, float64) {
	n, v, w := o.c.Hidden, o.c.Vocab, o.weights
	h, c := make([]float64, n), make([]float64, n)
	cond := o.cond(e)
	var out []moment
	var loss float64
	for t := 0; t+1 < len(e.Tokens); t++ {
		m := moment{token: int(e.Tokens[t]), target: int(e.Tokens[t+1])}
		a := make([]float64, 4*n)
		for j := range a {
			for k := range o.c.Embed {
				a[j] += w["embed"][m.token*o.c.Embed+k] * w["wx"][k*4*n+j]
			}
			for k := range h {
				a[j] += h[k] * w["wh"][k*4*n+j]
			}
			for k, x := range cond {
				a[j] += x * w["wc"][k*4*n+j]
			}
		}
		next, cell := make([]float64, n), make([]float64, n)
		for j := range n {
			i, f, g, u := sig(a[j]), sig(a[n+j]), math.Tanh(a[2*n+j]), sig(a[3*n+j])
			m.i, m.f, m.g, m.o = append(m.i, i), append(m.f, f), append(m.g, g), append(m.o, u)
			cell[j] = f*c[j] + i*g
			next[j] = u * math.Tanh(cell[j])
		}
		h, c = next, cell
		m.h, m.c = h, c
		m.p = make([]float64, v)
		var sum float64
		for j := range v {
			for k := range h {
				m.p[j] += h[k] * w["wo"][k*v+j]
			}
			for k, x := range cond {
				m.p[j] += x * w["wk"][k*v+j]
			}
			sum += math.Exp(m.p[j])
		}
		for j := range v {
			m.p[j] = math.Exp(m.p[j]) / sum
		}
		loss -= math.Log(m.p[m.target])
		out = append(out, m)
	}
	return out, loss
}

func (o *oracle) cond(e Example) []float64 {
	var cond []float64
	for _, x := range e.Cond {
		cond = append(cond, float64(x))
	}
	return append(cond, 1)
}

// learn returns the weighted mean loss of the lines and adds up its gradients.
func (o *oracle) learn(lines []Example) float64 {
	var total, loss float64
	for _, e := range lines {
		total += float64(e.weight()) * float64(len(e.Tokens)-1)
	}
	for _, e := range lines {
		ms, l := o.forward(e)
		scale := float64(e.weight()) / total
		loss += scale * l
		o.backward(e, ms, scale)
	}
	return loss
}

func (o *oracle) backward(e Example, ms []moment, scale float64) {
	n, v := o.c.Hidden, o.c.Vocab
	w, d, cond := o.weights, o.grads, o.cond(e)
	dh, dc := make([]float64, n), make([]float64, n)
	for t, m := range slices.Backward(ms) {

		before, cellBefore := make([]float64, n), make([]float64, n)
		if t > 0 {
			before, cellBefore = ms[t-1].h, ms[t-1].c
		}
		for j := range v {
			dl := m.p[j] * scale
			if j == m.target {
				dl -= scale
			}
			for k := range n {
				d["wo"][k*v+j] += m.h[k] * dl
				dh[k] += w["wo"][k*v+j] * dl
			}
			for k, x := range cond {
				d["wk"][k*v+j] += x * dl
			}
		}
		da := make([]float64, 4*n)
		for j := range n {
			th := math.Tanh(m.c[j])
			dcell := dc[j] + dh[j]*m.o[j]*(1-th*th)
			da[j] = dcell * m.g[j] * m.i[j] * (1 - m.i[j])
			da[n+j] = dcell * cellBefore[j] * m.f[j] * (1 - m.f[j])
			da[2*n+j] = dcell * m.i[j] * (1 - m.g[j]*m.g[j])
			da[3*n+j] = dh[j] * th * m.o[j] * (1 - m.o[j])
			dc[j] = dcell * m.f[j]
		}
		dh = make([]float64, n)
		for j, a := range da {
			for k := range o.c.Embed {
				d["wx"][k*4*n+j] += w["embed"][m.token*o.c.Embed+k] * a
				d["embed"][m.token*o.c.Embed+k] += w["wx"][k*4*n+j] * a
			}
			for k := range n {
				d["wh"][k*4*n+j] += before[k] * a
				dh[k] += w["wh"][k*4*n+j] * a
			}
			for k, x := range cond {
				d["wc"][k*4*n+j] += x * a
			}
		}
	}
}
