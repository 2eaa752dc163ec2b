package configs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	reflected "github.com/invopop/jsonschema"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// schemaURL names the schema to the validator; nothing is fetched.
const schemaURL = "millrace:///pipeline.v1.json"

// What a value of a form is, for messages and editors.
const (
	durationTitle  = "a duration such as 30s, 1h or 7d"
	rateTitle      = "a rate such as 40 per second"
	conditionTitle = "a condition such as cart.value > 30 && profile.consent.marketing"
)

// schemas are the checked forms of the files.
type schemas struct {
	text          []byte         // JSON Schema 2020-12 of both forms
	tree          map[string]any // the same, for looking up titles
	shop, journey *jsonschema.Schema
}

// newSchemas reflects the forms from the Go types and the words of the options.
func newSchemas(o Options) (*schemas, error) {
	r := &reflected.Reflector{
		Anonymous: true, DoNotReference: true, ExpandedStruct: true, RequiredFromJSONSchemaTags: true,
		Mapper: func(t reflect.Type) *reflected.Schema { return leaf(t, o) },
	}
	forms := reflected.Definitions{}
	for name, form := range map[string]any{"shop": Shop{}, "journey": Journey{}} {
		s := r.Reflect(form)
		s.Version = ""
		enumerate(s, reflect.TypeOf(form), o)
		forms[name] = s
	}
	whole := &reflected.Schema{
		Version:     reflected.Version,
		Title:       "millrace pipeline file, v1",
		Description: "A shop (shop.yaml) or a journey.",
		Definitions: forms,
		If:          &reflected.Schema{Required: []string{"shop"}},
		Then:        &reflected.Schema{Ref: "#/$defs/shop"},
		Else:        &reflected.Schema{Ref: "#/$defs/journey"},
	}
	text, err := json.MarshalIndent(whole, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write schema: %w", err)
	}
	return compileSchemas(text)
}

// compileSchemas prepares the validator.
func compileSchemas(text []byte) (*schemas, error) {
	out := &schemas{text: append(text, '\n')}
	if err := json.Unmarshal(text, &out.tree); err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(schemaURL, doc); err != nil {
		return nil, fmt.Errorf("add schema: %w", err)
	}
	if out.shop, err = c.Compile(schemaURL + "#/$defs/shop"); err != nil {
		return nil, fmt.Errorf("compile schema of shops: %w", err)
	}
	if out.journey, err = c.Compile(schemaURL + "#/$defs/journey"); err != nil {
		return nil, fmt.Errorf("compile schema of journeys: %w", err)
	}
	return out, nil
}

// leaf is the schema of a type that stands in a file as text.
func leaf(t reflect.Type, o Options) *reflected.Schema {
	switch t {
	case reflect.TypeFor[time.Duration]():
		return &reflected.Schema{Type: "string", Title: durationTitle, Pattern: durationForm}
	case reflect.TypeFor[Rate]():
		return &reflected.Schema{Type: "string", Title: rateTitle, Pattern: rateForm}
	case reflect.TypeFor[Percent]():
		return &reflected.Schema{Type: "string", Title: percentTitle, Pattern: percentForm}
	case reflect.TypeFor[Below]():
		return &reflected.Schema{Type: "string", Title: belowTitle, Pattern: belowForm}
	case reflect.TypeFor[Condition](), reflect.TypeFor[*Condition]():
		known := map[string]string{}
		for _, env := range []*Env{o.Trigger, o.Audience} {
			for _, f := range env.fields {
				known[f.Name] = f.Type.String() + ": " + f.Doc
			}
		}
		return &reflected.Schema{Type: "string", Title: conditionTitle, Extras: map[string]any{"x-millrace-variables": known}}
	default:
		return nil
	}
}

// enumerate puts the words that fields are tagged with into the schema, all the way
// down. A list of names may be written as one name.
func enumerate(s *reflected.Schema, t reflect.Type, o Options) {
	if t == reflect.TypeFor[map[string]PersonField]() && s != nil {
		s = s.AdditionalProperties
	}
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if s == nil || s.Properties == nil || t.Kind() != reflect.Struct {
		return
	}
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		property, ok := s.Properties.Get(name)
		if !ok {
			continue
		}
		property.MaxProperties = maxProperties(f)
		list := f.Tag.Get("words")
		if list == "" {
			if f.Type.Kind() == reflect.String && property.MaxLength == nil && len(property.Enum) == 0 {
				property.MaxLength = new(uint64(1000))
			}
			enumerate(property, f.Type, o)
			continue
		}
		one := &reflected.Schema{Type: "string"}
		for _, w := range o.words(list) {
			one.Enum = append(one.Enum, w)
		}
		if f.Type.Kind() == reflect.String {
			one.Description = property.Description
			s.Properties.Set(name, one)
			continue
		}
		s.Properties.Set(name, &reflected.Schema{
			Description: property.Description,
			Title:       "a name or a list of names",
			Extras:      map[string]any{"type": []string{"string", "array"}},
			If:          &reflected.Schema{Type: "array"},
			Then:        &reflected.Schema{Items: one, MinItems: new(uint64(1)), MaxItems: new(uint64(50)), UniqueItems: true},
			Else:        &reflected.Schema{Enum: one.Enum},
		})
	}
}

// maxProperties is the bound that a map is tagged with; the reflector passes over it.
func maxProperties(f reflect.StructField) *uint64 {
	for tag := range strings.SplitSeq(f.Tag.Get("jsonschema"), ",") {
		if text, ok := strings.CutPrefix(tag, "maxProperties="); ok {
			if n, err := strconv.ParseUint(text, 10, 64); err == nil {
				return &n
			}
		}
	}
	return nil
}

// title returns the title of the schema at an absolute location, or "".
func (s *schemas) title(location string) string {
	_, pointer, _ := strings.Cut(location, "#/")
	at := any(s.tree)
	for part := range strings.SplitSeq(pointer, "/") {
		m, ok := at.(map[string]any)
		if !ok {
			return ""
		}
		at = m[strings.NewReplacer("~1", "/", "~0", "~").Replace(part)]
	}
	m, _ := at.(map[string]any)
	title, _ := m["title"].(string)
	return title
}
