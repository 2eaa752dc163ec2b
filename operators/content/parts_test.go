package content

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace/operators/event"
)

func compose(t testing.TB, w *Writer, r Request) (event.Draft, *event.Written) {
	t.Helper()
	d, written, err := w.Compose(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return d, written
}

// TestParts writes whole mails for all kinds, languages and tones, and checks what is
// promised of each part.
func TestParts(t *testing.T) {
	know := Knowledge{Attributes: map[string][]string{"p1": {"oven-safe", "清洗方便"}}}
	w := writer(t, Options{SubjectWait: time.Minute, Knowledge: know})
	lines, fallen := 0, 0
	texts := map[string]map[string]bool{}
	for i := range fewer(110) {
		r := request()
		r.DecisionID, r.Kind = fmt.Sprint("p", i), Kinds()[i%len(Kinds())]
		r.Language = languages()[i/len(Kinds())%2]
		r.Tone = []Tone{AnyTone, Calm, Playful}[i%3]
		if r.Kind == "win-back" || r.Kind == "welcome" {
			r.Items = nil
		}
		r.Was = []event.Money{0, 6990, 1000}[i/3%3]
		d, written := compose(t, w, r)
		values := []string{"Ada", "Millrace Goods", "Cast Iron Pan", "Oak Chopping Board", "oven-safe", "清洗方便",
			FormatMoney(4990, "GBP", r.Language), FormatMoney(3200, "GBP", r.Language)}
		if r.Was > 4990 {
			values = append(values, FormatMoney(r.Was, "GBP", r.Language))
		}
		for _, l := range written.Lines {
			part, ok := partByName(l.Part)
			if !ok {
				t.Fatalf("part %q", l.Part)
			}
			lines++
			if l.Why != "" {
				fallen++
			} else {
				checkSubject(t, l.Text, values, part.runes())
			}
			if texts[l.Part] == nil {
				texts[l.Part] = map[string]bool{}
			}
			texts[l.Part][l.Text] = true
			if len(l.Others) > event.WrittenOthersMost || part != Subject && len(l.Others) > othersMost {
				t.Errorf("%s keeps %d candidates", l.Part, len(l.Others))
			}
		}
		if d.Preheader == "" || d.Opening == "" || d.Action == "" || !strings.Contains(d.Text, d.Opening) || !strings.Contains(d.Text, d.Action) {
			t.Errorf("%s: %+v", r.Kind, written)
		}
		product := "Cast Iron Pan"
		if r.Items == nil {
			product = "Oak Chopping Board"
		}
		if d.Sentence != "" && (!strings.Contains(d.Sentence, product) || !strings.Contains(d.Text, d.Sentence)) {
			t.Errorf("%s: %q does not speak of the product", r.Kind, d.Sentence)
		}
		if r.Language == "zh" && strings.Contains(d.Sentence, "oven-safe") || r.Language == "en" && strings.Contains(d.Sentence, "清洗方便") {
			t.Errorf("an attribute of the other language: %q", d.Sentence)
		}
	}
	if raced {
		return // too few lines to count them
	}
	if fallen > lines/50 {
		t.Errorf("%d of %d lines are written ones", fallen, lines)
	}
	for _, p := range Parts() {
		if len(texts[p.String()]) < 20 {
			t.Errorf("only %d different lines for the %s", len(texts[p.String()]), p)
		}
	}
}

// TestPlaces: what is true of some mails only is said in those only, whatever the network
// proposes: the runs of the corpus know where they are true.
func TestPlaces(t *testing.T) {
	lines, err := everyAlternative("")
	if err != nil {
		t.Fatal(err)
	}
	tagged := map[string]map[string]bool{}
	free := map[string]bool{}
	for _, l := range lines {
		if l.Tag == "" {
			free[l.Part.String()+l.Text] = true
			continue
		}
		if tagged[l.Tag] == nil {
			tagged[l.Tag] = map[string]bool{}
		}
		tagged[l.Tag][l.Part.String()+l.Text] = true
	}
	w := writer(t, Options{SubjectWait: time.Minute})
	said := map[string]int{}
	for i := range fewer(110) {
		r := request()
		r.DecisionID, r.Kind = fmt.Sprint("place", i), Kinds()[i%len(Kinds())]
		r.Language = languages()[i/len(Kinds())%2]
		r.Returning, r.New = i%3 == 1, i%3 == 2
		r.Tone = []Tone{Calm, Playful}[i/2%2]
		r.Stock = []int{0, 1}[i/4%2]
		r.ShopName = "Millrace"
		cond := w.task(r).cond
		_, written := compose(t, w, r)
		for _, l := range written.Lines {
			form := l.Text
			for s, v := range w.task(r).values {
				if v != "" {
					form = strings.ReplaceAll(form, v, Slot(s).String()) //nolint:gosec // few slots
				}
			}
			if r.Language == "zh" { // the spaces are the names', not the line's
				form = strings.NewReplacer(" {", "{", "} ", "}").Replace(form)
			}
			for _, tag := range tags() {
				if key := l.Part + form; tagged[tag][key] && !free[key] {
					said[tag]++
					if !cond.holds(tag) {
						t.Errorf("%q is of the tag %s, which does not hold of %+v", l.Text, tag, cond)
					}
				}
			}
		}
	}
	if raced {
		return // too few lines to count them
	}
	if said["playful"] == 0 || said["calm"] == 0 || said["last"] == 0 || said["replies"] != 0 {
		t.Errorf("said by tag: %v", said)
	}
}

// TestNoPartRepeatsAnother: the sentence of a mail does not say what its subject said.
func TestNoPartRepeatsAnother(t *testing.T) {
	w := writer(t, Options{SubjectWait: time.Minute})
	same := 0
	for i := range fewer(50) {
		r := request()
		r.DecisionID, r.Kind = fmt.Sprint("rep", i), Kinds()[i%len(Kinds())]
		d, _ := compose(t, w, r)
		all := []string{d.Subject, d.Preheader, d.Opening, d.Sentence}
		for j, a := range all {
			for _, b := range all[:j] {
				if a != "" && strings.Trim(a, ".") == strings.Trim(b, ".") {
					same++
				}
			}
		}
	}
	if same > 1 {
		t.Errorf("%d of 50 mails say a thing twice", same)
	}
}

// TestHashesKeepApart: lines whose hash a person has seen are not sent again while there
// are others.
func TestHashesKeepApart(t *testing.T) {
	w := writer(t, Options{SubjectWait: time.Minute})
	var seen []uint32
	repeats := 0
	for i := range 12 {
		r := request()
		r.DecisionID, r.SeenHashes = fmt.Sprint("h", i), seen
		d, _ := compose(t, w, r)
		if slices.Contains(seen, event.HashText(d.Opening)) {
			repeats++
		}
		seen = append(seen, event.HashText(d.Opening))
	}
	if repeats > 2 {
		t.Errorf("%d of 12 openings came again", repeats)
	}
}

func TestKnowledge(t *testing.T) {
	know := Knowledge{
		Attributes: map[string][]string{"p1": {"organic oak", "oven-safe", "cures colds", "noisy"}},
		Claims:     []Claim{{Say: "organic", Only: []string{"p2"}}},
		Never:      []string{"noisy", "cart"},
	}
	w := writer(t, Options{SubjectWait: time.Minute, Knowledge: know})
	said := 0
	for i := range fewer(30) {
		r := request()
		r.DecisionID, r.Kind = fmt.Sprint("k", i), []string{"browse", "search"}[i%2]
		d, _ := compose(t, w, r)
		all := strings.ToLower(strings.Join([]string{d.Subject, d.Preheader, d.Opening, d.Sentence}, " "))
		for _, word := range []string{"organic", "cures", "noisy", "cart"} {
			if strings.Contains(all, word) {
				t.Errorf("%q says %s", all, word)
			}
		}
		if strings.Contains(d.Sentence, "oven-safe") {
			said++
		}
	}
	if said == 0 {
		t.Error("the one true attribute is never said")
	}
	if _, err := New(Options{NoModel: true, Knowledge: Knowledge{Allow: []string{"toxic"}}}); err == nil {
		t.Error("a policy that is never lifted was lifted")
	}
	if _, err := New(Options{NoModel: true, Knowledge: Knowledge{Claims: []Claim{{}}}}); err == nil {
		t.Error("an empty claim was taken")
	}
}

func TestPolicies(t *testing.T) {
	p, err := readPolicies()
	if err != nil {
		t.Fatal(err)
	}
	f := func(text, want string, lifted ...string) {
		t.Helper()
		if got := p.breaks(text, lifted); got != want {
			t.Fatalf("%q: got %q, want %q", text, got, want)
		}
	}
	f("Your cart is still here", "")
	f("You stupid thing", "toxic")
	f("Ideal at your age", "trait")
	f("This tea cures everything", "health")
	f("This tea cures everything", "", "health")
	f("稳赚不赔", "finance")
	f("恭喜你", "spam")
	f("Procure a manicured lawn", "") // "cure" within words
	lines, err := Corpus()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lines {
		if got := p.breaks(l.Text, nil); got != "" {
			t.Errorf("the corpus breaks the policy %s: %q", got, l.Text)
		}
		if !readable(l.Text) || !spoken(l.Text, l.Language) {
			t.Errorf("%q: readable %v, in its language %v", l.Text, readable(l.Text), spoken(l.Text, l.Language))
		}
	}
	if readable(strings.Repeat("word ", 31)) || readable(strings.Repeat("字", 46)) {
		t.Error("an endless sentence is readable")
	}
}

func TestDesigns(t *testing.T) {
	w := writer(t, Options{NoModel: true})
	f := func(d Design, want ...string) {
		t.Helper()
		r := request()
		r.Design = d
		draft, written := compose(t, w, r)
		if written.Design != d.Name || draft.Design != d.Name {
			t.Errorf("%q, %q", written.Design, draft.Design)
		}
		wellFormed(t, draft.HTML)
		for _, part := range []string{draft.HTML, draft.Text} {
			at := 0
			for _, text := range want {
				i := strings.Index(part[at:], text)
				if i < 0 {
					t.Fatalf("design %s: no %q behind byte %d of:\n%s", d.Name, text, at, part)
				}
				at += i
			}
		}
		dump(t, "design-"+d.Name+".html", draft.HTML)
	}
	const intro, item, button, other = "You left a few good things", "Linen Tea Towel", "Back to my cart", "Oak Chopping Board"
	f(Design{Name: "standard"}, intro, item, button, other)
	f(Design{Name: "button-first", Blocks: []string{BlockButton, BlockText, BlockItems}}, "Hello Ada,", button, intro, item)
	f(Design{Name: "hero", Blocks: []string{BlockHero, BlockText, BlockButton, BlockRecommended}, Products: 6}, intro, button, other)
	f(Design{Name: "short", Blocks: []string{BlockItems, BlockButton}}, item, button)
	r := request()
	r.Design = Design{Blocks: []string{BlockItems, BlockButton}}
	if d, _ := compose(t, w, r); strings.Contains(d.Text, intro) || strings.Contains(d.Text, other) {
		t.Error("a short mail holds what its design leaves out")
	}
	refuse := func(d Design) {
		t.Helper()
		r := request()
		if r.Design = d; d.Check() == nil {
			t.Errorf("%+v was taken", d)
		}
		if _, _, err := w.Compose(t.Context(), r); err == nil {
			t.Errorf("a mail of %+v was written", d)
		}
	}
	refuse(Design{Blocks: []string{BlockText}})
	refuse(Design{Blocks: []string{BlockButton, BlockButton}})
	refuse(Design{Blocks: []string{BlockButton, "carousel"}})
	refuse(Design{Products: 7})
}

// TestChooseDesign: each design is as likely as the other, and the same decision gets the
// same one.
func TestChooseDesign(t *testing.T) {
	allowed := []Design{{Name: "a"}, {Name: "b"}, {Name: "c"}}
	got := map[string]int{}
	for i := range 3000 {
		d, p := ChooseDesign(fmt.Sprint(i), allowed)
		again, _ := ChooseDesign(fmt.Sprint(i), allowed)
		if d.Name != again.Name || p != 1.0/3 {
			t.Fatalf("%s, %s, %g", d.Name, again.Name, p)
		}
		got[d.Name]++
	}
	for name, n := range got {
		if n < 900 || n > 1100 { // 3.9 standard deviations
			t.Errorf("%s: %d of 3000", name, n)
		}
	}
	if d, p := ChooseDesign("x", nil); d.Name != "" || p != 1 {
		t.Error("a choice of nothing")
	}
}

func TestFairness(t *testing.T) {
	const day = 24 * 3600 * 1000
	f := NewFairness(FairnessOptions{})
	add := func(group string, mails, offers int, at int64) {
		for i := range mails {
			f.Add("language", group, i < offers, at)
		}
	}
	check := func(at int64, want float64, known bool) {
		t.Helper()
		got, ok := f.Ratio("language", at)
		if ok != known || ok && (got < want-1e-9 || got > want+1e-9) {
			t.Fatalf("got %g, %v, want %g, %v", got, ok, want, known)
		}
	}
	check(0, 0, false)
	add("en", 100, 50, 40*day)
	check(40*day, 0, false) // one group
	add("zh", 49, 0, 40*day)
	check(40*day, 0, false) // too few mails
	add("zh", 51, 20, 41*day)
	check(41*day, 0.4, true)
	check(75*day, 0, false) // out of the window
	add("en", 100, 30, 75*day)
	add("zh", 100, 30, 75*day)
	check(75*day, 1, true)
	f.Add("language", "en", true, 1) // older than the window: it counts nowhere
	check(75*day, 1, true)
	for i := range 100 { // groups are bounded
		f.Add("language", fmt.Sprint("g", i), false, 75*day)
	}
	if n := len(f.traits["language"]); n > fairnessGroups {
		t.Errorf("%d groups", n)
	}
}

// TestPredictions: of two lines the one that is predicted to be clicked more, or to sound
// kinder, is chosen, but never one off topic for it.
func TestPredictions(t *testing.T) {
	m, err := newMatcher()
	if err != nil {
		t.Fatal(err)
	}
	clicks := &Clicks{Version: "v", Rank: func(subjects []string) []float64 {
		out := make([]float64, len(subjects))
		for i, s := range subjects {
			if out[i] = 0.1; strings.Contains(s, "clicky") {
				out[i] = 0.9
			}
		}
		return out
	}}
	m.tone = func(text string) float64 {
		if strings.Contains(text, "kind") {
			return 5 // beyond the scale
		}
		return -1
	}
	all := []proposal{{written: written{subject: "plain", line: "plain"}}, {written: written{subject: "clicky", line: "clicky"}}, {written: written{subject: "kind", line: "kind"}}}
	best, list := m.judge(all, task{clicks: clicks})
	if best != 1 || list[1].Click != 0.9 || list[2].Tone != 1 {
		t.Fatalf("%d, %+v", best, list)
	}
	toys := task{clicks: clicks, interests: InterestTopics([]Interest{{"Toys", 1}})}
	all = append(all, proposal{written: written{subject: "toys", line: "toys"}})
	if best, list = m.judge(all, toys); best != 3 {
		t.Fatalf("%d, %+v", best, list)
	}
}
