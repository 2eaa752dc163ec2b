package profile

import (
	"slices"
	"strings"
	"unicode"

	"millrace/operators/event"
)

// traitNames are the canonical names that event.Traits.Cleared uses, in the order of
// Person.trait.
var traitNames = [traitCount]string{"email", "firstName", "lastName", "locale", "timezone"}

// FullName is the name as it is written where the person's language is: the family
// name stands first, and without a space, in Chinese, Japanese and Korean. It is empty
// when no first name is known.
func (t *Traits) FullName() string {
	switch {
	case t.FirstName == "" || t.LastName == "":
		return t.FirstName
	case isEastAsian(t.FirstName) && isEastAsian(t.LastName):
		return t.LastName + t.FirstName
	default:
		return t.FirstName + " " + t.LastName
	}
}

// isEastAsian tells whether a name is written in characters that take no spaces; one
// in Latin letters keeps the order of its parts, whatever the language.
func isEastAsian(s string) bool {
	for _, r := range s {
		if !unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul) {
			return false
		}
	}
	return true
}

func (t *Traits) all() [traitCount]*string {
	return [traitCount]*string{&t.Email, &t.FirstName, &t.LastName, &t.Locale, &t.Timezone}
}

// applyTraits takes over what is said, each trait if it is newer than what is known.
func (p *Person) applyTraits(t *event.Traits, at int64, ch *Change) {
	said := [traitCount]string{t.Email, t.FirstName, t.LastName, t.Locale, t.Timezone}
	if said == [traitCount]string{} && t.Consent == event.ConsentUnknown && len(t.Cleared) == 0 {
		return
	}
	for i, to := range p.Traits.all() {
		said[i] = cut(said[i])
		if said[i] == "" && !slices.Contains(t.Cleared, traitNames[i]) {
			continue
		}
		known := p.Traits.at[i]
		if at < known || at == known && said[i] < *to {
			continue // of two words of one instant the greater one holds: the order does not matter
		}
		p.Traits.at[i] = at
		if *to != said[i] {
			if i == 0 && !strings.EqualFold(*to, said[i]) {
				p.Traits.Dead = false
			}
			ch.Addressed = ch.Addressed || i == 0 && *to == ""
			*to = strings.Clone(said[i])
			ch.TraitsChanged = true
		}
	}
	if t.Consent != event.ConsentUnknown {
		p.consent(t.Consent, at, ch)
	}
}

// consent notes a statement; the newest holds, of one instant the stricter.
func (p *Person) consent(state uint8, at int64, ch *Change) {
	c := &p.Consent
	if c.State != event.ConsentUnknown && (at < c.At || at == c.At && state <= c.State) {
		return
	}
	ch.ConsentChanged = ch.ConsentChanged || c.State != state
	c.State, c.At = state, at
}

// suppress says no for good.
func (p *Person) suppress(reason string, at int64, ch *Change) {
	p.consent(event.ConsentNo, at, ch)
	if !p.Consent.Suppressed {
		ch.ConsentChanged = true
	}
	if !p.Consent.Suppressed || reason < p.Consent.Reason {
		p.Consent.Reason = reason // "marked as spam" weighs more and sorts first
	}
	p.Consent.Suppressed = true
}

// mergeTraits fills what dst lacks from src.
func (p *Person) mergeTraits(src *Traits, ch *Change) {
	from := src.all()
	for i, to := range p.Traits.all() {
		cleared := *to == "" && p.Traits.at[i] != 0 && p.Traits.at[i] >= src.at[i]
		if *to != "" || *from[i] == "" || cleared {
			continue
		}
		*to, p.Traits.at[i] = *from[i], src.at[i]
		ch.TraitsChanged = true
		if i == 0 {
			ch.Addressed = true
			p.Traits.Dead = src.Dead
		}
	}
}

// mergeConsent lets the stricter state win: no over unknown over yes would forbid a
// known person's mail because a visitor said nothing, so unknown is no statement.
func (p *Person) mergeConsent(src *Consent, ch *Change) {
	c := &p.Consent
	was := *c
	switch {
	case src.State == event.ConsentUnknown:
	case c.State == event.ConsentUnknown && src.State == event.ConsentYes:
		// A yes that was said on a shared device, before we knew who spoke, is not
		// this person's: consent never follows from a merge.
	case src.State > c.State, src.State == c.State && src.At > c.At:
		c.State, c.At = src.State, src.At
	}
	if src.Suppressed && (!c.Suppressed || src.Reason < c.Reason) {
		c.Reason = src.Reason
	}
	c.Suppressed = c.Suppressed || src.Suppressed
	ch.ConsentChanged = ch.ConsentChanged || was.State != c.State || was.Suppressed != c.Suppressed
}
