package privacy

import (
	"strings"
	"unicode/utf8"
)

// Mask makes an address showable: the first letter of the name and of the domain
// stay, and the last label ("m…@e….com"). What is no address becomes "…".
func Mask(email string) string {
	at := strings.LastIndexByte(email, '@')
	if at < 1 || at == len(email)-1 {
		return "…"
	}
	domain := email[at+1:]
	masked := first(email[:at]) + "…@" + first(domain) + "…"
	if dot := strings.LastIndexByte(domain, '.'); dot > 0 {
		masked += domain[dot:]
	}
	return masked
}

// first is the first character of s.
func first(s string) string {
	_, n := utf8.DecodeRuneInString(s)
	return s[:n]
}
