package engine

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"millrace/state"
)

// This file keeps what the outbox knows of failures beyond a restart: how often an effect
// was tried, since when and until when it waits, and which breakers are open. It is
// written with the next epoch, so a kill forgets at most the tries since the newest commit.
// Only effects that are given up one day are written about: at most once for each try,
// and once when a breaker first holds one back.

// attempt is what is kept of an effect that failed.
type attempt struct {
	tries int
	since int64 // when a run first held it, Unix milliseconds
	after int64 // not to be tried before, likewise
}

// waitKept bounds for how long a wait of an earlier run is heeded: the longest that a
// target may ask for. A clock that was set back must not hold an effect any longer.
const waitKept = time.Hour

// breakerKept is for how long after its time an open breaker is remembered: what failed
// then says little of now.
const breakerKept = time.Hour

var (
	keyTries    = []byte("\x01try/")     //nolint:gochecknoglobals // constant
	keyBreakers = []byte("\x01breakers") //nolint:gochecknoglobals // constant
	errAttempt  = errors.New("the tries of an effect cannot be read")
)

func tryKey(id uint64) []byte {
	return binary.BigEndian.AppendUint64(slices.Clone(keyTries), id)
}

// appendAttempt encodes an attempt: version, tries, since, after.
func appendAttempt(b []byte, a attempt) []byte {
	b = binary.AppendUvarint(append(b, 1), uint64(max(a.tries, 0)))
	b = binary.AppendVarint(b, a.since)
	return binary.AppendVarint(b, a.after)
}

func decodeAttempt(b []byte) (attempt, error) {
	r := reading{b: b}
	version := r.byte()
	tries := r.uvarint()
	a := attempt{tries: int(min(tries, 1<<30)), since: r.varint(), after: r.varint()} //nolint:gosec // bounded
	if r.bad || len(r.b) > 0 || version != 1 {
		return attempt{}, errAttempt
	}
	return a, nil
}

// openTries reads what an earlier run noted. There are few: a row is tried only while it
// is in memory.
func (p *pool) openTries(read *state.Reader) error {
	var failed error
	err := read.Scan(keyTries, nil, func(key, value []byte) bool {
		if len(key) != len(keyTries)+8 {
			failed = errAttempt
			return false
		}
		a, err := decodeAttempt(value)
		if err != nil {
			failed = err
			return false
		}
		p.tried[binary.BigEndian.Uint64(key[len(keyTries):])] = a
		return true
	})
	if err = errors.Join(err, failed); err != nil {
		return err
	}
	raw, found, err := read.Get(nil, keyBreakers)
	if err != nil || !found {
		return err
	}
	return p.gate.breakers.restore(raw, time.Now())
}

// resume gives a row what an earlier run noted of it.
func (p *pool) resume(w *work) {
	a, ok := p.tried[w.row.ID]
	if !ok {
		return
	}
	now := w.since
	w.tries, w.noted = a.tries, true
	if since := time.UnixMilli(a.since); since.Before(now) {
		w.since = since
	}
	if after := time.UnixMilli(a.after); after.After(now) {
		w.after = now.Add(min(after.Sub(now), waitKept))
	}
	if w.terms.Tries > 0 && w.tries >= w.terms.Tries && p.mayGiveUp(w) {
		w.drop, w.after = GiveUpTries, time.Time{} // it was given up, and nobody could be told
	}
}

// note has what is known of a row written with the next epoch. The pool's lock is held.
func (p *pool) note(w *work) {
	if w.terms.Tries <= 0 && w.terms.Within <= 0 || p.gate.GiveUp == nil {
		return
	}
	a := attempt{tries: w.tries, since: w.since.UnixMilli()}
	if !w.after.IsZero() {
		a.after = w.after.UnixMilli()
	}
	w.noted = true
	p.tried[w.row.ID] = a
	p.notes = append(p.notes, w.row.ID)
}

// unwritten tells whether there is anything for flushTries to write.
func (p *pool) unwritten() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.notes) > 0 || p.gate.breakers.changed()
}

// flushTries writes what was noted since the last epoch into r, and forgets the rows that
// the epoch removes.
func (p *pool) flushTries(r *state.Record, removed []uint64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.tried) > 0 {
		for _, id := range removed {
			if _, ok := p.tried[id]; ok {
				delete(p.tried, id)
				r.Delete(tryKey(id))
			}
		}
	}
	for _, id := range p.notes {
		if a, ok := p.tried[id]; ok {
			r.PutFunc(tryKey(id), func(b []byte) []byte { return appendAttempt(b, a) })
		}
	}
	p.notes = p.notes[:0]
	raw, err := p.gate.breakers.save()
	if err == nil && raw != nil {
		r.Put(keyBreakers, raw)
	}
	return err
}

// breakerKeeping is how an open breaker is stored.
type breakerKeeping struct {
	Target string `json:"target"`
	Opened int    `json:"opened"` // times in a row
	Until  int64  `json:"until"`  // Unix milliseconds
}

// changed tells whether a breaker opened or closed since the last save.
func (s *Breakers) changed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changes != s.saved
}

// save encodes the breakers that are not closed, or answers nil when nothing changed.
func (s *Breakers) save() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changes == s.saved {
		return nil, nil
	}
	s.saved = s.changes
	open := []breakerKeeping{}
	for _, name := range s.names() {
		if b := s.targets[name]; b.state != BreakerClosed {
			open = append(open, breakerKeeping{Target: name, Opened: b.opened, Until: b.until.UnixMilli()})
		}
	}
	return json.Marshal(open)
}

// restore opens the breakers that were open when raw was saved.
func (s *Breakers) restore(raw []byte, now time.Time) error {
	var open []breakerKeeping
	if err := json.Unmarshal(raw, &open); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range open {
		until := time.UnixMilli(k.Until)
		if len(s.targets) >= s.o.Targets || now.Sub(until) > breakerKept {
			continue
		}
		if most := now.Add(s.o.Open.Max); until.After(most) { // the clock was set back
			until = most
		}
		b := s.target(k.Target, now)
		b.state, b.opened, b.until = BreakerOpen, max(k.Opened, 0), until
	}
	return nil
}
