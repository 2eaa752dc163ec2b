package sentiment

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const hourMillis = int64(time.Hour / time.Millisecond)

func TestToneHear(t *testing.T) {
	o := ToneOptions{HalfLife: 24 * time.Hour}
	f := func(now int64, want float64, texts ...Heard) {
		t.Helper()
		var tone Tone
		for _, h := range texts {
			tone.Hear(h, o)
		}
		if got := tone.Mean(now, o); math.Abs(got-want) > 1e-12 {
			t.Fatalf("the mean at %d is %v, want %v", now, got, want)
		}
	}
	day := 24 * hourMillis
	// Nothing heard is neutral.
	f(0, 0)
	// One text is pulled to neutral by half a text, and more so as it fades.
	f(5, 2.0/3, Heard{At: 5, Score: 1000})
	f(5+day, .5, Heard{At: 5, Score: 1000})
	// A newer text weighs more.
	f(day, (-1+.5)/(1.5+.5), Heard{At: 0, Score: 1000}, Heard{At: day, Score: -1000})
	// One that comes late weighs as if it had come in time.
	f(day, (-1+.5)/(1.5+.5), Heard{At: day, Score: -1000}, Heard{At: 0, Score: 1000})
	// A question from before the newest text takes it as it is.
	f(-day, 2.0/3, Heard{At: 5, Score: 1000})
}

func TestToneHold(t *testing.T) {
	var tone Tone
	if tone.HeldUntil(time.Hour) != 0 {
		t.Fatal("nothing happened, and it holds")
	}
	tone.Hear(Heard{At: 10, Score: -900, Bad: true, Model: "m@1"}, ToneOptions{})
	tone.Hear(Heard{At: 4, Score: -800, Bad: true, Model: "m@2"}, ToneOptions{}) // late
	if got := tone.HeldUntil(time.Hour); got != 10+hourMillis || tone.Bads != 2 || tone.Last != -900 || tone.Model != "m@1" {
		t.Fatalf("held until %d, %+v", got, tone)
	}
	if tone.HeldUntil(0) != 0 {
		t.Fatal("a hold of nothing holds")
	}
}

func TestToneAsked(t *testing.T) {
	var tone Tone
	for i, score := range []int{900, -20, 30, 500, 10, 10, -700} {
		tone.Hear(Heard{At: int64(i), Score: score, Text: string(rune('a'+i)) + strings.Repeat("é", 300)}, ToneOptions{})
	}
	if len(tone.Asked) != askedMax {
		t.Fatalf("%d texts are kept, want %d", len(tone.Asked), askedMax)
	}
	for _, a := range tone.Asked {
		if len(a.Text) > AskedTextMax || magnitude(a.Score) > 500 {
			t.Fatalf("kept a text of %d bytes and score %d", len(a.Text), a.Score)
		}
	}
}

func drawHeard(t *rapid.T) Heard {
	return Heard{
		At: rapid.Int64Range(0, 40).Draw(t, "at") * 24 * hourMillis, Score: rapid.IntRange(-ScoreMax, ScoreMax).Draw(t, "score"),
		Bad: rapid.Bool().Draw(t, "bad"), Model: rapid.SampledFrom([]string{"a@1", "a@2"}).Draw(t, "model"),
		Text: rapid.SampledFrom([]string{"", "so so", "well", "fine 好"}).Draw(t, "text"),
	}
}

// TestToneProperties compares with the plain sums, in any order and split over two
// persons who become one, and reads back what is written.
func TestToneProperties(t *testing.T) {
	o := ToneOptions{HalfLife: 100 * time.Hour}
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(rapid.Custom(drawHeard), 1, 20).Draw(t, "texts")
		cut := rapid.IntRange(0, len(all)).Draw(t, "cut")
		var a, b Tone
		newest, bad := int64(0), int64(0)
		for i, h := range all {
			if i < cut {
				a.Hear(h, o)
			} else {
				b.Hear(h, o)
			}
			newest = max(newest, h.At)
			if h.Bad {
				bad = max(bad, h.At)
			}
		}
		a.Merge(&b, o)
		now := newest + 7*hourMillis
		sum, weight := 0.0, meanPrior
		for _, h := range all {
			w := math.Exp2(-float64(now-h.At) / float64(100*hourMillis))
			sum, weight = sum+w*float64(h.Score)/ScoreMax, weight+w
		}
		if got := a.Mean(now, o); math.Abs(got-sum/weight) > 1e-9 {
			t.Fatalf("mean %v, want %v", got, sum/weight)
		}
		if a.Heard != uint64(len(all)) || a.Newest != newest || a.BadAt != bad || len(a.Asked) > askedMax {
			t.Fatalf("%+v of %d texts, newest %d, bad %d", a, len(all), newest, bad)
		}
		var back Tone
		if err := back.DecodeFrom(a.AppendTo(nil)); err != nil || !reflect.DeepEqual(a, back) {
			t.Fatalf("%+v came back as %+v: %v", a, back, err)
		}
	})
}

func TestToneDays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOf(rapid.Custom(drawHeard)).Draw(t, "texts")
		var days ToneDays
		sums, texts := map[int64]int64{}, map[int64]uint64{}
		for _, h := range all {
			days.Add(h)
			sums[h.At/dayMillis] += int64(h.Score)
			texts[h.At/dayMillis]++
		}
		if len(days.Days) != len(sums) {
			t.Fatalf("%d days, want %d", len(days.Days), len(sums))
		}
		for _, d := range days.Days {
			if d.Sum != sums[d.Day] || d.Texts != texts[d.Day] {
				t.Fatalf("day %+v, want %d of %d texts", d, sums[d.Day], texts[d.Day])
			}
		}
		var back ToneDays
		if err := back.DecodeFrom(days.AppendTo(nil)); err != nil || !reflect.DeepEqual(days, back) {
			t.Fatalf("%+v came back as %+v: %v", days, back, err)
		}
	})
	var days ToneDays
	for i := range int64(daysMax + 50) {
		days.Add(Heard{At: i * dayMillis, Score: 1})
	}
	days.Add(Heard{At: 3 * dayMillis, Score: 1})
	if len(days.Days) != daysMax || days.Days[0].Day != 50 {
		t.Fatalf("%d days from %d", len(days.Days), days.Days[0].Day)
	}
	days = ToneDays{}
	days.Add(Heard{At: -1})
	if days.Days[0].Day != -1 {
		t.Fatalf("a moment before 1970 is of day %d", days.Days[0].Day)
	}
}

func FuzzTone(f *testing.F) {
	var tone Tone
	f.Add(tone.AppendTo(nil))
	tone.Hear(Heard{At: 9, Score: -900, Bad: true, Model: "a@1", Text: "so so"}, ToneOptions{})
	tone.Hear(Heard{At: 12, Score: 20, Model: "a@1", Text: "好"}, ToneOptions{})
	f.Add(tone.AppendTo(nil))
	var days ToneDays
	days.Add(Heard{At: 5, Score: 3})
	f.Add(days.AppendTo(nil))
	f.Add([]byte{})
	f.Add([]byte{2, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		var tone Tone
		if err := tone.DecodeFrom(b); err == nil {
			var back Tone
			if err := back.DecodeFrom(tone.AppendTo(nil)); err != nil || !reflect.DeepEqual(tone, back) {
				t.Fatalf("%+v came back as %+v: %v", tone, back, err)
			}
		} else if !errors.Is(err, ErrToneDamaged) && !errors.Is(err, ErrToneNewer) || tone.Known() {
			t.Fatalf("%+v with %v", tone, err)
		}
		var days ToneDays
		if err := days.DecodeFrom(b); err == nil {
			raw := days.AppendTo(nil)
			var back ToneDays
			if err := back.DecodeFrom(raw); err != nil || !bytes.Equal(raw, back.AppendTo(nil)) {
				t.Fatalf("days came back as %+v: %v", back, err)
			}
		}
	})
}
