package content

import (
	"strconv"
	"strings"

	"millrace/operators/event"
)

// FormatMoney writes an amount as a reader of the locale expects it: decimals by the
// currency (ISO 4217), separators and the place of the symbol by the language. An
// unknown currency is written by its code.
func FormatMoney(amount event.Money, currency, locale string) string {
	currency = strings.ToUpper(strings.TrimSpace(currency))
	if !iso(currency) {
		currency = ""
	}
	lang, region := split(locale)
	group, point, behind := separators(lang, region)
	digits := strconv.FormatUint(magnitude(amount), 10)
	text := number(digits, exponent(currency), group, point)
	sign := ""
	if amount < 0 {
		sign = "-"
	}
	mark := symbol(currency, lang, region)
	switch {
	case mark == "":
		return sign + text
	case behind:
		return sign + text + "\u00a0" + mark
	case mark == currency || apart(lang, region): // a code keeps its distance, and some locales' symbols do
		return mark + "\u00a0" + sign + text
	default:
		return sign + mark + text
	}
}

// magnitude is the absolute value, right for the lowest number too.
func magnitude(m event.Money) uint64 {
	if m < 0 {
		return -uint64(m)
	}
	return uint64(m)
}

func iso(c string) bool {
	if len(c) != 3 {
		return false
	}
	for i := range 3 {
		if c[i] < 'A' || c[i] > 'Z' {
			return false
		}
	}
	return true
}

// exponent is the number of decimals of a currency (ISO 4217).
func exponent(currency string) int {
	switch currency {
	case "JPY", "KRW", "VND", "CLP", "ISK", "UGX", "XAF", "XOF", "XPF", "PYG", "RWF", "KMF", "GNF", "DJF", "BIF", "VUV":
		return 0
	case "KWD", "BHD", "OMR", "JOD", "TND", "LYD", "IQD":
		return 3
	default:
		return 2
	}
}

func number(digits string, decimals int, group, point string) string {
	for len(digits) <= decimals {
		digits = "0" + digits
	}
	whole, part := digits[:len(digits)-decimals], digits[len(digits)-decimals:]
	var b strings.Builder
	for i, d := range whole {
		if i > 0 && (len(whole)-i)%3 == 0 {
			b.WriteString(group)
		}
		b.WriteRune(d)
	}
	if decimals > 0 {
		b.WriteString(point + part)
	}
	return b.String()
}

func split(locale string) (lang, region string) {
	parts := strings.FieldsFunc(locale, func(r rune) bool { return r == '-' || r == '_' })
	for i, p := range parts {
		if i == 0 {
			lang = strings.ToLower(p)
		} else if len(p) == 2 {
			region = strings.ToUpper(p)
		}
	}
	return lang, region
}

// separators follow the Unicode locale data: groups, decimal point, symbol behind.
func separators(lang, region string) (group, point string, behind bool) {
	switch lang {
	case "de", "es", "it", "nl", "pt", "tr", "id", "da", "el", "sl", "hr", "ro":
		if region == "CH" || region == "LI" {
			return "’", ".", false
		}
		if region == "MX" || region == "US" || lang == "es" && region == "GT" {
			return ",", ".", false
		}
		if region == "AT" && lang == "de" || lang == "nl" || region == "BR" || lang == "tr" || lang == "id" {
			return ".", ",", false
		}
		return ".", ",", true
	case "fr", "ru", "uk", "pl", "cs", "sk", "sv", "nb", "no", "fi", "bg", "hu", "lt", "lv", "et":
		if region == "CH" {
			return "\u202f", ".", true
		}
		return "\u00a0", ",", true
	default:
		return ",", ".", false
	}
}

// apart reports whether a locale sets a symbol that stands before the amount apart from it.
func apart(lang, region string) bool {
	return lang == "nl" || lang == "de" && region == "AT" || lang == "pt" && region == "BR"
}

// symbol returns the mark of a currency; one that several currencies share is only
// used where the reader's own is meant.
func symbol(currency, lang, region string) string {
	switch currency {
	case "EUR":
		return "€"
	case "GBP":
		return "£"
	case "INR":
		return "₹"
	case "KRW":
		return "₩"
	case "USD":
		if lang == "en" && (region == "" || region == "US") || lang == "" {
			return "$"
		}
		return "US$"
	case "CAD", "AUD", "NZD":
		if region == currency[:2] {
			return "$"
		}
		return map[string]string{"CAD": "CA$", "AUD": "A$", "NZD": "NZ$"}[currency]
	case "JPY":
		if lang == "zh" {
			return "JP¥"
		}
		return "¥"
	case "CNY":
		if lang == "zh" {
			return "¥"
		}
		return "CN¥"
	}
	return currency
}

// band says whether an amount is small or large for a shopper. The magnitudes of
// currencies are rough on purpose: the band only picks a tone.
func band(amount event.Money, currency string) string {
	if amount <= 0 {
		return ""
	}
	unit := 1.0 // in dollars or euros, about
	switch currency {
	case "JPY":
		unit = 150
	case "KRW":
		unit = 1300
	case "CNY", "HKD":
		unit = 7
	case "INR":
		unit = 85
	case "SEK", "NOK", "CZK":
		unit = 12
	}
	scale := 1.0
	for range exponent(currency) {
		scale *= 10
	}
	switch worth := float64(amount) / scale / unit; {
	case worth < 15: // a book, a lipstick
		return valueLow
	case worth > 150: // thought about for a while
		return valueHigh
	}
	return ""
}
