package console

import (
	"context"
	"slices"
	"sync"
	"time"
)

// The sampler keeps what rates and charts are made of.
const (
	historySlots = 120             // points of the chart: two minutes
	historyEvery = time.Second     // between two points
	rateWindow   = 4 * time.Second // rates are means over this: calm to read, still prompt
	ratesMax     = 16              // samples kept for rates; at two a second 8 fill the window
	nodesMax     = 64              // nodes drawn and counted
	edgesMax     = 256             // edges drawn and counted
)

// edgeKey names an edge.
type edgeKey struct{ from, to, label string }

// sample is one look at the engine.
type sample struct {
	at     time.Time
	stats  Snapshot
	nodes  []Node
	edges  []Edge
	checks []CheckResult
}

// totals is what a sample leaves behind for rates.
type totals struct {
	at     time.Time
	events uint64
	mails  uint64
	nodes  map[string]uint64
	edges  map[edgeKey]uint64
}

// reading is a sample with its rates and its past.
type reading struct {
	sample
	eventRate float64 // per second
	mailRate  float64
	nodeRate  map[string]float64
	edgeRate  map[edgeKey]float64
	history   []float64 // events per second, oldest first, one point a second
	flat      time.Duration
}

// sampler looks at the engine and remembers. It is safe for concurrent use.
type sampler struct {
	opt Options

	mu       sync.Mutex
	last     reading
	kept     []totals  // for rates, oldest first
	history  []float64 // chart points, oldest first
	mark     totals    // the sample of the last chart point
	moved    time.Time // when events last grew
	checks   []CheckResult
	checked  time.Time
	checking bool // one at a time; others take the last results
}

func newSampler(o Options) *sampler { return &sampler{opt: o} }

// latest answers the newest reading, taking one when it is older than maxAge.
func (s *sampler) latest(ctx context.Context, maxAge time.Duration) reading {
	s.mu.Lock()
	fresh := !s.last.at.IsZero() && time.Since(s.last.at) < maxAge
	last := s.last
	s.mu.Unlock()
	if fresh {
		return last
	}
	return s.take(ctx)
}

// take looks at the engine once.
func (s *sampler) take(ctx context.Context) reading {
	s.check(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	sm := sample{at: time.Now(), checks: s.checks}
	if s.opt.Stats != nil {
		sm.stats = s.opt.Stats.Stats()
	}
	if s.opt.Graph != nil {
		sm.nodes, sm.edges = s.opt.Graph.Graph()
		sm.nodes = slices.Clone(sm.nodes[:min(len(sm.nodes), nodesMax)])
		sm.edges = slices.Clone(sm.edges[:min(len(sm.edges), edgesMax)])
		tidy(sm.nodes, sm.edges)
	}
	s.last = s.add(sm)
	return s.last
}

// check runs the checks when their results are too old. It does not hold mu while
// they run: a slow disk must not hold up the pages.
func (s *sampler) check(ctx context.Context) {
	s.mu.Lock()
	due := len(s.opt.Checks) > 0 && !s.checking && (s.checked.IsZero() || time.Since(s.checked) >= s.opt.CheckEvery)
	s.checking = s.checking || due
	s.mu.Unlock()
	if !due {
		return
	}
	// A reader who goes away must not look like a check that fails.
	results := runChecks(context.WithoutCancel(ctx), s.opt)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.checks, s.checked, s.checking = results, time.Now(), false
}

// tidy makes a graph from outside safe to show.
func tidy(nodes []Node, edges []Edge) {
	for i, n := range nodes {
		n.ID, n.Label, n.Note, n.Stage, n.Kind = clean(n.ID), clean(n.Label), clean(n.Note), clean(n.Stage), clean(n.Kind)
		nodes[i] = n
	}
	for i, e := range edges {
		e.From, e.To, e.Label, e.Fill = clean(e.From), clean(e.To), clean(e.Label), unit(e.Fill)
		edges[i] = e
	}
}

// add turns a sample into a reading and remembers it.
func (s *sampler) add(sm sample) reading {
	now := totals{at: sm.at, events: sm.stats.Events, mails: sm.stats.Mails,
		nodes: make(map[string]uint64, len(sm.nodes)), edges: make(map[edgeKey]uint64, len(sm.edges))}
	for _, n := range sm.nodes {
		now.nodes[n.ID] = n.Total
	}
	for _, e := range sm.edges {
		now.edges[edgeKey{e.From, e.To, e.Label}] = e.Total
	}
	if len(s.kept) == 0 || now.events > s.kept[len(s.kept)-1].events {
		s.moved = sm.at
	}
	s.kept = append(s.kept, now)
	for len(s.kept) > ratesMax || (len(s.kept) > 2 && sm.at.Sub(s.kept[1].at) >= rateWindow) {
		s.kept = s.kept[1:]
	}
	s.point(now)
	first := s.kept[0]
	passed := now.at.Sub(first.at)
	r := reading{sample: sm, flat: sm.at.Sub(s.moved),
		eventRate: perSecond(first.events, now.events, passed), mailRate: perSecond(first.mails, now.mails, passed),
		nodeRate: make(map[string]float64, len(now.nodes)), edgeRate: make(map[edgeKey]float64, len(now.edges))}
	for id, n := range now.nodes {
		if before, ok := first.nodes[id]; ok {
			r.nodeRate[id] = perSecond(before, n, passed)
		}
	}
	for id, n := range now.edges {
		if before, ok := first.edges[id]; ok {
			r.edgeRate[id] = perSecond(before, n, passed)
		}
	}
	r.history = append([]float64(nil), s.history...)
	return r
}

// point adds a chart point when a second has passed since the last.
func (s *sampler) point(now totals) {
	if s.mark.at.IsZero() {
		s.mark = now
		return
	}
	passed := now.at.Sub(s.mark.at)
	if passed < historyEvery {
		return
	}
	if passed > historySlots*historyEvery { // nobody looked: what lies between is unknown
		s.history = nil
	}
	v := perSecond(s.mark.events, now.events, passed)
	for range min(historySlots, int(passed/historyEvery)) {
		s.history = append(s.history, v)
	}
	s.history = s.history[max(0, len(s.history)-historySlots):]
	s.mark = now
}

// perSecond is a rate; a counter that went back, as after a restore, has none.
func perSecond(before, after uint64, passed time.Duration) float64 {
	if after <= before || passed <= 0 {
		return 0
	}
	return float64(after-before) / passed.Seconds()
}
