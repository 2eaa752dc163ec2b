package shop

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"millrace/operators/event"
)

// MailSeen is a mail that arrived in an inbox. What is longer than a mail can be is
// cut; an unknown recipient is counted and nothing happens.
type MailSeen struct {
	ID       string    // the decision id; the same id again is a repeated mail
	To       string    // the address, matched without regard to case
	Subject  string    //
	Campaign string    // the pipeline
	At       time.Time // when it arrived, in simulated time; not before the last event counts
	Links    []string  // what can be clicked; none: the shop's front page
	Items    []string  // product ids that the mail shows
}

// maxMailText is how much of each text of a mail the mailbox repeats in its events.
const maxMailText = 1000

// click is a coming visit from a mail.
type click struct {
	dice     *dice
	campaign string
	product  int // shown in the mail, or -1
	order    bool
}

// Delivered lets the recipient of a mail react later, in simulated time: open, click,
// buy, unsubscribe, complain. The reaction depends only on the seed and the mail's id,
// and on no other mail.
func (s *Simulation) Delivered(m MailSeen) {
	who, ok := s.byEmail[strings.ToLower(strings.TrimSpace(m.To))]
	if !ok {
		s.stats.MailsUnknown++
		return
	}
	p := &s.people[who]
	hash := hashText(m.ID)
	if slices.Contains(p.mails, hash) {
		s.stats.MailsRepeated++
		return
	}
	p.mails = append(p.mails[max(0, len(p.mails)+1-maxMails):], hash)
	s.stats.MailsSeen++
	if !p.consent {
		s.stats.MailsUnconsented++
	}
	b := &mailbox{s: s, p: p, who: who, dice: newDice(s.options.Seed, hashText("mail"), hash), mail: m, hash: hash}
	b.mail.ID, b.mail.Subject, b.mail.Campaign = cutText(m.ID), cutText(m.Subject), cutText(m.Campaign)
	b.at = max(m.At.UnixMilli(), s.now)
	b.react()
}

func cutText(s string) string { return strings.ToValidUTF8(s[:min(len(s), maxMailText)], "") }

// mailbox is one mail on its way through its recipient's hands.
type mailbox struct {
	s      *Simulation
	p      *person
	who    int
	dice   *dice
	mail   MailSeen
	hash   uint64
	at     int64
	events uint64
}

// react draws what becomes of the mail. Rates are given per mail, so each is divided
// by the rate of the step that must come before it.
func (b *mailbox) react() {
	o, d, stats := &b.s.options, b.dice, &b.s.stats
	if d.chance(o.Bounced) {
		b.wait(5*time.Second, 10*time.Minute)
		b.report(event.EmailBounced, "")
		stats.MailsBounced++
		return
	}
	b.wait(200*time.Millisecond, 3*time.Second)
	b.report(event.EmailDelivered, "")
	if d.chance(o.OpenMachine) {
		b.wait(2*time.Second, 30*time.Second)
		b.report(event.EmailOpened, "machine")
		stats.MailsOpenedMachine++
	}
	if !d.chance(o.Opened) {
		return
	}
	// Half of the openers have opened after half an hour.
	b.at += millis(15*time.Second + min(d.waiting(45*time.Minute), 48*time.Hour))
	b.report(event.EmailOpened, "")
	stats.MailsOpened++
	opened := max(o.Opened, 1e-9)
	switch u := d.unit() * opened; {
	case u < o.Clicked:
		b.click(u < o.Ordered)
	case u < o.Clicked+o.Unsubscribed:
		b.wait(5*time.Second, 60*time.Second)
		b.report(event.Unsubscribed, "")
		b.p.consent = false
		stats.MailsUnsubscribed++
	case u < o.Clicked+o.Unsubscribed+o.Spam:
		b.wait(3*time.Second, 30*time.Second)
		b.report(event.EmailMarkedAsSpam, "")
		b.p.consent = false
		stats.MailsMarkedAsSpam++
	case d.chance(0.2): // a second look in the evening
		b.wait(time.Hour, 10*time.Hour)
		b.report(event.EmailOpened, "")
	}
}

// click follows a link of the mail and plans the visit it leads to.
func (b *mailbox) click(order bool) {
	b.wait(5*time.Second, 2*time.Minute)
	link := site + "/"
	if n := len(b.mail.Links); n > 0 {
		link = cutText(b.mail.Links[b.dice.popular(n)])
	}
	b.report(event.EmailLinkClicked, link)
	b.s.stats.MailsClicked++
	product := -1
	if n := len(b.mail.Items); n > 0 {
		if at, ok := b.s.stock.byID[b.mail.Items[b.dice.popular(n)]]; ok {
			product = at
		}
	}
	c := &click{dice: newDice(b.dice.Uint64()), campaign: b.mail.Campaign, product: product, order: order}
	b.s.push(b.who, pending{at: b.at + 1500, what: doClick, click: c})
}

func (b *mailbox) wait(low, high time.Duration) { b.at += millis(b.dice.between(low, high)) }

// report sends what the mailbox did. The detail is the link of a click, or "machine"
// for an open by a machine.
func (b *mailbox) report(kind event.Kind, detail string) {
	b.events++
	w := &wire{b: make([]byte, 0, 1024)}
	w.b = append(w.b, '{')
	w.text("type", "track")
	w.text("userId", b.p.UserID)
	w.text("event", eventName(kind))
	w.open("properties")
	w.text("email_id", b.mail.ID)
	w.text("email_subject", b.mail.Subject)
	w.text("campaign_id", b.mail.Campaign)
	w.text("campaign_name", b.mail.Campaign)
	switch kind {
	case event.EmailLinkClicked:
		w.text("link_id", fmt.Sprintf("l-%08x", uint32(hashText(detail))))
		w.text("link_url", detail)
	case event.EmailOpened:
		w.flag("machine", detail == "machine")
	case event.EmailBounced:
		w.text("bounce_type", "hard")
		w.text("smtp_code", "550")
		w.text("enhanced_code", "5.1.1")
	}
	w.close()
	b.context(w, kind, detail)
	id := make([]byte, 0, 32)
	id = appendHex(append(id, "mailbox-"...), mix(b.hash^mix(b.events)), 16)
	b.s.deliver(b.who, b.dice, w.finish(b.at, string(id)), kind, b.at, w)
}

// context writes who read the mail, and where.
func (b *mailbox) context(w *wire, kind event.Kind, detail string) {
	w.open("context")
	w.open("library")
	w.text("name", "@segment/analytics-node")
	w.text("version", "3.1.0")
	w.close()
	w.open("traits")
	w.text("email", b.p.Email)
	w.close()
	switch kind {
	case event.EmailDelivered, event.EmailBounced:
	default:
		agent := "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"
		if b.p.Mobile {
			agent = "Mozilla/5.0 (Linux; Android 15; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36"
		}
		if detail == "machine" {
			agent = "Mozilla/5.0"
		}
		w.text("ip", fmt.Sprintf("198.51.100.%d", 1+b.hash%254)) // TEST-NET-2, RFC 5737
		w.text("userAgent", agent)
		w.text("user_agent", agent)
	}
	w.text("locale", b.p.Locale)
	w.text("timezone", b.p.Timezone)
	w.close()
}

// follow is the visit that a click leads to.
func (v *visit) follow(c *click) {
	v.campaign = c.campaign
	v.enter()
	v.tellTraits(0)
	if n := len(v.p.carts); n > 0 {
		open := &v.p.carts[n-1]
		v.viewCart(open)
		if c.order {
			v.orderFromMail(open)
		}
		return
	}
	product := c.product
	if product < 0 {
		product = v.choose(v.interest())
	}
	v.view(product)
	if c.order {
		fresh := v.pickCart()
		v.add(fresh, product)
		v.orderFromMail(fresh)
	}
}

func (v *visit) orderFromMail(c *cart) {
	v.buy(c)
	v.s.stats.MailsOrdered++
}
