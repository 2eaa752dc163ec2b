package recommend

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

func TestWordsOf(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		if got := strings.Join(slices.Collect(wordsOf(in)), " "); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	f("Red T-Shirts, size 42", "red t shirt size 42")
	f("glass", "glass")
	f("bus", "bus")
	f("红色连衣裙", "红色 色连 连衣 衣裙")
	f("Nike跑鞋 男", "nike 跑鞋 男")
	f("Crème brûlée", "crème brûlée")
	f("  ", "")
	f("\xff\xfe", "")
}

// catalogueOf describes items, one title each.
func catalogueOf(titles ...string) (*Content, *Names) {
	names := NewNames(0)
	x := NewContent(names)
	for k, title := range titles {
		x.Describe(names.Put(fmt.Sprint(k)), Product{Title: title})
	}
	x.Weigh()
	return x, names
}

func TestContent(t *testing.T) {
	best := func(seed string, titles ...string) string {
		x, names := catalogueOf(titles...)
		var s Scratch
		s.Scores.Reset(names.Len())
		x.Score(&Context{Session: names.FindAll(nil, []string{seed})}, &s)
		top := s.Scores.Top(nil, 1, names, nil)
		if len(top) == 0 {
			return ""
		}
		return names.ID(top[0].Item)
	}
	f := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	// Words in common, rare ones above common ones.
	f(best("0", "blue canvas tent", "blue mug", "large tent of canvas", "blue cup"), "2")
	// Chinese titles have no spaces.
	f(best("0", "红色连衣裙夏季", "黑色皮鞋", "夏季连衣裙", "红色皮鞋"), "2")
	// Nothing in common, nothing to say.
	f(best("0", "tent", "mug"), "")
	// A category is its levels, a price its band.
	names := NewNames(0)
	x := NewContent(names)
	a, b, c := names.Put("a"), names.Put("b"), names.Put("c")
	x.Describe(a, Product{Category: "home/kitchen/cups", Brand: "Ohm", Price: 10})
	x.Describe(b, Product{Category: "Home > Kitchen > Pans", Brand: "ohm", Price: 11})
	x.Describe(c, Product{Category: "home/garden", Price: 900})
	if ab, ac := x.Similarity(a, b), x.Similarity(a, c); ab <= ac || ac <= 0 {
		t.Errorf("likeness %g to the other in the kitchen, %g to the garden", ab, ac)
	}
	// A new description takes the place of the old one; what is forgotten is silent.
	x.Describe(b, Product{Title: "book"})
	if x.Similarity(a, b) != 0 || x.Len() != 3 {
		t.Errorf("the old description speaks on")
	}
	x.Forget(c)
	x.Describe(b, Product{})
	if x.Len() != 1 || len(scoresOf(x, names, &Context{Session: []Num{a}})) != 0 {
		t.Errorf("%d items are left", x.Len())
	}
}

// TestContentScoreIsCosine compares the scores of one seed with the cosines.
func TestContentScoreIsCosine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		titles := rapid.SliceOfN(rapid.StringMatching(`([a-e]{1,2} ){1,6}`), 2, 12).Draw(t, "titles")
		x, names := catalogueOf(titles...)
		want := make(map[string]float64)
		for i := 1; i < len(titles); i++ {
			if c := x.Similarity(0, Num(i)); c > 0 {
				want[names.ID(Num(i))] = c
			}
		}
		if diff := sameScores(scoresOf(x, names, &Context{Session: []Num{0}}), want); diff != "" {
			t.Fatal(diff)
		}
	})
}

// TestDiversifyAgainstNaive picks by the definition.
func TestDiversifyAgainstNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var list []Ranked
		for i := range rapid.IntRange(0, 8).Draw(t, "n") {
			list = append(list, Ranked{Num(i), rapid.Float64Range(0.1, 1).Draw(t, "score")})
		}
		NewNames(0).sort(list)
		alike := func(a, b Num) float64 { return math.Abs(math.Sin(float64(a+b*b) + float64(b+a*a))) }
		lambda, n := rapid.Float64Range(0, 0.99).Draw(t, "lambda"), rapid.IntRange(0, 9).Draw(t, "k")
		var want []Ranked
		for len(want) < min(n, len(list)) {
			var best Ranked
			value := math.Inf(-1)
			for _, r := range list {
				if slices.Contains(want, r) {
					continue
				}
				likest := 0.0
				for _, w := range want {
					likest = max(likest, alike(r.Item, w.Item))
				}
				if v := lambda*r.Score/list[0].Score - (1-lambda)*likest; v > value {
					best, value = r, v
				}
			}
			want = append(want, best)
		}
		if got := Diversify(list, n, lambda, alike); !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

// TestBlendLearns gives it one voice that is always right and one that is always wrong.
func TestBlendLearns(t *testing.T) {
	names := NewNames(0)
	for i := range 20 {
		names.Put(fmt.Sprint(i))
	}
	run := func() *Blend {
		b := NewBlend(2, BlendOptions{})
		var s BlendScratch
		for k := range 200 {
			right, wrong := Num(k%10), Num(10+k%10)
			lists := [][]Ranked{{{wrong, 9}, {right, 1}}, {{right, 0.3}, {wrong, 0.1}}}
			if !b.Learn("cart", lists, names, right, &s) {
				t.Fatal("nothing learned")
			}
		}
		return b
	}
	b := run()
	var s BlendScratch
	lists := [][]Ranked{{{3, 9}, {4, 8}}, {{4, 0.3}, {3, 0.1}}}
	if got := b.Rank(nil, "cart", lists, names, 1, &s); len(got) != 1 || got[0].Item != 4 || got[0].Score < 0.9 {
		t.Errorf("after learning: %v", got)
	}
	// A placement that learned nothing keeps the prior: both voices say the same.
	if got := b.Rank(nil, "win-back", lists, names, 2, &s); math.Abs(got[0].Score-got[1].Score) > 0.3 {
		t.Errorf("a placement without examples: %v", got)
	}
	if b.Examples("cart") != 200 || b.Examples("win-back") != 0 {
		t.Errorf("%d examples", b.Examples("cart"))
	}
	if !slices.Equal(b.Weights("cart"), run().Weights("cart")) {
		t.Error("the same examples give other weights")
	}
	// What no voice named teaches nothing.
	if b.Learn("cart", lists, names, 19, &s) || b.Learn("cart", nil, names, 1, &s) {
		t.Error("learned from nothing")
	}
	full := NewBlend(2, BlendOptions{Placements: 1})
	if !full.Learn("a", lists, names, 3, &s) || full.Learn("b", lists, names, 3, &s) {
		t.Error("the bound of placements does not hold")
	}
}

// TestBlendGradient compares a step with the numeric gradient of the log-probability.
func TestBlendGradient(t *testing.T) {
	names := NewNames(0)
	for i := range 6 {
		names.Put(fmt.Sprint(i))
	}
	lists := [][]Ranked{{{0, 3}, {1, 2}, {2, 1}}, {{2, 5}, {3, 4}, {0, 1}}}
	var s BlendScratch
	b := NewBlend(2, BlendOptions{Pull: 1e-300})
	h := b.fresh()
	logp := func() float64 {
		b.gather(lists, names.Len(), &s)
		b.weigh(h, &s)
		softmax(s.value)
		return math.Log(s.value[int(s.slots.Of(2))-1])
	}
	var want []float64
	for j := range h.weight {
		const d = 1e-6
		h.weight[j] += d
		up := logp()
		h.weight[j] -= 2 * d
		want = append(want, (up-logp())/(2*d))
		h.weight[j] += d
	}
	b.heads["x"] = h
	b.Learn("x", lists, names, 2, &s)
	for j, g := range s.mean {
		if math.Abs(g-want[j]) > 1e-6 {
			t.Errorf("gradient %d: got %g, want %g", j, g, want[j])
		}
	}
}

// shopOf is a hybrid with a little of everything: tents go with pegs, mugs are popular.
func shopOf(t *testing.T) *Hybrid {
	t.Helper()
	h := NewHybrid(HybridOptions{PopularFor: -1})
	for _, p := range []struct {
		id string
		Product
	}{
		{"tent", Product{Title: "Canvas tent", Category: "camp", Brand: "Alp", Price: 200, Margin: 0.3}},
		{"peg", Product{Title: "Steel peg", Category: "camp", Brand: "Alp", Price: 5, Margin: 0.5}},
		{"mug", Product{Title: "Mug", Category: "home", Brand: "Ohm", Price: 8, Margin: 0.6}},
		{"pan", Product{Title: "Pan", Category: "home", Brand: "Ohm", Price: 30, Margin: 0.2, NoStock: true}},
		{"new", Product{Title: "Canvas tent for two", Category: "camp", Brand: "Bee", Price: 210, Margin: 0.3}},
	} {
		h.Describe(p.id, p.Product)
	}
	visit := func(n int, items ...string) {
		for k, i := range items {
			key := fmt.Sprint("v", n)
			if !h.Observe(Action{Person: fmt.Sprint("p", n), Session: key, Item: i, How: Viewed, Time: int64(n*1000 + k)}) {
				t.Fatalf("click %d of %s is refused", k, key)
			}
		}
	}
	for n := range 10 {
		visit(n, "tent", "peg")
	}
	for n := range 20 {
		visit(100+n, "mug", "pan")
	}
	if err := h.Fit(); err != nil {
		t.Fatal(err)
	}
	return h
}

func items(list []Suggestion) string {
	var out []string
	for _, s := range list {
		out = append(out, s.Item)
	}
	return strings.Join(out, " ")
}

func TestHybridRecommend(t *testing.T) {
	h := shopOf(t)
	f := func(r Request, want string) {
		t.Helper()
		r.Now = 200_000
		if got := items(h.Recommend(r)); got != want {
			t.Errorf("%+v: got %q, want %q", r, got, want)
		}
	}
	session := func(x Exclude) Request { return Request{Session: []string{"peg", "tent"}, Exclude: x, Limit: 2} }
	f(session(ExcludeNone), "peg tent")
	f(session(ExcludeLast), "peg mug")
	f(session(ExcludeSession), "mug new") // which is like the tent
	bought := session(ExcludePurchased)
	bought.Purchased = []string{"tent"}
	f(bought, "peg mug")
	// A person of whom nothing is known sees what is popular.
	f(Request{Limit: 2, Exclude: ExcludeNone}, "mug pan")
	// The rules of the shop.
	f(Request{Limit: 9, Exclude: ExcludeNone, Rules: Rules{InStock: true}}, "mug peg tent")
	f(Request{Limit: 9, Exclude: ExcludeNone, Rules: Rules{PerBrand: 1}}, "mug peg")
	f(Request{Limit: 9, Exclude: ExcludeNone, Rules: Rules{PerCategory: 1, InStock: true}}, "mug peg")
	f(Request{Limit: 9, Exclude: ExcludeNone, Rules: Rules{PriceMin: 6, PriceMax: 50}}, "mug pan")
	f(Request{Limit: 9, Exclude: ExcludeNone, Rules: Rules{MarginMin: 0.5}}, "mug peg")
	f(Request{Limit: 9, Exclude: ExcludeNone, Rules: Rules{Allow: func(id string) bool { return id == "peg" }}}, "peg")
	f(Request{Limit: 9, Exclude: ExcludeNone, Hide: []string{"mug", "pan"}}, "peg tent")
	// An item that nobody touched yet is found by its text.
	if got := items(h.Recommend(Request{Session: []string{"tent"}, Exclude: ExcludeSession, Now: 200_000})); !strings.Contains(got, "new") {
		t.Errorf("the new tent is not found: %s", got)
	}
	// Unknown ids are no seeds and do no harm.
	f(Request{Session: []string{"", "no such item"}, Limit: 1, Exclude: ExcludeNone}, "mug")
}

func TestHybridWhy(t *testing.T) {
	h := shopOf(t)
	why := make(map[string]string)
	for _, s := range h.Recommend(Request{Session: []string{"tent"}, Exclude: ExcludeSession, Explain: true, Now: 200_000}) {
		why[s.Item] = s.Why
	}
	f := func(item, want string) {
		t.Helper()
		if why[item] != want {
			t.Errorf("%s: got %q, want %q", item, why[item], want)
		}
	}
	f("peg", "looked at together with Canvas tent in 10 visits")
	f("new", "similar to Canvas tent")
	f("mug", "popular by 20 people")
}

func TestHybridErase(t *testing.T) {
	h := shopOf(t)
	tent, peg := h.names.Find("tent"), h.names.Find("peg")
	before := h.cf.Shared(tent, peg, 0)
	if n := h.Erase("p3"); n != 3 {
		t.Errorf("erased %d, want a visit and two choices", n)
	}
	if n := h.Erase("p3"); n != 0 {
		t.Errorf("erased %d twice", n)
	}
	if after := h.cf.Shared(tent, peg, 0); math.Abs(after-before*0.9) > 1e-6*before {
		t.Errorf("shared %g before, %g after", before, after)
	}
	if h.gram.Shared(tent, peg) != 9 || h.sessions.Len() != 29 {
		t.Errorf("%g people and %d visits are left", h.gram.Shared(tent, peg), h.sessions.Len())
	}
}

// TestHybridRepeats makes sure that a repeated event changes nothing.
func TestHybridRepeats(t *testing.T) {
	h := shopOf(t)
	a := Action{Person: "p1", Session: "v1", Item: "tent", Time: 1000}
	if h.Observe(a) {
		t.Error("a known click counts again")
	}
	if h.Observe(Action{Session: "x"}) {
		t.Error("a click on nothing counts")
	}
	if got := h.popular.Count(h.names.Find("tent"), 0); math.Abs(got-10) > 0.1 {
		t.Errorf("popularity %g, want 10", got)
	}
}

// TestHybridConcurrent asks while others add; the race detector looks on.
func TestHybridConcurrent(t *testing.T) {
	h := shopOf(t)
	var wg sync.WaitGroup
	for w := range 3 {
		wg.Go(func() {
			for k := range 100 {
				switch w {
				case 0:
					h.Observe(Action{Session: fmt.Sprint("w", k/3), Item: fmt.Sprint("i", k%40), Time: int64(k)})
				case 1:
					h.Learn(Request{Placement: "cart", Session: []string{"tent"}, Exclude: ExcludeSession}, "peg")
				default:
					if got := h.Recommend(Request{Session: []string{"tent"}, Explain: k%2 == 0, Diversity: 0.7}); len(got) == 0 {
						t.Error("no answer")
					}
				}
			}
		})
	}
	wg.Wait()
	if h.Blend().Examples("cart") != 100 {
		t.Errorf("learned %d times", h.Blend().Examples("cart"))
	}
}

func TestReasonText(t *testing.T) {
	f := func(r Reason, want string) {
		t.Helper()
		if got := r.Text(func(Num) string { return "X" }); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	f(Reason{VoiceCosine, 1, 312}, "chosen together with X by 312 people")
	f(Reason{VoiceCosine, 1, 1}, "chosen together with X by 1 person")
	f(Reason{VoiceCosine, 1, 0.2}, "chosen together with X")
	f(Reason{VoiceSR, 1, 1.2}, "looked at soon after X once")
	f(Reason{VoiceContent, 1, 0}, "similar to X")
	f(Reason{VoiceRepeat, None, 4}, "chosen before 4 times")
	f(Reason{"other", None, 4}, "other")
}

func TestNamesBound(t *testing.T) {
	n := NewNames(2)
	if n.Put("a") != 0 || n.Put("b") != 1 || n.Put("c") != None || n.Put("") != None || n.Put("a") != 0 || n.Len() != 2 {
		t.Error("the bound does not hold")
	}
	if n.ID(None) != "" || n.ID(2) != "" || n.Find("c") != None {
		t.Error("an item that has no number has a name")
	}
}
