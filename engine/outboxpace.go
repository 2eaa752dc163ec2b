package engine

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// bucket is a token bucket: what leaves takes a token, and tokens come at a rate.
type bucket struct {
	rate   float64 // tokens a second; 0: no limit
	burst  float64 // tokens at most
	tokens float64
	filled time.Time
	until  time.Time // no token before
}

// ready tells whether there is a token, else when there will be, and whether that is news.
func (b *bucket) ready(now time.Time) (next time.Time, ok, news bool) {
	if b.rate <= 0 {
		return time.Time{}, true, false
	}
	if now.Before(b.until) {
		return b.until, false, false
	}
	if !b.filled.IsZero() {
		b.tokens = min(b.tokens+b.rate*now.Sub(b.filled).Seconds(), b.burst)
	}
	b.filled = now
	if b.tokens < 1-1e-9 { // what rounding leaves over must not cost a second sleep
		b.until = now.Add(time.Duration((1-b.tokens)/b.rate*float64(time.Second)) + 1)
		return b.until, false, true
	}
	return time.Time{}, true, false
}

// pacesMax bounds the rates that are known at once: as many as a shop has journeys. The
// one that was asked longest ago is forgotten first, and begins anew with a full bucket.
const pacesMax = 256

// own is the bucket of a row's own rate, nil without one.
func (g *gate) own(t *Terms) *bucket {
	if t.Pace == "" || t.Rate <= 0 {
		return nil
	}
	b := g.paces[t.Pace]
	if b == nil {
		if len(g.paces) >= pacesMax {
			delete(g.paces, slices.MinFunc(slices.Collect(maps.Keys(g.paces)), func(x, y string) int {
				if c := g.paces[x].filled.Compare(g.paces[y].filled); c != 0 {
					return c
				}
				return strings.Compare(x, y)
			}))
		}
		b = &bucket{tokens: burstOf(t.Rate)}
		g.paces[t.Pace] = b
	}
	if b.rate != t.Rate { // a new version of the journey says another one
		b.rate, b.burst, b.until = t.Rate, burstOf(t.Rate), time.Time{}
		b.tokens = min(b.tokens, b.burst)
	}
	return b
}

// burstOf is how many may leave at once after a pause: a second's worth, at least one.
func burstOf(rate float64) float64 { return max(float64(int(rate)), 1) }

// pace tells whether the rates let a row leave, else when they will.
func (g *gate) pace(t *Terms, now time.Time) (time.Time, bool) {
	if own := g.own(t); own != nil {
		next, ok, news := own.ready(now)
		if news {
			g.slowed++
		}
		if !ok {
			return next, false
		}
	}
	if !t.Paced {
		return time.Time{}, true
	}
	next, ok, news := g.all.ready(now)
	if news {
		g.paced++
	}
	return next, ok
}

// spend takes the tokens of a row that leaves.
func (g *gate) spend(t *Terms) {
	if own := g.own(t); own != nil {
		own.tokens--
	}
	if t.Paced && g.all.rate > 0 {
		g.all.tokens--
	}
}
