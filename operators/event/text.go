package event

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string. Bytes that are not UTF-8 become U+FFFD.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			i++
			switch {
			case c == '"' || c == '\\':
				dst = append(dst, '\\', c)
			case c < ' ':
				dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			default:
				dst = append(dst, c)
			}
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		dst = utf8.AppendRune(dst, r)
		i += n
	}
	return append(dst, '"')
}

// isBidi tells whether r overrides or embeds a direction: such controls turn a text
// into one that reads otherwise. Marks that right-to-left languages need are not
// among them.
func isBidi(r rune) bool {
	return '\u202a' <= r && r <= '\u202e' || '\u2066' <= r && r <= '\u2069'
}

// isControl tells whether r is of C0 or C1. DEL is not among them: it harms nothing,
// and a string without escapes and all in ASCII is clean without being looked at.
func isControl(r rune) bool {
	return r < ' ' || 0x80 <= r && r < 0xa0
}

// dirt is the first byte of s that cleaning takes out, or -1.
func dirt(s string) int {
	for i, r := range s {
		if isControl(r) || isBidi(r) {
			return i
		}
	}
	return -1
}

// cleanText takes controls out of a text and cuts it at MaxString. Line breaks and
// tabs become blanks.
func cleanText(v *val, flags *Flags) string {
	s := trim(v.s)
	if v.odd {
		s = strip(s, flags)
	}
	if len(s) > MaxString {
		*flags |= TextCleaned
		s = cut(s, MaxString)
	}
	return s
}

// strip takes controls out of s.
func strip(s string, flags *Flags) string {
	at := dirt(s)
	if at < 0 {
		return s
	}
	*flags |= TextCleaned
	clean := append(make([]byte, 0, len(s)), s[:at]...)
	for _, r := range s[at:] {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			clean = append(clean, ' ')
		case isControl(r) || isBidi(r):
		default:
			clean = utf8.AppendRune(clean, r)
		}
	}
	return strings.Trim(string(clean), " ")
}

// cut is the first n bytes of s, or fewer so that no character is cut in two, nor a
// mark or a joiner from the character that it belongs to.
func cut(s string, n int) string {
	for n > 0 && (!utf8.RuneStart(s[n]) || joins(s[n:])) {
		n--
	}
	return s[:n]
}

// joins tells whether the first character of s belongs to the one before it:
// combining marks, variation selectors, skin tones and the joiner.
func joins(s string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	return '\u0300' <= r && r <= '\u036f' || '\ufe00' <= r && r <= '\ufe0f' ||
		'\U0001f3fb' <= r && r <= '\U0001f3ff' || r == '\u200d'
}

// idMax is the longest id that is kept as it is; longer ones are replaced by their
// hash, since cutting them would make different ones equal.
const idMax = 256

// idText is the text of an id, bounded.
func idText(v *val, flags *Flags) string {
	s := rawID(v, flags)
	if len(s) > idMax {
		s = hash(s)
	}
	return s
}

// rawID is the text of an id: a string, or a number without exponent.
func rawID(v *val, flags *Flags) string {
	s := ""
	switch v.t {
	case '"':
		s = trim(v.s)
		if v.odd {
			s = strip(s, flags)
		}
	case '0':
		s = v.s
		if strings.ContainsAny(s, ".eE") {
			if d, ok := parseDecimal(s); ok && d.scale > -40 && d.scale < 40 {
				s = d.plainText()
			}
		}
	}
	return s
}

// hash is the SHA-256 of s in hexadecimal digits.
func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// identity is the id of a person, or "" for what stands where an id is missing. An id
// with a broken character is missing too: two persons could share what is left of it.
func identity(v *val, flags *Flags) string {
	s := visitor(v, flags)
	if s == "0" || len(s) == len("guest") && strings.EqualFold(s, "guest") {
		return ""
	}
	return s
}

// visitor is an anonymous id, or "" where it is missing. Machines make these, so that
// "0" is one.
func visitor(v *val, flags *Flags) string {
	s := idText(v, flags)
	switch len(s) {
	case len("null"), len("undefined"), len("[object Object]"):
		if strings.EqualFold(s, "null") || strings.EqualFold(s, "undefined") || s == "[object Object]" {
			return ""
		}
	}
	if v.odd && strings.ContainsRune(s, utf8.RuneError) {
		return ""
	}
	return s
}

// address is the address that a client wrote, without blanks around it and without
// "mailto:", or "" when mail cannot be sent to it. It is kept as typed otherwise.
func address(v *val) string {
	if v.t != '"' || len(v.s) > 512 {
		return ""
	}
	s := strings.TrimSpace(v.s)
	if len(s) > 7 && strings.EqualFold(s[:7], "mailto:") {
		s = strings.TrimSpace(s[7:])
	}
	at := strings.IndexByte(s, '@')
	if at < 1 || at > 64 || len(s) > 254 {
		return ""
	}
	for _, r := range s[:at] {
		if r <= ' ' || r == 0x7f || isControl(r) || isBidi(r) || r == utf8.RuneError || strings.ContainsRune(`,;:<>()[]\"`, r) {
			return ""
		}
	}
	if s[0] == '.' || s[at-1] == '.' || !isDomain(s[at+1:]) {
		return ""
	}
	return s
}

// isDomain tells whether s is a name of at least two labels, the last of which is no
// number.
func isDomain(s string) bool {
	labels, start := 0, 0
	for i := 0; i <= len(s); i++ {
		if i < len(s) && s[i] != '.' {
			c := s[i]
			letter := 'a' <= c|0x20 && c|0x20 <= 'z' || c-'0' <= 9 || c == '-' || c >= utf8.RuneSelf
			if !letter {
				return false
			}
			continue
		}
		label := s[start:i]
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		labels++
		start = i + 1
	}
	last := s[strings.LastIndexByte(s, '.')+1:]
	_, isNumber := number(last)
	if strings.ContainsRune(s, utf8.RuneError) || strings.ContainsFunc(s, func(r rune) bool { return isControl(r) || isBidi(r) }) {
		return false
	}
	return labels >= 2 && !isNumber && len(last) >= 2
}

// webURL is a URL that may stand in a mail: http, https, or relative to the shop,
// without user names, tokens and card numbers. Others are left out.
func webURL(v *val, flags *Flags) string {
	if v.t != '"' {
		return ""
	}
	s := cleanText(v, flags)
	at := strings.IndexAny(s, ":/?#")
	if at < 0 || s[at] != ':' {
		return stripURL(s)
	}
	scheme := s[:at]
	if !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
		return ""
	}
	return stripURL(s)
}

// stripURL takes user names and secret parameters out of a URL.
func stripURL(s string) string {
	if i := strings.Index(s, "//"); i >= 0 && strings.Trim(s[:i], "htpsHTPS:") == "" {
		host := s[i+2:]
		stop := strings.IndexAny(host, `/?#\`)
		if stop < 0 {
			stop = len(host)
		}
		if at := strings.LastIndexByte(host[:stop], '@'); at >= 0 {
			s = s[:i+2] + host[at+1:]
		}
	}
	query := strings.IndexByte(s, '?')
	if query < 0 {
		return s
	}
	fragment := ""
	head, rest := s[:query], s[query+1:]
	if i := strings.IndexByte(rest, '#'); i >= 0 {
		rest, fragment = rest[:i], rest[i:]
	}
	var kept []string
	for pair := range strings.SplitSeq(rest, "&") {
		name, value, _ := strings.Cut(pair, "=")
		switch strings.ToLower(name) {
		case "token", "key", "password", "email", "sig":
			continue
		}
		if maskCards(value) != value {
			continue
		}
		kept = append(kept, pair)
	}
	if len(kept) == 0 {
		return head + fragment
	}
	return head + "?" + strings.Join(kept, "&") + fragment
}

// maskCards replaces what looks like the number of a payment card: 13 to 19 digits,
// blanks and dashes between them allowed, that pass Luhn's check.
func maskCards(s string) string {
	start, digits := -1, 0
	for i := 0; i <= len(s); i++ {
		switch {
		case i < len(s) && s[i]-'0' <= 9:
			if digits == 0 {
				start = i
			}
			digits++
			continue
		case i < len(s) && digits > 0 && (s[i] == ' ' || s[i] == '-'):
			continue
		}
		if digits >= 13 && digits <= 19 && luhn(s[start:i]) {
			return s[:start] + "****" + maskCards(s[i:])
		}
		digits = 0
	}
	return s
}

// luhn tells whether the digits in s pass Luhn's check.
func luhn(s string) bool {
	total, double := 0, false
	for i := len(s) - 1; i >= 0; i-- {
		n := int(s[i]) - '0'
		if n < 0 || n > 9 {
			continue
		}
		if double {
			if n *= 2; n > 9 {
				n -= 9
			}
		}
		total += n
		double = !double
	}
	return total%10 == 0
}

// isBot tells whether a user agent calls itself a robot.
func isBot(agent string) bool {
	for i := 0; i+3 <= len(agent); i++ {
		switch agent[i] | 0x20 {
		case 'b':
			if fold(agent[i:], "bot") && (i < 2 || !fold(agent[i-2:], "cubot")) { // Cubot makes phones
				return true
			}
		case 'c':
			if fold(agent[i:], "crawler") {
				return true
			}
		case 's':
			if fold(agent[i:], "spider") {
				return true
			}
		case 'h':
			if fold(agent[i:], "headless") {
				return true
			}
		}
	}
	return false
}

// fold tells whether s begins with the lower-case prefix, in either case.
func fold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// own makes *s independent of the message it aliases.
func own(s *string) { *s = strings.Clone(*s) }

// trim takes blanks and line breaks off both ends. Most texts have none.
func trim(s string) string {
	if len(s) > 0 && s[0] > ' ' && s[len(s)-1] > ' ' {
		return s
	}
	return strings.Trim(s, " \t\n\r")
}
