package console

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
)

// crowd is a picture of segments made of fixed numbers; name may be an attacker's.
type crowd struct {
	name  string
	empty bool
	err   error
}

func (d crowd) Segments(context.Context) (SegmentPicture, error) {
	if d.empty || d.err != nil {
		return SegmentPicture{}, d.err
	}
	return SegmentPicture{
		People: 1200, Declared: []Segment{{Name: d.name, Note: `profile.ltv > 500 && "<b>" in profile.categories`, People: 300, Share: .25}},
		Groups:  []Segment{{Name: "high orders", Note: "orders +2.1", People: 700, Share: .6}, {Name: "typical", People: 500, Share: .4}},
		Version: 3, Before: 2, Stability: .87, Explained: .42, AxesShare: .51, At: demoTime,
		Map: []SegmentDot{{X: .5, Y: .5, Group: 0, People: 9}, {X: 1, Y: 0, Group: 1, People: 1}, {Group: 7, People: 1}, {Group: -1, People: 1}, {Group: 0}},
	}, nil
}

func (d crowd) Quality(context.Context) ([]SourceQuality, error) {
	if d.empty || d.err != nil {
		return nil, d.err
	}
	return []SourceQuality{
		{Source: d.name, Events: 1000, Problems: []QualityProblem{{"no currency", "missing", 400}, {"late", "late", 7}}},
		{Events: 3},
	}, nil
}

func TestSegmentsPages(t *testing.T) {
	f := func(d crowd, target string, code int, want ...string) {
		t.Helper()
		w := ask(t, newConsole(t, Options{Segments: d, Quality: d}), "GET", target, nil, nil)
		body := w.Body.String()
		if w.Code != code {
			t.Errorf("%s: %d", target, w.Code)
		}
		if code == http.StatusOK {
			wellFormed(t, target, body)
		}
		for _, s := range want {
			if !strings.Contains(body, s) {
				t.Errorf("%s lacks %q:\n%s", target, s, body)
			}
		}
		if strings.Contains(body, "<b>") || strings.Contains(body, "<script>") {
			t.Errorf("%s lets markup through", target)
		}
	}
	f(crowd{name: "vip"}, "/segments", 200, "vip", "25.0 %", "300", "profile.ltv &gt; 500", "Of 1\u202f200 people", "high orders", "orders &#43;2.1", "version 3",
		"against version 2 they agree by 0.87", "explain 42 %", "51 % of all", `cx="320" cy="200" r="11"`, "typical: 1", `aria-current="page"`)
	f(crowd{name: "<script>alert(1)</script>"}, "/segments", 200, "&lt;script&gt;")
	f(crowd{empty: true}, "/segments", 200, "declares no segments", "millrace segments cluster")
	f(crowd{err: errors.New("gone")}, "/segments", 500)
	f(crowd{name: "web"}, "/quality", 200, "web", "no currency", "missing", "400", "40 %", "tag-warn", "(unnamed)", "Nothing is wanting")
	f(crowd{name: "<script>"}, "/quality", 200, "&lt;script&gt;")
	f(crowd{empty: true}, "/quality", 200, "No event has come yet", "millrace dev")
	f(crowd{err: errors.New("gone")}, "/quality", 500)
	for _, target := range []string{"/segments", "/quality"} {
		if got := ask(t, newConsole(t, Options{}), "GET", target, nil, nil).Code; got != 404 {
			t.Errorf("%s without a source answers %d", target, got)
		}
		w := ask(t, newConsole(t, Options{Segments: crowd{name: "vip"}, Quality: crowd{name: "vip"}}), "GET", target, nil, func(r *http.Request) { r.Header.Set("Accept", "application/json") })
		var got map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || len(got) == 0 {
			t.Errorf("%s as JSON: %v, %s", target, err, w.Body)
		}
	}
}
