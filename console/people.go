package console

import (
	"cmp"
	"errors"
	"net/http"
	"strings"

	"millrace/operators/event"
)

// factLine is a fact as shown.
type factLine struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// cartView is a cart as shown.
type cartView struct {
	ID      string     `json:"id"`
	State   string     `json:"state"`
	Updated moment     `json:"updated"`
	Lines   []cartLine `json:"lines"`
	Total   string     `json:"total"`
}

type cartLine struct {
	Name     string `json:"name"`
	Quantity int    `json:"quantity"`
	Price    string `json:"price"`
	Href     string `json:"-"`
}

// decisionView is a decision as shown: the verdict first.
type decisionView struct {
	ID       string     `json:"id"`
	Outcome  string     `json:"outcome"`
	Tone     string     `json:"-"`
	Sentence string     `json:"sentence"`
	Reason   string     `json:"reason,omitempty"`
	Pipeline string     `json:"pipeline"`
	Trigger  string     `json:"trigger"`
	Cart     string     `json:"cart,omitempty"`
	Order    string     `json:"order,omitempty"`
	Started  moment     `json:"started"`
	Decided  moment     `json:"decided"`
	Ended    moment     `json:"ended"`
	Subject  string     `json:"subject,omitempty"`
	Variant  string     `json:"variant,omitempty"`
	Model    string     `json:"model,omitempty"`
	Version  string     `json:"version"`
	File     string     `json:"file,omitempty"`
	Value    string     `json:"value,omitempty"`
	Lines    []cartLine `json:"lines,omitempty"`
	Notice   string     `json:"notice,omitempty"`
}

// waitView is what is waited for, as shown.
type waitView struct {
	Trigger string `json:"trigger"`
	Cart    string `json:"cart,omitempty"`
	Order   string `json:"order,omitempty"`
	Since   moment `json:"since"`
	Due     moment `json:"due"`
}

// personView is what is known of one person.
type personView struct {
	UserID     string         `json:"user"`
	Name       string         `json:"name"`
	Email      string         `json:"email"`
	Consent    string         `json:"consent"`
	Suppressed string         `json:"suppressed,omitempty"`
	FirstSeen  moment         `json:"first_seen"`
	LastSeen   moment         `json:"last_seen"`
	Facts      []factLine     `json:"facts"`
	Affinities []Weight       `json:"affinities"`
	Shares     []bar          `json:"-"`
	Week       []cell         `json:"-"`
	BestHour   string         `json:"best_hour,omitempty"`
	Zone       string         `json:"zone,omitempty"`
	Carts      []cartView     `json:"carts"`
	Viewed     []neighbour    `json:"viewed"`
	Waiting    []waitView     `json:"waiting"`
	Decisions  []decisionView `json:"decisions"`
	Masked     bool           `json:"masked"`
}

// peopleView is the search page, with or without an answer.
type peopleView struct {
	Asked   bool        `json:"asked"`
	Missing bool        `json:"missing"`
	Person  *personView `json:"person,omitempty"`
}

// Limits of one person's page.
const (
	decisionsMax  = 30
	waitsMax      = 10
	cartsMax      = 5
	linesMax      = 12
	factsMax      = 96 // kinds of events, and the fields that a shop may declare
	viewedMax     = 12
	affinitiesMax = 8
	userBytesMax  = 512
)

// people answers the search page.
func (c *Console) people(w http.ResponseWriter, r *http.Request) {
	c.page(w, r, http.StatusOK, "people", "People", peopleView{})
}

// person answers what is known of one person. The id comes in the body of a POST, so
// that it stands in no address, no history, no referrer and no access log.
func (c *Console) person(w http.ResponseWriter, r *http.Request) {
	user := strings.TrimSpace(r.PostFormValue("user"))
	if user == "" || len(user) > userBytesMax {
		c.page(w, r, http.StatusBadRequest, "people", "People", peopleView{})
		return
	}
	p, err := c.opt.People.Profile(r.Context(), user)
	if errors.Is(err, ErrNotFound) {
		c.page(w, r, http.StatusNotFound, "people", "People", peopleView{Asked: true, Missing: true})
		return
	}
	if err != nil {
		c.oops(w, r, err)
		return
	}
	ds, err := c.opt.People.Decisions(r.Context(), user, decisionsMax)
	if err != nil && !errors.Is(err, ErrNotFound) {
		c.oops(w, r, err)
		return
	}
	waits, err := c.opt.People.Waiting(r.Context(), user)
	if err != nil && !errors.Is(err, ErrNotFound) {
		c.oops(w, r, err)
		return
	}
	v := c.personOf(p, ds[:min(len(ds), decisionsMax)])
	for _, wt := range waits[:min(len(waits), waitsMax)] {
		v.Waiting = append(v.Waiting, waitView{
			Trigger: clean(wt.Trigger), Cart: clean(wt.CartID), Order: clean(wt.OrderID),
			Since: at(wt.Since, c.opt.Zone), Due: at(wt.Due, c.opt.Zone),
		})
	}
	c.page(w, r, http.StatusOK, "people", "People", peopleView{Asked: true, Person: &v})
}

func (c *Console) personOf(p Person, ds []Decision) personView {
	v := personView{
		UserID: p.UserID, Name: p.Name, Email: p.Email, Consent: cmp.Or(clean(p.Consent), "unknown"), Suppressed: clean(p.Suppressed),
		FirstSeen: at(p.FirstSeen, c.opt.Zone), LastSeen: at(p.LastSeen, c.opt.Zone), Masked: !c.opt.Unmask,
		Week: weekOf(p.Hours), BestHour: bestHour(p.Hours), Zone: clean(p.Zone),
	}
	if !c.opt.Unmask {
		v.UserID, v.Name, v.Email = maskID(v.UserID), maskName(v.Name), maskIfAny(v.Email)
	}
	v.UserID, v.Name, v.Email = clean(v.UserID), clean(v.Name), clean(v.Email)
	for _, f := range p.Facts[:min(len(p.Facts), factsMax)] {
		v.Facts = append(v.Facts, c.factOf(f))
	}
	for _, a := range p.Affinities[:min(len(p.Affinities), affinitiesMax)] {
		a.Name, a.Share = clean(a.Name), unit(a.Share)
		v.Affinities = append(v.Affinities, a)
		v.Shares = append(v.Shares, bar{Name: a.Name, Text: percent(uint64(1000*a.Share), 1000), Width: coordinate(100 * a.Share), Tone: "plain"})
	}
	for _, ct := range p.Carts[:min(len(p.Carts), cartsMax)] {
		lines, total := c.cartLines(ct.Lines, ct.Currency)
		v.Carts = append(v.Carts, cartView{clean(ct.ID), clean(ct.State), at(ct.Updated, c.opt.Zone), lines, total})
	}
	v.Viewed = c.neighboursOf(p.Viewed, viewedMax)
	ve := veil{}
	if !c.opt.Unmask {
		ve = veilOf(Mail{To: p.Email, Personal: append(strings.Fields(p.Name), p.UserID)})
	}
	for _, d := range ds {
		v.Decisions = append(v.Decisions, c.decisionOf(d, ve))
	}
	return v
}

func maskIfAny(addr string) string {
	if addr == "" {
		return ""
	}
	return maskAddress(addr)
}

func (c *Console) factOf(f Fact) factLine {
	if f.Personal && !c.opt.Unmask {
		f.Value = maskName(f.Value)
	}
	return factLine{clean(f.Name), clean(f.Value)}
}

// cartLines answers the lines of a cart and what they come to.
func (c *Console) cartLines(lines []CartLine, currency string) (out []cartLine, total string) {
	var sum event.Money
	for i, l := range lines {
		sum += l.Price * event.Money(l.Quantity)
		if i < linesMax {
			out = append(out, cartLine{cmp.Or(clean(l.Name), clean(l.ID)), l.Quantity, c.opt.Money(l.Price, currency), c.itemHref(l.ID)})
		}
	}
	return out, c.opt.Money(sum, currency)
}

// decisionOf says what came of a decision. Reasons and subjects may hold the
// person's name: the veil takes it out.
func (c *Console) decisionOf(d Decision, ve veil) decisionView {
	masked := func(s string) string {
		if c.opt.Unmask {
			return clean(s)
		}
		return clean(ve.text(s))
	}
	lines, _ := c.cartLines(d.Lines, d.Currency)
	v := decisionView{
		ID: clean(d.ID), Outcome: clean(d.Outcome), Tone: outcomeTone(d.Outcome), Reason: masked(d.Reason),
		Pipeline: clean(d.Pipeline), Trigger: clean(d.Trigger), Cart: clean(d.CartID), Order: clean(d.OrderID),
		Started: at(d.Started, c.opt.Zone), Decided: at(d.Decided, c.opt.Zone), Ended: at(d.Ended, c.opt.Zone),
		Subject: masked(d.Subject), Variant: clean(d.Variant), Model: clean(d.Model), Version: cmp.Or(clean(d.Version), "unknown"), File: clean(d.File),
		Lines: lines, Notice: clean(d.Notice),
	}
	if d.Value != 0 { // what was cancelled was never worked out
		v.Value = c.opt.Money(d.Value, d.Currency)
	}
	switch d.Outcome {
	case "sent":
		v.Sentence = "A mail was sent"
	case "skipped":
		v.Sentence = "No mail"
	case "unknown":
		v.Sentence = "Nobody can know whether the mail arrived"
	default:
		v.Sentence = "Decided, and not yet carried out"
	}
	return v
}
