// Package operators puts the steps of millrace together: it builds the graph from
// the pipelines, and holds the order of the steps that carry a decision out. It is
// the one place that knows all operators; they do not know each other.
package operators

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"millrace/configs"
	"millrace/engine"
	"millrace/operators/catalogue"
	"millrace/operators/event"
	"millrace/operators/experiment"
	"millrace/operators/privacy"
	"millrace/operators/profile"
	"millrace/operators/recommend"
	"millrace/operators/trigger"
	"millrace/state"
)

// Kinds of effects, beside trigger.EffectMail.
const (
	EffectDeadLetter = "deadletter"
)

// Options say which graph is built. Pseudonyms is required.
type Options struct {
	Pseudonyms *privacy.Pseudonyms
	Profile    profile.Options
	Recommend  recommend.Options
	Rules      []trigger.Rule
	// Fields are the declared fields of persons; nil: none, which costs nothing.
	Fields *profile.FieldSet
	// Segments are the declared segments; nil: none.
	Segments *Segments
	// Models are those that the configuration names; nil: none.
	Models *PeopleModels
	// Pace says who is too fast for a shopper; nil: nobody, which costs nothing.
	Pace    *profile.PaceOptions
	Exclude recommend.Exclude // what recommendations leave out, unless their journey says otherwise
	Never   []string          // product ids that are never recommended
	// Listening is how the shop hears what people write; nil: it does not, which costs nothing.
	Listening *Listening
	// Experiments are what runs, by pipeline; see Experiments.
	Experiments map[string]*experiment.Running
	// Then is what journeys do beside mailing, by pipeline; see Thens.
	Then map[string][]configs.Then
	// Late says what becomes of events that are too late.
	Late LateOptions
	// Catalogue says what of the catalogue is watched; see Watched.
	Catalogue catalogue.Options
	// Filling makes a graph that only makes what declared fields would hold; see Filling.
	Filling bool
	// VisitorTTL is how long what is kept of a visitor stays after his newest event; 0: for ever.
	VisitorTTL time.Duration
	// PeopleMax and ItemsMax are how many decoded values are kept in memory.
	PeopleMax, ItemsMax int
	// Live is what recommendations know beside the state; nil: nothing, which costs nothing.
	Live *recommend.Live
	// Look answers what the catalogue says of an item: stock, price, brand; nil: there is
	// none, and what events said holds.
	Look func(v *engine.View, id string) (recommend.Listing, bool)
	// Counters go on counting; nil makes new ones.
	Counters *Counters
}

// Pipeline is a graph with the operators that others read from.
type Pipeline struct {
	Graph    *engine.Graph
	Counters *Counters

	pseudonyms  *privacy.Pseudonyms
	people      *engine.Stage[*profile.Update]
	visitors    *engine.Stage[*profile.Link]
	addresses   *engine.Stage[addressed]
	keeper      *profile.Keeper
	visitor     *profile.Visitors
	fields      *profile.FieldKeeper // nil without declared fields
	segments    *Segments
	models      *PeopleModels
	pace        *profile.PaceKeeper // nil when nobody is too fast
	listener    *listener           // nil when nobody listens
	address     *addressBook
	trigger     *trigger.Operator
	experiments experiments
	triggers    *trigger.Triggers
	items       *recommend.Items
	recommender *recommend.Recommender
	exclude     recommend.Exclude
	never       map[string]bool
	updates     [engine.SliceUnits]profile.Update // of the events that are being processed, by slot; used again
	links       [engine.SliceUnits]profile.Link   // likewise
	cache       itemCache
	totals      totalsCache
	live        *recommend.Live // nil: what goes together is all that is known
	look        func(v *engine.View, id string) (recommend.Listing, bool)
	tops        recommend.Tops // of questions, not of mails
	thens       map[string][]configs.Then
	lateness    LateOptions
	merger      *merger
	shelves     shelves
}

// Build makes the graph: address, visitor and identity, which tell who is meant; person;
// item.
func Build(o Options) *Pipeline {
	if o.Counters == nil {
		o.Counters = newCounters()
	}
	p := &Pipeline{Counters: o.Counters, pseudonyms: o.Pseudonyms, exclude: o.Exclude, never: make(map[string]bool)}
	for _, id := range o.Never {
		p.never[id] = true
	}
	p.lateness = o.Late
	p.Graph = engine.NewGraph(p.root)
	p.addresses = engine.AddStage[addressed](p.Graph, "address")
	p.visitors = engine.AddStage[*profile.Link](p.Graph, "visitor")
	p.merger = newMerger(p, o.PeopleMax)
	p.people = engine.AddStage[*profile.Update](p.Graph, "person")
	items := engine.AddLazyStageOf(p.Graph, "item", recommend.AppendTouch, recommend.TouchReader)

	updater := profile.New(o.Profile)
	p.recommender = recommend.New(o.Recommend)
	p.triggers = trigger.New(trigger.Options{Rules: o.Rules, ID: p.decisionID})
	toucher := recommend.NewToucher(p.recommender, items)

	p.merger.use(p.people)
	p.address = newAddressBook(p.merger.follow)
	p.addresses.Use("book", p.address)
	p.visitor = profile.NewVisitors(updater, p.merger.follow, o.PeopleMax)
	p.visitor.TTL, p.visitor.Forgotten = o.VisitorTTL, &o.Counters.Forgotten
	p.visitors.Use("link", p.visitor)
	if !o.Filling {
		p.visitors.Use("cooccurrence", recommend.VisitorToucher{Toucher: recommend.NewToucher(p.recommender, items)})
	}
	p.keeper = profile.NewKeeper(updater, o.PeopleMax)
	p.people.Use("profile", p.keeper)
	p.addPace(&o)
	p.segments, p.models = o.Segments, o.Models
	p.addFields(&o)
	p.addListener(&o)
	p.people.Use("count", personCounter{p.Counters})
	p.trigger = trigger.NewOperator(p.triggers, p.keeper.Cell, p.Counters.decided, o.PeopleMax)
	p.trigger.Dropped = &p.Counters.Waits
	p.useFields()
	p.useListener()
	if p.thens = o.Then; len(p.thens) > 0 {
		p.trigger.Notify = p.notify
	}
	if !o.Filling {
		p.people.Use("trigger", p.trigger)
		p.addExperiments(&o)
		p.addCatalogue(&o)
		p.people.Use("cooccurrence", toucher)
		p.addLive(&o)
	}
	p.people.Use("handover", handovers{}) // the last one
	p.items = recommend.NewItems(p.recommender, o.ItemsMax)
	items.Use("cooccurrence", p.items)

	p.Graph.Keep(p.address.cell, p.visitor.Cell, p.keeper.Cell, p.trigger.Cell, p.items.Cell, p.items.Totals, p.merger.cell)
	return p
}

func (p *Pipeline) decisionID(pipeline, trigger, person, sub string, started int64) string {
	return p.pseudonyms.Decision(pipeline, trigger, person, sub, strconv.FormatInt(started, 10))
}

// root sends what the log holds to the stage and key where it belongs.
func (p *Pipeline) root(c *engine.Ctx, u *engine.Unit) {
	switch v := u.Value.(type) {
	case *event.Event:
		if p.late(c, v) {
			return
		}
		p.Counters.event(v)
		p.route(c, v)
	case retried:
		p.Counters.event(v.Event)
		p.route(c, v.Event)
	case *event.Receipt:
		p.receipt(c, v)
	case *event.Handover:
		p.handover(c, v)
	case fills:
		p.fill(c, v)
	case *event.Reject:
		p.reject(c, v)
	case *event.Stop:
		p.stop(c, v)
	case *event.Redo:
		p.redo(c, v)
	case *event.Steer:
		p.steer(c, v)
	case *event.Offer:
		p.offer(c, v)
	case tick: // has moved the watermark; that is all
		p.Counters.Ticks.Add(1)
	}
}

// tick is a unit that only moves the watermark.
type tick struct{}

// route finds out whose event it is. Events of a visitor go through the visitor
// stage, which knows, or learns from them, who that is.
func (p *Pipeline) route(c *engine.Ctx, e *event.Event) {
	if e.Kind == event.ProductUpserted { // about no person, whoever is named
		if p.shelves.upserts != nil { // a graph that fills fields has none
			p.shelves.upserts.Send(c, e.Products[0].ID, &catalogue.Word{Event: e})
		}
		return
	}
	person := e.Person
	if newest := c.Newest(); person != "" && newest > 0 {
		e.Time = min(e.Time, newest) // feedback on simulated or imported shops must not age their people
	}
	if person == "" && e.UserID != "" {
		person = p.pseudonyms.Person(e.UserID)
	}
	if e.Traits.Email != "" && (e.Kind == event.Identify || person == "" && e.AnonymousID == "") {
		key := p.pseudonyms.Decision("address", strings.ToLower(e.Traits.Email))
		p.addresses.Send(c, key, addressed{person: person, event: e})
	}
	visitor := e.AnonymousID
	if e.Kind == event.Alias {
		visitor = e.PreviousID
	}
	switch {
	case visitor != "":
		link := &p.links[c.Slot()]
		link.Begin(e, person)
		p.visitors.Send(c, p.pseudonyms.Visitor(visitor), link)
	case person != "":
		update := &p.updates[c.Slot()]
		update.Begin(e)
		p.merger.follow.Send(c, person, update)
	}
	if e.Kind == event.Alias {
		p.merger.alias(c, e, person)
	}
}

// receipt closes the loop: what came of a decision goes to its person, and the row
// of the outbox is done with.
func (p *Pipeline) receipt(c *engine.Ctx, r *event.Receipt) {
	p.Counters.receipt(r)
	if row, err := strconv.ParseUint(r.Effect, 10, 64); err == nil {
		c.SettleOf(row, r.Decision)
	}
	if r.Via != "" {
		return
	}
	p.merger.follow.Send(c, r.Person, &profile.Update{Receipt: r})
}

// DeadLetter is the body of an EffectDeadLetter.
type DeadLetter struct {
	Reason string `json:"reason"`
	Detail string `json:"detail"`
	Source string `json:"source"`
	Seq    uint64 `json:"seq"`
	Index  uint32 `json:"index"`
	At     int64  `json:"at"`
	Bytes  []byte `json:"bytes"`
}

// reject sends what could not be read to the dead letters, through the outbox.
func (p *Pipeline) reject(c *engine.Ctx, r *event.Reject) {
	p.Counters.reject(r)
	seq, index := c.Position()
	body, err := json.Marshal(DeadLetter{
		Reason: string(r.Code), Detail: r.Detail, Source: r.Source, Seq: seq, Index: index, At: r.ReceivedAt, Bytes: r.Bytes,
	})
	if err != nil {
		c.Fail(fmt.Errorf("encode dead letter: %w", err))
		return
	}
	c.Effect(EffectDeadLetter, "", body)
}

// Decoder fits the event codec to the engine. One goroutine at a time.
type Decoder struct {
	// Activate builds the graph of an activation that Names, by which it is signed, have
	// shown to be one. Without both activations go to the dead letters.
	Activate func(a *Activation) *engine.Activation
	Names    *privacy.Pseudonyms

	// Quality counts what is wanting in the events; nil: nobody does.
	Quality *Quality

	events  *event.Decoder
	records []event.Record
}

// NewDecoder makes a decoder.
func NewDecoder(o event.Options) *Decoder { return &Decoder{events: event.NewDecoder(o)} }

// Decode implements engine.Decoder.
func (d *Decoder) Decode(dst []engine.Unit, m *engine.Message) []engine.Unit {
	if m.Subject == ActivationSubject {
		return d.activation(dst, m)
	}
	if isFill(m) {
		return d.fill(dst, m)
	}
	d.events.Seq = m.Seq
	d.records = d.events.DecodeAll(d.records[:0], m.Data, m.Time)
	d.Quality.add(d.records)
	for i := range d.records {
		r := &d.records[i]
		switch {
		case r.Event != nil && r.Event.Person != "": // feedback of our own has the wall's time, which need not be the log's
			dst = append(dst, engine.Unit{Value: r.Event})
		case r.Event != nil && r.Event.Kind == event.ProductUpserted: // a feed comes once a day: nobody waits for the next
			dst = append(dst, engine.Unit{Received: r.Event.ReceivedAt, Value: r.Event})
		case r.Event != nil && m.Subject == subjectRetry: // somebody looked at it: it is never too late
			dst = append(dst, engine.Unit{Value: retried{r.Event}})
		case r.Event != nil:
			dst = append(dst, engine.Unit{Time: r.Event.Time, Received: r.Event.ReceivedAt, Producer: producer(r.Event.Source), Value: r.Event})
		case r.Reject != nil:
			dst = append(dst, engine.Unit{Value: r.Reject})
		case r.Receipt != nil:
			dst = append(dst, engine.Unit{Value: r.Receipt})
		case r.Stop != nil:
			dst = append(dst, engine.Unit{Value: r.Stop})
		case r.Redo != nil:
			dst = append(dst, engine.Unit{Value: r.Redo})
		case r.Steer != nil:
			dst = append(dst, engine.Unit{Value: r.Steer})
		case r.Offer != nil:
			dst = append(dst, engine.Unit{Value: r.Offer})
		case r.Handover != nil:
			dst = append(dst, engine.Unit{Value: r.Handover})
		case r.Clock:
			dst = append(dst, engine.Unit{Received: r.Tick, Value: tick{}})
		default:
			dst = append(dst, engine.Unit{Time: r.Tick, Received: r.Tick, Value: tick{}})
		}
	}
	clear(d.records)
	return dst
}

// Recycle implements engine.Recycler: events are most of what reading allocates.
func (d *Decoder) Recycle(units []engine.Unit) {
	for i := range units {
		if e, ok := units[i].Value.(*event.Event); ok {
			d.events.Recycle(e)
		}
	}
}

// producer is whom the watermark waits for: a source, or who names none.
func producer(source string) string {
	if source == "" {
		return "(unnamed)"
	}
	return source
}

// addressed is what the address stage gets: an event that names an address.
type addressed struct {
	person string // whose address it is, or ""
	event  *event.Event
}

// owner is whose an address is.
type owner struct{ Person string }

// AppendTo appends the stored form: the schema version and the pseudonym.
func (o *owner) AppendTo(b []byte) []byte { return append(append(b, 1), o.Person...) }

// DecodeFrom reads the stored form.
func (o *owner) DecodeFrom(b []byte) error {
	if len(b) == 0 || b[0] != 1 {
		return fmt.Errorf("owner of an address: %w", profile.ErrDamaged)
	}
	o.Person = string(b[1:])
	return nil
}

// addressBook remembers whose an address is, so that a bounce, a complaint or an
// unsubscription that names only the address finds the person.
type addressBook struct {
	cell   *state.Cell[owner, *owner]
	people *engine.Stage[*profile.Update]
}

func newAddressBook(people *engine.Stage[*profile.Update]) *addressBook {
	return &addressBook{cell: state.NewPackedCell[owner]("address/owner", 0, nil), people: people}
}

// Process implements engine.Operator.
func (a *addressBook) Process(c *engine.Ctx, v addressed) {
	known := engine.Value(c, a.cell)
	if v.person != "" {
		if known.Person != v.person {
			known.Person = v.person
			engine.Changed(c, a.cell)
		}
		return
	}
	if known.Person != "" {
		a.people.Send(c, known.Person, &profile.Update{Event: v.event})
	}
}
