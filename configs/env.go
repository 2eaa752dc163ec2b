package configs

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/expr-lang/expr/types"
)

// Type is the type of a variable that conditions may use.
type Type uint8

// The types of variables.
const (
	Bool  Type = iota + 1 // true or false
	Int                   // whole number
	Float                 // number; money in major units: 30 is 30.00
	Text                  // text
	Texts                 // list of texts, for `"mugs" in profile.categories`
)

// String names the type as messages do.
func (t Type) String() string {
	switch t {
	case Bool:
		return "true or false"
	case Int:
		return "a whole number"
	case Float:
		return "a number"
	case Text:
		return "text"
	case Texts:
		return "a list of texts"
	default:
		return "unknown"
	}
}

// number reports whether the type can be reckoned with.
func (t Type) number() bool { return t == Int || t == Float }

// Value is the value of one variable. Its type is that of the field it is put in;
// the zero Value is false, 0, "" or the empty list.
type Value struct {
	bits uint64
	text string
	list []string
}

// BoolValue returns the value for a Bool field.
func BoolValue(b bool) Value {
	if b {
		return Value{bits: 1}
	}
	return Value{}
}

// IntValue returns the value for an Int field.
func IntValue(i int64) Value { return Value{bits: uint64(i)} }

// FloatValue returns the value for a Float field.
func FloatValue(f float64) Value { return Value{bits: math.Float64bits(f)} }

// TextValue returns the value for a Text field.
func TextValue(s string) Value { return Value{text: s} }

// TextsValue returns the value for a Texts field; the list is not copied.
func TextsValue(l []string) Value { return Value{list: l} }

// Field is a variable that conditions may use.
type Field struct {
	Name  string   // "profile.consent.marketing": lower-case names joined by dots
	Type  Type     // what it holds
	Doc   string   // a phrase for the schema and the docs
	Kinds []string // the kinds of content whose journeys know it; none means all
}

// Env is the set of variables that conditions may use, in a fixed order: the slot of
// a field is its index in the list the Env was made of. An Env does not change, so
// many goroutines may use it.
type Env struct {
	fields []Field
	slots  map[string]int
	names  []string // of the fields, sorted

	segments  []string // the declared segments, sorted
	inSegment bool     // of the conditions of segments themselves
}

var fieldName = regexp.MustCompile(`^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*){0,7}$`)

// NewEnv returns the Env of the fields. It refuses names that are given twice, that
// stand in each other's way ("profile" beside "profile.ltv"), or that are no names.
func NewEnv(fields []Field) (*Env, error) {
	e := &Env{fields: slices.Clone(fields), slots: make(map[string]int, len(fields))}
	for i, f := range fields {
		if !fieldName.MatchString(f.Name) {
			return nil, fmt.Errorf("add field %q: expected lower-case names joined by dots", f.Name)
		}
		if f.Type < Bool || f.Type > Texts {
			return nil, fmt.Errorf("add field %q: expected a type", f.Name)
		}
		if _, twice := e.slots[f.Name]; twice {
			return nil, fmt.Errorf("add field %q: it is there already", f.Name)
		}
		e.slots[f.Name] = i
		e.names = append(e.names, f.Name)
	}
	slices.Sort(e.names)
	for _, name := range e.names {
		for i, c := range name {
			if _, clash := e.slots[name[:i]]; c == '.' && clash {
				return nil, fmt.Errorf("add field %q: %q is a field, not a group of fields", name, name[:i])
			}
		}
	}
	return e, nil
}

// Slot returns the index of a field in the slots that Eval takes.
func (e *Env) Slot(name string) (slot int, ok bool) {
	slot, ok = e.slots[name]
	return slot, ok
}

// Fields returns the fields in the order of their slots.
func (e *Env) Fields() []Field { return slices.Clone(e.fields) }

// Len returns the number of slots.
func (e *Env) Len() int { return len(e.fields) }

// group reports whether name is a group of fields, such as "profile".
func (e *Env) group(name string) bool {
	i, _ := slices.BinarySearch(e.names, name+".")
	return i < len(e.names) && strings.HasPrefix(e.names[i], name+".")
}

// near returns the nearest known name for one that is not known, whole.
func (e *Env) near(name string) string {
	if whole := nearest(name, e.names); whole != "" {
		return whole
	}
	prefix := ""
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		prefix, name = name[:i+1], name[i+1:]
	}
	var here []string // names one level below the prefix
	var tails []string
	for _, n := range e.names {
		if rest, ok := strings.CutPrefix(n, prefix); ok {
			first, _, _ := strings.Cut(rest, ".")
			here = append(here, first)
		}
		tails = append(tails, n[strings.LastIndexByte(n, '.')+1:])
	}
	if n := nearest(name, here); n != "" {
		return prefix + n
	}
	// The group was forgotten: "ltv" for "profile.ltv".
	if i := slices.Index(tails, name); i >= 0 {
		return e.names[i]
	}
	return ""
}

// types describes the variables to expr's checker.
func (e *Env) types() types.Map {
	root := types.Map{}
	for _, f := range e.fields {
		m, last := root, f.Name
		for {
			head, rest, more := strings.Cut(last, ".")
			if !more {
				break
			}
			next, ok := m[head].(types.Map)
			if !ok {
				next = types.Map{}
				m[head] = next
			}
			m, last = next, rest
		}
		m[last] = map[Type]types.Type{
			Bool: types.Bool, Int: types.Int, Float: types.Float64, Text: types.String, Texts: types.TypeOf([]string(nil)),
		}[f.Type]
	}
	if _, ok := e.slots[SegmentsName]; ok {
		root[segmentCall] = types.TypeOf(segmentFunc(nil))
	}
	return root
}

// values returns the variables of some slots as expr's virtual machine takes them.
func (e *Env) values(slots []Value, uses []int) map[string]any {
	root := map[string]any{}
	for _, i := range uses {
		f := e.fields[i]
		if f.Name == SegmentsName {
			root[segmentCall] = segmentFunc(slots[i].list)
		}
		m, last := root, f.Name
		for {
			head, rest, more := strings.Cut(last, ".")
			if !more {
				break
			}
			next, ok := m[head].(map[string]any)
			if !ok {
				next = map[string]any{}
				m[head] = next
			}
			m, last = next, rest
		}
		v := slots[i]
		switch f.Type {
		case Bool:
			m[last] = v.bits != 0
		case Int:
			m[last] = int(v.bits)
		case Float:
			m[last] = math.Float64frombits(v.bits)
		case Text:
			m[last] = v.text
		case Texts:
			m[last] = v.list
		}
	}
	return root
}

// StandardFields returns the variables of a shop, in the order of their slots. The
// operators fill them; a program with other operators hands in its own.
func StandardFields() []Field {
	cart, order, browse := []string{"cart", "checkout"}, []string{"post-purchase", "review-request"}, []string{"browse"}
	offer := []string{"price-drop", "back-in-stock"}
	return []Field{
		{Name: "profile.consent.marketing", Type: Bool, Doc: "may get marketing mail"},
		{Name: "profile.suppressed", Type: Bool, Doc: "bounced for good, complained or unsubscribed"},
		{Name: "profile.known", Type: Bool, Doc: "has a user id and not only an anonymous one"},
		{Name: "profile.has_email", Type: Bool, Doc: "an address is known"},
		{Name: "profile.ltv", Type: Float, Doc: "money of all orders"},
		{Name: "profile.aov", Type: Float, Doc: "money of an average order"},
		{Name: "profile.orders", Type: Int, Doc: "orders so far"},
		{Name: "profile.refunds", Type: Int, Doc: "refunds so far"},
		{Name: "profile.views", Type: Float, Doc: "products viewed, decayed"},
		{Name: "profile.days_since_order", Type: Float, Doc: "days since the last order; 0 when there was none"},
		{Name: "profile.days_since_seen", Type: Float, Doc: "days since the last activity"},
		{Name: "profile.top_category", Type: Text, Doc: "the category liked most"},
		{Name: "profile.top_brand", Type: Text, Doc: "the brand liked most"},
		{Name: "profile.categories", Type: Texts, Doc: "the categories liked, best first"},
		{Name: "profile.locale", Type: Text, Doc: `such as "de-AT"`},
		{Name: "profile.timezone", Type: Text, Doc: `such as "Europe/Vienna"`},
		{Name: "profile.stage", Type: Text, Doc: `"prospect", "new", "active", "at risk" or "lapsed", by the person's own cadence of orders`},
		{Name: "cart.value", Type: Float, Doc: "money in the cart", Kinds: cart},
		{Name: "cart.items", Type: Int, Doc: "different products in the cart", Kinds: cart},
		{Name: "cart.quantity", Type: Int, Doc: "pieces in the cart", Kinds: cart},
		{Name: "cart.currency", Type: Text, Doc: `such as "EUR"`, Kinds: cart},
		{Name: "cart.categories", Type: Texts, Doc: "categories of the products in the cart", Kinds: cart},
		{Name: "order.value", Type: Float, Doc: "money of the order", Kinds: order},
		{Name: "order.items", Type: Int, Doc: "different products in the order", Kinds: order},
		{Name: "order.quantity", Type: Int, Doc: "pieces in the order", Kinds: order},
		{Name: "order.currency", Type: Text, Doc: `such as "EUR"`, Kinds: order},
		{Name: "browse.views", Type: Int, Doc: "how often products were looked at without a long pause", Kinds: browse},
		{Name: "browse.categories", Type: Texts, Doc: "categories of the products that were looked at most", Kinds: browse},
		{Name: "offer.price", Type: Float, Doc: "what the product costs now", Kinds: offer},
		{Name: "offer.fell", Type: Float, Doc: "the share by which the price fell, such as 0.2; 0 of a product that is back", Kinds: offer},
		{Name: "offer.categories", Type: Texts, Doc: "the category of the product", Kinds: offer},
		{Name: "order.categories", Type: Texts, Doc: "categories of the products in the order", Kinds: order},
	}
}
