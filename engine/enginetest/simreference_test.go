package enginetest_test

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"millrace/engine"
	"millrace/state"
)

// reference runs a spec over a log as plainly as can be: one thread, no epochs, nothing
// stored, everything applied at once. What it holds is what the engine must hold.
type reference struct {
	spec  *spec
	slack int64

	values    map[place]*value
	applied   map[place]uint64 // the number of the last message to a lazy stage that changed it
	timers    map[alarm]bool
	rows      []engine.Row
	open      map[uint64]bool // rows whose receipt was not read
	watermark int64
	newest    int64
	sent      uint64 // messages to lazy stages

	seq   uint64 // of the message that is next or being read
	index uint32
	at    step
}

type place struct {
	cell int
	key  string
}

type alarm struct {
	due      int64
	operator int // in the order of stages
	key, tag string
}

// step is what runs: an operator of a stage on a key, for a message of a lazy stage.
type step struct {
	stage, op int
	key       string
	number    uint64
}

func newReference(s *spec, slack int64) *reference {
	return &reference{
		spec: s, slack: slack, values: make(map[place]*value), applied: make(map[place]uint64),
		timers: make(map[alarm]bool), open: make(map[uint64]bool), watermark: math.MinInt64,
	}
}

// read runs a message whole, from unit r.index on.
func (r *reference) read(m engine.Message) {
	for units := r.begin(m); int(r.index) < len(units); {
		r.unit(&units[r.index])
	}
	r.seq, r.index = m.Seq+1, 0
}

// begin goes to a message.
func (r *reference) begin(m engine.Message) []engine.Unit {
	if m.Seq != r.seq {
		r.seq, r.index = m.Seq, 0
	}
	return decoder{}.Decode(nil, &m)
}

// unit runs one unit: first the timers that it makes due, one after the other.
func (r *reference) unit(u *engine.Unit) {
	r.advance(u)
	for r.fire() {
	}
	if v, _ := u.Value.(unit); v != (unit{}) {
		if v.receipt > 0 {
			delete(r.open, v.receipt)
		}
		stage, key, m := v.target(r.spec)
		m.at = u.Time
		r.send(stage, key, m)
	}
	r.index++
}

func (r *reference) advance(u *engine.Unit) {
	if u.Time > r.newest {
		r.newest = u.Time
		r.watermark = max(r.watermark, u.Time-r.slack)
	}
}

// fire runs the first timer if it is due.
func (r *reference) fire() bool {
	var first *alarm
	for t := range r.timers {
		if t.due <= r.watermark && (first == nil || t.less(*first)) {
			first = &t
		}
	}
	if first == nil {
		return false
	}
	delete(r.timers, *first)
	at := 0
	for stage := range r.spec.stages {
		for op := range r.spec.stages[stage].ops {
			if at == first.operator {
				r.at = step{stage: stage, op: op, key: first.key}
				r.spec.stages[stage].ops[op].fired(r, r.spec, stage, first.due, first.tag)
				return true
			}
			at++
		}
	}
	panic("BUG: a timer of no operator")
}

func (a alarm) less(b alarm) bool {
	return cmp.Or(cmp.Compare(a.due, b.due), cmp.Compare(a.operator, b.operator), cmp.Compare(a.key, b.key), cmp.Compare(a.tag, b.tag)) < 0
}

func (r *reference) send(stage int, key string, m message) {
	was := r.at
	number := uint64(0)
	if r.spec.stages[stage].lazy {
		r.sent++
		number = r.sent
	}
	for op := range r.spec.stages[stage].ops {
		r.at = step{stage, op, key, number}
		r.spec.stages[stage].ops[op].process(r, r.spec, stage, m)
	}
	r.at = was
}

func (r *reference) key() string         { return r.at.key }
func (r *reference) now() (int64, int64) { return r.watermark, r.newest }

func (r *reference) where() (uint64, uint32) { return r.seq, r.index }

func (r *reference) value(cell int, key string) *value {
	p := place{cell, key}
	if r.values[p] == nil {
		r.values[p] = &value{} // whoever asks for a value changes it
	}
	return r.values[p]
}

func (r *reference) timer(due int64, tag string) {
	id := 0
	for stage := range r.at.stage {
		id += len(r.spec.stages[stage].ops)
	}
	r.timers[alarm{due, id + r.at.op, r.at.key, tag}] = true
}

func (r *reference) effect(kind, lane string, body func(uint64) []byte) {
	id := uint64(len(r.rows)) + 1
	r.rows = append(r.rows, engine.Row{ID: id, Kind: kind, Lane: lane, At: r.watermark, Body: body(id)})
	r.open[id] = true
}

func (r *reference) remove(cell int, key string) { delete(r.values, place{cell, key}) }

func (r *reference) changed(cell int, key string) {
	r.applied[place{cell, key}] = r.at.number
}

// dump is the keys and values that a store must hold in the spaces of cells and timers.
func (r *reference) dump(lazy bool) map[string]string {
	out := make(map[string]string)
	for p, v := range r.values {
		c := r.spec.cells[p.cell]
		if c.lazy && !lazy {
			continue
		}
		id := uint16(p.cell + 1) //nolint:gosec // small
		var head []byte
		if c.lazy {
			head = binary.AppendUvarint(head, r.applied[p])
		}
		key := string(state.AppendKey(nil, id, p.key))
		if !c.parted {
			out[key] = string(v.AppendTo(head))
			continue
		}
		w := parted{value: *v}
		head, parts := w.AppendHead(head)
		out[key] = string(head)
		for n := range parts {
			raw := []byte{state.SpaceParts, state.KeyGroup(p.key)}
			raw = binary.BigEndian.AppendUint16(raw, id)
			raw = binary.BigEndian.AppendUint16(raw, uint16(n)) //nolint:gosec // small
			out[string(raw)+p.key] = string(w.AppendPart(nil, n))
		}
	}
	for t := range r.timers {
		out[t.stored()] = ""
	}
	return out
}

// stored is a timer as the store's layout has it: space, due time, operator, key, tag.
func (a alarm) stored() string {
	b := binary.BigEndian.AppendUint64([]byte{state.SpaceTimers}, uint64(a.due)^1<<63) //nolint:gosec // order-preserving
	b = binary.BigEndian.AppendUint16(b, uint16(a.operator+2))                         //nolint:gosec // the root is the first
	return string(b) + a.key + "\x00" + a.tag
}

// compare says where what a store holds differs from what it must hold.
func compare(got, want map[string]string) error {
	var bad []string
	for k, v := range want {
		if g, ok := got[k]; !ok {
			bad = append(bad, fmt.Sprintf("%q is missing, want %q", k, v))
		} else if g != v {
			bad = append(bad, fmt.Sprintf("%q = %q, want %q", k, g, v))
		}
	}
	for k, v := range got {
		if _, ok := want[k]; !ok {
			bad = append(bad, fmt.Sprintf("%q = %q should not be there", k, v))
		}
	}
	if len(bad) == 0 {
		return nil
	}
	slices.Sort(bad)
	return fmt.Errorf("%d differences, the first of them: %v", len(bad), bad[:min(len(bad), 4)])
}
