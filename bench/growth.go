package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"syscall"
	"time"

	"millrace/operators/event"
	"millrace/operators/profile"
	"millrace/operators/recommend"
)

// Growth measures how recommendations grow with a shop: what an item and a person take,
// what an event costs, and how long a question takes. It runs the parts themselves, with
// records in memory, so that neither disk nor log is measured. One goroutine at a time.
type Growth struct {
	VisitsPerItem int                              // visits made up per item; 0: 1
	Questions     int                              // asked of each size; 0: 2000
	Progress      func(items int, done, total int) // nil: nobody is told
}

// GrowthRow is what was measured at a size.
type GrowthRow struct {
	Items       int     `json:"items"`
	People      int     `json:"people"`
	Events      int     `json:"events"`
	ItemBytes   float64 `json:"item_bytes"`          // in memory beside the engine, an item: names, words
	VisitBytes  float64 `json:"visit_bytes"`         // likewise a visit that is remembered
	Visits      int     `json:"visits"`              // that are remembered
	ItemRecord  float64 `json:"item_record_bytes"`   // an item's counts as stored
	PersonBytes float64 `json:"person_record_bytes"` // a person's picture as stored
	State       float64 `json:"state_us"`            // an event's picture and counts, in microseconds of processor time
	Live        float64 `json:"live_us"`             // the same event beside the engine
	P50         float64 `json:"p50_ms"`              // a question by all voices
	P99         float64 `json:"p99_ms"`
	Question    float64 `json:"question_cpu_us"` // processor time of one, on average
}

// growing is a shop that is being measured.
type growing struct {
	o       Growth
	row     GrowthRow
	live    *recommend.Live
	counts  *recommend.Recommender
	updater *profile.Updater
	items   map[string]*recommend.Item
	people  map[string]*profile.Person
	totals  recommend.Totals
	change  profile.Change
	touches []recommend.Touch
	rng     *rand.Rand
	zipf    *rand.Zipf
	now     int64
	clicks  []growthClick
}

// growthClick is a click as the index of visits takes it.
type growthClick struct {
	who  uint64
	item recommend.Num
	at   int64
}

// Run measures a shop of so many items.
func (o Growth) Run(ctx context.Context, items int) (GrowthRow, error) {
	if items < 10 {
		return GrowthRow{}, fmt.Errorf("%d items: want at least 10", items)
	}
	o.VisitsPerItem, o.Questions = max(o.VisitsPerItem, 1), max(o.Questions, 1)
	if o.Progress == nil {
		o.Progress = func(int, int, int) {}
	}
	rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a made-up shop, the same each time
	g := &growing{
		o: o, row: GrowthRow{Items: items}, counts: recommend.New(recommend.Options{}), updater: profile.New(profile.Options{}),
		items: make(map[string]*recommend.Item, items), people: make(map[string]*profile.Person),
		rng: rng, zipf: rand.NewZipf(rng, 1.1, 20, uint64(items-1)), now: 1_700_000_000_000,
	}
	before := heap()
	g.live = recommend.NewLive(recommend.LiveOptions{})
	empty := heap() - before
	for k := range items {
		g.list(k)
	}
	g.live.Drain()
	g.row.ItemBytes = (heap() - before - empty) / float64(items)
	if err := g.fill(ctx); err != nil {
		return g.row, err
	}
	g.weigh()
	if err := g.ask(ctx); err != nil {
		return g.row, err
	}
	g.weighVisits()
	return g.row, nil
}

// heap is what lives on the heap.
func heap() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

var growthWords = [...]string{"red", "blue", "green", "large", "small", "clay", "steel", "wooden", "pot", "pan", "cup", "lamp", "chair", "rug", "towel", "knife"} //nolint:gochecknoglobals // constant

func (g *growing) list(k int) {
	w := growthWords
	name := fmt.Sprint(w[k%5], " ", w[5+k/5%3], " ", w[8+k/15%8], " ", k/120)
	g.live.Listed(fmt.Sprint("item-", k), &recommend.Listing{Brand: fmt.Sprint("brand ", k%97), Facts: recommend.Facts{
		Name: name, Category: fmt.Sprint("c", k/15%8), Price: event.Money(500 + k%40*100), HasPrice: true,
	}}, g.now)
	if k%1000 == 0 {
		g.live.Drain()
	}
}

// visit is the items of a made-up visit, which keeps to a neighbourhood.
func (g *growing) visit() []string {
	start := int(g.zipf.Uint64()) //nolint:gosec // below the number of items
	var out []string
	for range 2 + g.rng.IntN(7) {
		out = append(out, fmt.Sprint("item-", (start+g.rng.IntN(30)*g.rng.IntN(3))%g.row.Items))
	}
	return out
}

// growthBatch is how many visits are timed at once: asking for the time costs a call.
const growthBatch = 100

// fill makes the visits, everybody's in turn three times, and times what each of their
// events costs. Processor time is measured, which other programs do not lengthen; that of
// the collector is in it.
func (g *growing) fill(ctx context.Context) error {
	visits := g.row.Items * g.o.VisitsPerItem
	people := (visits + 2) / 3
	var state, beside time.Duration
	var made [growthBatch][]string
	for v := 0; v < visits; v += growthBatch {
		batch := made[:min(growthBatch, visits-v)]
		for k := range batch {
			batch[k] = g.visit()
		}
		from := g.now
		began := ProcessorTime()
		for k, list := range batch {
			g.see(fmt.Sprint("p", (v+k)%people), v+k, list)
		}
		state += ProcessorTime() - began
		began = ProcessorTime()
		at := from
		for k, list := range batch {
			who := fmt.Sprint("p", (v+k)%people)
			for _, id := range list {
				at += 200
				g.live.Touched(who, id, at)
			}
			at += growthPause
			g.live.Drain()
		}
		beside += ProcessorTime() - began
		for k, list := range batch {
			for n, id := range list {
				g.clicks = append(g.clicks, growthClick{uint64((v+k)%people + 1), g.live.Shelf.Put(id), from + int64(k)*growthPause + int64(n)}) //nolint:gosec // a number of a person
			}
			g.row.Events += len(list)
		}
		if v%10_000 == 0 {
			g.o.Progress(g.row.Items, v, visits)
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}
	g.row.People = len(g.people)
	g.row.State = float64(state.Nanoseconds()) / 1000 / float64(g.row.Events)
	g.row.Live = float64(beside.Nanoseconds()) / 1000 / float64(g.row.Events)
	return nil
}

// growthPause is what lies between two visits to the shop, in milliseconds: a million
// make three months.
const growthPause = 7_000

// see is a visit as the graph sees it.
func (g *growing) see(who string, n int, list []string) {
	p := g.people[who]
	if p == nil {
		p = new(profile.Person)
		g.people[who] = p
	}
	e := event.Event{Kind: event.ProductViewed, Products: make([]event.Product, 1)}
	for k, id := range list {
		g.now += 200
		e.Time, e.ReceivedAt, e.MessageID = g.now, g.now, fmt.Sprint(n, "-", k)
		e.Products[0] = event.Product{ID: id, Quantity: 1}
		g.apply(&e, p)
	}
	g.now += growthPause
}

// ProcessorTime is what this program has taken so far, the system's part included.
func ProcessorTime() time.Duration { return usage(syscall.RUSAGE_SELF) }

// ChildrenTime is the processor time that processes used which this one started and waited
// for.
func ChildrenTime() time.Duration { return usage(syscall.RUSAGE_CHILDREN) }

func usage(who int) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(who, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// apply is what the graph does with an event.
func (g *growing) apply(e *event.Event, p *profile.Person) {
	g.updater.Apply(p, e, &g.change)
	g.touches = g.counts.Touches(g.touches[:0], e, &g.change, p)
	for k := range g.touches {
		t := &g.touches[k]
		if t.Item == "" {
			g.counts.ApplyTotals(&g.totals, t)
			continue
		}
		i := g.items[t.Item]
		if i == nil {
			i = new(recommend.Item)
			g.items[t.Item] = i
		}
		g.counts.Apply(i, t)
	}
}

// weigh measures the records as they are stored.
func (g *growing) weigh() {
	var b []byte
	sum := 0
	for _, i := range g.items {
		b = i.AppendTo(b[:0])
		sum += len(b)
	}
	g.row.ItemRecord = float64(sum) / float64(len(g.items))
	sum = 0
	for _, p := range g.people {
		b = p.AppendTo(b[:0])
		sum += len(b)
	}
	g.row.PersonBytes = float64(sum) / float64(len(g.people))
	g.row.Visits = g.live.Stats().Visits
	g.people = nil
}

// weighVisits makes the index of visits once more, to see what it takes.
func (g *growing) weighVisits() {
	x := recommend.NewVisits(recommend.VisitOptions{})
	before := heap()
	for _, c := range g.clicks {
		x.Click(c.who, c.item, c.at)
	}
	g.row.VisitBytes = (heap() - before) / float64(max(x.Stats().Visits, 1))
	g.clicks = nil
}

// ask times questions of two to eight items.
func (g *growing) ask(ctx context.Context) error {
	g.totals.Rank()
	var tops recommend.Tops
	read := func(id string) (*recommend.Item, bool) { i, ok := g.items[id]; return i, ok }
	took := make([]time.Duration, g.o.Questions)
	lists := make([][]string, g.o.Questions)
	for k := range lists {
		lists[k] = g.visit()
	}
	before := ProcessorTime()
	for k := range took {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		list := lists[k]
		began := time.Now()
		q := recommend.LiveQuery{Query: recommend.QueryForSession(list, 20, g.now), Present: list, Placement: "session"}
		q.Tops, q.Brief = &tops, read
		if out := g.counts.RecommendLive(g.live, &q, read, &g.totals); len(out) == 0 {
			return fmt.Errorf("no answer to %d items at %d items", len(list), g.row.Items)
		}
		took[k] = time.Since(began)
	}
	g.row.Question = float64((ProcessorTime() - before).Microseconds()) / float64(len(took))
	slices.Sort(took)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	g.row.P50, g.row.P99 = ms(took[len(took)/2]), ms(took[len(took)*99/100])
	return nil
}
