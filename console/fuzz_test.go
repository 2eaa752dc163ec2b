package console

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// FuzzTemplates sends any text through every field of every page: no panic, no
// markup of others, tags balanced, JSON valid.
func FuzzTemplates(f *testing.F) {
	for _, s := range []string{"", "Ana", evil, "</title><script>", "{{.View}}", "\xff\xfe", "a\r\nSet-Cookie: x", "javascript:alert(1)", "//evil.example", strings.Repeat("漢", 400), "\u2066\u202e", `"}]<!--`} {
		f.Add(s)
	}
	d := newDemo(1)
	c := newConsole(f, demoOptions(d)) // once: reading the templates takes longer than all else
	f.Fuzz(func(t *testing.T, s string) {
		m := &d.mails[0]
		*m = Mail{ID: m.ID, Subject: s, From: s, To: s, Pipeline: s, Kind: s, Decision: s, Notice: s, Personal: []string{s}, Text: s, HTML: s, Headers: []Header{{s, s}, {"List-Unsubscribe", s}}}
		d.snap = func(st *Snapshot) { st.State, st.Outcomes, st.Reasons = s, []Count{{s, 3}}, []Count{{s, 4}} }
		c.opt.Title, c.opt.Notice = s, s
		for _, target := range []string{"/", "/inbox", "/inbox/d9f3c", "/inbox/d9f3c?part=text", "/inbox/d9f3c?part=headers", "/inbox/d9f3c/html", "/items?id=" + url.QueryEscape(s)} {
			w := ask(t, c, "GET", target, nil, nil)
			if w.Code >= 500 {
				t.Fatalf("%s: %d", target, w.Code)
			}
			if strings.HasSuffix(target, "/html") {
				continue
			}
			wellFormed(t, target, w.Body.String())
			w = ask(t, c, "GET", target, nil, func(r *http.Request) { r.Header.Set("Accept", "application/json") })
			if !json.Valid(w.Body.Bytes()) {
				t.Fatalf("%s: no JSON: %s", target, w.Body)
			}
		}
		l := c.letterOf(DeadLetter{ID: s, Bytes: []byte(s)})
		if strings.ContainsAny(l.Bytes, "\x00\u202e") {
			t.Fatalf("bytes %q", l.Bytes)
		}
	})
}

// TestWild gives the console numbers that no engine should have.
func TestWild(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		share := rapid.Float64()
		id := rapid.SampledFrom([]string{"a", "b", "c", "d", ""})
		w := &wild{}
		for range rapid.IntRange(0, 8).Draw(rt, "nodes") {
			w.nodes = append(w.nodes, Node{ID: id.Draw(rt, "id"), Total: rapid.Uint64().Draw(rt, "total")})
		}
		for range rapid.IntRange(0, 12).Draw(rt, "edges") {
			w.edges = append(w.edges, Edge{From: id.Draw(rt, "from"), To: id.Draw(rt, "to"), Fill: share.Draw(rt, "fill"), Total: rapid.Uint64().Draw(rt, "total"), Feedback: rapid.Bool().Draw(rt, "back")})
		}
		c := newConsole(t, Options{Stats: w, Graph: w})
		for range 2 {
			c.sampler.take(t.Context())
		}
		body := ask(t, c, "GET", "/", nil, nil).Body.String()
		if strings.Contains(body, "NaN") || strings.Contains(body, "Inf") {
			rt.Fatal("a number that is none")
		}
		if w := ask(t, c, "GET", "/", nil, func(r *http.Request) { r.Header.Set("Accept", "application/json") }); !json.Valid(w.Body.Bytes()) {
			rt.Fatalf("no JSON: %s", w.Body)
		}
	})
}

type wild struct {
	none
	nodes []Node
	edges []Edge
}

func (w *wild) Graph() ([]Node, []Edge) { return w.nodes, w.edges }
