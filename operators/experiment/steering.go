package experiment

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"strconv"

	"millrace/operators/event"
	"millrace/state"
)

// SteeredMax is how many experiments are steered at once; those that run no more give way.
const SteeredMax = 256

// Steering is what the log says of all experiments, as one key group has heard it. Every
// group keeps its own, so that whoever assigns people reads no state of another group and
// hears a word at its position, whatever the number of workers. One goroutine at a time.
type Steering struct {
	List []Steered // by Key
}

// Anchors are keys of which each belongs to the group that is its index: where the
// steering of that group is kept.
func Anchors() []string {
	out := make([]string, state.KeyGroups)
	for n, left := 0, len(out); left > 0; n++ {
		key := "steering-" + strconv.Itoa(n)
		if g := state.Owner(key); out[g] == "" {
			out[g] = key
			left--
		}
	}
	return out
}

// Of is what was said of an experiment.
func (s *Steering) Of(key string) *Steered {
	i, known := slices.BinarySearchFunc(s.List, key, func(x Steered, key string) int { return cmp.Compare(x.Key, key) })
	if !known {
		return &Steered{}
	}
	return &s.List[i]
}

// Hear takes a word about an experiment that runs; running tells which do. It answers
// whether it changed anything.
func (s *Steering) Hear(w *event.Steer, running func(key string) bool) bool {
	if !running(w.Experiment) {
		return false
	}
	i, known := slices.BinarySearchFunc(s.List, w.Experiment, func(x Steered, key string) int { return cmp.Compare(x.Key, key) })
	if !known {
		s.List = slices.DeleteFunc(s.List, func(x Steered) bool { return !running(x.Key) })
		if len(s.List) >= SteeredMax {
			return false
		}
		i, _ = slices.BinarySearchFunc(s.List, w.Experiment, func(x Steered, key string) int { return cmp.Compare(x.Key, key) })
		s.List = slices.Insert(s.List, i, Steered{Key: w.Experiment})
	}
	return s.List[i].hear(w)
}

// AppendTo appends the stored form.
func (s *Steering) AppendTo(b []byte) []byte {
	b = binary.AppendUvarint(append(b, 1), uint64(len(s.List)))
	for i := range s.List {
		b = s.List[i].appendTo(b)
	}
	return b
}

// DecodeFrom reads the stored form. It keeps nothing of b.
func (s *Steering) DecodeFrom(b []byte) error {
	*s = Steering{}
	r := reader{b: b}
	r.schema(1)
	for range r.length(SteeredMax, 4) {
		var x Steered
		x.read(&r)
		s.List = append(s.List, x)
	}
	if err := r.end(); err != nil {
		*s = Steering{}
		return err
	}
	return nil
}

func (s *Steered) appendTo(b []byte) []byte {
	b = binary.AppendUvarint(appendText(b, s.Key), s.Serial)
	b = append(appendText(b, s.Pinned), flag(s.Frozen, 1))
	b = appendFloats(b, s.Shares)
	b = binary.AppendUvarint(b, uint64(len(s.Lines)))
	for i := range s.Lines {
		b = appendFloats(appendFloats(b, s.Lines[i].Mean), s.Lines[i].Cov)
	}
	b = binary.AppendUvarint(b, uint64(len(s.Caps)))
	for _, c := range s.Caps {
		b = binary.LittleEndian.AppendUint64(appendText(b, c.Variant), math.Float64bits(c.Share))
	}
	b = appendText(b, s.Stops.All)
	b = binary.AppendUvarint(b, uint64(len(s.Stops.Arms)))
	for _, a := range s.Stops.Arms {
		b = appendText(b, a)
	}
	return b
}

func (s *Steered) read(r *reader) {
	s.Key, s.Serial, s.Pinned = r.text(), r.uvarint(), r.text()
	s.Frozen = r.byte() != 0
	s.Shares = r.floats()
	for range r.length(ArmsMax, 2) {
		s.Lines = append(s.Lines, event.Line{Mean: r.floats(), Cov: r.floats()})
		if l := &s.Lines[len(s.Lines)-1]; len(l.Cov) != len(l.Mean)*(len(l.Mean)+1)/2 {
			r.fail("a line without its covariance")
			return
		}
	}
	for range r.length(ArmsMax, 9) {
		s.Caps = append(s.Caps, Cap{r.text(), r.probability()})
	}
	s.Stops.All = r.text()
	for range r.length(ArmsMax, 1) {
		s.Stops.Arms = append(s.Stops.Arms, r.text())
	}
}

func appendFloats(b []byte, all []float64) []byte {
	b = binary.AppendUvarint(b, uint64(len(all)))
	for _, x := range all {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(x))
	}
	return b
}

func (r *reader) floats() []float64 {
	var out []float64
	for range r.length(1<<16, 8) {
		x := math.Float64frombits(r.fixed())
		if math.IsNaN(x) || math.IsInf(x, 0) {
			r.fail("a float that is no number")
		}
		out = append(out, x)
	}
	return out
}
