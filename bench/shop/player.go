package shop

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Post hands one request body to the ingest: nil when it was taken for good, a
// *RetryError when it must be sent again later, a *RefusedError when sending it again
// is pointless. Any other error is taken for a broken connection, and the body is sent
// again. It must not keep the body.
type Post func(ctx context.Context, path string, body []byte) error

// RetryError says that the server is alive and asks to come back.
type RetryError struct {
	Status int
	After  time.Duration // wall time; 0: the server did not say
}

// Error tells the status and the wait that was asked for.
func (e *RetryError) Error() string {
	return fmt.Sprintf("server answered %d, retry after %s", e.Status, e.After)
}

// RefusedError says that the server will never take this body.
type RefusedError struct {
	Status int
}

// Error tells the status.
func (e *RefusedError) Error() string { return fmt.Sprintf("server refused with %d", e.Status) }

// PlayerOptions of a Player. The zero value works.
type PlayerOptions struct {
	Speed      float64       // simulated seconds in a second of wall time
	BatchMax   int           // events in a request
	BatchBytes int           // bytes of events in a request
	Flush      time.Duration // wall time between requests when the shop is quiet
	RetryMin   time.Duration // first wait after a broken connection or a 503 without Retry-After; doubles
	RetryMax   time.Duration // longest wait, also when the server asks for more
	WriteKey   string        // put into the body, as the Node SDK does
	From       time.Time     // earlier events happen but are not sent: another run has done that
}

func (o PlayerOptions) withDefaults() PlayerOptions {
	o.Speed = cmp.Or(max(o.Speed, 0), 720)                             // an hour of the shop in 5 s
	o.BatchMax = cmp.Or(max(o.BatchMax, 0), 100)                       // between the Node SDKs (15, 20) and the Go SDK (250)
	o.BatchBytes = cmp.Or(max(o.BatchBytes, 0), 400<<10)               // SDKs stop at 450 to 500 kB
	o.Flush = cmp.Or(max(o.Flush, 0), 100*time.Millisecond)            // a minute of the shop: short beside an hour's wait
	o.RetryMin = cmp.Or(max(o.RetryMin, 0), 100*time.Millisecond)      // as the Go SDK
	o.RetryMax = max(cmp.Or(o.RetryMax, 300*time.Second), time.Second) // as the Segment Node SDK
	o.WriteKey = cmp.Or(o.WriteKey, "wk_demo")                         // the key of the examples
	return o
}

// PlayerStats counts what a Player has done.
type PlayerStats struct {
	Events   int           // accepted by the ingest
	Requests int           // accepted
	Retries  int           // sent again: 429, 503 and broken connections
	Refused  int           // events in requests that were refused for good
	Unsent   int           // events taken from the shop and not yet accepted
	Held     time.Duration // wall time during which the shop stood still because of retries
	LastErr  error         // of the last request that was not accepted
}

// Player plays a Simulation in wall time, faster by a factor. Nothing is lost when the
// ingest is busy: while a request is being sent again the simulated clock stands still,
// and so does the shop. At most one request is in memory. A Player is safe for
// concurrent use, but Run must run only once at a time.
type Player struct {
	options PlayerOptions
	post    Post
	batch   []byte // request that was not yet accepted; belongs to Run
	shut    bool   // the request is complete

	mu        sync.Mutex // guards what follows
	shop      *Simulation
	started   time.Time // wall time at which base was right
	base      time.Time // simulated time then
	running   bool
	heldSince time.Time
	stats     PlayerStats
}

// NewPlayer prepares to play a simulation, which from now on belongs to the player.
func NewPlayer(s *Simulation, post Post, o PlayerOptions) *Player {
	base := s.Start()
	for base.Before(o.From) && s.Peek().Before(o.From) {
		s.Next()
	}
	if base.Before(o.From) {
		base = o.From
	}
	return &Player{options: o.withDefaults(), post: post, shop: s, base: base}
}

// Now is the simulated time: start + elapsed × speed, without the time held.
func (p *Player) Now() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now()
}

func (p *Player) now() time.Time {
	if !p.running {
		return p.base
	}
	return p.base.Add(time.Duration(float64(time.Since(p.started)) * p.options.Speed)).Truncate(time.Millisecond)
}

// Stats returns what has been done so far.
func (p *Player) Stats() PlayerStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	stats := p.stats
	if !p.heldSince.IsZero() {
		stats.Held += time.Since(p.heldSince)
	}
	return stats
}

// Shop returns what has happened in the simulation.
func (p *Player) Shop() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.shop.Stats()
}

// Delivered tells the shop of a mail that arrived. A mail without a time arrives now.
func (p *Player) Delivered(m MailSeen) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m.At.IsZero() {
		m.At = p.now()
	}
	p.shop.Delivered(m)
}

// Run plays until the context ends, and then returns nil. It may be called again: it
// goes on where it stopped, first of all with the request that was under way.
func (p *Player) Run(ctx context.Context) error {
	p.resume()
	defer p.stop()
	for ctx.Err() == nil {
		full := p.fill()
		if len(p.batch) > 0 {
			p.send(ctx)
		}
		if !full {
			wait(ctx, p.options.Flush)
		}
	}
	return nil
}

// resume lets the simulated clock go, pause stops it.
func (p *Player) resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.heldSince.IsZero() {
		p.stats.Held += time.Since(p.heldSince)
		p.heldSince = time.Time{}
	}
	if !p.running {
		p.running, p.started = true, time.Now()
	}
}

func (p *Player) pause() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.base = p.now()
	p.running = false
}

// stop ends a Run: time that passes until the next one is not counted as held.
func (p *Player) stop() {
	p.resume()
	p.pause()
}

// hold stops the simulated clock because a request was not accepted.
func (p *Player) hold(err error) {
	p.pause()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.Retries++
	p.stats.LastErr = err
	if p.heldSince.IsZero() {
		p.heldSince = time.Now()
	}
}

// fill takes the events that are due, at most a request full of them, and tells
// whether more are due.
func (p *Player) fill() (full bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shut {
		return true
	}
	now := p.now()
	events := 0
	for events < p.options.BatchMax && len(p.batch) < p.options.BatchBytes && !p.shop.Peek().After(now) {
		if events == 0 {
			p.batch = append(p.batch[:0], `{"batch":[`...)
		} else {
			p.batch = append(p.batch, ',')
		}
		p.batch = append(p.batch, p.shop.Next().JSON...)
		events++
	}
	if events == 0 {
		return false
	}
	p.batch = append(p.batch, `],"writeKey":`...)
	p.batch = append(appendText(p.batch, p.options.WriteKey), `,"sentAt":"`...)
	p.batch = append(appendTime(p.batch, now.UnixMilli()), '"', '}')
	p.shut = true
	p.stats.Unsent = events
	return !p.shop.Peek().After(now)
}

// send posts the request until it is accepted, refused for good, or the context ends.
func (p *Player) send(ctx context.Context) {
	pause := p.options.RetryMin
	for {
		err := p.post(ctx, "/v1/batch", p.batch)
		var refused *RefusedError
		switch {
		case err == nil:
			p.settle(nil)
			return
		case errors.As(err, &refused):
			p.settle(err)
			return
		case ctx.Err() != nil:
			return
		}
		p.hold(err)
		delay := pause
		var retry *RetryError
		if errors.As(err, &retry) && retry.After > 0 {
			delay = retry.After
		} else {
			pause *= 2
		}
		if !wait(ctx, min(delay, p.options.RetryMax)) {
			return
		}
	}
}

// settle forgets a request that was accepted, or refused with err, and lets the clock go.
func (p *Player) settle(err error) {
	p.resume()
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		p.stats.Requests++
		p.stats.Events += p.stats.Unsent
	} else {
		p.stats.Refused += p.stats.Unsent
		p.stats.LastErr = err
	}
	p.stats.Unsent = 0
	p.batch, p.shut = p.batch[:0], false
}

// wait sleeps and tells whether the context is still alive.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
