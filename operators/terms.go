package operators

import (
	"encoding/json"

	"millrace/configs"
	"millrace/engine"
	"millrace/operators/trigger"
)

// Targets of breakers, beside "webhook/NAME".
const (
	TargetMail    = "smtp"
	TargetPublish = "publish"
)

// How many effects of a target are under way at once, of the eight that the engine carries
// out: a mail server and a webhook that hang leave one for all others.
const (
	mailsAtOnce = 4 // as many as there are connections to the mail server
	callsAtOnce = 3 // fewer than connections to a host, so that no call waits for one while its time runs
)

// TermsOf are the terms under which an effect leaves, as a version of the configuration
// says. Dead letters and what goes back into the log are neither paced nor given up; the
// sender of mails gives them up itself, by its journal.
func TermsOf(set *configs.Set, row *engine.Row) engine.Terms {
	switch row.Kind {
	case trigger.EffectMail:
		t := engine.Terms{Target: TargetMail, AtOnce: mailsAtOnce, Paced: true}
		if j := ratedJourney(set, row); j != nil {
			t.Pace, t.Rate = j.Name, perSecond(j.Send.Rate)
		}
		return t
	case EffectWebhook:
		name := NoticeTarget(row)
		h, ok := set.Shop.Webhooks[name]
		if !ok {
			return engine.Terms{Paced: true}
		}
		return engine.Terms{Target: "webhook/" + name, AtOnce: callsAtOnce, Paced: true, Tries: h.Tries, Within: h.GiveUp}
	case EffectPublish:
		return engine.Terms{Target: TargetPublish, AtOnce: callsAtOnce, Paced: true}
	}
	return engine.Terms{}
}

// ratedJourney is the journey that decided a mail, if it says how fast its mails leave.
func ratedJourney(set *configs.Set, row *engine.Row) *configs.Journey {
	rated := false
	for _, j := range set.Journeys {
		rated = rated || j.Send.Rate.Count > 0
	}
	if !rated { // most shops: their rows are not read
		return nil
	}
	var d struct {
		Pipeline string `json:"pipeline"`
	}
	if err := json.Unmarshal(row.Body, &d); err != nil {
		return nil // its handler says what is wrong
	}
	if j := set.Journey(d.Pipeline); j != nil && j.Send.Rate.Count > 0 {
		return j
	}
	return nil
}

func perSecond(r configs.Rate) float64 {
	if r.Per <= 0 {
		return 0
	}
	return float64(r.Count) / r.Per.Seconds()
}

// DeliveryOf says how effects leave a shop: at its rate, under the terms of the version in
// use, which set answers.
func DeliveryOf(shop *configs.Shop, set func() *configs.Set) engine.Delivery {
	return engine.Delivery{
		Rate:  perSecond(shop.Outbox.Rate),
		Terms: func(row *engine.Row) engine.Terms { return TermsOf(set(), row) },
	}
}
