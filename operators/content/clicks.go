package content

import "math"

// Clicks is a model that ranks subjects by the reactions that others got.
type Clicks struct {
	Version string
	// Rank answers for each of some subjects how likely it is to be clicked rather than
	// another one of them, on average: 0 to 1. It must be safe for concurrent use.
	Rank func(subjects []string) []float64
}

// SwapClicks puts another model of clicks in place, nil for none. Mails that are being
// written keep the one they began with.
func (w *Writer) SwapClicks(c *Clicks) { w.clicks.Store(c) }

// ClicksVersion names the model of clicks in place, or is "" when there is none.
func (w *Writer) ClicksVersion() string {
	if c := w.clicks.Load(); c != nil {
		return c.Version
	}
	return ""
}

// rank is what is predicted for each proposal of a subject, 0 where nothing is: of the
// other parts, of what was refused, and of one that has no rival.
func (t *task) rank(all []proposal) []float64 {
	out := make([]float64, len(all))
	if t.clicks == nil || t.cond.part != Subject {
		return out
	}
	var texts []string
	var at []int
	for i, p := range all {
		if p.why == "" {
			texts, at = append(texts, p.subject), append(at, i)
		}
	}
	if len(texts) < 2 {
		return out
	}
	ranks := t.clicks.Rank(texts)
	for i, x := range ranks[:min(len(ranks), len(at))] {
		if !math.IsNaN(x) {
			out[at[i]] = min(max(x, 1e-9), 1)
		}
	}
	return out
}
