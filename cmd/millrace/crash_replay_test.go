package main

import (
	"cmp"
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
	journeys, err := operators.Journeys(set, loader, false)
	if err != nil {
		return nil, err
	}
	o := trigger.Options{ID: func(pipeline, rule, person, sub string, started int64) string {
		return names.Decision(pipeline, rule, person, sub, strconv.FormatInt(started, 10))
	}}
	for _, j := range journeys {
		o.Rules = append(o.Rules, j.Rule)
	}
	return &replay{
		names: names, triggers: trigger.New(o), late: set.Shop.Log.OutOfOrder.Milliseconds(), watermark: math.MinInt64,
		updater: profile.New(profile.Options{HalfLife: set.Shop.Profile.HalfLife}),
		items:   recommend.New(recommend.Options{HalfLife: set.Shop.Items.HalfLife}),
		people:  make(map[string]*profile.Person), visitors: make(map[string]*profile.Visitor),
		states: make(map[string]*trigger.State), records: make(map[string]*recommend.Item),
		receipts: make(map[string][]event.Receipt),
	}, nil
}

// log replays messages.
func (r *replay) log(messages []engine.Message) {
	decoder := operators.NewDecoder(event.Options{})
	for i := range messages {
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
