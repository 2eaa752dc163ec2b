package configs

import (
	"reflect"
	"strings"
	"time"
)

// decoding fills a struct from a tree and notes what the schema cannot see: durations
// out of range and conditions that do not hold together. What the schema refuses is
// left at its default, so that everything else can still be checked.
type decoding struct {
	*reader
	doc  *document
	envs map[string]*Env // by the first part of a path
	kind string          // of the content, for conditions
}

// defaulter is a struct whose fields mean something when the file is silent.
type defaulter interface{ defaults() }

// into fills the value from the node.
func (d *decoding) into(n *node, v reflect.Value, path string) {
	if n == nil || n.kind == kindNothing {
		return
	}
	if v.Kind() == reflect.Struct && v.CanAddr() {
		if f, ok := reflect.TypeAssert[defaulter](v.Addr()); ok {
			f.defaults()
		}
	}
	switch v.Interface().(type) {
	case time.Duration:
		d.duration(n, v, path)
		return
	case Rate:
		d.rate(n, v, path)
		return
	case Percent:
		leafText(d, n, v, path, percentTitle, parsePercent)
		return
	case Below:
		leafText(d, n, v, path, belowTitle, parseBelow)
		return
	case *Condition:
		if c := d.condition(n, path); c != nil {
			v.Set(reflect.ValueOf(c))
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.fields(n, v, path)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.into(n, v.Elem(), path)
	case reflect.Slice:
		d.list(n, v, path)
	case reflect.Map:
		d.table(n, v, path)
	case reflect.String:
		if s, ok := n.text(); ok {
			v.SetString(s)
		}
	case reflect.Int:
		if i, ok := n.value.(int64); ok {
			v.SetInt(i)
		}
	default:
		panic("BUG: a form holds a " + v.Type().String())
	}
}

// fields fills a struct.
func (d *decoding) fields(n *node, v reflect.Value, path string) {
	for f, field := range v.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		before := len(d.problems)
		at := n.get(name)
		d.into(at, field, join(path, name))
		given, ok := reflect.TypeAssert[time.Duration](field)
		if ok && at != nil && at.kind == kindText && given == 0 && f.Tag.Get("zero") == "" && len(d.problems) == before {
			d.refuse(at.line, at.column, join(path, name), "got no time, expected more than 0s")
		}
	}
}

// list fills a list of texts; one text is a list of one.
func (d *decoding) list(n *node, v reflect.Value, path string) {
	items := n.items
	if n.kind == kindText {
		items = []*node{n}
	}
	for _, item := range items {
		e := reflect.New(v.Type().Elem()).Elem()
		d.into(item, e, path)
		v.Set(reflect.Append(v, e))
	}
}

// table fills a map from names.
func (d *decoding) table(n *node, v reflect.Value, path string) {
	v.Set(reflect.MakeMap(v.Type()))
	for _, e := range n.entries {
		value := reflect.New(v.Type().Elem()).Elem()
		d.into(e.value, value, join(path, e.key))
		v.SetMapIndex(reflect.ValueOf(e.key), value)
	}
}

// duration reads a duration.
func (d *decoding) duration(n *node, v reflect.Value, path string) {
	s, ok := n.text()
	if !ok {
		return
	}
	t, err := ParseDuration(s)
	if err != nil {
		d.refuse(n.line, n.column, path, "got %q, expected %s, of ten years at most", cut(s), durationTitle)
		return
	}
	v.SetInt(int64(t))
}

// rate reads a rate.
func (d *decoding) rate(n *node, v reflect.Value, path string) {
	s, ok := n.text()
	if !ok {
		return
	}
	r, err := parseRate(s)
	if err != nil {
		d.refuse(n.line, n.column, path, "got %q, expected %s", cut(s), rateTitle)
		return
	}
	v.Set(reflect.ValueOf(r))
}

// leafText reads a value that stands in the file as text of a form of its own.
func leafText[T any](d *decoding, n *node, v reflect.Value, path, title string, parse func(string) (T, error)) {
	s, ok := n.text()
	if !ok {
		return
	}
	x, err := parse(s)
	if err != nil {
		d.refuse(n.line, n.column, path, "got %q, expected %s", cut(s), title)
		return
	}
	v.Set(reflect.ValueOf(x))
}

// condition compiles a condition; each error stands where its part stands in the
// file. It returns nil when there is any.
func (d *decoding) condition(n *node, path string) *Condition {
	source, ok := n.text()
	if !ok {
		return nil
	}
	section, _, _ := strings.Cut(path, ".")
	c, wrong := CompileCondition(source, d.envs[section], d.kind)
	for _, w := range wrong {
		line, column := d.doc.place(n, w.Offset)
		d.refuse(line, column, path, "%s", w.Message)
		d.problems[len(d.problems)-1].Hint = w.Hint
	}
	return c
}
