package console

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// trials are experiments made of fixed numbers; name may be an attacker's.
type trials struct {
	name  string
	units int64
	past  int
}

func (d *trials) Experiments(context.Context) ([]Experiment, error) {
	d.units++
	metrics := func(effect float64) []ExperimentMetric {
		return []ExperimentMetric{
			{Name: "order", Sum: 120, Mean: 0.1, Known: effect != 0, Effect: effect, Lo: effect - 0.01, Hi: effect + 0.01},
			{Name: "revenue", Sum: 512_000, Mean: 420.5, Money: true, Known: effect != 0, Effect: 12, Lo: -3, Hi: 27},
			{Name: "mails", Sum: 1420, Mean: 1.42, Plain: true, Known: effect != 0, Effect: 0.1, Lo: 0.05, Hi: 0.15},
			{Name: "unsubscribe", Sum: 9, Mean: 0.001, Known: effect != 0, Effect: 0.002, Lo: 0.001, Hi: 0.003},
		}
	}
	e := Experiment{
		Name: d.name, Goal: "order", Baseline: "control", At: demoTime, Days: 4.2, SharesP: 0.4, Late: 3,
		Arms: []ExperimentArm{
			{Name: "control", Share: 0.5, Units: d.units, Verdict: "collecting", P: 1, Metrics: metrics(0), Message: []byte(`{"n":1}`)},
			{Name: "short", Share: 0.5, Units: 1200, Verdict: "rollback", Stopped: "unsubscribe: " + d.name, P: 0.01, Metrics: metrics(0.03), Message: []byte(`{"n":2}`)},
		},
	}
	for i := range d.past {
		e.Past = append(e.Past, ExperimentPoint{At: demoTime.Add(time.Duration(i) * time.Minute), Effects: []ExperimentMetric{{}, metrics(0.03)[0]}})
	}
	return []Experiment{e}, nil
}

func TestExperimentsPage(t *testing.T) {
	c := newConsole(t, Options{Experiments: &trials{name: "words", past: 20}})
	body := ask(t, c, "GET", "/experiments", nil, nil).Body.String()
	wellFormed(t, "/experiments", body)
	for _, want := range []string{
		"words", "shares as planned", "rollback", "unsubscribe: words", "+3.00 pp", "+2.00 … +4.00", "5120.00", "<span>1.42</span>", "+0.05 … +0.15", "plot-ribbon", "baseline",
		`data-topic="experiments"`, `aria-current="page"`, "3 outcomes came too late", "/experiments/words/plot.svg",
	} {
		if !strings.Contains(body, want) && !strings.Contains(body, strings.ReplaceAll(want, "+", "&#43;")) {
			t.Errorf("the page lacks %q", want)
		}
	}
	svg := ask(t, c, "GET", "/experiments/words/plot.svg", nil, nil)
	if svg.Header().Get("Content-Type") != "image/svg+xml" || strings.Count(svg.Body.String(), "<path") != 3 {
		t.Errorf("the plot is %s", svg.Body.String())
	}
	if got := ask(t, c, "GET", "/experiments/other/plot.svg", nil, nil).Code; got != http.StatusNotFound {
		t.Errorf("a plot of nothing answers %d", got)
	}
	// Before there is anything to draw.
	c = newConsole(t, Options{Experiments: &trials{name: "words"}})
	if body := ask(t, c, "GET", "/experiments/words/plot.svg", nil, nil).Body.String(); !strings.Contains(body, "Nothing can be told yet.") {
		t.Errorf("the plot is %s", body)
	}
	if body := ask(t, newConsole(t, Options{}), "GET", "/", nil, nil).Body.String(); strings.Contains(body, "/experiments") {
		t.Error("a console without experiments links to them")
	}
}

// TestExperimentsHostile: names come from the configuration, and are escaped all the same.
func TestExperimentsHostile(t *testing.T) {
	d := &trials{name: evil, past: 20}
	c := newConsole(t, Options{Experiments: d})
	all, _ := d.Experiments(t.Context())
	for _, body := range []string{ask(t, c, "GET", "/experiments", nil, nil).Body.String(), string(plotFile(&all[0]))} {
		for _, bad := range []string{"<script>", "<img", "\u202e", "\x00"} {
			if strings.Contains(body, bad) {
				t.Errorf("%q in %s", bad, body)
			}
		}
	}
}

// TestExperimentStream: whoever listens gets each variant at once, then what changed, at
// most twice a second.
func TestExperimentStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConsole(t, Options{Experiments: &trials{name: "words"}})
		client, stopServer := pipeServer(t, c)
		defer stopServer()
		stopRun := startRun(t, c)
		defer stopRun()
		resp, err := client.Get("http://127.0.0.1:8080/experiments/stream")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		s := bufio.NewScanner(resp.Body)
		var events []string
		start, beats := time.Now(), 0
		for beats < 4 && s.Scan() {
			if strings.HasPrefix(s.Text(), ":") {
				beats++
			}
			if strings.HasPrefix(s.Text(), "event: ") || strings.HasPrefix(s.Text(), "data: ") {
				events = append(events, s.Text())
			}
		}
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("four beats came in %s", took)
		}
		want := `event: millrace.metrics.words.control|data: {"n":1}|event: millrace.metrics.words.short|data: {"n":2}`
		if got := strings.Join(events, "|"); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}
