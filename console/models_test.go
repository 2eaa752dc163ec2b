package console

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strings"
	"testing"
)

// shelf is a list of models made of fixed ones; name may be an attacker's.
type shelf struct {
	name string
	err  error
}

func (s shelf) Models(context.Context) ([]ModelKind, error) {
	if s.err != nil {
		return nil, s.err
	}
	return []ModelKind{
		{Name: s.name, Note: "writes the lines of mails", Versions: []ModelVersion{
			{Version: "subject-00000001", Bytes: 815024, Metrics: []ModelMetric{{"held_out_loss", .6466}}},
			{Version: "subject-00000002", At: demoTime, InUse: true, Data: "the shop's <b>lines</b>", Metrics: []ModelMetric{{"control", .995}, {"pairs", 16030}},
				Curves: []ModelCurve{
					{Name: "loss", Steps: []int64{0, 100, 200}, Values: []float64{5, 2, 1}},
					{Name: "broken", Steps: []int64{0, 1}, Values: []float64{1, math.NaN()}},
					{Name: "short", Steps: []int64{0}, Values: []float64{1}},
				}},
		}, Promotions: []ModelPromotion{{Version: "subject-00000002", At: demoTime}, {At: demoTime, Rollback: true}}},
		{Name: "headline", Note: "ranks subjects"},
	}, nil
}

func TestModelsPage(t *testing.T) {
	f := func(s shelf, code int, want ...string) {
		t.Helper()
		w := ask(t, newConsole(t, Options{Models: s}), "GET", "/models", nil, nil)
		body := w.Body.String()
		if w.Code != code {
			t.Errorf("%d", w.Code)
		}
		if code == http.StatusOK {
			wellFormed(t, "/models", body)
		}
		for _, s := range want {
			if !strings.Contains(body, s) {
				t.Errorf("lacks %q:\n%s", s, body)
			}
		}
		if strings.Contains(body, "<b>") || strings.Contains(body, "<script>") || strings.Contains(body, "broken") || strings.Contains(body, "short: ") {
			t.Errorf("markup, or a curve that cannot be drawn: %s", body)
		}
	}
	f(shelf{name: "subject"}, 200, "subject-00000001", "with the program", "in use", "held_out_loss 0.6466", "control 0.995", "pairs 16\u202f030",
		`d="M4 4L160 65.5L316 86"`, "loss: from 5 to 1, at least 1, in 200 steps", "back to what came with the program", "815\u202f024", `aria-current="page"`,
		"ranks subjects", "millrace model train headline")
	f(shelf{name: "<script>alert(1)</script>"}, 200, "&lt;script&gt;")
	f(shelf{err: errors.New("gone")}, 500)
	if got := ask(t, newConsole(t, Options{}), "GET", "/models", nil, nil).Code; got != 404 {
		t.Errorf("without a source it answers %d", got)
	}
	w := ask(t, newConsole(t, Options{Models: shelf{name: "subject"}}), "GET", "/models", nil, func(r *http.Request) { r.Header.Set("Accept", "application/json") })
	var got modelsView
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || len(got.Kinds) != 2 || len(got.Kinds[0].Versions) != 2 || got.Kinds[0].Versions[0].Version != "subject-00000002" {
		t.Errorf("%v, %+v", err, got)
	}
}
