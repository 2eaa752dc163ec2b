package console

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"millrace/operators/event"
)

// number writes n with thin groups of three: "1 240 511".
func number(n uint64) string {
	s := strconv.FormatUint(n, 10)
	var b strings.Builder
	for i, r := range s {
		if i > 0 && (len(s)-i)%3 == 0 {
			b.WriteRune('\u202f')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// short writes a number in at most five characters: "0.4", "38", "1.2k", "3.4M".
func short(f float64) string {
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0) || f < 0:
		return "–"
	case f == 0:
		return "0"
	case f < 0.095:
		return "<0.1"
	case f < 9.95:
		return strings.TrimSuffix(strconv.FormatFloat(f, 'f', 1, 64), ".0")
	}
	for _, unit := range []string{"", "k", "M", "G", "T"} {
		if f < 999.5 || unit == "T" {
			if f < 9.95 {
				return strconv.FormatFloat(f, 'f', 1, 64) + unit
			}
			return strconv.FormatFloat(f, 'f', 0, 64) + unit
		}
		f /= 1000
	}
	return "–"
}

// rate writes events a second, or a minute when they are rare.
func rate(perSecond float64) string {
	if perSecond > 0 && perSecond < 0.95 {
		return short(perSecond*60) + "/min"
	}
	return short(perSecond) + "/s"
}

// size writes bytes in binary units.
func size(n uint64) string {
	f := float64(n)
	for _, unit := range []string{"B", "KiB", "MiB", "GiB"} {
		if f < 1024 {
			if unit == "B" || f >= 99.5 {
				return fmt.Sprintf("%.0f %s", f, unit)
			}
			return fmt.Sprintf("%.1f %s", f, unit)
		}
		f /= 1024
	}
	return fmt.Sprintf("%.1f TiB", f)
}

// span writes a duration in its one or two largest units.
func span(d time.Duration) string {
	switch {
	case d < 0:
		return "0 s"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d days", int(d.Hours())/24)
}

// decimals says how many digits a currency has behind its point (ISO 4217), where it is not two.
func decimals(currency string) int {
	switch strings.ToUpper(currency) {
	case "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF":
		return 0
	case "BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND":
		return 3
	}
	return 2
}

// money writes an amount in its currency: "45.00 EUR".
func money(m event.Money, currency string) string {
	sign, n := "", uint64(m)
	if m < 0 {
		sign, n = "−", -uint64(m)
	}
	d := decimals(currency)
	base := uint64(math.Pow10(d))
	out := sign + number(n/base)
	if d > 0 {
		out += fmt.Sprintf(".%0*d", d, n%base)
	}
	if currency != "" {
		out += " " + clean(firstRunes(currency, 8))
	}
	return out
}

// moment is a time as shown: for people with its zone, for machines in RFC 3339.
type moment struct {
	Text string `json:"text"`
	ISO  string `json:"time"`
}

// at makes a moment in zone; a zero time is shown as a dash.
func at(t time.Time, zone *time.Location) moment {
	if t.IsZero() {
		return moment{Text: "–"}
	}
	t = t.In(zone)
	return moment{Text: t.Format("2 Jan 2006 15:04:05 MST"), ISO: t.Format(time.RFC3339)}
}

// percent writes a share of a whole.
func percent(part, whole uint64) string {
	if whole == 0 {
		return ""
	}
	p := 100 * float64(part) / float64(whole)
	if p > 0 && p < 1 {
		return "<1 %"
	}
	return fmt.Sprintf("%.0f %%", p)
}

// unit brings a share from outside into [0, 1]; what is no number is 0.
func unit(f float64) float64 {
	if math.IsNaN(f) {
		return 0
	}
	return min(max(f, 0), 1)
}

// coordinate writes a length in SVG with at most one digit behind the point.
func coordinate(f float64) string {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return "0"
	}
	return strconv.FormatFloat(math.Round(f*10)/10, 'f', -1, 64)
}
