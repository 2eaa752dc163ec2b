package mail

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"sync"
	"time"

	"millrace/operators/event"
)

// Policy says what becomes of a mail whose final dot left without an answer.
type Policy uint8

// The policies. Marketing takes the first, transactional mail the second.
const (
	AtMostOnce  Policy = iota // it ends as unknown and is never sent again
	AtLeastOnce               // the same bytes, with the same Message-ID, are sent again
)

// Reasons for which a mail is skipped without asking the server.
const (
	ReasonOnlyTo       = "only-to"      // held back by the pattern of Options.OnlyTo
	ReasonUnsubscribed = "unsubscribed" // in the set of suppressed persons
)

// Job is one mail to be sent.
type Job struct {
	Decision string // id, as CheckDecision allows it
	Effect   string // the outbox row; goes into the receipt
	Person   string // pseudonym
	List     string // what the person may have unsubscribed from; "" for transactional mail
	To       string // the address, for OnlyTo
	Policy   Policy
	// Hold says why the mail is not to go any more, or "". It is asked only about a mail
	// that is about to go: one that left in an earlier try, or is in doubt, ended as that.
	// May be nil.
	Hold func() string
	// Render makes the mail. It is called only when the journal has no bytes of this
	// decision, at most once a Send.
	Render func(ctx context.Context) (Letter, error)
}

// Result is what came of a Job that has ended.
type Result struct {
	Receipt  event.Receipt
	Delivery Delivery // of the last try; zero when the server was not asked
	Bounce   string   // "hard", "soft", "block", or ""
	Repeated bool     // the outcome stood in the journal already: nothing was done
}

// RetryError says that nothing was sent and that the same Job should be sent again.
type RetryError struct {
	After    time.Duration // not before
	Attempts int           // tries so far, as far as they are known
	Host     bool          // the server itself failed, not this mail
	Err      error
}

// Error tells when and why.
func (e *RetryError) Error() string {
	return fmt.Sprintf("mail not sent at try %d, next in %s: %v", e.Attempts, e.After.Round(time.Second), e.Err)
}

// Unwrap gives the cause.
func (e *RetryError) Unwrap() error { return e.Err }

// ErrInFlight is the answer to a Job whose decision is being sent at this moment.
var ErrInFlight = errors.New("decision is being sent already")

// SenderOptions are the settings of a Sender. The zero value works.
type SenderOptions struct {
	OnlyTo  Pattern // the zero Pattern lets every address through
	MailDir string  // also write each sent mail there, as <decision>.eml
	// Suppressed says whether a person wants no mail of a list. It is asked before the
	// dialogue and again just before the final dot.
	Suppressed func(person, list string) bool
	// Step is called at "before-journal", "after-journal" (the bytes are kept),
	// "before-dot" (the attempt is on disk), "after-dot" and "before-receipt" (the outcome
	// is kept), so that tests can end the process there.
	Step func(name string)
	// Log gets what concerns no single mail. No address ever goes there.
	Log *slog.Logger

	RetryFirst  time.Duration // wait after the first failure; doubles with each
	RetryMost   time.Duration // the wait never gets longer
	AttemptsMax int           // 4xx answers and lost answers, then the mail is given up
	AgeMax      time.Duration // since the first rendering, then the mail is given up
}

func (o SenderOptions) withDefaults() SenderOptions {
	o.RetryFirst = cmp.Or(o.RetryFirst, time.Minute) // greylisting lets through after 1 to 5 minutes
	o.RetryMost = cmp.Or(o.RetryMost, time.Hour)     // a relay that is back is noticed within the hour
	o.AttemptsMax = cmp.Or(o.AttemptsMax, 20)        // with the waits above: about 14 hours
	o.AgeMax = cmp.Or(o.AgeMax, 48*time.Hour)        // a reminder of a cart is stale long before
	if o.Suppressed == nil {
		o.Suppressed = func(string, string) bool { return false }
	}
	if o.Step == nil {
		o.Step = func(string) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Sender sends each decision once. It is safe for concurrent use; as many mails are
// under way as there are calls of Send, so the caller bounds them.
type Sender struct {
	smtp    *SMTP
	journal *Journal
	options SenderOptions
	count   senderCounters

	mu     sync.Mutex
	flying map[string]struct{} // decisions in Send; as many as there are callers
}

// NewSender makes a Sender of its parts, which stay the caller's to close.
func NewSender(s *SMTP, j *Journal, o SenderOptions) *Sender {
	return &Sender{smtp: s, journal: j, options: o.withDefaults(), flying: make(map[string]struct{})}
}

// Send carries out a Job: it answers a Result when the decision has ended, and a
// *RetryError when nothing was sent and the Job should come again. Any other error comes
// from Job.Render or from a Job that cannot be; nothing was sent then either.
//
// A decision that ended before, in this process or an earlier one, is not sent again:
// its outcome is answered. One that was in doubt when a process died ends by its Policy.
func (s *Sender) Send(ctx context.Context, job Job) (Result, error) {
	if err := CheckDecision(job.Decision); err != nil {
		return Result{}, err
	}
	if !s.begin(job.Decision) {
		return Result{}, fmt.Errorf("decision %s: %w", job.Decision, ErrInFlight)
	}
	defer s.end(job.Decision)
	e, known := s.journal.Lookup(job.Decision)
	if known && e.State == Decided {
		return s.repeat(&job, e), nil
	}
	if known && e.State == Attempted {
		if job.Policy == AtMostOnce {
			return s.finish(&job, Letter{}, Delivery{Status: Unknown, Stage: StageDot}, event.UnknownOutcome,
				"the program ended at the final dot"), nil
		}
		s.count.resent.Add(1)
		if err := s.journal.Failed(job.Decision, 0); err != nil {
			return Result{}, s.retry(&job, e.Attempts, err)
		}
	}
	if reason := s.heldBack(&job, job.To); reason != "" {
		return s.skip(&job, known, reason), nil
	}
	letter, err := s.letter(ctx, &job, e)
	var unfit *AddressError
	switch {
	case errors.As(err, &unfit):
		return s.skip(&job, known, err.Error()), nil
	case err != nil:
		return Result{}, err
	}
	// The bytes in the journal may be for an older address than the Job's.
	if reason := s.heldBack(&job, letter.To); reason != "" {
		return s.skip(&job, true, reason), nil
	}
	return s.deliver(ctx, &job, &letter)
}

func (s *Sender) begin(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, busy := s.flying[id]
	if !busy {
		s.flying[id] = struct{}{}
	}
	return !busy
}

func (s *Sender) end(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.flying, id)
}

// heldBack says why a mail to this address does not go, or "".
func (s *Sender) heldBack(job *Job, to string) string {
	if job.Hold != nil {
		if reason := job.Hold(); reason != "" {
			return reason
		}
	}
	switch {
	case s.options.Suppressed(job.Person, job.List):
		return ReasonUnsubscribed
	case !s.options.OnlyTo.Matches(to):
		return ReasonOnlyTo
	default:
		return ""
	}
}

// letter gives the bytes: those of the journal, else new ones, which are put there.
func (s *Sender) letter(ctx context.Context, job *Job, e Entry) (Letter, error) {
	if e.HasBytes {
		letter, err := s.journal.Letter(job.Decision)
		if err != nil {
			return Letter{}, s.retry(job, e.Attempts, err)
		}
		return letter, nil
	}
	letter, err := job.Render(ctx)
	if err != nil {
		return Letter{}, fmt.Errorf("render decision %s: %w", job.Decision, err)
	}
	for _, a := range [][2]string{{"from", letter.From}, {"to", letter.To}} {
		if err := CheckAddress(a[0], a[1]); err != nil {
			return Letter{}, err
		}
	}
	s.options.Step("before-journal")
	if err := s.journal.Rendered(job.Decision, letter); err != nil {
		return Letter{}, s.retry(job, e.Attempts, err)
	}
	s.options.Step("after-journal")
	return letter, nil
}

// errLeft is why Commit holds a mail back: its person has unsubscribed meanwhile.
var errLeft = errors.New(ReasonUnsubscribed)

// deliver sends the bytes and settles what came of it.
func (s *Sender) deliver(ctx context.Context, job *Job, letter *Letter) (Result, error) {
	attempted := false
	d := s.smtp.Deliver(ctx, Transaction{From: letter.From, To: letter.To, Body: letter.Bytes, Step: s.options.Step,
		Commit: func() error {
			if s.options.Suppressed(job.Person, job.List) {
				return errLeft
			}
			if err := s.write(job.Decision, letter.Bytes); err != nil {
				return err
			}
			if err := s.journal.Attempt(job.Decision); err != nil {
				return err
			}
			attempted = true
			return nil
		}})
	switch {
	case errors.Is(d.Err, errLeft):
		return s.skip(job, true, ReasonUnsubscribed), nil
	case d.Status == Accepted:
		return s.finish(job, *letter, d, event.Sent, ""), nil
	case d.Status == Permanent:
		return s.finish(job, *letter, d, event.Skipped, d.Reason()), nil
	case d.Status == Unknown && job.Policy == AtMostOnce:
		return s.finish(job, *letter, d, event.UnknownOutcome, d.Reason()), nil
	}
	return s.failed(job, letter, d, attempted)
}

// failed notes a failure that may be retried, and gives the mail up when it has failed
// for too long. What is noted matters most when an attempt was begun: without the note
// it would be in doubt.
func (s *Sender) failed(job *Job, letter *Letter, d Delivery, attempted bool) (Result, error) {
	if d.Status == Unknown {
		s.count.resent.Add(1)
	}
	ours := errors.Is(d.Err, errRefusedCommit) || errors.Is(d.Err, context.Canceled) || errors.Is(d.Err, context.DeadlineExceeded)
	if attempted || !ours {
		if err := s.journal.Failed(job.Decision, d.Code); err != nil {
			s.count.journalErrors.Add(1)
		}
	}
	e, _ := s.journal.Lookup(job.Decision)
	tired := d.Status != NotSent && e.Attempts >= s.options.AttemptsMax
	if !ours && (tired || time.Since(e.First) >= s.options.AgeMax) {
		outcome := event.Skipped
		if d.Status == Unknown {
			outcome = event.UnknownOutcome
		}
		reason := fmt.Sprintf("given up after %d tries: %s", e.Attempts, d.Reason())
		return s.finish(job, *letter, d, outcome, reason), nil
	}
	again := s.retry(job, e.Attempts, errors.New(d.Reason()), d.Err)
	again.Host = !ours && (d.Code == 0 || d.Code == 421) // 421: the server closes (RFC 5321, 3.8)
	return Result{}, again
}

// retry makes the RetryError of a failure and counts it.
func (s *Sender) retry(job *Job, attempts int, causes ...error) *RetryError {
	s.count.retries.Add(1)
	wait := s.options.RetryFirst
	for n := 1; n < attempts && wait < s.options.RetryMost; n++ {
		wait *= 2
	}
	wait = min(wait, s.options.RetryMost)
	// Up to a quarter more, by the decision: mails that failed together do not come back together.
	h := fnv.New32a()
	fmt.Fprintf(h, "%s %d", job.Decision, attempts)
	wait += time.Duration(int64(wait) / 4 * int64(h.Sum32()%1024) / 1024)
	return &RetryError{After: wait, Attempts: attempts, Err: joined(causes)}
}

// joined gives the first cause its text and keeps the others findable.
func joined(causes []error) error {
	if len(causes) == 2 && causes[1] != nil {
		return cause{causes[0], causes[1]}
	}
	return causes[0]
}

// cause is an error with the text of one and the identity of another.
type cause struct {
	error
	under error
}

// Unwrap gives the other.
func (c cause) Unwrap() error { return c.under }

// skip ends a job without asking the server. When the journal knows the decision, it
// ends there too.
func (s *Sender) skip(job *Job, known bool, reason string) Result {
	if known {
		return s.finish(job, Letter{}, Delivery{}, event.Skipped, reason)
	}
	s.count.skip(reason)
	return Result{Receipt: s.receipt(job, Letter{}, event.Skipped, reason)}
}

// finish ends a decision: in the journal, in the mail directory, in the counts.
func (s *Sender) finish(job *Job, letter Letter, d Delivery, o event.Outcome, reason string) Result {
	if err := s.journal.Outcome(job.Decision, o, d.Code, reason); err != nil {
		// The outcome still goes out in the receipt. Should that be lost as well, the attempt is
		// in doubt, which repeats no marketing mail.
		s.count.journalErrors.Add(1)
		s.options.Log.Error("mail journal does not keep an outcome", "decision", job.Decision, "err", err)
	}
	s.settle(job.Decision, o == event.Sent)
	switch o {
	case event.Sent:
		s.count.sent.Add(1)
	case event.UnknownOutcome:
		s.count.unknown.Add(1)
	default:
		s.count.skip(reason)
	}
	s.options.Step("before-receipt")
	return Result{Receipt: s.receipt(job, letter, o, reason), Delivery: d, Bounce: d.Bounce()}
}

// repeat answers the outcome that stands in the journal.
func (s *Sender) repeat(job *Job, e Entry) Result {
	s.count.repeated.Add(1)
	s.settle(job.Decision, e.Outcome == event.Sent)
	r := s.receipt(job, Letter{}, e.Outcome, e.Reason)
	r.At = e.Last.UnixMilli()
	return Result{Receipt: r, Repeated: true}
}

func (s *Sender) receipt(job *Job, letter Letter, o event.Outcome, reason string) event.Receipt {
	return event.Receipt{Decision: job.Decision, Person: job.Person, Effect: job.Effect, Outcome: o, Reason: reason,
		Subject: letter.Subject, Model: letter.Model, Fallback: letter.Fallback, At: time.Now().UnixMilli()}
}
