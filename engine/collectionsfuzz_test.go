package engine

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
)

// What version 1 wrote is read for good: a change that cannot read it needs a new
// version and a step.
func TestKeptGolden(t *testing.T) {
	const stored = "0101d00f0302616200" + "0163"
	raw, err := hex.DecodeString(stored)
	if err != nil {
		t.Fatal(err)
	}
	var k kept
	if err := k.DecodeFrom(raw); err != nil || k.wrote != 1000 || !k.armed || len(k.raws) != 3 || string(k.raws[0]) != "ab" || string(k.raws[2]) != "c" {
		t.Fatalf("%+v, %v", k, err)
	}
	if again := hex.EncodeToString(k.AppendTo(nil)); again != stored {
		t.Fatalf("written as %s", again)
	}
	if err := k.DecodeFrom([]byte{keptSchema + 1, 0}); !errors.Is(err, ErrNewer) {
		t.Fatal(err)
	}
}

func FuzzKept(f *testing.F) {
	f.Add((&kept{wrote: 5, armed: true, raws: [][]byte{{1}, nil}}).AppendTo(nil))
	f.Add([]byte{1, 0, 0, 0})
	f.Add([]byte{1, 2, 0, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		var k, again kept
		if k.DecodeFrom(b) != nil {
			return
		}
		raw := k.AppendTo(nil)
		if err := again.DecodeFrom(raw); err != nil || !bytes.Equal(again.AppendTo(nil), raw) {
			t.Fatalf("%x is read as %+v, written as %x: %v", b, k, raw, err)
		}
	})
}

// Two entries never share a key of the store.
func FuzzEntryKey(f *testing.F) {
	f.Add("a/b", "c", "a", "b/c")
	f.Add("a", "x/\x00\x01", "a/x", "")
	f.Fuzz(func(t *testing.T, k1, e1, k2, e2 string) {
		if len(k1) > maxMapKey || len(k2) > maxMapKey {
			return
		}
		if (k1 != k2 || e1 != e2) && entryKey(k1, e1) == entryKey(k2, e2) {
			t.Fatalf("%q of %q and %q of %q share a key", e1, k1, e2, k2)
		}
	})
}
