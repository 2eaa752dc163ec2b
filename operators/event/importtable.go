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
	csv     *csv.Reader
	columns map[string]int // by normalised name
	row     []string
	line    int
}

// openTable reads the header.
func openTable(name string, r io.Reader, comma rune) (*table, error) {
	t := &table{name: name, csv: csv.NewReader(r), columns: map[string]int{}}
	t.csv.Comma = comma
	t.csv.FieldsPerRecord = -1
	t.csv.ReuseRecord = true
	header, err := t.csv.Read()
	if err != nil {
		return nil, fmt.Errorf("%s:1: read the header: %w", name, err)
	}
	for i, column := range header {
		t.columns[normal(column)] = i
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

// need answers an error that names the columns that are missing.
func (t *table) need(columns ...string) error {
	var missing []string
	for _, c := range columns {
		if _, ok := t.columns[c]; !ok {
			missing = append(missing, c)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%s:1: no column %s", t.name, strings.Join(missing, ", "))
	}
	return nil
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
