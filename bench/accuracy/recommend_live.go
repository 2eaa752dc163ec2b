package accuracy

import (
	"slices"
	"strconv"
	"time"

	"millrace/operators/event"
	"millrace/operators/profile"
	"millrace/operators/recommend"
)

// liveShop is what a running shop recommends by: the counts of the state, and what lives
// beside it, fed with the same events in the same order as the engine would.
type liveShop struct {
	updater *profile.Updater
	counts  *recommend.Recommender
	items   map[string]*recommend.Item
	totals  recommend.Totals
	live    *recommend.Live
	tops    recommend.Tops
	change  profile.Change
	touches []recommend.Touch
	now     int64
}

func newLiveShop(s *RecommendSet) *liveShop {
	l := &liveShop{
		updater: profile.New(profile.Options{}), counts: recommend.New(recommend.Options{HalfLife: 90 * 24 * time.Hour}),
		items: make(map[string]*recommend.Item), live: recommend.NewLive(recommend.LiveOptions{}),
	}
	for _, d := range s.Products {
		l.live.Listed(d.Item, &recommend.Listing{Brand: d.Product.Brand, Facts: recommend.Facts{
			Name: d.Product.Title, Category: d.Product.Category, Price: event.Money(d.Product.Price * 100), HasPrice: d.Product.Price > 0,
		}}, 1)
		l.live.Drain()
	}
	return l
}

// observe passes a visit on as views of a visitor.
func (l *liveShop) observe(v *RecommendVisit) {
	var p profile.Person
	e := event.Event{Kind: event.ProductViewed, Products: make([]event.Product, 1)}
	for k, c := range v.Clicks {
		e.Time, e.ReceivedAt, e.MessageID = c.Time, c.Time, strconv.Itoa(k)
		e.Products[0] = event.Product{ID: c.Item, Quantity: 1}
		l.now = max(l.now, c.Time)
		l.updater.Apply(&p, &e, &l.change)
		l.touches = l.counts.Touches(l.touches[:0], &e, &l.change, &p)
		for t := range l.touches {
			l.touch(&l.touches[t])
		}
		l.live.Touched(v.Key, c.Item, c.Time)
	}
	l.live.Drain()
	l.totals.Rank()
}

func (l *liveShop) touch(t *recommend.Touch) {
	if t.Item == "" {
		l.counts.ApplyTotals(&l.totals, t)
		return
	}
	i := l.items[t.Item]
	if i == nil {
		i = new(recommend.Item)
		l.items[t.Item] = i
	}
	l.counts.Apply(i, t)
}

func (l *liveShop) read(id string) (*recommend.Item, bool) { i, ok := l.items[id]; return i, ok }

// query asks for what a visit may be shown under a rule of what is left out.
func (l *liveShop) query(session []string, rule string) recommend.LiveQuery {
	q := recommend.LiveQuery{Query: recommend.QueryForSession(session, 20, l.now), Present: session, Placement: "session"}
	switch rule {
	case "last":
		q.Hide = session[len(session)-1:]
	case "none", "purchased":
		q.Hide = nil
	}
	q.Tops, q.Brief = &l.tops, l.read
	return q
}

// liveRows measure what a running shop shows: by what goes together alone, by all voices
// with the weights that are shipped, and with weights that clicks on the first twelve
// items of validation answers have taught.
func liveRows(p *panel, s *RecommendSet, split sessionSplit, rule, protocol string, steps *steps) ([]RecommendResult, error) {
	l := newLiveShop(s)
	for k := range split.train {
		l.observe(&split.train[k])
		if err := steps.next(); err != nil {
			return nil, err
		}
	}
	err := l.each(split.valid, steps, func(_ int, session, rest []string) {
		l.teach(session, rest[0], rule)
	})
	if err != nil {
		return nil, err
	}
	if split.held {
		for k := range split.valid {
			l.observe(&split.valid[k])
		}
	}
	methods := []string{"live: together", "live: hybrid, shipped weights", "live: hybrid, taught"}
	var rows []RecommendResult
	tallies := make([]*tally, len(methods))
	for k := range methods {
		tallies[k] = &tally{shown: make(map[recommend.Num]bool)}
	}
	err = l.each(split.test, steps, func(_ int, session, rest []string) {
		w := p.truthOf(rest[:1], rest)
		for k := range methods {
			began := time.Now()
			list := l.ask(k, session, rule)
			tallies[k].seconds += time.Since(began).Seconds()
			tallies[k].add(l.ranked(p, list), w)
		}
	})
	if err != nil {
		return nil, err
	}
	for k, m := range methods {
		r := tallies[k].result(p.hybrid.Names().Len())
		r.Name, r.Method, r.Protocol, r.Exclude = p.set, m, protocol, rule
		rows = append(rows, r)
	}
	return rows, nil
}

// ask answers by a method.
func (l *liveShop) ask(method int, session []string, rule string) []recommend.Scored {
	q := l.query(session, rule)
	switch method {
	case 0:
		return l.counts.Recommend(q.Query, l.read, &l.totals)
	case 2:
		q.Placement = "taught"
	}
	return l.counts.RecommendLive(l.live, &q, l.read, &l.totals)
}

// ranked are the numbers of what was answered, by their places.
func (l *liveShop) ranked(p *panel, list []recommend.Scored) []recommend.Ranked {
	out := make([]recommend.Ranked, len(list))
	for k := range list {
		out[k] = recommend.Ranked{Item: p.num(list[k].Item), Score: list[k].Score}
	}
	return out
}

// teach shows twelve items, and lets the next item be clicked if it is one of them.
func (l *liveShop) teach(session []string, next, rule string) {
	q := l.query(session, rule)
	q.Limit, q.Placement = 12, "taught"
	list := l.counts.RecommendLive(l.live, &q, l.read, &l.totals)
	if !slices.ContainsFunc(list, func(s recommend.Scored) bool { return s.Item == next }) {
		return
	}
	for k := range list {
		list[k].Facts.URL = list[k].Item
	}
	id := strconv.Itoa(l.live.Blend.Learned()["taught"])
	l.live.Blend.Remember(id, "taught", list)
	l.live.Blend.Clicked(id, next)
}

// each goes through sessions, prefix by prefix.
func (l *liveShop) each(visits []RecommendVisit, steps *steps, fn func(k int, session, rest []string)) error {
	for k := range visits {
		if err := steps.next(); err != nil {
			return err
		}
		items := make([]string, 0, len(visits[k].Clicks)+1)
		for _, c := range visits[k].Clicks {
			items = append(items, c.Item)
		}
		from := 1
		if visits[k].Target != "" {
			from, items = len(items), append(items, visits[k].Target)
		}
		for at := from; at < len(items); at++ {
			fn(k, items[:at], items[at:])
		}
	}
	return nil
}
