package operators

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"millrace/configs"
	"millrace/engine"
	"millrace/operators/event"
	"millrace/operators/experiment"
	"millrace/operators/profile"
	"millrace/operators/trigger"
	"millrace/state"
)

// This file puts experiments into the graph: the decision to mail is the exposure, what a
// person does is joined with it in the person stage, and the sums stand in a stage of their
// own. Without experiments none of it is there.

// running makes the experiment of a journey, nil if it tries nothing, holds nobody out and
// says nothing of what it is measured by.
func running(set *configs.Set, j *configs.Journey) (*experiment.Running, error) {
	if len(j.Content.Variants) == 0 && j.Audience.Holdout == 0 && set.Shop.Holdout == 0 && !j.Measure.Said() {
		return nil, nil //nolint:nilnil // the usual case and no error
	}
	name := j.Experiment()
	r := &experiment.Running{Experiment: experiment.Experiment{Name: name, Seed: cmp.Or(j.Trial.Seed, name), Coverage: 1}}
	if j.Trial.Coverage > 0 {
		r.Coverage = float64(j.Trial.Coverage)
	}
	if l := j.Trial.Layer; l != nil {
		r.Namespace = &experiment.Namespace{Name: l.Name, Lo: float64(l.From), Hi: float64(l.To)}
	}
	if x := j.Trial.Optimise; x != nil {
		r.Optimise = &experiment.Optimise{By: x.By, Floor: float64(x.Floor), Every: x.Every, Least: int64(x.Least)}
	}
	r.Features = true // to tell for whom a mail pays, and what a rule would have brought
	r.Credit = experiment.Credit{Window: j.Measure.Attribution.Window.Milliseconds(), Exposure: j.Measure.Attribution.Credit == "last mail"}
	sum := 0
	for _, v := range j.Content.Variants {
		sum += v.Weight
	}
	for _, v := range j.VariantNames() {
		r.Variants = append(r.Variants, experiment.Variant{Name: v, Weight: float64(j.Content.Variants[v].Weight) / float64(sum)})
	}
	if len(r.Variants) == 0 {
		r.Variants = []experiment.Variant{{Name: experiment.ArmMail, Weight: 1}}
	}
	if h := set.Shop.Holdout; h > 0 {
		r.Holdouts = append(r.Holdouts, experiment.Holdout{Seed: set.Shop.Name, Share: float64(h)})
	}
	if h := j.Audience.Holdout; h > 0 {
		r.Holdouts = append(r.Holdouts, experiment.Holdout{Seed: set.Shop.Name + "/" + j.Name, Share: float64(h)})
	}
	r.AlarmTo = j.Alarms.Webhook
	watch(r, &j.Measure)
	if err := r.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", j.File, err)
	}
	return r, nil
}

// watch takes over what a journey is judged by.
func watch(r *experiment.Running, m *configs.Measure) {
	windows := m.Windows
	goal := experiment.OutcomeOrder
	if m.Goal.On == "Email Link Clicked" {
		goal = experiment.OutcomeClick
	}
	if m.Goal.Within > 0 {
		windows = map[string]time.Duration{goal: m.Goal.Within}
		maps.Copy(windows, m.Windows)
	}
	if m.Goal.Value != "" {
		goal = experiment.MetricRevenue
	}
	r.Metrics = experiment.Watch(windows)
	for i := range r.Metrics {
		if m.Cap > 0 && r.Metrics[i].Outcome == experiment.OutcomeOrder && r.Metrics[i].Kind != experiment.Share {
			r.Metrics[i].Cap = int64(math.Round(m.Cap * 100)) // hundredths, as the amounts of most currencies are
		}
		if r.Metrics[i].Name == goal {
			r.Goal = i
		}
	}
	r.Ceilings = map[string]float64{
		experiment.OutcomeUnsubscribe: float64(m.Guardrails.Unsubscribe),
		experiment.OutcomeComplaint:   float64(m.Guardrails.Complaint),
		experiment.OutcomeBounce:      float64(m.Guardrails.Bounce),
	}
	r.NeverStops = m.StopIf == "never"
}

// AlarmPayload is what a webhook is told of an alarm, as JSON.
type AlarmPayload struct {
	ID    string `json:"id"`    // of this call; a repeat has the same one
	Event string `json:"event"` // alarm
	experiment.Notice
}

// alarm decides that a webhook is told of an alarm: once for each variant, metric and phase,
// since the operator of the experiment keeps the first alarm.
func (p *Pipeline) alarm(c *engine.Ctx, webhook string, n *experiment.Notice) {
	id := p.pseudonyms.Decision("alarm", n.Phase, n.Variant, n.Metric)
	body, err := json.Marshal(AlarmPayload{ID: id, Event: "alarm", Notice: *n})
	if err != nil {
		c.Fail(fmt.Errorf("encode an alarm of %s: %w", n.Experiment, err))
		return
	}
	p.notice(c, EffectWebhook, &Notice{ID: id, To: webhook, Payload: body})
}

// Experiments are those of journeys, by pipeline.
func Experiments(journeys []Journey) map[string]*experiment.Running {
	out := make(map[string]*experiment.Running)
	for _, j := range journeys {
		if j.Experiment != nil {
			out[j.Rule.Pipeline] = j.Experiment
		}
	}
	return out
}

// experiments are the operators of a graph that has any.
type experiments struct {
	running []*experiment.Running // by name
	stops   *engine.Stage[*event.Stop]
	stopper *experiment.Stopper
	desk    *experiment.Desk
	totals  *experiment.Totals
}

// addExperiments adds the operators, if anything is tried.
func (p *Pipeline) addExperiments(o *Options) {
	if len(o.Experiments) == 0 {
		return
	}
	x := &p.experiments
	for _, name := range slices.Sorted(maps.Keys(o.Experiments)) {
		x.running = append(x.running, o.Experiments[name])
	}
	x.stops = engine.AddStage[*event.Stop](p.Graph, "stop").Alone() // persons look at what it keeps
	totals := engine.AddStage[*experiment.Move](p.Graph, "experiment")
	x.stopper = experiment.NewStopper()
	x.stops.Use("experiment", x.stopper)
	x.desk = experiment.NewDesk(o.Experiments, totals, o.PeopleMax)
	x.totals = experiment.NewTotals(o.Experiments)
	x.totals.Tell = p.alarm
	totals.Use("progress", x.totals)
	p.people.Use("experiment", outcomes{x.desk, p.trigger.Cell})
	p.trigger.Enrol = func(c *engine.Ctx, d *event.Decision, person *profile.Person) string {
		var features []int64
		if x.desk.Wants(d.Pipeline) {
			features = featuresOf(person, d.Decided)
		}
		return x.desk.Enrol(c, d, orders(person, d.Decided), features)
	}
	p.Graph.Keep(x.stopper.Cell, x.desk.Cell, x.desk.Steering, x.totals.Cell)
}

// stop hands a stop that stands in the log to its experiment, and to all who assign.
func (p *Pipeline) stop(c *engine.Ctx, s *event.Stop) {
	if p.experiments.stops == nil {
		return
	}
	p.experiments.stops.Send(c, s.Experiment, s)
	p.steer(c, &event.Steer{Experiment: s.Experiment, Kind: event.SteerStop, Variant: s.Variant, Reason: s.Metric, At: s.At})
}

// steer tells a word that stands in the log to all who assign people.
func (p *Pipeline) steer(c *engine.Ctx, s *event.Steer) {
	if p.experiments.desk != nil {
		p.experiments.desk.Tell(c, s, func(key string) { p.people.Send(c, key, &profile.Update{Steer: s}) })
	}
}

// orders are the orders of a person since a time.
func orders(p *profile.Person, since int64) []experiment.Outcome {
	var out []experiment.Outcome
	for i := range p.Orders {
		if o := &p.Orders[i]; o.At >= since && o.At != 0 {
			out = append(out, orderOutcome(o))
		}
	}
	return out
}

// orderOutcome is an order as an outcome: what it is worth, net of what went back; one
// that went back whole is none.
func orderOutcome(o *profile.Order) experiment.Outcome {
	return experiment.Outcome{
		ID: experiment.Hash("order", strconv.FormatUint(o.Hash, 16)), Name: experiment.OutcomeOrder, At: o.At,
		Amount: int64(o.Value - min(o.Refunded, o.Value)), Gone: o.Returned(),
	}
}

// outcomes is the operator of the person stage that joins what a person did with what
// they were exposed to. Whoever was never decided about costs a look into memory.
type outcomes struct {
	desk    *experiment.Desk
	decided *state.Cell[trigger.State, *trigger.State]
}

// Process implements engine.Operator.
func (o outcomes) Process(c *engine.Ctx, u *profile.Update) {
	switch {
	case u.Steer != nil:
		o.desk.Hear(c, u.Steer)
	case u.Leave != nil:
		o.desk.Leave(c, u.Leave)
	case u.Join != nil:
		o.desk.Join(c, u.Join)
	case u.Receipt != nil:
		o.receipt(c, u.Receipt)
	case u.Person == nil || u.Change.Duplicate:
	case u.Handover != nil: // what the person did before it was known who it was
		if o.exposed(c) {
			for i := range u.Handover.Orders {
				o.order(c, u.Person, u.Handover.Orders[i].Hash)
			}
		}
	case u.Event != nil && (u.Change.Ordered || u.Change.Refund):
		if o.exposed(c) && u.Change.OrderID != "" {
			o.order(c, u.Person, profile.HashOrder(u.Change.OrderID))
		}
	case u.Event != nil:
		o.reaction(c, u.Event)
	}
}

// exposed tells whether anything was ever decided about the person.
func (o outcomes) exposed(c *engine.Ctx) bool {
	return len(engine.Value(c, o.decided).Records) > 0
}

func (o outcomes) order(c *engine.Ctx, p *profile.Person, hash uint64) {
	i := slices.IndexFunc(p.Orders, func(o profile.Order) bool { return o.Hash == hash })
	if i >= 0 && p.Orders[i].At != 0 {
		o.desk.Observe(c, "", orderOutcome(&p.Orders[i]))
	}
}

// reaction joins what somebody did with a mail. Those of machines are none.
func (o outcomes) reaction(c *engine.Ctx, e *event.Event) {
	name := ""
	switch e.Kind {
	case event.EmailDelivered:
		name = experiment.OutcomeDelivered
	case event.EmailOpened:
		name = experiment.OutcomeOpen
	case event.EmailLinkClicked:
		name = experiment.OutcomeClick
	case event.Unsubscribed:
		name = experiment.OutcomeUnsubscribe
	case event.EmailMarkedAsSpam:
		name = experiment.OutcomeComplaint
	case event.EmailBounced:
		name = experiment.OutcomeBounce
	default:
		return
	}
	if !o.exposed(c) {
		return
	}
	id := e.Mailing.EmailID
	if machine := e.Mailing.Machine || e.Bot; machine && name != experiment.OutcomeClick {
		return
	} else if machine {
		name = experiment.OutcomeScan // others of the same two seconds were a machine's too
	}
	if name == experiment.OutcomeClick || name == experiment.OutcomeScan { // each by itself: the last one is credited
		id += " " + cmp.Or(e.MessageID, strconv.FormatInt(e.Time, 10))
	}
	o.desk.Observe(c, e.Mailing.EmailID, experiment.Outcome{ID: experiment.Hash(name, id), Name: name, At: e.Time, Amount: 1})
}

// receipt joins that a mail has left.
func (o outcomes) receipt(c *engine.Ctx, r *event.Receipt) {
	if r.Outcome == event.Sent && o.exposed(c) {
		o.desk.Observe(c, r.Decision, experiment.Outcome{
			ID: experiment.Hash(experiment.OutcomeSent, r.Decision), Name: experiment.OutcomeSent, At: r.At, Amount: 1,
		})
	}
}

// Figures are what may be known of each experiment, as of the committed state, by name.
func (p *Pipeline) Figures(v *engine.View) ([]experiment.Figures, error) {
	x := &p.experiments
	out := make([]experiment.Figures, 0, len(x.running))
	for _, r := range x.running {
		progress, _, err := engine.Read(v, x.totals.Cell, r.Key())
		if err != nil {
			return nil, err
		}
		stops, _, err := engine.Read(v, x.stopper.Cell, r.Key())
		if err != nil {
			return nil, err
		}
		out = append(out, progress.Figures(r, &stops, v.Watermark, v.Epoch))
	}
	return out, nil
}

// StopHandler carries out experiment.EffectStop: it puts the stop into the log by publish,
// for which a second time under the same id is harmless.
func StopHandler(publish func(ctx context.Context, id string, data []byte) error) engine.Handler {
	return func(ctx context.Context, _ *engine.View, row engine.Row) (engine.Result, time.Duration, error) {
		var s event.Stop
		if err := json.Unmarshal(row.Body, &s); err != nil {
			return engine.Again, time.Hour, fmt.Errorf("stop in row %d: %w", row.ID, err)
		}
		if err := publish(ctx, "stop/"+s.Experiment+"/"+s.Variant, event.AppendStop(nil, &s)); err != nil {
			return engine.Again, time.Second, fmt.Errorf("stop of row %d: %w", row.ID, err)
		}
		return engine.Removed, 0, nil
	}
}
