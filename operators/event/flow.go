package event

// This file holds what operators pass to each other. Operators do not know each
// other; they know these types.

// CartItem is a product in a cart, as the trigger saw it.
type CartItem struct {
	ID       string
	Name     string
	Category string
	URL      string
	ImageURL string
	Price    Money
	Quantity int32
}

// Outcome is how a decision ended. Every decision ends as Sent, Skipped or Unknown.
type Outcome uint8

// The outcomes of a decision.
const (
	Pending Outcome = iota // decided, not yet carried out
	Sent
	Skipped
	UnknownOutcome // the link dropped after the final dot: the one unknowable moment
)

// String names the outcome as stored and shown.
func (o Outcome) String() string {
	switch o {
	case Sent:
		return "sent"
	case Skipped:
		return "skipped"
	case UnknownOutcome:
		return "unknown"
	default:
		return "pending"
	}
}

// Decision is the record of why a person did or did not get a mail. Times are Unix
// milliseconds of event time.
type Decision struct {
	ID       string     `json:"id"`       // HMAC(pipeline, trigger, key, start), hex
	Pipeline string     `json:"pipeline"` // "cart-abandonment"
	Trigger  string     `json:"trigger"`  // the trigger's id within the pipeline
	Kind     string     `json:"kind"`     // content kind, such as "cart"
	Person   string     `json:"person"`   // pseudonym
	CartID   string     `json:"cart,omitempty"`
	OrderID  string     `json:"order,omitempty"`
	Started  int64      `json:"started"` // the activity that armed the trigger
	Decided  int64      `json:"decided"` // watermark when it fired
	Items    []CartItem `json:"items,omitempty"`
	Value    Money      `json:"value"`
	Currency string     `json:"currency,omitempty"`
	Outcome  Outcome    `json:"outcome"`
	Reason   string     `json:"reason,omitempty"` // why skipped, or what decided it
	Variant  string     `json:"variant,omitempty"`
	Subject  string     `json:"subject,omitempty"`
	Model    string     `json:"model,omitempty"`
	Version  string     `json:"version,omitempty"` // what made it, see MadeBy
	Flags    Flags      `json:"flags,omitempty"`   // Synthetic, AssumedConsent, FromImport
	Ended    int64      `json:"ended,omitempty"`

	// Of a journey with an experiment: its name, the probability with which people like
	// this one get the variant (0: it counts nowhere), and, of who is held out, that a
	// mail would have been sent.
	Experiment string  `json:"experiment,omitempty"`
	Propensity float64 `json:"propensity,omitempty"`
	WouldSend  bool    `json:"would_send,omitempty"`

	Written *Written `json:"written,omitempty"` // what the mail was made of, of the newest decisions
}

// Stop is that a guardrail has stopped a variant of an experiment, or all of it. It
// counts from its position in the log.
type Stop struct {
	Experiment string `json:"experiment"`        // name@phase
	Variant    string `json:"variant,omitempty"` // "": the journey
	Metric     string `json:"metric"`
	Reason     string `json:"reason"`
	At         int64  `json:"at"` // Unix milliseconds
}

// Receipt is what came of carrying a decision out. It returns through the log.
type Receipt struct {
	Decision string  `json:"decision"`
	Person   string  `json:"person"` // pseudonym
	Effect   string  `json:"effect"` // the outbox row
	Outcome  Outcome `json:"outcome"`
	Reason   string  `json:"reason,omitempty"`
	Subject  string  `json:"subject,omitempty"`
	Model    string  `json:"model,omitempty"`
	Fallback bool    `json:"fallback,omitempty"` // the written subject was used
	At       int64   `json:"at"`
	// Via is what carried out an effect that is no mail, such as "webhook/crm": then the
	// receipt settles its row and says nothing of the decision.
	Via string `json:"via,omitempty"`
	// Written is what the mail was made of, nil where a crash lost it between sending and
	// reporting.
	Written *Written `json:"written,omitempty"`
}

// Draft is a written mail before MIME.
type Draft struct {
	Subject  string
	HTML     string
	Text     string
	Model    string // version of the model that wrote the subject
	Fallback bool   // a written fallback subject was used
	Why      string // reason of the fallback

	// The other parts, each the model's or a written one; the sentence about the product may
	// be missing.
	Preheader, Opening, Sentence, Action string
	Design                               string // the layout
}
