package configs

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// validation turns what the schema refuses into problems at their place.
type validation struct {
	*reader
	schemas *schemas
	schema  *jsonschema.Schema
	root    *node
}

// run notes everything that the schema refuses.
func (v *validation) run() {
	err := v.schema.Validate(v.root.plain())
	if refused, ok := errors.AsType[*jsonschema.ValidationError](err); ok {
		v.leaves(refused)
	} else if err != nil {
		v.refuse(v.root.line, v.root.column, "", "cannot be checked: %v", err)
	}
}

// leaves walks to the errors that have no cause below them.
func (v *validation) leaves(e *jsonschema.ValidationError) {
	if len(e.Causes) == 0 {
		v.one(e)
	}
	for _, c := range e.Causes {
		v.leaves(c)
	}
}

// one notes a single error.
func (v *validation) one(e *jsonschema.ValidationError) {
	n, path := v.root.get(e.InstanceLocation...), dots(v.root, e.InstanceLocation)
	if n == nil {
		v.refuse(v.root.line, v.root.column, path, "does not fit the form")
		return
	}
	switch k := e.ErrorKind.(type) {
	case *kind.AdditionalProperties:
		for _, key := range k.Properties {
			v.unknown(n, path, key, e.SchemaURL)
		}
	case *kind.Required:
		v.missing(e.InstanceLocation, path, k.Missing)
	case *kind.Enum:
		v.enum(n, path, k)
	case *kind.UniqueItems:
		if n = n.get(strconv.Itoa(k.Duplicates[1])); n != nil {
			v.refuse(n.line, n.column, fmt.Sprintf("%s[%d]", path, k.Duplicates[1]), "got %s twice", v.got(n, path))
		}
	default:
		v.refuse(n.line, n.column, path, "got %s, expected %s", v.got(n, path), v.expected(e))
	}
}

// got describes a value. What may hold a secret is not repeated.
func (v *validation) got(n *node, path string) string {
	switch {
	case strings.HasSuffix(path, ".smtp"), strings.HasPrefix(path, "webhooks."):
		return string(n.kind)
	case n.kind == kindText:
		return strconv.Quote(cut(n.value.(string)))
	case n.kind == kindNumber, n.kind == kindBool:
		return fmt.Sprint(n.value)
	default:
		return string(n.kind)
	}
}

// expected describes what the schema wants at the place of an error.
func (v *validation) expected(e *jsonschema.ValidationError) string {
	title := v.schemas.title(e.SchemaURL)
	switch k := e.ErrorKind.(type) {
	case *kind.Type:
		if title != "" {
			return title
		}
		words := map[string]kindWord{"string": "text", "object": "a mapping", "array": "a list", "integer": "a whole number", "number": "a number", "boolean": "true or false"}
		var want []string
		for _, w := range k.Want {
			want = append(want, string(words[w]))
		}
		return strings.Join(want, " or ")
	case *kind.Pattern:
		if title != "" {
			return title
		}
		return "text of the form " + k.Want
	case *kind.Minimum:
		return "at least " + k.Want.RatString()
	case *kind.Maximum:
		return "at most " + k.Want.RatString()
	case *kind.MinItems:
		return fmt.Sprintf("at least %d", k.Want)
	case *kind.MaxItems:
		return fmt.Sprintf("at most %d entries", k.Want)
	case *kind.MaxLength:
		return fmt.Sprintf("at most %d characters", k.Want)
	case *kind.MaxProperties:
		return fmt.Sprintf("at most %d entries", k.Want)
	default:
		return fmt.Sprintf("a value that passes %s", strings.Join(e.ErrorKind.KeywordPath(), "."))
	}
}

// kindWord is a JSON type in the words of messages.
type kindWord string

// unknown notes a key that the form does not have, or not yet.
func (v *validation) unknown(n *node, path, key, schema string) {
	e := n.entry(key)
	if e == nil {
		return
	}
	where := join(path, key)
	if why, ok := laterKeys[anyVariant(where)]; ok {
		v.refuse(e.line, e.column, where, "not yet supported: %s", why)
		return
	}
	known := v.schemas.keys(schema)
	hint := nearest(key, known)
	v.refuse(e.line, e.column, where, "unknown key %q, expected %s", cut(key), among(known, hint))
	v.problems[len(v.problems)-1].Hint = hint
}

// anyVariant writes the path of a variant's key without its name.
func anyVariant(path string) string {
	rest, ok := strings.CutPrefix(path, "content.variants.")
	if _, key, deep := strings.Cut(rest, "."); ok && deep {
		return "content.variants.*." + key
	}
	return path
}

// missing notes keys that must be there, at the mapping that lacks them.
func (v *validation) missing(location []string, path string, keys []string) {
	line, column := v.root.line, v.root.column
	if len(location) > 0 {
		last := len(location) - 1
		if e := v.root.get(location[:last]...).entry(location[last]); e != nil {
			line, column = e.line, e.column
		}
	}
	for _, key := range keys {
		v.refuse(line, column, join(path, key), "missing, expected the key %q", key)
	}
}

// enum notes a name that is not one of the known ones, or not yet.
func (v *validation) enum(n *node, path string, k *kind.Enum) {
	var known []string
	for _, w := range k.Want {
		known = append(known, fmt.Sprint(w))
	}
	got, isText := n.text()
	bare, _, _ := strings.Cut(path, "[")
	if why, ok := laterValues[bare][got]; ok && isText {
		v.refuse(n.line, n.column, path, "not yet supported: %s", why)
		return
	}
	hint := ""
	if isText {
		hint = nearest(got, known)
	}
	v.refuse(n.line, n.column, path, "got %s, expected %s", v.got(n, path), among(known, hint))
	v.problems[len(v.problems)-1].Hint = hint
}

// keys returns the keys of the mapping that the schema at the location describes.
func (s *schemas) keys(location string) []string {
	_, pointer, _ := strings.Cut(location, "#/")
	at := any(s.tree)
	for part := range strings.SplitSeq(pointer, "/") {
		m, _ := at.(map[string]any)
		at = m[part]
	}
	m, _ := at.(map[string]any)
	properties, _ := m["properties"].(map[string]any)
	out := make([]string, 0, len(properties))
	for k := range properties {
		out = append(out, k)
	}
	return sortedCopy(out)
}

// dots writes an instance location as messages do: trigger.start.on[1].
func dots(root *node, location []string) string {
	path, n := "", root
	for _, part := range location {
		if n != nil && n.kind == kindList {
			path += "[" + part + "]"
		} else {
			path = join(path, part)
		}
		n = n.get(part)
	}
	return path
}
