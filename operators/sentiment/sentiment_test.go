package sentiment

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// corpus makes n reviews of a small grammar, in English or Chinese. What decides is one
// word, in every sixth text turned by a negation.
func corpus(n int, seed uint64, zh bool) []Example {
	good, bad := strings.Fields("great lovely fresh quick friendly"), strings.Fields("awful stale slow rude broken")
	filler := strings.Fields("the food service room phone was here and we came at night for my order it")
	not, glue := "not", " "
	if zh {
		good, bad = strings.Fields("好吃 很快 满意 新鲜 热情"), strings.Fields("难吃 很慢 失望 破损 冷淡")
		filler, not, glue = strings.Fields("送餐 味道 服务 今天 的 我们 点了 包装 老板 米饭"), "不", ""
	}
	r := rand.New(rand.NewPCG(seed, 1))
	out := make([]Example, n)
	for i := range out {
		positive := r.IntN(2) == 1
		turned := i%6 == 0
		words := bad
		if positive != turned {
			words = good
		}
		var text []string
		for range 3 + r.IntN(6) {
			text = append(text, filler[r.IntN(len(filler))])
		}
		if turned {
			text = append(text, not)
		}
		text = append(text, words[r.IntN(len(words))])
		out[i] = Example{Doc: NewDoc(strings.Join(text, glue)), Positive: positive}
	}
	return out
}

func trained(t testing.TB, k Kind, examples []Example) *Model {
	t.Helper()
	m, err := Train(t.Context(), examples, Options{Kind: k, Seed: 3, Network: NetworkOptions{Epochs: 15, Hidden: 12, Embed: 8}})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func accuracy(m *Model, examples []Example) float64 {
	right := 0
	for _, e := range examples {
		if (m.Probability(e.Doc) > 0.5) == e.Positive {
			right++
		}
	}
	return float64(right) / float64(len(examples))
}

// TestModels trains each kind on a grammar whose negation only features of more than one
// word can see, in both languages, and judges it on texts of another seed.
func TestModels(t *testing.T) {
	f := func(k Kind, zh bool, least float64) {
		t.Helper()
		n := 600
		if k == LSTM { // with so few it knows the training set by heart and no more
			n = 1600
		}
		m := trained(t, k, corpus(n, 1, zh))
		if got := accuracy(m, corpus(400, 2, zh)); got < least {
			t.Errorf("%s, Chinese %v: accuracy %.3f, want %.3f", k, zh, got, least)
		}
		if c := m.Card(); c.Kind != k || c.Examples != n || c.Positive < 2*n/5 || c.Positive > 3*n/5 {
			t.Errorf("%s: card %+v", k, c)
		}
	}
	for _, zh := range []bool{false, true} {
		f(Bayes, zh, 0.90)
		f(Logistic, zh, 0.98)
		f(Ensemble, zh, 0.98)
	}
	f(LSTM, false, 0.95)
	f(Full, true, 0.98)
}

// TestModelsAgainstChance makes sure that the test above can fail: labels at random
// cannot be learnt, and a calibrated model knows it.
func TestModelsAgainstChance(t *testing.T) {
	examples := corpus(400, 1, false)
	r := rand.New(rand.NewPCG(5, 5))
	for i := range examples {
		examples[i].Positive = r.IntN(2) == 1
	}
	fresh := corpus(300, 2, false)
	for _, k := range []Kind{Bayes, Logistic, Ensemble} {
		m := trained(t, k, examples)
		if got := accuracy(m, fresh); got > 0.65 {
			t.Errorf("%s: accuracy %.3f without anything to learn", k, got)
		}
		for _, e := range fresh {
			if p := m.Probability(e.Doc); p < 0.2 || p > 0.8 {
				t.Fatalf("%s is %.2f sure of %q", k, p, e.Doc.Text())
			}
		}
	}
}

func TestTrainRepeats(t *testing.T) {
	file := func(seed uint64) string {
		m, err := Train(t.Context(), corpus(200, 1, true), Options{Kind: Full, Seed: seed, Network: NetworkOptions{Epochs: 2, Hidden: 8, Embed: 4}})
		if err != nil {
			t.Fatal(err)
		}
		b, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	want := file(1)
	if file(1) != want {
		t.Error("the same seed gave another model")
	}
	if file(2) == want {
		t.Error("another seed gave the same model")
	}
}

func TestTrainRefuses(t *testing.T) {
	f := func(examples []Example, o Options) {
		t.Helper()
		if _, err := Train(t.Context(), examples, o); err == nil {
			t.Errorf("%d examples and %+v were accepted", len(examples), o)
		}
	}
	examples := corpus(50, 1, false)
	// Nothing, one class only, an unknown kind, one fold.
	f(nil, Options{})
	f(slices.DeleteFunc(slices.Clone(examples), func(e Example) bool { return e.Positive }), Options{})
	f(examples, Options{Kind: "oracle"})
	f(examples, Options{Folds: 1})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Train(ctx, examples, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a stopped training ended with %v", err)
	}
}

// TestTexts asks every model about texts that nobody would write.
func TestTexts(t *testing.T) {
	m := trained(t, Full, append(corpus(60, 1, false), corpus(60, 1, true)...))
	f := func(text string) {
		t.Helper()
		if p := m.Probability(NewDoc(text)); !(p > 0 && p < 1) {
			t.Errorf("probability %v of %.20q", p, text)
		}
	}
	f("")
	f(" \n\t")
	f("!!!")
	f("好")
	f("\xff\xfe\x00")
	f(strings.Repeat("great ", 10_000))
	f(strings.Repeat("好", 10_000))
	f("zyzzyva quux")
	f("👍👍🏽")
}

// TestLearn tells the model of a word that it has never met.
func TestLearn(t *testing.T) {
	for _, k := range []Kind{Bayes, Logistic, Ensemble} {
		m := trained(t, k, corpus(300, 1, false))
		probe := NewDoc("the phone was scrumptious")
		before := m.Probability(probe)
		old := corpus(10, 11, false)
		for i := range 10 {
			m.Learn(Example{Doc: NewDoc(fmt.Sprintf("we came at night number %d and the room was scrumptious", i)), Positive: true})
			m.Learn(old[i])
		}
		if after := m.Probability(probe); after < before+0.1 {
			t.Errorf("%s: probability %.3f before and %.3f after 20 labels", k, before, after)
		}
		if got := accuracy(m, corpus(200, 2, false)); got < 0.93 {
			t.Errorf("%s: accuracy %.3f after learning one more word", k, got)
		}
		if m.Card().Learned != 20 {
			t.Errorf("%s: card counts %d labels", k, m.Card().Learned)
		}
	}
}

// TestBayesLearnsAsItTrains asks that naive Bayes, one label after another, becomes what
// training makes of all of them at once.
func TestBayesLearnsAsItTrains(t *testing.T) {
	examples := corpus(100, 4, true)
	a, b := newBayes(tableLeast), newBayes(tableLeast)
	for i := range examples {
		a.learn(examples[i].Doc, examples[i].Positive)
		e := examples[len(examples)-1-i]
		b.learn(e.Doc, e.Positive)
	}
	if !slices.Equal(a.counts, b.counts) || a.sums != b.sums || a.kinds != b.kinds || a.texts != b.texts {
		t.Error("another order gave another model")
	}
}

func TestUncertain(t *testing.T) {
	m := trained(t, Ensemble, corpus(400, 1, false))
	docs := []*Doc{NewDoc("great lovely fresh"), NewDoc("the great stale room"), NewDoc("awful rude slow"), NewDoc("The  great stale ROOM"), NewDoc("my order")}
	got := m.Uncertain(docs, 2)
	if len(got) != 2 || !slices.Contains(got, 1) || !slices.Contains(got, 4) {
		t.Errorf("least certain are %v, want 1 and 4", got)
	}
	// A copy is named once, and no more are named than there are.
	if got := m.Uncertain(docs, 99); len(got) != 4 || slices.Contains(got, 3) {
		t.Errorf("of five texts, two of them the same, %v", got)
	}
	if got := m.Uncertain(docs, -1); len(got) != 0 {
		t.Errorf("of none %v", got)
	}
	margins := make([]float64, 0, 4)
	for _, i := range m.Uncertain(docs, 4) {
		margins = append(margins, math.Abs(m.Logit(docs[i])))
	}
	if !slices.IsSorted(margins) {
		t.Errorf("margins %v are not ascending", margins)
	}
}

// TestActiveLearning asks what the choice is good for: labels of the least certain texts
// must teach more than labels at random.
func TestActiveLearning(t *testing.T) {
	pool, test := corpus(600, 7, false), corpus(400, 8, false)
	docs := make([]*Doc, len(pool))
	for i, e := range pool {
		docs[i] = e.Doc
	}
	first := pool[:20]
	chosen := slices.Clone(first)
	for _, i := range trained(t, Ensemble, first).Uncertain(docs, 40) {
		chosen = append(chosen, pool[i])
	}
	active, random := accuracy(trained(t, Ensemble, chosen), test), accuracy(trained(t, Ensemble, pool[:60]), test)
	t.Logf("60 labels: %.3f chosen, %.3f at random", active, random)
	if active < random-0.02 {
		t.Errorf("chosen labels reach %.3f, labels at random %.3f", active, random)
	}
}

func TestDeal(t *testing.T) {
	examples := corpus(300, 3, false)
	copies := map[string]int{}
	for i := range 60 { // copies that differ in blanks and capitals
		examples = append(examples, Example{Doc: NewDoc("  " + strings.ToUpper(examples[i].Doc.Text())), Positive: examples[i].Positive})
	}
	fold, err := Deal(examples, 5, 1)
	if err != nil {
		t.Fatal(err)
	}
	var sizes [5][2]int
	for i, e := range examples {
		sizes[fold[i]][class(e.Positive)]++
		if at, known := copies[e.Doc.Key()]; known && at != fold[i] {
			t.Errorf("copies of %q in folds %d and %d", e.Doc.Text(), at, fold[i])
		}
		copies[e.Doc.Key()] = fold[i]
	}
	for k := range 2 {
		least, most := sizes[0][k], sizes[0][k]
		for _, s := range sizes {
			least, most = min(least, s[k]), max(most, s[k])
		}
		if most-least > 4 {
			t.Errorf("class %d: folds of %d to %d", k, least, most)
		}
	}
	again, _ := Deal(examples, 5, 1)
	other, _ := Deal(examples, 5, 2)
	if !slices.Equal(fold, again) || slices.Equal(fold, other) {
		t.Error("folds do not depend on the seed alone")
	}
	for _, k := range []int{-1, 0, 1, 361} {
		if _, err := Deal(examples, k, 1); err == nil {
			t.Errorf("%d folds were accepted", k)
		}
	}
}

func BenchmarkProbability(b *testing.B) {
	d := NewDoc("送餐很快，味道也好，就是包装差了一点，下次还会再点的。")
	for _, k := range []Kind{Bayes, Logistic, Ensemble, LSTM} {
		m, err := Train(b.Context(), corpus(200, 1, true), Options{Kind: k})
		if err != nil {
			b.Fatal(err)
		}
		b.Run(string(k), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m.Probability(d)
			}
		})
	}
}

func BenchmarkNewDoc(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		NewDoc("The phone was not what I had hoped for, and the service didn't help; never again!")
	}
}
