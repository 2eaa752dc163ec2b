package event

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestParseLoose(t *testing.T) {
	f := func(in string, want int64, wantOK bool) {
		t.Helper()
		d, _, ok := parseLoose(in)
		got, fits := d.times(2)
		if ok = ok && fits; ok != wantOK || ok && got != want {
			t.Fatalf("%q: got %d, %v, want %d, %v", in, got, ok, want, wantOK)
		}
	}
	f("10", 1000, true)
	f(" 12.9 ", 1290, true)
	f("-12.90", -1290, true)
	f("12,50", 1250, true)
	f("1.299,00 €", 129900, true)
	f("1,299.00", 129900, true)
	f("$5", 500, true)
	f("5 EUR", 500, true)
	f("€ 5,00", 500, true)
	f("-€5", -500, true)
	f("1 299,00", 129900, true)
	f("1\u00a0299,00", 129900, true)
	f("1'299.50", 129950, true)
	f("1.299.000", 129900000, true)
	f("12.345", 1235, true) // half up
	f("-12.345", -1235, true)
	f("12.344999", 1234, true)
	f("0.00", 0, true)
	// One text, two readings; or none.
	f("1,299", 0, false)
	f("1,5", 0, false)
	f("1.299,5", 0, false)
	f("1,29,00", 0, false)
	f("12,345,6.00", 0, false)
	f("1.2.3", 0, false)
	f("1.299,00.5", 0, false)
	f("", 0, false)
	f("abc", 0, false)
	f("12 pounds", 0, false)
	f("1e3x", 0, false)
	f("NaN", 0, false)
	f("--5", 0, false)
	f("5.", 0, false)
	f(".5", 0, false)
	f("999999999999999999999", 0, false)
}

func TestDecimalAgainstFloat(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cents := rapid.Int64Range(-moneyMax, moneyMax).Draw(t, "cents")
		text := string(appendCents(nil, cents))
		d, ok := parseDecimal(text)
		if !ok {
			t.Fatalf("%q unreadable", text)
		}
		if got, ok := d.times(2); !ok || got != cents {
			t.Fatalf("%q: got %d, %v", text, got, ok)
		}
	})
}

func TestWrittenTimeAgainstLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ms := rapid.Int64Range(-62135596800000, 253402300799999).Draw(t, "ms")
		zone := time.FixedZone("", rapid.IntRange(-14*60, 14*60).Draw(t, "zone")*60)
		at := time.UnixMilli(ms).In(zone)
		if y := at.Year(); y < 1 || y > 9999 {
			return
		}
		text := at.Format("2006-01-02T15:04:05.999999999Z07:00")
		got, hasZone, ok := writtenTime(text)
		if !ok || !hasZone || got != ms {
			t.Fatalf("%s: got %d, %v, %v, want %d", text, got, hasZone, ok, ms)
		}
	})
}

func TestLondonTime(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		got := ""
		if ms, ok := londonTime(in); ok {
			got = time.UnixMilli(ms).UTC().Format("2006-01-02 15:04")
		}
		if got != want {
			t.Fatalf("%q: got %q, want %q", in, got, want)
		}
	}
	f("2010-12-01 08:26:00", "2010-12-01 08:26")
	f("12/1/2010 8:26", "2010-12-01 08:26")
	f("2011-03-27 00:59:00", "2011-03-27 00:59")
	f("2011-03-27 02:00:00", "2011-03-27 01:00")
	f("2011-07-01 12:00:00", "2011-07-01 11:00")
	f("2011-10-30 01:59:00", "2011-10-30 00:59")
	f("2011-10-30 02:00:00", "2011-10-30 02:00")
	f("2012-10-28 03:00:00", "2012-10-28 03:00")
	f("", "")
	f("tomorrow", "")
	f("2011-13-01 00:00:00", "")
}

func TestAddress(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		if got := address(&val{t: '"', s: in}); got != want {
			t.Fatalf("%q: got %q, want %q", in, got, want)
		}
	}
	f("a@example.com", "a@example.com")
	f("  Mira.Öz@Example.com ", "Mira.Öz@Example.com")
	f("MAILTO:a@example.com", "a@example.com")
	f("a+b@sub.example.co.uk", "a+b@sub.example.co.uk")
	f("a@bücher.example", "a@bücher.example")
	for _, bad := range []string{
		"", "a", "test@test", "a@b@example.com", "a@example.com,b@example.com", "a@example.com;b@example.com", "a b@example.com",
		"Mira <a@example.com>", "a@.com", "a@example..com", "a@-x.com", "a@127.0.0.1", "a@example.com\r\nBcc: x@example.com", "a\x00@example.com",
		".a@example.com", "a.@example.com", "@example.com", "a@", "a@exa\u202emple.com", "a@example.c", strings.Repeat("a", 65) + "@example.com",
	} {
		f(bad, "")
	}
}

func TestStripURL(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		flags := Flags(0)
		if got := webURL(&val{t: '"', s: in, odd: true}, &flags); got != want {
			t.Fatalf("%q: got %q, want %q", in, got, want)
		}
	}
	f("https://shop.example/a?b=c#d", "https://shop.example/a?b=c#d")
	f("https://me:pw@shop.example/a", "https://shop.example/a")
	f("https://shop.example?Token=1&x=2&EMAIL=a@b.c&sig=3&key=4&password=5#f", "https://shop.example?x=2#f")
	f("https://shop.example?token=1", "https://shop.example")
	f("https://shop.example?c=4111111111111111&x=1", "https://shop.example?x=1")
	f("/a/b?x=1", "/a/b?x=1")
	f("javascript:alert(1)", "")
	f("java\nscript:alert(1)", "")
	f("data:text/html,x", "")
}

func TestCutKeepsCharactersWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringN(1, 40, -1).Draw(t, "s")
		n := rapid.IntRange(0, len(s)-1).Draw(t, "n")
		got := cut(s, n)
		if len(got) > n || !strings.HasPrefix(s, got) || utf8.ValidString(s) && !utf8.ValidString(got) {
			t.Fatalf("%q at %d: %q", s, n, got)
		}
	})
	if got := cut("ae\u0301x", 2); got != "a" {
		t.Fatalf("a mark was cut off its letter: %q", got)
	}
}

func TestLongTextIsCut(t *testing.T) {
	e := decodeOne(t, track("Product Reviewed", `{"product_id":"p","review_body":"`+strings.Repeat("é", 5000)+`"}`))
	if len(e.Review) != MaxString || e.Flags&TextCleaned == 0 {
		t.Fatalf("%d bytes, flags %b", len(e.Review), e.Flags)
	}
	long := strings.Repeat("o", 300)
	e = decodeOne(t, track("Order Completed", `{"order_id":"`+long+`"}`))
	if e.OrderID != hash(long) {
		t.Fatalf("a long id became %q", e.OrderID)
	}
}
