package accuracy

import "math"

// ContentTrigram is an interpolated Kneser-Ney model of three words (Kneser and Ney 1995;
// Chen and Goodman 1999, one discount for each order): what a network has to beat.
type ContentTrigram struct {
	vocab     int
	discounts [3]float64           // of one, two and three words
	counts    [3]map[[3]string]int // how often, or for lower orders after how many words
	sums      [3]map[[3]string]int // by context: the sum of the counts
	kinds     [3]map[[3]string]int // by context: how many different words follow
}

// The marks around a line.
const (
	lineBegin = "<s>"
	lineEnd   = "</s>"
)

// NewContentTrigram counts lines of words. The vocabulary is that of lines and known,
// with the mark of the end.
func NewContentTrigram(lines, known [][]string) *ContentTrigram {
	m := &ContentTrigram{}
	for i := range 3 {
		m.counts[i], m.sums[i], m.kinds[i] = map[[3]string]int{}, map[[3]string]int{}, map[[3]string]int{}
	}
	words := map[string]bool{lineEnd: true}
	for _, all := range [][][]string{lines, known} {
		for _, line := range all {
			for _, w := range line {
				words[w] = true
			}
		}
	}
	m.vocab = len(words)
	for _, line := range lines {
		for _, g := range trigrams(line) {
			m.counts[2][g]++
		}
	}
	// A shorter run counts once for each word before it; at the begin of a line nothing
	// but the mark can stand there, so the begin is padded with two of them.
	for g := range m.counts[2] {
		m.counts[1][[3]string{"", g[1], g[2]}]++
	}
	for g := range m.counts[1] {
		m.counts[0][[3]string{"", "", g[2]}]++
	}
	for order := range 3 {
		ones, twos := 0, 0
		for g, n := range m.counts[order] {
			m.sums[order][context3(g)] += n
			m.kinds[order][context3(g)]++
			switch n {
			case 1:
				ones++
			case 2:
				twos++
			}
		}
		m.discounts[order] = 0.5 // where there is too little to estimate it from
		if ones > 0 && twos > 0 {
			m.discounts[order] = float64(ones) / float64(ones+2*twos)
		}
	}
	return m
}

func trigrams(line []string) [][3]string {
	padded := append([]string{lineBegin, lineBegin}, line...)
	padded = append(padded, lineEnd)
	var out [][3]string
	for i := 2; i < len(padded); i++ {
		out = append(out, [3]string{padded[i-2], padded[i-1], padded[i]})
	}
	return out
}

// context3 is a run without its last word.
func context3(g [3]string) [3]string { return [3]string{g[0], g[1], ""} }

// Prob returns the probability of a word after two others.
func (m *ContentTrigram) Prob(g [3]string) float64 {
	p := 1 / float64(m.vocab)
	for order, run := range [3][3]string{{"", "", g[2]}, {"", g[1], g[2]}, g} {
		sum := m.sums[order][context3(run)]
		if sum == 0 {
			continue
		}
		d := m.discounts[order]
		left := d * float64(m.kinds[order][context3(run)]) / float64(sum)
		p = max(float64(m.counts[order][run])-d, 0)/float64(sum) + left*p
	}
	return p
}

// Loss returns the mean negative log probability of a word, end marks included, in nats.
func (m *ContentTrigram) Loss(lines [][]string) float64 {
	var sum float64
	n := 0
	for _, line := range lines {
		for _, g := range trigrams(line) {
			sum -= math.Log(m.Prob(g))
			n++
		}
	}
	return sum / float64(max(n, 1))
}
