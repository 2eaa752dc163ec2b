package profile

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"millrace/operators/event"
)

// FieldSpec declares a field of the picture of a person, as a pipeline file says it:
// {sum: total, on: Order Completed} is Op "sum", Of "total", On ["Order Completed"].
type FieldSpec struct {
	Name string
	// Op is one of FieldOps.
	Op string
	// Of is one of FieldProperties; "count" needs none.
	Of string
	// By is the number that a "share" weighs its values by; without it each counts once.
	By string
	// On are the events that count, by the names of kinds or as the shop calls them; none
	// means all.
	On []string
	// HalfLife lets what is counted fade: for count, sum, mean and share. 0 is for life.
	HalfLife time.Duration
	// Limit bounds the values that a "distinct" or a "share" keeps apart.
	Limit int
}

// FieldType is what kind of value a field has.
type FieldType uint8

// The types of fields.
const (
	FieldNumber FieldType = iota + 1
	FieldMoney            // in minor units
	FieldText
	FieldTime   // Unix milliseconds
	FieldShares // texts with the share of each; they add up to 1
)

// String is the word for the type in messages and schemas.
func (t FieldType) String() string {
	switch t {
	case FieldNumber:
		return "number"
	case FieldMoney:
		return "money"
	case FieldText:
		return "text"
	case FieldTime:
		return "time"
	case FieldShares:
		return "shares"
	}
	return "nothing"
}

// ErrField says that a declaration of a field cannot be meant.
var ErrField = errors.New("a field cannot be declared like this")

// The bounds of fields.
const (
	MaxFields      = 64
	MaxFieldValues = 256 // that one distinct or share keeps apart
	MaxHalfLives   = 7   // different ones
)

type fieldOp uint8

const (
	opCount fieldOp = iota
	opSum
	opMean
	opMin
	opMax
	opFirst
	opLast
	opDistinct
	opShare
)

var fieldOps = [...]string{"count", "sum", "mean", "min", "max", "first", "last", "distinct", "share"}

// FieldOps lists what a field can do.
func FieldOps() []string { return slices.Clone(fieldOps[:]) }

// fades tells whether a half-life means something.
func (o fieldOp) fades() bool { return o == opCount || o == opSum || o == opMean || o == opShare }

// Field is a declared field that has been checked.
type Field struct {
	Name string
	Type FieldType

	op    fieldOp
	of    property
	by    property
	half  int64
	limit int
	id    uint32
	names []string // events of the shop's own
}

// FieldSet is the checked list of declared fields. It does not change and is safe for
// concurrent use.
type FieldSet struct {
	All    []Field
	rates  *Rates
	byKind [event.KindCount][]int
	others []int // fields on events of the shop's own
}

// CompileFields checks declarations. Amounts are brought to the currency of the rates;
// without rates they count as they stand. It answers ErrField, wrapped with what is
// wrong.
func CompileFields(specs []FieldSpec, rates *Rates) (*FieldSet, error) {
	if len(specs) > MaxFields {
		return nil, fmt.Errorf("%w: %d fields, at most %d", ErrField, len(specs), MaxFields)
	}
	s := &FieldSet{rates: rates}
	for _, d := range specs {
		f, kinds, err := compileField(d)
		if err != nil {
			return nil, fmt.Errorf("field %q: %w", d.Name, err)
		}
		for _, o := range s.All {
			if o.Name == f.Name {
				return nil, fmt.Errorf("field %q: %w: the name is taken", d.Name, ErrField)
			}
			if o.id == f.id {
				return nil, fmt.Errorf("field %q: %w: its hash is that of %q, choose another name", d.Name, ErrField, o.Name)
			}
		}
		i := len(s.All)
		s.All = append(s.All, f)
		if len(d.On) == 0 {
			for k := range s.byKind {
				s.byKind[k] = append(s.byKind[k], i)
			}
		}
		for _, k := range kinds {
			s.byKind[k] = append(s.byKind[k], i)
		}
		if len(f.names) > 0 {
			s.others = append(s.others, i)
		}
	}
	halves := make(map[int64]bool)
	for i := range s.All {
		if halves[s.All[i].half] = true; len(halves) > MaxHalfLives {
			return nil, fmt.Errorf("%w: more than %d different half-lives, that of field %q is one more", ErrField, MaxHalfLives, s.All[i].Name)
		}
	}
	return s, nil
}

func compileField(d FieldSpec) (Field, []event.Kind, error) {
	f := Field{Name: d.Name, half: halfMillis(d.HalfLife)}
	if !isFieldName(d.Name) {
		return f, nil, fmt.Errorf("%w: a name is of letters, digits and _, begins with a letter, at most 64 bytes", ErrField)
	}
	op := slices.Index(fieldOps[:], d.Op)
	if op < 0 {
		return f, nil, fmt.Errorf("%w: no operation %q, only %s", ErrField, d.Op, strings.Join(fieldOps[:], ", "))
	}
	f.op = fieldOp(op) //nolint:gosec // nine of them
	if d.HalfLife != 0 && !f.op.fades() || d.HalfLife < 0 {
		return f, nil, fmt.Errorf("%w: %s with a half-life of %s", ErrField, d.Op, d.HalfLife)
	}
	if err := f.compileProperties(d); err != nil {
		return f, nil, err
	}
	f.limit = cmp.Or(d.Limit, 64) // exact for what most people have; half a kilobyte
	if f.op == opShare {
		f.limit = cmp.Or(d.Limit, 32) // as many as there are categories that matter
	}
	if f.limit < 2 || f.limit > MaxFieldValues {
		return f, nil, fmt.Errorf("%w: limit %d, 2 to %d", ErrField, d.Limit, MaxFieldValues)
	}
	var kinds []event.Kind
	for _, name := range d.On {
		k, ok := event.KindByName(name)
		switch {
		case ok && !slices.Contains(kinds, k):
			kinds = append(kinds, k)
		case !ok && strings.TrimSpace(name) != "":
			f.names = append(f.names, strings.TrimSpace(name))
		case !ok:
			return f, nil, fmt.Errorf("%w: an event without a name", ErrField)
		}
	}
	f.id = f.hash(d, kinds)
	return f, kinds, nil
}

func (f *Field) compileProperties(d FieldSpec) error {
	var ok bool
	if f.op == opCount {
		if d.Of != "" {
			return fmt.Errorf("%w: count counts events, not %q; distinct counts values", ErrField, d.Of)
		}
		f.Type = FieldNumber
	} else if f.of, ok = propertyByName(d.Of); !ok {
		return fmt.Errorf("%w: no property %q, only %s", ErrField, d.Of, strings.Join(FieldProperties(), ", "))
	}
	if d.By != "" {
		if f.by, ok = propertyByName(d.By); !ok || f.op != opShare || !f.by.numeric() {
			return fmt.Errorf("%w: by %q: only a share is by something, and only by a number", ErrField, d.By)
		}
		if f.by.each() && !f.of.each() {
			return fmt.Errorf("%w: by %q, which each product has, of %q, which the event has", ErrField, d.By, d.Of)
		}
	}
	switch f.op {
	case opCount:
	case opDistinct:
		f.Type = FieldNumber
	case opShare:
		f.Type = FieldShares
		if f.of.numeric() {
			return fmt.Errorf("%w: share of %q, which is no text", ErrField, d.Of)
		}
	case opFirst, opLast:
		f.Type = f.of.kind()
	default:
		f.Type = f.of.kind()
		if !f.of.numeric() || f.Type == FieldTime && (f.op == opSum || f.op == opMean) {
			return fmt.Errorf("%w: %s of %q, which is %s", ErrField, d.Op, d.Of, f.Type)
		}
	}
	return nil
}

// hash is the identity of what a field means: with it values are found again when the
// list of fields has changed, and are not taken for those of another meaning.
func (f *Field) hash(d FieldSpec, kinds []event.Kind) uint32 {
	slices.Sort(kinds)
	h := fnv1a(fnvOffset, fmt.Sprintf("%q %d %d %d %d %d %v", d.Name, f.op, f.of, f.by, f.half, f.limit, kinds))
	names := slices.Clone(f.names)
	slices.Sort(names)
	for _, n := range names {
		h = fnv1a(h, "\x00"+strings.ToLower(n))
	}
	return uint32(h ^ h>>32) //nolint:gosec // cut on purpose
}

func isFieldName(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i, r := range s {
		if r != '_' && !unicode.IsLetter(r) && (i == 0 || !unicode.IsDigit(r)) {
			return false
		}
	}
	return true
}

// Find answers the number of a field by its name.
func (s *FieldSet) Find(name string) (int, bool) {
	i := slices.IndexFunc(s.All, func(f Field) bool { return f.Name == name })
	return i, i >= 0
}

// Wants tells whether an event may change any field.
func (s *FieldSet) Wants(e *event.Event) bool {
	return e.Kind < event.KindCount && (len(s.byKind[e.Kind]) > 0 || len(s.others) > 0)
}
