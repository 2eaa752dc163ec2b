package console

import (
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"millrace/operators/event"
)

func TestNumbers(t *testing.T) {
	f := func(got, want string) {
		t.Helper()
		if got = strings.ReplaceAll(got, "\u202f", " "); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	f(number(0), "0")
	f(number(999), "999")
	f(number(1240511), "1 240 511")
	f(number(math.MaxUint64), "18 446 744 073 709 551 615")
	f(short(0), "0")
	f(short(0.04), "<0.1")
	f(short(0.44), "0.4")
	f(short(9.96), "10")
	f(short(38), "38")
	f(short(999.6), "1.0k")
	f(short(1240), "1.2k")
	f(short(123456), "123k")
	f(short(3.4e6), "3.4M")
	f(short(-1), "–")
	f(short(math.NaN()), "–")
	f(short(math.Inf(1)), "–")
	f(rate(0), "0/s")
	f(rate(0.5), "30/min")
	f(rate(210), "210/s")
	f(size(0), "0 B")
	f(size(1536), "1.5 KiB")
	f(size(188<<20), "188 MiB")
	f(size(math.MaxUint64), "16777216.0 TiB")
	f(span(-time.Second), "0 s")
	f(span(412*time.Millisecond), "412 ms")
	f(span(2500*time.Millisecond), "2.5 s")
	f(span(45*time.Second), "45 s")
	f(span(59*time.Minute), "59 min")
	f(span(26*time.Hour+5*time.Minute), "26 h 5 min")
	f(span(80*time.Hour), "3 days")
	f(money(4500, "EUR"), "45.00 EUR")
	f(money(-4505, "EUR"), "−45.05 EUR")
	f(money(123456789, "jpy"), "123 456 789 jpy")
	f(money(1234, "KWD"), "1.234 KWD")
	f(money(5, ""), "0.05")
	f(money(event.Money(math.MinInt64), "EUR"), "−92 233 720 368 547 758.08 EUR")
	f(percent(1, 1000), "<1 %")
	f(percent(1, 2), "50 %")
	f(percent(1, 0), "")
	f(coordinate(math.NaN()), "0")
	f(coordinate(1.04), "1")
}

func TestMoment(t *testing.T) {
	zone := time.FixedZone("CET", 3600)
	if got := at(demoTime, zone); got.Text != "23 Nov 2026 15:22:19 CET" || got.ISO != "2026-11-23T15:22:19+01:00" {
		t.Errorf("%+v", got)
	}
	if got := at(time.Time{}, zone); got.Text != "–" || got.ISO != "" {
		t.Errorf("%+v", got)
	}
}

// TestSpark: the line stays in its box, begins with M, has one point a value.
func TestSpark(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(0, 1e12), 0, historySlots).Draw(t, "values")
		s := sparkOf(values, historySlots)
		if len(values) < 2 {
			if s.Line != "" {
				t.Fatal("a line of one point")
			}
			return
		}
		points := strings.FieldsFunc(s.Line, func(r rune) bool { return r == 'M' || r == 'L' })
		if len(points) != len(values) || !strings.HasPrefix(s.Line, "M") || s.Now != values[len(values)-1] {
			t.Fatalf("%d points of %d: %s", len(points), len(values), s.Line)
		}
		for _, p := range points {
			x, y, _ := strings.Cut(p, " ")
			if fx, fy := parse(t, x), parse(t, y); fx < 0 || fx > sparkWidth || fy < 0 || fy > sparkHeight {
				t.Fatalf("point %s is outside", p)
			}
		}
	})
}

func TestBars(t *testing.T) {
	var counts []Count
	for i := range 20 {
		counts = append(counts, Count{Name: string(rune('a' + i)), N: uint64(i)})
	}
	bars := barsOf(largestFirst(counts), func(string) string { return "plain" })
	if len(bars) != barsMax+1 || bars[0].Width != "100" || bars[0].N != 19 || bars[barsMax].Name != "others" || bars[barsMax].N != 28 {
		t.Errorf("%+v", bars)
	}
	var sum uint64
	for _, b := range bars {
		sum += b.N
	}
	if sum != 190 || counts[0].N != 0 {
		t.Errorf("the bars sum to %d, want 190", sum)
	}
	if got := barsOf([]Count{{"none", 0}}, outcomeTone); got[0].Width != "" || got[0].Share != "" {
		t.Errorf("%+v", got)
	}
}

func TestWeek(t *testing.T) {
	var hours [7][24]float64
	if weekOf(hours) != nil || bestHour(hours) != "" {
		t.Error("a picture of nothing")
	}
	hours[3][20], hours[0][0] = 8, 1
	cells := weekOf(hours)
	if len(cells) != 168 || cells[3*24+20].Level != 4 || cells[0].Level != 1 || cells[1].Level != 0 || bestHour(hours) != "Thu 20:00" {
		t.Errorf("%+v", cells[0])
	}
}

func parse(t *rapid.T, s string) float64 {
	var f float64
	for i, part := range strings.SplitN(s, ".", 2) {
		for j, r := range part {
			if r < '0' || r > '9' {
				t.Fatalf("%q is no coordinate", s)
			}
			if i == 0 {
				f = f*10 + float64(r-'0')
			} else {
				f += float64(r-'0') * math.Pow10(-j-1)
			}
		}
	}
	return f
}

func TestVerdict(t *testing.T) {
	good := Snapshot{State: "running", Events: 100, Mails: 40, Triggers: 50, Outcomes: []Count{{"sent", 40}}}
	f := func(change func(*reading), level, title, remark string) {
		t.Helper()
		r := reading{eventRate: 5}
		r.stats = good
		change(&r)
		v := judge(Options{Stats: newDemo(0), DeadLetters: newDemo(0)}, r)
		text := ""
		for _, m := range v.Remarks {
			text += m.Text + m.Fix + m.Link + m.Command
			if m.Fix == "" && m.Command == "" {
				t.Errorf("%q names no fix", m.Text)
			}
		}
		if v.Level != level || v.Title != title || !strings.Contains(text, remark) || (remark == "") != (text == "") {
			t.Errorf("%s, %q, %q; want %s, %q, %q", v.Level, v.Title, text, level, title, remark)
		}
	}
	f(func(*reading) {}, levelOK, "Healthy", "")
	f(func(r *reading) { r.stats = Snapshot{} }, levelIdle, "Waiting for the first event", "millrace dev")
	f(func(r *reading) { r.eventRate, r.flat = 0, time.Minute }, levelIdle, "Healthy and quiet", "")
	f(func(r *reading) { r.eventRate, r.flat = 0, time.Second }, levelOK, "Healthy", "")
	f(func(r *reading) { r.stats.State = "replaying" }, levelIdle, "Replaying", "")
	f(func(r *reading) { r.stats.Duplicates = 1 }, levelBad, "Something is wrong", "more than once")
	f(func(r *reading) { r.checks = []CheckResult{{"nats", false, "closed"}} }, levelBad, "Something is wrong", `"nats" fails: closed`)
	f(func(r *reading) { r.checks = []CheckResult{{"nats", true, ""}} }, levelOK, "Healthy", "")
	f(func(r *reading) { r.stats.DeadLetters = 3 }, levelWarn, "Running, with remarks", "/dead-letters")
	f(func(r *reading) { r.stats.FallbackSubjects = 20 }, levelWarn, "Running, with remarks", "50 % of the mails")
	f(func(r *reading) { r.stats.FallbackSubjects = 4 }, levelOK, "Healthy", "")
	f(func(r *reading) { r.stats.Outcomes = []Count{{"unknown", 9}} }, levelWarn, "Running, with remarks", "unknown end")
	f(func(r *reading) { r.stats.MemoryBytes, r.stats.MemoryLimit = 95, 100 }, levelWarn, "Running, with remarks", "95 B of 100 B")
	f(func(r *reading) { r.edges = []Edge{{From: "content", To: "send", Fill: .9}} }, levelWarn, "Running, with remarks", "content → send is 90 % full")
	// The worst decides, and stands first.
	f(func(r *reading) { r.stats.Duplicates, r.stats.DeadLetters = 1, 1 }, levelBad, "Something is wrong", "more than once")
}

func TestFromDecision(t *testing.T) {
	d := FromDecision(event.Decision{
		ID: "d1", Started: 1000, Decided: 2000, Outcome: event.Skipped, Reason: "cap", Flags: event.Synthetic | event.AssumedConsent,
		Items: []event.CartItem{{ID: "sku", Name: "Mug", Price: 1490, Quantity: 2}}, Currency: "EUR", Value: 2980,
	})
	if d.Version != "" || d.File != "" {
		t.Errorf("a decision of before versions were named: %+v", d)
	}
	if d := FromDecision(event.Decision{Version: event.VersionText("9f3c", 12)}); d.Version != "12" || d.File != "9f3c" {
		t.Errorf("%+v", d)
	}
	if d.Outcome != "skipped" || d.Notice != "synthetic carts, consent assumed" || !d.Ended.IsZero() || d.Decided.UnixMilli() != 2000 || d.Lines[0] != (CartLine{"sku", "Mug", 2, 1490}) {
		t.Errorf("%+v", d)
	}
}
