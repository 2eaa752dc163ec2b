package accuracy

import (
	"math"
	"math/rand/v2"
	"strings"
	"unicode"
)

// contentWords cuts a subject for counting: words, single Chinese characters, marks.
func contentWords(subject string) []string {
	var out []string
	var word strings.Builder
	flush := func() {
		if word.Len() > 0 {
			out = append(out, word.String())
			word.Reset()
		}
	}
	for _, r := range strings.ToLower(subject) {
		switch {
		case unicode.Is(unicode.Han, r):
			flush()
			out = append(out, string(r))
		case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '\'' || r == '-' || r == '{' || r == '}' || r == '_':
			word.WriteRune(r)
		default:
			flush()
			if !unicode.IsSpace(r) {
				out = append(out, string(r))
			}
		}
	}
	flush()
	return out
}

// contentDistinct is the share of different runs of n words (Li et al. 2016).
func contentDistinct(lines [][]string, n int) float64 {
	seen, all := map[string]bool{}, 0
	for _, line := range lines {
		for i := 0; i+n <= len(line); i++ {
			seen[strings.Join(line[i:i+n], " ")] = true
			all++
		}
	}
	return float64(len(seen)) / float64(max(all, 1))
}

// contentBLEU is the BLEU-4 of a line against references (Papineni et al. 2002), with one
// added to the counts above single words (Lin and Och 2004), since lines are short.
func contentBLEU(line []string, refs [][]string) float64 {
	var sum float64
	for n := 1; n <= 4; n++ {
		counts := runs(line, n)
		most := map[string]int{}
		for _, ref := range refs {
			for g, c := range runs(ref, n) {
				if counts[g] > 0 {
					most[g] = max(most[g], c)
				}
			}
		}
		hits, all := 0, 0
		for g, c := range counts {
			hits += min(c, most[g])
			all += c
		}
		if n > 1 {
			hits, all = hits+1, all+1
		}
		if hits == 0 {
			return 0
		}
		sum += math.Log(float64(hits) / float64(all))
	}
	nearest := 0
	for _, ref := range refs {
		if d, best := len(ref)-len(line), nearest-len(line); nearest == 0 || d*d < best*best {
			nearest = len(ref)
		}
	}
	brevity := min(0, 1-float64(nearest)/float64(max(len(line), 1)))
	return math.Exp(brevity + sum/4)
}

func runs(line []string, n int) map[string]int {
	out := map[string]int{}
	for i := 0; i+n <= len(line); i++ {
		out[strings.Join(line[i:i+n], " ")]++
	}
	return out
}

// contentSelfBLEU is the mean BLEU of lines against others of the same set (Zhu et al.
// 2018): each of at most sample lines against as many others. 1 is a set that says one
// thing.
func contentSelfBLEU(lines [][]string, sample int, seed uint64) float64 {
	if len(lines) < 2 {
		return 0
	}
	r := rand.New(rand.NewPCG(seed, 9))
	order := r.Perm(len(lines))
	var sum float64
	n := min(sample, len(lines))
	for _, i := range order[:n] {
		var refs [][]string
		for len(refs) < min(sample, len(lines)-1) {
			if j := r.IntN(len(lines)); j != i {
				refs = append(refs, lines[j])
			}
		}
		sum += contentBLEU(lines[i], refs)
	}
	return sum / float64(n)
}
