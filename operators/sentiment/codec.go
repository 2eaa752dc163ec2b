package sentiment

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"

	"millrace/operators/lstm"
)

// A model file is: the magic, which ends in the version of the format; the length of a
// JSON head, four bytes; the head; the parts, in the order that the head names; the
// SHA-256 of all that. Numbers are little-endian. Tables are written sparsely: their
// size, the number of entries, then for each its distance from the one before as a varint
// and two float32. No code is in such a file.
const (
	modelMagic    = "MRTONE\x00\x01"
	headlineMagic = "MRHEAD\x00\x01"
	headMax       = 64 << 10
	fileMax       = 512 << 20 // more than the largest model of this version
)

// ErrCorrupt is wrapped by the error of Decode when a file is no longer what was
// written.
var ErrCorrupt = errors.New("sentiment: model file is damaged")

// head is the JSON head of a model file.
type head struct {
	Card    Card      `json:"card"`
	Weights []float64 `json:"weights"` // of the stack
	Bias    float64   `json:"bias"`
}

// Encode returns the model as a file. The same model gives the same bytes.
func (m *Model) Encode() ([]byte, error) {
	out, err := begin(modelMagic, head{m.card, m.stack.weights, m.stack.bias})
	if err != nil {
		return nil, err
	}
	for _, p := range m.parts {
		switch p := p.(type) {
		case *bayes:
			out = appendFloats(out, p.texts[0], p.texts[1], p.sums[0], p.sums[1], p.kinds)
			out = appendTable(out, len(p.counts), func(i int) (float32, float32) { return p.counts[i][0], p.counts[i][1] }, [2]float32{})
		case *linear:
			out = p.append(out)
		case *network:
			if out, err = p.append(out); err != nil {
				return nil, err
			}
		}
	}
	return seal(out), nil
}

func begin(magic string, head any) ([]byte, error) {
	h, err := json.Marshal(head)
	if err != nil {
		return nil, fmt.Errorf("sentiment: encode head: %w", err)
	}
	out := append([]byte(magic), 0, 0, 0, 0)
	binary.LittleEndian.PutUint32(out[len(magic):], uint32(len(h))) //nolint:gosec // a head is some hundred bytes
	return append(out, h...), nil
}

func seal(out []byte) []byte {
	sum := sha256.Sum256(out)
	return append(out, sum[:]...)
}

func (l *linear) append(out []byte) []byte {
	out = appendFloats(out, l.bias, l.cost)
	return appendTable(out, len(l.entries), func(i int) (float32, float32) { return l.entries[i].weight, l.entries[i].square }, [2]float32{0, scaleFloor})
}

func (n *network) append(out []byte) ([]byte, error) {
	for _, table := range []map[uint32]int32{n.units, n.pairs} {
		list := make([]uint32, len(table))
		for h, i := range table {
			list[i-1] = h
		}
		out = binary.LittleEndian.AppendUint32(out, uint32(len(list))) //nolint:gosec // at most 65536
		for _, h := range list {
			out = binary.LittleEndian.AppendUint32(out, h)
		}
	}
	file, err := n.net.Encode()
	if err != nil {
		return nil, fmt.Errorf("sentiment: encode network: %w", err)
	}
	out = binary.LittleEndian.AppendUint32(out, uint32(len(file))) //nolint:gosec // below 256 MiB
	return append(out, file...), nil
}

func appendFloats(out []byte, numbers ...float64) []byte {
	for _, x := range numbers {
		out = binary.LittleEndian.AppendUint64(out, math.Float64bits(x))
	}
	return out
}

// appendTable writes the entries that are not empty.
func appendTable(out []byte, size int, at func(i int) (float32, float32), empty [2]float32) []byte {
	n := 0
	for i := range size {
		if a, b := at(i); [2]float32{a, b} != empty {
			n++
		}
	}
	out = binary.LittleEndian.AppendUint32(out, uint32(size)) //nolint:gosec // at most two million
	out = binary.LittleEndian.AppendUint32(out, uint32(n))    //nolint:gosec // at most the table's size
	last := -1
	for i := range size {
		a, b := at(i)
		if [2]float32{a, b} == empty {
			continue
		}
		out = binary.AppendUvarint(out, uint64(i-last-1)) //nolint:gosec // i grows
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(a))
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(b))
		last = i
	}
	return out
}

// Read reads a model from r, which must end behind it.
func Read(r io.Reader) (*Model, error) {
	file, err := io.ReadAll(io.LimitReader(r, fileMax+1))
	if err != nil {
		return nil, fmt.Errorf("sentiment: read model: %w", err)
	}
	return Decode(file)
}

// Decode reads a model file. A file that is not byte for byte what was written is refused
// with an error that wraps ErrCorrupt.
func Decode(file []byte) (*Model, error) {
	var h head
	d, err := open(modelMagic, file, &h)
	if err != nil {
		return nil, err
	}
	kinds, err := h.Card.Kind.parts()
	if err != nil {
		return nil, err
	}
	if len(h.Weights) != len(kinds) {
		return nil, fmt.Errorf("sentiment: %d weights for %d models", len(h.Weights), len(kinds))
	}
	for _, w := range append([]float64{h.Bias}, h.Weights...) {
		if math.Abs(w) > weightMax {
			return nil, fmt.Errorf("sentiment: weight %v of a model, want at most %v", w, float64(weightMax))
		}
	}
	m := &Model{card: h.Card, stack: stack{h.Weights, h.Bias}}
	for _, k := range kinds {
		switch k {
		case Bayes:
			m.parts = append(m.parts, d.bayes())
		case Logistic:
			m.parts = append(m.parts, d.linear())
		default:
			m.parts = append(m.parts, d.network())
		}
	}
	return m, d.end()
}

// open checks the magic and the sum, and reads the head.
func open(magic string, file []byte, into any) (*decoder, error) {
	least := len(magic) + 4 + sha256.Size
	if len(file) < least || len(file) > fileMax {
		return nil, fmt.Errorf("%w: %d bytes, want %d to %d", ErrCorrupt, len(file), least, fileMax)
	}
	if string(file[:len(magic)]) != magic {
		return nil, fmt.Errorf("sentiment: file begins with %q, want %q: another format or version", file[:len(magic)], magic)
	}
	body, sum := file[:len(file)-sha256.Size], file[len(file)-sha256.Size:]
	if got := sha256.Sum256(body); !bytes.Equal(got[:], sum) {
		return nil, fmt.Errorf("%w: its checksum differs", ErrCorrupt)
	}
	body = body[len(magic):]
	n := binary.LittleEndian.Uint32(body)
	if n > headMax || int(n) > len(body)-4 {
		return nil, fmt.Errorf("%w: head of %d bytes", ErrCorrupt, n)
	}
	j := json.NewDecoder(bytes.NewReader(body[4 : 4+n]))
	j.DisallowUnknownFields()
	if err := j.Decode(into); err != nil {
		return nil, fmt.Errorf("sentiment: read head: %w", err)
	}
	return &decoder{rest: body[4+n:]}, nil
}

// decoder reads the parts. After its first error it returns zero values.
type decoder struct {
	rest []byte
	err  error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
	}
	d.rest = nil
}

func (d *decoder) end() error {
	if d.err == nil && len(d.rest) > 0 {
		d.fail("%d bytes too many", len(d.rest))
	}
	return d.err
}

func (d *decoder) take(n int) []byte {
	if n > len(d.rest) {
		d.fail("it ends early")
		return nil
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) uint32() uint32 {
	if b := d.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (d *decoder) float(least, most float64) float64 {
	b := d.take(8)
	if b == nil {
		return 0
	}
	x := math.Float64frombits(binary.LittleEndian.Uint64(b))
	if !(x >= least && x <= most) {
		d.fail("number %v, want %v to %v", x, least, most)
		return 0
	}
	return x
}

func (d *decoder) float32(least, most float32) float32 {
	x := math.Float32frombits(d.uint32())
	if !(x >= least && x <= most) {
		d.fail("number %v, want %v to %v", x, least, most)
		return 0
	}
	return x
}

// weightMax bounds what may stand in a file: beyond it sums would overflow.
const weightMax = 1e9

// size reads the size of a table, which is small if nothing can be read.
func (d *decoder) size() int {
	n := int(d.uint32())
	if n < tableLeast || n > tableMost || n&(n-1) != 0 {
		d.fail("table of size %d, want a power of two from %d to %d", n, tableLeast, tableMost)
		return tableLeast
	}
	return n
}

// table reads the entries of a table and hands them to set.
func (d *decoder) table(size int, least float32, set func(at int, a, b float32)) {
	n := int(d.uint32())
	if n > size {
		d.fail("table of %d entries, at most %d", n, size)
	}
	at := -1
	for range n {
		if d.err != nil {
			return
		}
		step, width := binary.Uvarint(d.rest)
		if width <= 0 || step >= uint64(size) || at+1+int(step) >= size {
			d.fail("entry outside the table")
			return
		}
		d.rest = d.rest[width:]
		at += 1 + int(step)
		set(at, d.float32(least, weightMax), d.float32(0, weightMax))
	}
}

func (d *decoder) bayes() *bayes {
	b := &bayes{}
	for _, p := range []*float64{&b.texts[0], &b.texts[1], &b.sums[0], &b.sums[1], &b.kinds} {
		*p = d.float(0, 1e15)
	}
	size := d.size()
	b.counts = make([][2]float32, size)
	d.table(size, 0, func(at int, x, y float32) { b.counts[at] = [2]float32{x, y} })
	return b
}

func (d *decoder) linear() *linear {
	l := &linear{bias: d.float(-weightMax, weightMax), cost: d.float(1e-9, weightMax)}
	size := d.size()
	l.entries = make([]entry, size)
	for i := range l.entries {
		l.entries[i].square = scaleFloor
	}
	d.table(size, -weightMax, func(at int, x, y float32) { l.entries[at] = entry{x, y} })
	return l
}

func (d *decoder) network() *network {
	n := &network{}
	var sizes [2]int
	for i, into := range []*map[uint32]int32{&n.units, &n.pairs} {
		count := int(d.uint32())
		if count > 1<<16 {
			d.fail("table of %d hashes", count)
			return n
		}
		hashes := make([]uint32, count)
		for j := range hashes {
			hashes[j] = d.uint32()
		}
		*into = numbered(hashes)
		if sizes[i] = len(*into); sizes[i] != count {
			d.fail("a hash stands in a table twice")
		}
	}
	file := d.take(int(d.uint32()))
	if d.err != nil {
		return n
	}
	net, err := lstm.DecodeClassifier(file)
	if err != nil {
		d.fail("%v", err)
		return n
	}
	if c := net.Config(); sizes[0] >= c.Vocab || sizes[1] >= c.Pairs {
		d.fail("tables of %d and %d hashes for a network of %d and %d", sizes[0], sizes[1], c.Vocab, c.Pairs)
	}
	n.net = net
	return n
}
