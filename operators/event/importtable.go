package event

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
)

// table reads rows with a header.
type table struct {
	name    string
	form    form
	head    int    // line of the header
	first   string // the header, a column a line
	csv     *csv.Reader
	columns map[string]int // by normalised name
	row     []string
	line    int
}

// form is what the header of a format holds.
type form struct {
	format  string
	comma   rune
	columns []string // that must be there, as the data set spells them
}

// forms are the formats that are tables.
func forms() []form {
	return []form{
		{"online-retail", ',', []string{"InvoiceNo", "StockCode", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID"}},
		{"rees46", ',', []string{"event_time", "event_type", "product_id", "user_id", "user_session"}},
		{"serenade", '\t', []string{"SessionId", "ItemId", "Time"}},
	}
}

// formOf is the form of a format that is a table.
func formOf(format string) form {
	for _, f := range forms() {
		if f.format == format {
			return f
		}
	}
	panic("BUG: " + format + " is no table")
}

// String says what is expected.
func (f form) String() string {
	return fmt.Sprintf("expected a header with the columns %s, separated by %s, as the format %s has it",
		strings.Join(f.columns, ", "), separatorName(f.comma), f.format)
}

func separatorName(r rune) string {
	return map[rune]string{',': "commas", '\t': "tabs", ';': "semicolons", '|': "bars"}[r]
}

// missing lists the columns of the form that a header lacks. What the files of Online
// Retail II call otherwise counts.
func (f form) missing(columns map[string]int) []string {
	var out []string
	for _, c := range f.columns {
		_, ok := columns[normal(c)]
		if _, other := columns[otherName(normal(c))]; !ok && !other {
			out = append(out, c)
		}
	}
	return out
}

// otherName is the name that Online Retail II has for a column of Online Retail, or "".
func otherName(column string) string {
	return map[string]string{"invoiceno": "invoice", "unitprice": "price", "customerid": "customer"}[column]
}

// openTable reads the header. The first line of a wrong file may hold anything, persons
// too, so no error repeats it.
func openTable(name string, r io.Reader, f form) (*table, error) {
	t := &table{name: name, form: f, csv: csv.NewReader(r), columns: map[string]int{}}
	t.csv.Comma = f.comma
	t.csv.FieldsPerRecord = -1
	t.csv.ReuseRecord = true
	header, err := t.csv.Read()
	var parse *csv.ParseError
	switch {
	case errors.Is(err, io.EOF):
		return nil, fmt.Errorf("%s:1: the file is empty, %s", name, f)
	case errors.As(err, &parse):
		return nil, fmt.Errorf("%s:%d: the header is no CSV (a quote is missing or stands inside a field), %s", name, parse.StartLine, f)
	case err != nil:
		return nil, fmt.Errorf("%s:1: read the header: %w", name, err)
	}
	t.head, _ = t.csv.FieldPos(0)
	for i, column := range header {
		t.columns[normal(column)] = i
		t.first += column + "\n"
	}
	return t, nil
}

// normal is a column's name in lower case, letters and digits only.
func normal(s string) string {
	return strings.Map(func(r rune) rune {
		if r-'0' <= 9 && r >= '0' || 'a' <= r && r <= 'z' {
			return r
		}
		return -1
	}, strings.ToLower(s))
}

// check answers an error that says what the header lacks, and what the file may be
// instead.
func (t *table) check() error {
	missing := t.form.missing(t.columns)
	if len(missing) == 0 {
		return nil
	}
	hint := ""
	for _, other := range forms() {
		if other.format != t.form.format && len(other.missing(t.columns)) == 0 {
			hint = fmt.Sprintf(" (the file looks like the format %s)", other.format)
		}
	}
	for _, comma := range []rune{',', '\t', ';', '|'} {
		columns := map[string]int{}
		for i, c := range strings.FieldsFunc(t.first, func(r rune) bool { return r == comma || r == '\n' }) {
			columns[normal(c)] = i
		}
		if comma != t.form.comma && len(t.form.missing(columns)) == 0 {
			hint = fmt.Sprintf(" (its columns are separated by %s)", separatorName(comma))
		}
	}
	return fmt.Errorf("%s:%d: no column %s, %s%s", t.name, t.head, strings.Join(missing, ", "), t.form, hint)
}

// isCatalogue tells whether the table names products and sells none.
func (t *table) isCatalogue() bool {
	_, code := t.columns["stockcode"]
	_, description := t.columns["description"]
	_, invoice := t.columns["invoiceno"]
	_, invoice2 := t.columns["invoice"]
	return code && description && !invoice && !invoice2
}

// errRow marks a row that is no CSV; the next one may be.
var errRow = errors.New("broken row")

// next goes to the next row. It answers io.EOF at the end and errRow for a broken row.
func (t *table) next() error {
	row, err := t.csv.Read()
	var parse *csv.ParseError
	switch {
	case err == nil:
		t.row = row
		t.line, _ = t.csv.FieldPos(0)
		return nil
	case errors.As(err, &parse):
		t.line = parse.StartLine
		return errRow
	case errors.Is(err, io.EOF):
		return io.EOF
	default:
		return fmt.Errorf("read %s after line %d: %w", t.name, t.line, err)
	}
}

// get is a column of the row, without blanks around it; "" when it is missing.
func (t *table) get(column string) string {
	i, ok := t.columns[column]
	if !ok || i >= len(t.row) {
		return ""
	}
	return strings.TrimSpace(t.row[i])
}

// rows calls f with each good row and yields the others as broken. A column that f
// cannot read is answered as its name and the reason.
func (im *Importer) rows(t *table, f func() (field, reason string, err error)) error {
	for {
		err := t.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		field, reason := "row", "is no CSV: a quote is missing or stands inside a field"
		if err == nil {
			im.stats.Rows++
			field, reason, err = f()
		} else if errors.Is(err, errRow) {
			im.stats.Rows++
			err = nil
		}
		if err != nil {
			return err
		}
		if field != "" {
			if err := im.bad(t.line, field, reason); err != nil {
				return err
			}
		}
	}
}
