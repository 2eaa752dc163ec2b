package console

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"
)

// demo is a shop made of fixed numbers. It stands behind every interface of the
// console, grows with each look, and is what the tests and the screenshots see.
type demo struct {
	mu      sync.Mutex
	looks   uint64
	hostile bool // names and subjects as an attacker would choose them
	mails   []Mail
	changed chan struct{}
	snap    func(*Snapshot)
}

var demoTime = time.Date(2026, 11, 23, 14, 22, 19, 0, time.UTC)

// evil is what an attacker puts in a field.
const evil = `<script>alert(1)</script>"><img src=x onerror=alert(2)>'\u202e` + "\u202e\x00{{.}}"

func newDemo(mails int) *demo {
	d := &demo{changed: make(chan struct{}, 1)}
	for i := range mails {
		d.mails = append(d.mails, demoMail(i))
	}
	return d
}

var demoPeople = []string{"Ana Duarte <ana.duarte@example.com>", "Bao Chen <bao@example.org>", "Carl Öberg <carl.oberg@example.net>", "Dilek Aydin <dilek@example.com>", "Emma Roth <emma.roth@example.org>"}

func demoMail(i int) Mail {
	firsts := []string{"Ana", "Bao", "Carl", "Dilek", "Emma"}
	subjects := []string{
		"%s, your enamel mug is still in the basket",
		"Still thinking about the blue two-person tent, %s?",
		"%s, a second look at your trail shoes",
		"您的购物车里还有一款手冲壶",
		"The linen apron you chose is waiting, %s",
	}
	name := firsts[i%5]
	subject := subjects[i%5]
	if i%5 != 3 {
		subject = fmt.Sprintf(subject, name)
	}
	m := Mail{
		ID: fmt.Sprintf("d%04x", 0x9f3c+i), Subject: subject, From: "Demo Shop <hello@shop.example>", To: demoPeople[i%5],
		At: demoTime.Add(-time.Duration(i) * 47 * time.Second), Pipeline: "cart-abandonment", Kind: "cart",
		Decision: fmt.Sprintf("5b1f%04x", i*2654435761&0xffff), Fallback: i%7 == 4, Personal: []string{name},
	}
	unsubscribe := "https://shop.example/u?t=eyJ1c2VyIjoidV8xMjMifQ.c2lnbmF0dXJl"
	m.Text = "Hello " + name + ",\n\nyou left these behind:\n\n  Enamel mug, 1 × 14.90 EUR\n  Hand grinder, 1 × 48.00 EUR\n\nYou may also like: Filter papers, Pour-over kettle, Coffee scale.\n\nUnsubscribe: " + unsubscribe + "\n"
	m.HTML = demoHTML(name, unsubscribe)
	m.Headers = []Header{
		{"From", m.From}, {"To", m.To}, {"Subject", m.Subject}, {"Date", m.At.Format(time.RFC1123Z)},
		{"Message-ID", "<" + m.Decision + "@shop.example>"}, {"List-Unsubscribe", "<" + unsubscribe + ">"},
		{"List-Unsubscribe-Post", "List-Unsubscribe=One-Click"}, {"MIME-Version", "1.0"},
	}
	return m
}

func demoHTML(name, unsubscribe string) string {
	return `<!doctype html><html><body style="margin:0;background:#f2efe9;font-family:Helvetica,Arial,sans-serif;color:#2b2520">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0"><tr><td align="center" style="padding:28px 12px">
<table role="presentation" width="100%" style="max-width:560px;background:#fff;border-radius:12px" cellpadding="0" cellspacing="0">
<tr><td style="padding:28px 32px 8px;font-size:20px;font-weight:bold">Demo Shop</td></tr>
<tr><td style="padding:0 32px 20px;font-size:16px;line-height:1.5">Hello ` + name + `,<br>you left two things in your basket. They are still there.</td></tr>
<tr><td style="padding:0 32px"><table width="100%" cellpadding="0" cellspacing="0" style="border-top:1px solid #e8e2d8">
<tr><td style="padding:14px 0"><b>Enamel mug</b><br><span style="color:#8a8074">Kitchen &gt; Mugs</span></td><td align="right">14.90 EUR</td></tr>
<tr><td style="padding:14px 0;border-top:1px solid #e8e2d8"><b>Hand grinder</b><br><span style="color:#8a8074">Kitchen &gt; Coffee</span></td><td align="right" style="border-top:1px solid #e8e2d8">48.00 EUR</td></tr></table></td></tr>
<tr><td style="padding:18px 32px"><a href="https://shop.example/cart" style="display:block;background:#0f766e;color:#fff;text-align:center;padding:14px;border-radius:8px;text-decoration:none;font-weight:bold">Back to my basket</a></td></tr>
<tr><td style="padding:4px 32px 24px"><b>Goes well with it</b><table width="100%"><tr><td width="33%" style="background:#f7f4ee;padding:12px;border-radius:8px">Filter papers<br>6.50 EUR</td><td width="33%" style="background:#f7f4ee;padding:12px">Pour-over kettle<br>59.00 EUR</td><td style="background:#f7f4ee;padding:12px">Coffee scale<br>32.00 EUR</td></tr></table></td></tr>
</table><p style="font-size:12px;color:#8a8074"><a href="` + unsubscribe + `" style="color:#8a8074">Unsubscribe</a> · Demo Shop, 1 Mill Lane</p></td></tr></table></body></html>`
}

// Stats grows by a rate that goes up and down, as a shop's does.
func (d *demo) Stats() Snapshot {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.looks++
	n := d.looks
	wave := 9000 * (math.Sin(float64(n)/17) + math.Sin(float64(n)/5.3)/3 + math.Sin(float64(n)/2.1)/9)
	s := Snapshot{
		State: "running", Events: 412310 + 720*n + uint64(9000+wave), Watermark: demoTime.Add(time.Duration(n) * time.Second), Lag: 412 * time.Millisecond,
		Triggers: 1184 + n/3, Cancelled: 402 + n/5, Mails: 612 + n/4, Timers: 18204 + n, Outbox: 3 + n%4, Epoch: 9120 + n,
		Repeats: 1931, MemoryBytes: 187<<20 + n<<12, FallbackSubjects: 11,
		Outcomes: []Count{{"sent", 612 + n/4}, {"skipped", 561}, {"pending", 3 + n%4}, {"unknown", 1}},
		Reasons:  []Count{{"bought meanwhile", 402}, {"no consent", 96}, {"cap: 3 in 7 days", 41}, {"holdout", 22}},
	}
	if d.hostile {
		s.Reasons[0].Name, s.State = evil, evil
	}
	if d.snap != nil {
		d.snap(&s)
	}
	return s
}

// Graph is the pipeline of cart-abandonment.yaml.
func (d *demo) Graph() ([]Node, []Edge) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.looks
	nodes := []Node{
		{ID: "log", Label: "log", Kind: KindLog, Total: 620 * n, Note: "JetStream"},
		{ID: "identity", Label: "identity", Kind: KindOperator, Stage: "visitor", Total: 610 * n, Note: "4 102 open"},
		{ID: "profile", Label: "profile", Kind: KindOperator, Stage: "person", Total: 604 * n, Note: "9 840 people"},
		{ID: "trigger", Label: "abandoned cart", Kind: KindOperator, Stage: "person", Total: 118 * n},
		{ID: "exchange", Label: "exchange", Kind: KindExchange, Stage: "item", Total: 402 * n, Note: "by item"},
		{ID: "co", Label: "co-occurrence", Kind: KindOperator, Stage: "item", Total: 402 * n, Note: "2 311 items"},
		{ID: "outbox", Label: "outbox", Kind: KindOutbox, Stage: "effects", Total: n / 3, Note: "4 pending"},
		{ID: "content", Label: "content", Kind: KindEffect, Stage: "effects", Total: n / 3, Note: "LSTM 41 ms"},
		{ID: "send", Label: "send", Kind: KindEffect, Stage: "effects", Total: n / 4, Note: "SMTP"},
	}
	edges := []Edge{
		{From: "log", To: "identity", Label: "events", Total: 610 * n},
		{From: "identity", To: "profile", Label: "events", Total: 604 * n},
		{From: "profile", To: "trigger", Label: "cart events", Total: 118 * n},
		{From: "profile", To: "exchange", Label: "items seen", Total: 402 * n},
		{From: "exchange", To: "co", Label: "pairs", Total: 402 * n},
		{From: "trigger", To: "outbox", Label: "decisions", Total: n / 3},
		{From: "co", To: "content", Label: "recommendations", Total: n / 3},
		{From: "outbox", To: "content", Label: "decisions", Total: n / 3, Fill: .2},
		{From: "content", To: "send", Label: "drafts", Total: n / 4},
		{From: "send", To: "log", Label: "receipts", Total: n / 4, Feedback: true},
	}
	if d.hostile {
		nodes[2].Label, nodes[2].Note, nodes[2].Kind, edges[1].Label = evil, evil, evil, evil
	}
	return nodes, edges
}

func (d *demo) List(_ context.Context, offset, limit int) ([]Mail, int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	offset = min(offset, len(d.mails))
	return d.mails[offset:min(len(d.mails), offset+limit)], len(d.mails), nil
}

func (d *demo) Get(_ context.Context, id string) (Mail, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, m := range d.mails {
		if m.ID == id {
			return m, nil
		}
	}
	return Mail{}, fmt.Errorf("mail %q: %w", id, ErrNotFound)
}

func (d *demo) Subscribe(context.Context) <-chan struct{} { return d.changed }

// put adds a mail in front, as a sender would.
func (d *demo) put(m Mail) {
	d.mu.Lock()
	d.mails = append([]Mail{m}, d.mails...)
	d.mu.Unlock()
	select {
	case d.changed <- struct{}{}:
	default:
	}
}

func (d *demo) Profile(_ context.Context, userID string) (Person, error) {
	if userID != "u_123456" {
		return Person{}, ErrNotFound
	}
	p := Person{
		UserID: userID, Name: "Ana Duarte", Email: "ana.duarte@example.com", Consent: "yes",
		FirstSeen: demoTime.AddDate(0, -7, -3), LastSeen: demoTime.Add(-38 * time.Minute), Zone: "Europe/Lisbon",
		Facts:      []Fact{{"Orders", "4", false}, {"Spent", "212.40 EUR", false}, {"Segment", "returning", false}, {"Phone", "+351 912 345 678", true}},
		Affinities: []Weight{{"Kitchen > Coffee", .52}, {"Kitchen > Mugs", .23}, {"Outdoor > Tents", .14}, {"Garden", .06}},
		Viewed:     []Neighbour{{ID: "sku9", Name: "Enamel mug", Count: 4}, {ID: "sku12", Name: "Hand grinder", Count: 2}, {ID: "sku31", Name: "Pour-over kettle", Count: 1}},
		Carts: []Cart{{ID: "c1", State: "left", Updated: demoTime.Add(-98 * time.Minute), Currency: "EUR",
			Lines: []CartLine{{"sku9", "Enamel mug", 2, 1490}, {"sku12", "Hand grinder", 1, 4800}}}},
	}
	for day := range p.Hours {
		for h := range p.Hours[day] {
			evening := math.Exp(-math.Pow(float64(h)-20, 2)/8) * (1 + float64(day%5)/3)
			p.Hours[day][h] = math.Floor(6*evening + 2*math.Exp(-math.Pow(float64(h)-12, 2)/3))
		}
	}
	if d.hostile {
		p.Name, p.Email, p.Consent, p.Suppressed, p.Zone = evil, evil, evil, evil, evil
		p.Facts[0], p.Carts[0].Lines[0].Name, p.Affinities[0].Name, p.Viewed[0].Name = Fact{evil, evil, false}, evil, evil, evil
	}
	return p, nil
}

func (d *demo) Decisions(_ context.Context, _ string, limit int) ([]Decision, error) {
	lines := []CartLine{{"sku9", "Enamel mug", 2, 1490}, {"sku12", "Hand grinder", 1, 4800}}
	one := Decision{ID: "5b1f00aa", Pipeline: "cart-abandonment", Trigger: "abandoned", CartID: "c1", Value: 7780, Currency: "EUR", Version: "3", File: "9f3c"}
	sent, bought, capped := one, one, one
	sent.Started, sent.Decided, sent.Ended = demoTime.Add(-98*time.Minute), demoTime.Add(-38*time.Minute), demoTime.Add(-37*time.Minute)
	sent.Outcome, sent.Subject, sent.Model, sent.Lines = "sent", "Ana, your enamel mug is still in the basket", "subject-lstm@v3", lines
	sent.Reason = "the cart rested for 1 h, consent is given, 77.80 EUR is above 30"
	bought.ID, bought.CartID, bought.Started, bought.Decided = "5b1f00a9", "c0", demoTime.AddDate(0, 0, -9).Add(-time.Hour), demoTime.AddDate(0, 0, -9)
	bought.Outcome, bought.Reason, bought.Ended = "skipped", "bought meanwhile: order o_881, read 4 min before the timer", bought.Decided
	capped.ID, capped.CartID, capped.Started, capped.Decided = "5b1f00a8", "b7", demoTime.AddDate(0, 0, -16).Add(-time.Hour), demoTime.AddDate(0, 0, -16)
	capped.Outcome, capped.Reason, capped.Notice = "skipped", "cap: 3 mails in 7 days are used up", "synthetic carts"
	again := bought
	again.ID, again.Pipeline, again.Trigger, again.CartID, again.OrderID, again.Value = "5b1f00a7", "post-purchase", "ordered", "", "o_774", 0
	again.Reason, again.Decided, again.Ended = "cancelled: another order followed", demoTime.AddDate(0, 0, -20), demoTime.AddDate(0, 0, -20)
	bought.Value = 0 // nothing was worked out for what did not fire
	out := []Decision{sent, bought, capped, again}
	if d.hostile {
		out[0].Reason, out[0].Subject, out[0].Pipeline, out[0].Outcome, out[0].Notice = evil, evil, evil, evil, evil
	}
	return out[:min(limit, len(out))], nil
}

func (d *demo) Waiting(context.Context, string) ([]Wait, error) {
	out := []Wait{
		{Trigger: "cart-abandonment/abandoned", CartID: "c2", Since: demoTime.Add(-20 * time.Minute), Due: demoTime.Add(40 * time.Minute)},
		{Trigger: "post-purchase/ordered", OrderID: "o_881", Since: demoTime.AddDate(0, 0, -2), Due: demoTime.AddDate(0, 0, 5)},
	}
	if d.hostile {
		out[0].Trigger, out[0].CartID, out[1].OrderID = evil, evil, evil
	}
	return out, nil
}

func (d *demo) Top(_ context.Context, limit int) ([]Item, error) {
	names := []string{"Enamel mug", "Hand grinder", "Pour-over kettle", "Filter papers", "Coffee scale", "Linen apron", "Two-person tent", "Trail shoes"}
	var out []Item
	for i, n := range names {
		out = append(out, Item{ID: fmt.Sprintf("sku%d", 9+3*i), Name: n, Score: 812 / float64(i+1)})
	}
	if d.hostile {
		out[0].Name, out[0].ID = evil, evil
	}
	return out[:min(limit, len(out))], nil
}

func (d *demo) Item(_ context.Context, id string) (Item, error) {
	if id != "sku12" {
		return Item{}, ErrNotFound
	}
	it := Item{ID: id, Name: "Hand grinder", Category: "Kitchen > Coffee", Facts: []Fact{{"Price", "48.00 EUR", false}, {"Bought", "211 times", false}},
		Relations: []Relation{
			{"Bought together", []Neighbour{{"sku15", "Pour-over kettle", 41.2, 88}, {"sku18", "Filter papers", 33.9, 71}, {"sku21", "Coffee scale", 20.4, 40}, {"sku9", "Enamel mug", 8.1, 33}}},
			{"Put in a cart together", []Neighbour{{"sku18", "Filter papers", 29.7, 140}, {"sku15", "Pour-over kettle", 27.2, 122}}},
			{"Seen together", []Neighbour{{"sku15", "Pour-over kettle", 18.8, 702}, {"sku21", "Coffee scale", 9.3, 388}}},
		}}
	if d.hostile {
		it.Name, it.Category, it.Relations[0].Name, it.Relations[0].Neighbours[0].Name = evil, evil, evil, evil
	}
	return it, nil
}

func (d *demo) DeadLetters(_ context.Context, offset, limit int) ([]DeadLetter, int, error) {
	reasons := []string{"event: got number, want string", "unexpected end of JSON at byte 118", "body is not UTF-8 at byte 44"}
	var out []DeadLetter
	for i := range reasons {
		l, _ := d.DeadLetter(context.Background(), fmt.Sprint(i))
		l.Reason = reasons[i]
		if d.hostile {
			l.Reason, l.Position, l.Source = evil, evil, evil
		}
		out = append(out, l)
	}
	offset = min(offset, len(out))
	return out[offset:min(len(out), offset+limit)], len(out), nil
}

func (d *demo) DeadLetter(_ context.Context, id string) (DeadLetter, error) {
	if len(id) != 1 || id[0] < '0' || id[0] > '2' {
		return DeadLetter{}, ErrNotFound
	}
	body := `{"type":"track","event":42,"userId":"u_123456","traits":{"email":"ana.duarte@example.com"},"properties":{"total":19.9,` + "\xff\x00\u202e"
	if d.hostile {
		body += evil
	}
	return DeadLetter{ID: id, At: demoTime.Add(-3 * time.Minute), Reason: "unexpected end of JSON at byte 118", Position: "events, sequence 41 231, event 3",
		Source: "web", Size: len(body), Bytes: []byte(body)}, nil
}

// demoOptions is a console with everything.
func demoOptions(d *demo) Options {
	return Options{
		Stats: d, Graph: d, Inbox: d, People: d, Items: d, DeadLetters: d, Title: "Demo Shop",
		Checks: []Check{{"nats", func(context.Context) error { return nil }}, {"state", func(context.Context) error { return nil }}},
	}
}
