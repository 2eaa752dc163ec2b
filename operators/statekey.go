package operators

import "strings"

// StateKeys are the keys under which a cell may keep what who asks calls key: a person's
// user id, a visitor's anonymous id or an address by their pseudonyms, else key itself,
// which may be a pseudonym already.
func (p *Pipeline) StateKeys(cell, key string) []string {
	stage, _, _ := strings.Cut(cell, "/")
	switch stage {
	case "person", "identity":
		return []string{p.pseudonyms.Person(key), key}
	case "visitor":
		return []string{p.pseudonyms.Visitor(key), key}
	case "address":
		return []string{p.pseudonyms.Decision("address", strings.ToLower(key)), key}
	default:
		return []string{key}
	}
}
