package content

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"millrace/operators/event"
	"millrace/operators/lstm"
)

func writer(t testing.TB, o Options) *Writer {
	t.Helper()
	if o.SubjectWait == 0 {
		o.SubjectWait = time.Hour // other tests may take the processor; the deadline has a test of its own
	}
	w, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func request() Request {
	return Request{
		DecisionID: "d1", Kind: "cart", Language: "en-GB", FirstName: "Ada", Value: 7480, Currency: "GBP",
		Items: []event.CartItem{
			{ID: "p1", Name: "Cast Iron Pan", Category: "Kitchen > Pans", URL: "https://shop.example/p1", Price: 4990, Quantity: 1},
			{ID: "p2", Name: "Linen Tea Towel", Category: "Kitchen", URL: "https://shop.example/p2", Price: 1245, Quantity: 2},
		},
		Recommended: []event.CartItem{
			{ID: "r1", Name: "Oak Chopping Board", Category: "Kitchen", Price: 3200, Quantity: 1},
			{ID: "r2", Name: "Herb Garden Kit", Category: "Garden", Price: 1890, Quantity: 1},
			{ID: "r3", Name: "Bread & Butter: a cookbook", Category: "Books", Price: 2450, Quantity: 1},
		},
		ShopName: "Millrace Goods", ShopURL: "https://shop.example/", UnsubscribeURL: "https://shop.example/u?t=abc&x=1",
	}
}

func write(t testing.TB, w *Writer, r Request) event.Draft {
	t.Helper()
	d, err := w.Write(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestWriteIsRepeatable(t *testing.T) {
	w, again := writer(t, Options{SubjectWait: time.Minute}), writer(t, Options{SubjectWait: time.Minute})
	seen := map[string]bool{}
	for i := range fewer(40) {
		r := request()
		r.DecisionID = fmt.Sprint("d", i)
		a, b := write(t, w, r), write(t, again, r)
		if a != b {
			t.Fatalf("the same decision got %q and %q", a.Subject, b.Subject)
		}
		if a.Fallback || a.Model != w.Version() || a.Why != "" {
			t.Fatalf("%+v", a.Why)
		}
		seen[a.Subject] = true
	}
	if n := fewer(40); len(seen) < n/4 {
		t.Errorf("%d decisions got only %d subjects", n, len(seen))
	}
}

// TestSubjects writes for all kinds and languages, and checks what is promised of each
// subject.
func TestSubjects(t *testing.T) {
	w := writer(t, Options{Banned: []string{"basket", "waiting", "等你"}})
	fallbacks, n := 0, 0
	for i := range drawn(400) {
		r := request()
		r.DecisionID = fmt.Sprint("s", i)
		r.Kind = Kinds()[i%10]
		r.Category = append(Categories(), "", "Bicycle parts")[i/10%11]
		r.Language = []string{"en", "zh-CN", "de-AT"}[i%3]
		d := write(t, w, r)
		n++
		if d.Fallback {
			fallbacks++
		}
		checkSubject(t, d.Subject, []string{"Ada", "Cast Iron Pan", FormatMoney(4990, "GBP", r.Language), "Bicycle parts"}, 60)
		for _, b := range []string{"basket", "waiting", "等你"} {
			if strings.Contains(strings.ToLower(d.Subject), b) {
				t.Errorf("%q holds %q", d.Subject, b)
			}
		}
	}
	if fallbacks > n/50 {
		t.Errorf("%d of %d are written subjects", fallbacks, n)
	}
}

// TestClaims: nobody is called new or an old friend who is not known to be.
func TestClaims(t *testing.T) {
	w := writer(t, Options{})
	k, err := readClaims()
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]int{}
	for i := range drawn(600) {
		r := request()
		r.DecisionID = fmt.Sprint("c", i)
		r.Kind = Kinds()[i%10]
		r.Language = languages()[i/10%2]
		r.Returning, r.New = i%3 == 1, i%3 == 2
		subject := write(t, w, r).Subject
		for _, tag := range []string{"new", "returning", "low"} {
			if k[tag].find(subject) == "" {
				continue
			}
			said[tag]++
			if tag == "new" && !r.New || tag == "returning" && !r.Returning || tag == "low" {
				t.Errorf("%q was said to %+v", subject, r)
			}
		}
	}
	if !raced && (said["new"] == 0 || said["returning"] == 0) {
		t.Errorf("those who are known are not told either: %v", said)
	}
	// The written subjects make no claims at all.
	fb, err := readFallback()
	if err != nil {
		t.Fatal(err)
	}
	none := k.without(banned{}, condition{})
	for where, lines := range fb {
		for _, line := range lines {
			if none.find(line) != "" {
				t.Errorf("%s: %q", where, line)
			}
		}
	}
}

// checkSubject takes the values out of a subject, once each; what is left must be
// plain words.
func checkSubject(t interface{ Errorf(string, ...any) }, subject string, values []string, limit int) {
	if n := utf8.RuneCountInString(subject); n > limit || n == 0 {
		t.Errorf("%q has %d runes, want 1 to %d", subject, n, limit)
	}
	rest := subject
	for _, v := range values {
		if v != "" {
			rest = strings.Replace(rest, v, "", 1)
		}
	}
	for _, r := range rest {
		if unicode.IsDigit(r) || unicode.Is(unicode.Sc, r) || unicode.IsControl(r) || strings.ContainsRune("{}<>", r) {
			t.Errorf("%q holds %q outside its slots", subject, r)
		}
	}
}

func TestFallbacks(t *testing.T) {
	w := writer(t, Options{})
	f := func(w *Writer, ctx context.Context, change func(*Request), why, subject string) {
		t.Helper()
		r := request()
		change(&r)
		d, err := w.Write(ctx, r)
		if err != nil {
			t.Fatal(err)
		}
		if !d.Fallback || d.Why != why || d.Subject != subject || d.Model != "" {
			t.Fatalf("got %q because %q (fallback %v, model %q), want %q because %q", d.Subject, d.Why, d.Fallback, d.Model, subject, why)
		}
		if d.HTML == "" || d.Text == "" {
			t.Fatal("no body")
		}
	}
	same := func(*Request) {}
	ctx := t.Context()
	late, cancel := context.WithDeadline(ctx, time.Unix(0, 0))
	defer cancel()
	// Out of time, and no model at all.
	f(w, late, same, WhyDeadline, "Ada, your cart is still here")
	f(writer(t, Options{NoModel: true}), ctx, same, WhyNoModel, "Ada, your cart is still here")
	// The model gets no time, but the caller has plenty.
	f(writer(t, Options{SubjectWait: 1}), ctx, same, WhyDeadline, "Ada, your cart is still here")
	// A kind the corpus does not know.
	f(w, ctx, func(r *Request) { r.Kind = "birthday" }, WhyKind, "Ada, a few picks for you")
	// Words for no line: everything the model could say is banned or too long.
	f(writer(t, Options{SubjectRunes: 7, Banned: []string{"hello"}}), ctx, func(r *Request) { r.Kind = "welcome"; r.FirstName = "" }, WhyNothing, "Welcome")
	// A required slot without a value.
	f(w, ctx, func(r *Request) { r.Require = []Slot{FirstName}; r.FirstName = "" }, "slot {first_name} has no value", "Your cart is still here")
	// In Chinese; and slots that cannot be filled pick a line without them.
	f(w, late, func(r *Request) { r.Language = "zh-CN"; r.FirstName = "小明" }, WhyDeadline, "小明\uff0c你的购物车还在")
	f(w, late, func(r *Request) { r.Kind = "price-drop"; r.Items = nil }, WhyDeadline, "A lower price on something you liked")
}

func TestWriteRefuses(t *testing.T) {
	w := writer(t, Options{})
	for _, u := range []string{"", "javascript:alert(1)", "mailto:a@example.com", "https://", "//shop.example/u", "https://a b.example/"} {
		r := request()
		r.UnsubscribeURL = u
		if _, err := w.Write(t.Context(), r); !errors.Is(err, ErrUnsubscribe) {
			t.Errorf("unsubscribe at %q: got %v", u, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Write(ctx, request()); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
	if _, err := New(Options{Accent: "red;}"}); err == nil {
		t.Error("a colour that is none was accepted")
	}
	if _, err := New(Options{Model: []byte("no model")}); err == nil {
		t.Error("a model that is none was accepted")
	}
}

func TestRequiredSlots(t *testing.T) {
	w := writer(t, Options{})
	missing := 0
	for i := range fewer(60) {
		r := request()
		r.DecisionID = fmt.Sprint(i)
		r.Kind = Kinds()[i%10]
		r.Require = []Slot{FirstName}
		d := write(t, w, r)
		if d.Fallback {
			missing++
			continue
		}
		if !strings.Contains(d.Subject, "Ada") {
			t.Errorf("%q is without the required name", d.Subject)
		}
	}
	if missing > 6 {
		t.Errorf("%d of 60 could not be written with the name", missing)
	}
}

// TestMasksHold decodes with random weights, where nothing but the masks keeps a line
// in order.
func TestMasksHold(t *testing.T) {
	lines := corpus(t)
	v := vocab(t, lines)
	rapid.Check(t, func(t *rapid.T) {
		m, err := lstm.New(lstm.Config{Vocab: len(v.tokens), Embed: 4, Hidden: 6, Cond: len(features())}, rapid.Uint64().Draw(t, "weights"))
		if err != nil {
			t.Fatal(err)
		}
		d := newDecoder(v, lstm.NewRunner(m))
		d.mass = 0
		texts := rapid.SampledFrom([]string{"", "x", "Ada Lovelace", "{product}", "a product with quite a long name 9", "李"})
		tk := task{
			seed:   rapid.String().Draw(t, "seed"),
			limit:  rapid.IntRange(1, 78).Draw(t, "limit"),
			cond:   condition{kind: rapid.SampledFrom(Kinds()).Draw(t, "kind"), language: rapid.SampledFrom(languages()).Draw(t, "language")},
			banned: newBanned(rapid.SliceOfN(rapid.SampledFrom([]string{"your", "cart", "你的", "in stock", "the", "购物车"}), 0, 4).Draw(t, "banned")),
		}
		for s := range slotCount {
			tk.values[s] = texts.Draw(t, s.String())
			tk.cond.want[s] = rapid.IntRange(0, 3).Draw(t, "want") == 0
		}
		w, why := d.write(context.Background(), tk)
		if why != "" {
			return
		}
		checkSubject(t, w.subject, tk.values[:], tk.limit)
		if b := tk.banned.find(w.subject); b != "" {
			t.Errorf("%q holds the banned %q", w.subject, b)
		}
		naive := w.line
		for s := range slotCount {
			if tk.cond.want[s] && !strings.Contains(w.line, s.String()) {
				t.Errorf("%q is without the required %s", w.line, s)
			}
			if n := strings.Count(w.line, s.String()); n > 1 || n == 1 && tk.values[s] == "" {
				t.Errorf("%q holds %s %d times with the value %q", w.line, s, n, tk.values[s])
			}
			if tk.values[s] != "{product}" {
				naive = strings.ReplaceAll(naive, s.String(), "")
			}
		}
		for _, r := range naive {
			if tk.cond.language == "en" && unicode.Is(unicode.Han, r) {
				t.Errorf("English %q holds %q", w.line, r)
			}
		}
	})
}

func TestStutters(t *testing.T) {
	v := vocab(t, corpus(t))
	f := func(lang, line string, want bool) {
		t.Helper()
		ids, err := v.encode(Line{Language: lang, Text: line})
		if err != nil {
			t.Fatal(err)
		}
		d := decoder{vocab: v}
		if got := d.stutters(ids[1 : len(ids)-1]); got != want {
			t.Fatalf("%q: got %v", line, got)
		}
	}
	f("en", "Your cart is waiting in the cart", true)
	f("en", "Your cart is waiting in the shop", false)
	// Small words may come again.
	f("en", "The price of the cart", false)
	f("zh", "购物车还在购物车", true)
	f("zh", "购物车还在等你", false)
}

// TestMasksLetThrough makes sure that the property above is not one of silence.
func TestMasksLetThrough(t *testing.T) {
	v := vocab(t, corpus(t))
	alive := 0
	for i := range uint64(40) {
		m, err := lstm.New(lstm.Config{Vocab: len(v.tokens), Embed: 4, Hidden: 6, Cond: len(features())}, i)
		if err != nil {
			t.Fatal(err)
		}
		d := newDecoder(v, lstm.NewRunner(m))
		d.mass = 0
		tk := task{seed: "x", limit: 60, cond: condition{kind: "cart", language: "en"}, banned: newBanned([]string{"your"})}
		tk.values[Product], tk.cond.want[Product] = "Cast Iron Pan", true
		if _, why := d.write(t.Context(), tk); why == "" {
			alive++
		}
	}
	if alive < 30 {
		t.Errorf("%d of 40 random models wrote a line", alive)
	}
}

func TestSwapWhileWriting(t *testing.T) {
	w := writer(t, Options{SubjectWait: time.Minute}) // the machine may be busy
	file, err := ShippedModel()
	if err != nil {
		t.Fatal(err)
	}
	want := write(t, w, request())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range fewer(20) {
				if got, err := w.Write(context.Background(), request()); err != nil || got != want {
					t.Errorf("got %q, %v", got.Subject, err)
					return
				}
			}
		})
	}
	for range 5 {
		if err := w.Swap(file); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
	// A file that is no model leaves the old one in place.
	if w.Swap(file[:100]) == nil || w.Version() != want.Model {
		t.Error("a broken file was put in place")
	}
}

func TestSwapRefusesOtherModels(t *testing.T) {
	lines := corpus(t)
	v := vocab(t, lines)
	f := func(change func(m *lstm.Model), want string) {
		t.Helper()
		m, err := lstm.New(lstm.Config{Vocab: len(v.tokens), Embed: 4, Hidden: 4, Cond: len(features())}, 1)
		if err != nil {
			t.Fatal(err)
		}
		if err := describe(m, v, &TrainOptions{Seed: 1}); err != nil {
			t.Fatal(err)
		}
		change(m)
		b, err := EncodeModel(m)
		if err != nil {
			t.Fatal(err)
		}
		_, err = newSubjects(b)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Fatalf("got %v, want %q", err, want)
		}
	}
	words, err := v.marshal()
	if err != nil {
		t.Fatal(err)
	}
	with := func(old, repl string) func(*lstm.Model) {
		return func(m *lstm.Model) { m.SetMeta(metaVocabulary, strings.Replace(words, old, repl, 1)) }
	}
	f(func(*lstm.Model) {}, "")
	// A vocabulary that could invent a price, or break a header.
	f(with("▁cart", "▁5"), "holds '5'")
	f(with("▁cart", "▁€"), "holds '€'")
	f(with("▁cart", "▁a\\r\\nBcc"), "holds")
	f(with("▁cart", "▁your"), "repeated")
	f(with("▁cart", ""), "empty")
	f(with(`"▁cart",`, ""), "does not fit")
	f(with(`\u003cs\u003e`, "x"), "does not fit")
	f(func(m *lstm.Model) { m.SetMeta(metaVocabulary, "{") }, "read vocabulary")
	f(func(m *lstm.Model) { m.SetMeta(metaFeatures, "[]") }, "other conditions")
}

// TestTrainSmall trains a toy on two kinds and two categories: the whole way from
// corpus to control, small enough for every test run. The shipped model is not
// trained here.
func TestTrainSmall(t *testing.T) {
	var few []Line
	for _, l := range corpus(t) {
		if l.Part == Subject && l.Grammar && l.Language == "en" && (l.Kind == "cart" || l.Kind == "welcome") && (l.Category == "Toys" || l.Category == "Garden") {
			few = append(few, l)
		}
	}
	m, rep, err := train(t.Context(), TrainOptions{Steps: 400, Hidden: 32, Embed: 12, Seed: 3}, few, nil)
	if err == nil {
		t.Fatalf("a model that knows two kinds of ten passed the check: %+v", rep.Control.Share)
	}
	if m == nil || rep.Steps != 400 || rep.Loss > 1 {
		t.Fatalf("%v after %d steps, loss %.3f", err, rep.Steps, rep.Loss)
	}
	// Of what it was taught, it says the right thing.
	words, err := readKeywords()
	if err != nil {
		t.Fatal(err)
	}
	v, err := readVocabulary(m)
	if err != nil {
		t.Fatal(err)
	}
	d := newDecoder(v, lstm.NewRunner(m))
	right := 0
	r := rand.New(rand.NewPCG(1, 1))
	for i := range 40 {
		c := condition{kind: []string{"cart", "welcome"}[r.IntN(2)], category: []string{"Toys", "Garden"}[r.IntN(2)], language: "en"}
		tk := task{seed: fmt.Sprint(i), cond: c, limit: 60}
		tk.values[FirstName] = "Ada"
		w, _ := d.write(t.Context(), tk)
		if words.kind[c.kind].in(w.line) && words.category[c.category].in(w.line) {
			right++
		}
	}
	if right < 36 {
		t.Errorf("%d of 40 name trigger and category", right)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := Train(ctx, TrainOptions{}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled training: %v", err)
	}
}

func BenchmarkSubject(b *testing.B) {
	w := writer(b, Options{})
	t := w.task(request())
	s := w.model.Load()
	d := newDecoder(s.vocab, s.runner)
	b.ReportAllocs()
	for b.Loop() {
		t.seed += "x"
		if len(t.seed) > 64 {
			t.seed = "a"
		}
		d.write(context.Background(), t)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "subjects/s")
}

func BenchmarkWrite(b *testing.B) {
	w := writer(b, Options{})
	r := request()
	b.ReportAllocs()
	for b.Loop() {
		write(b, w, r)
	}
}

// drawn is how many contexts are drawn: in short runs, which have the race detector on, a
// quarter.
func drawn(n int) int {
	if raced {
		return fewer(n)
	}
	if testing.Short() {
		return n / 4
	}
	return n
}

// fewer is how many times a test writes: under the race detector a few times, since it
// looks for what goroutines share and not for what is written.
func fewer(n int) int {
	if raced {
		return min(n, 4)
	}
	return n
}
