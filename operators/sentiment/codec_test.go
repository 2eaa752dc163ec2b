package sentiment

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
)

func encoded(t testing.TB, m *Model) []byte {
	t.Helper()
	b, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// small is a file of the given kind that is quick to make and to read.
func small(t testing.TB, k Kind) []byte {
	t.Helper()
	m, err := Train(t.Context(), corpus(40, 1, true), Options{Kind: k, Network: NetworkOptions{Epochs: 1, Hidden: 3, Embed: 2}})
	if err != nil {
		t.Fatal(err)
	}
	return encoded(t, m)
}

func TestCodec(t *testing.T) {
	probe := append(corpus(50, 9, false), corpus(50, 9, true)...)
	for _, k := range Kinds() {
		m := trained(t, k, append(corpus(40, 1, false), corpus(40, 1, true)...))
		file := encoded(t, m)
		back, err := Read(bytes.NewReader(file))
		if err != nil {
			t.Fatalf("%s: %v", k, err)
		}
		if back.Card() != m.Card() {
			t.Errorf("%s: card %+v, want %+v", k, back.Card(), m.Card())
		}
		for _, e := range probe {
			if a, b := m.Probability(e.Doc), back.Probability(e.Doc); a != b {
				t.Fatalf("%s: probability %v, after reading %v", k, a, b)
			}
		}
		// What is read can learn, and learns the same.
		m.Learn(probe[0])
		back.Learn(probe[0])
		if !bytes.Equal(encoded(t, m), encoded(t, back)) {
			t.Errorf("%s: one more label makes other models of the same file", k)
		}
	}
}

// TestCorrupt changes single bytes, cuts and lengthens the file.
func TestCorrupt(t *testing.T) {
	good := small(t, Ensemble)
	r := rand.New(rand.NewPCG(1, 1))
	for range 300 {
		bad := bytes.Clone(good)
		at := len(modelMagic) + r.IntN(len(bad)-len(modelMagic))
		bad[at] ^= byte(1 + r.IntN(255))
		if _, err := Decode(bad); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("byte %d of %d changed: %v", at, len(bad), err)
		}
	}
	for _, bad := range [][]byte{nil, good[:10], good[:len(good)-1], append(bytes.Clone(good), 0)} {
		if _, err := Decode(bad); !errors.Is(err, ErrCorrupt) {
			t.Errorf("file of %d bytes: %v", len(bad), err)
		}
	}
	other := bytes.Clone(good)
	other[7] = 2 // a later version
	if _, err := Decode(other); err == nil || !strings.Contains(err.Error(), "version") {
		t.Errorf("another version: %v", err)
	}
}

// FuzzDecode asks that no file makes the reader panic, with a sum that fits, so that
// what stands behind it is reached too.
func FuzzDecode(f *testing.F) {
	for _, k := range []Kind{Bayes, Logistic, LSTM} {
		good := small(f, k)
		f.Add(good[:len(good)-32])
	}
	f.Add([]byte(modelMagic))
	f.Fuzz(func(t *testing.T, body []byte) {
		if _, err := Decode(body); err == nil {
			t.Fatal("a file without its sum was accepted")
		}
		file := seal(bytes.Clone(body))
		m, err := Decode(file)
		if err != nil {
			return
		}
		if p := m.Probability(NewDoc("味道 good")); !(p >= 0 && p <= 1) {
			t.Errorf("probability %v", p)
		}
		encoded(t, m)
	})
}

// FuzzDecodeHeadline asks the same of the other kind of file.
func FuzzDecodeHeadline(f *testing.F) {
	h, err := TrainHeadline([]Pair{{Better: NewLine("why you should"), Worse: NewLine("a report")}}, HeadlineOptions{})
	if err != nil {
		f.Fatal(err)
	}
	good, err := h.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good[:len(good)-32])
	f.Fuzz(func(t *testing.T, body []byte) {
		h, err := DecodeHeadline(seal(bytes.Clone(body)))
		if err != nil {
			return
		}
		if p := h.Prefer(NewLine("a"), NewLine("b")); !(p >= 0 && p <= 1) {
			t.Errorf("probability %v", p)
		}
	})
}
