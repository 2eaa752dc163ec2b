package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"millrace/engine"
	"millrace/operators/event"
	"millrace/operators/mail"
	"millrace/operators/profile"
	"millrace/operators/recommend"
	"millrace/operators/trigger"
	"millrace/state"
)

// This file looks at a data directory that nobody runs on.

// committed is what the state of a data directory holds.
type committed struct {
	versions  []engine.PipelineVersion
	watermark int64
	people    map[string]*profile.Person
	visitors  map[string]*profile.Visitor
	triggers  map[string]*trigger.State
	items     map[string]*recommend.Item
	totals    recommend.Totals
	decisions map[string]event.Decision
	outbox    []string // decisions of the mails that stand in it
	other     int      // rows of another kind
	timers    []alarm
	index     int // how much of the message after the position is processed
	redo      int // parts of what is still to be written of lazy cells
}

// readState reads all of a state directory. It opens it as the program would, so after
// a crash it must be a copy.
func readState(dir string) (*committed, error) {
	store, err := state.Open(state.Options{Dir: dir})
	if err != nil {
		return nil, err
	}
	defer func() { _ = store.Close() }()
	people := state.NewCell[profile.Person]("person/profile", 1)
	visitors := state.NewCell[profile.Visitor]("visitor/link", 1)
	triggers := state.NewCell[trigger.State]("person/trigger", 1)
	items := state.NewLazyCell[recommend.Item]("item/cooccurrence", 1)
	totals := state.NewLazyCell[recommend.Totals]("item/totals", 1)
	g := engine.NewGraph(func(*engine.Ctx, *engine.Unit) {})
	g.Keep(people, visitors, triggers, items, totals)
	open, err := engine.OpenView(store, g)
	if err != nil {
		return nil, err
	}
	v := open()
	defer v.Close()
	c := &committed{watermark: v.Watermark, decisions: make(map[string]event.Decision)}
	var errs [4]error
	c.people, errs[0] = readCell(v, people)
	c.visitors, errs[1] = readCell(v, visitors)
	c.triggers, errs[2] = readCell(v, triggers)
	c.items, errs[3] = readCell(v, items)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	if c.totals, _, err = engine.Read(v, totals, ""); err != nil {
		return nil, err
	}
	if c.versions, err = engine.Versions(v); err != nil {
		return nil, err
	}
	if err := c.collect(); err != nil {
		return nil, err
	}
	return c, errors.Join(c.readOutbox(v), c.readProgress(v))
}

// readProgress finds out in what the program was interrupted.
func (c *committed) readProgress(v *engine.View) error {
	raw, found, err := v.Get(nil, []byte("\x01progress"))
	if err != nil || !found {
		return err
	}
	var p struct{ Position engine.Position }
	if err := json.Unmarshal(raw, &p); err != nil {
		return err
	}
	c.index = int(p.Position.Index)
	err = v.Scan([]byte{state.SpaceTimers}, nil, func(key, _ []byte) bool { // space, due, operator, person, 0, tag
		person, tag, _ := strings.Cut(string(key[11:]), "\x00")
		due := int64(binary.BigEndian.Uint64(key[1:]) ^ 1<<63) //nolint:gosec // the sign bit is flipped, for the order
		c.timers = append(c.timers, alarm{due, person, tag})
		return true
	})
	if err != nil {
		return err
	}
	return v.Scan([]byte{state.SpaceRedo}, nil, func([]byte, []byte) bool {
		c.redo++
		return true
	})
}

func readCell[T any, P state.Codec[T]](v *engine.View, cell *state.Cell[T, P]) (map[string]*T, error) {
	all := make(map[string]*T)
	err := cell.Each(v.Snapshot, func(key string, value *T) bool {
		all[key] = value
		return true
	})
	return all, err
}

// collect gathers the decisions of all persons.
func (c *committed) collect() error {
	for person, s := range c.triggers {
		if len(s.Records) >= trigger.MaxRecords || s.Lost > 0 {
			return fmt.Errorf("person %s has %d decisions, more than are kept: the test asks too much", person, len(s.Records))
		}
		for _, d := range s.Records {
			if other, ok := c.decisions[d.ID]; ok {
				return fmt.Errorf("decision %s stands twice: %+v and %+v", d.ID, other, d)
			}
			c.decisions[d.ID] = d
		}
	}
	return nil
}

func (c *committed) readOutbox(v *engine.View) error {
	var bad error
	err := v.Scan([]byte{state.SpaceOutbox}, nil, func(key, value []byte) bool {
		at := bytes.Index(value, []byte(`{"id":"`))
		if at < 0 {
			c.other++
			return true
		}
		var d event.Decision
		if err := json.Unmarshal(value[at:], &d); err != nil {
			bad = fmt.Errorf("outbox row %x: %w", key, err)
			return false
		}
		c.outbox = append(c.outbox, d.ID)
		return true
	})
	return errors.Join(bad, err)
}

// ids are the decisions that ended, or not, in an outcome.
func (c *committed) ids(o event.Outcome) []string {
	var out []string
	for id, d := range c.decisions {
		if d.Outcome == o {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

// decisionOf is the decision that a mail is about, by its Message-ID.
func decisionOf(r mail.Received) string {
	id, _, _ := strings.Cut(strings.Trim(r.MessageID, "<>"), "@")
	return id
}

// mailed are the decisions whose mails came. It complains about those that came twice.
func (c *crashTest) mailed() (map[string]mail.Received, error) {
	var errs []error
	out := make(map[string]mail.Received)
	for _, r := range c.inbox.received() {
		id := decisionOf(r)
		if _, twice := out[id]; twice {
			errs = append(errs, fmt.Errorf("decision %s was mailed twice", id))
		}
		out[id] = r
	}
	return out, errors.Join(errs...)
}

// checkAtRest checks what must hold whenever the program is dead, on a copy of what
// lies on disk: every mail that left belongs to a decision that is committed; the
// journal knows it; and what is decided and open stands in the outbox, nothing else.
func (c *crashTest) checkAtRest() error {
	mails, err := c.mailed()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(c.t.TempDir(), "rest")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	live, copied := files{c.dir}, files{dir}
	for from, to := range map[string]string{live.state(): copied.state(), live.journal(): copied.journal()} {
		if err := copyTree(from, to); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	if _, err := os.Stat(filepath.Join(copied.state())); err != nil {
		if len(mails) > 0 {
			return errors.New("mails have left and there is no state")
		}
		return nil // died before there was any
	}
	s, err := readState(copied.state())
	if err != nil {
		return err
	}
	j, err := mail.Open(copied.journal(), mail.JournalOptions{})
	if err != nil {
		return err
	}
	defer func() { _ = j.Close() }()
	c.inside += min(s.index, 1)
	c.behind += min(s.redo, 1)
	return errors.Join(c.checkMails(s, j, mails), checkOutbox(s))
}

// checkMails compares the mails with the decisions and the journal, and notes which
// decisions are in doubt.
func (c *crashTest) checkMails(s *committed, j *mail.Journal, mails map[string]mail.Received) error {
	var errs []error
	for id := range mails {
		d, ok := s.decisions[id]
		switch {
		case !ok:
			errs = append(errs, fmt.Errorf("a mail was sent for decision %s, which the state does not hold", id))
		case d.Outcome == event.Skipped:
			errs = append(errs, fmt.Errorf("a mail was sent for decision %s, which was skipped: %s", id, d.Reason))
		}
		e, ok := j.Lookup(id)
		if !ok || e.State != mail.Attempted && (e.State != mail.Decided || e.Outcome == event.Skipped) {
			errs = append(errs, fmt.Errorf("a mail was sent for decision %s, of which the journal says %s %s", id, e.State, e.Outcome))
		}
	}
	for id := range s.decisions {
		if e, ok := j.Lookup(id); ok && e.State == mail.Attempted {
			c.doubt[id] = true
		}
	}
	return errors.Join(errs...)
}

// checkOutbox compares the outbox with the decisions that wait for their outcome.
func checkOutbox(s *committed) error {
	rows := slices.Sorted(slices.Values(s.outbox))
	if pending := s.ids(event.Pending); !slices.Equal(rows, pending) {
		return fmt.Errorf("the outbox holds the mails %v, pending are the decisions %v", rows, pending)
	}
	return nil
}

// persons are the keys of a map, sorted.
func persons[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }
