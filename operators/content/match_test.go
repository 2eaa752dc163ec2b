package content

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"millrace/operators/event"
	"millrace/operators/lstm"
)

func TestDivergence(t *testing.T) {
	f := func(p, q []float64, want float64) {
		t.Helper()
		if got := Divergence(p, q); math.Abs(got-want) > 1e-9 {
			t.Fatalf("%v from %v: %v, want %v", p, q, got, want)
		}
	}
	f([]float64{.5, .5}, []float64{.5, .5}, 0)
	f([]float64{1, 0}, []float64{.5, .5}, math.Ln2)
	// Cover and Thomas 2006, example 2.3.1, with r = 1/2 and s = 1/4, in nats.
	f([]float64{.5, .5}, []float64{.75, .25}, 0.5*math.Log(0.5/0.75)+0.5*math.Log(2))
	f([]float64{.75, .25}, []float64{.5, .5}, 0.75*math.Log(1.5)+0.25*math.Log(0.5))
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) []float64 {
			w := rapid.SliceOfN(rapid.Float64Range(1e-6, 1), 5, 5).Draw(t, name)
			var sum float64
			for _, x := range w {
				sum += x
			}
			for i := range w {
				w[i] /= sum
			}
			return w
		}
		if d := Divergence(draw("p"), draw("q")); d < 0 || math.IsNaN(d) {
			t.Fatalf("divergence %v", d)
		}
	})
}

func TestTopics(t *testing.T) {
	m, err := newMatcher()
	if err != nil {
		t.Fatal(err)
	}
	f := func(line, item, want string, share float64) {
		t.Helper()
		q := m.topics(line, item)
		var sum float64
		for _, x := range q {
			sum += x
		}
		at := slices.Index(Topics(), want)
		if math.Abs(sum-1) > 1e-9 || math.Abs(q[at]-share) > 1e-9 {
			t.Fatalf("%q: %v, want %v of %s", line, q, share, want)
		}
	}
	f("Your kitchen finds are back in stock", "", "Kitchen", 1.1/2)
	f("Your kitchen finds: {product}", "Kitchen", "Kitchen", 2.1/3)
	f("{product} is back", "Camping > Tents", "Outdoor", 1.1/2)
	f("{product} is back", "Bicycle parts", "other", 1.1/2)
	f("It's back", "Kitchen", "Kitchen", 0.1)
	f("你的厨房好物", "", "Kitchen", 1.1/2)
	p := InterestTopics([]Interest{{"kitchen", 3}, {"Home > Kitchen", 1}, {"Bells", 4}, {"Toys", 0}, {"Toys", -1}, {"Toys", math.NaN()}})
	if at := slices.Index(Topics(), "Kitchen"); math.Abs(p[at]-0.51/1.1) > 1e-9 || math.Abs(p[len(p)-1]-0.51/1.1) > 1e-9 {
		t.Fatalf("%v", p)
	}
	for _, none := range [][]Interest{nil, {{"Toys", 0}}, {{"Toys", math.Inf(1)}}} {
		if InterestTopics(none) != nil {
			t.Errorf("%v are interests", none)
		}
	}
}

func TestNovelty(t *testing.T) {
	f := func(subject string, want float64, seen ...string) {
		t.Helper()
		if got := novelty(subject, seen); math.Abs(got-want) > 1e-9 {
			t.Fatalf("%q: %v, want %v", subject, got, want)
		}
	}
	f("Your cart is still here", 1)
	f("Your cart is still here", 0, "x", "Your CART is still here!")
	f("Your cart waits", 1-2./4, "Your cart, saved")
	f("厨具到货了", 1-3./6, "玩具到货")
	f("cart", 0, append([]string{"cart"}, make([]string, 19)...)...)
	f("cart", 1, append([]string{"cart"}, make([]string, 20)...)...) // too long ago
}

func TestJudge(t *testing.T) {
	m, err := newMatcher()
	if err != nil {
		t.Fatal(err)
	}
	p := func(line string, likely float64, why string) proposal {
		return proposal{written{line, line}, likely, why}
	}
	f := func(tk task, want string, all ...proposal) []Candidate {
		t.Helper()
		i, list := m.judge(all, tk)
		if got := ""; i >= 0 {
			if got = all[i].line; got != want {
				t.Fatalf("chose %q, want %q: %+v", got, want, list)
			}
		} else if want != "" {
			t.Fatalf("chose nothing, want %q: %+v", want, list)
		}
		return list
	}
	toys := task{interests: InterestTopics([]Interest{{"Toys", 1}})}
	kitchen, toy, plain := p("Your kitchen cart", -.1, ""), p("Your toys are in your cart", -.3, ""), p("Your cart is here", -.2, "")
	f(task{}, kitchen.line, kitchen, toy, plain) // nothing to choose by: the first one drawn
	f(toys, toy.line, kitchen, plain, toy)
	// Said before: then rather something general, and of two that were said the better one.
	seen := toys
	seen.seen = []string{toy.line}
	f(seen, plain.line, kitchen, plain, toy)
	seen.seen = []string{toy.line, kitchen.line}
	f(seen, toy.line, kitchen, toy)
	// What was refused is never chosen, nor what the network doubts while it has better.
	list := f(toys, plain.line, p(toy.line, -.1, "banned"), p("More toys in your cart", -2, ""), plain)
	if list[0].Why != "banned" || list[1].Why != whyUnlikely || !list[2].Chosen || list[2].Why != "" {
		t.Errorf("%+v", list)
	}
	f(toys, "More toys in your cart", p("More toys in your cart", -2, ""))
	f(toys, "", p(toy.line, 0, "banned"))
	// A decision keeps the chosen one among few.
	var many []proposal
	for i := range 20 {
		many = append(many, p(fmt.Sprint("Your cart ", i), -.1, "banned"))
	}
	_, long := m.judge(append(many, toy), toys)
	if kept := keep(long, candidatesMost); len(kept) != candidatesMost || !kept[candidatesMost-1].Chosen || kept[candidatesMost-1].Subject != toy.line {
		t.Errorf("%+v", kept)
	}
}

// TestChoose: what is kept of a decision is bounded, holds the subject that was sent,
// and repeats.
func TestChoose(t *testing.T) {
	w := writer(t, Options{})
	var seen []string
	for i := range fewer(40) {
		r := request()
		r.DecisionID, r.Kind, r.Seen = fmt.Sprint("m", i), "win-back", seen
		r.Items, r.Language = nil, []string{"en", "zh"}[i%2]
		r.Interests = []Interest{{"Garden", 2}, {"Toys", 1}}
		d, list, err := w.Choose(t.Context(), r)
		if err != nil || d.Fallback || d.Model != w.Version() {
			t.Fatalf("%v, %+v", err, d.Why)
		}
		if len(list) < 2 || len(list) > candidatesMost {
			t.Errorf("%d candidates", len(list))
		}
		chosen := 0
		for _, c := range list {
			if c.Chosen {
				chosen++
				if c.Subject != d.Subject || c.Why != "" {
					t.Errorf("%+v was sent as %q", c, d.Subject)
				}
			}
		}
		if chosen != 1 {
			t.Errorf("%d chosen", chosen)
		}
		if text, err := json.Marshal(list); err != nil || len(text) > 4<<10 {
			t.Errorf("%d bytes, %v", len(text), err)
		}
		if slices.Contains(seen, d.Subject) {
			t.Errorf("%q again", d.Subject)
		}
		seen = append(seen, d.Subject)
		if len(seen) > 10 {
			seen = seen[1:]
		}
		again, list2, err := w.Choose(t.Context(), r)
		if err != nil || again != d || !slices.Equal(list, list2) {
			t.Fatalf("the same decision got %q and %q", d.Subject, again.Subject)
		}
	}
}

// TestLastOne: nothing is called the last one unless the shop's stock says so; then it
// is, at times.
func TestLastOne(t *testing.T) {
	w := writer(t, Options{})
	k, err := readClaims()
	if err != nil {
		t.Fatal(err)
	}
	said := 0
	for i := range drawn(400) {
		r := request()
		r.DecisionID = fmt.Sprint("l", i)
		r.Kind, r.Language = Kinds()[i%6], languages()[i/6%2]
		r.Stock = i % 4
		subject := write(t, w, r).Subject
		if k["last"].find(subject) == "" {
			continue
		}
		if said++; r.Stock != 1 {
			t.Errorf("%q with a stock of %d", subject, r.Stock)
		}
	}
	if said == 0 && !raced {
		t.Error("the last one was never called so")
	}
}

func TestRequiredWords(t *testing.T) {
	w := writer(t, Options{})
	f := func(kind, lang string, words ...string) {
		t.Helper()
		right := 0
		for i := range fewer(10) {
			r := request()
			r.DecisionID, r.Kind, r.Language, r.Words = fmt.Sprint("w", i), kind, lang, words
			d := write(t, w, r)
			if d.Fallback {
				continue
			}
			for _, word := range words {
				if !strings.Contains(strings.ToLower(d.Subject), word) {
					t.Errorf("%q is without %q", d.Subject, word)
				}
			}
			right++
		}
		if n := fewer(10); right < n*8/10 {
			t.Errorf("%s %v: %d of %d were written", kind, words, right, n)
		}
	}
	f("cart", "en", "saved")
	f("price-drop", "en", "lower price")
	f("win-back", "zh", "回来")
	g := func(why string, words ...string) {
		t.Helper()
		r := request()
		r.Words = words
		if d := write(t, w, r); !d.Fallback || d.Why != why {
			t.Errorf("%v: %q, %q, want %q", words, d.Subject, d.Why, why)
		}
	}
	g("required word is not in the vocabulary", "xylophone")
	g("required word is banned", "free")
}

// TestUnfinished: no line ends where none of the corpus does.
func TestUnfinished(t *testing.T) {
	file, err := ShippedModel()
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSubjects(file)
	if err != nil {
		t.Fatal(err)
	}
	f := func(lang, line string, finished, attested bool) {
		t.Helper()
		ids, err := s.vocab.encode(Line{Language: lang, Text: line})
		if err != nil {
			t.Fatal(err)
		}
		ids = ids[1 : len(ids)-1]
		if got := s.vocab.finished(ids); got != finished {
			t.Errorf("%q finished: %v", line, got)
		}
		if got := s.vocab.attests(&place{kind: "cart", category: anyCategory, tags: anyCategory}, ids); got != attested {
			t.Errorf("%q attested: %v", line, got)
		}
	}
	f("en", "Your cart is still here, {first_name}", true, true)
	f("en", "Your cart is still here,", false, false)
	f("en", "We saved your", false, false)
	f("en", "Still cooking favourites since your last visit", true, false)
	f("zh", "购物车里的玩具想出来玩", true, true)
	f("zh", "购物车里的", false, false)
	// A model that says nothing of ends, and one that says nonsense.
	m, err := lstm.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	m.SetMeta(metaFinals, "")
	if v, err := readVocabulary(m); err != nil || !v.finished(nil) {
		t.Errorf("a model without a list of ends: %v", err)
	}
	for _, bad := range []string{"{", "[1]", "[99999]", "[-1]"} {
		m.SetMeta(metaFinals, bad)
		if _, err := readVocabulary(m); err == nil {
			t.Errorf("ends %s were accepted", bad)
		}
	}
}

func BenchmarkChoose(b *testing.B) {
	w := writer(b, Options{})
	r := request()
	r.Interests = []Interest{{"Garden", 2}, {"Kitchen", 1}}
	r.Seen = []string{"Your cart is still here", "Cast Iron Pan is still in your cart"}
	r.Items = []event.CartItem{r.Items[0]}
	t := w.task(r)
	s := w.model.Load()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		t.seed = fmt.Sprint(i)
		all, _ := s.propose(b.Context(), t, w.options.SubjectWait)
		w.matcher.judge(all, t)
	}
}
