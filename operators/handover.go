package operators

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"millrace/engine"
	"millrace/operators/event"
)

// HandoverOptions say how handovers are carried out. Both are required.
type HandoverOptions struct {
	// Publish puts the message of a handover in the log. Publishing it twice under its id
	// is harmless, however long after.
	Publish func(ctx context.Context, id string, data []byte) error
	// Suppress lets what a person does not want hold for another one too, in the set that
	// is read before each send.
	Suppress func(from, to string) error
}

// NewHandover makes the handler of EffectHandover.
func NewHandover(p *Pipeline, o HandoverOptions) engine.Handler {
	return func(ctx context.Context, v *engine.View, row engine.Row) (engine.Result, time.Duration, error) {
		var h event.Handover
		if err := json.Unmarshal(row.Body, &h); err != nil {
			return engine.Again, time.Hour, fmt.Errorf("handover in row %d: %w", row.ID, err)
		}
		now, err := p.owner(v, h.To)
		if err != nil {
			return engine.Again, 0, err
		}
		for _, to := range []string{h.To, now.person} { // he may have gone on meanwhile
			if err := o.Suppress(h.From, to); err != nil {
				return engine.Again, time.Second, fmt.Errorf("suppressions of row %d: %w", row.ID, err)
			}
		}
		if err := o.Publish(ctx, "handover/"+h.ID, event.AppendHandover(nil, row.Body)); err != nil {
			return engine.Again, time.Second, fmt.Errorf("handover of row %d: %w", row.ID, err)
		}
		return engine.Reported, 0, nil
	}
}

// ownership is whose an id is, as of a view.
type ownership struct {
	person string // pseudonym
	moved  bool   // the id was merged into that person's
	others int    // how many ids were, this one included
	awaits int    // how many of their states have not arrived
	capped string // why a decision does not go: another of them outdid it, or a bad experience forbids it
}

// owner finds out whose a pseudonym is.
func (p *Pipeline) owner(v *engine.View, person string) (ownership, error) {
	o := ownership{person: person}
	d, _, err := engine.Read(v, p.merger.cell, person)
	if err == nil && d.Owner != "" {
		o.person, o.moved = d.Owner, true
		d, _, err = engine.Read(v, p.merger.cell, d.Owner)
	}
	o.others, o.awaits = len(d.IDs), d.awaits()
	return o, err
}

// Merged says what a user id has to do with merges, for people.
type Merged struct {
	Into   string // pseudonym of the person that the id was merged into, or ""
	Others int    // how many other ids are the same person by merges
	Awaits int    // how many of their states are on their way through the log
}

// Merged answers whether a user id was merged into another one, or others into it.
func (p *Pipeline) Merged(v *engine.View, userID string) (Merged, error) {
	o, err := p.owner(v, p.pseudonyms.Person(userID))
	m := Merged{Others: o.others, Awaits: o.awaits}
	if o.moved {
		m.Into = o.person
	}
	return m, err
}

// Owner is the pseudonym of whose a person's pseudonym is by now: his own, unless he was
// merged into another person.
func (p *Pipeline) Owner(v *engine.View, person string) (string, error) {
	o, err := p.owner(v, person)
	return o.person, err
}

// mergeWait is when a mail looks again whether the state of a merged person has arrived:
// about as long as a handover takes through the log.
const mergeWait = 200 * time.Millisecond

// promised says whether persons who became one were promised a mail each, where a rule
// allows one of them: the reason to skip this one, or "".
func (p *Pipeline) promised(v *engine.View, d *event.Decision, o ownership) (string, error) {
	if o.others == 0 {
		return "", nil
	}
	st, _, err := engine.Read(v, p.trigger.Cell, o.person)
	if err != nil {
		return "", err
	}
	return p.triggers.RecheckMerged(d, &st), nil
}
