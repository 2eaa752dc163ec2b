package shop

import (
	"cmp"
	"time"
)

// Options of a Simulation. The zero value is the shop that `millrace dev` shows. A
// rate that is left 0 takes its default; a negative rate means never.
type Options struct {
	Seed     uint64
	Shoppers int       // size of the population, at most 1,000,000
	Start    time.Time // simulated time at which the shop opens

	VisitsDaily float64 // mean sessions of a shopper in a day
	Consent     float64 // share of shoppers who agreed to marketing mail

	Carting       float64 // share of sessions that put something in a cart
	Bought        float64 // share of carts that are bought without a reminder
	BoughtLater   float64 // share of the bought carts that are bought from a later session
	SecondCart    float64 // share of carting sessions with an open cart that open a second one
	Refunded      float64 // share of orders that are refunded
	Reviewed      float64 // share of orders that are reviewed
	ReviewVisits  float64 // share of sessions that review something bought before the simulation
	StartCheckout float64 // share of carting sessions without an order that start the checkout

	Late      float64 // share of events delivered minutes late
	Duplicate float64 // share of events delivered twice, with the same messageId
	Malformed float64 // number of malformed events for each good one
	Quirky    float64 // share of product events that need cleaning (price as text)

	Opened       float64 // share of mails opened
	OpenMachine  float64 // share of mails opened by a machine at once
	Clicked      float64 // share of mails clicked
	Ordered      float64 // share of mails that lead to an order
	Unsubscribed float64 // share of mails that lead to an unsubscription
	Spam         float64 // share of mails marked as spam
	Bounced      float64 // share of mails that bounce after they were taken
}

// withDefaults fills in what was left out, and caps what must be bounded.
func (o Options) withDefaults() Options {
	o.Shoppers = min(cmp.Or(max(o.Shoppers, 0), 2000), 1_000_000) // a small shop; a person costs about 1 kB
	if o.Start.IsZero() {
		o.Start = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC) // a Monday morning: a 40 s run at 720x is a working day
	}
	rate := func(p *float64, standard float64) { *p = max(cmp.Or(*p, standard), 0) }
	rate(&o.VisitsDaily, 4.5) // livelier than life, so that 8 hours of 2,000 shoppers are tens of thousands of events
	o.VisitsDaily = max(o.VisitsDaily, 0.001)
	rate(&o.Consent, 0.80)       // "about 80 %"; the others must never get a mail
	rate(&o.Carting, 0.09)       // shops see carts in 7 to 11 % of sessions
	rate(&o.Bought, 0.30)        // about 70 % of carts are abandoned (Baymard)
	rate(&o.BoughtLater, 0.35)   // a third sleeps on it: these carts are the ones a reminder annoys
	rate(&o.SecondCart, 0.25)    // phone and desktop
	rate(&o.Refunded, 0.06)      // between books (2 %) and fashion (20 % and more)
	rate(&o.Reviewed, 0.15)      // more than life, so that tones can be seen
	rate(&o.ReviewVisits, 0.01)  // old orders are reviewed too, so reviews appear from the first minute
	rate(&o.StartCheckout, 0.25) // about half of those who start the checkout do not finish
	rate(&o.Late, 0.005)         // phones without a signal
	rate(&o.Duplicate, 0.005)    // SDK retries after a lost answer
	rate(&o.Malformed, 0.0005)   // one broken call in the shop's code, to show the dead letters
	rate(&o.Quirky, 0.01)        // seen in most real shops
	rate(&o.Opened, 0.45)        // cart mails: 41 to 52 % (Klaviyo 2017, 2023)
	rate(&o.OpenMachine, 0.05)   // privacy proxies; much more in life, but then nothing else is seen
	rate(&o.Clicked, 0.08)       // 5.3 % on average, 9.5 % for carts, 13 % for the best tenth
	rate(&o.Ordered, 0.03)       // cart order rate near 3.3 %
	rate(&o.Unsubscribed, 0.005) // 0.7 % over all flows
	rate(&o.Spam, 0.001)         // mailbox providers warn at 0.3 %
	rate(&o.Bounced, 0.003)      // most are refused in the dialogue; these come after it
	return o
}
