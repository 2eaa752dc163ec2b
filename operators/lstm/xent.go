package lstm

// xent is the arithmetic of the weighted cross-entropy. The row maximum is taken
// from the row, and rows of weight 0 (the padding) cost nothing.
type xent struct {
	steps, batch, vocab int

	prob         []float32 // softmax of the last forward run
	backwardDone bool

	dlogits, dbias []float32
}

// forward returns Σ weight·(log Σ exp(l) - l[target]) with l = logits + bias.
func (x *xent) forward(logits, bias []float32, targets []int, weights []float32) float32 {
	v := x.vocab
	x.prob = resize(x.prob, len(logits))
	x.backwardDone = false
	var loss float64
	for row, w := range weights {
		p := x.prob[row*v : (row+1)*v]
		if w == 0 {
			clear(p)
			continue
		}
		k := bias[row%x.batch*v:][:v]
		for j, l := range logits[row*v : (row+1)*v] {
			p[j] = l + k[j]
		}
		sum := logSumExp(p)
		loss += float64(w) * float64(sum-p[targets[row]])
		for j := range p {
			p[j] = exp(p[j] - sum)
		}
	}
	return float32(loss)
}

// backward computes the gradients by the logits and by the bias.
func (x *xent) backward(targets []int, weights []float32, scale float32) {
	v := x.vocab
	x.dlogits = make([]float32, len(x.prob))
	x.dbias = make([]float32, x.batch*v)
	for row, w := range weights {
		if w == 0 {
			continue
		}
		d := x.dlogits[row*v : (row+1)*v]
		k := x.dbias[row%x.batch*v:][:v]
		w *= scale
		for j, p := range x.prob[row*v : (row+1)*v] {
			d[j] = w * p
		}
		d[targets[row]] -= w
		for j, g := range d {
			k[j] += g
		}
	}
	x.backwardDone = true
}
