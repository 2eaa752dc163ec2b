package experiment

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
)

// QuestionBytesMax bounds what Answer reads: a million numbers fit.
const QuestionBytesMax = 32 << 20

// Answer reads one question {"method": …, "inputs": {…}} and gives the answer as one JSON
// object. Which methods there are, and what goes in and comes out, stands in
// docs/experiments.md. An estimate that cannot be made for lack of variance is an answer,
// with an "error" and a p-value of 1; a question that cannot be understood is an error.
// No answer holds what is not a number: an infinite bound is null.
func Answer(question []byte) ([]byte, error) {
	if len(question) > QuestionBytesMax {
		return nil, fmt.Errorf("a question of %d bytes, at most %d", len(question), QuestionBytesMax)
	}
	var q struct {
		Method *string         `json:"method"`
		Inputs json.RawMessage `json:"inputs"`
	}
	d := json.NewDecoder(bytes.NewReader(question))
	if err := d.Decode(&q); err != nil {
		return nil, fmt.Errorf("read the question: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the question")
	}
	if q.Method == nil {
		return nil, errors.New("method is missing")
	}
	compute, ok := methods()[*q.Method]
	if !ok {
		return nil, fmt.Errorf("no method %.60q, nearest is %q", *q.Method, nearest(*q.Method))
	}
	in := &inputs{err: new(error)}
	if len(q.Inputs) == 0 {
		return nil, errors.New("inputs are missing")
	}
	if err := json.Unmarshal(q.Inputs, &in.raw); err != nil || in.raw == nil {
		return nil, errors.New("inputs: want an object")
	}
	a := compute(in)
	if *in.err != nil {
		return nil, fmt.Errorf("%s: %w", *q.Method, *in.err)
	}
	return json.Marshal(finite(reflect.ValueOf(a)))
}

// answer is the named results of a method.
type answer map[string]any

// Methods are the names that Answer knows, in order.
func Methods() []string { return slices.Sorted(maps.Keys(methods())) }

// nearest is the method whose name has the fewest letters to change.
func nearest(name string) string {
	best, least := "", math.MaxInt
	name = strings.ToLower(name[:min(len(name), 100)])
	for _, m := range Methods() {
		if d := distance(name, m); d < least {
			best, least = m, d
		}
	}
	return best
}

// distance is Levenshtein's, and far shorter where the name is a part of the other.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for k := range row {
		row[k] = k
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for k := range len(b) {
			change := diagonal
			if a[i] != b[k] {
				change++
			}
			diagonal = row[k+1]
			row[k+1] = min(change, row[k]+1, diagonal+1)
		}
	}
	d := row[len(b)]
	if len(a) > 2 && strings.Contains(b, a) {
		d /= 4
	}
	return d
}

// finite copies a value with null in place of numbers that are none.
func finite(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return finite(v.Elem())
	case reflect.Float64:
		if f := v.Float(); math.IsNaN(f) || math.IsInf(f, 0) {
			return nil
		}
	case reflect.Slice, reflect.Array:
		out := make([]any, v.Len())
		for i := range out {
			out[i] = finite(v.Index(i))
		}
		return out
	case reflect.Map:
		out := make(map[string]any, v.Len())
		for _, k := range v.MapKeys() {
			out[k.String()] = finite(v.MapIndex(k))
		}
		return out
	default:
	}
	return v.Interface()
}

// inputs reads the fields of a question and keeps the first thing that is wrong with them.
type inputs struct {
	raw  map[string]rawInput
	path string // of this object, with a dot behind it
	err  *error
}

// fail notes what is wrong with a field.
func (in *inputs) fail(name, format string, args ...any) {
	if *in.err == nil {
		*in.err = fmt.Errorf("input %s%s %s", in.path, name, fmt.Sprintf(format, args...))
	}
}

// has tells whether a field is there and not null.
func (in *inputs) has(name string) bool {
	raw, ok := in.raw[name]
	return ok && string(raw) != "null"
}

// read decodes a field that must be there.
func (in *inputs) read(name string, to any, want string) bool {
	if !in.has(name) {
		in.fail(name, "is missing: want %s", want)
		return false
	}
	if err := json.Unmarshal(in.raw[name], to); err != nil {
		in.fail(name, "is not %s", want)
		return false
	}
	return true
}

// num is a number.
func (in *inputs) num(name string) float64 {
	var v float64
	in.read(name, &v, "a number")
	return v
}

// numOr is a number, or what it is when it is not given.
func (in *inputs) numOr(name string, otherwise float64) float64 {
	if !in.has(name) {
		return otherwise
	}
	return in.num(name)
}

// below is a number above zero and below another.
func (in *inputs) below(name string, v, hi float64) float64 {
	if *in.err == nil && !(v > 0 && v < hi) {
		if math.IsInf(hi, 1) {
			in.fail(name, "is %v: want more than 0", v)
		} else {
			in.fail(name, "is %v: want more than 0 and less than %v", v, hi)
		}
	}
	return v
}

// alpha is the level, .05 if none is given.
func (in *inputs) alpha() float64 { return in.below("alpha", in.numOr("alpha", 0.05), 1) }

// positive is a number above zero.
func (in *inputs) positive(name string) float64 { return in.below(name, in.num(name), math.Inf(1)) }

// count is a number of things, 0 or more.
func (in *inputs) count(name string) float64 {
	v := in.num(name)
	if v < 0 {
		in.fail(name, "is %v: want 0 or more", v)
	}
	return v
}

// whole is a whole number from 1 to another.
func (in *inputs) whole(name string, v float64, hi int) int {
	if *in.err == nil && (v != math.Trunc(v) || v < 1 || v > float64(hi)) {
		in.fail(name, "is %v: want a whole number from 1 to %d", v, hi)
		return 1
	}
	return int(v)
}

// nums is a list of numbers, of a length if that is not negative.
func (in *inputs) nums(name string, length int) []float64 {
	var list []*float64
	if !in.read(name, &list, "a list of numbers") {
		return make([]float64, max(0, length))
	}
	v := make([]float64, len(list))
	for i, p := range list {
		if p == nil {
			in.fail(name, "has no number at place %d", i)
			continue
		}
		v[i] = *p
	}
	if length >= 0 && len(v) != length {
		in.fail(name, "has %d numbers: want %d", len(v), length)
		return make([]float64, length)
	}
	return v
}

// some is a list of numbers with at least one.
func (in *inputs) some(name string) []float64 {
	v := in.nums(name, -1)
	if len(v) == 0 {
		in.fail(name, "is empty")
		return []float64{0}
	}
	return v
}

// rows is a list of lists of numbers of one length; -1 takes that of the first.
func (in *inputs) rows(name string, length int) [][]float64 {
	var v [][]float64
	if !in.read(name, &v, "a list of lists of numbers") {
		return nil
	}
	for i, row := range v {
		if length < 0 {
			length = len(row)
		}
		if len(row) != length {
			in.fail(name, "has %d numbers in row %d: want %d", len(row), i, length)
			return nil
		}
	}
	return v
}

// text is a string, or a number as it is written.
func (in *inputs) text(name string) string {
	var v any
	if !in.read(name, &v, "a string") {
		return ""
	}
	switch v := v.(type) {
	case string:
		return v
	case float64:
		return strings.TrimSpace(string(in.raw[name]))
	}
	in.fail(name, "is not a string")
	return ""
}

// oneOf is a string out of a few, the first if none is given.
func (in *inputs) oneOf(name string, allowed ...string) string {
	if !in.has(name) {
		return allowed[0]
	}
	v := in.text(name)
	if !slices.Contains(allowed, v) {
		in.fail(name, "is %.40q: want one of %s", v, strings.Join(allowed, ", "))
	}
	return v
}

// object is a field that has fields.
func (in *inputs) object(name string) *inputs {
	o := &inputs{path: in.path + name + ".", err: in.err}
	in.read(name, &o.raw, "an object")
	return o
}

// rawInput is a field that was not read yet.
type rawInput = json.RawMessage
