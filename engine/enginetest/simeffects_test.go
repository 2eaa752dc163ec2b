package enginetest_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"millrace/engine"
	"millrace/engine/enginetest"
	"millrace/state"
)

// The world outside: it outlives the program. A note is carried out at least once, and
// twice only if the program ended in between. A mail goes through a journal, as those of
// the product do: at most once, and the moment that nobody can know of is reported as
// unknown.

// carryOut notes that a row was carried out, and what is wrong with that.
func (s *sim) carryOut(v *engine.View, row engine.Row) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return
	}
	before := s.acts[row.ID]
	switch {
	case s.gone[row.ID]:
		s.fail("row %d is carried out although its removal was committed", row.ID)
	case len(before) > 0 && row.Kind == "mail":
		s.fail("mail %d is sent twice", row.ID)
	case len(before) > 0 && before[len(before)-1].run == s.run:
		s.fail("row %d is carried out twice in run %d", row.ID, s.run)
	case len(before) > 0 && s.clean[before[len(before)-1].run]:
		s.fail("row %d is carried out again although run %d ended in order", row.ID, before[len(before)-1].run)
	case len(before) == 0 && s.lanes[row.Lane] >= row.ID:
		s.fail("row %d of lane %s is carried out after row %d", row.ID, row.Lane, s.lanes[row.Lane])
	case v.Watermark < row.At:
		s.fail("row %d of watermark %d sees a state of %d", row.ID, row.At, v.Watermark)
	}
	if len(before) > 0 {
		s.doubles++
	}
	s.lanes[row.Lane] = max(s.lanes[row.Lane], row.ID)
	s.acts[row.ID] = append(before, act{s.run, row})
}

func (s *sim) note(ctx context.Context, v *engine.View, row engine.Row) (engine.Result, time.Duration, error) {
	if err := s.step("before-act", true, true); err != nil {
		return engine.Again, 0, err
	}
	if ctx.Err() != nil {
		return engine.Again, 0, ctx.Err()
	}
	s.carryOut(v, row)
	if err := s.step("after-act", true, false); err != nil {
		return engine.Again, 0, err
	}
	return engine.Removed, 0, nil
}

// flaky is a note that is tried several times, some of them after a long wait.
func (s *sim) flaky(ctx context.Context, v *engine.View, row engine.Row) (engine.Result, time.Duration, error) {
	s.tried(row.ID)
	if s.draw(3) > 0 {
		err := s.step("refused", true, true)
		return engine.Again, time.Duration(s.draw(1<<s.draw(14))) * time.Second, errors.Join(err, errors.New("busy"))
	}
	return s.note(ctx, v, row)
}

// flakyTries is how often a note that is tried several times is tried before it is given up.
const flakyTries = 4

// tried notes a try. What a run that ended in order knew of, the next one knows.
func (s *sim) tried(row uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return
	}
	known := 0
	for run := s.run; run == s.run || s.clean[run]; run-- {
		known += s.tries[row][run]
	}
	if known >= flakyTries {
		s.fail("row %d is tried again after %d tries in run %d and those in order before it", row, known, s.run)
	}
	if s.tries[row] == nil {
		s.tries[row] = make(map[int]int)
	}
	s.tries[row][s.run]++
}

// giveUp takes what is given up, which counts as carried out.
func (s *sim) giveUp(_ context.Context, g *engine.GivenUp) error {
	if err := s.step("give-up", true, true); err != nil {
		return err
	}
	s.mu.Lock()
	all := 0
	for _, n := range s.tries[g.Row.ID] {
		all += n
	}
	if g.Reason == engine.GiveUpTries && !s.down {
		s.givenUp++
		if g.Tries < flakyTries || all < flakyTries {
			s.fail("row %d is given up after %d tries, and it says %d", g.Row.ID, all, g.Tries)
		}
	}
	s.mu.Unlock()
	s.carryOut(&engine.View{Watermark: g.Row.At}, g.Row)
	return s.step("gave-up", true, false)
}

func (s *sim) mail(ctx context.Context, v *engine.View, row engine.Row) (engine.Result, time.Duration, error) {
	if err := s.step("before-journal", true, true); err != nil {
		return engine.Again, 0, err
	}
	s.mu.Lock()
	was := s.journal[row.ID]
	switch {
	case s.down:
	case was == "":
		s.journal[row.ID] = "begun"
	case was == "begun": // an earlier run got so far, and maybe further
		s.journal[row.ID] = "unknown"
		s.unknown++
	}
	s.mu.Unlock()
	if was == "" {
		if err := s.step("before-act", true, false); err != nil {
			return engine.Again, 0, err
		}
		s.carryOut(v, row)
		if err := s.step("after-act", true, false); err != nil {
			return engine.Again, 0, err
		}
		s.mu.Lock()
		if !s.down {
			s.journal[row.ID] = "sent"
		}
		s.mu.Unlock()
	}
	if err := s.step("before-receipt", true, true); err != nil {
		return engine.Again, 0, err
	}
	s.mu.Lock()
	outcome := s.journal[row.ID]
	s.mu.Unlock()
	if err := s.m.publish(ctx, fmt.Sprintf("receipt-%d", row.ID), fmt.Appendf(nil, "r %d %s", row.ID, outcome)); err != nil {
		return engine.Again, 0, err
	}
	if err := s.step("after-receipt", true, true); err != nil { // it may be stored although its answer is lost
		return engine.Again, 0, err
	}
	return engine.Reported, 0, nil
}

// feed is the producers: they know nothing of the program and its ends.
func (s *sim) feed(ctx context.Context) error {
	total := 4 + s.draw(60)
	first := s.draw(total)
	clock := time.Duration(0) // how far the gateway's clock is off
	for i := range total {
		if i > first {
			time.Sleep(time.Duration(s.draw(1<<s.draw(24))) * time.Millisecond)
		}
		if s.draw(30) == 0 {
			clock = time.Duration(s.draw(7_200)-3_600) * time.Second
		}
		var parts []string
		for range s.draw(7) {
			received := time.Now().Add(clock).UnixMilli()
			at := received - int64(s.draw(1<<s.draw(12))) // late ones too
			parts = append(parts, fmt.Sprintf("e %d %d k%d %d", at, received, s.draw(8), s.draw(1<<30)))
		}
		if s.draw(20) == 0 {
			parts = append(parts, "nonsense")
		}
		data := []byte(strings.Join(parts, ";"))
		id := fmt.Sprintf("m%d", i)
		for range 1 + s.draw(8)/7 { // a producer that heard no answer tries again
			if s.draw(5) == 0 {
				id = "" // without an id the log keeps both
			}
			if err := s.m.publish(ctx, id, data); err != nil {
				return fmt.Errorf("publish: %w", err)
			}
		}
	}
	return nil
}

// check compares a store that was just opened with the reference, as of where the store
// stands, and with what was promised.
func (s *sim) check(ctx context.Context, store *state.Store) error {
	raw, found, err := store.Get(nil, keyProgress)
	if err != nil {
		return err
	}
	var p engineProgress
	if found {
		if p, err = decodeProgress(raw); err != nil {
			return err
		}
	}
	s.found = p
	if p.Epoch < s.acked.Epoch {
		return fmt.Errorf("epoch %d was committed and the state is that of %d", s.acked.Epoch, p.Epoch)
	}
	for id := range s.acts {
		if id > p.NextRow {
			return fmt.Errorf("row %d was carried out, and the state does not hold its decision: it knows %d rows", id, p.NextRow)
		}
	}
	all, err := s.m.messages(ctx)
	if err != nil {
		return err
	}
	got, rows, err := contents(store, false, s.spec)
	if err != nil {
		return err
	}
	if err := s.follow(all, p, got); err != nil {
		return fmt.Errorf("epoch %d, message %d, unit %d: %w", p.Epoch, p.Position.Seq+1, p.Position.Index, err)
	}
	return s.checkRows(rows)
}

// follow runs the reference to where the store stands: behind a unit, or behind some of
// the timers that the next unit made due.
func (s *sim) follow(all []engine.Message, p engineProgress, got map[string]string) error {
	r := s.ref
	for _, m := range all {
		if m.Seq >= r.seq && m.Seq <= p.Position.Seq {
			r.read(m)
		}
	}
	for _, m := range all {
		if m.Seq != p.Position.Seq+1 {
			continue
		}
		units := r.begin(m)
		for r.index < p.Position.Index {
			r.unit(&units[r.index])
		}
		if int(r.index) < len(units) && p.Newest > r.newest {
			r.advance(&units[r.index])
		}
	}
	var first error // what differs before any timer of the next unit has fired
	for {
		err := compare(got, r.dump(false))
		if err == nil && (p.NextRow != uint64(len(r.rows)) || p.Sent != r.sent || p.Newest != r.newest || p.Epoch > 0 && p.Watermark != r.watermark) {
			err = fmt.Errorf("%+v, want %d rows, %d messages sent, watermark %d, newest %d", p, len(r.rows), r.sent, r.watermark, r.newest)
		}
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
		if uint64(len(r.rows)) > p.NextRow || !r.fire() {
			return first
		}
	}
}

// contents is what a store holds of cells and timers, and the rows of its outbox.
func contents(store *state.Store, lazy bool, sp *spec) (kv, rows map[string]string, err error) {
	v := store.Snapshot()
	defer v.Close()
	kv, rows = make(map[string]string), make(map[string]string)
	for _, space := range []byte{state.SpaceCells, state.SpaceParts, state.SpaceTimers, state.SpaceOutbox} {
		err := v.Scan([]byte{space}, nil, func(key, value []byte) bool {
			switch {
			case space == state.SpaceOutbox:
				rows[string(key)] = string(value)
			case space == state.SpaceTimers || lazy || !sp.cells[binary.BigEndian.Uint16(key[2:])-1].lazy:
				kv[string(key)] = string(value)
			}
			return true
		})
		if err != nil {
			return nil, nil, err
		}
	}
	return kv, rows, nil
}

// checkRows wants the outbox to hold what the reference decided: every row that was not
// carried out, none whose removal was committed, and each as it was decided.
func (s *sim) checkRows(rows map[string]string) error {
	for key, value := range rows {
		id := rowOf([]byte(key))
		if id == 0 || id > uint64(len(s.ref.rows)) {
			return fmt.Errorf("the outbox holds row %d of %d that were decided", id, len(s.ref.rows))
		}
		if want := storedRow(&s.ref.rows[id-1]); value != want {
			return fmt.Errorf("row %d is %q, want %q", id, value, want)
		}
		if s.gone[id] {
			return fmt.Errorf("row %d is in the outbox although its removal was committed", id)
		}
	}
	for i := range s.ref.rows {
		row := &s.ref.rows[i]
		if _, waits := rows[string(binary.BigEndian.AppendUint64([]byte{state.SpaceOutbox}, row.ID))]; waits {
			continue
		}
		if len(s.acts[row.ID]) == 0 && s.journal[row.ID] != "unknown" {
			return fmt.Errorf("row %d was never carried out, and is not in the outbox", row.ID)
		}
		if row.Kind == "mail" && s.ref.open[row.ID] {
			return fmt.Errorf("mail %d left the outbox without a receipt in the log", row.ID)
		}
	}
	for id, acts := range s.acts {
		for _, a := range acts {
			if want := &s.ref.rows[id-1]; a.row.At != want.At || a.row.Kind != want.Kind || a.row.Lane != want.Lane || string(a.row.Body) != string(want.Body) {
				return fmt.Errorf("row %+v was carried out, want %+v", a.row, *want)
			}
		}
	}
	return nil
}

// storedRow is a row in the outbox's layout.
func storedRow(r *engine.Row) string {
	b := binary.AppendVarint([]byte{1}, r.At)
	for _, t := range []string{r.Kind, r.Lane} {
		b = append(binary.AppendUvarint(b, uint64(len(t))), t...)
	}
	return string(append(b, r.Body...))
}

// finalCheck wants everything: all of the log read, all of the state, all effects.
func (s *sim) finalCheck(ctx context.Context) error {
	s.begin(true)
	store, _, err := s.m.start(ctx, state.Options{Sync: true, MemTable: 8 << 20, Virtual: true})
	if err != nil {
		return err
	}
	if err := s.whole(ctx, store); err != nil {
		return errors.Join(fmt.Errorf("at the end: %w", err), store.Close())
	}
	return errors.Join(store.Close(), s.m.stopped(halted))
}

func (s *sim) whole(ctx context.Context, store *state.Store) error {
	if err := s.check(ctx, store); err != nil {
		return err
	}
	all, err := s.m.messages(ctx)
	if err != nil {
		return err
	}
	for _, m := range all { // a tick may come when the last run has seen the end of the log
		if m.Seq > s.found.Position.Seq && !strings.HasPrefix(string(m.Data), "t ") {
			return fmt.Errorf("read to %+v, and message %d was not", s.found.Position, m.Seq)
		}
	}
	got, rows, err := contents(store, true, s.spec)
	if err != nil {
		return err
	}
	if err := compare(got, s.ref.dump(true)); err != nil {
		return err
	}
	if len(rows) > 0 {
		return fmt.Errorf("%d rows are left in the outbox", len(rows))
	}
	left, err := enginetest.Dump(store, state.SpaceRedo)
	if err != nil || len(left) > 0 {
		return errors.Join(err, fmt.Errorf("messages to lazy stages are left: %q", left))
	}
	for i := range s.ref.rows {
		id := s.ref.rows[i].ID
		if n := len(s.acts[id]); n == 0 && s.journal[id] != "unknown" {
			return fmt.Errorf("row %d was never carried out", id)
		}
	}
	return nil
}
