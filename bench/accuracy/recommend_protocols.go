package accuracy

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"millrace/operators/recommend"
)

// sessionVoices listen to visits. Baskets and ratings have others.
var sessionVoices = []string{
	recommend.VoicePopular, recommend.VoiceRepeat, recommend.VoiceSessions, recommend.VoiceAR, recommend.VoiceSR,
	recommend.VoiceCosine, recommend.VoiceLLR, recommend.VoiceContent,
}

// sessionSplit is how sessions are used: those of train are indexed, those of valid teach
// the blend; held ones are then indexed too, since they were a part of the training data.
type sessionSplit struct {
	train, valid, test []RecommendVisit
	held               bool
	how                string
}

func splitSessions(s *RecommendSet) sessionSplit {
	train, valid, test := s.Train, s.Valid, s.Test
	p := sessionSplit{how: "files", train: train, valid: valid, test: test}
	if len(test) == 0 {
		p.how = "last 10 % of sessions"
		at := len(train) * 9 / 10
		p.train, p.test = train[:at], train[at:]
	}
	if len(valid) == 0 {
		p.held = true
		at := len(p.train) * 85 / 100
		p.train, p.valid = p.train[:at], p.train[at:]
	}
	return p
}

// evalSessions measures next-item predictions: every prefix of a test session predicts
// the item that comes next, over all items. Nothing is learned from test sessions.
func evalSessions(ctx context.Context, s *RecommendSet, o RecommendOptions) ([]RecommendResult, error) {
	rules := []string{o.Exclude}
	if o.Exclude == "" {
		rules = []string{"none"}
		if s.Serenade != nil {
			rules = []string{"last", "none"} // Serenade never shows the last item
		}
	}
	var rows []RecommendResult
	for _, rule := range rules {
		r, err := evalSessionsBy(ctx, s, o, rule)
		if err != nil {
			return nil, err
		}
		rows = append(rows, r...)
	}
	return rows, nil
}

func evalSessionsBy(ctx context.Context, s *RecommendSet, o RecommendOptions, rule string) ([]RecommendResult, error) {
	split := splitSessions(s)
	h := recommend.HybridOptions{Voices: sessionVoices, PopularFor: -1}
	h.CF.HalfLife, h.CF.Linked = -1, -1
	h.Sessions = recommend.SessionOptions{MaxItems: longest(split.train)}
	if e := s.Serenade; e != nil {
		h.Sessions.Sample, h.Sessions.Postings, h.Sessions.Neighbours, h.Sessions.LastItems = e.Sample, e.Sample, e.Neighbours, e.LastItems
		h.Sessions.IDF = cmp.Or(e.IDF, -1)
	}
	p := newPanel(s.Name, o, h)
	p.describe(s)
	steps := &steps{ctx: ctx, set: s.Name, report: o.Progress, total: 2 * (len(split.train) + 2*len(split.valid) + len(split.test))}
	index := func(visits []RecommendVisit) error {
		for k := range visits {
			p.observe(&visits[k], "", visits[k].Key)
			if err := steps.next(); err != nil {
				return err
			}
		}
		return nil
	}
	if err := index(split.train); err != nil {
		return nil, err
	}
	if err := p.predict(split.valid, rule, steps, true); err != nil {
		return nil, err
	}
	p.learn()
	if split.held {
		if err := index(split.valid); err != nil {
			return nil, err
		}
	}
	items := p.hybrid.Names().Len()
	if err := p.predict(split.test, rule, steps, false); err != nil {
		return nil, err
	}
	protocol := "next item, split by " + split.how
	rows := p.results(protocol, rule, items, "mrr@20", "hr@20", "ndcg@10")
	more, err := liveRows(p, s, split, rule, protocol, steps)
	if err != nil {
		return nil, err
	}
	return append(rows, more...), nil
}

// longest is the 99.5 percentile of the length of sessions: what is longer is no shopper.
func longest(visits []RecommendVisit) int {
	lengths := make([]int, 0, len(visits))
	for k := range visits {
		lengths = append(lengths, len(distinct(&visits[k])))
	}
	slices.Sort(lengths)
	if len(lengths) == 0 {
		return 0
	}
	return lengths[min(len(lengths)*995/1000, len(lengths)-1)]
}

// predict goes through sessions, prefix by prefix, and learns or judges.
func (p *panel) predict(visits []RecommendVisit, rule string, steps *steps, learn bool) error {
	for k := range visits {
		if err := steps.next(); err != nil {
			return err
		}
		items := make([]string, 0, len(visits[k].Clicks)+1)
		for _, c := range visits[k].Clicks {
			items = append(items, c.Item)
		}
		from := 1
		if visits[k].Target != "" { // a prefix, which is predicted once
			from = len(items)
			items = append(items, visits[k].Target)
		}
		for at := from; at < len(items); at++ {
			session := p.hybrid.Names().FindAll(nil, items[:at])
			skip, err := excluded(rule, session)
			if err != nil {
				return err
			}
			placement := "session"
			if at == 1 {
				placement = "first click"
			}
			p.ask(&recommend.Context{Session: session, Now: visits[k].Clicks[min(at, len(visits[k].Clicks))-1].Time}, skip)
			if learn {
				p.keep(placement, p.num(items[at]))
				continue
			}
			p.judge(placement, k, p.truthOf(items[at:at+1], items[at:]))
		}
	}
	return nil
}

// steps reports progress and heeds the end of the context.
type steps struct {
	ctx         context.Context //nolint:containedctx // lives as long as one evaluation
	set         string
	report      func(string, int, int)
	done, total int
}

func (s *steps) next() error {
	s.done = min(s.done+1, s.total)
	if s.done%64 == 0 || s.done == s.total {
		s.report(s.set, s.done, s.total)
		if err := s.ctx.Err(); err != nil {
			return fmt.Errorf("measure %s: %w", s.set, err)
		}
	}
	return nil
}

// evalRatings follows RecBole's general protocol: the choices of each person are shuffled
// and split 8:1:1; all items but those of training and validation are ranked.
func evalRatings(ctx context.Context, s *RecommendSet, o RecommendOptions) ([]RecommendResult, error) {
	people := slices.Concat(s.Train, s.Valid, s.Test)
	h := recommend.HybridOptions{
		Voices:     []string{recommend.VoicePopular, recommend.VoiceCosine, recommend.VoiceContent, recommend.VoiceEASE},
		PopularFor: -1, CFSeeds: recommend.SeedOptions{Past: 1 << 20, PastWeight: 1},
	}
	h.CF.HalfLife, h.CF.Linked, h.CF.History, h.CF.Bound = -1, -1, 1<<20, 4096
	p := newPanel(s.Name, o, h)
	steps := &steps{ctx: ctx, set: s.Name, report: o.Progress, total: 3 * len(people)}
	rng := rand.New(rand.NewPCG(o.Seed, 2)) //nolint:gosec // an evaluation is to be repeatable
	parts := make([][3][]string, len(people))
	for k := range people {
		items := distinct(&people[k])
		rng.Shuffle(len(items), func(a, b int) { items[a], items[b] = items[b], items[a] })
		n := len(items)
		test := n / 10
		valid := n / 10
		parts[k] = [3][]string{items[:n-valid-test], items[n-valid-test : n-test], items[n-test:]}
		for j, i := range parts[k][0] {
			p.hybrid.Observe(recommend.Action{
				Person: people[k].Key, Session: fmt.Sprint(people[k].Key, "/", j), Item: i, How: recommend.Purchased, Time: people[k].Clicks[0].Time,
			})
		}
		if err := steps.next(); err != nil {
			return nil, err
		}
	}
	if err := p.hybrid.Fit(); err != nil {
		return nil, fmt.Errorf("measure %s: %w", s.Name, err)
	}
	p.describe(s)
	items := p.hybrid.Names().Len()
	for phase := 1; phase <= 2; phase++ {
		for k := range people {
			if err := steps.next(); err != nil {
				return nil, err
			}
			p.rate(k, phase, &parts[k])
		}
		if phase == 1 {
			p.learn()
		}
	}
	return p.results("RecBole: 8:1:1 per person, all items ranked", "purchased", items, "ndcg@10", "recall@10"), nil
}

// rate predicts the validation or test choices of a person.
func (p *panel) rate(person, phase int, parts *[3][]string) {
	if len(parts[phase]) == 0 {
		return
	}
	names := p.hybrid.Names()
	known := names.FindAll(nil, parts[0])
	hidden := slices.Clone(known)
	if phase == 2 {
		hidden = names.FindAll(hidden, parts[1])
	}
	slices.Sort(hidden)
	p.ask(&recommend.Context{History: known}, func(i recommend.Num) bool {
		_, ok := slices.BinarySearch(hidden, i)
		return ok
	})
	if phase == 2 {
		p.judge("", person, p.truthOf(parts[2], parts[2]))
		return
	}
	for _, id := range parts[1] {
		p.keep("", p.num(id))
	}
}

// basketVoices listen to the orders of customers.
var basketVoices = []string{
	recommend.VoicePopular, recommend.VoiceRepeat, recommend.VoiceSessions, recommend.VoiceCosine, recommend.VoiceLLR,
	recommend.VoiceContent, recommend.VoiceEASE,
}

// learnPerBasket is how many items of a basket teach the blend at most: a wholesaler's
// hundred lines are one order too, as in the measure.
const learnPerBasket = 2

// evalBaskets replays orders in the order of time. Each order of a customer who ordered
// before is predicted from the state as it is at that moment, then counted. The last
// tenth of the orders is the test, the tenth before it teaches the blend.
func evalBaskets(ctx context.Context, s *RecommendSet, o RecommendOptions) ([]RecommendResult, error) {
	orders := slices.Concat(s.Train, s.Valid, s.Test)
	byTime(orders)
	h := recommend.HybridOptions{Voices: basketVoices, CFSeeds: recommend.SeedOptions{PastWeight: 1}, Repeat: recommend.Repeat{Fade: 0.995}}
	h.CF.Linked, h.CF.Bound, h.Gram.Items = -1, 2048, 1500
	p := newPanel(s.Name, o, h)
	p.describe(s)
	steps := &steps{ctx: ctx, set: s.Name, report: o.Progress, total: len(orders)}
	valid, test := len(orders)*8/10, len(orders)*9/10
	rng := rand.New(rand.NewPCG(o.Seed, 3)) //nolint:gosec // an evaluation is to be repeatable
	past := make(map[string][]string)
	person := make(map[string]int)
	for k := range orders {
		v := &orders[k]
		if err := steps.next(); err != nil {
			return nil, err
		}
		if k == valid || k == test {
			if err := p.hybrid.Fit(); err != nil {
				return nil, fmt.Errorf("measure %s: %w", s.Name, err)
			}
		}
		if k == test {
			p.learn()
		}
		bought := distinct(v)
		if history := past[v.Person]; k >= valid && len(history) > 0 {
			p.ask(&recommend.Context{History: p.hybrid.Names().FindAll(nil, history), Now: v.Clicks[0].Time}, nil)
			if _, ok := person[v.Person]; !ok {
				person[v.Person] = len(person)
			}
			if k >= test {
				p.judge("", person[v.Person], p.truthOf(bought, bought))
			} else {
				for _, at := range rng.Perm(len(bought))[:min(len(bought), learnPerBasket)] {
					p.keep("", p.num(bought[at]))
				}
			}
		}
		p.observe(v, v.Person, v.Key)
		past[v.Person] = append(past[v.Person], bought...)
	}
	return p.results("next basket, replayed in the order of time, last 10 % of orders", "none", p.hybrid.Names().Len(), "recall@10", "ndcg@10"), nil
}
