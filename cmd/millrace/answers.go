package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"millrace/engine"
	"millrace/engine/stream"
	"millrace/operators"
	"millrace/operators/event"
	"millrace/operators/privacy"
	"millrace/operators/profile"
	"millrace/operators/recommend"
)

type deadLetter = stream.DeadLetter

// profileView is a person's picture as shown. The address is masked.
type profileView struct {
	User       string                `json:"user"`
	Email      string                `json:"email,omitempty"`
	FirstName  string                `json:"first_name,omitempty"`
	Locale     string                `json:"locale,omitempty"`
	Consent    string                `json:"consent"`
	Suppressed string                `json:"suppressed,omitempty"`
	FirstSeen  time.Time             `json:"first_seen"`
	LastSeen   time.Time             `json:"last_seen"`
	Events     []kindView            `json:"events"`
	Orders     uint64                `json:"orders"`
	Revenue    string                `json:"revenue"`
	Carts      []cartView            `json:"carts"`
	Viewed     []string              `json:"viewed"`
	Categories []weightView          `json:"categories"`
	Brands     []weightView          `json:"brands"`
	Hours      map[string]uint32     `json:"hours"`
	Fields     map[string]any        `json:"fields,omitempty"`   // the declared ones
	Filled     map[string]string     `json:"filled,omitempty"`   // of those declared later: from when the log was read for them
	Segments   []string              `json:"segments,omitempty"` // the declared ones
	Expected   *operators.Expected   `json:"expected,omitempty"` // by the models that the shop names
	Tone       *operators.PersonTone `json:"tone,omitempty"`     // how the person has spoken
	Waiting    []waitView            `json:"waiting"`
	Note       string                `json:"note,omitempty"`
	mergedView
}

// mergedView says what an id has to do with merges of persons.
type mergedView struct {
	Into   string `json:"merged_into,omitempty"` // pseudonym: what is shown is that person's
	Others int    `json:"merged_ids,omitempty"`
	Awaits int    `json:"merges_under_way,omitempty"`
}

func (a *answers) merged(v *engine.View, user string) (mergedView, error) {
	m, err := a.pipeline.Merged(v, user)
	return mergedView(m), err
}

type kindView struct {
	Kind    string    `json:"kind"`
	Count   uint64    `json:"count"`
	Decayed float64   `json:"decayed"`
	Money   string    `json:"money,omitempty"`
	Last    time.Time `json:"last"`
}

type cartView struct {
	ID    string     `json:"id"`
	Last  time.Time  `json:"last"`
	Value string     `json:"value"`
	Items []itemLine `json:"items"`
}

type itemLine struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Quantity int32  `json:"quantity"`
	Price    string `json:"price"`
}

type weightView struct {
	Name   string  `json:"name"`
	Weight float64 `json:"weight"`
}

func (a *answers) profile(v *engine.View, user string) (*profileView, error) {
	p, ok, err := a.pipeline.Person(v, user)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, errNotFound
	}
	out := personView(user, &p, v.Watermark)
	if out.Fields, err = a.pipeline.FieldValues(v, user); err != nil {
		return nil, err
	}
	if len(out.Fields) > 0 && a.files.dir != "" {
		if out.Filled, err = a.files.filledFrom(out.Fields); err != nil {
			return nil, err
		}
	}
	if out.Expected, err = a.pipeline.ExpectedOf(v, user); err != nil {
		return nil, err
	}
	if out.Tone, err = a.pipeline.Tone(v, user); err != nil {
		return nil, err
	}
	if out.Segments, err = a.pipeline.SegmentsOf(v, user); err != nil {
		return nil, err
	}
	if out.Waiting, err = a.waiting(v, user); err == nil {
		out.mergedView, err = a.merged(v, user)
	}
	return out, err
}

func personView(user string, p *profile.Person, now int64) *profileView {
	out := &profileView{
		User: user, Email: privacy.Mask(p.Traits.Email), FirstName: p.Traits.FirstName, Locale: p.Traits.Locale,
		Consent: consentName(p), FirstSeen: when(p.First), LastSeen: when(p.Last), Orders: p.OrderCount(),
		Revenue: money(p.LTV(), p.Currency), Hours: make(map[string]uint32), Note: flagNote(p.Flags),
		Events: []kindView{}, Carts: []cartView{}, Viewed: []string{}, Categories: []weightView{}, Brands: []weightView{},
	}
	if p.Consent.Suppressed {
		out.Suppressed = cmp.Or(p.Consent.Reason, "yes")
	}
	for _, k := range p.Kinds {
		kv := kindView{Kind: event.KindName(k.Kind), Count: k.Count, Decayed: round(p.Count(k.Kind, now)), Last: when(k.Last)}
		if k.Total != 0 {
			kv.Money = money(k.Total, p.Currency)
		}
		out.Events = append(out.Events, kv)
	}
	for i := range p.Carts {
		c := &p.Carts[i]
		if !c.Open() {
			continue
		}
		out.Carts = append(out.Carts, cartView{ID: c.ID, Last: when(c.Last), Value: money(c.Value(), cmp.Or(c.Currency, p.Currency)), Items: lines(c.Contents(), p.Currency)})
	}
	for i := range p.Viewed {
		out.Viewed = append(out.Viewed, p.Viewed[i].ID)
	}
	for _, w := range p.Favourites(8, now) {
		out.Categories = append(out.Categories, weightView{w.Name, round(w.Weight)})
	}
	for _, w := range p.FavouriteBrands(8, now) {
		out.Brands = append(out.Brands, weightView{w.Name, round(w.Weight)})
	}
	for _, h := range p.Hours {
		out.Hours[hourName(int(h.Hour))] = uint32(h.N)
	}
	return out
}

func hourName(h int) string {
	day := time.Weekday((h/24 + 1) % 7)
	return fmt.Sprintf("%s %02d", day.String()[:3], h%24)
}

func lines(items []event.CartItem, currency string) []itemLine {
	out := make([]itemLine, 0, len(items))
	for i := range items {
		out = append(out, itemLine{ID: items[i].ID, Name: items[i].Name, Quantity: items[i].Quantity, Price: money(items[i].Price, currency)})
	}
	return out
}

func consentName(p *profile.Person) string {
	switch p.Consent.State {
	case event.ConsentYes:
		if p.Flags&event.AssumedConsent != 0 {
			return "yes (assumed)"
		}
		return "yes"
	case event.ConsentNo:
		return "no"
	default:
		return "unknown"
	}
}

func flagNote(f event.Flags) string {
	switch {
	case f&event.Synthetic != 0 && f&event.AssumedConsent != 0:
		return "rests on synthetic carts and assumed consent"
	case f&event.Synthetic != 0:
		return "rests on synthetic carts"
	case f&event.AssumedConsent != 0:
		return "rests on assumed consent"
	default:
		return ""
	}
}

// whyView is what was decided about a person, newest first, and what is waited for.
type whyView struct {
	User      string         `json:"user"`
	Decisions []decisionView `json:"decisions"`
	Waiting   []waitView     `json:"waiting"`
	mergedView
}

type decisionView struct {
	ID       string     `json:"id"`
	Pipeline string     `json:"pipeline"`
	Trigger  string     `json:"trigger"`
	About    string     `json:"about"`
	Started  time.Time  `json:"started"`
	Decided  time.Time  `json:"decided"`
	Outcome  string     `json:"outcome"`
	Reason   string     `json:"reason"`
	Subject  string     `json:"subject,omitempty"`
	Model    string     `json:"model,omitempty"`
	Value    string     `json:"value,omitempty"`
	Items    []itemLine `json:"items,omitempty"`
	Note     string     `json:"note,omitempty"`
	// MadeBy is the version of the pipelines that made it, and File the hash of its file.
	MadeBy string `json:"version"`
	File   string `json:"file,omitempty"`

	Written *event.Written `json:"written,omitempty"`
}

func (a *answers) why(v *engine.View, user string) (*whyView, error) {
	_, known, err := a.pipeline.Person(v, user)
	if err != nil {
		return nil, err
	}
	if !known {
		return nil, errNotFound
	}
	decisions, err := a.pipeline.Decisions(v, user)
	if err != nil {
		return nil, err
	}
	out := &whyView{User: user, Decisions: []decisionView{}}
	for i := range slices.Backward(decisions) {
		out.Decisions = append(out.Decisions, viewDecision(&decisions[i]))
	}
	if out.Waiting, err = a.waiting(v, user); err == nil {
		out.mergedView, err = a.merged(v, user)
	}
	return out, err
}

// waitView is a trigger that is armed for a person.
type waitView struct {
	Rule  string    `json:"rule"`
	About string    `json:"about"`
	Since time.Time `json:"since"`
	Due   time.Time `json:"due"`
}

func (a *answers) waiting(v *engine.View, user string) ([]waitView, error) {
	all, err := a.pipeline.Waiting(v, user)
	out := make([]waitView, 0, len(all))
	for i := range all {
		w := &all[i]
		out = append(out, waitView{Rule: w.Rule, About: about(w.About, w.Order), Since: when(w.Activity), Due: when(w.Due)})
	}
	return out, err
}

// about says what a wait or a decision is about.
func about(id string, order bool) string {
	if id == "" {
		return "the person"
	}
	if order {
		return "order " + id
	}
	return "cart " + id
}

func viewDecision(d *event.Decision) decisionView {
	out := decisionView{
		ID: d.ID, Pipeline: d.Pipeline, Trigger: d.Trigger, About: about(cmp.Or(d.OrderID, d.CartID), d.OrderID != ""), Started: when(d.Started), Decided: when(d.Decided),
		Outcome: d.Outcome.String(), Reason: d.Reason, Subject: d.Subject, Model: d.Model, Written: d.Written,
		Items: lines(d.Items, d.Currency), Note: flagNote(d.Flags),
	}
	if d.Value != 0 {
		out.Value = money(d.Value, d.Currency)
	}
	out.MadeBy, out.File = madeBy(d)
	return out
}

// madeBy is the version of the pipelines that made a decision, and the hash of its file.
// Decisions that were kept before they named the version do not tell.
func madeBy(d *event.Decision) (version, file string) {
	number, file := d.MadeBy()
	if number == 0 {
		return "unknown", file
	}
	return strconv.FormatUint(number, 10), file
}

// recommendView is what goes with an item, a visit or a person.
type recommendView struct {
	Of        string                    `json:"of"`
	Name      string                    `json:"name,omitempty"`
	Cold      bool                      `json:"cold,omitempty"`     // nothing is known of the person: what is popular
	Items     []scoredView              `json:"items,omitzero"`     // best first
	Relations map[string][]neighborView `json:"relations,omitzero"` // of an item
	mergedView
}

type scoredView struct {
	ID    string  `json:"id"`
	Name  string  `json:"name"`
	Price string  `json:"price,omitempty"`
	Score float64 `json:"score"`
	Why   string  `json:"why"`
	// Explain is Why with what stands behind it: how many orders, which category.
	Explain string `json:"explain,omitempty"`
}

type neighborView struct {
	ID     string  `json:"id"`
	Name   string  `json:"name"`
	LLR    float64 `json:"llr"`
	Shared float64 `json:"shared"`
}

func (a *answers) item(v *engine.View, id string, n int) (*recommendView, error) {
	it, known, err := a.pipeline.Item(v, id)
	if err != nil || !known {
		return nil, cmp.Or(err, error(errNotFound))
	}
	scored, err := a.pipeline.RecommendSession(v, []string{id}, limit(n))
	if err != nil {
		return nil, err
	}
	out := &recommendView{Of: id, Name: it.Facts.Name, Items: viewScored(scored), Relations: make(map[string][]neighborView)}
	for r := range recommend.RelationCount {
		top, err := a.pipeline.Neighbours(v, id, r, limit(n))
		if err != nil {
			return nil, err
		}
		for i := range top {
			out.Relations[r.String()] = append(out.Relations[r.String()], neighborView{
				ID: top[i].Item, Name: top[i].Facts.Name, LLR: round(top[i].LLR), Shared: round(top[i].Shared),
			})
		}
	}
	return out, nil
}

func limit(n int) int {
	if n <= 0 || n > 1000 {
		return 10
	}
	return n
}

func when(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

func round(f float64) float64 { return float64(int64(f*1000+0.5)) / 1000 }

func letterView(d *deadLetter) letterJSON {
	return letterJSON{
		Number: d.Number, Reason: d.Reason, Detail: d.Detail, Source: d.Source, Type: d.Type, Stream: d.Stream, Seq: d.Seq, Index: d.Index,
		At: d.At.UTC(), Bytes: d.Bytes, Cut: d.Cut,
	}
}

func letterViews(letters []deadLetter) []letterJSON {
	out := make([]letterJSON, 0, len(letters))
	for i := range letters {
		out = append(out, letterView(&letters[i]))
	}
	return out
}
