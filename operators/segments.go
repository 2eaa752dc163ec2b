package operators

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"millrace/configs"
	"millrace/engine"
	"millrace/operators/profile"
	"millrace/operators/trigger"
)

// This file wires the segments that a shop declares: who is in one is a function of what
// is known of the person, reckoned when somebody asks, so nothing is kept of it.

// Segments are the declared segments of a version of the shop. It does not change, so many
// goroutines may use it; nil has none.
type Segments struct {
	all []segment // by name
}

type segment struct {
	name string
	when *configs.Condition
	fill func(*trigger.Facts) []configs.Value
}

// NewSegments prepares the declared segments of a set; nil without any.
func NewSegments(set *configs.Set, fields *profile.FieldSet, models *PeopleModels) *Segments {
	names := set.Shop.SegmentNames()
	if len(names) == 0 {
		return nil
	}
	s := &Segments{}
	for _, name := range names {
		c := set.Shop.Segments[name]
		s.all = append(s.all, segment{name, c, filler(c, fields, nil, models, set)})
	}
	return s
}

// Names are the names of the segments, sorted.
func (s *Segments) Names() []string {
	var names []string
	if s != nil {
		for i := range s.all {
			names = append(names, s.all[i].name)
		}
	}
	return names
}

// Of answers the names of the segments that a person is in, sorted.
func (s *Segments) Of(f *trigger.Facts) []string {
	var in []string
	if s != nil {
		for i := range s.all {
			if s.all[i].when.Eval(s.all[i].fill(f)) {
				in = append(in, s.all[i].name)
			}
		}
	}
	return in
}

// filler returns what fills the slots that c reads from the facts.
func filler(c *configs.Condition, declared *profile.FieldSet, segments *Segments, models *PeopleModels, set *configs.Set) func(*trigger.Facts) []configs.Value {
	env := c.Env()
	fields := env.Fields()
	assumed := set.Shop.Consent.Assumed()
	return func(f *trigger.Facts) []configs.Value {
		slots := make([]configs.Value, env.Len())
		for _, slot := range c.Uses() {
			name := fields[slot].Name
			if field, ok := strings.CutPrefix(name, configs.FieldsPrefix); ok {
				slots[slot] = fieldFact(declared, field, fields[slot].Type, f)
				continue
			}
			if name == configs.SegmentsName {
				slots[slot] = configs.TextsValue(segments.Of(f))
				continue
			}
			if v, ok := toneFact(name, f); ok {
				slots[slot] = v
				continue
			}
			if v, ok := models.fact(name, f); ok {
				slots[slot] = v
				continue
			}
			slots[slot] = fact(name, f, assumed)
		}
		return slots
	}
}

// HasSegments tells whether the shop declares any.
func (p *Pipeline) HasSegments() bool { return p.segments != nil }

// facts are what segments are reckoned from, of the person under a key.
func (p *Pipeline) facts(v *engine.View, key string, person *profile.Person) (*trigger.Facts, error) {
	f := &trigger.Facts{Person: person, Now: v.Watermark}
	if err := p.toneOf(v, key, f); err != nil || p.fields == nil {
		return f, err
	}
	kept, _, err := engine.Read(v, p.fields.Cell, key)
	f.Fields = &kept
	return f, err
}

// SegmentsOf are the declared segments that a person is in as of a view, by the shop's
// user id; nil when the shop declares none.
func (p *Pipeline) SegmentsOf(v *engine.View, userID string) ([]string, error) {
	if p.segments == nil {
		return nil, nil //nolint:nilnil // no segments are the usual case and no error
	}
	key, err := p.Owner(v, p.pseudonyms.Person(userID))
	if err != nil {
		return nil, err
	}
	person, ok, err := engine.Read(v, p.keeper.Cell, key)
	if err != nil || !ok {
		return nil, err
	}
	f, err := p.facts(v, key, &person)
	if err != nil {
		return nil, err
	}
	return append([]string{}, p.segments.Of(f)...), nil
}

// SegmentSize is how many people are in a segment.
type SegmentSize struct {
	Name   string  `json:"name"`
	When   string  `json:"when"`
	People int     `json:"people"`
	Share  float64 `json:"share"` // of all people
}

// SegmentSizes is the result of a scan.
type SegmentSizes struct {
	People   int           `json:"people"`
	Segments []SegmentSize `json:"segments"` // by name
}

// scanStep is after how many people a scan says how far it is, and looks whether it is to
// go on.
const scanStep = 1024

// ScanSegments counts the people of each declared segment in a view. progress, which may
// be nil, is told now and then how many people were read.
func (p *Pipeline) ScanSegments(ctx context.Context, v *engine.View, progress func(people int)) (*SegmentSizes, error) {
	out := &SegmentSizes{Segments: []SegmentSize{}}
	if p.segments != nil {
		for i := range p.segments.all {
			s := &p.segments.all[i]
			out.Segments = append(out.Segments, SegmentSize{Name: s.name, When: s.when.String()})
		}
	}
	err := p.eachPerson(ctx, v, progress, func(key string, person *profile.Person) error {
		out.People++
		if p.segments == nil {
			return nil
		}
		f, err := p.facts(v, key, person)
		if err != nil {
			return err
		}
		for _, name := range p.segments.Of(f) {
			i, _ := slices.BinarySearchFunc(out.Segments, name, func(s SegmentSize, name string) int { return strings.Compare(s.Name, name) })
			out.Segments[i].People++
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i := range out.Segments {
		out.Segments[i].Share = ratio(float64(out.Segments[i].People), float64(out.People))
	}
	return out, nil
}

// eachPerson calls fn with all people of a view, in the order of their keys. Who was
// merged into another one is not there any more. The person is good until fn returns.
func (p *Pipeline) eachPerson(ctx context.Context, v *engine.View, progress func(people int), fn func(key string, person *profile.Person) error) error {
	n := 0
	var failed error
	err := p.Graph.EachAny(v, p.keeper.Cell.Name(), func(key string, value any) bool {
		person, ok := value.(*profile.Person)
		if !ok {
			failed = fmt.Errorf("a picture of a person is a %T", value)
			return false
		}
		if !person.Known() {
			return true
		}
		if n++; n%scanStep == 0 {
			if progress != nil {
				progress(n)
			}
			if failed = ctx.Err(); failed != nil {
				return false
			}
		}
		failed = fn(key, person)
		return failed == nil
	})
	if err == nil {
		err = failed
	}
	if err == nil && progress != nil {
		progress(n)
	}
	return err
}
