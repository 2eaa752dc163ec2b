package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"millrace/configs"
	"millrace/console"
	"millrace/operators/content"
	"millrace/operators/event"
	"millrace/operators/experiment"
)

// variantWriters adds a writer for each variant whose subject is not that of its journey.
func variantWriters(writers map[string]*content.Writer, j *configs.Journey) error {
	c := j.Content
	for name, v := range c.Variants {
		if v.Subject == "" || v.Subject == c.Subject {
			continue
		}
		w, err := newWriter(j, v.Subject)
		if err != nil {
			return fmt.Errorf("pipeline %s, variant %s: %w", j.Name, name, err)
		}
		writers[j.Name+"/"+name] = w
	}
	return nil
}

// publishStop puts a stop into the log, and tells the operator of the program.
func (a *app) publishStop(ctx context.Context, id string, data []byte) error {
	if _, err := a.events.Publish(ctx, "in.stop", id, data); err != nil {
		return err
	}
	var m struct{ Stop event.Stop }
	if err := json.Unmarshal(data, &m); err == nil {
		a.log.Warn("a guardrail stopped a variant", "experiment", m.Stop.Experiment, "variant", m.Stop.Variant, "metric", m.Stop.Metric, "reason", m.Stop.Reason)
	}
	return nil
}

// meterEvery keeps the promise of at most two messages a second for each variant.
const meterEvery = 500 * time.Millisecond

// pointsMax is how many moments a plot has. When they are full every second one is let go,
// so that a plot always covers the whole time since the start.
const pointsMax = 240

// metricsPrefix begins the subjects of the figures: they are published on NATS itself, not
// kept in the log.
const metricsPrefix = "millrace.metrics."

// metering looks at the committed figures of the experiments, and tells whoever listens
// what changed. Safe for concurrent use.
type metering struct {
	figures func() ([]experiment.Figures, error)
	publish func(subject string, data []byte) error
	log     *slog.Logger
	every   time.Duration

	mu     sync.Mutex
	latest []experiment.Figures
	past   map[string]*past // by experiment and phase
	failed bool             // the last look; said once
	heard  map[chan struct{}]bool
}

// Watch implements console.Watcher: the channel has a token when figures were taken that
// nobody has heard of yet.
func (m *metering) Watch() (<-chan struct{}, func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ch := make(chan struct{}, 1)
	m.heard[ch] = true
	return ch, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.heard, ch)
	}
}

// past are the figures of an experiment over time.
type past struct {
	points []experiment.Figures
	stride int // looks between two points
	looks  int
}

func (p *past) add(f experiment.Figures) {
	p.stride = max(p.stride, 1)
	if p.looks++; p.looks%p.stride != 0 {
		return
	}
	if len(p.points) >= pointsMax {
		kept := p.points[:0]
		for i := 1; i < len(p.points); i += 2 {
			kept = append(kept, p.points[i])
		}
		p.points, p.stride = kept, 2*p.stride
	}
	p.points = append(p.points, f)
}

// openMetering is done without any experiment as well: a later version of the pipelines may
// bring the first one.
func (a *app) openMetering(context.Context) error {
	a.metering = newMetering(func() ([]experiment.Figures, error) {
		v := a.engine.View()
		defer v.Close()
		return a.acts.current().pipeline.Figures(v)
	}, a.events.Announce, a.log)
	return nil
}

func newMetering(figures func() ([]experiment.Figures, error), publish func(string, []byte) error, log *slog.Logger) *metering {
	return &metering{figures: figures, publish: publish, log: log, every: meterEvery, past: make(map[string]*past), heard: make(map[chan struct{}]bool)}
}

// run looks twice a second until ctx ends.
func (m *metering) run(ctx context.Context) {
	tick := time.NewTicker(m.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			m.look()
		}
	}
}

// look takes the figures and publishes those of experiments that changed.
func (m *metering) look() {
	now, err := m.figures()
	if err == nil {
		err = m.tell(now)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil && !m.failed {
		m.log.Warn("the figures of the experiments cannot be told", "err", err)
	}
	m.failed = err != nil
}

func (m *metering) tell(now []experiment.Figures) error {
	var failed error
	news := false
	for i := range now {
		f := &now[i]
		if !m.changed(f) {
			continue
		}
		news = true
		for arm := range f.Arms {
			data, err := message(f, arm)
			if err == nil {
				err = m.publish(metricsPrefix+f.Experiment+"."+f.Arms[arm].Name, data)
			}
			if err != nil && failed == nil {
				failed = fmt.Errorf("publish figures of %s: %w", f.Experiment, err)
			}
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.latest = now
	for ch := range m.heard {
		if !news {
			break
		}
		select {
		case ch <- struct{}{}:
		default: // it has not heard of the last ones yet
		}
	}
	for key := range m.past { // of phases that are over
		if !slices.ContainsFunc(now, func(f experiment.Figures) bool { return f.Experiment+"@"+f.Phase == key }) {
			delete(m.past, key)
		}
	}
	return failed
}

// changed notes the figures and tells whether they are others than the last ones.
func (m *metering) changed(f *experiment.Figures) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := f.Experiment + "@" + f.Phase
	p := m.past[key]
	if p == nil {
		p = &past{}
		m.past[key] = p
		p.points = append(p.points, *f)
		return true
	}
	for i := range m.latest {
		if o := &m.latest[i]; o.Experiment == f.Experiment && o.Looks == f.Looks && o.Stopped == f.Stopped && sameCounts(o, f) {
			return false
		}
	}
	p.add(*f)
	return true
}

func sameCounts(a, b *experiment.Figures) bool {
	if len(a.Arms) != len(b.Arms) || a.Late != b.Late || a.TooMany != b.TooMany {
		return false
	}
	for i := range a.Arms {
		x, y := &a.Arms[i], &b.Arms[i]
		if x.Units != y.Units || x.Verdict != y.Verdict || x.Stopped != y.Stopped {
			return false
		}
		for j := range x.Metrics {
			if x.Metrics[j].Sum != y.Metrics[j].Sum {
				return false
			}
		}
	}
	return true
}

// snapshot are the newest figures and those of the past, by experiment.
func (m *metering) snapshot() ([]experiment.Figures, map[string][]experiment.Figures) {
	m.mu.Lock()
	defer m.mu.Unlock()
	points := make(map[string][]experiment.Figures, len(m.past))
	for i := range m.latest {
		f := &m.latest[i]
		if p := m.past[f.Experiment+"@"+f.Phase]; p != nil {
			points[f.Experiment] = append(append([]experiment.Figures(nil), p.points...), *f)
		}
	}
	return append([]experiment.Figures(nil), m.latest...), points
}

// consoleExperiments shows the figures to the console.
type consoleExperiments struct {
	m *metering
	a *app
}

// Watch implements console.Watcher.
func (c consoleExperiments) Watch() (<-chan struct{}, func()) { return c.m.Watch() }

// Experiments implements console.Experiments.
func (c consoleExperiments) Experiments(context.Context) ([]console.Experiment, error) {
	all, points := c.m.snapshot()
	out := make([]console.Experiment, 0, len(all))
	for i := range all {
		f := &all[i]
		e := console.Experiment{
			Name: f.Experiment, Phase: f.Phase, Goal: f.Goal, Baseline: f.Baseline, At: when(f.Watermark), Days: f.Days,
			SharesP: f.SharesP, Stopped: f.Stopped, Late: f.Late + f.TooMany,
		}
		for arm := range f.Arms {
			a, err := consoleArm(f, arm)
			if err != nil {
				return nil, err
			}
			e.Arms = append(e.Arms, a)
		}
		for _, p := range points[f.Experiment] {
			e.Past = append(e.Past, consolePoint(&p))
		}
		out = append(out, e)
	}
	return out, nil
}

func consoleArm(f *experiment.Figures, arm int) (console.ExperimentArm, error) {
	a := &f.Arms[arm]
	out := console.ExperimentArm{Name: a.Name, Share: a.Share, Units: a.Units, Verdict: string(a.Verdict), Stopped: a.Stopped, P: a.P}
	for i := range a.Metrics {
		out.Metrics = append(out.Metrics, consoleMetric(&a.Metrics[i]))
	}
	if l := a.Incremental; l != nil {
		out.Incremental = &console.Incremental{Revenue: l.Revenue, Lo: l.Lo, Hi: l.Hi, Attributed: float64(l.Attributed)}
	}
	var err error
	out.Message, err = message(f, arm)
	return out, err
}

func consoleMetric(m *experiment.Figure) console.ExperimentMetric {
	out := console.ExperimentMetric{Name: m.Name, Sum: m.Sum, Mean: m.Mean}
	switch m.Name {
	case experiment.MetricRevenue, experiment.MetricRevenuePerMail, experiment.MetricAttributedRevenue:
		out.Money = true
	case experiment.MetricMails, experiment.OutcomeTone:
		out.Plain = true
	}
	if m.Effect != nil && m.Lo != nil && m.Hi != nil {
		out.Known, out.Effect, out.Lo, out.Hi = true, *m.Effect, *m.Lo, *m.Hi
	}
	return out
}

func consolePoint(f *experiment.Figures) console.ExperimentPoint {
	p := console.ExperimentPoint{At: when(f.Watermark)}
	for arm := range f.Arms {
		var goal console.ExperimentMetric
		if m := f.Arms[arm].Metric(f.Goal); m != nil {
			goal = consoleMetric(m)
		}
		p.Effects = append(p.Effects, goal)
	}
	return p
}

// message is what is published of one arm: complete in itself, without the other arms.
func message(f *experiment.Figures, arm int) ([]byte, error) {
	one := *f
	one.Arms = f.Arms[arm : arm+1]
	return json.Marshal(one)
}
