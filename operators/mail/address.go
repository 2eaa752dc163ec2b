package mail

import (
	"net/netip"
	"path"
	"strings"
)

// Address is a mailbox with the name that is shown beside it.
type Address struct {
	Name string // shown; may hold any text, longer than 128 runes is cut
	Addr string // local@domain, ASCII
}

// AddressError says why an address is refused. It never holds the address.
type AddressError struct {
	Field  string // "from", "to", "reply-to", "only-to"
	Reason string
}

// Error names the field and the reason.
func (e *AddressError) Error() string { return "address of " + e.Field + ": " + e.Reason }

// Limits of RFC 5321, section 4.5.3.1.
const (
	localMax  = 64
	domainMax = 255
	labelMax  = 63
)

// CheckAddress says whether addr can stand in an envelope: a dot-atom local part and
// an ASCII domain with at least one label. It answers an *AddressError naming field.
//
// Quoted local parts, address literals and domains in Unicode are refused. A Unicode
// domain has to be given in its punycode form (xn--…).
func CheckAddress(field, addr string) error {
	if reason := addressFault(addr); reason != "" {
		return &AddressError{Field: field, Reason: reason}
	}
	return nil
}

func addressFault(addr string) string {
	at := strings.LastIndexByte(addr, '@')
	if addr == "" {
		return "is empty"
	}
	if at < 0 {
		return "has no @"
	}
	local, domain := addr[:at], addr[at+1:]
	if reason := localFault(local); reason != "" {
		return reason
	}
	return domainFault(domain)
}

func localFault(local string) string {
	switch {
	case local == "":
		return "has no local part"
	case len(local) > localMax:
		return "has a local part longer than 64 octets"
	case local[0] == '.' || local[len(local)-1] == '.' || strings.Contains(local, ".."):
		return "has a dot in a wrong place of the local part"
	}
	for i := 0; i < len(local); i++ {
		c := local[i]
		if c >= 0x80 {
			return "has a local part that is not ASCII"
		}
		if !isAlnum(c) && strings.IndexByte("!#$%&'*+-/=?^_`{|}~.", c) < 0 {
			return "has a character in the local part that is not allowed"
		}
	}
	return ""
}

func domainFault(domain string) string {
	switch {
	case domain == "":
		return "has no domain"
	case len(domain) > domainMax:
		return "has a domain longer than 255 octets"
	}
	for i := 0; i < len(domain); i++ {
		if domain[i] >= 0x80 {
			return "has a domain that is not ASCII: give it in punycode (xn--)"
		}
	}
	if _, err := netip.ParseAddr(domain); err == nil {
		return "has a number where the domain belongs"
	}
	for label := range strings.SplitSeq(domain, ".") {
		if label == "" || len(label) > labelMax || label[0] == '-' || label[len(label)-1] == '-' {
			return "has a domain with a bad label"
		}
		for i := 0; i < len(label); i++ {
			if !isAlnum(label[i]) && label[i] != '-' {
				return "has a character in the domain that is not allowed"
			}
		}
	}
	return ""
}

func isAlnum(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// domainOf is the part after the last @, or "".
func domainOf(addr string) string {
	return addr[strings.LastIndexByte(addr, '@')+1:]
}

// Pattern chooses addresses: one or more globs separated by commas, without regard to
// case, where * stands for any run of characters and ? for one ("*@example.com,
// ann@*"). The zero Pattern matches every address. Safe for concurrent use.
type Pattern struct {
	globs []string
}

// ParsePattern reads a Pattern. An empty text is the pattern that matches everything.
func ParsePattern(text string) (Pattern, error) {
	var p Pattern
	for glob := range strings.SplitSeq(text, ",") {
		glob = unslash(strings.ToLower(strings.TrimSpace(glob)))
		if glob == "" {
			continue
		}
		if _, err := path.Match(glob, ""); err != nil {
			return Pattern{}, &AddressError{Field: "only-to", Reason: "is a pattern that cannot be read"}
		}
		p.globs = append(p.globs, glob)
	}
	if text != "" && len(p.globs) == 0 {
		return Pattern{}, &AddressError{Field: "only-to", Reason: "is a pattern without any text"}
	}
	return p, nil
}

// Matches says whether addr is chosen.
func (p Pattern) Matches(addr string) bool {
	if len(p.globs) == 0 {
		return true
	}
	addr = unslash(strings.ToLower(addr))
	for _, glob := range p.globs {
		if ok, err := path.Match(glob, addr); ok && err == nil {
			return true
		}
	}
	return false
}

// unslash hides the slash, which may stand in a local part, from path.Match, which
// gives it a meaning.
func unslash(s string) string { return strings.ReplaceAll(s, "/", "\x01") }
