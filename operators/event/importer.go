package event

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// ImportOptions say how a data set becomes events. The zero value works.
type ImportOptions struct {
	// DataSet is part of every messageId, so that importing the same set twice changes
	// nothing. It defaults to the format's name.
	DataSet string
	// Address, such as "{user}@example.invalid", gives every user an address.
	Address string
	// AssumeConsent lets every user agree to mail; what rests on it is flagged.
	AssumeConsent bool
	// SynthesiseCarts puts cart events before orders and leaves some carts behind,
	// by chance but fixed by Seed; what rests on it is flagged.
	SynthesiseCarts bool
	Seed            uint64
}

// Imported is one event of a data set, or a row that could not be read. Number counts
// both from 1 within a file and is the same whenever the file is read with the same
// options: an import that was interrupted skips the numbers that it has seen.
type Imported struct {
	Number int64
	Line   int   // where it comes from
	Time   int64 // its event time, Unix milliseconds; 0 when it names none
	Item   Item  // ready for an envelope with Header.Import
	Bad    *RowError
}

// RowError is a row that could not be read. It does not stop an import.
type RowError struct {
	File   string
	Line   int
	Field  string
	Reason string
}

// Error says where and why.
func (e *RowError) Error() string {
	return fmt.Sprintf("%s:%d:%s: %s", e.File, e.Line, e.Field, e.Reason)
}

// ImportStats counts what an Importer did.
type ImportStats struct {
	Rows       int64 // without headers
	Events     int64 // yielded
	BadRows    int64
	Orders     int64
	Refunds    int64
	NotGoods   int64 // rows of postage, fees and corrections: counted, but no products
	Anonymous  int64 // orders without a customer
	Identifies int64 // made for Address and AssumeConsent
	Carts      int64 // Product Added events made by SynthesiseCarts
	Left       int64 // carts left behind by SynthesiseCarts
	Names      int64 // of products, from a catalogue
}

// Importer turns files of a known format into raw Segment events. One goroutine at a
// time. It reads and never writes; what it holds is bounded, see the formats.
type Importer struct {
	format  string
	options ImportOptions
	stats   ImportStats
	names   map[string]string // of the catalogue
	seen    map[string]struct{}
	file    string
	number  int64
	yield   func(Imported) error
	queue   queue
	pool    []good // goods ordered lately, for carts left behind
	poolAt  int
}

// ImportFormats are the names of the formats that NewImporter knows.
func ImportFormats() []string {
	return []string{"ndjson", "online-retail", "rees46", "segment", "serenade"}
}

// NewImporter makes an importer of a format.
func NewImporter(format string, o ImportOptions) (*Importer, error) {
	if !slices.Contains(ImportFormats(), format) {
		return nil, fmt.Errorf("unknown import format %q, know %s", format, strings.Join(ImportFormats(), ", "))
	}
	if o.SynthesiseCarts && format != "online-retail" && format != "rees46" {
		return nil, fmt.Errorf("format %s has no orders to synthesise carts for: use online-retail or rees46", format)
	}
	if o.Address != "" {
		probe := val{t: '"', s: strings.ReplaceAll(o.Address, "{user}", "user")}
		if !strings.Contains(o.Address, "{user}") || address(&probe) == "" {
			return nil, fmt.Errorf("address pattern %q must hold {user} and make an address", o.Address)
		}
	}
	o.DataSet = cmp.Or(o.DataSet, format)
	return &Importer{format: format, options: o, names: map[string]string{}, seen: map[string]struct{}{}}, nil
}

// Stats is what the importer did so far.
func (im *Importer) Stats() ImportStats { return im.stats }

// Prepare reads a file that only helps others, such as the catalogue of online-retail,
// and tells whether it was one. Call it for all files before the first Import.
func (im *Importer) Prepare(name string, r io.Reader) (bool, error) {
	if im.format != "online-retail" {
		return false, nil
	}
	in, err := unpack(r)
	if err != nil {
		return false, fmt.Errorf("read %s: %w", name, err)
	}
	t, err := openTable(name, in, formOf(im.format))
	if err != nil {
		return false, err
	}
	if !t.isCatalogue() {
		return false, nil
	}
	return true, im.catalogue(t)
}

// Import reads a file, gzip or not, and hands its events to yield in order of time, as
// far as the format's window sorts them. It stops at the first error of yield and at
// the first error of reading; broken rows are yielded as such and do not stop it.
func (im *Importer) Import(name string, r io.Reader, yield func(Imported) error) error {
	im.file, im.number, im.yield = name, 0, yield
	im.queue = queue{}
	in, err := unpack(r)
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	switch im.format {
	case "online-retail":
		err = im.retail(in)
	case "rees46":
		err = im.rees46(in)
	case "serenade":
		err = im.serenade(in)
	default:
		err = im.lines(in)
	}
	if err != nil {
		return err
	}
	return im.drain()
}

// unpack opens gzip, recognised by its first bytes, and cuts a byte order mark off.
func unpack(r io.Reader) (*bufio.Reader, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	if head, err := in.Peek(2); err == nil && head[0] == 0x1f && head[1] == 0x8b {
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, err
		}
		in = bufio.NewReaderSize(z, 64<<10)
	}
	if head, err := in.Peek(3); err == nil && string(head) == "\xef\xbb\xbf" {
		if _, err := in.Discard(3); err != nil {
			return nil, err
		}
	} else if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return in, nil
}

// bad yields a row that could not be read.
func (im *Importer) bad(line int, field, reason string) error {
	im.stats.BadRows++
	im.number++
	return im.yield(Imported{
		Number: im.number, Line: line,
		Bad: &RowError{File: im.file, Line: line, Field: field, Reason: reason},
	})
}

// put yields an event, and before it, when its user is new, who that is.
func (im *Importer) put(d *draft) error {
	if err := im.introduce(d); err != nil {
		return err
	}
	return im.out(d)
}

// out yields an event.
func (im *Importer) out(d *draft) error {
	im.number++
	im.stats.Events++
	d.item.Flags = d.flags
	d.item.Raw = d.raw
	return im.yield(Imported{Number: im.number, Line: d.line, Time: d.time, Item: d.item})
}

// seenMax bounds the users that are remembered: about 1 GB. Later ones get no identify.
const seenMax = 10_000_000

// introduce yields the identify of a user that is new.
func (im *Importer) introduce(d *draft) error {
	if d.user == "" || im.options.Address == "" && !im.options.AssumeConsent {
		return nil
	}
	if _, ok := im.seen[d.user]; ok || len(im.seen) >= seenMax {
		return nil
	}
	im.seen[strings.Clone(d.user)] = struct{}{}
	im.stats.Identifies++
	b := begin("identify", "", im.id("identify", d.user), d.user, "", d.time)
	b = append(b, `,"traits":{`...)
	if im.options.Address != "" {
		b = append(b, `"email":`...)
		b = appendString(b, strings.ReplaceAll(im.options.Address, "{user}", localPart(d.user)))
	}
	flags := Flags(0)
	if im.options.AssumeConsent {
		if im.options.Address != "" {
			b = append(b, ',')
		}
		b = append(b, `"marketing_consent":true`...)
		flags = AssumedConsent
	}
	return im.out(&draft{time: d.time, line: d.line, flags: flags, raw: append(b, '}', '}')})
}

// localPart is a user id as the local part of an address.
func localPart(user string) string {
	for i := range len(user) {
		c := user[i]
		if c-'0' > 9 && (c|0x20 < 'a' || c|0x20 > 'z') && c != '-' && c != '_' {
			return hash(user)[:16]
		}
	}
	if len(user) > 40 {
		return hash(user)[:16]
	}
	return user
}

// id is the messageId of what the parts name within the data set.
func (im *Importer) id(parts ...string) string {
	h := sha256.New()
	io.WriteString(h, im.options.DataSet) //nolint:errcheck // a hash never fails
	for _, part := range parts {
		h.Write([]byte{0})
		io.WriteString(h, part) //nolint:errcheck // a hash never fails
	}
	return string(appendHex([]byte("im-"), h.Sum(nil)[:16]))
}
