package console

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
)

// mood is how people speak; name may be an attacker's.
type mood struct {
	TonePicture
	err error
}

func (m mood) Tone(context.Context) (TonePicture, error) { return m.TonePicture, m.err }

func TestTonePage(t *testing.T) {
	f := func(m mood, code int, want ...string) {
		t.Helper()
		w := ask(t, newConsole(t, Options{Tone: m}), "GET", "/tone", nil, nil)
		body := w.Body.String()
		if w.Code != code {
			t.Errorf("got %d", w.Code)
		}
		if code == http.StatusOK {
			wellFormed(t, "/tone", body)
		}
		for _, s := range want {
			if !strings.Contains(body, s) {
				t.Errorf("lacks %q:\n%s", s, body)
			}
		}
		if strings.Contains(body, "<script>") {
			t.Error("lets markup through")
		}
	}
	days := []ToneDay{{Day: 20500, Texts: 3, Bad: 2, Mean: -.5}, {Day: 20501, Texts: 1, Mean: .5}}
	all := TonePicture{Listens: true, Model: "sentiment-1", Campaigns: []ToneCampaign{{Name: "cart", Days: days}, {Name: "-", Loose: true, Days: days[:1]}}}
	f(mood{TonePicture: all}, 200, "cart", "(no mail)", "-0.25", "-0.50", "2026-02-16: -0.50 of 3, 2 bad", `y="24"`, `y="12"`, "sentiment-1", `aria-current="page"`)
	all.Drift, all.Alarm = .3, true
	f(mood{TonePicture: all}, 200, "0.300", "train a new model")
	for range 3 * toneShown {
		days = append(days, ToneDay{Day: 20502, Texts: 1, Mean: 1})
	}
	f(mood{TonePicture: TonePicture{Listens: true, Campaigns: []ToneCampaign{{Name: "<script>alert(1)</script>", Days: days}}}}, 200, "&lt;script&gt;", "&#43;1.00", `x="236"`)
	f(mood{TonePicture: TonePicture{Listens: true}}, 200, "Nobody has written yet")
	f(mood{}, 200, "does not listen", "hold_after_bad")
	f(mood{err: errors.New("gone")}, 500)
	if got := ask(t, newConsole(t, Options{}), "GET", "/tone", nil, nil).Code; got != 404 {
		t.Errorf("without a source it answers %d", got)
	}
	w := ask(t, newConsole(t, Options{Tone: mood{TonePicture: all}}), "GET", "/tone", nil, func(r *http.Request) { r.Header.Set("Accept", "application/json") })
	var got toneView
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || len(got.Campaigns) != 2 || !got.Alarm {
		t.Errorf("as JSON: %v, %s", err, w.Body)
	}
}
