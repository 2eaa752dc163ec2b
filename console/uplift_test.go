package console

import (
	"bufio"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// learnt are experiments with a holdout of which is known for whom their mails pay.
type learnt struct {
	trials
	uplift  *Uplift
	failed  error
	changed chan struct{}
	message string
	stopped bool
}

func (d *learnt) Experiments(ctx context.Context) ([]Experiment, error) {
	all, err := d.trials.Experiments(ctx)
	all[0].Arms[1].Name, all[0].Arms[1].Stopped = "holdout", ""
	all[0].Arms[0].Incremental = &Incremental{Revenue: 12_345, Lo: -100, Hi: 30_000, Attributed: 45_600}
	if d.message != "" {
		all[0].Arms[0].Message = []byte(d.message)
	}
	return all, err
}

func (d *learnt) Uplift(context.Context, string) (*Uplift, error) { return d.uplift, d.failed }

func (d *learnt) Watch() (<-chan struct{}, func()) {
	return d.changed, func() { d.stopped = true }
}

func upliftCurve(name string) *Uplift {
	u := &Uplift{Name: name, Goal: "revenue", Learner: "X-learner", Money: true, People: 1234, Qini: 12, Lo: 3, Hi: 21, Sure: true}
	for i := range 11 {
		x := float64(i) / 10
		u.Curve = append(u.Curve, UpliftPoint{Share: x, Gain: 200 * x * (1.6 - x), Lo: 200*x*(1.6-x) - 30*x, Hi: 200*x*(1.6-x) + 30*x})
	}
	return u
}

// TestUpliftPage: the page links to the curve and says what came beyond the holdout; the
// curve is well formed, and says so while nothing is known.
func TestUpliftPage(t *testing.T) {
	d := &learnt{trials: trials{name: "words"}, uplift: upliftCurve("words")}
	c := newConsole(t, Options{Experiments: d})
	body := ask(t, c, "GET", "/experiments", nil, nil).Body.String()
	wellFormed(t, "/experiments", body)
	for _, want := range []string{`src="/experiments/words/uplift.svg"`, "123.45 beyond the holdout (-1.00 … &#43;300.00); 456.00 is credited to its mails"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	all, _ := d.Experiments(t.Context())
	all[0].Arms[0].Metrics = append(all[0].Arms[0].Metrics, ExperimentMetric{Name: "sent", Sum: 1000}, ExperimentMetric{Name: "open", Sum: 400}, ExperimentMetric{Name: "click", Sum: 100})
	got := strings.Join(campaignOf(&all[0]).Cells[1:], " ")
	if want := "1420 1000 0.00% 40.00% 10.00% 25.00% 12.00% 5120.00 3.61 0.90% 0.00%"; got != want {
		t.Errorf("the campaign is %s, want %s", got, want)
	}
	f := func(want string) {
		t.Helper()
		w := ask(t, c, "GET", "/experiments/words/uplift.svg", nil, nil)
		svg := w.Body.String()
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "image/svg+xml" || !strings.Contains(svg, want) {
			t.Errorf("%d: %s, want %q", w.Code, svg, want)
		}
		for d := xml.NewDecoder(strings.NewReader(svg)); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%v in %s", err, svg)
			}
		}
	}
	f("by X-learner, 1234 people: Qini +0.12, between +0.03 and +0.21, better than chance")
	d.uplift.Name = `<script>"&`
	f("&lt;script&gt;")
	d.uplift.Curve = nil
	f("Nothing can be told yet")
	d.uplift = nil
	f("Nothing can be told yet")
	d.failed = errors.New("too few people")
	f("Nothing can be told yet")
	if got := ask(t, c, "GET", "/experiments/other/uplift.svg", nil, nil).Code; got != http.StatusNotFound {
		t.Errorf("a curve of nothing answers %d", got)
	}
	c = newConsole(t, Options{Experiments: &trials{name: "words"}})
	if got := ask(t, c, "GET", "/experiments/words/uplift.svg", nil, nil).Code; got != http.StatusNotFound {
		t.Errorf("a source that knows none answers %d", got)
	}
	if body := ask(t, c, "GET", "/experiments", nil, nil).Body.String(); strings.Contains(body, "uplift.svg") {
		t.Error("the page links to a curve that there is not")
	}
}

// TestExperimentStreamWatch: a change is streamed at once, not at the next beat.
func TestExperimentStreamWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &learnt{trials: trials{name: "words"}, changed: make(chan struct{}, 1)}
		c := newConsole(t, Options{Experiments: d, Every: time.Hour})
		client, stopServer := pipeServer(t, c)
		defer stopServer()
		stopRun := startRun(t, c)
		resp, err := client.Get("http://127.0.0.1:8080/experiments/stream")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		s := bufio.NewScanner(resp.Body)
		next := func() string {
			for s.Scan() {
				if data, ok := strings.CutPrefix(s.Text(), "data: "); ok {
					return data
				}
			}
			return "the end"
		}
		if got := next() + next(); got != `{"n":1}{"n":2}` {
			t.Errorf("at first: %s", got)
		}
		start := time.Now()
		d.message = `{"n":3}`
		d.changed <- struct{}{}
		if got := next(); got != `{"n":3}` || time.Since(start) != 0 {
			t.Errorf("%s after %s", got, time.Since(start))
		}
		stopRun()
		synctest.Wait()
		if !d.stopped {
			t.Error("nobody stopped watching")
		}
	})
}
