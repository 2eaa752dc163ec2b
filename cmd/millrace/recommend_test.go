package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestSplitSession(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		if got := strings.Join(splitSession(in), "|"); got != want {
			t.Fatalf("%q: %q, want %q", in, got, want)
		}
	}
	f("", "")
	f(" , ,", "")
	f("a", "a")
	f("a, b ,,c", "a|b|c")
	if got := splitSession(strings.Repeat("old,", sessionMax) + "new"); len(got) != sessionMax || got[sessionMax-1] != "new" {
		t.Fatalf("%d items, last %s", len(got), got[len(got)-1])
	}
}

// TestRecommendHTTP asks the console's address of a running program.
func TestRecommendHTTP(t *testing.T) {
	r := start(t, settings{files: files{t.TempDir()}, console: "127.0.0.1:0", http: "127.0.0.1:0", writeKeys: []string{"wk_shop"}})
	code, body := ask(t, http.MethodPost, "http://"+r.listeners["http"].Addr().String()+"/v1/batch", "application/json", `{"writeKey":"wk_shop","batch":[
		{"type":"track","messageId":"1","userId":"ann","event":"Order Completed","properties":{"order_id":"o1","products":[{"product_id":"A","name":"Axe","category":"Tools"},{"product_id":"B","name":"Bow"}]}},
		{"type":"track","messageId":"2","userId":"eve","event":"Order Completed","properties":{"order_id":"o2","products":[{"product_id":"C","name":"Cup"}]}},
		{"type":"track","messageId":"3","userId":"joe","event":"Order Completed","properties":{"order_id":"o3","products":[{"product_id":"D","name":"Drill","category":"Tools"}]}},
		{"type":"track","messageId":"4","userId":"ann","event":"Product Viewed","properties":{"product_id":"A"}}]}`)
	if code != http.StatusOK {
		t.Fatalf("%d %s", code, body)
	}
	get := func(query string) (int, recommendView, string) {
		t.Helper()
		code, body := ask(t, http.MethodGet, "http://"+r.listeners["console"].Addr().String()+"/api/recommend?"+query, "", "")
		var v recommendView
		if err := json.Unmarshal([]byte(body), &v); err != nil {
			t.Fatalf("%s: %v in %s", query, err, body)
		}
		return code, v, body
	}
	r.until("the orders are known", func() bool {
		code, v, _ := get("session=A&n=3")
		return code == http.StatusOK && len(v.Items) == 3 && strings.Contains(v.Items[0].Why, "together") && strings.Contains(v.Items[1].Why, "similar") // items are written behind
	})
	f := func(query, want string) {
		t.Helper()
		code, v, body := get(query)
		var got []string
		for _, i := range v.Items {
			got = append(got, i.ID+": "+i.Why)
		}
		if g := strings.Join(got, "; "); code != http.StatusOK || g != want {
			t.Errorf("%s: %d %q, want %q\n%s", query, code, g, want, body)
		}
	}
	f("session=A&n=3&explain=1", "B: bought together with Axe in 1 order; D: similar to Axe; C: popular")
	f("session=A,B&n=3&explain=1", "D: similar to Axe; C: popular")
	f("session=A&n=1", "B: bought together with Axe")
	f("item=B&n=1&explain=1", "A: bought together with Bow in 1 order")
	f("user=ann&explain=1", "D: similar to Axe; C: popular") // A and B are bought
	if _, v, body := get("user=stranger&n=2"); !v.Cold || len(v.Items) != 2 || strings.Contains(body, `"into"`) {
		t.Errorf("a stranger: %s", body)
	}
	bad := func(query string, want int) {
		t.Helper()
		code, _, body := get(query)
		if code != want || !strings.Contains(body, `"error"`) {
			t.Errorf("%s: %d %s, want %d", query, code, body, want)
		}
	}
	bad("", 400)
	bad("user=a&item=b", 400)
	bad("session=A&n=0", 400)
	bad("session=A&n=101", 400)
	bad("session=A&n=x", 400)
	bad("user="+strings.Repeat("x", recommendIDMax+1), 400)
	bad("item=nobody", 404)
	if code, _ := ask(t, http.MethodPost, "http://"+r.listeners["console"].Addr().String()+"/api/recommend?session=A", "", ""); code == http.StatusOK {
		t.Error("a POST was answered")
	}
}

// TestBenchRecommend runs the measurement in small: every question is answered.
func TestBenchRecommend(t *testing.T) {
	b := recommendBench{Items: 100, Sessions: 200, Rate: 50, Seconds: 1, Warm: 1}
	var phases []string
	b.Progress = func(phase string, _, _ int) {
		if !slices.Contains(phases, phase) {
			phases = append(phases, phase)
		}
	}
	r, err := b.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if r.Asked != 50 || r.Failed != 0 || r.Recorded < 10 || r.Clicks < 400 || r.P50 <= 0 || r.P50 > r.P99 || r.P99 > r.Max || r.Cold <= 0 || len(phases) != 2 {
		t.Fatalf("%+v, %v", r, phases)
	}
}
