package lstm

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
)

// This file reads and writes models in the safetensors format
// (https://huggingface.co/docs/safetensors): eight bytes of header length, a JSON
// header that says where each tensor lies, the tensors. No code is in such a file, and
// any language reads it. The reader is strict: it takes the tensors of a model, in any
// order, without gap, overlap or stranger, and refuses weights that are not numbers.

// Limits of a file.
const (
	headerMax = 1 << 20   // a vocabulary of 32768 words fits
	fileMax   = 256 << 20 // more than the largest network
)

// Precision is how weights are stored.
type Precision uint8

// The precisions of a file.
const (
	Float32 Precision = iota
	Float16           // half the size, three decimal digits
)

func (p Precision) String() string {
	if p == Float16 {
		return "F16"
	}
	return "F32"
}

func (p Precision) size() int {
	if p == Float16 {
		return 2
	}
	return 4
}

// tensorInfo is what the header says of a tensor.
type tensorInfo struct {
	Dtype   string   `json:"dtype"`
	Shape   []int    `json:"shape"`
	Offsets [2]int64 `json:"data_offsets"`
}

// configKey is the metadata key under which the shape of the network stands.
const configKey = "config"

// Encode returns the model as a safetensors file. The same model gives the same bytes.
func (m *Model) Encode(p Precision) ([]byte, error) {
	return encodeFile(m.meta, m.config, m.layers(), p)
}

// Decode reads a model. It never allocates more than a small multiple of the file.
func Decode(file []byte) (*Model, error) {
	m := &Model{}
	meta, err := decodeFile(file, &m.config, m.layers)
	if err != nil {
		return nil, err
	}
	m.meta = meta
	return m, nil
}

// encodeFile writes a network: its shape, what else is said of it, and its layers.
func encodeFile(said map[string]string, config any, layers []layer, p Precision) ([]byte, error) {
	conf, err := json.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("lstm: encode config: %w", err)
	}
	meta := maps.Clone(said)
	meta[configKey] = string(conf)
	head := map[string]any{"__metadata__": meta}
	var at int64
	for _, l := range layers {
		n := int64(len(*l.data) * p.size())
		head[l.name] = tensorInfo{p.String(), []int{l.rows, l.cols}, [2]int64{at, at + n}}
		at += n
	}
	h, err := json.Marshal(head) // sorts its keys
	if err != nil {
		return nil, fmt.Errorf("lstm: encode header: %w", err)
	}
	for len(h)%8 != 0 {
		h = append(h, ' ')
	}
	if len(h) > headerMax {
		return nil, fmt.Errorf("lstm: header of %d bytes, at most %d", len(h), headerMax)
	}
	out := binary.LittleEndian.AppendUint64(make([]byte, 0, 8+len(h)+int(at)), uint64(len(h)))
	out = append(out, h...)
	for _, l := range layers {
		for _, w := range *l.data {
			if p == Float16 {
				out = binary.LittleEndian.AppendUint16(out, toHalf(w))
			} else {
				out = binary.LittleEndian.AppendUint32(out, math.Float32bits(w))
			}
		}
	}
	return out, nil
}

// decodeFile reads what encodeFile wrote: the shape into config, then the layers of that
// shape. It answers what else is said of the network.
func decodeFile(file []byte, config interface{ check() error }, layers func() []layer) (map[string]string, error) {
	head, body, err := split(file)
	if err != nil {
		return nil, err
	}
	meta, infos, err := parseHeader(head)
	if err != nil {
		return nil, err
	}
	if err := strictJSON([]byte(meta[configKey]), config); err != nil {
		return nil, fmt.Errorf("lstm: read config: %w", err)
	}
	if err := config.check(); err != nil {
		return nil, err
	}
	delete(meta, configKey)
	if err := cover(infos, int64(len(body))); err != nil {
		return nil, err
	}
	for _, l := range layers() {
		info, ok := infos[l.name]
		if !ok {
			return nil, fmt.Errorf("lstm: tensor %q is missing", l.name)
		}
		delete(infos, l.name)
		if *l.data, err = readTensor(l, info, body); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(infos)) {
		return nil, fmt.Errorf("lstm: unknown tensor %q", name)
	}
	return meta, nil
}

// Read reads a model from r, which must end behind it.
func Read(r io.Reader) (*Model, error) {
	file, err := io.ReadAll(io.LimitReader(r, fileMax+1))
	if err != nil {
		return nil, fmt.Errorf("lstm: read model: %w", err)
	}
	if len(file) > fileMax {
		return nil, fmt.Errorf("lstm: model file is larger than %d bytes", fileMax)
	}
	return Decode(file)
}

func split(file []byte) (head, body []byte, err error) {
	if len(file) < 8 {
		return nil, nil, fmt.Errorf("lstm: model file of %d bytes has no header", len(file))
	}
	n := binary.LittleEndian.Uint64(file)
	if n > headerMax || n > uint64(len(file)-8) {
		return nil, nil, fmt.Errorf("lstm: header of %d bytes in a file of %d, at most %d", n, len(file), headerMax)
	}
	return file[8 : 8+n], file[8+n:], nil
}

func parseHeader(head []byte) (map[string]string, map[string]tensorInfo, error) {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(head, &raw); err != nil {
		return nil, nil, fmt.Errorf("lstm: read header: %w", err)
	}
	meta := map[string]string{}
	infos := map[string]tensorInfo{}
	for name, v := range raw {
		if name == "__metadata__" {
			if err := json.Unmarshal(v, &meta); err != nil {
				return nil, nil, fmt.Errorf("lstm: read metadata: %w", err)
			}
			continue
		}
		var info tensorInfo
		if err := strictJSON(v, &info); err != nil {
			return nil, nil, fmt.Errorf("lstm: read header of tensor %q: %w", name, err)
		}
		infos[name] = info
	}
	if meta == nil {
		return nil, nil, errors.New("lstm: metadata is null")
	}
	return meta, infos, nil
}

// cover checks that the tensors fill the body exactly, in some order.
func cover(infos map[string]tensorInfo, size int64) error {
	names := slices.SortedFunc(maps.Keys(infos), func(a, b string) int {
		return cmp.Or(cmp.Compare(infos[a].Offsets[0], infos[b].Offsets[0]), cmp.Compare(a, b))
	})
	var at int64
	for _, name := range names {
		o := infos[name].Offsets
		if o[0] != at || o[1] < o[0] || o[1] > size {
			return fmt.Errorf("lstm: tensor %q lies at %d to %d, want it to begin at %d and end by %d", name, o[0], o[1], at, size)
		}
		at = o[1]
	}
	if at != size {
		return fmt.Errorf("lstm: tensors end at %d, the file at %d", at, size)
	}
	return nil
}

func readTensor(l layer, info tensorInfo, body []byte) ([]float32, error) {
	p := Float32
	if info.Dtype == Float16.String() {
		p = Float16
	} else if info.Dtype != Float32.String() {
		return nil, fmt.Errorf("lstm: tensor %q is of type %q, want F32 or F16", l.name, info.Dtype)
	}
	if !slices.Equal(info.Shape, []int{l.rows, l.cols}) {
		return nil, fmt.Errorf("lstm: tensor %q is of shape %v, want [%d %d]", l.name, info.Shape, l.rows, l.cols)
	}
	b := body[info.Offsets[0]:info.Offsets[1]]
	if len(b) != l.rows*l.cols*p.size() {
		return nil, fmt.Errorf("lstm: tensor %q has %d bytes, want %d", l.name, len(b), l.rows*l.cols*p.size())
	}
	out := make([]float32, l.rows*l.cols)
	for i := range out {
		if p == Float16 {
			out[i] = fromHalf(binary.LittleEndian.Uint16(b[2*i:]))
		} else {
			out[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
		}
		// A weight beyond this would overflow within a step, or is none at all.
		if !(out[i] > -1e6 && out[i] < 1e6) {
			return nil, fmt.Errorf("lstm: weight %d of tensor %q is %v", i, l.name, out[i])
		}
	}
	return out, nil
}

func strictJSON(b []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the value")
	}
	return nil
}

// toHalf rounds to the nearest IEEE 754 half-precision number, ties to even. What is
// too large becomes infinite, which no reader of ours accepts.
func toHalf(f float32) uint16 {
	b := math.Float32bits(f)
	sign := uint16(b >> 16 & 0x8000)
	exponent := int(b>>23&0xff) - 127 + 15
	fraction := b & 0x7fffff
	switch {
	case exponent >= 31:
		return sign | 0x7c00
	case exponent <= -11: // less than half of the smallest
		return sign
	case exponent <= 0: // subnormal: the leading 1 moves into the fraction
		fraction |= 0x800000
		shift := uint(14 - exponent)
		return sign | round(fraction, shift)
	}
	return sign | (uint16(exponent)<<10 + round(fraction, 13)) // a carry moves the exponent up, as it should
}

// round shifts f right, to the nearest, ties to even.
func round(f uint32, shift uint) uint16 {
	rest, half := f&(1<<shift-1), uint32(1)<<(shift-1)
	f >>= shift
	if rest > half || rest == half && f&1 == 1 {
		f++
	}
	return uint16(f)
}

func fromHalf(h uint16) float32 {
	sign := float32(1)
	if h&0x8000 != 0 {
		sign = -1
	}
	exponent, fraction := int(h>>10&0x1f), float64(h&0x3ff)
	switch exponent {
	case 0:
		return sign * float32(math.Ldexp(fraction, -24))
	case 31:
		return float32(math.NaN())
	}
	return sign * float32(math.Ldexp(1024+fraction, exponent-25))
}
