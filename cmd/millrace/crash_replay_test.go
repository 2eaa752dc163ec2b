package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"millrace/configs"
	"millrace/engine"
	"millrace/operators"
	"millrace/operators/event"
	"millrace/operators/privacy"
	"millrace/operators/profile"
	"millrace/operators/recommend"
	"millrace/operators/trigger"
)

// This file recomputes the state from the log in one straight pass: the pure cores, plain
// maps, a sorted list of timers; no engine, no epochs, no store, no crash.

// replay is the state as it must be.
type replay struct {
	versions []engine.PipelineVersion
	names    *privacy.Pseudonyms
	updater  *profile.Updater
	items    *recommend.Recommender
	triggers *trigger.Triggers
	late     int64

	newest, watermark int64
	timers            []alarm // by due time, person, tag

	people   map[string]*profile.Person
	visitors map[string]*profile.Visitor
	states   map[string]*trigger.State
	records  map[string]*recommend.Item
	totals   recommend.Totals
	receipts map[string][]event.Receipt // by decision
	stray    int                        // events that the replay has no rule for
}

type alarm struct {
	due         int64
	person, tag string
}

func compareAlarms(a, b alarm) int {
	return cmp.Or(cmp.Compare(a.due, b.due), strings.Compare(a.person, b.person), strings.Compare(a.tag, b.tag))
}

func newReplay(names *privacy.Pseudonyms, set *configs.Set, loader *configs.Loader) (*replay, error) {
	rules, err := rulesOf(names, set, loader, 1)
	if err != nil {
		return nil, err
	}
	return &replay{
		names: names, versions: []engine.PipelineVersion{{Number: 1}}, triggers: rules, late: set.Shop.Log.OutOfOrder.Milliseconds(), watermark: math.MinInt64,
		updater: profile.New(profile.Options{HalfLife: set.Shop.Profile.HalfLife}),
		items:   recommend.New(recommend.Options{HalfLife: set.Shop.Items.HalfLife}),
		people:  make(map[string]*profile.Person), visitors: make(map[string]*profile.Visitor),
		states: make(map[string]*trigger.State), records: make(map[string]*recommend.Item),
		receipts: make(map[string][]event.Receipt),
	}, nil
}

// rulesOf are the rules of a version.
func rulesOf(names *privacy.Pseudonyms, set *configs.Set, loader *configs.Loader, number uint64) (*trigger.Triggers, error) {
	journeys, err := operators.Journeys(set, loader, false)
	if err != nil {
		return nil, err
	}
	o := trigger.Options{ID: func(pipeline, rule, person, sub string, started int64) string {
		return names.Decision(pipeline, rule, person, sub, strconv.FormatInt(started, 10))
	}}
	for _, j := range journeys {
		j.Rule.Version = event.VersionText(j.Rule.Version, number)
		o.Rules = append(o.Rules, j.Rule)
	}
	return trigger.New(o), nil
}

// activate takes the rules of a version from its message on.
func (r *replay) activate(a *operators.Activation, seq uint64) error {
	number := uint64(len(r.versions))
	if a.Expect != number {
		return nil // another one came first
	}
	set, loader, err := a.Bundle.Load(configs.Options{})
	if err != nil {
		return fmt.Errorf("message %d: %w", seq, err)
	}
	r.versions = append(r.versions, engine.PipelineVersion{Number: number + 1, Hash: a.Hash, Seq: seq})
	r.triggers, err = rulesOf(r.names, set, loader, number+1)
	return err
}

// log replays messages.
func (r *replay) log(messages []engine.Message) error {
	decoder := operators.NewDecoder(event.Options{})
	for i := range messages {
		if messages[i].Subject == operators.ActivationSubject {
			a, err := operators.ReadActivation(messages[i].Data, r.names)
			if err == nil {
				err = r.activate(a, messages[i].Seq)
			}
			if err != nil {
				return err
			}
			continue
		}
		for _, u := range decoder.Decode(nil, &messages[i]) {
			if u.Time > r.newest {
				r.newest = u.Time
				r.watermark = max(r.watermark, u.Time-r.late)
			}
			for len(r.timers) > 0 && r.timers[0].due <= r.watermark {
				next := r.timers[0]
				r.timers = r.timers[1:]
				r.fire(next)
			}
			switch v := u.Value.(type) {
			case *event.Event:
				r.event(v)
			case *event.Receipt:
				r.receipts[v.Decision] = append(r.receipts[v.Decision], *v)
				if s, ok := r.states[v.Person]; ok {
					s.Settle(v)
				}
			}
		}
	}
	return nil
}

// event finds out whose event it is.
func (r *replay) event(e *event.Event) {
	person := ""
	if e.UserID != "" {
		person = r.names.Person(e.UserID)
	}
	visitor := e.AnonymousID
	if e.Kind == event.Alias {
		visitor = e.PreviousID
	}
	if visitor == "" {
		if person == "" {
			r.stray++
			return
		}
		r.person(person, e, nil)
		return
	}
	v := get(r.visitors, r.names.Visitor(visitor))
	if person != "" && v.Owner != person {
		history := v.Person
		first := v.Owner == "" && history.Newest != 0
		*v = profile.Visitor{Owner: person}
		if first {
			r.person(person, nil, &history)
		}
	}
	if v.Owner != "" {
		r.person(v.Owner, e, nil)
		return
	}
	var ch profile.Change
	r.updater.Apply(&v.Person, e, &ch)
	r.touch(e, &ch, &v.Person)
}

// person applies an event, or the history of a visitor, to a person.
func (r *replay) person(key string, e *event.Event, history *profile.Person) {
	p := get(r.people, key)
	var ch profile.Change
	if e != nil {
		r.updater.Apply(p, e, &ch)
	} else {
		r.updater.Merge(p, history, &ch)
	}
	if !ch.Duplicate && (len(ch.Carts) > 0 || ch.Ordered || ch.Refund) {
		var out trigger.Result
		r.triggers.Arm(trigger.Subject{Person: key, State: get(r.states, key), Profile: p, Now: r.watermark}, &ch, &out)
		r.set(key, &out)
	}
	if e != nil {
		r.touch(e, &ch, p)
	}
}

func (r *replay) touch(e *event.Event, ch *profile.Change, p *profile.Person) {
	for _, t := range r.items.Touches(nil, e, ch, p) {
		if t.Item == "" {
			r.items.ApplyTotals(&r.totals, &t)
		} else {
			r.items.Apply(get(r.records, t.Item), &t)
		}
	}
}

func (r *replay) fire(a alarm) {
	rule, sub, _ := strings.Cut(a.tag, "\x00")
	var out trigger.Result
	p := r.people[a.person]
	if p == nil {
		p = &profile.Person{}
	}
	r.triggers.Fire(trigger.Subject{Person: a.person, State: get(r.states, a.person), Profile: p, Now: r.watermark}, rule, sub, &out)
	r.set(a.person, &out)
}

// set sets the timers that a call asked for. The same timer set twice is one.
func (r *replay) set(person string, out *trigger.Result) {
	for _, t := range out.Timers {
		a := alarm{t.Due, person, t.Rule + "\x00" + t.Sub}
		if i, ok := slices.BinarySearchFunc(r.timers, a, compareAlarms); !ok {
			r.timers = slices.Insert(r.timers, i, a)
		}
	}
}

// get finds or makes the value of a key.
func get[T any](m map[string]*T, key string) *T {
	v := m[key]
	if v == nil {
		v = new(T)
		m[key] = v
	}
	return v
}
