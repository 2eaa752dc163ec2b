package recommend

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

func shownOf(list ...features) []Scored {
	var out []Scored
	for k, f := range list {
		out = append(out, Scored{Item: fmt.Sprint(k), Facts: Facts{URL: fmt.Sprint("https://shop.example/", k)}, features: f})
	}
	return out
}

// Clicks that follow the words of items raise what the words count, where they happened
// and nowhere else; that the first item is clicked most is no merit of its voice.
func TestPlacementsLearn(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test
	p := NewPlacements(PlacementOptions{Rate: 0.2})
	for n := range 3000 {
		var list []features
		best, most := 0, math.Inf(-1)
		for k := range 3 {
			f := features{}
			for j := range f {
				f[j] = rng.Float32()
			}
			f[2*liveTogether] = 1 - float32(k)/3 // always first, and no reason to click
			list = append(list, f)
			u := 4*float64(f[2*liveContent]) + 1.5*float64(2-k) - math.Log(-math.Log(rng.Float64()))
			if u > most {
				best, most = k, u
			}
		}
		id := fmt.Sprint("mail", n)
		p.Remember(id, "cart", shownOf(list...))
		if !p.Clicked(id, fmt.Sprint("https://shop.example/", best)) {
			t.Fatal("a click taught nothing")
		}
	}
	w, before := p.Weights("cart"), p.Weights("win-back")
	if w["content"][0] < before["content"][0]+1.5 {
		t.Errorf("words count %v, before %v", w["content"], before["content"])
	}
	for _, v := range []string{"together", "visits", "popular"} { // they had no part in it; standing first is told apart as far as it can be
		if math.Abs(w[v][0]) > 1 && math.Abs(w[v][0]) > before[v][0]+1 {
			t.Errorf("%s counts %v, before %v", v, w[v], before[v])
		}
	}
	if n := p.Learned(); len(n) != 1 || n["cart"] != 3000 || before["visits"][0] != shippedWeights[2*liveVisits] {
		t.Fatalf("%v, %v", n, before)
	}
}

// A link teaches once; what was not shown, or stands alone, teaches nothing.
func TestPlacementsClicked(t *testing.T) {
	p := NewPlacements(PlacementOptions{Shown: 2, Placements: 1})
	p.Remember("m1", "cart", shownOf(features{1}, features{0, 1}))
	p.Remember("alone", "cart", shownOf(features{1}))
	f := func(mail, link string, want bool) {
		t.Helper()
		if got := p.Clicked(mail, link); got != want {
			t.Fatalf("%s %s: %v", mail, link, got)
		}
	}
	f("m1", "https://shop.example/2", false)
	f("m1", "", false)
	f("alone", "https://shop.example/0", false)
	f("m1", "https://shop.example/1", true)
	f("m1", "https://shop.example/1", false)
	f("m1", "https://shop.example/0", true)
	p.Remember("m2", "browse", shownOf(features{1}, features{0, 1}))
	f("m2", "https://shop.example/0", false) // no room for another placement
	p.Remember("m3", "cart", shownOf(features{1}, features{0, 1}))
	f("m1", "https://shop.example/0", false) // forgotten
	f("m3", "https://shop.example/0", true)
}

// What is saved comes back: weights, and mails that have yet to teach.
func TestPlacementsSave(t *testing.T) {
	p := NewPlacements(PlacementOptions{})
	p.Remember("m1", "cart", shownOf(features{1}, features{0, 1}))
	p.Remember("m2", "cart", shownOf(features{1}, features{0, 1}))
	p.Clicked("m1", "https://shop.example/1")
	raw, err := p.Save()
	if err != nil || p.Changed() {
		t.Fatal(err, p.Changed())
	}
	q := NewPlacements(PlacementOptions{})
	if err := q.Load(raw); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(q.Weights("cart")) != fmt.Sprint(p.Weights("cart")) || q.Learned()["cart"] != 1 {
		t.Fatalf("%v, want %v", q.Weights("cart"), p.Weights("cart"))
	}
	if q.Clicked("m1", "https://shop.example/1") || !q.Clicked("m2", "https://shop.example/1") || !q.Changed() {
		t.Fatal("the mails did not come back as they were")
	}
	bad := func(raw string) {
		t.Helper()
		if err := p.Load([]byte(raw)); err == nil {
			t.Fatalf("%s was taken", raw)
		}
	}
	bad("")
	bad(`{"version":2}`)
	bad(`{"version":1,"placements":{"cart":null}}`)
	bad(`{"version":1,"placements":{"cart":{"weight":[1e300]}}}`)
	if p.Learned()["cart"] != 1 {
		t.Fatal("a damaged file changed something")
	}
}

func FuzzPlacementsLoad(f *testing.F) {
	p := NewPlacements(PlacementOptions{})
	p.Remember("m1", "cart", shownOf(features{1}, features{0, 1}))
	p.Clicked("m1", "https://shop.example/1")
	raw, err := p.Save()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte(`{"version":1,"shown":[{"m":5,"s":{"p":"cart","i":[{"l":1,"f":[1]},{"l":2,"f":[]}]}},{"m":6}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p := NewPlacements(PlacementOptions{})
		if p.Load(raw) != nil {
			return
		}
		p.Remember("m", "cart", shownOf(features{1}, features{0, 1}))
		p.Clicked("m", "https://shop.example/0")
		again, err := p.Save()
		if err != nil || !json.Valid(again) {
			t.Fatalf("what was read cannot be written: %v", err)
		}
	})
}
