package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"millrace/configs"
	"millrace/engine"
	"millrace/engine/stream"
	"millrace/operators/event"
	"millrace/operators/mail"
	"millrace/operators/privacy"
	"millrace/operators/profile"
	"millrace/operators/recommend"
	"millrace/state"
)

// This file is the verifier: when all is over it compares the data directory with two
// recomputations from the log.

// logged is what the log's directory holds.
type logged struct {
	messages []engine.Message
	letters  []stream.DeadLetter
}

// openLog opens the log of a data directory that nobody runs on.
func openLog(ctx context.Context, dir string) (*stream.Log, func(), error) {
	server, err := stream.StartServer(stream.ServerOptions{Dir: files{dir}.log()})
	if err != nil {
		return nil, nil, err
	}
	l, err := stream.Open(ctx, stream.Options{Server: server, MaxBytes: 1 << 30})
	if err != nil {
		server.Shutdown()
		return nil, nil, err
	}
	return l, func() {
		_ = l.Close()
		server.Shutdown()
	}, nil
}

// readLog reads all messages and all dead letters.
func readLog(ctx context.Context, dir string) (*logged, error) {
	l, closeLog, err := openLog(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer closeLog()
	r := l.NewReader(stream.ReaderOptions{})
	defer func() { _ = r.Close() }()
	info, err := r.Open(ctx, engine.Position{}, false)
	if err != nil {
		return nil, err
	}
	out := &logged{}
	for buf := make([]engine.Message, 256); uint64(len(out.messages)) < info.Last; {
		n, err := r.Next(ctx, buf)
		if err != nil {
			return nil, err
		}
		out.messages = append(out.messages, buf[:n]...)
	}
	for {
		next := uint64(1)
		if n := len(out.letters); n > 0 {
			next = out.letters[n-1].Number + 1
		}
		more, err := l.ListDeadLetters(ctx, next, 500)
		if err != nil {
			return nil, err
		}
		if len(more) == 0 {
			return out, nil
		}
		out.letters = append(out.letters, more...)
	}
}

// verdict is what the verifier found.
type verdict struct {
	log     *logged
	count   *recount
	want    *replay
	got     *committed
	names   *privacy.Pseudonyms
	shop    configs.Shop
	mails   map[string]mail.Received
	journal *mail.Journal
}

// verify checks a data directory whose log was processed to its end.
func (c *crashTest) verify() (*verdict, error) {
	v := &verdict{}
	var err error
	if v.mails, err = c.mailed(); err != nil {
		return nil, err
	}
	if v.log, err = readLog(c.t.Context(), c.dir); err != nil {
		return nil, err
	}
	secret, err := privacy.LoadOrCreateSecret(files{c.dir}.secret())
	if err != nil {
		return nil, err
	}
	if v.names, err = privacy.NewPseudonyms(secret); err != nil {
		return nil, err
	}
	set, loader, err := loadConfigs(nil)
	if err != nil {
		return nil, err
	}
	v.shop = *set.Shop
	if v.want, err = newReplay(v.names, set, loader); err != nil {
		return nil, err
	}
	if err := v.want.log(v.log.messages); err != nil {
		return nil, err
	}
	if v.count, err = newRecount(v.log.messages); err != nil {
		return nil, err
	}
	if v.got, err = readState((files{c.dir}).state()); err != nil {
		return nil, err
	}
	if v.journal, err = mail.Open((files{c.dir}).journal(), mail.JournalOptions{}); err != nil {
		return nil, err
	}
	defer func() { _ = v.journal.Close() }()
	return v, errors.Join(
		v.checkArrived(c.acked), v.checkReplay(), v.checkPeople(), v.checkItems(), v.checkLetters(),
		v.checkDecisions(c.doubt), c.checkMails(v.got, v.journal, v.mails),
	)
}

// checkArrived: what was acknowledged stands in the log.
func (v *verdict) checkArrived(acked map[string]bool) error {
	missing := 0
	for id := range acked {
		if !v.count.ids[id] {
			missing++
		}
	}
	if missing > 0 {
		return fmt.Errorf("%d of %d acknowledged events are not in the log", missing, len(acked))
	}
	return nil
}

// checkReplay: the state equals, byte for byte, what one straight pass leads to.
func (v *verdict) checkReplay() error {
	if v.want.stray > 0 {
		return fmt.Errorf("%d events name nobody: the replay has no rule for them", v.want.stray)
	}
	errs := []error{
		sameVersions(v.want.versions, v.got.versions),
		sameCell("person", v.want.people, v.got.people), sameCell("visitor", v.want.visitors, v.got.visitors),
		sameCell("trigger", v.want.states, v.got.triggers), sameCell("item", v.want.records, v.got.items),
	}
	if !bytes.Equal(v.want.totals.AppendTo(nil), v.got.totals.AppendTo(nil)) {
		errs = append(errs, fmt.Errorf("the totals of the items differ:\nwant %+v\ngot  %+v", v.want.totals, v.got.totals))
	}
	if v.got.watermark != v.want.watermark {
		errs = append(errs, fmt.Errorf("the watermark is %d, want %d", v.got.watermark, v.want.watermark))
	}
	slices.SortFunc(v.got.timers, compareAlarms)
	if !slices.Equal(v.got.timers, v.want.timers) {
		errs = append(errs, fmt.Errorf("%d timers are pending, want %d:\nwant %v\ngot  %v", len(v.got.timers), len(v.want.timers),
			v.want.timers, v.got.timers))
	}
	return errors.Join(errs...)
}

// sameVersions compares the versions that a log holds with those of the state, which
// keeps the newest.
func sameVersions(want, got []engine.PipelineVersion) error {
	var a, b []string
	for _, v := range want[max(0, len(want)-engine.VersionsKept):] {
		a = append(a, fmt.Sprintf("%d from message %d", v.Number, v.Seq))
	}
	for _, v := range got {
		b = append(b, fmt.Sprintf("%d from message %d", v.Number, v.Seq))
	}
	if !slices.Equal(a, b) {
		return fmt.Errorf("the versions differ:\nwant %v\ngot  %v", a, b)
	}
	return nil
}

// sameCell compares two sets of values by their stored form and shows the first that
// differs.
func sameCell[T any, P state.Codec[T]](what string, want, got map[string]*T) error {
	var differ []string
	for _, key := range persons(want) {
		g, ok := got[key]
		if !ok || !bytes.Equal(P(want[key]).AppendTo(nil), P(g).AppendTo(nil)) {
			differ = append(differ, key)
		}
	}
	for _, key := range persons(got) {
		if _, ok := want[key]; !ok {
			differ = append(differ, key)
		}
	}
	if len(differ) == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d %s values differ from the replay, the first is %s:\nwant %+v\ngot  %+v",
		len(differ), len(want), what, differ[0], want[differ[0]], got[differ[0]])
}

// checkPeople: the exact counts and money of everybody equal those of the recount.
func (v *verdict) checkPeople() error {
	var errs []error
	people := make(map[string]*profile.Person)
	for id, t := range v.count.people {
		key := v.names.Person(id)
		errs = append(errs, sameTally(id, t, v.got.people[key]))
		people[key] = nil
	}
	for key := range v.got.people {
		if _, ok := people[key]; !ok {
			errs = append(errs, fmt.Errorf("the state has the person %s, whom the log does not know", key))
		}
	}
	for id, t := range v.count.visitors {
		visitor := v.got.visitors[v.names.Visitor(id)]
		switch {
		case visitor == nil || visitor.Owner != "":
			errs = append(errs, fmt.Errorf("visitor %s stands in the state as %+v, want him unknown", id, visitor))
		default:
			errs = append(errs, sameTally(id, t, &visitor.Person))
		}
	}
	for id, owner := range v.count.owners {
		if visitor := v.got.visitors[v.names.Visitor(id)]; visitor == nil || visitor.Owner != v.names.Person(owner) {
			errs = append(errs, fmt.Errorf("visitor %s stands in the state as %+v, want him to be %s", id, visitor, owner))
		}
	}
	return first(errs)
}

func sameTally(id string, want *tally, got *profile.Person) error {
	if got == nil {
		return fmt.Errorf("%s is missing in the state", id)
	}
	counts, money := make(map[event.Kind]uint64), make(map[event.Kind]event.Money)
	for _, k := range got.Kinds {
		if k.Count > 0 {
			counts[k.Kind] = k.Count
		}
		if k.Total != 0 {
			money[k.Kind] = k.Total
		}
	}
	for k := range event.KindCount {
		if counts[k] != want.counts[k] || money[k] != want.money[k] {
			return fmt.Errorf("%s has %d × %s worth %d, want %d worth %d", id, counts[k], event.KindName(k), money[k],
				want.counts[k], want.money[k])
		}
	}
	if sum, back := want.revenue(); got.Revenue != sum || got.Refunded != back {
		return fmt.Errorf("%s ordered for %d and got %d back, want %d and %d", id, got.Revenue, got.Refunded, sum, back)
	}
	return nil
}

// checkItems: what was bought, and bought together, equals the recount.
func (v *verdict) checkItems() error {
	var errs []error
	now := v.got.watermark
	for _, item := range v.got.items {
		now = max(now, item.Last) // counts are not read as of before the newest event
	}
	own, pairs := v.count.boughtTogether(time.UnixMilli(now), v.shop.Items.HalfLife)
	same := func(a, b float64) bool { return math.Abs(a-b) <= 1e-9*max(a, b, 1) }
	for id := range own {
		if v.got.items[id] == nil {
			errs = append(errs, fmt.Errorf("item %s was bought, but is missing in the state", id))
		}
	}
	for id, item := range v.got.items {
		// A count is not read as of before its newest change.
		newer := time.Duration(max(item.Last-now, 0)) * time.Millisecond
		f := math.Exp2(-float64(newer) / float64(v.shop.Items.HalfLife))
		if got, want := item.Units(recommend.Bought, now), own[id]*f; !same(got, want) {
			errs = append(errs, fmt.Errorf("item %s was bought %v times, want %v", id, got, want))
		}
		if item.Lost > 0 {
			errs = append(errs, fmt.Errorf("item %s has forgotten %d neighbours: the test asks too much", id, item.Lost))
		}
		for other := range v.got.items {
			got, want := item.Shared(recommend.Bought, other, now), pairs[[2]string{id, other}]*f
			if !same(got, want) {
				errs = append(errs, fmt.Errorf("items %s and %s were bought together %v times, want %v", id, other, got, want))
			}
		}
	}
	return first(errs)
}

// checkLetters: the dead letters are the malformed events of the log, each once.
func (v *verdict) checkLetters() error {
	var errs []error
	seen := make(map[place]bool)
	for _, l := range v.log.letters {
		at := place{l.Seq, l.Index}
		raw, ok := v.count.malformed[at]
		switch {
		case !ok:
			errs = append(errs, fmt.Errorf("the event at %v is a dead letter (%s), but it is good", at, l.Reason))
		case seen[at]:
			errs = append(errs, fmt.Errorf("the event at %v is a dead letter twice", at))
		case raw != string(l.Bytes):
			errs = append(errs, fmt.Errorf("the dead letter of %v holds %q, want %q", at, l.Bytes, raw))
		}
		seen[at] = true
	}
	for at := range v.count.malformed {
		if !seen[at] {
			errs = append(errs, fmt.Errorf("the malformed event at %v is no dead letter", at))
		}
	}
	if v.got.other > 0 {
		errs = append(errs, fmt.Errorf("%d dead letters still stand in the outbox", v.got.other))
	}
	return first(errs)
}

// checkDecisions: every decision ended, in agreement with inbox, journal and receipts.
func (v *verdict) checkDecisions(doubt map[string]bool) error {
	var errs []error
	complain := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for id, d := range v.got.decisions {
		receipts := v.want.receipts[id]
		_, mailed := v.mails[id]
		for _, r := range receipts {
			if r.Outcome != d.Outcome {
				complain("decision %s ended as %s, a receipt says %s", id, d.Outcome, r.Outcome)
			}
		}
		e, _ := v.journal.Lookup(id)
		switch d.Outcome {
		case event.Pending:
			complain("decision %s is still pending", id)
		case event.Sent:
			if !mailed {
				complain("decision %s ended as sent, no mail came", id)
			}
		case event.Skipped:
			if mailed {
				complain("decision %s was skipped (%s), a mail came", id, d.Reason)
			}
		case event.UnknownOutcome:
			if !doubt[id] {
				complain("decision %s ended as unknown, but no death left it at the final dot", id)
			}
		}
		if len(receipts) > 0 && e.State != 0 && (e.State != mail.Decided || e.Outcome != d.Outcome) {
			complain("decision %s ended as %s, the journal says %s %s", id, d.Outcome, e.State, e.Outcome)
		}
	}
	for id := range doubt {
		if d := v.got.decisions[id]; d.Outcome != event.UnknownOutcome {
			complain("decision %s ended as %s (%s), although a death left it at the final dot", id, d.Outcome, d.Reason)
		}
	}
	for id := range v.want.receipts {
		if _, ok := v.got.decisions[id]; !ok {
			complain("a receipt names decision %s, which the state does not hold", id)
		}
	}
	if len(v.got.outbox) > 0 {
		complain("the outbox still holds %v", v.got.outbox)
	}
	return first(errs)
}

// first keeps an error text readable: the first five of many.
func first(errs []error) error {
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if n := len(errs); n > 5 {
		errs = append(errs[:5], fmt.Errorf("and %d more", n-5))
	}
	return errors.Join(errs...)
}
