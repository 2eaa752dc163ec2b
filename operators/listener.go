package operators

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace/configs"
	"millrace/engine"
	"millrace/operators/event"
	"millrace/operators/experiment"
	"millrace/operators/privacy"
	"millrace/operators/profile"
	"millrace/operators/sentiment"
	"millrace/operators/trigger"
	"millrace/state"
)

// This file hears what people write: reviews, replies to mails, and messages to the
// service. Each text is judged once, where it stands in the log; what is kept of it is a
// number. A shop without a section sentiment has none of it.

// Listening says how a shop listens; nil: it does not, which costs nothing. It does not
// change, so many goroutines may use it.
type Listening struct {
	Model   *sentiment.Model
	Version string // of the model; each score records it
	Hold    time.Duration
	Bad     int // at most so many thousandths make a bad experience
	Stars   int
	Labels  bool // keep the least certain texts, masked
	Then    []configs.FollowUp
	Watch   *ToneWatch // counts; nil: nobody does

	tone sentiment.ToneOptions
}

// Listen turns the section sentiment of a set into what the graph keeps; nil without one.
// The model and its version are those that the set names.
func Listen(set *configs.Set, model *sentiment.Model, version string, watch *ToneWatch) *Listening {
	s := set.Shop.Sentiment
	if s == nil {
		return nil
	}
	return &Listening{
		Model: model, Version: version, Hold: s.HoldAfterBad, Bad: sentiment.Score(float64(s.Bad)), Stars: s.Stars,
		Labels: s.Labels == "yes", Then: s.Then, Watch: watch, tone: sentiment.ToneOptions{HalfLife: s.HalfLife},
	}
}

// TonePartName names the tone in a handover.
const TonePartName = "tone"

// checkTonePart answers why the tone in a handover cannot be read, or nil. Without any
// there is nothing to read.
func checkTonePart(b []byte) error {
	if b == nil {
		return nil
	}
	return new(sentiment.Tone).DecodeFrom(b)
}

// NoCampaign is the key of what was written without a mail to answer.
const NoCampaign = "-"

// listener is the operator of the person stage that keeps the tone of each person. It
// holds nothing that changes.
type listener struct {
	*Listening
	pipeline *Pipeline
	cell     *state.Cell[sentiment.Tone, *sentiment.Tone]
	days     *state.Cell[sentiment.ToneDays, *sentiment.ToneDays]
	tones    *engine.Stage[*sentiment.Heard]
}

// addListener adds the operators that listen, if the shop does. It stands behind those that
// tell repeats and robots.
func (p *Pipeline) addListener(o *Options) {
	if o.Listening == nil {
		return
	}
	l := &listener{
		Listening: o.Listening, pipeline: p,
		cell: state.NewPackedCell[sentiment.Tone]("person/tone", o.PeopleMax, nil),
		days: state.NewPackedCell[sentiment.ToneDays]("tone/days", 0, nil),
	}
	l.tones = engine.AddStage[*sentiment.Heard](p.Graph, "tone")
	l.tones.Use("days", step[*sentiment.Heard](l.count))
	p.people.Use("tone", l)
	p.listener = l
	p.Graph.Keep(l.cell, l.days)
}

// useListener lets the triggers know how a person has spoken.
func (p *Pipeline) useListener() {
	if p.listener != nil {
		p.trigger.Listen = p.listener.answer
	}
}

// count keeps how people speak of a campaign.
func (l *listener) count(c *engine.Ctx, h *sentiment.Heard) {
	engine.Value(c, l.days).Add(*h)
	engine.Changed(c, l.days)
}

// answer is what the triggers ask of the person that is being processed.
func (l *listener) answer(c *engine.Ctx) (tone float64, held string) {
	t := engine.Value(c, l.cell)
	return t.Mean(c.Watermark(), l.tone), l.held(t, c.Watermark())
}

// held is why nobody is to be mailed as of a time, or "".
func (l *listener) held(t *sentiment.Tone, now int64) string {
	until := t.HeldUntil(l.Hold)
	if until == 0 || now >= until || now < t.BadAt-l.Hold.Milliseconds() {
		return ""
	}
	return trigger.ReasonBad + ": until " + time.UnixMilli(until).UTC().Format("2006-01-02 15:04")
}

// Process implements engine.Operator.
func (l *listener) Process(c *engine.Ctx, u *profile.Update) {
	switch {
	case u.Event != nil:
		if listens(u.Event.Kind) {
			l.hear(c, u)
		}
	case u.Leave != nil:
		t := engine.Value(c, l.cell)
		u.Leave.Put(TonePartName, t.AppendTo(nil))
		*t = sentiment.Tone{}
		engine.Changed(c, l.cell)
	case u.Join != nil:
		part := u.Join.Part(TonePartName)
		if part == nil {
			return // it left before anybody listened
		}
		var other sentiment.Tone
		if err := other.DecodeFrom(part); err != nil {
			c.Fail(err)
			return
		}
		engine.Value(c, l.cell).Merge(&other, l.tone)
		engine.Changed(c, l.cell)
	}
}

// listens tells whether an event of a kind holds what a person wrote.
func listens(k event.Kind) bool {
	return k == event.ProductReviewed || k == event.EmailReplied || k == event.MessageReceived
}

// hear judges what a person wrote, once, and tells whom it concerns.
func (l *listener) hear(c *engine.Ctx, u *profile.Update) {
	e := u.Event
	if u.Change.Duplicate || u.Change.TooFast || e.Bot || e.Mailing.Machine { // an automatic answer has no tone
		return
	}
	h, ok := l.judge(u)
	if !ok {
		return
	}
	t := engine.Value(c, l.cell)
	t.Hear(h, l.tone)
	engine.Changed(c, l.cell)
	l.Watch.heard(e.Kind, &h)
	l.observe(c, e, h.Score)
	l.tones.Send(c, l.campaign(c, e), &sentiment.Heard{At: h.At, Score: h.Score, Bad: h.Bad})
	if h.Bad && !u.Change.Silent && e.Flags&event.FromImport == 0 {
		l.followUp(c, e, &h)
	}
}

// judge is the verdict on a text and its stars, as far as there are any.
func (l *listener) judge(u *profile.Update) (sentiment.Heard, bool) {
	e := u.Event
	h := sentiment.Heard{At: e.Time, Model: l.Version}
	text := e.Review
	if e.Kind == event.EmailReplied {
		text = sentiment.Reply(text)
	}
	doc := sentiment.NewDoc(text)
	stars, rated := l.stars(e)
	switch {
	case !doc.Empty():
		p := l.Model.Probability(doc)
		l.Watch.judged(l.Version, p)
		h.Score = sentiment.Score(p)
		if rated {
			h.Score = (h.Score + stars) / 2
		}
	case rated:
		h.Score = stars
	default:
		return h, false
	}
	h.Bad = h.Score <= l.Bad || rated && stars == -sentiment.ScoreMax
	if l.Labels && !doc.Empty() {
		names := []string{e.Traits.FirstName, e.Traits.LastName}
		if u.Person != nil {
			names = append(names, u.Person.Traits.FirstName, u.Person.Traits.LastName)
		}
		text = strings.ToValidUTF8(text[:min(len(text), 4*sentiment.AskedTextMax)], "")
		h.Text = privacy.MaskText(text, names...)
	}
	return h, true
}

// stars is the score of a review's stars.
func (l *listener) stars(e *event.Event) (int, bool) {
	if l.Stars < 2 || e.Kind != event.ProductReviewed || !(e.Rating >= 1 && e.Rating <= float64(l.Stars)) {
		return 0, false
	}
	return sentiment.Score((e.Rating - 1) / float64(l.Stars-1)), true
}

// observe tells the experiments of who was mailed.
func (l *listener) observe(c *engine.Ctx, e *event.Event, score int) {
	p := l.pipeline
	if p.experiments.desk == nil || len(engine.Value(c, p.trigger.Cell).Records) == 0 {
		return
	}
	id := cmp.Or(e.MessageID, strconv.FormatInt(e.Time, 10))
	p.experiments.desk.Observe(c, e.Mailing.EmailID, experiment.Outcome{
		ID: experiment.Hash(experiment.OutcomeTone, id), Name: experiment.OutcomeTone, At: e.Time, Amount: int64(score),
	})
}

// answered is for how long after a mail what a person writes is taken to be about it, if
// it names none.
const answered = 7 * 24 * time.Hour

// campaign is the journey whose mail a text is about: the one that it answers, else the
// newest of the days before it.
func (l *listener) campaign(c *engine.Ctx, e *event.Event) string {
	records := engine.Value(c, l.pipeline.trigger.Cell).Records
	if id := e.Mailing.EmailID; id != "" {
		if i := slices.IndexFunc(records, func(d event.Decision) bool { return d.ID == id }); i >= 0 {
			return records[i].Pipeline
		}
	}
	for _, d := range slices.Backward(records) {
		if d.Outcome == event.Sent && d.Decided <= e.Time && e.Time-d.Decided <= answered.Milliseconds() {
			return d.Pipeline
		}
	}
	return NoCampaign
}

// EventBad is the event of a notice about a bad experience.
const EventBad = "bad_experience"

// BadExperience is what the other side gets of a bad experience, as JSON. It names no
// person but by pseudonym, and does not repeat what was written.
type BadExperience struct {
	ID      string `json:"id"`    // of this call or message; a repeat has the same one
	Event   string `json:"event"` // bad_experience
	Step    string `json:"step"`  // the id of the step in shop.yaml
	At      int64  `json:"at"`    // of the text, Unix milliseconds
	Person  string `json:"person"`
	Kind    string `json:"kind"`              // of the event, such as "Email Replied"
	Message string `json:"message"`           // its messageId
	Mail    string `json:"mail,omitempty"`    // the decision that it answers
	Product string `json:"product,omitempty"` // that was reviewed
	Score   int    `json:"score"`             // in thousandths
	Model   string `json:"model"`
}

// followUp decides what a bad experience leads to.
func (l *listener) followUp(c *engine.Ctx, e *event.Event, h *sentiment.Heard) {
	for _, t := range l.Then {
		id := l.pipeline.pseudonyms.Decision("tone", c.Key(), cmp.Or(e.MessageID, strconv.FormatInt(e.Time, 10)), t.ID)
		n := Notice{ID: id, To: cmp.Or(t.Webhook, t.Publish), Person: c.Key()}
		b := BadExperience{
			ID: id, Event: EventBad, Step: t.ID, At: h.At, Person: c.Key(), Kind: e.Kind.String(), Message: e.MessageID,
			Mail: e.Mailing.EmailID, Score: h.Score, Model: h.Model,
		}
		if len(e.Products) > 0 {
			b.Product = e.Products[0].ID
		}
		var err error
		if n.Payload, err = json.Marshal(&b); err != nil {
			c.Fail(fmt.Errorf("encode step %s of a bad experience: %w", t.ID, err))
			return
		}
		kind := EffectWebhook
		if t.Publish != "" {
			kind = EffectPublish
		}
		l.pipeline.notice(c, kind, &n)
	}
}

// toneSize is how many bytes the tone of the current key would hand over.
func (p *Pipeline) toneSize(c *engine.Ctx) int {
	if p.listener == nil {
		return 0
	}
	return len(engine.Value(c, p.listener.cell).AppendTo(nil))
}

// newerTone tells whether a part of a handover was written by a newer version.
func newerTone(err error) bool { return errors.Is(err, sentiment.ErrToneNewer) }
