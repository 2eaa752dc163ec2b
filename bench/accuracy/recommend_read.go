package accuracy

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// RecommendKind is what a data set for recommendations consists of.
type RecommendKind string

// The kinds of data sets.
const (
	RecommendSessions RecommendKind = "sessions" // visits; what is looked at next?
	RecommendPrefixes RecommendKind = "prefixes" // beginnings of visits, each with the item that came next
	RecommendRatings  RecommendKind = "ratings"  // people and items; what else did they choose?
	RecommendBaskets  RecommendKind = "baskets"  // orders of known customers; what is in the next one?
)

// RecommendClick is a row of a data set.
type RecommendClick struct {
	Item string
	Time int64 // milliseconds; the number of the row where the data have none
}

// RecommendVisit is a session, an order or all that one person rated.
type RecommendVisit struct {
	Key, Person string
	Clicks      []RecommendClick // oldest first
	Target      string           // of a prefix
}

// last is the time of the newest click.
func (v *RecommendVisit) last() int64 { return v.Clicks[len(v.Clicks)-1].Time }

// RecommendSet is a data set as read.
type RecommendSet struct {
	Name               string
	Kind               RecommendKind
	Train, Valid, Test []RecommendVisit // in the order of their last clicks; all in Train when nothing is split
	Products           []RecommendProduct
	Skipped            int              // rows without an item, or of returned goods
	Serenade           *SerenadeOptions // what an example.toml of Serenade asks for
}

// The limits of reading.
const (
	recommendRowsMax  = 50_000_000
	recommendBytesMax = 8 << 30 // of a file, unpacked
	recommendLineMax  = 1 << 20 // bytes
	recommendIDMax    = 512     // bytes of an id
)

// column is what a column of a table means.
type column uint8

const (
	colNone column = iota
	colSession
	colUser
	colItem
	colBasket
	colTime
	colOffset
	colRating
	colQuantity
	colPrefix
	colTarget
	colTitle
	colCategory
	colBrand
	colPrice
	columns
)

// headers are the names by which columns are known, in lower case without signs.
var headers = map[string]column{
	"sessionid": colSession, "session": colSession, "visitid": colSession, "visit": colSession, "usersession": colSession,
	"itemid": colItem, "item": colItem, "productid": colItem, "product": colItem, "stockcode": colItem, "sku": colItem,
	"userid": colUser, "user": colUser, "customerid": colUser, "householdid": colUser, "visitorid": colUser, "personid": colUser, "person": colUser,
	"invoiceno": colBasket, "basketid": colBasket, "orderid": colBasket, "order": colBasket, "basket": colBasket,
	"time": colTime, "timestamp": colTime, "eventtime": colTime, "invoicedate": colTime, "transactiontimestamp": colTime, "eventdate": colTime, "date": colTime,
	"timeframe": colOffset,
	"rating":    colRating, "quantity": colQuantity, "prefix": colPrefix, "target": colTarget,
	"title": colTitle, "movietitle": colTitle, "name": colTitle, "description": colTitle, "producttype": colTitle,
	"category": colCategory, "categorycode": colCategory, "class": colCategory, "productcategory": colCategory,
	"brand": colBrand, "price": colPrice, "unitprice": colPrice,
}

// headerOf reads a name of a column: "user_id:token" is a user.
func headerOf(name string) column {
	name, _, _ = strings.Cut(strings.TrimPrefix(strings.TrimSpace(name), "\ufeff"), ":")
	name = strings.Map(func(r rune) rune {
		if r == '_' || r == ' ' || r == '-' || r == '"' {
			return -1
		}
		return r
	}, strings.ToLower(name))
	return headers[name]
}

// table reads a delimited file row by row.
type table struct {
	name string
	scan *bufio.Scanner
	sep  byte
	at   [columns]int // place of each column, from 1; 0: there is none
	rows int
	row  []string
}

// newTable reads the header. It answers errNoTable when none of its names is known.
func newTable(name string, r io.Reader) (*table, error) {
	t := &table{name: name, scan: bufio.NewScanner(io.LimitReader(r, recommendBytesMax)), sep: ','}
	t.scan.Buffer(make([]byte, 0, 1<<16), recommendLineMax)
	if !t.scan.Scan() {
		if err := t.scan.Err(); err != nil && !errors.Is(err, bufio.ErrTooLong) {
			return nil, fmt.Errorf("read the header of %s: %w", name, err)
		}
		return nil, errNoTable
	}
	header := t.scan.Text()
	for _, c := range []byte("\t;") {
		if strings.IndexByte(header, c) >= 0 {
			t.sep = c
			break
		}
	}
	t.split(header)
	known := 0
	for k, h := range t.row {
		if c := headerOf(h); c != colNone && t.at[c] == 0 {
			t.at[c] = k + 1
			known++
		}
	}
	if known == 0 {
		return nil, errNoTable
	}
	return t, nil
}

var errNoTable = errors.New("not a table with a header that is known")

// next reads a row; false at the end. Empty lines are passed over.
func (t *table) next() (bool, error) {
	for t.scan.Scan() {
		if t.rows >= recommendRowsMax {
			return false, fmt.Errorf("read %s: more than %d rows", t.name, recommendRowsMax)
		}
		if line := t.scan.Text(); line != "" {
			t.rows++
			t.split(line)
			return true, nil
		}
	}
	if err := t.scan.Err(); err != nil {
		return false, fmt.Errorf("read %s after row %d: %w", t.name, t.rows, err)
	}
	return false, nil
}

// split parts a line. Fields of CSV may stand in quotes, and a quote within them is
// doubled; a field does not go on in the next line.
func (t *table) split(line string) {
	t.row = t.row[:0]
	for t.sep != '\t' && line != "" {
		if line[0] != '"' {
			field, rest, more := strings.Cut(line, string(t.sep))
			t.row = append(t.row, field)
			if line = rest; more && rest == "" {
				t.row = append(t.row, "")
			}
			continue
		}
		end := 1
		for end < len(line) && (line[end] != '"' || end+1 < len(line) && line[end+1] == '"') {
			if line[end] == '"' {
				end++
			}
			end++
		}
		t.row = append(t.row, strings.ReplaceAll(line[1:min(end, len(line))], `""`, `"`))
		_, line, _ = strings.Cut(line[min(end, len(line)):], string(t.sep))
	}
	if t.sep == '\t' {
		for field := range strings.SplitSeq(line, "\t") {
			t.row = append(t.row, field)
		}
	}
}

func (t *table) has(c ...column) bool {
	return !slices.ContainsFunc(c, func(c column) bool { return t.at[c] == 0 })
}

// get is a field of the row; empty where there is none, or NA.
func (t *table) get(c column) string {
	k := t.at[c]
	if k == 0 || k > len(t.row) {
		return ""
	}
	v := strings.TrimSpace(t.row[k-1])
	if v == "NA" || len(v) > recommendIDMax && c != colTitle && c != colPrefix {
		return ""
	}
	return v
}

// number is a field as a number, 0 where there is none.
func (t *table) number(c column) float64 {
	f, err := strconv.ParseFloat(t.get(c), 64)
	if err != nil || f != f || f > 1e15 || f < -1e15 {
		return 0
	}
	return f
}

// layouts are the forms of times that are no numbers.
var layouts = []string{"2006-01-02 15:04:05", "2006-01-02", time.RFC3339Nano, "2006-01-02 15:04:05 MST", "2006-01-02 15:04", "02/01/2006 15:04"}

// time is the time of the row in milliseconds: seconds or milliseconds since 1970, or a
// date; the number of the row when the table has no times.
func (t *table) time() (int64, error) {
	if !t.has(colTime) {
		return int64(t.rows) * 1000, nil
	}
	v := t.get(colTime)
	if f, err := strconv.ParseFloat(v, 64); err == nil && f == f && f > -1e14 && f < 1e14 {
		if f > 1e11 { // milliseconds since 1973, or seconds after the year 5000
			return int64(f), nil
		}
		return int64(f * 1000), nil
	}
	for _, l := range layouts {
		if at, err := time.ParseInLocation(l, v, time.UTC); err == nil {
			return at.UnixMilli() + int64(t.number(colOffset)), nil
		}
	}
	return 0, fmt.Errorf("read %s: row %d: %.40q is no time", t.name, t.rows, v)
}

// openTable opens a file, gzip or not. The function closes it.
func openTable(path string) (*table, func(), error) {
	f, err := os.Open(path) //nolint:gosec // the user names the folder
	if err != nil {
		return nil, nil, fmt.Errorf("open a data set: %w", err)
	}
	done := func() { _ = f.Close() }
	var r io.Reader = bufio.NewReader(f)
	if magic, err := r.(*bufio.Reader).Peek(2); err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		if r, err = gzip.NewReader(r); err != nil {
			done()
			return nil, nil, fmt.Errorf("unpack %s: %w", filepath.Base(path), err)
		}
	}
	t, err := newTable(filepath.Base(path), r)
	if err != nil {
		done()
		return nil, nil, err
	}
	return t, done, nil
}
