package configs

import (
	"strings"
	"time"
)

// Journey is one pipeline: what starts it, who gets a mail, what stands in it and
// how it leaves. It is not changed after loading, so many goroutines may read it.
type Journey struct {
	APIVersion  string   `json:"apiVersion" jsonschema:"required,enum=v1" jsonschema_description:"Version of the form of this file."`
	Name        string   `json:"pipeline" jsonschema:"required,title=a name of lower-case letters and digits and -,pattern=^[a-z][a-z0-9-]*$,maxLength=63" jsonschema_description:"Name of the pipeline; its state belongs to it, so it is for good."`
	Description string   `json:"description" jsonschema:"maxLength=1000" jsonschema_description:"What it is for, in a sentence."`
	Owner       string   `json:"owner" jsonschema:"maxLength=200" jsonschema_description:"Who answers for it."`
	Mode        string   `json:"mode" jsonschema:"enum=live,enum=paused" jsonschema_description:"live, or paused: nothing starts and nothing is sent."`
	Trigger     Trigger  `json:"trigger" jsonschema:"required" jsonschema_description:"What starts the journey."`
	Audience    Audience `json:"audience" jsonschema_description:"Who gets a mail, asked when the trigger fires and again before sending."`
	Content     Content  `json:"content" jsonschema:"required" jsonschema_description:"What stands in the mail."`
	Send        Send     `json:"send" jsonschema:"required" jsonschema_description:"How it leaves."`
	Then        []Then   `json:"then,omitempty" jsonschema:"maxItems=20" jsonschema_description:"What is done beside mailing: webhooks that are called, messages that are published."`
	Trial       Trial    `json:"experiment,omitzero" jsonschema_description:"Names and tunes the experiment that variants and holdout are."`
	Measure     Measure  `json:"measure,omitzero" jsonschema_description:"What the journey is judged by."`
	Alarms      Alarms   `json:"alarms,omitzero" jsonschema_description:"Who is told of a guardrail's alarm besides the owner, who gets a mail if owner is an address."`

	File    string `json:"-"` // where it was read
	Version string `json:"-"` // hash of what it means; stands in every decision
}

// Paused reports whether the journey starts and sends nothing.
func (j *Journey) Paused() bool { return j.Mode == "paused" }

// Trigger says what starts a journey: events, a wait, and what ends the wait.
type Trigger struct {
	ID  string   `json:"id" jsonschema:"required,title=a name of lower-case letters and digits and - and _,pattern=^[a-z][a-z0-9_-]*$,maxLength=63" jsonschema_description:"Names the trigger's state, so it is for good."`
	Key []string `json:"key" words:"keys" jsonschema:"required" jsonschema_description:"What one wait belongs to."`
	// Start is what begins the wait, and begins it anew.
	Start  Start         `json:"start" jsonschema:"required" jsonschema_description:"What begins the wait, and begins it anew."`
	Wait   time.Duration `json:"wait" zero:"ok" jsonschema:"required" jsonschema_description:"How long nothing further may happen. Each further start event begins the wait anew."`
	Cancel Cancel        `json:"cancel" jsonschema_description:"What ends the wait without a mail."`
	AtMost AtMost        `json:"at_most" jsonschema_description:"How often one person may be mailed."`
	// FreshFor is how old a fired trigger may become before its mail leaves.
	FreshFor time.Duration `json:"fresh_for" jsonschema_description:"A mail that cannot leave within this time is skipped (24h)."`
}

// Start is what begins the wait.
type Start struct {
	On   []string   `json:"on" words:"events" jsonschema:"required" jsonschema_description:"The events that begin the wait."`
	When *Condition `json:"when,omitempty" jsonschema_description:"They begin it only if this holds."`
	// Views is how much must be looked at before the wait begins, nil in other journeys.
	Views *Views `json:"views,omitempty" jsonschema_description:"How much must be looked at before the wait begins, in journeys of kind browse."`
}

// Cancel is what ends the wait without a mail.
type Cancel struct {
	On []string `json:"on" words:"events" jsonschema:"required" jsonschema_description:"The events that end the wait."`
}

// AtMost bounds how often a person is mailed by the journey. Zero is no bound.
type AtMost struct {
	OncePer time.Duration `json:"once_per" jsonschema:"required" jsonschema_description:"At most one mail to a person in this time."`
}

// Audience says who gets a mail.
type Audience struct {
	When    *Condition `json:"when,omitempty" jsonschema_description:"A mail is sent only if this holds."`
	Holdout Percent    `json:"holdout,omitempty" jsonschema_description:"Share of the people who are never mailed by the journey; the baseline for lift."`
}

// Content says what stands in the mail.
type Content struct {
	ID        string        `json:"id" jsonschema:"required,title=a name of lower-case letters and digits and - and _,pattern=^[a-z][a-z0-9_-]*$,maxLength=63" jsonschema_description:"Names the step."`
	Kind      string        `json:"kind" words:"kinds" jsonschema:"required" jsonschema_description:"What the mail is about: chooses template and the model's condition."`
	Subject   string        `json:"subject" jsonschema:"enum=lstm,enum=fallback" jsonschema_description:"lstm: the model writes the subject; fallback: a written one is used (lstm)."`
	MaxWait   time.Duration `json:"max_wait" jsonschema_description:"A model slower than this is replaced by the written subject (200ms)."`
	Recommend *Recommend    `json:"recommend,omitempty" jsonschema_description:"Products shown beside the seed."`
	Banned    []string      `json:"banned" jsonschema:"maxItems=1000" jsonschema_description:"Words and phrases that no subject may hold."`
	Designs   []Design      `json:"designs,omitempty" jsonschema:"maxItems=12" jsonschema_description:"Layouts that mails may have; each decision gets one of them."`
	Knowledge *Knowledge    `json:"knowledge,omitempty" jsonschema_description:"What the shop says of itself and its products; mails say no more."`
	External  *External     `json:"external,omitempty" jsonschema_description:"A model outside that writes the lines (none)."`
	// Variants are contents that are tried beside each other, by name.
	Variants map[string]Variant `json:"variants,omitempty" jsonschema_description:"Contents that are tried beside each other; the one called control is what the others are compared with."`
}

// Recommend says which products are shown.
type Recommend struct {
	From    []string `json:"from" words:"sources" jsonschema:"required" jsonschema_description:"Sources, in order of preference."`
	Seed    string   `json:"seed" words:"seeds" jsonschema:"required" jsonschema_description:"The items whose neighbours are shown."`
	Count   int      `json:"count" jsonschema:"minimum=1,maximum=12" jsonschema_description:"How many (3)."`
	Exclude string   `json:"exclude" jsonschema:"enum=purchased,enum=none,enum=last,enum=session" jsonschema_description:"What is left out besides the seed itself: what was purchased, the product looked at last, all of the visit, or nothing (purchased)."`
	By      string   `json:"by,omitempty" jsonschema:"enum=hybrid,enum=together" jsonschema_description:"What this journey's recommendations go by (items.recommend of the shop)."`

	InStock     string  `json:"in_stock,omitempty" jsonschema:"enum=no,enum=yes" jsonschema_description:"Leaves out what the catalogue says is out of stock (no)."`
	PriceMin    int     `json:"price_min,omitempty" jsonschema:"minimum=1,maximum=1000000000" jsonschema_description:"Lowest price, in whole units of the currency of the products (none)."`
	PriceMax    int     `json:"price_max,omitempty" jsonschema:"minimum=1,maximum=1000000000" jsonschema_description:"Highest price, in whole units of the currency of the products (none)."`
	PerBrand    int     `json:"per_brand,omitempty" jsonschema:"minimum=1,maximum=12" jsonschema_description:"How many products of one brand (any number)."`
	PerCategory int     `json:"per_category,omitempty" jsonschema:"minimum=1,maximum=12" jsonschema_description:"How many products of one category (any number)."`
	Diversity   Percent `json:"diversity,omitempty" jsonschema_description:"How much likeness to what is already shown counts against a product, such as 30% (0%)."`
}

// Send says how a mail leaves.
type Send struct {
	ID   string `json:"id" jsonschema:"required,title=a name of lower-case letters and digits and - and _,pattern=^[a-z][a-z0-9_-]*$,maxLength=63" jsonschema_description:"Names the step."`
	Via  string `json:"via" jsonschema:"required,title=smtp/NAME with the name of a sender of the shop,pattern=^smtp/[a-z][a-z0-9_-]*$" jsonschema_description:"smtp/NAME, a sender of shop.yaml."`
	Rate Rate   `json:"rate" jsonschema_description:"At most this many mails, such as 40 per second; no limit when absent."`
	// IdempotencyKey is the trigger's key and the start: what makes a decision one.
	IdempotencyKey []string `json:"idempotency_key" words:"idempotency" jsonschema_description:"What makes a mail the same mail: the trigger's key and trigger.started_at."`
}

// Sender returns the name of the shop's sender that the journey uses.
func (s Send) Sender() string { return strings.TrimPrefix(s.Via, "smtp/") }

// startedAt is the name of the moment that armed the trigger.
const startedAt = "trigger.started_at"

// defaults is what a file that says nothing means. Numbers given in the file replace
// these, zero included.
func (j *Journey) defaults() {
	j.Mode = "live"
	j.Trigger.FreshFor = 24 * time.Hour // yesterday's cart is old news
	j.Content.Subject = "lstm"
	j.Content.MaxWait = 200 * time.Millisecond // a subject takes about 40 ms
}

// defaults is what a recommendation that says nothing means.
func (r *Recommend) defaults() {
	r.Count = 3 // a row of a mail
	r.Exclude = "purchased"
}
