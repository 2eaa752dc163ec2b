package configs

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	yaml "github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Limits of a file. Ours have some hundred bytes and are three levels deep.
const (
	fileMax   = 1 << 20 // bytes
	tokensMax = 20_000  // the parser is not linear: this many take it tens of milliseconds
	depthMax  = 24      // levels of nesting
	keysMax   = 500     // keys of one mapping: duplicates are looked for one by one
)

// node is a value of a file with its place. Exactly one of value, entries and items is
// in use, by kind.
type node struct {
	kind         nodeKind
	line, column int     // of the value's first character, from one
	value        any     // nil, bool, int64, float64 or string
	entries      []entry // of a mapping, in order
	items        []*node // of a list
}

// entry is a key of a mapping with its place, and its value.
type entry struct {
	key          string
	line, column int
	value        *node
}

// nodeKind is what a node is, in the words of messages.
type nodeKind string

// The kinds of nodes.
const (
	kindNothing nodeKind = "nothing"
	kindBool    nodeKind = "true or false"
	kindNumber  nodeKind = "a number"
	kindText    nodeKind = "text"
	kindMapping nodeKind = "a mapping"
	kindList    nodeKind = "a list"
)

// get returns the value at the keys, or nil.
func (n *node) get(keys ...string) *node {
	for _, k := range keys {
		if e := n.entry(k); e != nil {
			n = e.value
			continue
		}
		if n == nil || n.kind != kindList {
			return nil
		}
		i, err := strconv.Atoi(k)
		if err != nil || i < 0 || i >= len(n.items) {
			return nil
		}
		n = n.items[i]
	}
	return n
}

// entry returns the entry of a mapping by its key, or nil.
func (n *node) entry(key string) *entry {
	if n == nil {
		return nil
	}
	for i := range n.entries {
		if n.entries[i].key == key {
			return &n.entries[i]
		}
	}
	return nil
}

// text returns the node's text; ok is false for whatever is not text.
func (n *node) text() (s string, ok bool) {
	if n == nil || n.kind != kindText {
		return "", false
	}
	s, ok = n.value.(string)
	return s, ok
}

// plain returns the value without places, as a JSON Schema validator takes it.
func (n *node) plain() any {
	switch n.kind {
	case kindMapping:
		m := make(map[string]any, len(n.entries))
		for _, e := range n.entries {
			m[e.key] = e.value.plain()
		}
		return m
	case kindList:
		l := make([]any, len(n.items))
		for i, item := range n.items {
			l[i] = item.plain()
		}
		return l
	default:
		return n.value
	}
}

// document is a file that could be read: its text, line by line, and its tree.
type document struct {
	file  string
	lines [][]rune // the text, for places inside scalars
	root  *node    // always a mapping
}

// reader turns the bytes of one file into a tree and collects what is wrong.
type reader struct {
	file     string
	problems Problems
}

// refuse notes a problem.
func (r *reader) refuse(line, column int, path, format string, args ...any) {
	r.problems = append(r.problems, Problem{
		File: r.file, Line: max(line, 1), Column: max(column, 1), Path: path, Message: fmt.Sprintf(format, args...),
	})
}

// read returns the document, or nil with at least one problem noted. A document may
// come with problems too (a key given twice); it is then good for finding more.
func (r *reader) read(raw []byte) *document {
	raw = bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf"))
	if !r.readable(raw) {
		return nil
	}
	src := strings.ReplaceAll(string(raw), "\r\n", "\n")
	tokens := lexer.Tokenize(src)
	if !r.bounded(tokens) {
		return nil
	}
	file, err := r.parse(tokens)
	if err != nil {
		r.syntax(err)
		return nil
	}
	var docs []*ast.DocumentNode
	for _, d := range file.Docs {
		if d.Body != nil && d.Body.Type() != ast.CommentType {
			docs = append(docs, d)
		}
	}
	switch {
	case len(docs) == 0:
		r.refuse(1, 1, "", "got an empty file, expected a shop or a pipeline")
		return nil
	case len(docs) > 1:
		at := docs[1].Body.GetToken()
		if docs[1].Start != nil {
			at = docs[1].Start
		}
		r.refuse(at.Position.Line, at.Position.Column, "", "got a second document, expected one to a file")
		return nil
	}
	doc := &document{file: r.file, root: r.convert(docs[0].Body, "", 0)}
	if doc.root == nil {
		return nil
	}
	if doc.root.kind != kindMapping {
		r.refuse(doc.root.line, doc.root.column, "", "got %s, expected a mapping such as `apiVersion: v1`", doc.root.kind)
		return nil
	}
	for line := range strings.SplitSeq(src, "\n") {
		doc.lines = append(doc.lines, []rune(line))
	}
	return doc
}

// parse calls the YAML parser. It is not ours, so a panic of it becomes a problem.
func (r *reader) parse(tokens token.Tokens) (f *ast.File, err error) {
	defer func() {
		if p := recover(); p != nil {
			f, err = nil, fmt.Errorf("this is not YAML: %v", p)
		}
	}()
	return parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
}

// syntax notes what the parser said, at its place.
func (r *reader) syntax(err error) {
	message, line, column := err.Error(), 1, 1
	if at, ok := errors.AsType[yaml.Error](err); ok {
		message = at.GetMessage()
		if t := at.GetToken(); t != nil && t.Position != nil {
			line, column = t.Position.Line, t.Position.Column
		}
	}
	message, _, _ = strings.Cut(message, "\n")
	r.refuse(line, column, "", "not YAML: %s", cut(message))
}

// readable refuses what is not text: too much of it, other encodings, control
// characters, and tabs that indent.
func (r *reader) readable(raw []byte) bool {
	if len(raw) > fileMax {
		r.refuse(1, 1, "", "got a file of more than %d bytes", fileMax)
		return false
	}
	line, column, indent := 1, 1, true
	for rest := raw; len(rest) > 0; {
		c, size := utf8.DecodeRune(rest)
		rest = rest[size:]
		switch {
		case c == '\n', c == '\r' && len(rest) > 0 && rest[0] == '\n':
			if c == '\n' {
				line, column, indent = line+1, 0, true
			}
		case c == utf8.RuneError && size == 1:
			r.refuse(line, column, "", "got a byte that is not UTF-8, expected UTF-8 text")
			return false
		case c == '\t' && indent:
			// A line of white space only is no indentation.
			if text, _, _ := bytes.Cut(rest, []byte("\n")); len(bytes.TrimSpace(text)) > 0 {
				r.refuse(line, column, "", "got a tab, expected spaces to indent with")
				return false
			}
		case c < ' ' && c != '\t', c == 0x7f, c >= 0x80 && c < 0xa0, c == 0xfeff, c == 0xfffe, c == 0xffff, c == 0x2028, c == 0x2029:
			r.refuse(line, column, "", "got the control character %U, expected text", c)
			return false
		}
		indent = indent && (c == ' ' || c == '\n' || c == '\r' || c == '\t')
		column++
	}
	return true
}

// bounded refuses, before the parser recurses into it, what is too large or too deep,
// and the parts of YAML that hide what a file says.
func (r *reader) bounded(tokens token.Tokens) bool {
	if len(tokens) > tokensMax {
		at := tokens[tokensMax].Position
		r.refuse(at.Line, at.Column, "", "got more than %d words and signs, expected a smaller file", tokensMax)
		return false
	}
	flow, columns := 0, []int(nil)
	sound := true
	for _, t := range tokens {
		at := t.Position
		switch t.Type {
		case token.MappingStartType, token.SequenceStartType:
			flow++
		case token.MappingEndType, token.SequenceEndType:
			flow = max(0, flow-1)
		case token.AnchorType, token.AliasType:
			r.refuse(at.Line, at.Column, "", "got an anchor or alias (& or *), expected the value itself")
			sound = false
		case token.MergeKeyType:
			r.refuse(at.Line, at.Column, "", "got a merge key (<<), expected the keys themselves")
			sound = false
		case token.TagType:
			r.refuse(at.Line, at.Column, "", "got a tag (!), expected a value without one")
			sound = false
		case token.DirectiveType:
			r.refuse(at.Line, at.Column, "", "got a directive (%%), expected none")
			sound = false
		case token.MappingKeyType:
			r.refuse(at.Line, at.Column, "", "got a complex key (?), expected a plain one")
			sound = false
		}
		if flow == 0 {
			for len(columns) > 0 && columns[len(columns)-1] >= at.Column {
				columns = columns[:len(columns)-1]
			}
			if t.Type == token.SequenceEntryType || (t.Next != nil && t.Next.Type == token.MappingValueType) {
				columns = append(columns, at.Column)
			}
		}
		if flow+len(columns) > depthMax {
			r.refuse(at.Line, at.Column, "", "got more than %d levels of nesting", depthMax)
			return false
		}
	}
	return sound
}

// convert turns the parser's tree into ours. It returns nil for what has no meaning
// here, with a problem noted.
func (r *reader) convert(n ast.Node, path string, depth int) *node {
	if n == nil || n.GetToken() == nil || depth > depthMax*2 {
		r.refuse(1, 1, path, "not YAML: a value without a place")
		return nil
	}
	at := n.GetToken().Position
	out := &node{line: at.Line, column: at.Column}
	switch v := n.(type) {
	case *ast.MappingNode:
		return r.mapping(v, out, path, depth)
	case *ast.MappingValueNode:
		return r.mapping(&ast.MappingNode{BaseNode: v.BaseNode, Start: v.Start, Values: []*ast.MappingValueNode{v}}, out, path, depth)
	case *ast.SequenceNode:
		out.kind = kindList
		for i, item := range v.Values {
			c := r.convert(item, fmt.Sprintf("%s[%d]", path, i), depth+1)
			if c == nil {
				return nil
			}
			out.items = append(out.items, c)
		}
	case *ast.NullNode:
		out.kind = kindNothing
	case *ast.BoolNode:
		out.kind, out.value = kindBool, v.Value
	case *ast.IntegerNode:
		return r.integer(v, out, path)
	case *ast.FloatNode:
		out.kind, out.value = kindNumber, v.Value
		if math.IsInf(v.Value, 0) || math.IsNaN(v.Value) {
			r.refuse(out.line, out.column, path, "got a number out of range")
			return nil
		}
	case *ast.StringNode:
		out.kind, out.value = kindText, v.Value
	case *ast.LiteralNode:
		out.kind, out.value = kindText, v.Value.Value
	default:
		r.refuse(out.line, out.column, path, "got %s, expected text, a number, a list or a mapping", strings.ToLower(n.Type().String()))
		return nil
	}
	return out
}

// integer converts a whole number that fits.
func (r *reader) integer(v *ast.IntegerNode, out *node, path string) *node {
	out.kind = kindNumber
	switch i := v.Value.(type) {
	case int64:
		out.value = i
	case uint64:
		if i <= math.MaxInt64 {
			out.value = int64(i)
		}
	}
	if out.value == nil {
		r.refuse(out.line, out.column, path, "got a number out of range")
		return nil
	}
	return out
}

// mapping converts a mapping; a key given twice is noted at its second place, and the
// first holds.
func (r *reader) mapping(m *ast.MappingNode, out *node, path string, depth int) *node {
	out.kind = kindMapping
	if len(m.Values) > keysMax {
		at := m.Values[keysMax].Key.GetToken().Position
		r.refuse(at.Line, at.Column, path, "got more than %d keys in one mapping", keysMax)
		return nil
	}
	if !m.IsFlowStyle && len(m.Values) > 0 {
		first := m.Values[0].Key.GetToken().Position // the node's own token is the first colon
		out.line, out.column = first.Line, first.Column
	}
	for _, v := range m.Values {
		k := v.Key.GetToken()
		if k == nil {
			r.refuse(out.line, out.column, path, "not YAML: a key without a place")
			return nil
		}
		key := k.Value
		where := join(path, key)
		if s, ok := v.Key.(*ast.StringNode); ok {
			key = s.Value
		} else if _, scalar := v.Key.(ast.ScalarNode); !scalar {
			r.refuse(k.Position.Line, k.Position.Column, path, "got a key that is not text")
			return nil
		}
		value := r.convert(v.Value, where, depth+1)
		if value == nil {
			return nil
		}
		if value.kind == kindNothing { // its token is the colon
			value.line, value.column = k.Position.Line, k.Position.Column
		}
		if before := out.entry(key); before != nil {
			r.refuse(k.Position.Line, k.Position.Column, where, "got the key twice, it stands at %d:%d already", before.line, before.column)
			continue
		}
		out.entries = append(out.entries, entry{key: key, line: k.Position.Line, column: k.Position.Column, value: value})
	}
	return out
}

// join appends a key to a path.
func join(path, key string) string {
	if path == "" {
		return cut(key)
	}
	return path + "." + cut(key)
}
