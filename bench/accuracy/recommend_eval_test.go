package accuracy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// chain is a data set in which item k is followed by k+1 in every session, so that the
// next item can be known.
func chain(sessions, from int, first string) string {
	var b strings.Builder
	b.WriteString(first)
	for s := range sessions {
		for k := range 3 {
			fmt.Fprintf(&b, "s%d,i%d,%d\n", from+s, (s+k)%10, (from+s)*100+k)
		}
	}
	return b.String()
}

// by finds the row of a method.
func by(t *testing.T, rows []RecommendResult, method, exclude string) RecommendResult {
	t.Helper()
	for _, r := range rows {
		if r.Method == method && r.Exclude == exclude {
			return r
		}
	}
	t.Fatalf("no row of %s with %s excluded", method, exclude)
	return RecommendResult{}
}

func TestEvalSessions(t *testing.T) {
	const header = "session,item,time\n"
	set, err := ReadRecommendSet(folder(t, "chain", "train.csv", chain(200, 0, header), "valid.csv", chain(50, 200, header), "test.csv", chain(30, 250, header)))
	if err != nil {
		t.Fatal(err)
	}
	steps := 0
	rows, err := EvalRecommend(t.Context(), set, RecommendOptions{Progress: func(_ string, done, total int) {
		if steps++; done > total {
			t.Errorf("%d of %d", done, total)
		}
	}})
	if err != nil || steps == 0 {
		t.Fatal(steps, err)
	}
	sr, hybrid, pop := by(t, rows, "sr", "none"), by(t, rows, "hybrid", "none"), by(t, rows, "pop", "none")
	if sr.Predictions != 60 || sr.MRR20 != 1 || hybrid.MRR20 < 0.99 || pop.MRR20 > 0.5 {
		t.Errorf("%d predictions: sr %g, hybrid %g, pop %g", sr.Predictions, sr.MRR20, hybrid.MRR20, pop.MRR20)
	}
	if len(hybrid.Gains) != 3 || hybrid.Gains[0].Over != "sr" {
		t.Errorf("gains %+v", hybrid.Gains)
	}
	again, err := EvalRecommend(t.Context(), set, RecommendOptions{})
	if err != nil || by(t, again, "hybrid", "none").NDCG10 != hybrid.NDCG10 {
		t.Errorf("a second run differs: %v", err)
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := EvalRecommend(stopped, set, RecommendOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a run that was stopped: %v", err)
	}
	if _, err := EvalRecommend(t.Context(), set, RecommendOptions{Exclude: "all"}); err == nil {
		t.Error("a rule that does not exist is taken")
	}
}

// TestEvalSessionsLearnsNothingFromTest reverses the test sessions: what only they show
// must not be known.
func TestEvalSessionsLearnsNothingFromTest(t *testing.T) {
	const header = "session,item,time\n"
	train := chain(200, 0, header)
	var test strings.Builder
	test.WriteString(header)
	for s := range 100 {
		fmt.Fprintf(&test, "t%d,i1,%d\nt%d,never,%d\n", s, 1e6+100*s, s, 1e6+100*s+1)
	}
	set, err := ReadRecommendSet(folder(t, "x", "train.csv", train, "test.csv", test.String()))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := EvalRecommend(t.Context(), set, RecommendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if r.HR20 != 0 || r.Predictions != 100 {
			t.Errorf("%s knows what stands only in the test: %+v", r.Method, r)
		}
	}
}

func TestEvalExcludes(t *testing.T) {
	// Everybody clicks the same item twice: what excludes it can never be right.
	var b strings.Builder
	b.WriteString("session,item,time\n")
	for s := range 100 {
		fmt.Fprintf(&b, "s%d,i%d,%d\ns%d,i%d,%d\n", s, s%7, s*10, s, s%7, s*10+1)
	}
	set, err := ReadRecommendSet(folder(t, "twice", "all.csv", b.String()))
	if err != nil {
		t.Fatal(err)
	}
	f := func(rule string, want float64) {
		t.Helper()
		rows, err := EvalRecommend(t.Context(), set, RecommendOptions{Exclude: rule})
		if err != nil {
			t.Fatal(err)
		}
		if r := by(t, rows, "hybrid", rule); r.HR20 != want || r.Predictions != 10 {
			t.Errorf("%s: %g of %d", rule, r.HR20, r.Predictions)
		}
	}
	f("none", 1)
	f("last", 0)
	f("session", 0)
	f("purchased", 1)
}

func TestEvalRatings(t *testing.T) {
	// Two tastes: who likes one item of a taste likes all of it.
	var b strings.Builder
	b.WriteString("user_id:token\titem_id:token\trating:float\n")
	for p := range 40 {
		for i := range 20 {
			fmt.Fprintf(&b, "p%d\ti%d\t5\n", p, i*2+p%2)
		}
	}
	set, err := ReadRecommendSet(folder(t, "tastes", "x.inter", b.String()))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := EvalRecommend(t.Context(), set, RecommendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ease, pop := by(t, rows, "ease", "purchased"), by(t, rows, "pop", "purchased")
	if ease.Predictions != 40 || ease.NDCG10 < 0.999 || ease.NDCG10 <= pop.NDCG10 {
		t.Errorf("%d people: ease %g, pop %g", ease.Predictions, ease.NDCG10, pop.NDCG10)
	}
	if by(t, rows, "itemknn", "purchased").NDCG10 < 0.999 {
		t.Errorf("neighbours %g", by(t, rows, "itemknn", "purchased").NDCG10)
	}
}

func TestEvalBaskets(t *testing.T) {
	// Each customer buys the same two items every time.
	var b strings.Builder
	b.WriteString("order_id,user_id,item_id,time\n")
	for o := range 300 {
		c := o % 30
		fmt.Fprintf(&b, "o%d,c%d,a%d,%d\no%d,c%d,b%d,%d\n", o, c, c, o*1000, o, c, c, o*1000)
	}
	set, err := ReadRecommendSet(folder(t, "shop", "tx.csv", b.String()))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := EvalRecommend(t.Context(), set, RecommendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	repeat, pop, hybrid := by(t, rows, "repeat", "none"), by(t, rows, "pop", "none"), by(t, rows, "hybrid", "none")
	if repeat.Predictions != 30 || repeat.Recall10 != 1 || hybrid.Recall10 < 0.99 || pop.Recall10 > 0.5 {
		t.Errorf("%d orders: repeat %g, hybrid %g, pop %g", repeat.Predictions, repeat.Recall10, hybrid.Recall10, pop.Recall10)
	}
}
