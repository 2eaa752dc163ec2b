package shop

import (
	"time"

	"millrace/operators/event"
)

// identifyMaybe lets a shopper who browses anonymously tell who he is.
func (v *visit) identifyMaybe(p float64) {
	if v.p.known || v.p.Login == LoginNever || !v.dice.chance(p) {
		return
	}
	v.p.known, v.linking = true, true
	if v.dice.chance(0.15) { // some shops call alias at sign-up
		w := &wire{b: []byte{'{'}}
		w.text("type", "alias")
		w.text("userId", v.p.UserID)
		w.text("previousId", v.p.AnonymousID)
		v.end(event.Alias, w)
		v.at += 5
	}
	v.identify()
}

// tellTraits sends the traits of a logged-in shopper: the first time, and again with
// probability p.
func (v *visit) tellTraits(p float64) {
	if !v.p.known {
		return
	}
	if again := v.dice.chance(p); !v.p.told || again {
		v.identify()
	}
}

// identify sends the traits, and the company of those who buy for one.
func (v *visit) identify() {
	p := v.p
	p.told = true
	w := v.begin("identify", "")
	w.open("traits")
	w.text("email", p.Email)
	w.text("firstName", p.FirstName)
	w.text("lastName", p.LastName)
	w.flag("marketing_consent", p.consent)
	w.moment("createdAt", v.s.options.Start.UnixMilli()-millis(time.Duration(hashText(p.UserID)%700*24)*time.Hour))
	w.open("address")
	w.text("city", p.City)
	w.text("country", p.Country)
	w.close()
	w.close()
	v.end(event.Identify, w)
	v.at += 200
	if p.Company == "" {
		return
	}
	w = v.begin("group", "")
	w.text("groupId", "g-"+p.UserID[2:])
	w.open("traits")
	w.text("name", p.Company)
	w.text("industry", "Retail")
	w.close()
	v.end(event.Group, w)
	v.at += 200
}
