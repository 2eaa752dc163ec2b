package nexmark_test

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"millrace/bench/nexmark"
)

// TestDigests compares with a generator that was written in Java: the digest of the
// events as lines.
func TestDigests(t *testing.T) {
	f := func(n int64, want string) {
		t.Helper()
		g := nexmark.NewGenerator(1, 1000)
		h := sha256.New()
		var line []byte
		for e := range n {
			event := g.Event(e)
			line = nexmark.AppendLine(line[:0], &event)
			h.Write(line)
		}
		if got := hex.EncodeToString(h.Sum(nil)); got != want {
			t.Errorf("digest of %d events: %s, want %s", n, got, want)
		}
	}
	f(1_000, "3ef5f719cad1c8b3a376c170e10a6d1fb44b7d2ea0a839a087019f48ff17689c")
	f(100_000, "d243a738c3422b7dd6b03082d46a34eb33e3b363fcfc8e7b672e8cfea8312f40")
}

// TestFirstEvents pins the fields of the first events.
func TestFirstEvents(t *testing.T) {
	g := nexmark.NewGenerator(1, 1000)
	f := func(e int64, want string) {
		t.Helper()
		event := g.Event(e)
		if got := string(nexmark.AppendLine(nil, &event)); !strings.HasPrefix(got, want) {
			t.Errorf("event %d: %q, want %q", e, got, want)
		}
	}
	f(0, "P\t1000\tKate Spencer\toum@nzws.com\t5450 9021 5112 8747\tCheyenne\tWA\t1436918400000\t")
	f(4, "B\t1007\t1001\t54799691\tGoogle\t")
	f(5, "B\t1006\t1001\t448\tchannel-5289\t")
	if a := g.Event(2).Auction; a.ID != 1001 || a.InitialBid != 483338 || a.Reserve != 1086226 || a.Expires != nexmark.Start+876 || a.Seller != 1010 || a.Category != 11 {
		t.Errorf("auction %+v", a)
	}
}

func TestOrder(t *testing.T) {
	seen := map[int64]bool{}
	for k := range int64(1000) {
		e := nexmark.Order(k, 50)
		if e/50 != k/50 || seen[e] || nexmark.Order(k, 1) != k {
			t.Fatalf("place %d: event %d", k, e)
		}
		seen[e] = true
	}
}

func BenchmarkGenerator(b *testing.B) {
	g := nexmark.NewGenerator(1, 100)
	b.ReportAllocs()
	n := int64(0)
	for b.Loop() {
		g.Event(n)
		n++
	}
}
