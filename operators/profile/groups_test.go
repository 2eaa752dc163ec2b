package profile

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// planted makes people of three kinds that differ by far, and what kind each is of.
func planted(n int) (vectors [][]float64, kinds []int) {
	rng := rand.New(rand.NewPCG(7, 7)) //nolint:gosec // a test's own
	for i := range n {
		x := make([]float64, len(vectorNames))
		for j := range x {
			x[j] = rng.NormFloat64() * .2
		}
		kind := i % 3
		switch kind {
		case 1:
			x[1], x[2] = x[1]+4, x[2]+6 // orders and spending
		case 2:
			x[6] += 5            // browsing
			x[4] = math.NaN()    // never ordered twice
			x[10] = math.Inf(-1) // broken
		}
		vectors, kinds = append(vectors, x), append(kinds, kind)
	}
	return vectors, kinds
}

// Groups that are there are found, named by what they are made of, and told of anybody.
func TestGroupPeople(t *testing.T) {
	vectors, kinds := planted(600)
	g, err := GroupPeople(vectors, 1_700_000_000_000, 3, 1)
	if err != nil {
		t.Fatal(err)
	}
	labels := make([]int, len(vectors))
	for i, x := range vectors {
		labels[i] = g.Of(x)
	}
	if got := AdjustedRand(kinds, labels); got < .99 {
		t.Errorf("got groups that agree by %.3f with those that are there", got)
	}
	names := make(map[string]bool)
	people, onMap := 0, 0
	for i := range g.Groups {
		names[g.Groups[i].Name] = true
		people += g.Groups[i].People
	}
	for _, c := range g.Map {
		onMap += c.People
	}
	if people != 600 || onMap != 600 || g.People != 600 || len(names) != 3 || g.Explained < .2 || g.AxesShare <= 0 || g.AxesShare > 1 {
		t.Errorf("got %d and %d people, names %v, explained %v, share %v", people, onMap, names, g.Explained, g.AxesShare)
	}
	if !names["high browsing"] && !names["high browsing, low spending"] && !names["high browsing, low orders"] {
		t.Errorf("got names %v, none for those who browse", names)
	}
	// It survives its file, and says the same.
	raw, err := json.Marshal(g)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ReadPeopleGroups(raw)
	if err != nil {
		t.Fatal(err)
	}
	for i, x := range vectors {
		if again.Of(x) != labels[i] {
			t.Fatalf("number %d is in another group after a restart", i)
		}
	}
	again.Compare(g, 1, vectors)
	if again.Stability != 1 || again.Before != 1 {
		t.Errorf("got stability %v against itself", again.Stability)
	}
	other, err := GroupPeople(vectors, 1_700_000_000_000, 2, 9)
	if err != nil {
		t.Fatal(err)
	}
	other.Compare(g, 1, vectors)
	if other.Stability >= .9 || other.Stability < 0 {
		t.Errorf("got stability %v of two groups against three", other.Stability)
	}
	if _, err := GroupPeople(vectors[:9], 1, 3, 1); !errors.Is(err, ErrGroups) {
		t.Errorf("got %v for too few people", err)
	}
	// People who are all alike are one group.
	same, err := GroupPeople(make2d(50, len(vectorNames)), 1, 3, 1)
	if err != nil || len(same.Groups) != 1 || same.Groups[0].Name != "typical" {
		t.Errorf("got %+v, %v", same, err)
	}
}

func make2d(n, width int) [][]float64 {
	out := make([][]float64, n)
	for i := range out {
		out[i] = make([]float64, width)
	}
	return out
}

func TestReadPeopleModels(t *testing.T) {
	for _, raw := range []string{"", "{}", `{"groups":[{"name":"x"}]}`, `[1]`, `{"mean":[1],"scale":[0],"groups":[{"name":"x","centre":[1]}]}`} {
		if _, err := ReadPeopleGroups([]byte(raw)); !errors.Is(err, ErrGroups) {
			t.Errorf("%q: got %v", raw, err)
		}
		if _, err := ReadLifetimeModel([]byte(raw)); !errors.Is(err, ErrFit) {
			t.Errorf("%q: got %v", raw, err)
		}
	}
}

// FuzzReadPeopleGroups: what is read can be used for anybody.
func FuzzReadPeopleGroups(f *testing.F) {
	vectors, _ := planted(60)
	g, err := GroupPeople(vectors, 1, 3, 1)
	if err != nil {
		f.Fatal(err)
	}
	raw, err := json.Marshal(g)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte(`{"groups":[]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		g, err := ReadPeopleGroups(raw)
		if err != nil {
			return
		}
		if name := g.Name(&Person{}, 1); name == "" {
			t.Error(fmt.Errorf("a group without a name: %+v", g))
		}
	})
}
