package configs

import (
	"maps"
	"regexp"
	"slices"
	"time"
)

// FieldsMax is how many fields a shop may declare.
const FieldsMax = 64

// FieldsPrefix is what stands before the name of a declared field in conditions.
const FieldsPrefix = "profile.fields."

// PersonField declares a field of the picture of a person. Exactly one of the
// operations is given: {sum: total, on: Order Completed}.
type PersonField struct {
	Count    string        `json:"count,omitempty" jsonschema:"enum=events" jsonschema_description:"How many events there were."`
	Sum      string        `json:"sum,omitempty" words:"properties" jsonschema_description:"The sum of a number."`
	Mean     string        `json:"mean,omitempty" words:"properties" jsonschema_description:"The mean of a number."`
	Min      string        `json:"min,omitempty" words:"properties" jsonschema_description:"The least number."`
	Max      string        `json:"max,omitempty" words:"properties" jsonschema_description:"The largest number."`
	First    string        `json:"first,omitempty" words:"properties" jsonschema_description:"What the oldest event said."`
	Last     string        `json:"last,omitempty" words:"properties" jsonschema_description:"What the newest event said."`
	Distinct string        `json:"distinct,omitempty" words:"properties" jsonschema_description:"How many different values there were."`
	Share    string        `json:"share,omitempty" words:"properties" jsonschema_description:"The texts that came, largest share first."`
	By       string        `json:"by,omitempty" words:"properties" jsonschema_description:"The number that a share weighs its texts by; without it each counts once."`
	On       []string      `json:"on,omitempty" words:"events" jsonschema_description:"The events that count (all)."`
	HalfLife time.Duration `json:"half_life,omitempty" jsonschema_description:"What is counted loses half its weight in this time: of count, sum, mean and share (never)."`
	Limit    int           `json:"limit,omitempty" jsonschema:"minimum=2,maximum=256" jsonschema_description:"How many values a distinct (64) or a share (32) keeps apart."`
}

// Op is the operation that is given, with what it is of: the first one, "" without any.
// more tells whether another one is given beside it.
func (f *PersonField) Op() (op, of string, more bool) {
	for _, o := range [...]struct{ op, of string }{
		{"count", f.Count}, {"sum", f.Sum}, {"mean", f.Mean}, {"min", f.Min}, {"max", f.Max},
		{"first", f.First}, {"last", f.Last}, {"distinct", f.Distinct}, {"share", f.Share},
	} {
		switch {
		case o.of == "":
		case op == "":
			op, of = o.op, o.of
		default:
			more = true
		}
	}
	return op, of, more
}

// Type is the type of the field in conditions. A time counts as days since then, a share
// as its texts, largest first.
func (f *PersonField) Type() Type {
	op, of, _ := f.Op()
	switch {
	case op == "share":
		return Texts
	case (op == "first" || op == "last") && !property(of).number:
		return Text
	default:
		return Float
	}
}

// fieldProperty is something that an event says, or each product in it.
type fieldProperty struct {
	name               string
	number, each, time bool
}

// fieldProperties are what fields may be of. The operators check that they know them.
func fieldProperties() []fieldProperty {
	return []fieldProperty{
		{name: "total", number: true}, {name: "rating", number: true}, {name: "items", number: true},
		{name: "hour", number: true}, {name: "weekday", number: true}, {name: "time", number: true, time: true},
		{name: "price", number: true, each: true}, {name: "value", number: true, each: true}, {name: "quantity", number: true, each: true},
		{name: "item", each: true}, {name: "product", each: true}, {name: "category", each: true}, {name: "department", each: true}, {name: "brand", each: true},
		{name: "currency"}, {name: "query"}, {name: "source"}, {name: "event"}, {name: "order"}, {name: "campaign"}, {name: "link"},
	}
}

// FieldProperties lists what a field may be of.
func FieldProperties() []string {
	var out []string
	for _, p := range fieldProperties() {
		out = append(out, p.name)
	}
	return out
}

func property(name string) fieldProperty {
	all := fieldProperties()
	if i := slices.IndexFunc(all, func(p fieldProperty) bool { return p.name == name }); i >= 0 {
		return all[i]
	}
	return fieldProperty{}
}

// personFieldName is such that conditions can use it.
var personFieldName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

// personFields checks the declared fields.
func (s *sense) personFields(shop *Shop) {
	for _, name := range slices.Sorted(maps.Keys(shop.Fields)) {
		f, path := shop.Fields[name], join("fields", name)
		e := s.root.get("fields").entry(name)
		if e == nil {
			continue
		}
		if !personFieldName.MatchString(name) {
			s.refuse(e.line, e.column, path, "got the name %q, expected lower-case letters, digits and _", cut(name))
		}
		s.personField(&f, e.value, path)
	}
}

// personField checks one of them.
func (s *sense) personField(f *PersonField, n *node, path string) {
	op, of, more := f.Op()
	switch {
	case n.kind != kindMapping:
		return // the schema says so
	case op == "":
		s.at(n, path, "", "got no operation, expected one of count, sum, mean, min, max, first, last, distinct, share")
		return
	case more:
		s.at(n, path, "", "got two operations, expected one")
		return
	case op != "count" && property(of).name == "":
		return // the schema says so
	}
	p, at, where := property(of), n.get(op), join(path, op)
	switch op {
	case "sum", "mean", "min", "max":
		if !p.number {
			s.at(at, where, "", "got %s, which is a text, expected a number", of)
		} else if p.time && (op == "sum" || op == "mean") {
			s.at(at, where, "", "got the %s of a time, expected min, max, first or last", op)
		}
	case "share":
		if p.number {
			s.at(at, where, "", "got %s, which is a number, expected a text", of)
		}
	}
	fades := op == "count" || op == "sum" || op == "mean" || op == "share"
	if f.HalfLife != 0 && !fades {
		s.at(n.get("half_life"), join(path, "half_life"), "", "%s does not fade, only count, sum, mean and share do", op)
	}
	if f.Limit != 0 && op != "distinct" && op != "share" {
		s.at(n.get("limit"), join(path, "limit"), "", "%s keeps one value, only distinct and share keep several", op)
	}
	by := property(f.By)
	switch {
	case by.name == "":
	case op != "share":
		s.at(n.get("by"), join(path, "by"), "", "only a share is by something")
	case !by.number:
		s.at(n.get("by"), join(path, "by"), "", "got %s, which is a text, expected a number", f.By)
	case by.each && !p.each:
		s.at(n.get("by"), join(path, "by"), "", "got %s, which each product has, of %s, which the event has", f.By, of)
	}
}

// withPersonFields returns the variables with the declared fields of a shop behind them.
func (e *Env) withPersonFields(shop *Shop) *Env {
	if shop == nil || len(shop.Fields) == 0 {
		return e
	}
	fields := e.Fields()
	for _, name := range slices.Sorted(maps.Keys(shop.Fields)) {
		f := shop.Fields[name]
		if op, _, _ := f.Op(); op != "" && personFieldName.MatchString(name) {
			fields = append(fields, Field{Name: FieldsPrefix + name, Type: f.Type(), Doc: "declared in the shop"})
		}
	}
	with, err := NewEnv(fields)
	if err != nil { // another program's variables stand in the way
		return e
	}
	return with
}
