package accuracy

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func writeSet(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	raw := []byte(text)
	if strings.HasSuffix(name, ".gz") {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write(raw)
		_ = z.Close()
		raw = b.Bytes()
	}
	if err := os.WriteFile(filepath.Join(dir, name), raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

// madeTable is people of four kinds with five features.
func madeTable(n int) string {
	rng := rand.New(rand.NewPCG(4, 2))
	var b strings.Builder
	b.WriteString("person,orders,spending,views,silence,discount\n")
	for i := range n {
		k := float64(i % 4)
		fmt.Fprintf(&b, "p%d,%.3f,%.3f,%.3f,%.3f,%.3f\n", i, 3*k+rng.NormFloat64(), 300*math.Mod(k, 2)+40*rng.NormFloat64(),
			10*k*k+3*rng.NormFloat64(), rng.NormFloat64(), .01*rng.NormFloat64())
	}
	return b.String()
}

// madeOrders is a year of orders; each buyer has a rate and leaves some day.
func madeOrders(n int) string {
	rng := rand.New(rand.NewPCG(4, 3))
	var b strings.Builder
	b.WriteString("amount,customer,time\n")
	for i := range n {
		rate := rng.ExpFloat64() / 20
		for at := 120 * rng.Float64(); at < 365; at += rng.ExpFloat64() / rate {
			fmt.Fprintf(&b, "%.2f,c%d,%d\n", 5+40*rng.Float64(), i, 1_700_000_000+int64(at*86400))
			if rng.Float64() < .1 {
				break
			}
		}
	}
	return b.String()
}

func TestProfileEvaluation(t *testing.T) {
	dir := t.TempDir()
	writeSet(t, filepath.Join(dir, "people"), "table.csv.gz", madeTable(600))
	writeSet(t, filepath.Join(dir, "shop"), "orders.csv", madeOrders(500))
	writeSet(t, filepath.Join(dir, "other"), "notes.txt", "nothing")
	sets, err := ReadProfileSets(dir, nil)
	if err != nil || len(sets) != 2 || sets[0].Name != "people" || len(sets[0].Rows) != 600 || sets[0].Features[4] != "discount" {
		t.Fatalf("%d sets, %v", len(sets), err)
	}
	var all []ProfileResult
	for _, s := range sets {
		r, err := EvaluateProfile(s, ProfileOptions{Groups: 4, Axes: 2, Shuffles: 5})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r...)
	}
	by := map[string]*ProfileResult{}
	for i := range all {
		by[all[i].Name+": "+all[i].Method] = &all[i]
	}
	at := func(name string) *ProfileResult {
		t.Helper()
		if by[name] == nil {
			t.Fatalf("no line %q in %v", name, all)
		}
		return by[name]
	}
	if r := at("people: ccipca"); r.Captured < .97 || r.Captured > 1+1e-9 || r.CapturedLo > r.CapturedMd || r.Explained <= 0 || r.Explained >= 1 {
		t.Errorf("%+v", r)
	}
	if r := at("people: frequent directions, 8 rows, 4 parts"); math.Abs(r.Captured-1) > 1e-9 { // more rows than features
		t.Errorf("%+v", r)
	}
	if r := at("people: online k-means"); r.SSE < 1-1e-9 || r.SSEWorst > 1.15 || len(r.Clusters) != 4 || r.Stability < .8 || r.Periods < 3 {
		t.Errorf("%+v", r)
	}
	model, table := at("shop: bg/nbd"), at("shop: bg/nbd from cohorts of 1 days")
	for _, naive := range []string{"shop: as often as before", "shop: the same for all", "shop: by recency alone"} {
		if r := at(naive); model.RMSE >= r.RMSE {
			t.Errorf("the model (%v) is no better than %q (%v)", model.RMSE, naive, r.RMSE)
		}
	}
	if math.Abs(model.R-table.R) > 1e-3 || math.Abs(model.Total-1) > .2 || model.AUC < .6 || at("shop: the same for all").AUC != .5 {
		t.Errorf("model %+v, from the table %+v", model, table)
	}
	if r := at("shop: online k-means by day"); r.Periods < 100 || r.Stability < .8 || len(r.Clusters) != 4 {
		t.Errorf("%+v", r)
	}
	var text, object bytes.Buffer
	if err := WriteProfileTable(&text, all); err != nil || !strings.Contains(text.String(), "Groups of people:") || !strings.Contains(text.String(), "shop, bg/nbd: r ") {
		t.Errorf("%v\n%s", err, &text)
	}
	if err := WriteProfileJSON(&object, all); err != nil {
		t.Fatal(err)
	}
	var back struct{ Sets []map[string]any }
	if err := json.Unmarshal(object.Bytes(), &back); err != nil || len(back.Sets) != len(all) || back.Sets[0]["name"] != "people" || back.Sets[0]["captured"] == nil {
		t.Errorf("%v\n%s", err, &object)
	}
}

// TestProfileJudge counts by hand.
func TestProfileJudge(t *testing.T) {
	people := []customer{{later: 0}, {later: 2}, {later: 1}, {later: 0}}
	said := []float64{1, 2, 1, 0}
	i := 0
	var r ProfileResult
	judge(&r, people, func(*customer) (float64, float64) {
		i++
		return said[i-1], said[i-1]
	})
	// Errors 1, 0, 0, 0. Of the four pairs of one who came and one who did not, three are
	// ranked rightly and one is a tie.
	if r.MAE != .25 || r.RMSE != .5 || math.Abs(r.Total-4./3) > 1e-12 || r.AUC != 3.5/4 {
		t.Errorf("%+v", r)
	}
}

func TestProfileHoldoutIsApart(t *testing.T) {
	day := int64(86_400_000)
	orders := []ProfileOrder{{"a", 0, 1}, {"a", day + 5, 1}, {"a", day + 9, 1}, {"b", 2 * day, 1}, {"a", 10 * day, 1}, {"a", 10*day + 3, 1}, {"new", 11 * day, 1}}
	people, cohorts := customersAt(orders, 10*day)
	if len(people) != 2 || people[0].spell.Repeats != 1 || people[0].later != 1 || people[1].later != 0 || cohorts.People() != 2 {
		t.Errorf("%+v", people)
	}
	if h := history(people[0].spell, 10*day); h.Last != 1./7 || h.Age != 9./7 {
		t.Errorf("%+v", h)
	}
}

func TestProfilePublicSets(t *testing.T) {
	dir := t.TempDir()
	films := filepath.Join(dir, "films")
	writeSet(t, films, "ml-100k.inter.gz", "user_id:token\titem_id:token\trating:float\ttimestamp:float\n7\t1\t5\t881\n7\t2\t3\t882\n9\t2\t3\t883\n")
	writeSet(t, films, "ml-100k.item", "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n1\t\"Toy\" Story\t1995\tComedy Drama\n2\tX\t1996\tDrama\n")
	s, err := ReadProfileSet(films)
	if err != nil || len(s.Rows) != 2 || s.Rows[0][0] != 1./3 || s.Rows[0][1] != 2./3 || s.Rows[1][1] != 1 || s.Features[0] != "Comedy" {
		t.Errorf("%+v, %v", s, err)
	}
	retail := filepath.Join(dir, "retail")
	writeSet(t, retail, "tx_a.csv.gz", "InvoiceNo,StockCode,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n1,a,2,2010-12-01 08:26:00,2.5,17,UK\n1,b,1,2010-12-01 08:26:00,1,17,UK\nC2,a,-2,2010-12-02 08:26:00,2.5,17,UK\n3,a,1,2010-12-03 08:26:00,2,,UK\n")
	s, err = ReadProfileSet(retail)
	if err != nil || len(s.Orders) != 1 || s.Orders[0].Amount != 6 || s.Orders[0].Customer != "17" || s.Orders[0].Time != 1291191960000 {
		t.Errorf("%+v, %v", s, err)
	}
	journey := filepath.Join(dir, "journey")
	writeSet(t, journey, "transactions_sample.csv", "\"household_id\",\"basket_id\",\"sales_value\",\"transaction_timestamp\"\n\"h\",\"b\",3.5,2017-01-28 14:06:53\n\"h\",\"b\",1,2017-01-28 14:06:53\n")
	s, err = ReadProfileSet(journey)
	if err != nil || len(s.Orders) != 1 || s.Orders[0].Amount != 4.5 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestProfileBadSets(t *testing.T) {
	n := 0
	f := func(name, text, want string) {
		t.Helper()
		n++
		dir := filepath.Join(t.TempDir(), "set")
		writeSet(t, dir, name, text)
		_, err := ReadProfileSet(dir)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
	f("table.csv", "", "header")
	f("table.csv", "a,b\n1,x\n", `row 2: "x" is no number`)
	f("table.csv", "a,b\n1,2\n3,NaN\n", `row 3: "NaN" is no number`)
	f("table.csv", "a,b\n1,2\n3\n", "row 3")
	f("table.csv", "name,b\nx,2\n", "1 features")
	f("orders.csv", "customer,time\na,b\n", `no column "amount"`)
	f("orders.csv", "customer,time,amount\na,yesterday,3\n", `"yesterday" is no time`)
	f("orders.csv", "customer,time,amount\na,2020-01-02,much\n", `"much" is no number`)
	f("orders.csv.gz.txt", "", "no data set")
	if _, err := ReadProfileSets(t.TempDir(), nil); !errors.Is(err, ErrProfileData) {
		t.Errorf("an empty folder: %v", err)
	}
	if _, err := ReadProfileSets(t.TempDir(), []string{"gone"}); !errors.Is(err, ErrProfileData) {
		t.Errorf("a name that is not there: %v", err)
	}
	if _, err := EvaluateProfile(&ProfileSet{Rows: make([][]float64, 3)}, ProfileOptions{}); !errors.Is(err, ErrProfileData) {
		t.Errorf("three rows: %v", err)
	}
}
