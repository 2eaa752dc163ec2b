package experiment_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"millrace/engine"
	"millrace/engine/enginetest"
	"millrace/operators/event"
	"millrace/operators/experiment"
	"millrace/state"
)

// step is one unit of the logs of these tests: an exposure, an outcome, or the sums of many
// units.
type step struct {
	Key      string // person, or experiment for a batch
	At       int64
	Decide   string              `json:",omitempty"` // a decision to mail
	Outcome  *experiment.Outcome `json:",omitempty"`
	Mail     string              `json:",omitempty"` // whose outcome it is
	Batch    []batch             `json:",omitempty"` // by arm
	Stop     *event.Stop         `json:",omitempty"`
	Steer    *event.Steer        `json:",omitempty"`
	Features []int64             `json:",omitempty"`
	// MergeInto is the person whom this one turned out to be.
	MergeInto string `json:",omitempty"`
}

// batch are units of an arm, of which some did what the metrics ask for.
type batch struct {
	Units, Orders, Unsubscribes int
}

type steps struct{}

func (steps) Decode(dst []engine.Unit, m *engine.Message) []engine.Unit {
	s := new(step)
	if err := json.Unmarshal(m.Data, s); err != nil {
		panic("BUG: " + err.Error())
	}
	return append(dst, engine.Unit{Time: s.At, Received: s.At, Value: s})
}

// rig is the real operators in a real engine.
type rig struct {
	mu      sync.Mutex // of reasons
	graph   *engine.Graph
	desk    *experiment.Desk
	totals  *experiment.Totals
	stopper *experiment.Stopper
	joins   *engine.Stage[*event.Handover] // the log, in the program
	reasons map[string]string              // of decisions
	decided func(d *event.Decision, features []int64)
}

// person is the operator that decides and observes, as those of the person stage do.
type person struct{ rig *rig }

func (p person) Process(c *engine.Ctx, s *step) {
	if s.MergeInto != "" {
		h := &event.Handover{ID: "h", From: c.Key(), To: s.MergeInto}
		p.rig.desk.Leave(c, h)
		p.rig.joins.Send(c, h.To, h)
	}
	if s.Steer != nil {
		p.rig.desk.Hear(c, s.Steer)
		return
	}
	if s.Decide != "" {
		d := event.Decision{ID: s.Decide, Person: s.Key, Pipeline: "p", Decided: s.At}
		why := p.rig.desk.Enrol(c, &d, nil, s.Features) + "/" + d.Variant
		p.rig.mu.Lock()
		p.rig.reasons[s.Decide] = why
		if p.rig.decided != nil {
			p.rig.decided(&d, s.Features)
		}
		p.rig.mu.Unlock()
	}
	if s.Outcome != nil {
		p.rig.desk.Observe(c, s.Mail, *s.Outcome)
	}
}

// joins takes over what was handed over.
type joins struct{ rig *rig }

func (j joins) Process(c *engine.Ctx, h *event.Handover) { j.rig.desk.Join(c, h) }

func newRig(running map[string]*experiment.Running, cache int) *rig {
	r := &rig{reasons: make(map[string]string)}
	var people *engine.Stage[*step]
	var totals *engine.Stage[*experiment.Move]
	var stops *engine.Stage[*event.Stop]
	r.graph = engine.NewGraph(func(c *engine.Ctx, u *engine.Unit) {
		s := u.Value.(*step)
		switch {
		case s.Stop != nil:
			stops.Send(c, s.Stop.Experiment, s.Stop)
			w := &event.Steer{Experiment: s.Stop.Experiment, Kind: event.SteerStop, Variant: s.Stop.Variant, Reason: s.Stop.Metric, At: s.Stop.At}
			r.desk.Tell(c, w, func(key string) { people.Send(c, key, &step{Steer: w}) })
		case s.Steer != nil:
			r.desk.Tell(c, s.Steer, func(key string) { people.Send(c, key, &step{Steer: s.Steer}) })
		case s.Batch != nil:
			totals.Send(c, s.Key, &experiment.Move{Arm: -1, At: s.At, Batch: sumsOf(s.Batch)})
		default:
			people.Send(c, s.Key, s)
		}
	})
	stops = engine.AddStage[*event.Stop](r.graph, "stop")
	people = engine.AddStage[*step](r.graph, "person")
	r.joins = engine.AddStage[*event.Handover](r.graph, "joins")
	r.joins.Use("join", joins{r})
	totals = engine.AddStage[*experiment.Move](r.graph, "experiment")
	r.stopper = experiment.NewStopper()
	r.desk = experiment.NewDesk(running, totals, cache)
	r.totals = experiment.NewTotals(running)
	people.Use("test", person{r})
	stops.Use("experiment", r.stopper)
	totals.Use("progress", r.totals)
	r.graph.Keep(r.desk.Cell, r.desk.Steering, r.stopper.Cell, r.totals.Cell)
	return r
}

// sumsOf makes the sums of batches, over the metrics of trial.
func sumsOf(all []batch) *experiment.Tally {
	metrics := experiment.Watch(nil)
	t, err := experiment.NewTally(len(all), len(metrics))
	if err != nil {
		panic("BUG: " + err.Error())
	}
	for arm, b := range all {
		for i, m := range metrics {
			k := map[string]int{experiment.OutcomeOrder: b.Orders, experiment.OutcomeUnsubscribe: b.Unsubscribes}[m.Name]
			if m.Name == experiment.MetricRevenue {
				k = 0
			}
			c := t.Cell(arm, i)
			c.N = int64(b.Units)
			c.Sums[experiment.Value] = experiment.WideOf(int64(k))
			c.Products[0] = experiment.WideOf(int64(k))
		}
	}
	return t
}

// trial is an experiment of two arms whose goal is the order.
func trial(t testing.TB, name string, holdout float64) *experiment.Running {
	t.Helper()
	r := &experiment.Running{
		Experiment: experiment.Experiment{
			Name: name, Seed: name, Coverage: 1, Variants: []experiment.Variant{{Name: "control", Weight: 0.5}, {Name: "new", Weight: 0.5}},
		},
		Metrics: experiment.Watch(nil), Goal: 3, TuningN: 10000,
	}
	if holdout > 0 {
		r.Holdouts = []experiment.Holdout{{Seed: "h", Share: holdout}}
	}
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	return r
}

// processed is what a run leaves behind.
type processed struct {
	dump    []string
	read    func(key string) experiment.Progress
	reasons map[string]string
	stops   []event.Stop
}

// cut is how a log is processed, which must not change what comes of it.
type cut struct {
	Epoch, Cache, Crash, Parallel int
	Stops                         bool                  // a stop goes into the log, as in the program
	Engine                        func(*engine.Options) // how else the engine runs, such as its workers
}

var errCrash = errors.New("crash")

type crashing struct {
	*state.Store
	left int
}

func (f *crashing) Commit(ctx context.Context, r *state.Record) error {
	if f.left--; f.left == 0 {
		return errCrash
	}
	return f.Store.Commit(ctx, r)
}

func process(t rapid.TB, running map[string]*experiment.Running, all []step, c cut) processed {
	t.Helper()
	store, err := state.Open(state.Options{MemTable: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	log := enginetest.NewLog()
	for i := range all {
		raw, err := json.Marshal(all[i])
		if err != nil {
			t.Fatal(err)
		}
		log.Append(int64(i), raw)
	}
	out := processed{reasons: make(map[string]string)}
	var last *rig
	for crash := c.Crash; ; crash = 0 {
		last = newRig(running, c.Cache)
		o := engine.Options{
			Source: log, Store: store, Decoder: steps{}, Graph: last.graph, EpochEvents: c.Epoch, Parallel: c.Parallel, Once: true, LogEnd: log.Last, OutOfOrder: time.Minute,
			Handlers: map[string]engine.Handler{experiment.EffectStop: func(_ context.Context, _ *engine.View, row engine.Row) (engine.Result, time.Duration, error) {
				var s event.Stop
				if err := json.Unmarshal(row.Body, &s); err != nil {
					return engine.Again, time.Hour, err
				}
				out.stops = append(out.stops, s)
				if c.Stops {
					raw, err := json.Marshal(step{At: s.At, Stop: &s})
					if err != nil {
						return engine.Again, time.Hour, err
					}
					log.Append(1, raw)
				}
				return engine.Removed, 0, nil
			}},
		}
		for _, kind := range []string{experiment.EffectSteer, experiment.EffectNotice} {
			o.Handlers[kind] = func(context.Context, *engine.View, engine.Row) (engine.Result, time.Duration, error) {
				return engine.Removed, 0, nil
			}
		}
		if crash > 0 {
			o.Committer = &crashing{store, crash}
		}
		o.Workers = 1
		if c.Engine != nil {
			c.Engine(&o)
		}
		e, err := engine.Open(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		err = e.Run(context.Background())
		maps.Copy(out.reasons, last.reasons)
		if err == nil {
			break
		}
		if !errors.Is(err, errCrash) {
			t.Fatal(err)
		}
	}
	if out.dump, err = enginetest.Dump(store, state.SpaceCells); err != nil {
		t.Fatal(err)
	}
	final := map[string]experiment.Progress{}
	v := store.Snapshot()
	defer v.Close()
	for _, r := range running {
		p, _, err := last.totals.Cell.View(v, r.Key())
		if err != nil {
			t.Fatal(err)
		}
		final[r.Key()] = p
	}
	out.read = func(key string) experiment.Progress { return final[key] }
	return out
}

// TestEngineNull looks 200 times, after each 100 units an arm, at experiments whose arms
// are the same, through the operator in the engine: at most 6.7 % may be called at .05, and
// of the shares at most .1 % at .001.
func TestEngineNull(t *testing.T) {
	rng, n := rand.New(rand.NewPCG(11, 12)), runs(100, 1500)
	per, split := newBinomial(100, 0.1), newBinomial(200, 0.5)
	running := make(map[string]*experiment.Running)
	for i := range n {
		running[strconv.Itoa(i)] = trial(t, "e"+strconv.Itoa(i), 0)
	}
	called, naive, shares := 0, 0, 0
	for i := range n {
		r := running[strconv.Itoa(i)]
		var all []step
		var ka, kb, units float64
		hit := false
		for look := range 200 {
			a := int(split.draw(rng)) // units arrive by chance
			b := 200 - a
			oa, ob := int(per.draw(rng)), int(per.draw(rng))
			oa, ob = min(oa*a/100, a), min(ob*b/100, b)
			all = append(all, step{Key: r.Key(), At: int64(look+1) * 60_000, Batch: []batch{{Units: a, Orders: oa}, {Units: b, Orders: ob}}})
			ka, kb, units = ka+float64(oa), kb+float64(ob), units+100
			if e, err := experiment.Absolute(experiment.ShareOf(units, ka), experiment.ShareOf(units, kb)); err == nil {
				hit = hit || e.Fixed(0.05).P < 0.05
			}
		}
		p := process(t, map[string]*experiment.Running{"p": r}, all, cut{}).read(r.Key())
		if p.Looks != 200 {
			t.Fatalf("%d looks", p.Looks)
		}
		called += count(p.Least[1] < 0.05)
		shares += count(p.SRM < 0.001)
		naive += count(hit)
	}
	t.Logf("%d null experiments of 200 looks through the engine: called %d, shares %d, by the plain t-test %d", n, called, shares, naive)
	if float64(called) > 0.067*float64(n) || float64(shares) > 0.001*float64(n) {
		t.Errorf("called %d and shares %d of %d, want at most 6.7 %% and .1 %%", called, shares, n)
	}
	if float64(naive) < 0.25*float64(n) {
		t.Errorf("the plain test calls only %d: the simulation has no teeth", naive)
	}
}

// TestEngineGuardrail raises unsubscribes from .1 % to .4 %: the arm must be stopped, at a
// median of at most 8,000 sends an arm, and of equal arms at most one in twenty.
func TestEngineGuardrail(t *testing.T) {
	rng, n := rand.New(rand.NewPCG(13, 14)), runs(20, 400)
	simulate := func(rate float64) (at []int, stopped int) {
		control, harm := newBinomial(100, 0.001), newBinomial(100, rate)
		for i := range n {
			r := trial(t, "g"+strconv.Itoa(i), 0)
			var all []step
			for look := range 200 {
				all = append(all, step{Key: r.Key(), At: int64(look+1) * 60_000, Batch: []batch{
					{Units: 100, Unsubscribes: int(control.draw(rng))}, {Units: 100, Unsubscribes: int(harm.draw(rng))},
				}})
			}
			out := process(t, map[string]*experiment.Running{"p": r}, all, cut{})
			p := out.read(r.Key())
			if (p.Alerts[1].Metric != "") != (len(out.stops) == 1) {
				t.Fatalf("alert %+v, stops %+v", p.Alerts[1], out.stops)
			}
			if len(out.stops) == 1 {
				if out.stops[0].Variant != "new" || out.stops[0].Metric != experiment.OutcomeUnsubscribe {
					t.Fatalf("stopped %+v", out.stops[0])
				}
				stopped++
				at = append(at, int(p.Alerts[1].At/60_000+2)*100) // the watermark trails by a look
			} else {
				at = append(at, 1<<30)
			}
		}
		slices.Sort(at)
		return at, stopped
	}
	at, stopped := simulate(0.004)
	_, wrong := simulate(0.001)
	t.Logf("of %d: unsubscribes of .4 %% stopped %d within 20,000 sends an arm, median %d; of equal arms %d", n, stopped, at[n/2], wrong)
	if at[n/2] > 8000 || float64(wrong) > 0.05*float64(n) {
		t.Errorf("median %d sends an arm, want at most 8,000; %d of %d wrongly", at[n/2], wrong, n)
	}
}

// story makes the life of some people: who is decided about, what they do, some of it
// twice, some taken back.
func story(rng *rand.Rand, people int) (decisions, outcomes []step) {
	for i := range people {
		who, id := "p"+strconv.Itoa(i), "d"+strconv.Itoa(i)
		at := int64(1_000_000 + rng.IntN(1000))
		decisions = append(decisions, step{Key: who, At: at, Decide: id})
		for j := range rng.IntN(5) {
			name := []string{experiment.OutcomeClick, experiment.OutcomeOrder, experiment.OutcomeUnsubscribe, experiment.OutcomeOpen}[rng.IntN(4)]
			o := experiment.Outcome{ID: experiment.Hash(name, id+strconv.Itoa(j)), Name: name, At: at + int64(rng.IntN(50_000)), Amount: int64(1 + rng.IntN(9000))}
			s := step{Key: who, At: 1_050_000, Outcome: &o}
			if name != experiment.OutcomeOrder {
				s.Mail, o.Amount = id, 1
				if rng.IntN(4) == 0 {
					s.Mail = "another" // of no experiment of this one
				}
			}
			outcomes = append(outcomes, s)
			if rng.IntN(3) == 0 {
				outcomes = append(outcomes, s)
			}
			if rng.IntN(3) == 0 {
				outcomes = append(outcomes, step{Key: who, At: 1_050_000, Outcome: &experiment.Outcome{ID: o.ID, Name: name, Gone: true}})
			}
		}
	}
	return decisions, outcomes
}

// TestEngineSameSums: the sums of an experiment are equal to the bit in whatever order
// outcomes come, however often, in epochs of any size, with small caches and a crash; and
// equal to those of a slow model.
func TestEngineSameSums(t *testing.T) {
	r := trial(t, "e", 0.2)
	running := map[string]*experiment.Running{"p": r}
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		decisions, outcomes := story(rng, rapid.IntRange(1, 40).Draw(t, "people"))
		all := append(slices.Clone(decisions), outcomes...)
		want := process(t, running, all, cut{})
		model(t, r, decisions, outcomes, want)
		shuffled := slices.Clone(outcomes)
		rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		c := cut{Epoch: rapid.IntRange(1, 30).Draw(t, "epoch"), Cache: rapid.IntRange(1, 8).Draw(t, "cache"), Crash: rapid.IntRange(0, 9).Draw(t, "crash"), Parallel: rapid.IntRange(1, 4).Draw(t, "goroutines")}
		a, b := want.read(r.Key()), process(t, running, append(slices.Clone(decisions), shuffled...), c).read(r.Key())
		if !slices.Equal(a.Tally.Cells, b.Tally.Cells) {
			t.Fatalf("%+v: sums differ", c)
		}
		if same := process(t, running, all, c); !slices.Equal(same.dump, want.dump) {
			t.Fatalf("%+v: the same log leaves another state", c)
		}
	})
}

// model counts by hand, person by person, from all that was told of them.
func model(t rapid.TB, r *experiment.Running, decisions, outcomes []step, got processed) {
	t.Helper()
	p := got.read(r.Key())
	units, orders, revenue, clicks := map[string]int64{}, map[string]int64{}, map[string]int64{}, map[string]int64{}
	for _, d := range decisions {
		arm := r.Place(d.Key, "").Variant
		if want := map[bool]string{true: "holdout/holdout", false: "/" + arm}[arm == experiment.ArmHoldout]; got.reasons[d.Decide] != want {
			t.Fatalf("%s was decided as %q, want %q", d.Key, got.reasons[d.Decide], want)
		}
		units[arm]++
		gone, seen := map[uint64]bool{}, map[uint64]bool{}
		for _, o := range outcomes {
			if o.Key == d.Key && o.Outcome.Gone {
				gone[o.Outcome.ID] = true
			}
		}
		ordered, clicked := false, false
		for _, o := range outcomes {
			if o.Key != d.Key || gone[o.Outcome.ID] || seen[o.Outcome.ID] || o.Mail != "" && o.Mail != d.Decide {
				continue
			}
			seen[o.Outcome.ID] = true
			switch o.Outcome.Name {
			case experiment.OutcomeOrder:
				ordered = true
				revenue[arm] += o.Outcome.Amount
			case experiment.OutcomeClick:
				clicked = true
			}
		}
		orders[arm] += int64(count(ordered))
		clicks[arm] += int64(count(clicked))
	}
	f := p.Figures(r, &experiment.Stops{}, 0, 0)
	for i := range f.Arms {
		a := &f.Arms[i]
		for _, x := range []struct {
			what      string
			got, want int64
		}{
			{"units", a.Units, units[a.Name]}, {"orders", a.Metric(experiment.OutcomeOrder).Sum, orders[a.Name]},
			{"revenue", a.Metric(experiment.MetricRevenue).Sum, revenue[a.Name]}, {"clicks", a.Metric(experiment.OutcomeClick).Sum, clicks[a.Name]},
		} {
			if x.got != x.want {
				t.Fatalf("%s of %s: got %d, want %d", x.what, a.Name, x.got, x.want)
			}
		}
	}
}

// TestEngineStop: a stop in the log counts from its position: who comes later gets the
// fallback's content and counts nowhere, who was there before stays counted.
func TestEngineStop(t *testing.T) {
	r := trial(t, "e", 0)
	var all []step
	for i := range 40 {
		all = append(all, step{Key: "a" + strconv.Itoa(i), At: int64(1000 + i), Decide: "da" + strconv.Itoa(i)})
	}
	all = append(all, step{At: 1100, Stop: &event.Stop{Experiment: r.Key(), Variant: "new", Metric: "unsubscribe", Reason: "too many"}})
	for i := range 40 {
		all = append(all, step{Key: "b" + strconv.Itoa(i), At: int64(1200 + i), Decide: "db" + strconv.Itoa(i)})
	}
	f := func(all []step, want func(id string) string) experiment.Progress {
		t.Helper()
		out := process(t, map[string]*experiment.Running{"p": r}, all, cut{Epoch: 7})
		for id, why := range out.reasons {
			if why != want(id) {
				t.Fatalf("%s was decided as %q, want %q", id, why, want(id))
			}
		}
		return out.read(r.Key())
	}
	p := f(all, func(id string) string {
		if id[1] == 'b' {
			return "/control"
		}
		return "/" + r.Place("a"+id[2:], "").Variant
	})
	if n := p.Units(0) + p.Units(1); n <= 40 || n >= 80 || p.Units(1) == 0 {
		t.Fatalf("%d and %d units", p.Units(0), p.Units(1))
	}
	all[40].Stop.Variant = ""
	p = f(all, func(id string) string {
		if id[1] == 'b' {
			return "stopped by a guardrail: unsubscribe/"
		}
		return "/" + r.Place("a"+id[2:], "").Variant
	})
	if n := p.Units(0) + p.Units(1); n != 40 {
		t.Fatalf("%d units", n)
	}
}

// TestHoldoutOnly: a journey without variants is compared with its holdout. That those
// who get no mail do not unsubscribe is no alarm; a rate above the bound of the file is one,
// and stops the journey.
func TestHoldoutOnly(t *testing.T) {
	f := func(ceiling float64, want string) {
		t.Helper()
		r := &experiment.Running{
			Experiment: experiment.Experiment{
				Name: "e", Seed: "e", Coverage: 1, Variants: []experiment.Variant{{Name: experiment.ArmMail, Weight: 1}},
				Holdouts: []experiment.Holdout{{Seed: "a", Share: 0.1}, {Seed: "b", Share: 0.1}},
			},
			Metrics: experiment.Watch(nil), Goal: 3, Ceilings: map[string]float64{experiment.OutcomeUnsubscribe: ceiling},
		}
		if err := r.Start(); err != nil {
			t.Fatal(err)
		}
		var all []step
		for i := range 100 {
			all = append(all, step{Key: r.Key(), At: int64(i+1) * 60_000, Batch: []batch{{Units: 81, Orders: 8, Unsubscribes: 1}, {Units: 19, Orders: 1}}})
		}
		out := process(t, map[string]*experiment.Running{"p": r}, all, cut{})
		p := out.read(r.Key())
		got := ""
		for _, s := range out.stops {
			got += s.Variant + "/" + s.Metric
		}
		if got != want {
			t.Fatalf("a ceiling of %v: stopped %q, want %q", ceiling, got, want)
		}
		g := p.Figures(r, &experiment.Stops{}, 5*24*3600_000, 1)
		if mail := g.Arms[0]; g.Baseline != experiment.ArmHoldout || mail.P >= 0.05 || want == "" && mail.Verdict != experiment.Ship || want != "" && mail.Verdict != experiment.Rollback {
			t.Fatalf("%+v", g)
		}
	}
	f(0, "")
	f(0.02, "")
	f(0.005, "/unsubscribe")
}

// TestPhase: new weights begin new counts, and nobody who was enrolled moves or counts
// again.
func TestPhase(t *testing.T) {
	before, after := trial(t, "e", 0), trial(t, "e", 0)
	after.Variants = []experiment.Variant{{Name: "control", Weight: 0.1}, {Name: "new", Weight: 0.9}}
	if err := after.Start(); err != nil {
		t.Fatal(err)
	}
	if before.Key() == after.Key() {
		t.Fatal("the phase is the same")
	}
	moved := 0
	for i := range 1000 {
		who := "p" + strconv.Itoa(i)
		was := before.Place(who, "").Variant
		if got := after.Place(who, was).Variant; got != was {
			t.Fatalf("%s moved from %s to %s", who, was, got)
		}
		moved += count(after.Place(who, "").Variant != was)
	}
	if moved < 300 {
		t.Fatalf("only %d would have moved: nothing is shown", moved)
	}
	grown := trial(t, "e", 0)
	grown.Coverage = 0.2
	if err := grown.Start(); err != nil || grown.Key() != before.Key() {
		t.Fatalf("%v: a coverage that grows begins a new phase", err)
	}
	for i := range 1000 {
		who := "p" + strconv.Itoa(i)
		if p := grown.Place(who, ""); p.Arm >= 0 && p.Variant != before.Place(who, "").Variant {
			t.Fatalf("%s moved while the coverage grew", who)
		}
	}
}

func FuzzEnrolments(f *testing.F) {
	var e experiment.Enrolments
	e.List = []experiment.Enrolment{{Key: "a@1", Variant: "control", Mails: []uint64{1, 2}, Unit: experiment.Unit{
		Exposed: true, At: 5, ExposureID: 6, Propensity: 0.5, Outcomes: []experiment.Outcome{{ID: 1, Name: "click", At: 7, Amount: 1}, {ID: 3, Gone: true}},
	}}, {Key: "b@1", Unit: experiment.Unit{Arm: -1, Closed: []experiment.Values{{1, 2, 3, 4}}}}}
	f.Add(e.AppendTo(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var got, back experiment.Enrolments
		if got.DecodeFrom(b) != nil {
			return
		}
		once := got.AppendTo(nil)
		if err := back.DecodeFrom(once); err != nil || string(back.AppendTo(nil)) != string(once) {
			t.Fatalf("%v: storing twice differs", err)
		}
	})
}

func FuzzProgress(f *testing.F) {
	r := trial(f, "e", 0.1)
	var p experiment.Progress
	if _, err := p.Take(r, &experiment.Move{Arm: 1, After: make([]experiment.Values, len(r.Metrics)), At: 9}, 10); err != nil {
		f.Fatal(err)
	}
	f.Add(p.AppendTo(nil))
	f.Add(binary.AppendUvarint([]byte{1}, 200))
	got, _ := play(f, optimised(f, experiment.LinearSampling), 300, true)
	learned := got.read(optimised(f, experiment.LinearSampling).Key())
	f.Add(learned.AppendTo(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var got, back experiment.Progress
		if got.DecodeFrom(b) != nil {
			return
		}
		once := got.AppendTo(nil)
		if err := back.DecodeFrom(once); err != nil || string(back.AppendTo(nil)) != string(once) {
			t.Fatalf("%v: storing twice differs", err)
		}
		got.Figures(r, &experiment.Stops{}, 20, 1)
		got.Report(r, &experiment.Steered{}, &experiment.Stops{}, 20, 1)
	})
}

func FuzzStops(f *testing.F) {
	f.Add((&experiment.Stops{All: "x", Arms: []string{"a", "b"}}).AppendTo(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var got, back experiment.Stops
		if got.DecodeFrom(b) != nil {
			return
		}
		if err := back.DecodeFrom(got.AppendTo(nil)); err != nil || fmt.Sprint(back) != fmt.Sprint(got) {
			t.Fatalf("%v: got %v, want %v", err, back, got)
		}
	})
}

func BenchmarkObserve(b *testing.B) {
	r := trial(b, "e", 0)
	var p experiment.Progress
	before, after := make([]experiment.Values, len(r.Metrics)), make([]experiment.Values, len(r.Metrics))
	after[3][experiment.Value], after[4][experiment.Value] = 1, 4200
	if _, err := p.Take(r, &experiment.Move{Arm: 1, After: before, At: 9}, 10); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, m := range []*experiment.Move{{Arm: 1, Before: before, After: after}, {Arm: 1, Before: after, After: before}} {
			if _, err := p.Take(r, m, 10); err != nil {
				b.Fatal(err)
			}
		}
	}
}
