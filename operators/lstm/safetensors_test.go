package lstm

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math"
	"strings"
	"testing"
)

func small(t testing.TB) *Model {
	t.Helper()
	m := model(t, Config{Vocab: 4, Embed: 2, Hidden: 2, Cond: 1}, 1)
	m.SetMeta("corpus", "abc")
	return m
}

func encoded(t testing.TB, m *Model, p Precision) []byte {
	t.Helper()
	b, err := m.Encode(p)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestEncodeDecode(t *testing.T) {
	m := small(t)
	b := encoded(t, m, Float32)
	got, err := Read(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if got.Config() != m.Config() || got.Meta("corpus") != "abc" || got.Weights() != m.Weights() {
		t.Fatalf("got %+v", got)
	}
	if again := encoded(t, got, Float32); !bytes.Equal(again, b) {
		t.Fatal("encoding again gave other bytes")
	}
	half := encoded(t, m, Float16)
	got, err = Decode(half)
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range got.layers() {
		for j, w := range *l.data {
			if want := (*m.layers()[i].data)[j]; math.Abs(float64(w-want)) > math.Abs(float64(want))/2048 {
				t.Fatalf("%s[%d] is %v, want about %v", l.name, j, w, want)
			}
		}
	}
	if again := encoded(t, got, Float16); !bytes.Equal(again, half) {
		t.Fatal("rounding twice gave other bytes")
	}
}

// TestHalf goes through every half-precision number and its neighbourhood.
func TestHalf(t *testing.T) {
	for h := range 1 << 16 {
		f := fromHalf(uint16(h))
		if h>>10&0x1f == 31 {
			if !math.IsNaN(float64(f)) {
				t.Fatalf("%#x is %v, want no number", h, f)
			}
			continue
		}
		if got := toHalf(f); got != uint16(h) {
			t.Fatalf("%#x becomes %v becomes %#x", h, f, got)
		}
		if h&0x7fff >= 0x7bff {
			continue
		}
		// The middle goes to the even neighbour, what lies beside it to the nearer one.
		next := fromHalf(uint16(h) + 1)
		mid := (f + next) / 2
		even := uint16(h + h&1)
		if got := toHalf(mid); got != even {
			t.Fatalf("middle above %#x becomes %#x, want %#x", h, got, even)
		}
		toward := math.Nextafter32(mid, f)
		if got := toHalf(toward); got != uint16(h) {
			t.Fatalf("below the middle above %#x becomes %#x", h, got)
		}
	}
	if toHalf(1e9) != 0x7c00 || toHalf(-1e-9) != 0x8000 {
		t.Fatal("out of range")
	}
}

// edit changes the header of a file and keeps its body.
func edit(t testing.TB, file []byte, change func(head map[string]any)) []byte {
	t.Helper()
	n := binary.LittleEndian.Uint64(file)
	var head map[string]any
	if err := json.Unmarshal(file[8:8+n], &head); err != nil {
		t.Fatal(err)
	}
	change(head)
	h, err := json.Marshal(head)
	if err != nil {
		t.Fatal(err)
	}
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(h)))
	return append(append(out, h...), file[8+n:]...)
}

func TestDecodeRefuses(t *testing.T) {
	good := encoded(t, small(t), Float32)
	f := func(file []byte, want string) {
		t.Helper()
		if _, err := Decode(file); err == nil || !strings.Contains(err.Error(), want) {
			t.Fatalf("got %v, want an error with %q", err, want)
		}
	}
	tensor := func(key string, value any) []byte {
		return edit(t, good, func(h map[string]any) { h["wh"].(map[string]any)[key] = value })
	}
	f(nil, "has no header")
	f(good[:7], "has no header")
	f(good[:len(good)-1], "lies at")
	f(append(bytes.Clone(good), 0), "tensors end at")
	f(append([]byte{255, 255, 255, 255, 255, 255, 255, 255}, good[8:]...), "header of")
	f(tensor("dtype", "I64"), "of type")
	f(tensor("shape", []int{8, 2}), "of shape")
	f(tensor("shape", []int{2, 8, 1}), "of shape")
	f(tensor("dtype", "F16"), "has 64 bytes")
	f(tensor("data_offsets", []int{0, 64}), "lies at")
	f(tensor("data_offsets", []int{-4, 64}), "lies at")
	f(tensor("extra", 1), "unknown field")
	f(edit(t, good, func(h map[string]any) { h["other"] = h["wh"]; delete(h, "wh") }), "is missing")
	f(edit(t, good, func(h map[string]any) { delete(h, "__metadata__") }), "read config")
	f(edit(t, good, func(h map[string]any) { h["__metadata__"] = nil }), "metadata is null")
	f(edit(t, good, func(h map[string]any) {
		h["stranger"] = map[string]any{"dtype": "F32", "shape": []int{0}, "data_offsets": []int{len(good) - 8 - int(binary.LittleEndian.Uint64(good)), len(good) - 8 - int(binary.LittleEndian.Uint64(good))}}
	}), "unknown tensor")
	config := func(c string) []byte {
		return edit(t, good, func(h map[string]any) { h["__metadata__"].(map[string]any)["config"] = c })
	}
	f(config(`{"vocab":4,"embed":2,"hidden":4,"cond":1}`), "of shape")
	f(config(`{"vocab":1000000000,"embed":2,"hidden":2,"cond":1}`), "vocab is")
	f(config(`{"vocab":4,"embed":2,"hidden":2,"cond":1,"depth":2}`), "unknown field")
	f(config(`{"vocab":4,"embed":2,"hidden":2,"cond":1}{}`), "follows")
	nan := bytes.Clone(good)
	binary.LittleEndian.PutUint32(nan[len(nan)-4:], math.Float32bits(float32(math.NaN())))
	f(nan, "is NaN")
}

func FuzzDecode(f *testing.F) {
	f.Add(encoded(f, small(f), Float32))
	f.Add(encoded(f, small(f), Float16))
	f.Add([]byte{2, 0, 0, 0, 0, 0, 0, 0, '{', '}'})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, file []byte) {
		m, err := Decode(file)
		if err != nil {
			return
		}
		// What is accepted runs, and survives being written again.
		s := NewRunner(m).NewState()
		s.Start(make([]float32, m.Config().Cond))
		if l := s.Step(0); math.IsNaN(float64(l[0])) {
			t.Fatalf("an accepted model gives %v", l[0])
		}
		again, err := m.Encode(Float32)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Decode(again); err != nil {
			t.Fatal(err)
		}
	})
}
