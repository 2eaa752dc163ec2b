package catalogue

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// normal is how names of fields are compared: in lower case, blanks as _, without the
// namespace of Google's.
func normal(s string) string {
	s = strings.ToLower(strings.TrimSpace(s))
	s = strings.TrimPrefix(s, "g:")
	return strings.NewReplacer(" ", "_", "-", "_").Replace(s)
}

// csv reads a table with a header, separated by commas, semicolons or tabs.
func (f *feed) csv(b *bufio.Reader) error {
	head, err := b.Peek(min(b.Size(), 4096))
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read %s: %w", f.name, err)
	}
	first, _, _ := bytes.Cut(head, []byte("\n"))
	guard := &guarded{r: b, most: maxRow + 64<<10}
	c := csv.NewReader(guard)
	for _, comma := range []rune{'\t', ';'} {
		if bytes.ContainsRune(first, comma) && bytes.Count(first, []byte(string(comma))) > bytes.Count(first, []byte(",")) {
			c.Comma = comma
		}
	}
	c.FieldsPerRecord = -1
	header, err := c.Read()
	if err != nil {
		return f.csvError(err, "the header")
	}
	for i := range header {
		header[i] = normal(header[i])
	}
	if !slices.ContainsFunc(f.names["id"], func(n string) bool { return slices.Contains(header, n) }) {
		return f.broken(1, 1, "no column for the id, expected one of "+strings.Join(f.names["id"], ", "))
	}
	for {
		guard.n = 0
		fields, err := c.Read()
		var parse *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &parse):
			err = f.take(&row{line: parse.StartLine, column: max(parse.Column, 1), why: "no CSV: " + parse.Err.Error()})
		case err != nil:
			return f.csvError(err, "a row")
		default:
			err = f.take(tableRow(c, header, fields))
		}
		if err != nil {
			return err
		}
	}
}

func (f *feed) csvError(err error, what string) error {
	var parse *csv.ParseError
	switch {
	case errors.Is(err, io.EOF):
		return f.broken(1, 1, "the file is empty")
	case errors.As(err, &parse):
		return f.broken(parse.StartLine, max(parse.Column, 1), what+" is no CSV: "+parse.Err.Error())
	}
	return fmt.Errorf("%w: read %s of %s: %w", ErrFeed, what, f.name, err)
}

func tableRow(c *csv.Reader, header, fields []string) *row {
	r := &row{values: make(map[string]value), raw: []byte(strings.Join(fields, "\t"))}
	r.line, r.column = c.FieldPos(0)
	if len(fields) > len(header) {
		r.why = fmt.Sprintf("%d values, but %d columns", len(fields), len(header))
		return r
	}
	for i, text := range fields {
		line, column := c.FieldPos(i)
		if !utf8.ValidString(text) {
			r.line, r.column, r.why = line, column, header[i]+": not UTF-8"
			return r
		}
		if _, twice := r.values[header[i]]; !twice {
			r.values[header[i]] = value{text, line, column}
		}
	}
	return r
}

// lines reads a JSON object a line.
func (f *feed) lines(b *bufio.Reader) error {
	s := bufio.NewScanner(b)
	s.Buffer(make([]byte, 0, 64<<10), maxRow)
	line := 0
	for s.Scan() {
		line++
		raw := bytes.TrimSpace(s.Bytes())
		if len(raw) == 0 {
			continue
		}
		if err := f.take(objectRow(raw, line, 1)); err != nil {
			return err
		}
	}
	if err := s.Err(); errors.Is(err, bufio.ErrTooLong) {
		return f.broken(line+1, 1, "a line of more than 1 MiB")
	} else if err != nil {
		return fmt.Errorf("read %s: %w", f.name, err)
	}
	return nil
}

// objectRow reads a product that is a JSON object.
func objectRow(raw []byte, line, column int) *row {
	r := &row{line: line, column: column, raw: bytes.Clone(raw[:min(len(raw), maxRaw)]), values: make(map[string]value)}
	var m map[string]json.RawMessage
	if !utf8.Valid(raw) {
		r.why = "not UTF-8"
		return r
	}
	if err := json.Unmarshal(raw, &m); err != nil || m == nil {
		r.why = "no JSON object"
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			r.column += int(max(syntax.Offset, 1)) - 1
		}
		return r
	}
	for key, v := range m {
		text, ok := scalar(v)
		if !ok {
			continue // of what has parts nothing is read
		}
		if _, twice := r.values[normal(key)]; !twice || key == normal(key) { // the plain name wins, in any order
			r.values[normal(key)] = value{text, line, column}
		}
	}
	return r
}

// scalar is a text, a number or a truth value as text.
func scalar(raw json.RawMessage) (string, bool) {
	if len(raw) == 0 {
		return "", false
	}
	switch raw[0] {
	case '"':
		var s string
		if json.Unmarshal(raw, &s) != nil {
			return "", false
		}
		return s, true
	case '{', '[', 'n':
		return "", false
	}
	return string(raw), true
}

// array reads a JSON array of objects.
func (f *feed) array(b *bufio.Reader) error {
	guard := &guarded{r: b, most: 2 * maxRow, lines: true}
	d := json.NewDecoder(guard)
	at := func() (int, int) { return guard.place(d.InputOffset()) }
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return f.broken(1, 1, "no JSON array")
	}
	for d.More() {
		guard.n = 0
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			line, column := at()
			return f.broken(line, column, "no JSON: "+err.Error())
		}
		line, column := guard.place(d.InputOffset() - int64(len(raw)))
		if err := f.take(objectRow(raw, line, column)); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		line, column := at()
		return f.broken(line, column, "the array has no end")
	}
	return nil
}

// google reads the items of an RSS, or the entries of an Atom, feed of Google Merchant.
// Declarations and entities of one's own, which could expand without end, are refused.
func (f *feed) google(b *bufio.Reader) error {
	guard := &guarded{r: b, most: 2 * maxRow}
	d := xml.NewDecoder(guard)
	depth, found := 0, false
	for {
		guard.n = 0
		t, err := d.Token()
		line, column := d.InputPos()
		switch {
		case errors.Is(err, io.EOF) && found:
			return nil
		case errors.Is(err, io.EOF):
			return f.broken(line, column, "no feed: neither <item> nor <entry> in it")
		case err != nil:
			return f.broken(line, column, xmlError(err))
		}
		switch t := t.(type) {
		case xml.Directive:
			return f.broken(line, column, "a declaration: a feed needs none")
		case xml.StartElement:
			if depth++; depth > maxDepth {
				return f.broken(line, column, "nested deeper than 16")
			}
			if name := t.Name.Local; name == "item" || name == "entry" {
				found = true
				r, err := f.googleItem(d, line, column)
				if err != nil {
					return err
				}
				depth--
				if err := f.take(r); err != nil {
					return err
				}
			} else if name == "channel" || name == "feed" {
				found = true
			}
		case xml.EndElement:
			depth--
		}
	}
}

func xmlError(err error) string {
	if syntax, ok := errors.AsType[*xml.SyntaxError](err); ok {
		return "no XML: " + syntax.Msg
	}
	return "no XML: " + err.Error()
}

// googleSpace is the namespace of what Google adds to RSS and Atom.
const googleSpace = "http://base.google.com/ns/1.0"

// googleItem reads one item, of which the values of its own elements count.
func (f *feed) googleItem(d *xml.Decoder, line, column int) (*row, error) {
	r := &row{line: line, column: column, values: make(map[string]value)}
	var text []byte
	var href string
	name, depth := value{}, 0
	known := make(map[string]bool)
	for {
		t, err := d.Token()
		l, c := d.InputPos()
		if err != nil {
			return nil, f.broken(l, c, xmlError(err))
		}
		switch t := t.(type) {
		case xml.Directive:
			return nil, f.broken(l, c, "a declaration: a feed needs none")
		case xml.StartElement:
			if depth++; depth > maxDepth {
				return nil, f.broken(l, c, "nested deeper than 16")
			}
			if depth == 1 {
				name, text, href = value{normal(t.Name.Local), l, c}, text[:0], ""
				for _, a := range t.Attr {
					if a.Name.Local == "href" {
						href = a.Value // Atom's link
					}
				}
			}
		case xml.CharData:
			if depth == 1 && len(text)+len(t) <= 2*maxValue {
				text = append(text, t...)
			}
		case xml.EndElement:
			if depth--; depth < 0 {
				return r, nil
			}
			if depth > 0 {
				continue
			}
			v := value{firstOf(strings.TrimSpace(string(text)), href), name.line, name.column}
			_, twice := r.values[name.text]
			if own := t.Name.Space == googleSpace; !twice || own && !known[name.text] {
				known[name.text] = own // Atom has an id and a link of its own
				r.values[name.text] = v
				if len(r.raw) < maxRaw {
					r.raw = fmt.Appendf(r.raw, "%s: %s\n", name.text, cut(v.text))
				}
			}
		}
	}
}

// guarded bounds how much may be read for one product, and knows where lines begin.
type guarded struct {
	r     io.Reader
	n     int // bytes since it was set to 0
	most  int
	lines bool
	read  int64
	begin int64   // of the line that place stands in
	line  int     // its number, from 0
	ends  []int64 // of the lines that were read, behind place
}

// Read implements io.Reader.
func (g *guarded) Read(p []byte) (int, error) {
	if g.n > g.most {
		return 0, errors.New("a product of more than 1 MiB")
	}
	n, err := g.r.Read(p)
	g.n += n
	if g.lines {
		for i, c := range p[:n] {
			if c == '\n' {
				g.ends = append(g.ends, g.read+int64(i)+1)
			}
		}
	}
	g.read += int64(n)
	return n, err
}

// place is the line and column of an offset, which never goes back by a line.
func (g *guarded) place(offset int64) (line, column int) {
	for len(g.ends) > 0 && g.ends[0] <= offset {
		g.begin = g.ends[0]
		g.line++
		g.ends = g.ends[1:]
	}
	return g.line + 1, int(max(offset-g.begin, 0)) + 1
}
