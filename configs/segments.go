package configs

import (
	"maps"
	"reflect"
	"slices"

	"github.com/expr-lang/expr/ast"
)

// SegmentsMax is how many segments a shop may declare.
const SegmentsMax = 64

// SegmentsName is the variable of conditions that lists the declared segments of a person,
// and segmentCall the function that asks for one of them.
const (
	SegmentsName = "profile.segments"
	segmentCall  = "segment"
)

// The variables of conditions that models fitted over all people give: the shop names
// their versions under profile.
const (
	ClusterName   = "profile.cluster"
	ChurnName     = "profile.churn"
	NextOrderName = "profile.next_order_days"
	RFMName       = "profile.rfm"
	UpliftName    = "profile.uplift"
)

// withModels returns the variables with those of the models behind them that a shop names.
func (e *Env) withModels(shop *Shop) *Env {
	if shop == nil || shop.Profile.Cluster == 0 && shop.Profile.Lifetime == 0 && shop.Profile.Uplift == 0 {
		return e
	}
	fields := e.Fields()
	if shop.Profile.Cluster > 0 {
		fields = append(fields, Field{Name: ClusterName, Type: Text, Doc: "the name of the person's group"})
	}
	if shop.Profile.Lifetime > 0 {
		fields = append(
			fields,
			Field{Name: ChurnName, Type: Float, Doc: "probability that there will be no more orders"},
			Field{Name: NextOrderName, Type: Float, Doc: "days within which half of such people order again, at most 3650"},
			Field{Name: RFMName, Type: Text, Doc: `recency, frequency and money in fifths of all buyers, such as "5-4-3"`},
		)
	}
	if shop.Profile.Uplift > 0 {
		fields = append(fields, Field{Name: UpliftName, Type: Float, Doc: "what a mail adds to the goal of the experiment that the model is of: orders, or money"})
	}
	with, err := NewEnv(fields)
	if err != nil { // another program's variables stand in the way
		return e
	}
	return with
}

// SegmentNames returns the names of the declared segments, sorted.
func (s *Shop) SegmentNames() []string { return slices.Sorted(maps.Keys(s.Segments)) }

// segmentsEnv returns what the conditions of segments know: the person, and the declared
// fields of the file, which are read ahead of the segments. Without segments it is nil.
func (l *Loader) segmentsEnv(r *reader, doc *document) map[string]*Env {
	if doc.root.get("segments") == nil {
		return nil
	}
	ahead := Shop{}
	quiet := &decoding{reader: &reader{file: r.file}, doc: doc} // what is wrong is said when they are read in turn
	quiet.into(doc.root.get("fields"), reflect.ValueOf(&ahead.Fields).Elem(), "fields")
	quiet.into(doc.root.get("profile"), reflect.ValueOf(&ahead.Profile).Elem(), "profile")
	if doc.root.get("sentiment") != nil {
		ahead.Sentiment = &Sentiment{} // that there is one is all that conditions ask
	}
	var person []Field
	for _, f := range l.options.Audience.withPersonFields(&ahead).withModels(&ahead).withTone(&ahead).Fields() {
		if len(f.Kinds) == 0 && f.Name != SegmentsName {
			person = append(person, f)
		}
	}
	env, err := NewEnv(person)
	if err != nil { // a part of an Env is one
		panic("BUG: the variables of a person are no Env: " + err.Error())
	}
	env.inSegment = true
	return map[string]*Env{"segments": env}
}

// segments checks the names of the declared segments.
func (s *sense) segments(shop *Shop) {
	for _, name := range shop.SegmentNames() {
		e := s.root.get("segments").entry(name)
		if e != nil && !personFieldName.MatchString(name) {
			s.refuse(e.line, e.column, join("segments", name), "got the name %q, expected lower-case letters, digits and _", cut(name))
		}
	}
}

// withSegments returns the variables with the declared segments of a shop behind them.
func (e *Env) withSegments(shop *Shop) *Env {
	if shop == nil || len(shop.Segments) == 0 {
		return e
	}
	with, err := NewEnv(append(e.Fields(), Field{Name: SegmentsName, Type: Texts, Doc: "the declared segments of the person, by name"}))
	if err != nil { // another program's variables stand in the way
		return e
	}
	with.segments = shop.SegmentNames()
	return with
}

// segment checks segment("vip").
func (c *checker) segment(n ast.Node, args []ast.Node) Type {
	slot, ok := c.env.Slot(SegmentsName)
	switch {
	case c.env.inSegment:
		return c.refuse(n, "", "got a segment in a segment, expected what is known of the person: profile and its fields")
	case !ok:
		return c.refuse(n, "", "got the function segment, but the shop declares no segments")
	case len(args) != 1:
		return c.refuse(n, "", "got %d values for segment, expected 1", len(args))
	}
	if _, written := args[0].(*ast.StringNode); !written {
		return c.refuse(args[0], "", "got a computed name, expected the name of a segment in quotes")
	}
	c.typed[args[0]] = Text
	c.uses = append(c.uses, slot)
	c.segmentName(args[0])
	return Bool
}

// segmentName refuses the name of a segment that the shop does not declare.
func (c *checker) segmentName(n ast.Node) {
	name, written := n.(*ast.StringNode)
	if !written || len(c.env.segments) == 0 || contains(c.env.segments, name.Value) {
		return
	}
	c.refuse(n, nearest(name.Value, c.env.segments), "unknown segment %q, expected %s", cut(name.Value), oneOf(c.env.segments))
}

// isSegments tells whether a node is the list of a person's segments.
func isSegments(n ast.Node) bool {
	path, ok := dotted(n)
	return ok && path == SegmentsName
}

// segment returns the closure of segment("vip").
func (c *closures) segment(v *ast.CallNode) boolFunc {
	slot, ok := c.env.Slot(SegmentsName)
	if !ok || callee(v) != segmentCall || len(v.Arguments) != 1 {
		return nil
	}
	name, written := v.Arguments[0].(*ast.StringNode)
	if !written {
		return nil
	}
	want := name.Value
	return func(s []Value) bool { return slices.Contains(s[slot].list, want) }
}

// segmentFunc is the function segment as expr's virtual machine calls it.
func segmentFunc(all []string) func(string) bool {
	return func(name string) bool { return slices.Contains(all, name) }
}
