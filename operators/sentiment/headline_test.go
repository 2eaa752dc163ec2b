package sentiment

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// headlines makes pairs in which the words of the list draw readers, and length does a
// little.
func headlines(n int, seed uint64) []Pair {
	draws := strings.Fields("why secret watch surprising")
	filler := strings.Fields("the city report council new budget of a plan for schools and roads")
	r := rand.New(rand.NewPCG(seed, 1))
	line := func(hot bool) string {
		var w []string
		for range 4 + r.IntN(5) {
			w = append(w, filler[r.IntN(len(filler))])
		}
		if hot {
			w = append(w, draws[r.IntN(len(draws))])
		}
		return strings.Join(w, " ")
	}
	out := make([]Pair, n)
	for i := range out {
		out[i] = Pair{Better: NewLine(line(true)), Worse: NewLine(line(false))}
	}
	return out
}

func TestHeadline(t *testing.T) {
	h, err := TrainHeadline(headlines(300, 1), HeadlineOptions{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	right := 0
	fresh := headlines(200, 2)
	for _, p := range fresh {
		better := h.Prefer(p.Better, p.Worse)
		if better > 0.5 {
			right++
		}
		if sum := better + h.Prefer(p.Worse, p.Better); sum < 1-1e-9 || sum > 1+1e-9 {
			t.Fatalf("a over b and b over a add up to %v", sum)
		}
		if (h.Score(p.Better) > h.Score(p.Worse)) != (better > 0.5) {
			t.Error("scores and preference differ")
		}
	}
	if right < 190 {
		t.Errorf("%d of %d pairs in the right order", right, len(fresh))
	}
	same := NewLine("the same line")
	if p := h.Prefer(same, same); p != 0.5 {
		t.Errorf("a line over itself: %v", p)
	}
	for _, odd := range []string{"", "\xff", strings.Repeat("why ", 10_000), "为什么"} {
		if p := h.Prefer(NewLine(odd), same); !(p > 0 && p < 1) {
			t.Errorf("probability %v of %.10q", p, odd)
		}
	}
}

func TestHeadlineFile(t *testing.T) {
	h, err := TrainHeadline(headlines(50, 1), HeadlineOptions{})
	if err != nil {
		t.Fatal(err)
	}
	file, err := h.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := DecodeHeadline(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range headlines(20, 3) {
		if h.Prefer(p.Better, p.Worse) != back.Prefer(p.Better, p.Worse) {
			t.Fatal("after reading it ranks otherwise")
		}
	}
	file[len(file)/2] ^= 1
	if _, err := DecodeHeadline(file); err == nil {
		t.Error("a changed file was accepted")
	}
	if _, err := Decode(file); err == nil {
		t.Error("a file of headlines was taken for one of tone")
	}
	if _, err := TrainHeadline(nil, HeadlineOptions{}); err == nil {
		t.Error("no pairs were accepted")
	}
}
