package engine

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"time"
)

// ErrTarget is wrapped by a handler's error when the target itself failed, as when it
// refuses connections or does not answer. It counts against the target's breaker; any
// other error tells nothing about the target.
var ErrTarget = errors.New("the target of the effect failed")

// Why an effect is given up.
const (
	GiveUpRefused = "refused"     // the handler answered Drop: trying again is no use
	GiveUpTries   = "tries"       // it failed as often as its terms allow
	GiveUpTime    = "too_old"     // it waited for as long as its terms allow
	GiveUpDown    = "target_down" // its target is down and too much waits for it
)

// GivenUp is an effect that is not tried any more.
type GivenUp struct {
	Row    Row
	Reason string // one of GiveUpRefused, GiveUpTries, GiveUpTime and GiveUpDown
	Tries  int    // of all runs
	Err    error  // of the last try, or nil
}

// Terms are under which an effect leaves.
type Terms struct {
	Target string        // whose breaker is asked before each try; "" for none
	AtOnce int           // so many of the target may be under way, so that one that is slow leaves workers for others; 0: no limit
	Paced  bool          // Delivery.Rate holds for it
	Tries  int           // it is given up after so many tries, those of earlier runs included; 0: never
	Within time.Duration // it is given up so long after a run first held it; 0: never
	Pace   string        // a rate of its own, beside Delivery.Rate, which it shares with all of this name; "" for none
	Rate   float64       // of Pace: effects a second, retries included
}

// Delivery says how effects leave. The zero value tries for ever, with a backoff, and
// knows neither breakers nor a limit.
type Delivery struct {
	// Terms are asked once for each row that comes into memory. nil: the zero Terms.
	Terms func(row *Row) Terms
	// GiveUp keeps what is given up, such as in the dead letters, and is asked again until it
	// answers nil; the row is removed then. Without it nothing is ever given up.
	GiveUp func(ctx context.Context, g *GivenUp) error
	// Rate is how many paced effects may leave in a second, retries included; 0: no limit.
	Rate float64
	// Burst is how many of them may leave at once after a pause.
	Burst int
	// Backoff is how long to wait between tries.
	Backoff Backoff
	// Breakers say when a target's breaker opens.
	Breakers BreakerOptions
}

func (d Delivery) withDefaults() Delivery {
	if d.Terms == nil {
		d.Terms = func(*Row) Terms { return Terms{} }
	}
	d.Burst = max(cmp.Or(d.Burst, int(d.Rate)), 1) // a second's worth: not more than anybody would notice
	return d
}

// gate is what stands between the outbox and its handlers. The pool's lock guards it.
type gate struct {
	Delivery
	breakers *Breakers
	all      bucket             // of Delivery.Rate
	paces    map[string]*bucket // of Terms.Pace

	givenUp map[string]uint64 // by reason
	paced   uint64            // times a row had to wait for the rate of all
	slowed  uint64            // times one had to wait for its own
	flying  map[string]int    // effects under way of targets with a limit

	overflows uint64 // times more rows waited than memory holds
}

func newGate(d Delivery) gate {
	d = d.withDefaults()
	return gate{
		Delivery: d, breakers: NewBreakers(d.Breakers), givenUp: make(map[string]uint64),
		all: bucket{rate: d.Rate, burst: float64(d.Burst), tokens: float64(d.Burst)}, paces: make(map[string]*bucket), flying: make(map[string]int),
	}
}

// mayGiveUp tells whether there is anybody to keep a row that is given up.
func (p *pool) mayGiveUp(w *work) bool { return p.gate.GiveUp != nil && !w.settled }

// shed tells whether a row has to make room: what waits for one target that is down would
// hold up all others.
func (p *pool) shed(w *work) bool {
	return w.rejected && w.terms.Tries > 0 && p.mayGiveUp(w) && p.behind && len(p.window) >= p.max
}

// admit asks whether a row may be carried out now: then it answers no time. Else it may
// after the time that is answered. With w.drop set the row is to be given up.
func (p *pool) admit(w *work, now time.Time) time.Time {
	expired := w.terms.Within > 0 && now.Sub(w.since) >= w.terms.Within && p.mayGiveUp(w)
	switch {
	case w.drop != "" && !now.Before(w.after):
		return time.Time{}
	case w.drop == "" && expired:
		w.drop = GiveUpTime
		return time.Time{}
	case w.drop == "" && p.shed(w):
		w.drop = GiveUpDown
		return time.Time{}
	case now.Before(w.after) && w.drop == "" && w.terms.Within > 0 && p.mayGiveUp(w):
		if end := w.since.Add(w.terms.Within); end.Before(w.after) {
			return end
		}
		return w.after
	case now.Before(w.after):
		return w.after
	}
	g := &p.gate
	if next, ok := g.pace(&w.terms, now); !ok {
		return next
	}
	if w.terms.AtOnce > 0 && g.flying[w.terms.Target] >= w.terms.AtOnce {
		return now.Add(time.Minute) // whoever of them ends wakes the workers
	}
	if w.terms.Target != "" {
		permit, wait, ok := g.breakers.Allow(w.terms.Target, now)
		w.rejected = !ok
		if !ok {
			w.after = now.Add(wait)
			if !w.noted && p.mayGiveUp(w) {
				p.note(w)
			}
			if p.shed(w) {
				w.drop = GiveUpDown
				return time.Time{}
			}
			return w.after
		}
		w.permit = permit
	}
	g.spend(&w.terms)
	if w.terms.AtOnce > 0 {
		w.flying = true
		g.flying[w.terms.Target]++
	}
	return time.Time{}
}

// landed says that a row is not under way any more. The pool's lock is held.
func (p *pool) landed(w *work) {
	w.running = false
	delete(p.busy, w.row.Lane)
	if !w.flying {
		return
	}
	w.flying = false
	if p.gate.flying[w.terms.Target]--; p.gate.flying[w.terms.Target] <= 0 {
		delete(p.gate.flying, w.terms.Target)
	}
}

// carryOut handles a row, tells its breaker what came of that, and gives the row up when
// its terms say so.
func (p *pool) carryOut(ctx context.Context, w *work) (Result, time.Duration, error) {
	if w.drop != "" {
		return p.giveUp(ctx, w, w.last)
	}
	w.rejected = false
	result, after, err := p.handle(ctx, w)
	switch permit := w.permit; {
	case errors.Is(err, ErrTarget):
		permit.Done(time.Now(), true)
	case err != nil || result == Again:
		permit.Cancel()
	default:
		permit.Done(time.Now(), false)
	}
	w.permit = Permit{}
	switch {
	case p.gate.GiveUp == nil && result == Drop:
		result = Again
	case result == Drop:
		w.drop = GiveUpRefused
		return p.giveUp(ctx, w, err)
	case (result == Again || err != nil) && p.gate.GiveUp != nil && w.terms.Tries > 0 && w.tries+1 >= w.terms.Tries && ctx.Err() == nil:
		w.drop = GiveUpTries
		w.tries++
		return p.giveUp(ctx, w, err)
	}
	w.last = err
	return result, after, err
}

// giveUp hands a row to whom keeps what is given up.
func (p *pool) giveUp(ctx context.Context, w *work, err error) (Result, time.Duration, error) {
	w.last = err
	if err := p.gate.GiveUp(ctx, &GivenUp{Row: w.row, Reason: w.drop, Tries: w.tries, Err: err}); err != nil {
		return Again, time.Second, err
	}
	p.log.Warn("an effect is given up", "row", w.row.ID, "kind", w.row.Kind, "reason", w.drop, "tries", w.tries, "err", err)
	p.mu.Lock()
	p.gate.givenUp[w.drop]++
	p.mu.Unlock()
	return Removed, 0, nil
}

// newWork is a row that comes into the window.
func (p *pool) newWork(row Row) *work {
	w := &work{row: row, since: time.Now(), terms: p.gate.Terms(&row)}
	p.resume(w)
	return w
}

// DeliveryStats is how effects leave, since start.
type DeliveryStats struct {
	Window   int               // rows in memory
	Held     int               // entries of all that the outbox keeps in memory, rows included
	GivenUp  map[string]uint64 // by reason
	Paced    uint64            // times the rate made one wait
	Slowed   uint64            // times a rate of its own, Terms.Pace, made one wait
	Breakers []BreakerFigures
	Evicted  uint64 // breakers that were forgotten because there were too many targets

	Stopped   uint64 // times reading stopped at Options.OutboxMax
	Overflows uint64 // times more rows waited than Options.OutboxOpen
}

// Delivery is how effects leave. Safe for concurrent use.
func (e *Engine) Delivery() DeliveryStats {
	p := e.pool
	p.mu.Lock()
	s := DeliveryStats{
		Window: len(p.window), Held: len(p.window) + len(p.reported) + len(p.remove) + len(p.tried) + len(p.notes) + len(p.busy),
		Paced: p.gate.paced, Slowed: p.gate.slowed, Stopped: e.stops.Load(), Overflows: p.gate.overflows, GivenUp: maps.Clone(p.gate.givenUp),
	}
	p.mu.Unlock()
	s.Breakers, s.Evicted = p.gate.breakers.Figures()
	return s
}
