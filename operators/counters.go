package operators

import (
	"maps"
	"strings"
	"sync"
	"sync/atomic"

	"millrace/engine"
	"millrace/operators/event"
	"millrace/operators/profile"
)

// Counters count what this process did since it started. Safe for concurrent use.
type Counters struct {
	Events     [event.KindCount]atomic.Uint64
	Duplicates atomic.Uint64 // repeated messages, dropped
	Late       atomic.Uint64
	Ticks      atomic.Uint64
	Mails      atomic.Uint64 // sent
	Fallbacks  atomic.Uint64 // of those, with a written subject
	Merges     atomic.Uint64 // known persons who were merged into another one
	// MergeRepeats counts merges and handovers that came again, and changed nothing.
	MergeRepeats atomic.Uint64
	// Bounded counts what went because of the bounds of persons' pictures, Waits because of
	// those of their waits and decisions, and Labels what was counted as "other".
	Bounded, Waits, Labels atomic.Uint64
	// Forgotten counts visitors who stayed away for longer than profile.visitor_ttl.
	Forgotten atomic.Uint64
	// Quality is what is wanting in the events of each source.
	Quality *Quality

	mu        sync.Mutex
	decisions map[DecisionLabel]uint64
	letters   map[string]uint64
	notices   map[string]uint64
	late      map[string]uint64
}

// DecisionLabel is what decisions are counted by. The reason is the part before a
// colon's detail, so there are few.
type DecisionLabel struct {
	Pipeline string
	Outcome  event.Outcome
	Reason   string
}

// labelsMax bounds the counters' maps; what comes beyond is counted as "other".
const labelsMax = 256

func newCounters() *Counters {
	return &Counters{Quality: NewQuality(), decisions: make(map[DecisionLabel]uint64), letters: make(map[string]uint64), notices: make(map[string]uint64), late: make(map[string]uint64)}
}

func (n *Counters) event(e *event.Event) {
	if e.Kind < event.KindCount {
		n.Events[e.Kind].Add(1)
	}
}

// Total is the number of events of all kinds.
func (n *Counters) Total() uint64 {
	sum := uint64(0)
	for i := range n.Events {
		sum += n.Events[i].Load()
	}
	return sum
}

// personCounter counts what the profile found out about an update.
type personCounter struct{ counters *Counters }

// Process implements engine.Operator.
func (p personCounter) Process(_ *engine.Ctx, u *profile.Update) {
	if u.Change.Duplicate {
		p.counters.Duplicates.Add(1)
		if u.Event != nil {
			p.counters.Quality.more(u.Event.Source, ProblemDuplicate)
		}
	}
	if u.Change.Late {
		p.counters.Late.Add(1)
	}
	if u.Change.Dropped > 0 && u.Leave == nil {
		p.counters.Bounded.Add(uint64(u.Change.Dropped))
	}
}

func (n *Counters) decided(d *event.Decision) {
	n.count(DecisionLabel{Pipeline: d.Pipeline, Outcome: d.Outcome, Reason: reasonClass(d)})
}

func reasonClass(d *event.Decision) string {
	if d.Outcome == event.Pending {
		return ""
	}
	if strings.HasPrefix(d.Reason, "cancelled: ") {
		return d.Reason
	}
	class, _, _ := strings.Cut(d.Reason, ":")
	return class
}

func (n *Counters) receipt(r *event.Receipt) {
	if r.Via != "" {
		n.notice(r.Via)
		return
	}
	if r.Outcome == event.Sent {
		n.Mails.Add(1)
		if r.Fallback {
			n.Fallbacks.Add(1)
		}
	}
	class, _, _ := strings.Cut(r.Reason, ":")
	if strings.HasPrefix(r.Reason, "cancelled: ") {
		class = r.Reason
	}
	if r.Outcome != event.Skipped {
		class = ""
	}
	n.count(DecisionLabel{Outcome: r.Outcome, Reason: class})
}

func (n *Counters) count(l DecisionLabel) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, known := n.decisions[l]; !known && len(n.decisions) >= labelsMax {
		l = DecisionLabel{Outcome: l.Outcome, Reason: "other"}
		n.Labels.Add(1)
	}
	n.decisions[l]++
}

func (n *Counters) reject(r *event.Reject) {
	n.mu.Lock()
	defer n.mu.Unlock()
	code := string(r.Code)
	if _, known := n.letters[code]; !known && len(n.letters) >= labelsMax {
		code = "other"
		n.Labels.Add(1)
	}
	n.letters[code]++
}

func (n *Counters) notice(via string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, known := n.notices[via]; !known && len(n.notices) >= labelsMax {
		via = "other"
		n.Labels.Add(1)
	}
	n.notices[via]++
}

func (n *Counters) tooLate(source string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, known := n.late[source]; !known && len(n.late) >= labelsMax {
		source = "other"
		n.Labels.Add(1)
	}
	n.late[source]++
}

// TooLate are the counts of events later than is allowed, by source.
func (n *Counters) TooLate() map[string]uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return maps.Clone(n.late)
}

// Notices are the counts of webhooks that were taken and messages that were published, by
// "webhook/NAME" and "publish/SUBJECT".
func (n *Counters) Notices() map[string]uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return maps.Clone(n.notices)
}

// Decisions are the counts of decisions and of what came of them.
func (n *Counters) Decisions() map[DecisionLabel]uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := make(map[DecisionLabel]uint64, len(n.decisions))
	maps.Copy(out, n.decisions)
	return out
}

// Fired is the number of triggers that called for a mail; Cancelled those that an
// order, an emptied cart or new activity called off.
func (n *Counters) Fired() (fired, cancelled uint64) {
	for l, v := range n.Decisions() {
		if l.Outcome == event.Pending {
			fired += v
		}
		if strings.HasPrefix(l.Reason, "cancelled") {
			cancelled += v
		}
	}
	return fired, cancelled
}

// DeadLetters are the counts of rejected events by code.
func (n *Counters) DeadLetters() map[string]uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := make(map[string]uint64, len(n.letters))
	maps.Copy(out, n.letters)
	return out
}
