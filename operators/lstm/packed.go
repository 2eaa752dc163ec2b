package lstm

import "gonum.org/v1/gonum/blas"

// packed are weights in the order in which the product of four lanes reads them: strips
// of 16 columns, in each of which a row follows the row. What is beside the last whole
// strip stays in the plain matrix.
//
// The sums of every path are made in the same order and rounded after every product and
// every sum, so that a line is the same on every machine and beside any other lanes.
type packed struct {
	plain      []float32 // rows × cols
	strips     []float32 // nil on a machine without the instructions
	rows, cols int
}

const (
	stripColumns = 16 // two registers of eight
	stripLanes   = 4  // which leave the eight registers of sums that hide an addition's latency
)

func pack(w []float32, rows, cols int) *packed {
	p := &packed{plain: w, rows: rows, cols: cols}
	whole := cols / stripColumns
	if !strip4Works() || whole == 0 || rows == 0 {
		return p
	}
	p.strips = make([]float32, 0, whole*stripColumns*rows)
	for s := range whole {
		for k := range rows {
			p.strips = append(p.strips, w[k*cols+s*stripColumns:k*cols+(s+1)*stripColumns]...)
		}
	}
	return p
}

// add adds x·w to y for each of the first lanes. Both have room for a multiple of
// stripLanes; what stands in y behind the lanes is worthless afterwards.
func (p *packed) add(x, y []float32, lanes int) {
	if lanes == 1 || p.strips == nil {
		p.addPlain(x[:lanes*p.rows], y[:lanes*p.cols], lanes)
		return
	}
	whole := p.cols / stripColumns
	for first := 0; first < lanes; first += stripLanes {
		xs := x[first*p.rows : (first+stripLanes)*p.rows]
		ys := y[first*p.cols : (first+stripLanes)*p.cols]
		for s := range whole {
			strip4(&p.strips[s*stripColumns*p.rows], &xs[0], &ys[s*stripColumns], p.rows, p.cols)
		}
	}
	for lane := range lanes {
		tail := y[lane*p.cols+whole*stripColumns : (lane+1)*p.cols]
		for k, v := range x[lane*p.rows : (lane+1)*p.rows] {
			w := p.plain[k*p.cols+whole*stripColumns : (k+1)*p.cols]
			for j := range tail {
				tail[j] += float32(v * w[j])
			}
		}
	}
}

func (p *packed) addPlain(x, y []float32, lanes int) {
	if lanes == 1 && p.rows > 64 { // one call for all rows
		kernel.Sgemv(blas.Trans, p.rows, p.cols, 1, p.plain, p.cols, x, 1, 1, y, 1)
		return
	}
	accumulate(p.plain, x, y, lanes)
}
