package enginetest_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"millrace/engine"
	"millrace/state"
)

// The simulation's graphs are drawn from a seed: stages, in each of them operators whose
// rules follow from hashes of what they see. The rules are written once, against acts,
// and run twice: by the engine, and by the reference interpreter, which shares nothing
// else with it.

// value is what a cell of the simulation holds.
type value struct {
	n, sum uint64
	trail  []byte // of what happened, in order
}

const trailMax = 24

func (v *value) note(b byte) {
	v.trail = append(v.trail, b)
	if len(v.trail) > trailMax {
		v.trail = append(v.trail[:0], v.trail[trailMax/2:]...)
	}
}

var errValue = errors.New("not a value of the simulation")

func (v *value) AppendTo(b []byte) []byte {
	b = binary.AppendUvarint(append(b, 1), v.n)
	b = binary.AppendUvarint(b, v.sum)
	return append(b, v.trail...)
}

func (v *value) DecodeFrom(b []byte) error {
	if len(b) < 3 || b[0] != 1 {
		return errValue
	}
	n, k := binary.Uvarint(b[1:])
	sum, m := binary.Uvarint(b[1+k:])
	if k <= 0 || m <= 0 {
		return errValue
	}
	*v = value{n, sum, append([]byte(nil), b[1+k+m:]...)}
	return nil
}

// parted is a value whose trail is stored in parts.
type parted struct {
	value
	left int
}

const partMax = 5

func (v *parted) AppendHead(b []byte) ([]byte, int) {
	b = binary.AppendUvarint(append(b, 2), v.n)
	b = binary.AppendUvarint(b, v.sum)
	return append(b, byte(len(v.trail))), (len(v.trail) + partMax - 1) / partMax
}

func (v *parted) AppendPart(b []byte, n int) []byte {
	return append(b, v.trail[n*partMax:min((n+1)*partMax, len(v.trail))]...)
}

func (v *parted) AppendTo([]byte) []byte { panic("BUG: a parted value is written in parts") }

func (v *parted) DecodeFrom(b []byte) error {
	if len(b) < 4 || b[0] != 2 {
		return errValue
	}
	n, k := binary.Uvarint(b[1:])
	sum, m := binary.Uvarint(b[1+k:])
	if k <= 0 || m <= 0 || len(b) != 2+k+m {
		return errValue
	}
	v.value, v.left = value{n: n, sum: sum}, int(b[1+k+m])
	return nil
}

func (v *parted) Missing() int { return (v.left + partMax - 1) / partMax }

func (v *parted) DecodePart(_ int, b []byte) error {
	v.trail = append(v.trail, b...)
	return nil
}

// spec is a graph as it was drawn.
type spec struct {
	stages []stageSpec
	cells  []cellSpec
}

type stageSpec struct {
	name string
	lazy bool
	ops  []opSpec
}

type cellSpec struct {
	name         string
	lazy, parted bool
}

// opSpec says what an operator may do, and how often: one in so many, 0 for never.
type opSpec struct {
	id                            string
	cell                          int
	salt                          uint64
	timer, effect, send, sub, del uint64
	kinds                         []string
	lazy                          bool
}

// message is what flows between stages.
type message struct {
	at    int64
	hash  uint64
	depth byte // how many generations may follow from it: at 0 nothing is decided
}

// acts is what an operator of the simulation may do.
type acts interface {
	key() string
	now() (watermark, newest int64)
	where() (seq uint64, index uint32)
	value(cell int, key string) *value
	changed(cell int, key string)
	remove(cell int, key string)
	timer(due int64, tag string)
	effect(kind, lane string, body func(row uint64) []byte)
	send(stage int, key string, m message)
}

func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

func mixText(x uint64, s string) uint64 {
	for i := range len(s) {
		x = mix(x ^ uint64(s[i]))
	}
	return mix(x)
}

// dice answers whether something that is done one time in n is done, by a hash.
func dice(hash *uint64, n uint64) bool {
	*hash = mix(*hash + 0x9e3779b97f4a7c15)
	return n > 0 && *hash%n == 0
}

// process is what every operator does with a message.
func (o *opSpec) process(a acts, s *spec, stage int, m message) {
	key := a.key()
	v := a.value(o.cell, key)
	v.n++
	v.sum = mix(v.sum ^ m.hash)
	v.note(byte(m.hash))
	h := mixText(m.hash^o.salt, key)
	if !o.lazy { // what is replayed may find that one value has seen the message and another has not
		h = mix(h ^ v.n)
	}
	a.changed(o.cell, key)
	if dice(&h, o.sub) {
		sub := key + "/" + strconv.Itoa(int(h>>8&3))
		w := a.value(o.cell, sub)
		w.n += h & 7
		w.note(byte(h))
		a.changed(o.cell, sub)
	}
	if dice(&h, o.timer) && m.depth > 0 {
		a.timer(m.at+int64(h>>8%400)-50, strconv.Itoa(int(m.depth-1))+strings.Repeat("x", int(h&3)))
	}
	if m.depth > 0 {
		o.decide(a, h, v)
	}
	o.forward(a, s, stage, m, h)
	if dice(&h, o.del) {
		a.remove(o.cell, key)
	}
}

// fired is what every operator does with a timer. Its tag begins with the depth of what
// follows from it.
func (o *opSpec) fired(a acts, s *spec, stage int, due int64, tag string) {
	key := a.key()
	v := a.value(o.cell, key)
	h := mixText(mixText(o.salt^uint64(due), tag), key) //nolint:gosec // a hash
	v.sum = mix(v.sum ^ h)
	v.note('!')
	a.changed(o.cell, key)
	depth := tag[0] - '0'
	if depth > 0 && dice(&h, 3) {
		a.timer(due+1+int64(h>>8%100), strconv.Itoa(int(depth-1)))
	}
	o.decide(a, h, v)
	o.forward(a, s, stage, message{due, h, depth}, h)
}

func (o *opSpec) decide(a acts, h uint64, v *value) {
	if !dice(&h, o.effect) {
		return
	}
	watermark, newest := a.now()
	seq, index := a.where()
	id, key, n, sum := o.id, a.key(), v.n, v.sum
	kind := o.kinds[h>>8%uint64(len(o.kinds))]
	a.effect(kind, "l"+strconv.Itoa(int(h>>16&3)), func(row uint64) []byte {
		return fmt.Appendf(nil, "%s %s n%d s%x w%d m%d @%d/%d #%d", id, key, n, sum, watermark, newest, seq, index, row)
	})
}

func (o *opSpec) forward(a acts, s *spec, stage int, m message, h uint64) {
	for to := stage + 1; to < len(s.stages); to++ {
		if dice(&h, o.send) {
			a.send(to, "k"+strconv.Itoa(int(h>>8%6)), message{m.at, h, m.depth})
		}
	}
}

// drawSpec makes a graph of two to four stages, the last one or two of them lazy.
func drawSpec(rng *rand.Rand) *spec {
	s := &spec{}
	stages := 2 + rng.IntN(3)
	lazy := 1 + rng.IntN(max(stages-2, 1))
	often := func(n int) uint64 { return uint64(rng.IntN(n)) } //nolint:gosec // small
	for i := range stages {
		st := stageSpec{name: "s" + strconv.Itoa(i), lazy: i >= stages-lazy}
		for j := range 1 + rng.IntN(2) {
			o := opSpec{id: "o" + strconv.Itoa(j), cell: len(s.cells), salt: rng.Uint64(), sub: often(5), lazy: st.lazy}
			if !st.lazy {
				o.timer, o.effect, o.send, o.del = often(4), often(6), 1+often(4), often(12)
				o.kinds = [][]string{{"note"}, {"mail"}, {"note", "mail", "flaky"}}[rng.IntN(3)]
			}
			s.cells = append(s.cells, cellSpec{st.name + o.id, st.lazy, rng.IntN(3) == 0})
			st.ops = append(st.ops, o)
		}
		s.stages = append(s.stages, st)
	}
	return s
}

// unit is what a message of the simulation's log holds.
type unit struct {
	key     string
	hash    uint64
	receipt uint64
}

// decoder reads "e at received key hash", "r row outcome" and "t at", parted by
// semicolons. What it cannot read it leaves out.
type decoder struct{}

func (decoder) Decode(dst []engine.Unit, m *engine.Message) []engine.Unit {
	for part := range strings.SplitSeq(string(m.Data), ";") {
		f := strings.Fields(part)
		switch {
		case len(f) == 5 && f[0] == "e":
			at, err1 := strconv.ParseInt(f[1], 10, 64)
			received, err2 := strconv.ParseInt(f[2], 10, 64)
			hash, err3 := strconv.ParseUint(f[4], 10, 64)
			if errors.Join(err1, err2, err3) == nil {
				dst = append(dst, engine.Unit{Time: at, Received: received, Value: unit{key: f[3], hash: hash}})
			}
		case len(f) == 3 && f[0] == "r":
			if row, err := strconv.ParseUint(f[1], 10, 64); err == nil {
				dst = append(dst, engine.Unit{Value: unit{receipt: row}})
			}
		case len(f) == 2 && f[0] == "t":
			if at, err := strconv.ParseInt(f[1], 10, 64); err == nil {
				dst = append(dst, engine.Unit{Time: at, Received: at, Value: unit{}})
			}
		}
	}
	return dst
}

// target is the stage and key that a unit goes to.
func (u *unit) target(s *spec) (stage int, key string, m message) {
	if u.receipt > 0 {
		return 0, "receipts", message{hash: u.receipt}
	}
	return int(mix(u.hash) % uint64(len(s.stages))), u.key, message{hash: u.hash, depth: 2}
}

// built is a graph that an engine can run.
type built struct {
	*engine.Graph
	spec   *spec
	cells  []kept
	stages []*engine.Stage[message]
}

// kept is a cell, whatever its type.
type kept struct {
	value   func(c *engine.Ctx, key string) *value
	changed func(c *engine.Ctx, key string)
	remove  func(key string) error
}

func keep[T any, P state.Codec[T]](g *engine.Graph, s cellSpec, cache int, of func(P) *value) kept {
	cell := state.NewCell[T, P](s.name, cache)
	if s.lazy {
		cell = state.NewLazyCell[T, P](s.name, cache)
	}
	g.Keep(cell)
	return kept{
		func(c *engine.Ctx, key string) *value { return of(engine.ValueOf(c, cell, key)) },
		func(c *engine.Ctx, key string) { engine.ChangedOf(c, cell, key) },
		cell.Delete,
	}
}

// build makes the graph of a spec for one engine.
func build(s *spec, cache int) *built {
	b := &built{spec: s}
	b.Graph = engine.NewGraph(func(c *engine.Ctx, u *engine.Unit) {
		v, _ := u.Value.(unit)
		if v == (unit{}) {
			return // a tick
		}
		if v.receipt > 0 {
			c.Settle(v.receipt)
		}
		stage, key, m := v.target(s)
		m.at = u.Time
		b.stages[stage].Send(c, key, m)
	})
	for _, st := range s.stages {
		if st.lazy {
			b.stages = append(b.stages, engine.AddLazyStage(b.Graph, st.name, encodeMessage, decodeMessage))
		} else {
			b.stages = append(b.stages, engine.AddStage[message](b.Graph, st.name))
		}
	}
	for i, st := range s.stages {
		for j := range st.ops {
			b.stages[i].Use(st.ops[j].id, &operator{b, i, &s.stages[i].ops[j]})
		}
	}
	for _, c := range s.cells {
		if c.parted {
			b.cells = append(b.cells, keep(b.Graph, c, cache, func(p *parted) *value { return &p.value }))
		} else {
			b.cells = append(b.cells, keep(b.Graph, c, cache, func(v *value) *value { return v }))
		}
	}
	return b
}

func encodeMessage(b []byte, m message) []byte {
	return binary.AppendUvarint(binary.AppendVarint(append(b, m.depth), m.at), m.hash)
}

func decodeMessage(s string) (message, error) {
	if s == "" {
		return message{}, errValue
	}
	at, n := binary.Varint([]byte(s[1:]))
	hash, m := binary.Uvarint([]byte(s[1+max(n, 0):]))
	if n <= 0 || m <= 0 || 1+n+m != len(s) {
		return message{}, errValue
	}
	return message{at, hash, s[0]}, nil
}

// operator runs an opSpec in the engine.
type operator struct {
	b     *built
	stage int
	spec  *opSpec
}

func (o *operator) Process(c *engine.Ctx, m message) {
	o.spec.process(engineActs{c, o.b}, o.b.spec, o.stage, m)
}

func (o *operator) Timer(c *engine.Ctx, t engine.Timer) {
	o.spec.fired(engineActs{c, o.b}, o.b.spec, o.stage, t.Due, t.Tag)
}

// engineActs are acts by the engine's context.
type engineActs struct {
	c *engine.Ctx
	b *built
}

func (a engineActs) key() string             { return a.c.Key() }
func (a engineActs) now() (int64, int64)     { return a.c.Watermark(), a.c.Newest() }
func (a engineActs) timer(d int64, t string) { a.c.SetTimer(d, t) }

func (a engineActs) where() (uint64, uint32) { return a.c.Position() }

func (a engineActs) value(cell int, key string) *value { return a.b.cells[cell].value(a.c, key) }
func (a engineActs) changed(cell int, key string)      { a.b.cells[cell].changed(a.c, key) }

func (a engineActs) remove(cell int, key string) {
	if err := a.b.cells[cell].remove(key); err != nil {
		a.c.Fail(err)
	}
}

func (a engineActs) effect(kind, lane string, body func(uint64) []byte) {
	a.c.EffectOf(kind, lane, func(row uint64) ([]byte, error) { return body(row), nil })
}
func (a engineActs) send(to int, key string, m message) { a.b.stages[to].Send(a.c, key, m) }
