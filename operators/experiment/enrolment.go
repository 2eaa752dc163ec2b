package experiment

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
)

// The bounds of what is kept of a person.
const (
	EnrolmentsMax = 16 // experiments that a person is in at a time
	MailsMax      = 32 // newest decisions of an enrolment, to whom a reaction belongs
)

// Errors of stored values.
var (
	ErrDamaged = errors.New("damaged value")
	ErrNewer   = errors.New("written by a newer version of the program")
)

// Enrolment is a person in one experiment.
type Enrolment struct {
	Key     string   // name and phase of the experiment
	Variant string   // for good: a later phase keeps it and does not count it
	Mails   []uint64 // hashes of the decisions, oldest first
	Unit    Unit
}

// Enrolments are the experiments that a person is in. The zero value works. One goroutine
// at a time.
type Enrolments struct {
	List []Enrolment // by Key
	Lost uint32      // enrolments that there was no room for
}

// Find is the enrolment in an experiment's phase, or nil.
func (e *Enrolments) Find(key string) *Enrolment {
	for i := range e.List {
		if e.List[i].Key == key {
			return &e.List[i]
		}
	}
	return nil
}

// variant is the variant that a person has in an experiment, whatever the phase, or "".
func (e *Enrolments) variant(r *Running) string {
	if in := e.Find(r.key); in != nil {
		return in.Variant
	}
	for i := range e.List {
		if name := e.List[i].Key; len(name) > len(r.Name) && name[:len(r.Name)] == r.Name && name[len(r.Name)] == '@' {
			return e.List[i].Variant
		}
	}
	return ""
}

// add makes an enrolment. Without room the oldest that is over gives way; nil if none is.
func (e *Enrolments) add(key, variant string, over func(*Enrolment) bool) *Enrolment {
	if len(e.List) >= EnrolmentsMax {
		oldest := -1
		for i := range e.List {
			if over(&e.List[i]) && (oldest < 0 || e.List[i].Unit.At < e.List[oldest].Unit.At) {
				oldest = i
			}
		}
		if oldest < 0 {
			e.Lost++
			return nil
		}
		e.List = slices.Delete(e.List, oldest, oldest+1)
	}
	i := 0
	for i < len(e.List) && e.List[i].Key < key {
		i++
	}
	e.List = slices.Insert(e.List, i, Enrolment{Key: key, Variant: variant})
	return &e.List[i]
}

// mail remembers a decision.
func (e *Enrolment) mail(hash uint64) {
	if slices.Contains(e.Mails, hash) {
		return
	}
	if len(e.Mails) >= MailsMax {
		e.Mails = slices.Delete(e.Mails, 0, 1)
	}
	e.Mails = append(e.Mails, hash)
}

const enrolmentSchema = 2

// AppendTo appends the stored form.
func (e *Enrolments) AppendTo(b []byte) []byte {
	b = append(b, enrolmentSchema)
	b = binary.AppendUvarint(b, uint64(e.Lost))
	b = binary.AppendUvarint(b, uint64(len(e.List)))
	for i := range e.List {
		in := &e.List[i]
		b = appendText(appendText(b, in.Key), in.Variant)
		b = binary.AppendUvarint(b, uint64(len(in.Mails)))
		for _, m := range in.Mails {
			b = binary.LittleEndian.AppendUint64(b, m)
		}
		b = in.Unit.appendTo(b)
	}
	return b
}

// DecodeFrom reads the stored form. It keeps nothing of b.
func (e *Enrolments) DecodeFrom(b []byte) error {
	*e = Enrolments{}
	r := reader{b: b}
	r.schema(enrolmentSchema)
	e.Lost = uint32(r.length(math.MaxUint32, 0)) //nolint:gosec // bounded
	n := r.length(EnrolmentsMax, 8)
	for range n {
		in := Enrolment{Key: r.text(), Variant: r.text()}
		for range r.length(MailsMax, 8) {
			in.Mails = append(in.Mails, r.fixed())
		}
		in.Unit.read(&r)
		e.List = append(e.List, in)
	}
	if err := r.end(); err != nil {
		*e = Enrolments{}
		return err
	}
	return nil
}

func (u *Unit) appendTo(b []byte) []byte {
	b = append(b, flag(u.Exposed, 1)|flag(u.Crossed, 2)|flag(u.Closed != nil, 4)|flag(len(u.Features) > 0, 8))
	b = binary.AppendVarint(b, int64(u.Arm))
	b = binary.AppendVarint(b, u.At)
	b = binary.LittleEndian.AppendUint64(b, u.ExposureID)
	b = binary.LittleEndian.AppendUint64(b, math.Float64bits(u.Propensity))
	b = binary.AppendUvarint(b, uint64(len(u.Outcomes)))
	for i := range u.Outcomes {
		o := &u.Outcomes[i]
		b = binary.LittleEndian.AppendUint64(b, o.ID)
		b = append(appendText(b, o.Name), flag(o.Gone, 1)|flag(o.Mail != 0, 2))
		if o.Mail != 0 {
			b = binary.LittleEndian.AppendUint64(b, o.Mail)
		}
		b = binary.AppendVarint(b, o.At-u.At)
		b = binary.AppendVarint(b, o.Amount)
	}
	if len(u.Features) > 0 {
		b = binary.AppendUvarint(b, uint64(len(u.Features)))
		for _, x := range u.Features {
			b = binary.AppendVarint(b, x)
		}
	}
	b = appendValues(b, u.Pre)
	if u.Closed != nil {
		b = appendValues(b, u.Closed)
	}
	return b
}

func (u *Unit) read(r *reader) {
	bits := r.byte()
	if bits > 15 {
		r.fail("unit of unknown kind")
	}
	u.Exposed, u.Crossed = bits&1 != 0, bits&2 != 0
	u.Arm, u.At, u.ExposureID = int(r.varint()), r.varint(), r.fixed()
	if u.Arm < -1 || u.Arm >= ArmsMax {
		r.fail("arm out of range")
	}
	u.Propensity = math.Float64frombits(r.fixed())
	if !(u.Propensity >= 0 && u.Propensity <= 1) {
		r.fail("propensity out of range")
	}
	for range r.length(OutcomesMax, 12) {
		o := Outcome{ID: r.fixed(), Name: r.text()}
		how := r.byte()
		if o.Gone = how&1 != 0; how > 3 {
			r.fail("outcome of unknown kind")
		}
		if how&2 != 0 {
			o.Mail = r.fixed()
		}
		o.At = u.At + r.varint()
		o.Amount = r.varint()
		u.Outcomes = append(u.Outcomes, o)
	}
	if bits&8 != 0 {
		for range r.length(FeaturesOfUnit, 1) {
			u.Features = append(u.Features, clamp(r.varint(), featureMax))
		}
	}
	u.Pre = r.values()
	if bits&4 != 0 {
		if u.Closed = r.values(); u.Closed == nil {
			u.Closed = []Values{}
		}
	}
}

func appendValues(b []byte, all []Values) []byte {
	b = binary.AppendUvarint(b, uint64(len(all)))
	for _, v := range all {
		for _, x := range v {
			b = binary.AppendVarint(b, x)
		}
	}
	return b
}

func flag(b bool, v byte) byte {
	if b {
		return v
	}
	return 0
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// reader reads stored values. After the first error every read answers zero.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(why string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s, %d bytes before the end", ErrDamaged, why, len(r.b))
	}
	r.b = nil
}

func (r *reader) end() error {
	if r.err == nil && len(r.b) > 0 {
		r.fail("bytes left over")
	}
	return r.err
}

func (r *reader) schema(newest byte) {
	if v := r.byte(); r.err == nil && v > newest {
		r.err = fmt.Errorf("%w: schema %d, this program knows up to %d", ErrNewer, v, newest)
		r.b = nil
	} else if v == 0 {
		r.fail("no schema version")
	}
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail("cut off")
		return 0
	}
	x := r.b[0]
	r.b = r.b[1:]
	return x
}

func (r *reader) uvarint() uint64 {
	x, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail("number cut off")
		return 0
	}
	r.b = r.b[n:]
	return x
}

func (r *reader) varint() int64 {
	x, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail("number cut off")
		return 0
	}
	r.b = r.b[n:]
	return x
}

func (r *reader) fixed() uint64 {
	if len(r.b) < 8 {
		r.fail("cut off")
		return 0
	}
	x := binary.LittleEndian.Uint64(r.b)
	r.b = r.b[8:]
	return x
}

// length reads a count of things that take at least size bytes each, at most limit.
func (r *reader) length(limit uint64, size int) int {
	n := r.uvarint()
	if n > limit || size > 0 && n > uint64(len(r.b)/size) {
		r.fail("count out of range")
		return 0
	}
	return int(n) //nolint:gosec // bounded by limit
}

func (r *reader) text() string {
	n := r.length(math.MaxInt32, 1)
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

func (r *reader) values() []Values {
	var out []Values
	for range r.length(MetricsMax, width) {
		var v Values
		for i := range v {
			v[i] = r.varint()
		}
		out = append(out, v)
	}
	return out
}
