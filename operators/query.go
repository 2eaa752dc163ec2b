package operators

import (
	"cmp"
	"strings"

	"millrace/engine"
	"millrace/operators/event"
	"millrace/operators/profile"
	"millrace/operators/recommend"
	"millrace/operators/trigger"
)

// This file answers questions about the committed state, for the mailer, the command
// line and the console. Views are handed in; nothing here touches live state.

// Person is the committed picture of a person, by the shop's user id. Here and below an
// id that was merged into another one leads to that one: Merged tells.
func (p *Pipeline) Person(v *engine.View, userID string) (profile.Person, bool, error) {
	key, err := p.Owner(v, p.pseudonyms.Person(userID))
	if err != nil {
		return profile.Person{}, false, err
	}
	return engine.Read(v, p.keeper.Cell, key)
}

// Visitor is the committed record of an anonymous visitor.
func (p *Pipeline) Visitor(v *engine.View, anonymousID string) (profile.Visitor, bool, error) {
	return engine.Read(v, p.visitor.Cell, p.pseudonyms.Visitor(anonymousID))
}

// Decisions are what was decided about a person, oldest first, with the reasons.
func (p *Pipeline) Decisions(v *engine.View, userID string) ([]event.Decision, error) {
	st, err := p.triggerState(v, userID)
	return st.Records, err
}

func (p *Pipeline) triggerState(v *engine.View, userID string) (trigger.State, error) {
	key, err := p.Owner(v, p.pseudonyms.Person(userID))
	if err != nil {
		return trigger.State{}, err
	}
	st, _, err := engine.Read(v, p.trigger.Cell, key)
	return st, err
}

// Waiting is what is waited for, for a person.
func (p *Pipeline) Waiting(v *engine.View, userID string) ([]Wait, error) {
	st, err := p.triggerState(v, userID)
	out := make([]Wait, 0, len(st.Waits))
	for _, w := range st.Waits {
		out = append(out, Wait{Rule: w.Rule, About: w.Sub[min(1, len(w.Sub)):], Order: strings.HasPrefix(w.Sub, "o"), Activity: w.Activity, Due: w.Deadline})
	}
	return out, err
}

// Wait is a trigger that is armed for a person. Times are Unix milliseconds.
type Wait struct {
	Rule     string
	About    string // the cart or order
	Order    bool   // which of them
	Activity int64
	Due      int64
}

// Item is the committed record of an item. What the catalogue says of it holds.
func (p *Pipeline) Item(v *engine.View, id string) (recommend.Item, bool, error) {
	it, known, err := engine.Read(v, p.items.Cell, id)
	if err != nil {
		return it, false, err
	}
	listed, err := p.overlay(v, id, &it.Facts)
	return it, known || listed, err
}

// Neighbours are the items that go with one, surest first.
func (p *Pipeline) Neighbours(v *engine.View, id string, r recommend.Relation, limit int) ([]recommend.Neighbour, error) {
	read, failed := p.reader(v, new(recommend.Query))
	totals, _, err := engine.Read(v, p.items.Totals, "")
	if err != nil {
		return nil, err
	}
	top := p.recommender.Top(id, r, v.Watermark, read, &totals)
	return top[:min(limit, len(top))], *failed
}

// Popular lists the ids of the most popular items.
func (p *Pipeline) Popular(v *engine.View, n int) ([]string, error) {
	totals, _, err := engine.Read(v, p.items.Totals, "")
	return totals.Popular(n), err
}

func (p *Pipeline) recommendations(v *engine.View, q recommend.Query) ([]recommend.Scored, error) {
	read, failed := p.reader(v, &q)
	totals, err := p.totals.get(v, p.items.Totals)
	if err != nil {
		return nil, err
	}
	p.exclusions(&q)
	out, err := p.inStock(v, q, func(q recommend.Query) []recommend.Scored { return p.recommender.Recommend(q, read, totals) })
	return out, cmp.Or(err, *failed)
}

// exclusions leaves out what is never recommended.
func (p *Pipeline) exclusions(q *recommend.Query) {
	skip := q.Skip
	q.Skip = func(id string) bool { return p.never[id] || skip != nil && skip(id) }
}

// reader reads item records from a view, and remembers the first error. What q asks of
// neighbours is answered from memory.
func (p *Pipeline) reader(v *engine.View, q *recommend.Query) (recommend.Reader, *error) {
	var failed error
	read := func(id string) (*recommend.Item, error) {
		it, ok, err := engine.Read(v, p.items.Cell, id)
		if err == nil && !ok { // the catalogue may know it
			it, ok, err = p.Item(v, id)
		}
		if err != nil && failed == nil {
			failed = err
		}
		if err != nil || !ok {
			return nil, err
		}
		return &it, nil
	}
	q.Brief = func(id string) (*recommend.Item, bool) {
		it := p.cache.get(v, id, q.Tops != nil, read)
		return it, it != nil
	}
	return func(id string) (*recommend.Item, bool) {
		it, err := read(id)
		return it, err == nil && it != nil
	}, &failed
}
