package profile

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestClustersNearBatch(t *testing.T) {
	worst := 0.0
	for seed := range uint64(5) {
		xs := sharesOf(940, 19, 8, seed)
		best := math.Inf(1)
		for run := range uint64(20) {
			centres, labels := KMeans(xs, 8, 1, run)
			if len(labels) != len(xs) {
				t.Fatal("not all have a label")
			}
			best = math.Min(best, SquaredError(xs, centres))
		}
		ratio := func(half time.Duration) float64 {
			c := NewClusters(ClusterOptions{K: 8, Raw: true, HalfLife: half, Seed: seed})
			for i, x := range xs {
				c.Add(x, testBase+int64(i)*60_000)
			}
			return SquaredError(xs, centresOf(c.All)) / best
		}
		for _, half := range []time.Duration{0, 12 * time.Hour} {
			if r := ratio(half); r > 1.15 {
				t.Errorf("seed %d, half-life %s: error %.3f of the best batch run, at most 1.15", seed, half, r)
			}
		}
		worst = math.Max(worst, SquaredError(xs, constantStep(xs, 8, .5))/best)
	}
	// A bar that a bad method clears is none: river's default step.
	if worst <= 1.15 {
		t.Errorf("a constant step of one half reaches %.3f: the bar is too low", worst)
	}
}

// constantStep is online K-means that moves a centre half of the way each time.
func constantStep(xs [][]float64, k int, step float64) [][]float64 {
	centres, _ := KMeans(xs[:200], k, 1, 1)
	for _, x := range xs {
		i, _ := closest(centres, x, nil)
		for j := range x {
			centres[i][j] += step * (x[j] - centres[i][j])
		}
	}
	return centres
}

// blob is a vector near one of the corners.
func blob(corner, i int) []float64 {
	x := []float64{0, 0, 0}
	x[corner%3] = 10 + 10*float64(corner/3)
	for j := range x {
		x[j] += float64(mix(uint64(i*3+j))%1000)/1000 - .5
	}
	return x
}

func TestClustersTakeNewGroupIn(t *testing.T) {
	c := NewClusters(ClusterOptions{K: 3, HalfLife: time.Hour, Warm: 60, Raw: true})
	at := testBase
	feed := func(n int, corners ...int) {
		for i := range n {
			at += 60_000
			c.Add(blob(corners[i%len(corners)], i), at)
		}
	}
	feed(300, 0, 1, 2)
	before := []uint32{c.All[0].ID, c.All[1].ID, c.All[2].ID}
	if c.Splits != 0 || c.Error() > 1 {
		t.Fatalf("%d splits, error %v", c.Splits, c.Error())
	}
	// Nobody is near corner 2 any more, and those of corner 1 fall into two groups.
	feed(1500, 0, 1, 4)
	if c.Splits == 0 {
		t.Fatal("the dead group was not used again")
	}
	for _, corner := range []int{0, 1, 4} {
		if _, far := c.Nearest(blob(corner, 7)); far > 2 {
			t.Errorf("corner %d is %.1f from the nearest of %v", corner, far, centresOf(c.All))
		}
	}
	gone := 0
	for _, id := range before {
		if !slices.ContainsFunc(c.All, func(l Cluster) bool { return l.ID == id }) {
			gone++
		}
	}
	if gone != int(c.Splits) {
		t.Errorf("%d groups are gone after %d splits", gone, c.Splits)
	}
}

func TestClustersScale(t *testing.T) {
	// Spending is in the thousands and orders are few: without a scale only one counts.
	c := NewClusters(ClusterOptions{K: 4, Warm: 80})
	for i := range 2000 {
		j := float64(mix(uint64(i))%100) / 100
		c.Add([]float64{float64(i%2)*10000 + 300*j, float64(i/2%2) * (1 + .01*j)}, testBase)
	}
	names := c.Names([]string{"spending", "orders"})
	slices.Sort(names)
	want := []string{"high orders, high spending", "high orders, low spending", "high spending, low orders", "low orders, low spending"}
	got := make([]string, len(names))
	for i, n := range names {
		parts := strings.Split(n, ", ")
		slices.Sort(parts)
		got[i] = strings.Join(parts, ", ")
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("names %q", names)
	}
	if s := c.Share(0); math.Abs(s-.25) > .02 {
		t.Errorf("share %v", s)
	}
}

func TestClusterNamesDiffer(t *testing.T) {
	c := NewClusters(ClusterOptions{K: 3, Warm: 30, Raw: true})
	for i := range 300 {
		c.Add(blob(i%3, i), testBase)
	}
	c.All = append(c.All, c.All[0])
	c.All[3].ID = 99
	names := c.Names([]string{"a", "b", "c"})
	if len(repeated(names)) != 0 || !strings.Contains(names[3], "(99)") {
		t.Errorf("names %q", names)
	}
	c.All[3].Centre = []float64{c.scale.All[0].Mean, c.scale.All[1].Mean, c.scale.All[2].Mean}
	if names = c.Names([]string{"a", "b", "c"}); names[3] != "typical" {
		t.Errorf("names %q", names)
	}
	// Fewer names than features must not panic.
	c.Names(nil)
}

func TestClustersRefuse(t *testing.T) {
	c := NewClusters(ClusterOptions{K: 2, Warm: 4})
	f := func(x []float64) {
		t.Helper()
		if got := c.Add(x, testBase); got != -1 {
			t.Errorf("%v went to %d", x, got)
		}
	}
	f(nil)
	f([]float64{1, 2})
	f([]float64{1})
	f([]float64{math.NaN(), 1})
	f([]float64{math.Inf(1), 1})
	if len(c.warm) != 1 {
		t.Errorf("%d vectors are in the warm buffer, want 1", len(c.warm))
	}
	// Four equal vectors make one group, not two; a second one comes with variety.
	for range 3 {
		c.Add([]float64{1, 2}, testBase)
	}
	if len(c.All) != 1 {
		t.Fatalf("%d groups of equal vectors", len(c.All))
	}
	for i := range 200 {
		c.Add([]float64{float64(i % 2 * 50), 2}, testBase)
	}
	if len(c.All) != 2 {
		t.Errorf("%d groups", len(c.All))
	}
}

func TestClustersGoOn(t *testing.T) {
	// What was stored at any time goes on as if it had not been.
	xs := sharesOf(700, 5, 3, 9)
	o := ClusterOptions{K: 4, HalfLife: time.Hour, Warm: 50, Seed: 3}
	whole, parts := NewClusters(o), NewClusters(o)
	for i, x := range xs {
		at := testBase + int64(i)*60_000
		a, b := whole.Add(x, at), parts.Add(x, at)
		if a != b {
			t.Fatalf("vector %d went to %d and %d", i, a, b)
		}
		if i%97 == 20 {
			raw := parts.AppendTo(nil)
			parts = NewClusters(o)
			if err := parts.DecodeFrom(raw); err != nil {
				t.Fatal(err)
			}
		}
	}
	if string(whole.AppendTo(nil)) != string(parts.AppendTo(nil)) {
		t.Error("the stored forms differ")
	}
	fewer := NewClusters(ClusterOptions{K: 2})
	if err := fewer.DecodeFrom(whole.AppendTo(nil)); err != nil || len(fewer.All) != 2 {
		t.Errorf("%d groups, %v", len(fewer.All), err)
	}
}

func TestAdjustedRand(t *testing.T) {
	f := func(a, b []int, want float64) {
		t.Helper()
		if got := AdjustedRand(a, b); math.Abs(got-want) > 1e-12 {
			t.Errorf("%v against %v: %v, want %v", a, b, got, want)
		}
	}
	// The examples of scikit-learn's documentation.
	f([]int{0, 0, 1, 1}, []int{0, 0, 1, 1}, 1)
	f([]int{0, 0, 1, 1}, []int{1, 1, 0, 0}, 1)
	f([]int{0, 0, 1, 2}, []int{0, 0, 1, 1}, 4./7)
	f([]int{0, 0, 0, 0}, []int{0, 1, 2, 3}, 0)
	f([]int{0, 0, 1, 1}, []int{0, 1, 0, 1}, -.5)
	f(nil, nil, 1)
}

func TestSilhouette(t *testing.T) {
	xs := [][]float64{{0}, {1}, {10}, {12}}
	// By hand: of each the mean distance to the other group less that to its own, over the
	// larger one. For the first: (11 - 1)/11.
	want := (10./11 + 9./10 + 7.5/9.5 + 9.5/11.5) / 4
	if got := Silhouette(xs, []int{0, 0, 1, 1}); math.Abs(got-want) > 1e-12 {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := Silhouette(xs, []int{0, 0, 0, 0}); got != 0 {
		t.Errorf("one group: %v", got)
	}
	if got := Silhouette(xs, []int{0, 1, 2, 3}); got != 0 {
		t.Errorf("each alone: %v", got)
	}
}

func TestWatch(t *testing.T) {
	c := NewClusters(ClusterOptions{K: 3, HalfLife: 6 * time.Hour, Warm: 30, Raw: true})
	var h Watch
	day := func(corners ...int) (Steadiness, bool) {
		for i := range 600 {
			x := blob(corners[i%len(corners)], i)
			c.Add(x, testBase)
			h.Add(x)
		}
		raw := h.AppendTo(nil) // a restart in between changes nothing
		h = Watch{}
		if err := h.DecodeFrom(raw); err != nil {
			t.Fatal(err)
		}
		return h.Turn(c)
	}
	if _, ok := day(0, 1, 2); ok {
		t.Error("the first day is compared with nothing")
	}
	s, ok := day(0, 1, 2)
	if !ok || s.Rand != 1 || s.Drift > .2 || s.Silhouette < .8 || s.Sample != sampleMax || s.Gone != 0 {
		t.Errorf("an even day: %+v, %v", s, ok)
	}
	for i := range c.All { // another world: the centres are where nobody is
		c.All[i].Centre = []float64{float64(i), float64(i), float64(i)}
	}
	if s, _ = day(0, 1, 2); s.Drift < 2 {
		t.Errorf("a day of change: %+v", s)
	}
}
