package configs

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
)

// ToneName is the variable of conditions that a shop with a section sentiment has.
const ToneName = "profile.tone"

// Words for the model that judges texts, beside a version.
const (
	ToneModelCurrent = "current" // promoted in the data directory, else the shipped one
	ToneModelShipped = "shipped" // of the program
)

// Sentiment says how what people write is heard: reviews, replies to mails, and messages
// to the service.
type Sentiment struct {
	Model        string        `json:"model" jsonschema:"title=current or shipped or a version such as sentiment-0a1b2c3d,pattern=^(current|shipped|sentiment-[0-9a-f]{8})$" jsonschema_description:"What judges the texts: a version, which makes a replay judge the same, shipped, or current: the version that was promoted as of the start or activation, else the shipped one (current)."`
	HalfLife     time.Duration `json:"half_life" jsonschema_description:"A text loses half its weight in profile.tone in this time (90d)."`
	Bad          Percent       `json:"bad" jsonschema_description:"A text is a bad experience when it is positive with at most this probability (20%)."`
	Stars        int           `json:"stars" zero:"ok" jsonschema:"minimum=0,maximum=100" jsonschema_description:"How many stars the best review has: they count as much as its text; 0: they do not count (5)."`
	HoldAfterBad time.Duration `json:"hold_after_bad" zero:"ok" jsonschema_description:"After a bad experience nobody is mailed by a journey for so long (7d)."`
	Labels       string        `json:"labels" jsonschema:"enum=no,enum=yes" jsonschema_description:"Whether the least certain texts are kept, masked, for millrace label to ask about (no)."`
	Then         []FollowUp    `json:"then,omitempty" jsonschema:"maxItems=8" jsonschema_description:"What else a bad experience leads to, such as a call of the help desk."`
}

// FollowUp is what a bad experience leads to.
type FollowUp struct {
	ID      string `json:"id" jsonschema:"required,title=a name of lower-case letters and digits and - and _,pattern=^[a-z][a-z0-9_-]*$,maxLength=63" jsonschema_description:"Names the step; it makes the key by which a repeat is known, so it is for good."`
	Webhook string `json:"webhook,omitempty" jsonschema:"maxLength=63" jsonschema_description:"A webhook of shop.yaml, which is called."`
	Publish string `json:"publish,omitempty" jsonschema:"title=a subject such as service.bad,maxLength=100" jsonschema_description:"A NATS subject, behind out., on which a message is published."`
}

// defaults is what a section that says nothing means.
func (s *Sentiment) defaults() {
	const day = 24 * time.Hour
	s.Model = ToneModelCurrent
	s.HalfLife = 90 * day // a season: an old quarrel is no mood
	s.Bad = 0.2           // wrong in one of five at most: a mail held back costs little, a tactless one much
	s.Stars = 5           // what most shops show
	s.HoldAfterBad = 7 * day
	s.Labels = "no" // texts of people are kept only where somebody asks for them
}

// withTone returns the variables with the tone of a shop that listens.
func (e *Env) withTone(shop *Shop) *Env {
	if shop == nil || shop.Sentiment == nil {
		return e
	}
	with, err := NewEnv(append(e.Fields(), Field{Name: ToneName, Type: Float, Doc: "how the person has spoken of late, -1 (angry) to 1 (happy); 0 when nothing was heard"}))
	if err != nil { // another program's variables stand in the way
		return e
	}
	return with
}

// sentiment checks how a shop listens.
func (s *sense) sentiment(shop *Shop) {
	c := shop.Sentiment
	if c == nil {
		return
	}
	if n := s.root.get("sentiment", "bad"); n != nil && n.kind == kindText && (c.Bad <= 0 || c.Bad >= 0.5) {
		s.at(n, "sentiment.bad", "", "got %v, expected more than 0%% and less than 50%%", c.Bad)
	}
	known := slices.Sorted(maps.Keys(shop.Webhooks))
	seen := map[string]bool{}
	for i := range c.Then {
		t, n, path := &c.Then[i], s.root.get("sentiment", "then", strconv.Itoa(i)), fmt.Sprintf("sentiment.then[%d]", i)
		if n == nil || n.kind != kindMapping {
			continue
		}
		if (t.Webhook == "") == (t.Publish == "") {
			s.at(n, path, "", "expected one of webhook and publish")
		}
		if t.Publish != "" && !subject.MatchString(t.Publish) {
			s.at(n.get("publish"), path+".publish", "", "got %q, expected a subject such as service.bad", cut(t.Publish))
		}
		if _, ok := shop.Webhooks[t.Webhook]; t.Webhook != "" && !ok {
			s.at(n.get("webhook"), path+".webhook", nearest(t.Webhook, known), "there is no webhook %s in this file", cut(t.Webhook))
		}
		if seen[t.ID] && t.ID != "" {
			s.at(n.get("id"), path+".id", "", "the name %s is taken by another step", cut(t.ID))
		}
		seen[t.ID] = true
	}
}
