package configs

import (
	"cmp"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Shop is the base graph that all journeys share: shop.yaml. It is not changed after
// loading, so many goroutines may read it.
type Shop struct {
	APIVersion string                 `json:"apiVersion" jsonschema:"required,enum=v1" jsonschema_description:"Version of the form of this file."`
	Name       string                 `json:"shop" jsonschema:"required,title=a name of lower-case letters and digits and -,pattern=^[a-z][a-z0-9-]*$,maxLength=63" jsonschema_description:"Name of the shop."`
	Log        Log                    `json:"log" jsonschema_description:"How the log's event time moves on."`
	Profile    Profile                `json:"profile" jsonschema_description:"A person's running picture."`
	Fields     map[string]PersonField `json:"fields,omitempty" jsonschema:"maxProperties=64" jsonschema_description:"Fields of a person of the shop's own, by name; conditions know them as profile.fields.NAME."`
	Segments   map[string]*Condition  `json:"segments,omitempty" jsonschema:"maxProperties=64" jsonschema_description:"Segments of people by a condition on what is known of them, by name; conditions know them as segment(\"NAME\") and profile.segments."`
	Quality    *Quality               `json:"quality,omitempty" jsonschema_description:"Who is too fast for a shopper: what they do is kept out of what the shop learns."`
	Sentiment  *Sentiment             `json:"sentiment,omitempty" jsonschema_description:"How what people write is heard: reviews, replies to mails, messages to the service."`
	Items      Items                  `json:"items" jsonschema_description:"What is seen, put in a cart and bought together."`
	Consent    Consent                `json:"consent" jsonschema_description:"Who may be mailed."`
	Holdout    Percent                `json:"holdout,omitempty" jsonschema_description:"Share of the people whom no journey ever mails; the baseline for what all of them together bring."`
	Links      Links                  `json:"links" jsonschema_description:"Where the links of mails lead."`
	Tracking   Tracking               `json:"tracking" jsonschema_description:"Whether opens and clicks of mails come back as events."`
	Senders    map[string]Sender      `json:"senders" jsonschema:"maxProperties=50" jsonschema_description:"Where mail leaves, by the name that send.via gives as smtp/NAME."`
	Webhooks   map[string]Webhook     `json:"webhooks,omitempty" jsonschema:"maxProperties=50" jsonschema_description:"Targets of HTTP calls, by the name that then gives."`
	Outbox     Outbox                 `json:"outbox,omitzero" jsonschema_description:"How effects leave."`

	File    string `json:"-"` // where it was read; "shop.yaml (shipped)" for the shipped one
	Version string `json:"-"` // hash of what it means: comments and the order of keys do not count
}

// Log says how event time moves on.
type Log struct {
	OutOfOrder      time.Duration `json:"out_of_order" zero:"ok" jsonschema_description:"The watermark trails the newest event by this much (2m)."`
	AllowedLateness time.Duration `json:"allowed_lateness" zero:"ok" jsonschema_description:"Events later than this, behind the watermark, are too late (24h)."`
	Late            string        `json:"late,omitempty" jsonschema:"enum=count,enum=dead-letter" jsonschema_description:"What becomes of those that are too late: they are counted and update profiles all the same, or go to the dead letters (count)."`
	ProducerIdle    time.Duration `json:"producer_idle,omitempty" jsonschema_description:"A source that sends nothing for so long does not hold the watermark (5m)."`
	Idle            time.Duration `json:"idle" jsonschema_description:"A log this quiet is moved on by ticks when something is due (30s)."`
}

// Profile sets the running picture of a person.
type Profile struct {
	HalfLife time.Duration `json:"half_life" jsonschema_description:"Counts, money and tastes lose half their weight in this time (30d)."`
	Viewed   int           `json:"viewed" jsonschema:"minimum=1,maximum=200" jsonschema_description:"How many viewed products are remembered (20)."`
	// VisitorTTL is 0 for ever.
	VisitorTTL time.Duration `json:"visitor_ttl,omitempty" jsonschema_description:"What is kept of an anonymous visitor goes so long after his newest event, of at least 8d; for ever when absent."`
	Cluster    int           `json:"cluster,omitempty" jsonschema:"minimum=1" jsonschema_description:"The version of the groups of people that conditions know as profile.cluster; millrace segments cluster makes one."`
	Lifetime   int           `json:"lifetime,omitempty" jsonschema:"minimum=1" jsonschema_description:"The version of the model behind profile.churn, profile.next_order_days and profile.rfm; millrace segments fit makes one."`
	Uplift     int           `json:"uplift,omitempty" jsonschema:"minimum=1" jsonschema_description:"The version of the model behind profile.uplift, what a mail adds; millrace experiment uplift NAME --promote makes one."`
}

// visitorTTLLeast is longer than the messageIds of events are remembered: a visitor who went
// must not come back by a repeat.
const visitorTTLLeast = 8 * 24 * time.Hour

// Items sets the counting of items that go together.
type Items struct {
	HalfLife time.Duration `json:"half_life" jsonschema_description:"Counts of items together lose half their weight in this time (90d)."`
	Top      int           `json:"top" jsonschema:"minimum=1,maximum=1000" jsonschema_description:"How many neighbours of an item are kept (50)."`
	Exclude  []string      `json:"exclude" jsonschema:"maxItems=1000" jsonschema_description:"Product ids that are never recommended, such as postage."`
	// Recommend is what recommendations go by, unless their journey says otherwise.
	Recommend string `json:"recommend,omitempty" jsonschema:"enum=hybrid,enum=together" jsonschema_description:"What recommendations go by. together: what is seen, put in a cart and bought together; hybrid: also what visits of late hold, likeness of words, and weights learned from clicks, kept in memory (hybrid)."`
}

// Consent says who may be mailed.
type Consent struct {
	Unknown string `json:"unknown" jsonschema:"enum=no,enum=yes" jsonschema_description:"Whether a person of whom nothing is known may get marketing mail (no)."`
}

// Assumed reports whether a person who never answered counts as consenting.
func (c Consent) Assumed() bool { return c.Unknown == "yes" }

// Links are the pages of the shop that mails lead to, beside those of products.
type Links struct {
	Shop string `json:"shop" jsonschema:"maxLength=900" jsonschema_description:"The front page (that of the sender's domain)."`
	Cart string `json:"cart" jsonschema:"maxLength=900" jsonschema_description:"Where a shopper finds a left cart again; {cart_id} stands for its id (the page of its first product)."`
}

// cartID stands for the id of a cart in Links.Cart.
const cartID = "{cart_id}"

// CartURL is the page of a cart, or "" when the shop names none.
func (l Links) CartURL(id string) string {
	// "+" for a blank holds in a query only, "%20" everywhere.
	return strings.ReplaceAll(l.Cart, cartID, strings.ReplaceAll(url.QueryEscape(id), "+", "%20"))
}

// Tracking says whether opens and clicks of mails come back as events. What is not said
// is for the program to decide: `millrace dev` tracks, `millrace run` does not.
type Tracking struct {
	Opens  string `json:"opens" jsonschema:"enum=no,enum=yes" jsonschema_description:"A picture of one pixel in each mail reports that it was opened."`
	Clicks string `json:"clicks" jsonschema:"enum=no,enum=yes" jsonschema_description:"The links of the HTML part lead over --public-url, which reports the click and sends the reader on."`
}

// On tells whether opens and clicks are tracked, given what holds where the file says
// nothing.
func (t Tracking) On(unsaid bool) (opens, clicks bool) {
	on := func(said string) bool { return said == "yes" || said == "" && unsaid }
	return on(t.Opens), on(t.Clicks)
}

// Sender is a way for mail to leave.
type Sender struct {
	SMTP string `json:"smtp" jsonschema:"required" jsonschema_description:"env:NAME, the variable that holds the URL, or smtp://host:port without a password."`
	From string `json:"from" jsonschema:"required" jsonschema_description:"The address mail comes from, with a name if wanted."`
}

// URL returns the server's URL: the one written in the file, or that of the
// environment variable it names, read by lookup (os.LookupEnv). Errors never hold the
// URL, which may carry a password.
func (s Sender) URL(lookup func(string) (string, bool)) (*url.URL, error) {
	raw := s.SMTP
	name, fromEnv := strings.CutPrefix(raw, "env:")
	if fromEnv {
		value, ok := lookup(name)
		if !ok || value == "" {
			return nil, fmt.Errorf("read SMTP server: environment variable %s is not set", name)
		}
		raw = value
	}
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || (u.Scheme != "smtp" && u.Scheme != "smtps") {
		return nil, fmt.Errorf("read SMTP server from %s: expected smtp://host:port or smtps://host:port", cmp.Or(name, "smtp"))
	}
	return u, nil
}

// defaults is what a file that says nothing means. Numbers given in the file replace
// these, zero included.
func (s *Shop) defaults() {
	const day = 24 * time.Hour
	s.Log.OutOfOrder = 2 * time.Minute // clients batch for up to a minute
	s.Log.AllowedLateness = day        // a phone that was offline overnight
	s.Log.Idle = 30 * time.Second      // a due timer waits at most this in a quiet shop
	s.Profile.HalfLife = 30 * day      // tastes of a month weigh most
	s.Profile.Viewed = 20              // a session's worth
	s.Items.HalfLife = 90 * day        // a season
	s.Items.Top = 50                   // enough to survive exclusions
	s.Consent.Unknown = "no"           // silence is not consent
}
