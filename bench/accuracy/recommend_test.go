package accuracy

import (
	"compress/gzip"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"millrace/operators/recommend"
)

// folder writes files into a folder called name; those called *.gz are packed.
func folder(t *testing.T, name string, files ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for k := 0; k < len(files); k += 2 {
		var b strings.Builder
		if strings.HasSuffix(files[k], ".gz") {
			w := gzip.NewWriter(&b)
			if _, err := w.Write([]byte(files[k+1])); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
		} else {
			b.WriteString(files[k+1])
		}
		if err := os.WriteFile(filepath.Join(dir, files[k]), []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// told is a set in few words: kind, visits of each part, products.
func told(s *RecommendSet) string {
	part := func(all []RecommendVisit) string {
		var out []string
		for _, v := range all {
			var items []string
			for _, c := range v.Clicks {
				items = append(items, c.Item)
			}
			if v.Target != "" {
				items = append(items, "->"+v.Target)
			}
			out = append(out, v.Key+":"+strings.Join(items, ","))
		}
		return strings.Join(out, " ")
	}
	text := fmt.Sprintf("%s %s [%s] [%s] [%s]", s.Name, s.Kind, part(s.Train), part(s.Valid), part(s.Test))
	for _, p := range s.Products {
		text += fmt.Sprintf(" %s=%s/%s/%s/%g", p.Item, p.Product.Title, p.Product.Category, p.Product.Brand, p.Product.Price)
	}
	return text
}

func TestReadRecommendSet(t *testing.T) {
	f := func(want, name string, files ...string) {
		t.Helper()
		s, err := ReadRecommendSet(folder(t, name, files...))
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = told(s)
		}
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	// Serenade: tabs, not in order, three files, one packed.
	f("serenade sessions [1:b,a] [2:c] [3:d]", "serenade_example",
		"train.txt.gz", "SessionId\tItemId\tTime\n1\ta\t20.5\n1\tb\t10.0\n", "valid.txt", "SessionId\tItemId\tTime\n2\tc\t30\n", "test.txt", "SessionId\tItemId\tTime\n3\td\t40\n")
	// YooChoose: the last word of the name says the part; without a test, validation is it.
	f("rsc15 sessions [1:a] [] [2:b]", "rsc15_100k", "x_train_tr.txt", "SessionId\tItemId\tTime\n1\ta\t1\n", "x_train_valid.txt", "SessionId\tItemId\tTime\n2\tb\t2\n")
	// Diginetica: semicolons, days and milliseconds within them, NA.
	f("diginetica sessions [1:b,a 2:c] [] []", "diginetica_sample",
		"views.csv", "session_id;user_id;item_id;timeframe;eventdate\n1;NA;a;900;2016-05-09\n1;NA;b;100;2016-05-09\n2;7;c;1;2016-05-10\n")
	// Without times the rows are in order; quotes and commas.
	f(`q sessions [s,1:say "a",b] [] []`, "q", "all.csv", "\"session\",\"item\",\"x\"\r\n\"s,1\",\"say \"\"a\"\"\",1\r\n\"s,1\",b,\r\n\r\n")
	// RecBole: types in the header, another file with the titles.
	f("ml-100k ratings [7:2,1] [] [] 1=Toy Story///0", "ml-100k",
		"ml.inter", "user_id:token\titem_id:token\trating:float\ttimestamp:float\n7\t1\t3\t881250949\n7\t2\t3\t881250948\n", "ml.item", "item_id:token\tmovie_title:token_seq\n1\tToy Story\n")
	// Orders: what was returned and what nobody bought is left out.
	f("shop baskets [A1:x] [] [] x=Mug/home/Ohm/2.5", "shop",
		"tx.csv", "InvoiceNo,StockCode,Quantity,InvoiceDate,CustomerID\nA1,x,1,2010-12-01 08:26:00,7\nCA1,x,-1,2010-12-01 08:27:00,7\nA2,x,1,2010-12-01 08:27:00,\n",
		"catalogue.csv", "StockCode,Description,Category,Brand,UnitPrice\nx,Mug,home,Ohm,2.50\n", "README.md", "no data\n")
	// Prefixes with targets; in training data they are visits.
	f("p prefixes [train1:a,b,c] [] [test1:a,->b]", "p", "train.tsv", "prefix\ttarget\na b\tc\n", "test.tsv", "prefix\ttarget\na\tb\n\tb\n")
	// What cannot be read says why.
	f("bad: no table of sessions, prefixes, ratings or orders", "bad", "x.csv", "a,b\n1,2\n")
	f(`read x.csv: row 2: "noon" is no time`, "late", "x.csv", "session,item,time\n1,2,3\n1,2,noon\n")
	f("b.csv holds ratings, but other files of the folder sessions", "mixed", "a.csv", "session,item\n1,2\n", "b.csv", "user,item,rating\n1,2,3\n")
	f("unpack x.txt: unexpected EOF", "z", "x.txt", "\x1f\x8b\x08")
	f(`read settings of Serenade: "idf_weighting = many" is no setting`, "s", "example.toml", "[model]\nidf_weighting = many\n")
}

func TestReadSerenadeSettings(t *testing.T) {
	s, err := ReadRecommendSet(folder(t, "x", "train.txt", "session\titem\n1\ta\n",
		"example.toml", "[server]\nm_most_recent_sessions = 1\n[model]\nm_most_recent_sessions = 500\nneighborhood_size_k = 50 # more\nmax_items_in_session = 2\nidf_weighting = 1\n"))
	if err != nil || s.Serenade == nil || *s.Serenade != (SerenadeOptions{500, 50, 2, 1}) {
		t.Errorf("settings %+v, %v", s.Serenade, err)
	}
}

func TestFindRecommendSets(t *testing.T) {
	dir := t.TempDir()
	for _, n := range []string{"rsc15_100k", "serenade_example", "ml-100k"} {
		if err := os.Mkdir(filepath.Join(dir, n), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	f := func(want string, sets ...string) {
		t.Helper()
		found, err := FindRecommendSets(dir, sets)
		got := strings.Join(names(found), " ")
		if err != nil {
			got = strings.ReplaceAll(err.Error(), dir, "DIR")
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", sets, got, want)
		}
	}
	f("ml-100k rsc15 serenade")
	f("serenade rsc15", "serenade", "rsc15")
	f("ml-100k", "ml")
	f(`no data set "x" in DIR: there are ml-100k, rsc15, serenade`, "x")
	if found, err := FindRecommendSets(filepath.Join(dir, "ml-100k"), nil); err != nil || len(found) != 1 {
		t.Errorf("a data set itself: %v, %v", found, err)
	}
	if _, err := FindRecommendSets(filepath.Join(dir, "none"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
}

// FuzzRecommendTable reads anything without panic, and no more rows than lines.
func FuzzRecommendTable(f *testing.F) {
	for _, s := range []string{
		"session,item,time\n1,2,3\n", "SessionId\tItemId\tTime\n1\t2\t1e300\n", "a;session_id;item\n\"1;2\";3\n", "\ufeffuser_id:token\titem_id:token\trating:float\n1\t2\t3\n",
		"prefix,target\na b,c\n", "InvoiceNo,StockCode,Quantity,InvoiceDate,CustomerID\nA,x,NaN,2010-12-01 08:26:00,7\n", "item,title\n1,\"a\"\"", "session,item,time\n,,\n\"",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tab, err := newTable("x", strings.NewReader(text))
		if err != nil {
			return
		}
		s := &RecommendSet{Name: "x"}
		kind, ok := kindOf(tab)
		s.Kind = kind
		v := &visits{at: make(map[string]int)}
		switch {
		case !ok:
			err = s.readCatalogue(tab)
		case kind == RecommendPrefixes:
			err = s.readPrefixes(tab, "test", v)
		default:
			err = s.readRows(tab, v)
		}
		clicks := 0
		for _, l := range v.list() {
			if l.Key == "" || len(l.Clicks) == 0 {
				t.Fatalf("an empty visit %q", l.Key)
			}
			for k, c := range l.Clicks {
				if clicks++; c.Item == "" || k > 0 && c.Time < l.Clicks[k-1].Time {
					t.Fatalf("click %d of %q: %+v", k, l.Key, c)
				}
			}
		}
		if lines := strings.Count(text, "\n") + 1; kind != RecommendPrefixes && clicks+len(s.Products)+s.Skipped > lines {
			t.Fatalf("%d rows of %d lines, %v", clicks, lines, err)
		}
	})
}

func TestTally(t *testing.T) {
	list := []recommend.Ranked{{Item: 5}, {Item: 6}, {Item: 7}, {Item: 8}}
	f := func(w truth, want outcome) {
		t.Helper()
		ta := &tally{shown: make(map[recommend.Num]bool)}
		ta.add(list, &w)
		if ta.all[0] != want {
			t.Errorf("%+v:\ngot  %+v\nwant %+v", w, ta.all[0], want)
		}
	}
	l := func(x float64) float32 { return float32(1 / math.Log2(x)) }
	// One relevant item, third; Serenade's discount is one place milder.
	f(truth{next: []recommend.Num{7}, rest: []recommend.Num{7}, clicks: 1},
		outcome{hr20: 1, hr10: 1, mrr20: float32(1) / 3, mrr10: float32(1) / 3, ndcg10: l(4), ndcg20: l(4), serenade: l(3), precision: 1.0 / 20, recall20: 1, recall10: 1})
	// Serenade looks at all that remains, repeats counted below the line.
	f(truth{next: []recommend.Num{9}, rest: []recommend.Num{9, 5, 6}, clicks: 4},
		outcome{serenade: float32(2 / (1 + 1 + 1/math.Log2(3) + 1/math.Log2(4))), precision: 2.0 / 20, recall20: 0.5})
	// A basket: two of three found, one of which nobody could know.
	f(truth{next: []recommend.Num{5, 8}, others: 1},
		outcome{
			hr20: 1, hr10: 1, mrr20: 1, mrr10: 1, recall10: 2.0 / 3, recall20: 2.0 / 3, precision: 2.0 / 20,
			ndcg10: float32((1 + 1/math.Log2(5)) / (1 + 1/math.Log2(3) + 0.5)), ndcg20: float32((1 + 1/math.Log2(5)) / (1 + 1/math.Log2(3) + 0.5)),
		})
}

func TestGainOver(t *testing.T) {
	a, b := &tally{}, &tally{}
	var cluster []int
	for k := range 200 {
		o := outcome{hr20: float32(k % 2)}
		b.all = append(b.all, o)
		if k%4 == 0 {
			o.hr20 = 1
		}
		a.all = append(a.all, o)
		cluster = append(cluster, k/4)
	}
	// Each cluster gains the same, so there is no doubt.
	if g := gainOver("hr@20", "b", a, b, cluster); g.Gain != 0.25 || g.Low != 0.25 || g.High != 0.25 {
		t.Errorf("the same gain everywhere: %+v", g)
	}
	if g := gainOver("hr@20", "a", a, a, cluster); g.Gain != 0 || g.Low != 0 || g.High != 0 {
		t.Errorf("against itself: %+v", g)
	}
	// All of the gain in one cluster of fifty is nothing that could be relied upon.
	for k := 4; k < 200; k++ {
		a.all[k] = b.all[k]
	}
	if g := gainOver("hr@20", "b", a, b, cluster); g.Low != 0 || g.High <= g.Gain {
		t.Errorf("one lucky cluster: %+v", g)
	}
}
