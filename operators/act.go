package operators

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"millrace/engine"
	"millrace/operators/content"
	"millrace/operators/event"
	"millrace/operators/mail"
	"millrace/operators/profile"
	"millrace/operators/recommend"
)

// SendOptions say how decisions are carried out. Writer, Sender, Signer and Publish
// are required.
type SendOptions struct {
	Writers map[string]*content.Writer // by pipeline, and by pipeline/variant where a variant differs
	Sender  *mail.Sender
	Signer  *mail.Signer
	// Publish puts a receipt in the log. Publishing it twice under its id is harmless.
	Publish func(ctx context.Context, id string, receipt *event.Receipt) error
	// Step is called at "before-receipt", for crash tests.
	Step func(point string)

	From    mail.Address
	Shop    string // the shop's name
	ShopURL string
	// CartURL gives the page of a cart, or "" where the shop names none.
	CartURL func(id string) string
	// LinkURL is where the endpoints behind the links of a mail are reached.
	LinkURL string
	// TrackClicks and TrackOpens let the links and a pixel of the HTML part report there.
	TrackClicks, TrackOpens bool

	// Tone picks how a mail to a person speaks, Stock tells how many are left of the main
	// item (0: unknown) and what it cost before its price fell, and Design picks a layout,
	// with its probability. All may be nil.
	Tone   func(*profile.Person) content.Tone
	Stock  func(*engine.View, []event.CartItem) (left int, was event.Money)
	Design func(*event.Decision, []content.Design) (content.Design, float64)
	// Unfair is told when the groups of a trait begin to differ too much in the offers they
	// get; nil for nobody.
	Unfair func(trait string, ratio float64)
}

// Mailer carries out the decisions to mail somebody. The order of its steps is the
// order below. Safe for concurrent use.
type Mailer struct {
	o        SendOptions
	pipeline *Pipeline
	journeys map[string]Journey
	Content  *ContentCounts
}

// NewMailer makes the handler of trigger.EffectMail for the journeys of a pipeline.
func NewMailer(p *Pipeline, journeys []Journey, o SendOptions) *Mailer {
	m := &Mailer{o: o, pipeline: p, journeys: make(map[string]Journey), Content: newContentCounts()}
	for _, j := range journeys {
		m.journeys[j.Rule.Pipeline] = j
	}
	if m.o.CartURL == nil {
		m.o.CartURL = func(string) string { return "" }
	}
	if m.o.Step == nil {
		m.o.Step = func(string) {}
	}
	return m
}

// Handle implements engine.Handler: re-check, recommend, write, render, send once,
// report.
func (m *Mailer) Handle(ctx context.Context, v *engine.View, row engine.Row) (engine.Result, time.Duration, error) {
	var d event.Decision
	if err := json.Unmarshal(row.Body, &d); err != nil {
		return engine.Again, time.Hour, fmt.Errorf("decision in row %d: %w", row.ID, err)
	}
	owner, err := m.pipeline.owner(v, d.Person)
	if err != nil {
		return engine.Again, 0, err
	}
	if owner.awaits > 0 { // what is on its way may forbid the mail
		return engine.Again, mergeWait, nil
	}
	if owner.capped, err = m.pipeline.promised(v, &d, owner); err == nil && owner.capped == "" {
		owner.capped, err = m.pipeline.heldBack(v, owner.person, &d)
	}
	if err != nil {
		return engine.Again, 0, err
	}
	p, _, err := engine.Read(v, m.pipeline.keeper.Cell, owner.person)
	if err != nil {
		return engine.Again, 0, err
	}
	r, after, err := m.send(ctx, v, &d, &p, owner)
	if err != nil {
		return engine.Again, after, err
	}
	r.Person, r.At = d.Person, v.Watermark
	r.Effect = strconv.FormatUint(row.ID, 10)
	m.o.Step("before-receipt")
	if err := m.o.Publish(ctx, "receipt/"+r.Effect+"/"+d.ID, &r); err != nil {
		return engine.Again, time.Second, fmt.Errorf("receipt of row %d: %w", row.ID, err)
	}
	return engine.Reported, 0, nil
}

// recheck looks once more whether a decision holds. What was imported lies in the past:
// its mails are taken to leave when they were decided.
func (m *Mailer) recheck(d *event.Decision, p *profile.Person, owner ownership, now int64) string {
	if owner.capped != "" {
		return owner.capped
	}
	if d.Flags&event.FromImport != 0 {
		return m.pipeline.triggers.RecheckReplay(d, p)
	}
	return m.pipeline.triggers.Recheck(d, p, now)
}

// send sends the mail of a decision, unless the re-check finds that it does not hold any
// more, and says what came of it. The re-check is the sender's to ask for: a mail that
// left before a crash, or may have, is not skipped for what happened since.
func (m *Mailer) send(ctx context.Context, v *engine.View, d *event.Decision, p *profile.Person, owner ownership) (event.Receipt, time.Duration, error) {
	var written *event.Written
	result, err := m.o.Sender.Send(ctx, mail.Job{
		Decision: d.ID, Person: owner.person, List: d.Pipeline, To: p.Traits.Email, Policy: mail.AtMostOnce,
		Hold: func() string { return m.recheck(d, p, owner, v.Watermark) },
		Render: func(ctx context.Context) (letter mail.Letter, err error) {
			letter, written, err = m.write(ctx, v, d, p)
			return letter, err
		},
	})
	var retry *mail.RetryError
	var refused *mail.AddressError
	switch {
	case err == nil:
		if result.Receipt.Outcome != event.Skipped {
			result.Receipt.Written = written
		}
		return result.Receipt, 0, nil
	case errors.As(err, &retry) && retry.Host:
		return event.Receipt{}, retry.After, fmt.Errorf("%w: %w", engine.ErrTarget, err)
	case errors.As(err, &retry):
		return event.Receipt{}, retry.After, err
	case errors.As(err, &refused):
		return event.Receipt{Decision: d.ID, Outcome: event.Skipped, Reason: "address refused: " + refused.Reason}, 0, nil
	default:
		return event.Receipt{}, time.Second, err
	}
}

// write makes the mail: recommendations, words, MIME.
func (m *Mailer) write(ctx context.Context, v *engine.View, d *event.Decision, p *profile.Person) (mail.Letter, *event.Written, error) {
	j := m.journeys[d.Pipeline]
	unsubscribe, err := m.link("/u/", func() (string, error) {
		return m.o.Signer.Unsubscribe(mail.Leave{Person: d.Person, Decision: d.ID})
	})
	if err != nil {
		return mail.Letter{}, nil, err
	}
	req := content.Request{
		DecisionID: d.ID, Kind: d.Kind, Language: p.Traits.Locale, FirstName: p.Traits.FirstName,
		Returning: p.OrderCount() > 0, New: p.OrderCount() == 0, Value: d.Value, Currency: d.Currency,
		Items: d.Items, ShopName: m.o.Shop, ShopURL: m.o.ShopURL, UnsubscribeURL: unsubscribe, Note: note(d.Flags),
	}
	for _, f := range p.Favourites(8, v.Watermark) {
		req.Interests = append(req.Interests, content.Interest{Category: f.Name, Weight: f.Weight})
	}
	if len(d.Items) > 0 {
		req.Category = d.Items[0].Category
	}
	req.CartURL = m.target(d)
	if err := m.track(&req, d); err != nil {
		return mail.Letter{}, nil, err
	}
	scored, err := m.pipeline.recommend(v, &j, d, p)
	if err != nil {
		return mail.Letter{}, nil, err
	}
	for i := range scored {
		req.Recommended = append(req.Recommended, cartItem(&scored[i]))
	}
	draft, written, err := m.compose(ctx, v, d, p, &req)
	if err != nil {
		return mail.Letter{}, nil, fmt.Errorf("write mail of decision %s: %w", d.ID, err)
	}
	msg := mail.Message{
		Decision: d.ID, Draft: draft, From: m.o.From, To: mail.Address{Name: p.Traits.FullName(), Addr: p.Traits.Email},
		Date: time.UnixMilli(d.Decided).UTC(), Unsubscribe: unsubscribe, Stream: d.Pipeline, Kind: d.Kind,
	}
	raw, err := msg.Render()
	if err != nil {
		return mail.Letter{}, nil, err
	}
	return mail.Letter{
		From: m.o.From.Addr, To: p.Traits.Email, Subject: draft.Subject, Model: draft.Model, Fallback: draft.Fallback, Bytes: raw,
	}, written, nil
}

// target is where the button of a mail leads: of a mail about a cart to the cart, if the
// shop names a page for carts; else to the first product that the mail is about, if any.
func (m *Mailer) target(d *event.Decision) string {
	if d.Kind == "cart" || d.Kind == "checkout" {
		if page := m.o.CartURL(d.CartID); page != "" {
			return page
		}
	}
	for i := range d.Items {
		if d.Items[i].URL != "" {
			return d.Items[i].URL
		}
	}
	return ""
}

// track lets what a reader does with the mail report back, if the shop wants that. An
// address that no token takes leads there directly.
func (m *Mailer) track(req *content.Request, d *event.Decision) error {
	if m.o.TrackClicks {
		req.Link = func(address string) string {
			tracked, err := m.link("/c/", func() (string, error) { return m.o.Signer.Click(d.Person, d.ID, address) })
			if err != nil {
				return address
			}
			return tracked
		}
	}
	if !m.o.TrackOpens {
		return nil
	}
	pixel, err := m.link("/o/", func() (string, error) { return m.o.Signer.Open(d.Person, d.ID) })
	if err == nil {
		req.Pixel = pixel + ".gif"
	}
	return err
}

func (m *Mailer) link(path string, token func() (string, error)) (string, error) {
	t, err := token()
	if err != nil {
		return "", fmt.Errorf("sign link: %w", err)
	}
	return url.JoinPath(m.o.LinkURL, path, t)
}

// note says what a reader must know of a mail that rests on made-up facts.
func note(f event.Flags) string {
	switch {
	case f&event.Synthetic != 0 && f&event.AssumedConsent != 0:
		return "Made from synthetic carts; consent is assumed."
	case f&event.Synthetic != 0:
		return "Made from synthetic carts."
	case f&event.AssumedConsent != 0:
		return "Consent is assumed."
	default:
		return ""
	}
}

func cartItem(s *recommend.Scored) event.CartItem {
	return event.CartItem{
		ID: s.Item, Name: s.Facts.Name, Category: s.Facts.Category, URL: s.Facts.URL, ImageURL: s.Facts.ImageURL,
		Price: s.Facts.Price, Quantity: 1,
	}
}
