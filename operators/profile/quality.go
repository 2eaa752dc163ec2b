package profile

import (
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"millrace/operators/event"
)

// Fault is a way in which events of a source may be wanting. Faults are counted; what to
// do about them is for people.
type Fault uint8

// The faults. Their numbers stand in stored state: append, never reorder.
const (
	NoMessageID     Fault = iota // a retry cannot be told from a new event
	NoPerson                     // neither a user nor a visitor
	NoProducts                   // of a kind that is about products
	NoPrice                      // a product without one, where money matters
	NoCurrency                   // an amount without one
	NoCategory                   // a product without one
	NoOrderID                    // an order that cannot be told from its repeat
	NoTotal                      // an order that says no total
	Late                         // came more than QualityLate after it happened
	TimeRepaired                 // a clock ahead of ours, or unreadable
	NumberRepaired               // a number unreadable, or a quantity out of range
	PriceOutOfRange              // below nothing, or nothing at all
	PriceOff                     // a unit off, or an outlier, by what the item costs elsewhere
	TotalOff                     // an order whose total its lines cannot explain
	RatingOut                    // not between 0 and 5
	AddressBad                   // an e-mail address that was refused
	Robotic                      // by a robot's user agent, or too fast for a person
	faultCount
)

var faultNames = [faultCount]string{
	NoMessageID: "no message id", NoPerson: "no person", NoProducts: "no products", NoPrice: "no price", NoCurrency: "no currency",
	NoCategory: "no category", NoOrderID: "no order id", NoTotal: "no total", Late: "late", TimeRepaired: "time repaired",
	NumberRepaired: "number repaired", PriceOutOfRange: "price out of range", PriceOff: "price off", TotalOff: "total off",
	RatingOut: "rating out of range", AddressBad: "bad address", Robotic: "robotic",
}

// String is the words for it.
func (f Fault) String() string {
	if f >= faultCount {
		return "unknown"
	}
	return faultNames[f]
}

// Faults lists all faults.
func Faults() []Fault {
	all := make([]Fault, faultCount)
	for i := range all {
		all[i] = Fault(i) //nolint:gosec // few
	}
	return all
}

// Class says what a fault is a case of: "missing", "late" or "out of range".
func (f Fault) Class() string {
	switch {
	case f <= NoTotal:
		return "missing"
	case f == Late:
		return "late"
	}
	return "out of range"
}

// The bounds of Quality.
const (
	QualityLate = time.Hour // what comes later found its trigger already judged
	MaxSources  = 64
	// OtherSources is the name of the sources beyond the bound.
	OtherSources = "(others)"
)

// Quality counts what is wanting in the events of each source. Its numbers are whole, so
// the order of events does not matter and two of them can be merged; only which sources
// are beyond MaxSources depends on who came first. The zero value is empty. One goroutine
// at a time.
type Quality struct {
	sources map[string]*SourceQuality
}

// SourceQuality is how one source does.
type SourceQuality struct {
	Source string
	Events uint64
	Counts [faultCount]uint64
}

// Share is the part of the events that have a fault.
func (s *SourceQuality) Share(f Fault) float64 {
	if s.Events == 0 || f >= faultCount {
		return 0
	}
	return float64(s.Counts[f]) / float64(s.Events)
}

// Add counts an event with its faults, and those that only the caller can see: PriceOff
// and Robotic. Each fault counts once an event.
func (q *Quality) Add(e *event.Event, more ...Fault) {
	s := q.source(e.Source)
	s.Events++
	faults := inspect(e)
	for _, f := range more {
		if f < faultCount {
			faults |= 1 << f
		}
	}
	for f := range faultCount {
		if faults&(1<<f) != 0 {
			s.Counts[f]++
		}
	}
}

func (q *Quality) source(name string) *SourceQuality {
	if s := q.sources[name]; s != nil {
		return s
	}
	if len(name) > MaxID {
		name = name[:MaxID]
	}
	if len(q.sources) >= MaxSources && q.sources[name] == nil {
		name = OtherSources
	}
	if s := q.sources[name]; s != nil {
		return s
	}
	if q.sources == nil {
		q.sources = make(map[string]*SourceQuality)
	}
	s := &SourceQuality{Source: strings.Clone(name)}
	q.sources[s.Source] = s
	return s
}

type faultSet uint32

func (s *faultSet) add(f Fault, is bool) {
	if is {
		*s |= 1 << f
	}
}

// inspect finds what an event lacks or has wrong.
func inspect(e *event.Event) faultSet {
	var s faultSet
	s.add(NoMessageID, e.MessageID == "" || e.Flags&event.MessageIDNew != 0)
	s.add(NoPerson, e.UserID == "" && e.AnonymousID == "" && e.Person == "")
	s.add(Late, e.Flags&event.FromImport == 0 && e.ReceivedAt-e.Time > QualityLate.Milliseconds())
	s.add(TimeRepaired, e.Flags&(event.ClockFuture|event.ClockBad|event.ZoneMissing) != 0)
	s.add(NumberRepaired, e.Flags&(event.NumberBad|event.QuantityBad) != 0)
	s.add(AddressBad, e.Flags&event.EmailBad != 0)
	s.add(RatingOut, e.Kind == event.ProductReviewed && !(e.Rating >= 0 && e.Rating <= 5))
	s.add(Robotic, e.Bot)
	switch e.Kind {
	case event.ProductViewed, event.ProductAdded, event.ProductRemoved, event.OrderCompleted, event.ProductReviewed, event.ProductClicked:
		s.add(NoProducts, len(e.Products) == 0)
	}
	money := e.Kind == event.ProductAdded || e.Kind == event.OrderCompleted
	lines, priced := event.Money(0), len(e.Products) > 0
	for i := range e.Products {
		d := &e.Products[i]
		s.add(NoPrice, money && !d.HasPrice)
		s.add(NoCategory, e.Kind != event.ProductRemoved && d.Category == "")
		s.add(PriceOutOfRange, d.HasPrice && (d.Price < 0 || d.Price == 0 && money))
		s.add(NoCurrency, d.HasPrice && e.Currency == "")
		lines += linePrice(d)
		priced = priced && d.HasPrice && !d.Returned
	}
	if e.Kind != event.OrderCompleted {
		return s
	}
	s.add(NoOrderID, e.OrderID == "")
	s.add(NoTotal, !e.HasTotal)
	s.add(NoCurrency, e.HasTotal && e.Currency == "")
	s.add(PriceOutOfRange, e.HasTotal && e.Total < 0)
	// Discounts, shipping and tax move a total, but not to a third or three times.
	s.add(TotalOff, e.HasTotal && priced && lines > 0 && math.Abs(math.Log(math.Max(float64(e.Total), 1)/float64(lines))) > math.Log(3))
	return s
}

// Sources are the figures of all sources, by name; they are copies.
func (q *Quality) Sources() []SourceQuality {
	all := make([]SourceQuality, 0, len(q.sources))
	for _, name := range slices.Sorted(maps.Keys(q.sources)) {
		all = append(all, *q.sources[name])
	}
	return all
}

// Merge takes in what another has counted.
func (q *Quality) Merge(o *Quality) {
	for _, name := range slices.Sorted(maps.Keys(o.sources)) {
		from, to := o.sources[name], q.source(name)
		to.Events += from.Events
		for f, n := range from.Counts {
			to.Counts[f] += n
		}
	}
}

const qualitySchema = 1

// AppendTo appends the stored form.
func (q *Quality) AppendTo(b []byte) []byte {
	b = append(b, qualitySchema)
	b = binary.AppendUvarint(b, uint64(len(q.sources)))
	for _, s := range q.Sources() {
		b = AppendString(b, s.Source)
		b = binary.AppendUvarint(b, s.Events)
		b = binary.AppendUvarint(b, uint64(faultCount))
		for _, n := range s.Counts {
			b = binary.AppendUvarint(b, n)
		}
	}
	return b
}

// DecodeFrom reads what AppendTo wrote. It answers ErrNewer or ErrDamaged, wrapped with
// the facts.
func (q *Quality) DecodeFrom(b []byte) error {
	w, _ := ReadWire(b, qualitySchema)
	*q = Quality{}
	last := ""
	for i := range w.Len(MaxSources+1, 3) {
		name := strings.Clone(w.String())
		if i > 0 && name <= last || len(name) > MaxID {
			w.Fail("sources out of order")
			break
		}
		last = name
		s := &SourceQuality{Source: name, Events: w.Uvarint()}
		for f := range w.Len(int(faultCount), 1) {
			s.Counts[f] = w.Uvarint()
		}
		if q.sources == nil {
			q.sources = make(map[string]*SourceQuality)
		}
		q.sources[name] = s
	}
	return w.Err()
}
