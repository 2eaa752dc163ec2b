package engine

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"
)

// Backoff says how long to wait between tries: Base, doubled each time, at most Max,
// of which half is jitter, so that those who failed together do not return together.
// It holds no state: the same try and seed wait the same time, which replay needs.
type Backoff struct {
	Base time.Duration
	Max  time.Duration
}

func (b Backoff) withDefaults() Backoff {
	b.Base = cmp.Or(b.Base, 100*time.Millisecond) // longer than a connection that was refused takes
	b.Max = cmp.Or(b.Max, time.Minute)            // a person who repaired something waits no longer than that
	return b
}

// Wait is how long to wait after try number try, the first of which is 1: between half
// of the doubled base and all of it. seed tells those apart who wait.
func (b Backoff) Wait(try int, seed uint64) time.Duration {
	b = b.withDefaults()
	full := b.Base
	for i := 1; i < try && full < b.Max; i++ {
		full *= 2
	}
	full = max(min(full, b.Max), 2)
	half := full / 2
	return half + time.Duration(mix(seed+uint64(max(try, 0))*0x9e3779b97f4a7c15)%uint64(full-half+1))
}

// mix is the finalizer of SplitMix64 (Steele, Lea, Flood, 2014): every bit of the
// answer depends on every bit of x.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// BreakerState is how a breaker stands.
type BreakerState uint8

// The states of a breaker.
const (
	BreakerClosed   BreakerState = iota // calls pass
	BreakerOpen                         // no call passes until its time is over
	BreakerHalfOpen                     // a few calls pass, and decide
)

// String is the state's name.
func (s BreakerState) String() string {
	return [...]string{"closed", "open", "half-open"}[min(s, BreakerHalfOpen)]
}

// BreakerOptions say when a breaker opens and closes. The zero value works.
type BreakerOptions struct {
	Window   int           // so many of the newest outcomes are looked at, at most 64
	Failures int           // so many failures among them open the breaker
	Open     Backoff       // how long it is open: longer each time until it closes
	Probes   int           // calls that pass at once while it is half-open; as many successes close it
	ProbeMax time.Duration // a call without an outcome for so long no longer counts as one under way
	Targets  int           // so many targets are known at once
}

func (o BreakerOptions) withDefaults() BreakerOptions {
	o.Window = min(cmp.Or(o.Window, 20), 64) // outcomes are bits of a word
	o.Failures = cmp.Or(o.Failures, 10)      // half of the window: a few refusals are a mailbox, not a host
	o.Open.Base = cmp.Or(o.Open.Base, 5*time.Second)
	o.Open.Max = cmp.Or(o.Open.Max, 5*time.Minute) // an outage costs a probe every five minutes
	o.Probes = cmp.Or(o.Probes, 2)                 // one could be luck
	o.ProbeMax = cmp.Or(o.ProbeMax, 2*time.Minute) // longer than any SMTP dialogue
	o.Targets = cmp.Or(o.Targets, 1024)            // hosts, not mailboxes; about 200 KB
	o.Failures = min(o.Failures, o.Window)
	return o
}

// Breakers are the circuit breakers of the targets that effects go to, such as hosts.
// They read no clock: the caller hands the time in. Safe for concurrent use.
type Breakers struct {
	o BreakerOptions

	mu      sync.Mutex
	targets map[string]*breaker
	evicted uint64
	changes uint64 // times one opened or closed
	saved   uint64 // of those, how many are stored
}

type breaker struct {
	state    BreakerState
	outcomes uint64 // the newest in the lowest bit; 1 is a failure
	seen     int    // how many of them there are
	opened   int    // times in a row
	until    time.Time
	term     uint64 // counts changes of state: what began in another one decides nothing
	good     int    // of the probes
	probes   []time.Time
	used     time.Time

	total BreakerFigures
}

// BreakerFigures are the counts of a target since start, for metrics.
type BreakerFigures struct {
	Target    string
	State     BreakerState
	Until     time.Time // while it is open: when the next call may pass
	Succeeded uint64
	Failed    uint64
	Rejected  uint64 // calls that did not pass
	Opened    uint64 // times
}

// NewBreakers makes breakers, all of them closed.
func NewBreakers(o BreakerOptions) *Breakers {
	return &Breakers{o: o.withDefaults(), targets: make(map[string]*breaker)}
}

// Permit is the right to make one call. Exactly one of Done and Cancel is to be called.
type Permit struct {
	of    *Breakers
	b     *breaker
	term  uint64
	probe time.Time
}

// Allow asks for a call to target. If it may not be made, wait says after how long to
// ask again.
func (s *Breakers) Allow(target string, now time.Time) (p Permit, wait time.Duration, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.target(target, now)
	b.used = now
	if b.state == BreakerOpen {
		if now.Before(b.until) {
			b.total.Rejected++
			return Permit{}, b.until.Sub(now), false
		}
		b.state, b.good, b.probes = BreakerHalfOpen, 0, nil
		b.term++
	}
	p = Permit{of: s, b: b, term: b.term}
	if b.state != BreakerHalfOpen {
		return p, 0, true
	}
	b.probes = slices.DeleteFunc(b.probes, func(t time.Time) bool { return now.Sub(t) >= s.o.ProbeMax })
	if len(b.probes) >= s.o.Probes {
		b.total.Rejected++
		return Permit{}, s.o.Open.Wait(1, seedOf(target)), false
	}
	p.probe = now
	b.probes = append(b.probes, now)
	return p, 0, true
}

// target is the breaker of a target, made if need be. When there are too many, the one
// that was not used for longest is forgotten, of those that are closed if there are any.
func (s *Breakers) target(name string, now time.Time) *breaker {
	if b := s.targets[name]; b != nil {
		return b
	}
	if len(s.targets) >= s.o.Targets {
		first := func(x, y string) int {
			a, b := s.targets[x], s.targets[y]
			return cmp.Or(cmp.Compare(min(a.state, 1), min(b.state, 1)), a.used.Compare(b.used), cmp.Compare(x, y))
		}
		delete(s.targets, slices.MinFunc(slices.Collect(maps.Keys(s.targets)), first))
		s.evicted++
	}
	b := &breaker{used: now, total: BreakerFigures{Target: name}}
	s.targets[name] = b
	return b
}

// Done says what came of the call. A failure is one of the target, such as a refused
// connection or a time-out; a recipient who is refused is a success of its host.
func (p Permit) Done(now time.Time, failed bool) {
	if p.of == nil {
		return
	}
	p.of.mu.Lock()
	defer p.of.mu.Unlock()
	b := p.b
	if failed {
		b.total.Failed++
	} else {
		b.total.Succeeded++
	}
	if p.term != b.term {
		return
	}
	if b.state == BreakerHalfOpen {
		p.release()
		switch {
		case failed:
			p.of.open(b, now)
		case b.good+1 >= p.of.o.Probes:
			b.state, b.opened, b.outcomes, b.seen, b.probes = BreakerClosed, 0, 0, 0, nil
			b.term++
			p.of.changes++
		default:
			b.good++
		}
		return
	}
	b.outcomes <<= 1
	if failed {
		b.outcomes |= 1
	}
	b.seen++
	if failed && b.failures(p.of.o.Window) >= p.of.o.Failures {
		p.of.open(b, now)
	}
}

// Cancel gives the permit back: the call told nothing about the target.
func (p Permit) Cancel() {
	if p.of == nil {
		return
	}
	p.of.mu.Lock()
	defer p.of.mu.Unlock()
	if p.term == p.b.term {
		p.release()
	}
}

// release takes the call out of the probes under way.
func (p Permit) release() {
	if i := slices.IndexFunc(p.b.probes, p.probe.Equal); i >= 0 {
		p.b.probes = slices.Delete(p.b.probes, i, i+1)
	}
}

func (b *breaker) failures(window int) int {
	n := 0
	for i := range min(window, b.seen) {
		n += int(b.outcomes >> i & 1)
	}
	return n
}

func (s *Breakers) open(b *breaker, now time.Time) {
	b.opened++
	s.changes++
	b.total.Opened++
	b.state, b.probes, b.outcomes, b.seen = BreakerOpen, nil, 0, 0
	b.until = now.Add(s.o.Open.Wait(b.opened, seedOf(b.total.Target)))
	b.term++
}

// names are those of the known targets, sorted.
func (s *Breakers) names() []string { return slices.Sorted(maps.Keys(s.targets)) }

// seedOf tells targets apart.
func seedOf(target string) uint64 { return HashMessage([]byte(target)) }

// Figures are those of every known target, by name, and how many were forgotten
// because there were too many.
func (s *Breakers) Figures() (all []BreakerFigures, evicted uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.targets {
		f := b.total
		f.State = b.state
		if b.state == BreakerOpen {
			f.Until = b.until
		}
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b BreakerFigures) int { return cmp.Compare(a.Target, b.Target) })
	return all, s.evicted
}
