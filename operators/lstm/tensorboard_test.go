package lstm

import (
	"bytes"
	"encoding/hex"
	"math"
	"strings"
	"testing"
	"time"
)

func TestCurves(t *testing.T) {
	var b bytes.Buffer
	at := time.Date(2024, 5, 6, 7, 8, 9, 500000000, time.UTC)
	w, err := NewCurveWriter(&b, at)
	if err != nil {
		t.Fatal(err)
	}
	want := []Point{{1, "loss", 5.5, at}, {300, "held_out_loss", -0.25, at.Add(time.Second)}, {1 << 40, "损失", float32(math.Inf(1)), time.Time{}}}
	for _, p := range want {
		if err := w.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	whole := bytes.Clone(b.Bytes())
	got, err := ReadCurves(&b)
	if err != nil || len(got) != len(want) {
		t.Fatalf("%v, %v", got, err)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("point %d is %+v, want %+v", i, got[i], want[i])
		}
	}
	// Cut off anywhere it gives the points before; with any bit turned it is refused or,
	// in a length, cut off.
	for n := range whole {
		if _, err := ReadCurves(bytes.NewReader(whole[:n])); err != nil {
			t.Fatalf("the first %d bytes: %v", n, err)
		}
		broken := bytes.Clone(whole)
		broken[n] ^= 4
		if _, err := ReadCurves(bytes.NewReader(broken)); err == nil || !strings.Contains(err.Error(), "checksum") {
			t.Fatalf("byte %d: %v", n, err)
		}
	}
	for _, tag := range []string{"", strings.Repeat("x", 200)} {
		if err := w.Write(Point{Tag: tag}); err == nil {
			t.Errorf("a tag of %d bytes was accepted", len(tag))
		}
	}
}

// TestCurveBytes compares an event with its bytes as the definition of the format has
// them, put together by hand.
func TestCurveBytes(t *testing.T) {
	// The check value of CRC-32C, the checksum of the nine digits, is e3069283.
	if got := masked([]byte("123456789")); got != (0xe3069283>>15|0xe3069283<<17&0xffffffff)+0xa282ead8&0xffffffff {
		t.Fatalf("masked checksum %x", got)
	}
	var b bytes.Buffer
	w, err := NewCurveWriter(&b, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	b.Reset()
	if err := w.Write(Point{Step: 7, Tag: "loss", Value: 1}); err != nil {
		t.Fatal(err)
	}
	// step 7; summary of 13 bytes: value of 11: tag "loss", 1.0 in four bytes.
	want := "1007" + "2a0d" + "0a0b" + "0a046c6f7373" + "150000803f"
	if got := hex.EncodeToString(b.Bytes()[12 : b.Len()-4]); got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
	if n := b.Bytes()[0]; int(n) != len(want)/2 {
		t.Errorf("length %d", n)
	}
}

func FuzzReadCurves(f *testing.F) {
	var b bytes.Buffer
	w, err := NewCurveWriter(&b, time.Unix(1, 0))
	if err != nil {
		f.Fatal(err)
	}
	if err := w.Write(Point{Step: 1, Tag: "loss", Value: 2}); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, file []byte) {
		if points, err := ReadCurves(bytes.NewReader(file)); err == nil {
			for _, p := range points {
				if p.Tag == "" || len(p.Tag) > tagBytesMax {
					t.Fatalf("%+v", p)
				}
			}
		}
		// The checksums hide the message from a fuzzer, so it gets there directly too.
		_, _ = appendPoints(nil, file)
	})
}
