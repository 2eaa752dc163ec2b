package accuracy

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ErrProfileData says that a folder holds no data set that is understood.
var ErrProfileData = errors.New("no data set for profiles")

// The bounds of a data set.
const (
	profileRowsMax     = 10_000_000
	profileFeaturesMax = 256
)

// ProfileOrder is one order of one customer.
type ProfileOrder struct {
	Customer string
	Time     int64 // Unix milliseconds
	Amount   float64
}

// ProfileSet is a data set to measure profiles on: a table of people and what is known of
// them in numbers, or a log of orders.
type ProfileSet struct {
	Name     string
	Features []string
	Rows     [][]float64 // in the order of the file
	Orders   []ProfileOrder
}

// ReadProfileSet reads a folder. It holds table.csv, a header and rows of numbers of which
// the first column may be a name, or orders.csv with the columns customer, time and amount,
// or both; each may be compressed with gzip as .csv.gz. The public sets ml-100k,
// online_retail and completejourney are understood as they come. What is none of these is
// answered with ErrProfileData.
func ReadProfileSet(dir string) (*ProfileSet, error) {
	s := &ProfileSet{Name: filepath.Base(filepath.Clean(dir))}
	found := false
	for _, r := range []struct {
		pattern string
		read    func(*ProfileSet, string) error
	}{
		{"table.csv", readProfileTable},
		{"orders.csv", readProfileOrders},
		{"ml-100k.inter", readMovieLens},
		{"tx_*.csv", readOnlineRetail},
		{"transactions_sample.csv", readCompleteJourney},
	} {
		plain, _ := filepath.Glob(filepath.Join(dir, r.pattern)) // the patterns are well formed
		packed, _ := filepath.Glob(filepath.Join(dir, r.pattern+".gz"))
		names := slices.Concat(plain, packed)
		slices.Sort(names)
		for _, name := range names {
			if err := r.read(s, name); err != nil {
				return nil, fmt.Errorf("read %s: %w", filepath.Base(name), err)
			}
			found = true
		}
	}
	if !found {
		return nil, fmt.Errorf("%w in %s: no table.csv and no orders.csv", ErrProfileData, s.Name)
	}
	slices.SortStableFunc(s.Orders, func(a, b ProfileOrder) int { return cmp.Compare(a.Time, b.Time) })
	return s, nil
}

// ReadProfileSets reads the folder, or if it is none itself all data sets in the folders
// below it, with one of the names if there are any.
func ReadProfileSets(dir string, names []string) ([]*ProfileSet, error) {
	if len(names) == 0 {
		s, err := ReadProfileSet(dir)
		if err == nil {
			return []*ProfileSet{s}, nil
		}
		if !errors.Is(err, ErrProfileData) {
			return nil, err
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, fmt.Errorf("read data sets: %w", err)
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
		var all []*ProfileSet
		for _, n := range names {
			s, err := ReadProfileSet(filepath.Join(dir, n))
			if errors.Is(err, ErrProfileData) {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("data set %s: %w", n, err)
			}
			all = append(all, s)
		}
		if len(all) == 0 {
			return nil, fmt.Errorf("%w in the folder or those in it", ErrProfileData)
		}
		return all, nil
	}
	var all []*ProfileSet
	for _, n := range names {
		s, err := ReadProfileSet(filepath.Join(dir, filepath.Base(n)))
		if err != nil {
			return nil, fmt.Errorf("data set %s: %w", n, err)
		}
		all = append(all, s)
	}
	return all, nil
}

// openProfile opens a file, which may be compressed.
func openProfile(name string) (io.Reader, func(), error) {
	f, err := os.Open(filepath.Clean(name))
	if err != nil {
		return nil, nil, err
	}
	closeFile := func() { _ = f.Close() }
	if filepath.Ext(name) != ".gz" {
		return bufio.NewReader(f), closeFile, nil
	}
	z, err := gzip.NewReader(bufio.NewReader(f))
	if err != nil {
		closeFile()
		return nil, nil, err
	}
	return z, closeFile, nil
}

// eachRow calls do with each row as a map from column to place; a row of another length
// than the header is an error with its number.
func eachRow(name string, comma rune, do func(column map[string]int, row []string) error) error {
	in, done, err := openProfile(name)
	if err != nil {
		return err
	}
	defer done()
	read := tabbed(in)
	if comma != '\t' {
		r := csv.NewReader(in)
		r.Comma, r.ReuseRecord = comma, true
		read = r.Read
	}
	header, err := read()
	if err != nil {
		return fmt.Errorf("header: %w", err)
	}
	column := make(map[string]int, len(header))
	for i, h := range header {
		h, _, _ = strings.Cut(strings.TrimSpace(h), ":") // RecBole writes the type behind a colon
		column[h] = i
	}
	for n := 2; ; n++ {
		row, err := read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil && n > profileRowsMax {
			err = fmt.Errorf("more than %d rows", profileRowsMax)
		}
		if err == nil {
			err = do(column, row)
		}
		if err != nil {
			return fmt.Errorf("row %d: %w", n, err)
		}
	}
}

// tabbed reads lines of columns between tabs, where a quote is a quote.
func tabbed(in io.Reader) func() ([]string, error) {
	lines := bufio.NewScanner(in)
	width := 0
	return func() ([]string, error) {
		if !lines.Scan() {
			return nil, cmp.Or(lines.Err(), io.EOF)
		}
		row := strings.Split(lines.Text(), "\t")
		if width == 0 {
			width = len(row)
		}
		if len(row) != width {
			return nil, fmt.Errorf("%d columns, the header has %d", len(row), width)
		}
		return row, nil
	}
}

// need answers the places of columns, or an error that names the missing one.
func need(column map[string]int, names ...string) ([]int, error) {
	at := make([]int, len(names))
	for i, n := range names {
		var ok bool
		if at[i], ok = column[n]; !ok {
			return nil, fmt.Errorf("no column %q", n)
		}
	}
	return at, nil
}

func finite(text string) (float64, error) {
	f, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, fmt.Errorf("%q is no number", text)
	}
	return f, nil
}

func readProfileTable(s *ProfileSet, name string) error {
	named := false
	return eachRow(name, ',', func(column map[string]int, row []string) error {
		if s.Rows == nil {
			_, err := finite(row[0])
			named = err != nil
			s.Features = make([]string, len(row))
			for h, i := range column {
				s.Features[i] = h
			}
			if named {
				s.Features = s.Features[1:]
			}
			if len(s.Features) < 2 || len(s.Features) > profileFeaturesMax {
				return fmt.Errorf("%d features, 2 to %d", len(s.Features), profileFeaturesMax)
			}
		}
		if named {
			row = row[1:]
		}
		x := make([]float64, len(row))
		for i, text := range row {
			var err error
			if x[i], err = finite(text); err != nil {
				return err
			}
		}
		s.Rows = append(s.Rows, x)
		return nil
	})
}

// profileTime reads a time as RFC 3339, as a date with or without a time of day (UTC), or
// as seconds since 1970.
func profileTime(text string) (int64, error) {
	text = strings.TrimSpace(text)
	for _, layout := range []string{"2006-01-02 15:04:05", "2006-01-02", time.RFC3339, "2006-01-02T15:04:05", "20060102"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UnixMilli(), nil
		}
	}
	if f, err := finite(text); err == nil && math.Abs(f) < 1e11 {
		return int64(f * 1000), nil
	}
	return 0, fmt.Errorf("%q is no time", text)
}

func readProfileOrders(s *ProfileSet, name string) error {
	return eachRow(name, ',', func(column map[string]int, row []string) error {
		at, err := need(column, "customer", "time", "amount")
		if err != nil {
			return err
		}
		o := ProfileOrder{Customer: strings.Clone(row[at[0]])}
		if o.Time, err = profileTime(row[at[1]]); err != nil {
			return err
		}
		if o.Amount, err = finite(row[at[2]]); err != nil {
			return err
		}
		s.Orders = append(s.Orders, o)
		return nil
	})
}

// readMovieLens makes a row for each person: of the genres of the films that were rated,
// each once a film, the share of each.
func readMovieLens(s *ProfileSet, name string) error {
	genres := make(map[string][]string)
	place := make(map[string]int)
	items := strings.TrimSuffix(strings.TrimSuffix(name, ".gz"), ".inter") + ".item"
	err := eachRow(items, '\t', func(column map[string]int, row []string) error {
		at, err := need(column, "item_id", "class")
		if err != nil {
			return err
		}
		of := strings.Fields(strings.Clone(row[at[1]]))
		genres[strings.Clone(row[at[0]])] = of
		for _, g := range of {
			place[g] = 0
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("items: %w", err)
	}
	for g := range place {
		s.Features = append(s.Features, g)
	}
	slices.Sort(s.Features)
	for i, g := range s.Features {
		place[g] = i
	}
	person := make(map[string]int)
	err = eachRow(name, '\t', func(column map[string]int, row []string) error {
		at, err := need(column, "user_id", "item_id")
		if err != nil {
			return err
		}
		i, ok := person[row[at[0]]]
		if !ok {
			i = len(s.Rows)
			person[strings.Clone(row[at[0]])] = i
			s.Rows = append(s.Rows, make([]float64, len(s.Features)))
		}
		for _, g := range genres[row[at[1]]] {
			s.Rows[i][place[g]]++
		}
		return nil
	})
	for _, x := range s.Rows {
		sum := 0.0
		for _, v := range x {
			sum += v
		}
		for i := range x {
			x[i] /= math.Max(sum, 1)
		}
	}
	return err
}

// basket joins the lines of one order.
type basket struct {
	customer string
	at       int64
	amount   float64
}

func addBaskets(s *ProfileSet, baskets map[string]*basket) {
	for _, b := range baskets {
		if b.amount > 0 {
			s.Orders = append(s.Orders, ProfileOrder{b.customer, b.at, b.amount})
		}
	}
	slices.SortFunc(s.Orders, func(a, b ProfileOrder) int {
		if a.Time != b.Time {
			return cmp.Compare(a.Time, b.Time)
		}
		return cmp.Or(strings.Compare(a.Customer, b.Customer), cmp.Compare(a.Amount, b.Amount))
	})
}

// readBaskets reads lines of orders; worth is what a line is worth, false to leave it out.
func readBaskets(s *ProfileSet, name string, columns [3]string, worth func(column map[string]int, row []string) (float64, bool, error)) error {
	baskets := make(map[string]*basket)
	err := eachRow(name, ',', func(column map[string]int, row []string) error {
		at, err := need(column, columns[:]...)
		if err != nil {
			return err
		}
		w, ok, err := worth(column, row)
		if err != nil || !ok {
			return err
		}
		b := baskets[row[at[1]]]
		if b == nil {
			t, err := profileTime(row[at[2]])
			if err != nil {
				return err
			}
			b = &basket{customer: strings.Clone(row[at[0]]), at: t}
			baskets[strings.Clone(row[at[1]])] = b
		}
		b.amount += w
		return nil
	})
	addBaskets(s, baskets)
	return err
}

// readOnlineRetail leaves cancellations out, whose invoices begin with C.
func readOnlineRetail(s *ProfileSet, name string) error {
	return readBaskets(s, name, [3]string{"CustomerID", "InvoiceNo", "InvoiceDate"}, func(column map[string]int, row []string) (float64, bool, error) {
		at, err := need(column, "InvoiceNo", "Quantity", "UnitPrice", "CustomerID")
		if err != nil || strings.HasPrefix(row[at[0]], "C") || row[at[3]] == "" {
			return 0, false, err
		}
		n, err := finite(row[at[1]])
		if err != nil {
			return 0, false, err
		}
		price, err := finite(row[at[2]])
		return n * price, true, err
	})
}

func readCompleteJourney(s *ProfileSet, name string) error {
	return readBaskets(s, name, [3]string{"household_id", "basket_id", "transaction_timestamp"}, func(column map[string]int, row []string) (float64, bool, error) {
		at, err := need(column, "sales_value")
		if err != nil {
			return 0, false, err
		}
		v, err := finite(row[at[0]])
		return v, true, err
	})
}
