package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/mail"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace/console"
	"millrace/engine/stream"
	"millrace/operators"
	omail "millrace/operators/mail"
	"millrace/operators/recommend"
)

// This file shows an app to the console, through the console's own small interfaces.

func (a *app) consoleOptions(metricsHandler http.Handler) console.Options {
	o := console.Options{
		Stats: consoleStats{a}, Graph: consoleGraph{a}, People: consolePeople{a}, Items: consoleItems{a},
		Recommend: http.HandlerFunc(a.serveRecommend), Segments: consoleSegments{a}, Quality: consoleSegments{a}, Tone: consoleTone{a},
		Models:      consoleModels{a.models.registry},
		DeadLetters: consoleLetters{a}, Checks: a.checks(), Metrics: metricsHandler, Registerer: a.registry,
		Logger: a.log, Title: a.s.title, Unmask: a.s.unmask, Money: money,
	}
	if a.inbox != nil {
		o.Inbox = consoleInbox{a}
	}
	if a.metering != nil {
		o.Experiments = consoleExperiments{a.metering, a}
	}
	if a.s.simulated {
		o.Notice = "Simulated shop: shoppers, orders and reactions are made up."
	}
	return o
}

// checks are what must hold for the program to be ready.
func (a *app) checks() []console.Check {
	return []console.Check{
		{Name: "log", Func: func(ctx context.Context) error {
			if err := a.logHolds(); err != nil {
				return err
			}
			_, err := a.events.Info(ctx)
			return err
		}},
		{Name: "disk", Func: func(context.Context) error { return a.s.place() }},
		{Name: "commits", Func: func(context.Context) error {
			if why := a.engine.Stats().Paused; why != "" {
				return errors.New(why)
			}
			return nil
		}},
		{Name: "replay", Func: func(context.Context) error {
			s := a.engine.Stats()
			if s.Position.Seq < s.LogEnd {
				return fmt.Errorf("%d messages of the log are still to be read", s.LogEnd-s.Position.Seq)
			}
			return nil
		}},
		{Name: "watermark", Func: a.watermarkMoves},
		{Name: "draining", Func: func(context.Context) error {
			a.mu.Lock()
			defer a.mu.Unlock()
			if a.draining {
				return errors.New("stopping")
			}
			return nil
		}},
	}
}

type consoleStats struct{ a *app }

// Stats implements console.Stats.
func (c consoleStats) Stats() console.Snapshot {
	s, n := c.a.engine.Stats(), c.a.pipeline.Counters
	fired, cancelled := n.Fired()
	out := console.Snapshot{
		State: "running", Events: n.Total(), Triggers: fired, Cancelled: cancelled, Mails: n.Mails.Load(), Repeats: n.Duplicates.Load(),
		FallbackSubjects: n.Fallbacks.Load(), Timers: uint64(max(s.Timers, 0)), Outbox: uint64(max(s.Unresolved, 0)), //nolint:gosec // not negative
		Epoch: s.Epoch, MemoryBytes: memory(), Outcomes: []console.Count{}, Reasons: []console.Count{},
	}
	switch {
	case s.Paused != "":
		out.State = "paused: " + s.Paused
	case s.Position.Seq < s.LogEnd:
		out.State = "replaying"
	}
	if s.Newest > 0 {
		out.Watermark = when(s.Watermark)
		out.Lag = time.Duration(s.Newest-s.Watermark) * time.Millisecond
	}
	for _, v := range n.DeadLetters() {
		out.DeadLetters += v
	}
	if c.a.inbox != nil {
		out.Duplicates = uint64(max(c.a.inbox.Stats().Duplicates, 0)) //nolint:gosec // not negative
	}
	out.Outcomes, out.Reasons = outcomes(n)
	return out
}

func outcomes(n *operators.Counters) (ends, reasons []console.Count) {
	byEnd, byReason := make(map[string]uint64), make(map[string]uint64)
	pending := uint64(0)
	for l, v := range n.Decisions() {
		switch {
		case l.Reason != "":
			byReason[l.Reason] += v
			byEnd["skipped"] += v
			if l.Pipeline == "" { // decided, and skipped at the last look
				pending -= v
			}
		case l.Outcome.String() == "pending":
			pending += v
		default:
			byEnd[l.Outcome.String()] += v
			pending -= v
		}
	}
	if int64(pending) > 0 { //nolint:gosec // a difference of counts
		byEnd["pending"] = pending
	}
	return counts(byEnd), counts(byReason)
}

func counts(m map[string]uint64) []console.Count {
	out := make([]console.Count, 0, len(m))
	for name, n := range m {
		out = append(out, console.Count{Name: name, N: n})
	}
	slices.SortFunc(out, func(a, b console.Count) int { return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Name, b.Name)) })
	return out
}

// memory is what the Go runtime holds of the machine, without what it gave back.
func memory() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64() - s[1].Value.Uint64()
}

type consoleGraph struct{ a *app }

// Graph implements console.Graph.
func (c consoleGraph) Graph() ([]console.Node, []console.Edge) {
	s, n := c.a.engine.Stats(), c.a.pipeline.Counters
	by := make(map[string]uint64)
	for _, o := range s.Operators {
		by[o.Name] = o.In
	}
	// A visitor who is known hands everything on, one who is not keeps it.
	linked := min(by["visitor/link"], by["person/profile"])
	fires, _ := n.Fired()
	letters := uint64(0)
	for _, v := range n.DeadLetters() {
		letters += v
	}
	mails := n.Mails.Load()
	nodes := []console.Node{
		{ID: "log", Label: "log", Kind: console.KindLog, Total: s.Events, Note: "JetStream"},
		{ID: "visitor", Label: "visitor", Kind: console.KindOperator, Stage: "visitor", Total: by["visitor/link"], Note: "who is it?"},
		{ID: "profile", Label: "profile", Kind: console.KindOperator, Stage: "person", Total: by["person/profile"], Note: "running picture"},
		{ID: "trigger", Label: "trigger", Kind: console.KindOperator, Stage: "person", Total: by["person/trigger"], Note: fmt.Sprintf("%d timers", s.Timers)},
		{ID: "item", Label: "co-occurrence", Kind: console.KindExchange, Stage: "item", Total: by["item/cooccurrence"], Note: "seen, bought"},
		{ID: "outbox", Label: "outbox", Kind: console.KindOutbox, Stage: "effects", Total: fires + letters, Note: fmt.Sprintf("%d waiting", s.Unresolved)},
		{ID: "content", Label: "content", Kind: console.KindEffect, Stage: "effects", Total: mails, Note: "LSTM writes"},
		{ID: "send", Label: "send", Kind: console.KindEffect, Stage: "effects", Total: mails, Note: "SMTP, once"},
		{ID: "dlq", Label: "dead letters", Kind: console.KindEffect, Stage: "effects", Total: letters},
	}
	edges := []console.Edge{
		{From: "log", To: "visitor", Total: by["visitor/link"]},
		{From: "log", To: "profile", Total: by["person/profile"] - linked},
		{From: "visitor", To: "profile", Total: linked},
		{From: "profile", To: "trigger", Total: by["person/trigger"]},
		{From: "profile", To: "item", Total: by["item/cooccurrence"], Label: "touch"},
		{From: "trigger", To: "outbox", Total: fires, Label: "decision"},
		{From: "outbox", To: "content", Total: mails},
		{From: "content", To: "send", Total: mails},
		{From: "outbox", To: "dlq", Total: letters},
		{From: "send", To: "log", Total: mails, Label: "receipt", Feedback: true},
	}
	return nodes, edges
}

type consoleInbox struct{ a *app }

// List implements console.Inbox.
func (c consoleInbox) List(_ context.Context, offset, limit int) ([]console.Mail, int, error) {
	kept := c.a.inbox.Stats().Kept
	all := c.a.inbox.List(0, offset+limit)
	out := make([]console.Mail, 0, limit)
	for i := range all[min(offset, len(all)):] {
		out = append(out, mailView(&all[offset+i]))
	}
	return out, kept, nil
}

func mailView(r *omail.Received) console.Mail {
	decision, _, _ := strings.Cut(strings.Trim(r.MessageID, "<>"), "@")
	return console.Mail{
		ID: strconv.FormatInt(r.ID, 10), Subject: r.Subject, From: r.From, To: r.To, At: r.At.UTC(), Decision: decision,
	}
}

// Get implements console.Inbox.
func (c consoleInbox) Get(_ context.Context, id string) (console.Mail, error) {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return console.Mail{}, console.ErrNotFound
	}
	o, ok := c.a.inbox.Open(n)
	if !ok {
		return console.Mail{}, console.ErrNotFound
	}
	m := mailView(&o.Received)
	m.HTML, m.Text = o.HTML, o.Text
	if parsed, err := mail.ReadMessage(bytes.NewReader(o.Raw)); err == nil {
		for name, values := range parsed.Header {
			for _, v := range values {
				m.Headers = append(m.Headers, console.Header{Name: name, Value: v})
			}
		}
		slices.SortFunc(m.Headers, func(a, b console.Header) int { return strings.Compare(a.Name, b.Name) })
		if to, err := mail.ParseAddress(parsed.Header.Get("To")); err == nil {
			m.To = to.String()
			m.Personal = strings.Fields(to.Name)
		}
		m.Pipeline, _, _ = strings.Cut(parsed.Header.Get("Feedback-ID"), ":")
	}
	return m, nil
}

// Subscribe implements console.Inbox.
func (c consoleInbox) Subscribe(ctx context.Context) <-chan struct{} {
	ch := make(chan struct{}, 1)
	stop := c.a.inbox.Watch(func(omail.Received) {
		select {
		case ch <- struct{}{}:
		default:
		}
	})
	context.AfterFunc(ctx, stop)
	return ch
}

type consolePeople struct{ a *app }

// Profile implements console.People.
func (c consolePeople) Profile(_ context.Context, user string) (console.Person, error) {
	v := c.a.engine.View()
	defer v.Close()
	p, ok, err := c.a.acts.current().pipeline.Person(v, user)
	if err != nil {
		return console.Person{}, err
	}
	if !ok {
		return console.Person{}, console.ErrNotFound
	}
	out := console.Person{
		UserID: user, Name: p.Traits.FullName(), Email: p.Traits.Email,
		Consent: consentName(&p), FirstSeen: when(p.First), LastSeen: when(p.Last), Zone: "UTC",
	}
	if p.Consent.Suppressed {
		out.Suppressed = cmp.Or(p.Consent.Reason, "yes")
	}
	shown := personView(user, &p, v.Watermark)
	out.Facts = append(out.Facts, console.Fact{Name: "Orders", Value: strconv.FormatUint(shown.Orders, 10)}, console.Fact{Name: "Revenue", Value: shown.Revenue})
	for _, k := range shown.Events {
		value := strconv.FormatUint(k.Count, 10)
		if k.Money != "" {
			value += ", " + k.Money
		}
		out.Facts = append(out.Facts, console.Fact{Name: k.Kind, Value: value})
	}
	fields, err := c.declared(v, user)
	if err != nil {
		return console.Person{}, err
	}
	out.Facts = append(out.Facts, fields...)
	sum := 0.0
	for _, w := range shown.Categories {
		sum += w.Weight
	}
	for _, w := range shown.Categories {
		out.Affinities = append(out.Affinities, console.Weight{Name: w.Name, Share: w.Weight / max(sum, 1e-9)})
	}
	for _, h := range p.Hours {
		if hour := int(h.Hour); hour < 7*24 {
			out.Hours[hour/24][hour%24] = float64(h.N)
		}
	}
	for i := range p.Carts {
		cart := &p.Carts[i]
		if !cart.Open() {
			continue
		}
		shown := console.Cart{ID: cart.ID, State: "open", Updated: when(cart.Last), Currency: cmp.Or(cart.Currency, p.Currency)}
		for _, it := range cart.Contents() {
			shown.Lines = append(shown.Lines, console.CartLine{ID: it.ID, Name: it.Name, Quantity: int(it.Quantity), Price: it.Price})
		}
		out.Carts = append(out.Carts, shown)
	}
	for i := range p.Viewed {
		it, _, err := c.a.acts.current().pipeline.Item(v, p.Viewed[i].ID)
		if err != nil {
			return console.Person{}, err
		}
		out.Viewed = append(out.Viewed, console.Neighbour{ID: p.Viewed[i].ID, Name: it.Facts.Name})
	}
	return out, nil
}

// Decisions implements console.People.
func (c consolePeople) Decisions(_ context.Context, user string, limit int) ([]console.Decision, error) {
	v := c.a.engine.View()
	defer v.Close()
	all, err := c.a.acts.current().pipeline.Decisions(v, user)
	if err != nil {
		return nil, err
	}
	out := make([]console.Decision, 0, limit)
	for i := range slices.Backward(all) {
		if len(out) == limit {
			break
		}
		out = append(out, console.FromDecision(all[i]))
	}
	return out, nil
}

// Waiting implements console.People.
func (c consolePeople) Waiting(_ context.Context, user string) ([]console.Wait, error) {
	v := c.a.engine.View()
	defer v.Close()
	all, err := c.a.acts.current().pipeline.Waiting(v, user)
	if err != nil {
		return nil, err
	}
	out := make([]console.Wait, 0, len(all))
	for i := range all {
		w := console.Wait{Trigger: all[i].Rule, CartID: all[i].About, Since: when(all[i].Activity), Due: when(all[i].Due)}
		if all[i].Order {
			w.CartID, w.OrderID = "", all[i].About
		}
		out = append(out, w)
	}
	slices.SortStableFunc(out, func(a, b console.Wait) int { return a.Due.Compare(b.Due) })
	return out, nil
}

type consoleItems struct{ a *app }

// Top implements console.Items.
func (c consoleItems) Top(_ context.Context, limit int) ([]console.Item, error) {
	v := c.a.engine.View()
	defer v.Close()
	ids, err := c.a.acts.current().pipeline.Popular(v, limit)
	if err != nil {
		return nil, err
	}
	out := make([]console.Item, 0, len(ids))
	for _, id := range ids {
		it, ok, err := c.a.acts.current().pipeline.Item(v, id)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, itemView(id, &it, v.Watermark))
		}
	}
	slices.SortStableFunc(out, func(a, b console.Item) int { return cmp.Compare(b.Score, a.Score) })
	return out, nil
}

func itemView(id string, it *recommend.Item, now int64) console.Item {
	out := console.Item{ID: id, Name: it.Facts.Name, Category: it.Facts.Category, Score: it.Units(recommend.Bought, now) + it.Units(recommend.Carted, now) + it.Units(recommend.Seen, now)/10}
	if it.Facts.HasPrice {
		out.Facts = append(out.Facts, console.Fact{Name: "price", Value: money(it.Facts.Price, it.Facts.Currency)})
	}
	out.Facts = append(out.Facts, console.Fact{Name: "last touched", Value: stamp(when(it.Last))})
	return out
}

// Item implements console.Items.
func (c consoleItems) Item(_ context.Context, id string) (console.Item, error) {
	v := c.a.engine.View()
	defer v.Close()
	it, ok, err := c.a.acts.current().pipeline.Item(v, id)
	if err != nil {
		return console.Item{}, err
	}
	if !ok {
		return console.Item{}, console.ErrNotFound
	}
	out := itemView(id, &it, v.Watermark)
	listed, err := (&answers{pipeline: c.a.acts.current().pipeline}).listedProduct(v, id)
	if err != nil {
		return out, err
	}
	out.Facts = append(out.Facts, listed.facts()...)
	for r := range recommend.RelationCount {
		top, err := c.a.acts.current().pipeline.Neighbours(v, id, r, 10)
		if err != nil {
			return out, err
		}
		rel := console.Relation{Name: r.String()}
		for i := range top {
			rel.Neighbours = append(rel.Neighbours, console.Neighbour{ID: top[i].Item, Name: top[i].Facts.Name, Score: top[i].LLR, Count: uint64(top[i].Shared + 0.5)})
		}
		out.Relations = append(out.Relations, rel)
	}
	return out, nil
}

type consoleLetters struct{ a *app }

// DeadLetters implements console.DeadLetters.
func (c consoleLetters) DeadLetters(ctx context.Context, offset, limit int) ([]console.DeadLetter, int, error) {
	total, err := c.a.events.CountDeadLetters(ctx)
	if err != nil {
		return nil, 0, err
	}
	all, err := c.a.events.ListDeadLetters(ctx, 0, 1000)
	if err != nil {
		return nil, 0, err
	}
	slices.Reverse(all)
	out := make([]console.DeadLetter, 0, limit)
	for i := offset; i < len(all) && len(out) < limit; i++ {
		out = append(out, consoleLetter(&all[i]))
	}
	return out, int(min(total, 1<<31)), nil //nolint:gosec // bounded
}

func consoleLetter(d *stream.DeadLetter) console.DeadLetter {
	return console.DeadLetter{
		ID: strconv.FormatUint(d.Number, 10), At: d.At.UTC(), Reason: d.Reason, Source: d.Source,
		Position: fmt.Sprintf("%s seq %d index %d", d.Stream, d.Seq, d.Index), Size: len(d.Bytes), Bytes: d.Bytes, Truncated: d.Cut,
	}
}

// DeadLetter implements console.DeadLetters.
func (c consoleLetters) DeadLetter(ctx context.Context, id string) (console.DeadLetter, error) {
	n, err := strconv.ParseUint(id, 10, 64)
	if err != nil {
		return console.DeadLetter{}, console.ErrNotFound
	}
	d, err := c.a.events.GetDeadLetter(ctx, n)
	if err != nil {
		return console.DeadLetter{}, fmt.Errorf("%w: %w", console.ErrNotFound, err)
	}
	return consoleLetter(&d), nil
}
