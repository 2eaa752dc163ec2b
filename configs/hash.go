package configs

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// A version is a hash of what a file means: of the decoded values with defaults filled
// in, conditions in canonical form. Comments, the order of keys, quotes, white space,
// the file's name, and a value that equals its default change nothing; neither do
// description and owner, which no decision depends on.

// versionLen is how many hex digits a version has: 64 bits tell the fifty kept
// versions of a pipeline apart, and are short enough to stand in every decision.
const versionLen = 16

// digest hashes a value in a stated form.
func digest(form string, value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic("BUG: a checked file cannot be written: " + err.Error())
	}
	sum := sha256.Sum256(append([]byte(form+"\n"), text...))
	return hex.EncodeToString(sum[:])[:versionLen]
}

// shopVersion is the version of a shop.
func shopVersion(s *Shop) string { return digest("millrace shop v1", s) }

// journeyVersion is the version of a journey.
func journeyVersion(j *Journey) string {
	c := *j
	c.Description, c.Owner = "", ""
	return digest("millrace journey v1", &c)
}

// setVersion is the version of all that runs together.
func setVersion(s *Set) string {
	versions := []string{s.Shop.Version}
	for _, j := range s.Journeys {
		versions = append(versions, j.Name, j.Version)
	}
	return digest("millrace set v1", versions)
}
