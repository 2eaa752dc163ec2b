package event

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// decimal is mantissa / 10^scale.
type decimal struct {
	mantissa int64
	scale    int
}

// digitsMax is how many digits surely fit an int64. Later ones of a fraction lie far
// below any minor unit and are dropped.
const digitsMax = 18

// moneyMax bounds an amount: more is a mistake, and sums of it could overflow.
const moneyMax = 100_000_000_000_000

// parseDecimal reads a plain decimal as JSON writes numbers.
func parseDecimal(s string) (decimal, bool) {
	var d decimal
	i, n, negative := 0, 0, false
	if strings.HasPrefix(s, "-") {
		i, negative = 1, true
	}
	dot, digit := false, false
	for ; i < len(s); i++ {
		c := s[i]
		if c == '.' && !dot && digit {
			dot, digit = true, false
			continue
		}
		if c-'0' > 9 {
			break
		}
		digit = true
		if n == digitsMax {
			if !dot {
				return d, false
			}
			continue
		}
		if d.mantissa != 0 || c != '0' {
			n++
		}
		d.mantissa = d.mantissa*10 + int64(c-'0')
		if dot {
			d.scale++
		}
	}
	if negative {
		d.mantissa = -d.mantissa
	}
	if i == len(s) {
		return d, digit
	}
	return d.exponent(s[i:], digit)
}

// exponent applies the "e+5" at the end of a number.
func (d decimal) exponent(s string, ok bool) (decimal, bool) {
	if !ok || s[0] != 'e' && s[0] != 'E' {
		return d, false
	}
	e, err := strconv.Atoi(s[1:])
	if err != nil || e > 400 || e < -400 {
		return d, false
	}
	d.scale -= e
	return d, true
}

// times is d * 10^places as a whole number, rounded half away from zero. It answers
// false above moneyMax.
func (d decimal) times(places int) (int64, bool) {
	m := d.mantissa
	shift := places - d.scale
	for ; shift > 0 && m != 0; shift-- {
		if m > moneyMax || m < -moneyMax {
			return 0, false
		}
		m *= 10
	}
	if shift < -digitsMax {
		return 0, true // less than a tenth of a unit
	}
	unit := int64(1)
	for ; shift < 0; shift++ {
		unit *= 10
	}
	rest := m % unit
	m /= unit
	if rest >= unit-rest && unit > 1 {
		m++
	} else if -rest >= unit+rest && unit > 1 {
		m--
	}
	return m, -moneyMax <= m && m <= moneyMax
}

// whole is d as a whole number, if it is one.
func (d decimal) whole() (int64, bool) {
	for d.scale > 0 && d.mantissa%10 == 0 && d.mantissa != 0 {
		d.mantissa, d.scale = d.mantissa/10, d.scale-1
	}
	if d.mantissa != 0 && d.scale > 0 {
		return 0, false
	}
	return d.times(0)
}

// plainText is the number without exponent and without needless zeros, for ids.
func (d decimal) plainText() string {
	for d.scale > 0 && d.mantissa%10 == 0 {
		d.mantissa, d.scale = d.mantissa/10, d.scale-1
	}
	text := strconv.FormatInt(d.mantissa, 10)
	if d.scale <= 0 {
		if d.mantissa == 0 {
			return "0"
		}
		return text + strings.Repeat("0", -d.scale)
	}
	sign := ""
	if text[0] == '-' {
		sign, text = "-", text[1:]
	}
	if n := d.scale + 1 - len(text); n > 0 {
		text = strings.Repeat("0", n) + text
	}
	return sign + text[:len(text)-d.scale] + "." + text[len(text)-d.scale:]
}

// parseLoose reads a number as people write it ("1.299,00 €", "$5"), if there is only
// one way to read it, and the currency sign beside it.
func parseLoose(s string) (d decimal, sign string, ok bool) {
	s = strings.TrimSpace(s)
	if len(s) > 64 {
		return d, "", false
	}
	negative := strings.HasPrefix(s, "-")
	s = strings.TrimPrefix(s, "-")
	s, sign = cutSign(s)
	if !negative && strings.HasPrefix(s, "-") {
		negative, s = true, s[1:]
	}
	text, ok := ungroup(s)
	if !ok {
		return d, "", false
	}
	d, ok = parseDecimal(text)
	if negative {
		d.mantissa = -d.mantissa
	}
	return d, sign, ok
}

// cutSign cuts a currency sign or code off either end.
func cutSign(s string) (rest, sign string) {
	isCode := func(c string) bool {
		for i := range len(c) {
			if c[i] < 'A' || c[i] > 'Z' {
				return false
			}
		}
		return true
	}
	for _, sign := range []string{"€", "$", "£", "¥"} {
		if rest, ok := strings.CutPrefix(s, sign); ok {
			return trimBlank(rest), sign
		}
		if rest, ok := strings.CutSuffix(s, sign); ok {
			return trimBlank(rest), sign
		}
	}
	if len(s) > 3 && isCode(s[:3]) {
		return trimBlank(s[3:]), s[:3]
	}
	if len(s) > 3 && isCode(s[len(s)-3:]) {
		return trimBlank(s[:len(s)-3]), s[len(s)-3:]
	}
	return s, ""
}

// The blanks that stand between groups of digits.
const (
	noBreak = '\u00a0'
	narrow  = '\u202f'
)

func trimBlank(s string) string {
	return strings.Trim(s, " \u00a0\u202f")
}

// ungroup turns grouped digits into a plain decimal with a dot: the last separator is
// the decimal one if another kind groups before it. Alone, a dot is decimal, a comma
// only with two digits after it; one that repeats can only be grouping.
func ungroup(s string) (string, bool) {
	var group, last rune // the separator before the last, and the last
	lastAt, count := -1, 0
	for i, r := range s {
		switch {
		case '0' <= r && r <= '9':
			continue
		case r == '.' || r == ',' || r == '\'' || r == ' ' || r == noBreak || r == narrow:
		default:
			return "", false
		}
		if count > 0 {
			if group != 0 && last != group {
				return "", false // something follows the decimal separator
			}
			group = last
		}
		last, lastAt, count = r, i, count+1
	}
	if count == 0 {
		return s, s != ""
	}
	after := s[lastAt+utf8.RuneLen(last):]
	isDecimal := last == '.' || last == ',' && len(after) == 2
	if count == 1 && isDecimal || count > 1 && last != group && isDecimal {
		head, ok := joinGroups(s[:lastAt], group)
		return head + "." + after, ok && after != ""
	}
	if count == 1 && last == ',' || count > 1 && last != group {
		return "", false // "1,299": a thousand or a fraction
	}
	return joinGroups(s, last)
}

// joinGroups joins groups of three digits.
func joinGroups(s string, sep rune) (string, bool) {
	if sep == 0 {
		return s, s != ""
	}
	parts := strings.Split(s, string(sep))
	if len(parts[0]) < 1 || len(parts[0]) > 3 {
		return "", false
	}
	for _, part := range parts[1:] {
		if len(part) != 3 {
			return "", false
		}
	}
	return strings.Join(parts, ""), true
}

// float is the value as a floating-point number.
func (d decimal) float() (float64, bool) {
	f := float64(d.mantissa) / math.Pow10(d.scale)
	return f, !math.IsInf(f, 0) && !math.IsNaN(f)
}

// Exponent is how many digits the minor unit of a currency has (ISO 4217): 2 for EUR,
// 0 for JPY, 3 for KWD, and 2 for what it does not know.
func Exponent(currency string) int {
	switch currency {
	case "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF":
		return 0
	case "BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND":
		return 3
	case "CLF", "UYW":
		return 4
	}
	return 2
}

// currencyCode is the ISO code of what a client calls a currency, or "".
func currencyCode(s string) string {
	s = strings.TrimSpace(s)
	if code := signCode(s); code != "" {
		return code
	}
	if len(s) != 3 {
		return ""
	}
	upper := true
	for i := range len(s) {
		c := s[i] | 0x20
		if c < 'a' || c > 'z' {
			return ""
		}
		upper = upper && s[i] < 'a'
	}
	if upper {
		return s
	}
	return strings.ToUpper(s)
}

// signCode is the currency that a sign alone stands for.
func signCode(sign string) string {
	switch sign {
	case "€":
		return "EUR"
	case "$":
		return "USD"
	case "£":
		return "GBP"
	case "¥":
		return "JPY"
	}
	return ""
}

// agrees tells whether a sign or code beside an amount can mean the currency.
func agrees(sign, currency string) bool {
	switch sign {
	case "", currency:
		return true
	case "$":
		return strings.HasSuffix(currency, "D") || currency == "MXN" || currency == "ARS" || currency == "CLP" || currency == "COP"
	case "¥":
		return currency == "JPY" || currency == "CNY"
	case "£":
		return currency == "GBP" || currency == "EGP"
	}
	return signCode(sign) == currency
}
