package shop

import (
	"encoding/json"
	"math"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"millrace/operators/event"
)

func TestAppendTimeIsISOString(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ms := rapid.Int64Range(-2_000_000_000_000, 200_000_000_000_000).Draw(t, "ms")
		want := time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z")
		if got := string(appendTime(nil, ms)); got != want {
			t.Fatalf("%d: got %s, want %s", ms, got, want)
		}
	})
}

func TestAppendTextIsJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")) + rapid.String().Draw(t, "text")
		var got string
		if err := json.Unmarshal(appendText(nil, text), &got); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if utf8.ValidString(text) && got != text {
			t.Fatalf("got %q, want %q", got, text)
		}
	})
}

func TestMoneyAsJavaScriptWritesIt(t *testing.T) {
	f := func(cents event.Money, want string) {
		t.Helper()
		if got := string(appendMoney(nil, cents)); got != want {
			t.Errorf("%d cents: got %s, want %s", cents, got, want)
		}
	}
	f(0, "0")
	f(5, "0.05")
	f(50, "0.5")
	f(1290, "12.9")
	f(1299, "12.99")
	f(24900, "249")
	rapid.Check(t, func(t *rapid.T) {
		m := event.Money(rapid.Int64Range(0, 1e12).Draw(t, "cents"))
		if got := cents(appendMoney(nil, m)); got != m {
			t.Fatalf("%d cents came back as %d", m, got)
		}
	})
}

func TestCentsRefusesWhatIsNoPrice(t *testing.T) {
	f := func(raw string, want event.Money) {
		t.Helper()
		if got := cents(json.RawMessage(raw)); got != want {
			t.Errorf("%s: got %d, want %d", raw, got, want)
		}
	}
	f(`"12.90"`, 1290)
	f(`12.9`, 1290)
	f(``, 0)
	f(`null`, 0)
	f(`-3`, 0)
	f(`1e3`, 0)
	f(`1.234`, 0)
	f(`99999999999999999999`, 0)
}

// The kinds that have a name are exactly the track calls, and every name leads back to
// its kind.
func TestEventNames(t *testing.T) {
	for k := range event.KindCount {
		name := eventName(k)
		if track := k >= event.ProductViewed && k <= lastKind; track != (name != "") {
			t.Errorf("kind %d is called %q", k, name)
		}
		if name != "" && kindOf("track", name) != k {
			t.Errorf("%q leads to kind %d, want %d", name, kindOf("track", name), k)
		}
	}
	if k := kindOf("track", "Product List Viewed"); k != event.Unknown {
		t.Errorf("a name without meaning leads to kind %d", k)
	}
}

func TestDice(t *testing.T) {
	d := newDice(1, 2)
	const n = 200_000
	counts := make([]int, 6)
	sum := time.Duration(0)
	for range n {
		counts[d.popular(6)]++
		sum += d.waiting(time.Hour)
	}
	if mean := (sum / n).Hours(); math.Abs(mean-1) > 0.01 { // 4.5 sigma
		t.Errorf("waiting: mean %.4f h, want 1 ± 0.01", mean)
	}
	for i := 1; i < len(counts); i++ {
		if counts[i] >= counts[i-1] {
			t.Errorf("popular: place %d drawn %d times, place %d %d times", i, counts[i], i-1, counts[i-1])
		}
	}
}
