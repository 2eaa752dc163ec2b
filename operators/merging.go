package operators

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"time"

	"millrace/engine"
	"millrace/operators/event"
	"millrace/operators/experiment"
	"millrace/operators/profile"
	"millrace/operators/trigger"
	"millrace/state"
)

// This file merges persons who are known both. An alias of two of them goes, within its
// own event, to the person who stays, to the one who goes, and back: every key answers
// for itself. Then the old id is a pointer, and what was kept under it is on its way
// through the log as a handover, which counts from its position there. See
// docs/adr/0015-merges-through-the-log.md.

// EffectHandover is the kind of the effects that put the state of a person who was
// merged into another one into the log. The body is the event.Handover as JSON.
const EffectHandover = "handover"

// merge is an alias on its way through the stages that decide about it.
type merge struct {
	event  *event.Event
	old    string   // pseudonym of the person who goes
	target string   // of the one who is to stay, as the alias says
	owner  string   // who that is by now
	ids    []merged // who were merged into old before
}

// arrival is what was sent to an id that is no more, at the person whose it is.
type arrival struct {
	from   string // that id
	update *profile.Update
}

// merger holds the stages and operators that keep ids apart and bring them together.
type merger struct {
	pipeline *Pipeline
	cell     *state.Cell[identity, *identity]

	targets  *engine.Stage[*merge]
	olds     *engine.Stage[*merge]
	owners   *engine.Stage[*merge]
	pointers *engine.Stage[*merge]
	follow   *engine.Stage[*profile.Update] // all that concerns a person comes in here
	arrivals *engine.Stage[*arrival]
	people   *engine.Stage[*profile.Update]
}

// newMerger adds the stages that stand before that of the person.
func newMerger(p *Pipeline, cacheMax int) *merger {
	m := &merger{pipeline: p, cell: state.NewPackedCell[identity]("identity/owner", cacheMax, nil)}
	m.cell.Share(func(key string) bool { return key == anybody })
	// A merge asks for several persons, each in turn, in stages that keep what stages after
	// them use: it is rare, and goes alone.
	m.targets = engine.AddStage[*merge](p.Graph, "merge-target").Alone()
	m.olds = engine.AddStage[*merge](p.Graph, "merge-old")
	m.owners = engine.AddStage[*merge](p.Graph, "merge-owner")
	m.pointers = engine.AddStage[*merge](p.Graph, "merge-pointer")
	m.follow = engine.AddStage[*profile.Update](p.Graph, "identity")
	m.arrivals = engine.AddStage[*arrival](p.Graph, "arrival")
	return m
}

// use puts the operators into the stages, now that all of them are there.
func (m *merger) use(people *engine.Stage[*profile.Update]) {
	m.people = people
	m.targets.Use("resolve", step[*merge](m.resolve))
	m.olds.Use("check", step[*merge](m.check))
	m.owners.Use("adopt", step[*merge](m.adopt))
	m.pointers.Use("point", step[*merge](m.point))
	m.follow.Use("follow", step[*profile.Update](m.send))
	m.arrivals.Use("admit", step[*arrival](m.admit))
}

// anybody is the key of the identity that says since when there are merges at all: while
// there is none, new persons cost no lookup. It is a hint that every key group may keep
// for itself.
const anybody = ""

// step makes an operator of a function.
type step[T any] func(c *engine.Ctx, v T)

// Process implements engine.Operator.
func (s step[T]) Process(c *engine.Ctx, v T) { s(c, v) }

// alias asks for the merge that an alias means, if both are known.
func (m *merger) alias(c *engine.Ctx, e *event.Event, person string) {
	if e.PreviousID != "" {
		m.targets.Send(c, person, &merge{event: e, old: m.pipeline.pseudonyms.Person(e.PreviousID), target: person})
	}
}

// resolve finds out, at the person who is to stay, who that is by now.
func (m *merger) resolve(c *engine.Ctx, g *merge) {
	g.owner = g.target
	if d := engine.Value(c, m.cell); d.Owner != "" {
		g.owner = d.Owner
	}
	m.olds.Send(c, g.old, g)
}

// check decides, at the person who is to go, whether he can.
func (m *merger) check(c *engine.Ctx, g *merge) {
	d := engine.Value(c, m.cell)
	p := engine.Value(c, m.pipeline.keeper.Cell)
	switch {
	case d.Owner == g.owner:
		m.pipeline.Counters.MergeRepeats.Add(1) // an SDK says it at every log-in
	case d.Owner != "":
		m.refuse(c, g, event.MergeTaken, "previousId was merged into another person before")
	case !p.Known() && len(d.IDs) == 0: // an anonymous id, or nobody's: there is nothing to merge
	case g.owner == c.Key():
		m.refuse(c, g, event.MergeCycle, "userId was merged into previousId before")
	case g.event.Flags&event.PublicKey != 0:
		m.refuse(c, g, event.NotAllowed, "a merge of known persons needs a server's key")
	case len(p.AppendTo(nil))+len(engine.Value(c, m.pipeline.trigger.Cell).AppendTo(nil))+m.pipeline.experiments.size(c)+m.pipeline.fieldsSize(c)+m.pipeline.paceSize(c)+m.pipeline.toneSize(c) > maxHandover:
		m.refuse(c, g, event.MergeLarge, "what is known of previousId does not fit one message")
	default:
		g.ids = d.IDs
		m.owners.Send(c, g.owner, g)
	}
}

// adopt notes, at the person who stays, who joins. What is kept under the old id leaves.
func (m *merger) adopt(c *engine.Ctx, g *merge) {
	d := engine.Value(c, m.cell)
	if !d.adopt(append(slices.Clip(g.ids), merged{Person: g.old})...) {
		m.refuse(c, g, event.MergeFull, "more than 64 ids would be one person")
		return
	}
	engine.Changed(c, m.cell)
	if hint := engine.ValueOf(c, m.cell, anybody); hint.At == 0 {
		hint.At = max(c.Watermark(), 1)
		engine.ChangedOf(c, m.cell, anybody)
	}
	m.pipeline.Counters.Merges.Add(1)
	m.people.Send(c, c.Key(), &profile.Update{Expect: true, Awaits: d.awaits()})
	for i := range g.ids {
		m.pointers.Send(c, g.ids[i].Person, g)
	}
	m.pointers.Send(c, g.old, g)
	m.people.Send(c, g.old, &profile.Update{Leave: &event.Handover{
		ID: m.pipeline.pseudonyms.Decision("handover", g.old), From: g.old, To: g.owner, At: c.Watermark(),
	}})
}

// point makes an id a pointer to the person whose it is.
func (m *merger) point(c *engine.Ctx, g *merge) {
	*engine.Value(c, m.cell) = identity{Owner: g.owner, At: c.Watermark()}
	engine.Changed(c, m.cell)
}

// send passes on what concerns a person. A person of whom anything is known was not
// merged into another one, so hardly anybody's identity is looked up.
func (m *merger) send(c *engine.Ctx, u *profile.Update) {
	p := engine.Value(c, m.pipeline.keeper.Cell)
	if u.Join == nil && (p.Known() || engine.ValueOf(c, m.cell, anybody).At == 0) {
		u.Person = p
		m.people.Send(c, c.Key(), u)
		return
	}
	d := engine.Value(c, m.cell)
	switch {
	case u.Join != nil && d.Owner == "":
		m.arrivals.Send(c, c.Key(), &arrival{u.Join.From, u})
	case u.Join != nil:
		m.arrivals.Send(c, d.Owner, &arrival{u.Join.From, u})
	case d.Owner != "":
		m.arrivals.Send(c, d.Owner, &arrival{c.Key(), u})
	default:
		m.people.Send(c, c.Key(), u)
	}
}

// admit takes, at the person whose it is by now, what was sent to an id that is no more:
// a handover once, and receipts not before the decisions that they are about.
func (m *merger) admit(c *engine.Ctx, a *arrival) {
	u := a.update
	if u.Join == nil && u.Receipt == nil {
		m.people.Send(c, c.Key(), u)
		return
	}
	d := engine.Value(c, m.cell)
	i, known := d.find(a.from)
	switch {
	case u.Join != nil && !known:
		m.pipeline.reject(c, &event.Reject{Code: event.BadEnvelope, Detail: "a handover that nobody waits for"})
	case u.Join != nil && d.IDs[i].Arrived:
		m.pipeline.Counters.MergeRepeats.Add(1)
	case u.Join != nil:
		m.join(c, d, &d.IDs[i], u)
	case known && d.awaits() > 0 && len(d.IDs[i].Early) < maxEarly: // the decision may be in any of them
		d.IDs[i].Early = append(d.IDs[i].Early, *u.Receipt)
		engine.Changed(c, m.cell)
	default:
		m.people.Send(c, c.Key(), u)
	}
}

// join lets the state of a person join that of his owner.
func (m *merger) join(c *engine.Ctx, d *identity, from *merged, u *profile.Update) {
	err := errors.Join(
		profile.CheckPart(u.Join.Part(profile.PartName)), trigger.CheckPart(u.Join.Part(trigger.PartName)),
		experiment.CheckPart(u.Join.Part(experiment.PartName)), profile.CheckFieldsPart(u.Join.Part(profile.FieldsPartName)),
		profile.CheckPacePart(u.Join.Part(profile.PacePartName)), checkTonePart(u.Join.Part(TonePartName)),
	)
	switch {
	case errors.Is(err, profile.ErrNewer), errors.Is(err, experiment.ErrNewer), newerTone(err):
		c.Fail(err)
		return
	case err != nil:
		m.pipeline.reject(c, &event.Reject{Code: event.BadEnvelope, Detail: "the state in a handover is damaged"})
		return
	}
	from.Arrived = true
	engine.Changed(c, m.cell)
	u.Awaits = d.awaits()
	m.people.Send(c, c.Key(), u)
	if u.Awaits > 0 {
		return
	}
	for i := range d.IDs {
		for j := range d.IDs[i].Early {
			m.people.Send(c, c.Key(), &profile.Update{Receipt: &d.IDs[i].Early[j]})
		}
		d.IDs[i].Early = nil
	}
}

// refuse sends an alias to the dead letters, as it can be tried again.
func (m *merger) refuse(c *engine.Ctx, g *merge, code event.Code, why string) {
	e := g.event
	raw, err := json.Marshal(map[string]string{
		"type": "alias", "userId": e.UserID, "previousId": e.PreviousID, "messageId": e.MessageID,
		"timestamp": time.UnixMilli(e.Time).UTC().Format(time.RFC3339Nano),
	})
	if err != nil {
		c.Fail(err)
		return
	}
	m.pipeline.reject(c, &event.Reject{Code: code, Detail: why, Source: e.Source, ReceivedAt: e.ReceivedAt, Bytes: raw})
}

// handovers is the last operator of the person stage: what the others have put into a
// handover becomes an effect.
type handovers struct{}

// Process implements engine.Operator.
func (handovers) Process(c *engine.Ctx, u *profile.Update) {
	if u.Leave == nil {
		return
	}
	lane := "handover/" + u.Leave.From // not behind his mails, which wait for it
	c.EffectOf(EffectHandover, lane, func(row uint64) ([]byte, error) {
		u.Leave.Effect = strconv.FormatUint(row, 10)
		return json.Marshal(u.Leave)
	})
}

// handover takes the message of a handover: its row of the outbox is done with.
func (p *Pipeline) handover(c *engine.Ctx, h *event.Handover) {
	if row, err := strconv.ParseUint(h.Effect, 10, 64); err == nil {
		c.Settle(row)
	}
	p.merger.follow.Send(c, h.To, &profile.Update{Join: h})
}
