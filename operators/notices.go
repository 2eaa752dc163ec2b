package operators

import (
	"encoding/json"
	"fmt"
	"strings"

	"millrace/configs"
	"millrace/engine"
	"millrace/operators/event"
)

// This file decides, inside the epoch, what a journey does beside mailing. Without a
// journey that says then, none of it is there.

// Kinds of effects that journeys declare.
const (
	EffectWebhook = "webhook"
	EffectPublish = "publish"
)

// Notice is the body of an EffectWebhook and of an EffectPublish, as JSON.
type Notice struct {
	ID      string          `json:"id"`     // HMAC of what it is about: what repeats have in common
	To      string          `json:"to"`     // the webhook's name, or the subject
	Person  string          `json:"person"` // pseudonym
	Payload json.RawMessage `json:"payload"`
}

// NoticePayload is what the other side gets, as JSON. It names no person but by
// pseudonym.
type NoticePayload struct {
	ID       string          `json:"id"`    // of this call or message; a repeat has the same one
	Event    string          `json:"event"` // decided or sent
	Step     string          `json:"step"`  // the id of the journey's step
	At       int64           `json:"at"`    // watermark, Unix milliseconds
	Decision *event.Decision `json:"decision"`
}

// Thens are what journeys do beside mailing, by pipeline.
func Thens(journeys []Journey) map[string][]configs.Then {
	out := make(map[string][]configs.Then)
	for _, j := range journeys {
		if j.Config != nil && len(j.Config.Then) > 0 {
			out[j.Rule.Pipeline] = j.Config.Then
		}
	}
	return out
}

// notify decides the effects of a decision at a moment.
func (p *Pipeline) notify(c *engine.Ctx, d *event.Decision, moment string) {
	for _, t := range p.thens[d.Pipeline] {
		if t.On != moment {
			continue
		}
		n := Notice{ID: p.pseudonyms.Decision("then", d.ID, t.ID, moment), To: t.Webhook, Person: d.Person}
		kind := EffectWebhook
		if t.Publish != "" {
			kind, n.To = EffectPublish, t.Publish
		}
		var err error
		n.Payload, err = json.Marshal(NoticePayload{ID: n.ID, Event: moment, Step: t.ID, At: c.Watermark(), Decision: d})
		if err != nil {
			c.Fail(fmt.Errorf("encode step %s of decision %s: %w", t.ID, d.ID, err))
			return
		}
		p.notice(c, kind, &n)
	}
}

// notice decides one effect. Its lane keeps those of a person and target in order, and
// lets nothing else wait for the target.
func (p *Pipeline) notice(c *engine.Ctx, kind string, n *Notice) {
	body, err := json.Marshal(n)
	if err != nil {
		c.Fail(fmt.Errorf("encode a %s: %w", kind, err))
		return
	}
	c.Effect(kind, kind+"/"+n.To+"/"+n.Person, body)
}

// NoticeTarget is the webhook or subject of a row, from its lane.
func NoticeTarget(row *engine.Row) string {
	_, rest, _ := strings.Cut(row.Lane, "/")
	to, _, _ := strings.Cut(rest, "/")
	return to
}

// redo decides an effect anew that was given up. What no journey could have decided is
// nothing that anybody may ask for.
func (p *Pipeline) redo(c *engine.Ctx, r *event.Redo) {
	var n Notice
	if r.Kind != EffectWebhook && r.Kind != EffectPublish || json.Unmarshal(r.Body, &n) != nil || n.ID == "" || n.To == "" {
		p.reject(c, &event.Reject{Code: event.BadEnvelope, Detail: "the effect to be tried again is none", Source: "redo", Bytes: r.Body})
		return
	}
	p.notice(c, r.Kind, &n)
}
