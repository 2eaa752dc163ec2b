package console

import (
	"context"
	"errors"
	"strconv"
	"time"

	"millrace/operators/event"
)

// ErrNotFound is what Inbox, People, Items and DeadLetters answer, wrapped or
// bare, for something they do not have. The console then answers 404.
var ErrNotFound = errors.New("not found")

// Stats tells how the engine stands. Stats is called up to twice a second and must
// answer from memory, without waiting. It is safe for concurrent use.
type Stats interface {
	Stats() Snapshot
}

// Graph tells which steps the pipeline has. It is called up to twice a second, must
// answer from memory and is safe for concurrent use.
type Graph interface {
	Graph() ([]Node, []Edge)
}

// Inbox holds the mails that were written. It is safe for concurrent use.
type Inbox interface {
	// List answers at most limit mails, newest first, after leaving out offset of
	// them, and how many there are in all. It is called twice a second while an
	// overview is open.
	List(ctx context.Context, offset, limit int) (mails []Mail, total int, err error)
	// Get answers one mail with its parts.
	Get(ctx context.Context, id string) (Mail, error)
	// Subscribe answers a channel that receives when the list has changed, until
	// ctx ends. Notices may be merged: a channel of length one is enough.
	Subscribe(ctx context.Context) <-chan struct{}
}

// People answers what is known of one person. It is safe for concurrent use.
type People interface {
	// Profile answers the running picture of a person.
	Profile(ctx context.Context, userID string) (Person, error)
	// Decisions answers at most limit decisions about a person, newest first,
	// those without a mail too.
	Decisions(ctx context.Context, userID string, limit int) ([]Decision, error)
	// Waiting answers what is waited for, the soonest first.
	Waiting(ctx context.Context, userID string) ([]Wait, error)
}

// Items answers what is known of the shop's items. It is safe for concurrent use.
type Items interface {
	// Top answers at most limit items, the most active first, without relations.
	Top(ctx context.Context, limit int) ([]Item, error)
	// Item answers one item with its neighbours.
	Item(ctx context.Context, id string) (Item, error)
}

// DeadLetters holds the events that could not be read. It is safe for concurrent use.
type DeadLetters interface {
	// DeadLetters answers at most limit of them, newest first, after leaving out
	// offset of them, and how many there are in all. Bytes may be left out.
	DeadLetters(ctx context.Context, offset, limit int) (letters []DeadLetter, total int, err error)
	// DeadLetter answers one with its bytes.
	DeadLetter(ctx context.Context, id string) (DeadLetter, error)
}

// Experiments tells how the experiments stand. It is called up to twice a second for each
// open page, must answer from memory and is safe for concurrent use.
type Experiments interface {
	Experiments(ctx context.Context) ([]Experiment, error)
}

// Watcher is what Experiments may also do: say at once that figures have changed, so that a
// stream need not ask. stop must be called.
type Watcher interface {
	Watch() (changed <-chan struct{}, stop func())
}

// Experiment is one that runs.
type Experiment struct {
	Name     string
	Phase    string
	Goal     string
	Baseline string    // the arm that the others are compared with
	At       time.Time // the watermark of the figures
	Days     float64
	SharesP  float64 // any-time p-value that people arrive in the planned shares
	Stopped  string  // why all of it was stopped, or ""
	Late     uint64  // outcomes that came too late
	Arms     []ExperimentArm
	Past     []ExperimentPoint // oldest first
}

// ExperimentArm is one variant, or the holdout.
type ExperimentArm struct {
	Name    string
	Share   float64
	Units   int64
	Verdict string
	Stopped string
	P       float64
	Metrics []ExperimentMetric
	Message []byte // the figures as JSON on one line, as they are published
	// Incremental is what the mails brought beyond the holdout, beside what is credited to
	// them; nil where nobody is held out.
	Incremental *Incremental
}

// Incremental is money in the smallest unit, all people of a variant together.
type Incremental struct{ Revenue, Lo, Hi, Attributed float64 }

// ExperimentMetric is an arm on one metric. Known says whether effect and interval are.
type ExperimentMetric struct {
	Name           string
	Sum            int64
	Mean           float64
	Money          bool // the sum is in the smallest unit
	Plain          bool // the mean is a number and not a share
	Known          bool
	Effect, Lo, Hi float64
}

// ExperimentPoint is the goal's effect of each arm at one moment, in the order of Arms.
type ExperimentPoint struct {
	At      time.Time
	Effects []ExperimentMetric
}

// Check is a condition of being ready. Func must heed its context.
type Check struct {
	Name string
	Func func(ctx context.Context) error
}

// Count is a number with a name.
type Count struct {
	Name string `json:"name"`
	N    uint64 `json:"n"`
}

// Snapshot is how the engine stands at one moment. Totals count from the start of the
// program; the console computes the rates itself.
type Snapshot struct {
	State            string        // what it is doing: "running", "replaying", "draining"
	Events           uint64        // events processed
	Watermark        time.Time     // event time before which no more is expected; zero before the first event
	Lag              time.Duration // how far the watermark trails the newest event or tick
	Triggers         uint64        // triggers fired
	Cancelled        uint64        // waits ended by an order or by further activity
	Outcomes         []Count       // decisions by outcome: sent, skipped, pending, unknown
	Reasons          []Count       // decisions that ended without a mail, by reason
	Mails            uint64        // mails handed over
	Duplicates       uint64        // mails sent more than once: must stay 0
	Repeats          uint64        // repeated events that were dropped
	DeadLetters      uint64        // events that could not be read
	FallbackSubjects uint64        // mails with a written subject because the model was slow or failed
	Timers           uint64        // timers pending
	Outbox           uint64        // effects decided and not yet carried out
	Epoch            uint64        // last committed epoch
	MemoryBytes      uint64        // memory in use
	MemoryLimit      uint64        // its ceiling; 0 when there is none
}

// The kinds of nodes. They choose the shape.
const (
	KindLog      = "log"      // the one log
	KindOperator = "operator" // a step with state of its own
	KindExchange = "exchange" // changes the key
	KindOutbox   = "outbox"   // holds effects until they are carried out
	KindEffect   = "effect"   // leaves the engine
)

// Node is one step of the pipeline.
type Node struct {
	ID     string `json:"id"`
	Label  string `json:"label"`
	Kind   string `json:"kind"`
	Stage  string `json:"stage,omitempty"` // "visitor", "person", "item", "effects"
	Note   string `json:"note,omitempty"`  // "18 204 timers"
	Total  uint64 `json:"total"`           // what it has taken in so far
	Errors uint64 `json:"errors"`
}

// Edge is a way from one node to another.
type Edge struct {
	From     string  `json:"from"`
	To       string  `json:"to"`
	Label    string  `json:"label,omitempty"` // what passes: "trigger", "receipt"
	Total    uint64  `json:"total"`           // what has passed so far
	Fill     float64 `json:"fill"`            // how full its queue is, 0 to 1
	Feedback bool    `json:"feedback"`        // runs back through the log
}

// Header is one line of a mail's head.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Mail is a mail as it was rendered. List leaves HTML, Text and Headers empty.
type Mail struct {
	ID       string
	Subject  string
	From     string
	To       string // "Ana Example <ana@example.com>" or the bare address
	At       time.Time
	Pipeline string
	Kind     string // what it is about: "cart"
	Decision string
	Fallback bool     // the written subject was used
	Notice   string   // "synthetic carts"
	Personal []string // further words of the person, such as the first name: masked with the address
	HTML     string
	Text     string
	Headers  []Header
}

// Fact is one thing known of a person. A personal one is masked.
type Fact struct {
	Name     string
	Value    string
	Personal bool
}

// Weight is a share between 0 and 1.
type Weight struct {
	Name  string  `json:"name"`
	Share float64 `json:"share"`
}

// CartLine is a product with its quantity and price.
type CartLine struct {
	ID       string      `json:"id"`
	Name     string      `json:"name"`
	Quantity int         `json:"quantity"`
	Price    event.Money `json:"price"`
}

// Cart is a person's cart.
type Cart struct {
	ID       string
	State    string // "open", "ordered", "left"
	Updated  time.Time
	Currency string
	Lines    []CartLine
}

// Person is the running picture of one person.
type Person struct {
	UserID     string
	Name       string
	Email      string
	Consent    string // "yes", "no", "unknown"
	Suppressed string // why no mail is ever sent, or ""
	FirstSeen  time.Time
	LastSeen   time.Time
	Facts      []Fact // in the order shown
	Affinities []Weight
	Hours      [7][24]float64 // activity by weekday (Monday first) and hour of their zone
	Zone       string         // the zone of Hours
	Carts      []Cart
	Viewed     []Neighbour // newest first
}

// Decision is why a person did or did not get a mail.
type Decision struct {
	ID       string
	Pipeline string
	Trigger  string
	Kind     string
	CartID   string // what it is about: a cart, or
	OrderID  string // an order
	Started  time.Time
	Decided  time.Time
	Ended    time.Time
	Outcome  string // "sent", "skipped", "pending", "unknown"
	Reason   string
	Subject  string
	Variant  string
	Model    string
	Version  string // of the pipelines, "" where a decision was kept before it named it
	File     string // hash of its pipeline file
	Value    event.Money
	Currency string
	Lines    []CartLine
	Notice   string // "synthetic carts, consent assumed"
}

// Wait is a trigger that is armed for a person: it fires when it is due unless something
// happens before.
type Wait struct {
	Trigger string    // "cart-abandonment/abandoned"
	CartID  string    // what it is about: a cart, or
	OrderID string    // an order
	Since   time.Time // of the last activity
	Due     time.Time
}

// FromDecision is the decision as the console shows it.
func FromDecision(d event.Decision) Decision {
	number, file := d.MadeBy()
	out := Decision{
		ID: d.ID, Pipeline: d.Pipeline, Trigger: d.Trigger, Kind: d.Kind, CartID: d.CartID, OrderID: d.OrderID,
		Started: fromMillis(d.Started), Decided: fromMillis(d.Decided), Ended: fromMillis(d.Ended),
		Outcome: d.Outcome.String(), Reason: d.Reason, Subject: d.Subject, Variant: d.Variant,
		Model: d.Model, File: file, Value: d.Value, Currency: d.Currency,
		Notice: flagNotice(d.Flags),
	}
	if number > 0 {
		out.Version = strconv.FormatUint(number, 10)
	}
	for _, it := range d.Items {
		out.Lines = append(out.Lines, CartLine{ID: it.ID, Name: it.Name, Quantity: int(it.Quantity), Price: it.Price})
	}
	return out
}

// flagNotice says what a decision rests on that did not happen.
func flagNotice(f event.Flags) string {
	switch {
	case f&event.Synthetic != 0 && f&event.AssumedConsent != 0:
		return "synthetic carts, consent assumed"
	case f&event.Synthetic != 0:
		return "synthetic carts"
	case f&event.AssumedConsent != 0:
		return "consent assumed"
	}
	return ""
}

func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// Neighbour is an item beside another.
type Neighbour struct {
	ID    string
	Name  string
	Score float64 // 0 when there is none
	Count uint64  // how often, 0 when unknown
}

// Relation is one way in which items are neighbours.
type Relation struct {
	Name       string // "bought together"
	Neighbours []Neighbour
}

// Item is one item of the shop.
type Item struct {
	ID        string
	Name      string
	Category  string
	Facts     []Fact
	Score     float64 // activity, decayed
	Relations []Relation
}

// DeadLetter is an event that could not be read.
type DeadLetter struct {
	ID        string
	At        time.Time
	Reason    string
	Position  string // where it stood: "events seq 412 index 3"
	Source    string // which source it came in through
	Size      int    // bytes in all
	Bytes     []byte // the first of them
	Truncated bool
}
