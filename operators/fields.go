package operators

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"millrace/configs"
	"millrace/engine"
	"millrace/operators/event"
	"millrace/operators/profile"
	"millrace/operators/trigger"
)

// This file wires the fields of a person that a shop declares.

// Fields turns the declared fields of a set into what the graph keeps; nil without any.
func Fields(set *configs.Set) (*profile.FieldSet, error) {
	if len(set.Shop.Fields) == 0 {
		return nil, nil //nolint:nilnil // no fields are the usual case and no error
	}
	var specs []profile.FieldSpec
	for _, name := range slices.Sorted(maps.Keys(set.Shop.Fields)) {
		f := set.Shop.Fields[name]
		op, of, _ := f.Op()
		if op == "count" {
			of = ""
		}
		specs = append(specs, profile.FieldSpec{Name: name, Op: op, Of: of, By: f.By, On: f.On, HalfLife: f.HalfLife, Limit: f.Limit})
	}
	all, err := profile.CompileFields(specs, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", set.Shop.File, err)
	}
	return all, nil
}

// addFields adds the operator that keeps the declared fields, if there are any.
func (p *Pipeline) addFields(o *Options) {
	if o.Fields == nil || len(o.Fields.All) == 0 {
		return
	}
	p.fields = profile.NewFieldKeeper(o.Fields, o.PeopleMax)
	p.people.Use("fields", p.fields)
	p.visitor.Fields = p.fields
	p.Graph.Keep(p.fields.Cell, p.fields.Visitors)
}

// useFields lets the conditions of the triggers see the declared fields.
func (p *Pipeline) useFields() {
	if p.fields != nil {
		p.trigger.Fields = p.fields.Cell
	}
}

// fieldsSize is how many bytes the fields of the current key would hand over.
func (p *Pipeline) fieldsSize(c *engine.Ctx) int {
	if p.fields == nil {
		return 0
	}
	return len(engine.Value(c, p.fields.Cell).AppendTo(nil))
}

// fieldFact is the value of a declared field for conditions: money in major units of the
// person's currency, a time in days since then.
func fieldFact(declared *profile.FieldSet, name string, t configs.Type, f *trigger.Facts) configs.Value {
	v, ok := fieldValue(declared, name, f.Fields, f.Now)
	switch {
	case t == configs.Text:
		return configs.TextValue(v.Text)
	case t == configs.Texts:
		var names []string
		for _, w := range v.Shares {
			names = append(names, w.Name)
		}
		return configs.TextsValue(names)
	case !ok || !v.Known:
		return configs.FloatValue(0)
	case v.Type == profile.FieldMoney:
		return configs.FloatValue(v.Num / math.Pow10(event.Exponent(f.Person.Currency)))
	case v.Type == profile.FieldTime:
		return configs.FloatValue(since(f.Now, int64(v.Num)))
	default:
		return configs.FloatValue(v.Num)
	}
}

func fieldValue(declared *profile.FieldSet, name string, s *profile.FieldState, now int64) (profile.FieldValue, bool) {
	if declared == nil || s == nil {
		return profile.FieldValue{}, false
	}
	i, ok := declared.Find(name)
	if !ok {
		return profile.FieldValue{}, false
	}
	return declared.Value(s, i, now), true
}

// FieldValues are the declared fields of a person as of a view, by name, for people:
// numbers, texts, times, and the shares of texts. Of what nothing is known there is nil;
// without declared fields the map is nil. Money stands in major units.
func (p *Pipeline) FieldValues(v *engine.View, userID string) (map[string]any, error) {
	if p.fields == nil {
		return nil, nil //nolint:nilnil // no fields are the usual case and no error
	}
	key, err := p.Owner(v, p.pseudonyms.Person(userID))
	if err != nil {
		return nil, err
	}
	s, _, err := engine.Read(v, p.fields.Cell, key)
	if err != nil {
		return nil, err
	}
	person, _, err := engine.Read(v, p.keeper.Cell, key)
	if err != nil {
		return nil, err
	}
	out := make(map[string]any, len(p.fields.Set.All))
	for i := range p.fields.Set.All {
		out[p.fields.Set.All[i].Name] = plainField(p.fields.Set.Value(&s, i, v.Watermark), person.Currency)
	}
	return out, nil
}

func plainField(v profile.FieldValue, currency string) any {
	switch {
	case !v.Known:
		return nil
	case v.Type == profile.FieldShares:
		shares := make(map[string]float64, len(v.Shares))
		for _, w := range v.Shares {
			shares[w.Name] = w.Weight
		}
		return shares
	case v.Type == profile.FieldText:
		return v.Text
	case v.Type == profile.FieldTime:
		return time.UnixMilli(int64(v.Num)).UTC()
	case v.Type == profile.FieldMoney:
		return v.Num / math.Pow10(event.Exponent(currency))
	}
	return v.Num
}
