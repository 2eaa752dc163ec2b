package console

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"
	"time"
)

// tile is one big number.
type tile struct {
	Label, Value, Sub, Tone string
}

// row is one small number.
type row struct {
	Label, Value, Help string
	Tone               string
}

// statsView is a snapshot with its rates, as /api/v1/stats answers it. Its names are
// those of the last line of "millrace dev --json" where both have a number.
type statsView struct {
	At                string  `json:"at"`
	State             string  `json:"state"`
	Verdict           verdict `json:"verdict"`
	Events            uint64  `json:"events"`
	EventsPerSecond   float64 `json:"events_per_second"`
	Watermark         string  `json:"watermark,omitempty"`
	LagSeconds        float64 `json:"watermark_lag_seconds"`
	Triggers          uint64  `json:"triggers"`
	Cancelled         uint64  `json:"cancelled"`
	Outcomes          []Count `json:"decisions_by_outcome"`
	Reasons           []Count `json:"decisions_by_reason"`
	Mails             uint64  `json:"mails"`
	MailsPerMinute    float64 `json:"mails_per_minute"`
	Duplicates        uint64  `json:"duplicates"`
	Repeats           uint64  `json:"repeats"`
	DeadLetters       uint64  `json:"dead_letters"`
	FallbackSubjects  uint64  `json:"fallback_subjects"`
	Timers            uint64  `json:"timers_pending"`
	Outbox            uint64  `json:"outbox_pending"`
	Epoch             uint64  `json:"epoch"`
	MemoryBytes       uint64  `json:"memory_bytes"`
	MemoryLimit       uint64  `json:"memory_limit_bytes,omitempty"`
	ConsoleReaders    int     `json:"console_readers"`
	ConsoleReadersOut uint64  `json:"console_readers_dropped"`
}

// nodeRow and edgeRow are the pipeline as a table.
type nodeRow struct {
	Node
	PerSecond float64 `json:"per_second"`
	Rate      string  `json:"-"`
	Sum       string  `json:"-"`
}

type edgeRow struct {
	Edge
	PerSecond float64 `json:"per_second"`
	Rate      string  `json:"-"`
	Sum       string  `json:"-"`
}

// overviewView is the first page.
type overviewView struct {
	Stats    statsView  `json:"stats"`
	Nodes    []nodeRow  `json:"nodes,omitempty"`
	Edges    []edgeRow  `json:"edges,omitempty"`
	Latest   []mailLine `json:"latest_mails,omitempty"`
	Charts   []float64  `json:"events_per_second_history"`
	HasInbox bool       `json:"-"`

	Verdict  verdict     `json:"-"`
	Clock    moment      `json:"-"`
	Rate     string      `json:"-"`
	Total    string      `json:"-"`
	Spark    spark       `json:"-"`
	SparkAlt string      `json:"-"`
	Tiles    []tile      `json:"-"`
	Graphs   []graphView `json:"-"`
	GraphAlt string      `json:"-"`
	Outcomes []bar       `json:"-"`
	Reasons  []bar       `json:"-"`
	System   []row       `json:"-"`
}

// latestMails is how many mails the overview shows.
const latestMails = 5

// overview answers the first page.
func (c *Console) overview(w http.ResponseWriter, r *http.Request) {
	v, err := c.overviewOf(r.Context(), c.sampler.latest(r.Context(), 2*c.opt.Every))
	if err != nil {
		c.oops(w, r, err)
		return
	}
	c.page(w, r, http.StatusOK, "overview", "Overview", v)
}

// stats answers the numbers alone.
func (c *Console) stats(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, http.StatusOK, c.statsOf(c.sampler.latest(r.Context(), 2*c.opt.Every)))
}

// overviewParts renders what changes on the first page.
func (c *Console) overviewParts(ctx context.Context, r reading) ([]part, error) {
	v, err := c.overviewOf(ctx, r)
	if err != nil {
		return nil, err
	}
	names := []string{"verdict", "tiles", "graph", "decisions", "latest", "system"}
	out := make([]part, 0, len(names))
	for _, n := range names {
		p, err := c.fragment("overview", n, v)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

func (c *Console) overviewOf(ctx context.Context, r reading) (overviewView, error) {
	st := r.stats
	v := overviewView{
		Stats: c.statsOf(r), Charts: r.history, HasInbox: c.opt.Inbox != nil, Clock: at(r.at, c.opt.Zone),
		Rate: short(r.eventRate), Total: number(st.Events), Spark: sparkOf(r.history, historySlots),
		Graphs: c.layouts.graphsOf(r), Tiles: tilesOf(st, r, c.opt.Zone), System: systemOf(st),
		Outcomes: barsOf(st.Outcomes, outcomeTone), Reasons: barsOf(largestFirst(st.Reasons), func(string) string { return "plain" }),
	}
	v.Verdict = v.Stats.Verdict
	v.SparkAlt = fmt.Sprintf("Events per second over the last two minutes: now %s, at most %s.", short(v.Spark.Now), short(v.Spark.Peak))
	v.GraphAlt = fmt.Sprintf("The pipeline: %d steps and %d ways between them. The table below says the same.", len(r.nodes), len(r.edges))
	for _, n := range r.nodes {
		v.Nodes = append(v.Nodes, nodeRow{n, r.nodeRate[n.ID], rate(r.nodeRate[n.ID]), number(n.Total)})
	}
	for _, e := range r.edges {
		f := r.edgeRate[edgeKey{e.From, e.To, e.Label}]
		v.Edges = append(v.Edges, edgeRow{e, f, rate(f), number(e.Total)})
	}
	if c.opt.Inbox == nil {
		return v, nil
	}
	mails, _, err := c.opt.Inbox.List(ctx, 0, latestMails)
	if err != nil {
		return v, fmt.Errorf("list mails: %w", err)
	}
	v.Latest = c.linesOf(mails[:min(len(mails), latestMails)])
	return v, nil
}

func (c *Console) statsOf(r reading) statsView {
	st := r.stats
	v := statsView{
		At: r.at.In(c.opt.Zone).Format(time.RFC3339Nano), State: cmp.Or(clean(st.State), "running"), Verdict: judge(c.opt, r),
		Events: st.Events, EventsPerSecond: math.Round(10*r.eventRate) / 10,
		LagSeconds: st.Lag.Seconds(), Triggers: st.Triggers, Cancelled: st.Cancelled,
		Outcomes: st.Outcomes, Reasons: st.Reasons, Mails: st.Mails, MailsPerMinute: math.Round(600*r.mailRate) / 10,
		Duplicates: st.Duplicates, Repeats: st.Repeats, DeadLetters: st.DeadLetters, FallbackSubjects: st.FallbackSubjects,
		Timers: st.Timers, Outbox: st.Outbox, Epoch: st.Epoch, MemoryBytes: st.MemoryBytes, MemoryLimit: st.MemoryLimit,
		ConsoleReaders: c.hub.size(), ConsoleReadersOut: c.count.dropped.Load(),
	}
	if !st.Watermark.IsZero() {
		v.Watermark = st.Watermark.In(c.opt.Zone).Format(time.RFC3339Nano)
	}
	return v
}

// tilesOf chooses the big numbers.
func tilesOf(st Snapshot, r reading, zone *time.Location) []tile {
	mails := tile{Label: "Mails", Value: number(st.Mails), Sub: rate(r.mailRate), Tone: "good"}
	if st.Duplicates > 0 {
		mails.Sub, mails.Tone = plural(st.Duplicates, "sent twice", "sent twice"), "bad"
	}
	lag := tile{Label: "Watermark lag", Value: "–", Sub: "no event yet"}
	if !st.Watermark.IsZero() {
		lag.Value, lag.Sub = span(st.Lag), at(st.Watermark, zone).Text
	}
	return []tile{
		mails,
		{Label: "Triggers fired", Value: number(st.Triggers), Sub: number(st.Cancelled) + " cancelled in time"},
		{Label: "Timers pending", Value: number(st.Timers), Sub: "people we wait for"},
		lag,
	}
}

// systemOf lists the small numbers.
func systemOf(st Snapshot) []row {
	memory := size(st.MemoryBytes)
	if st.MemoryLimit > 0 {
		memory += " of " + size(st.MemoryLimit)
	}
	tone := func(n uint64, t string) string {
		if n > 0 {
			return t
		}
		return ""
	}
	return []row{
		{"Duplicates", number(st.Duplicates), "mails sent more than once", tone(st.Duplicates, "bad")},
		{"Dead letters", number(st.DeadLetters), "events that could not be read", tone(st.DeadLetters, "warn")},
		{"Fallback subjects", number(st.FallbackSubjects), "written, since the model was slow or refused", ""},
		{"Repeats dropped", number(st.Repeats), "events that came more than once", ""},
		{"Outbox pending", number(st.Outbox), "decided and not yet carried out", ""},
		{"Epoch", number(st.Epoch), "the last one committed", ""},
		{"Memory", memory, "in use", ""},
	}
}

func outcomeTone(name string) string {
	return known(name, "sent", "skipped", "pending", "unknown")
}

// largestFirst sorts counts for reading. It keeps its input as it is.
func largestFirst(counts []Count) []Count {
	out := slices.Clone(counts)
	slices.SortStableFunc(out, func(a, b Count) int { return cmp.Compare(b.N, a.N) })
	return out
}
