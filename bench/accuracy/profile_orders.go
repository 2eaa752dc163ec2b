package accuracy

import (
	"fmt"
	"math"
	"slices"
	"time"

	"millrace/operators/profile"
)

const profileDay = int64(24 * time.Hour / time.Millisecond)

// customer is what is known of one in the calibration, and what came after it.
type customer struct {
	spell profile.Spell
	times []int64
	later float64 // days with an order in the holdout
}

// evaluateLifetimes fits the model to the first part of the time and forecasts on how many
// days of the rest each customer orders, of those who had ordered before.
func evaluateLifetimes(s *ProfileSet, o ProfileOptions) ([]ProfileResult, error) {
	first, last := s.Orders[0].Time, s.Orders[len(s.Orders)-1].Time
	begin := first - first%profileDay
	days := (last-begin)/profileDay + 1
	cut := begin + int64(math.Round(float64(days)*o.Calibration))*profileDay
	end := begin + days*profileDay
	people, cohorts := customersAt(s.Orders, cut)
	if len(people) == 0 {
		return nil, fmt.Errorf("%w: nobody orders in the first part", ErrProfileData)
	}
	start := time.Now()
	model, err := profile.FitLifetime(groupsOf(people, cut))
	if err != nil {
		return nil, err
	}
	weeks, ahead := float64(cut-begin)/float64(7*profileDay), float64(end-cut)/float64(7*profileDay)
	base := ProfileResult{Rows: len(people), Weeks: weeks, Ahead: ahead}
	var all []ProfileResult
	add := func(method string, start time.Time, forecast func(c *customer) (orders, score float64)) *ProfileResult {
		r := base
		r.Method = method
		judge(&r, people, forecast)
		r.Seconds = time.Since(start).Seconds()
		all = append(all, r)
		return &all[len(all)-1]
	}
	byModel := func(l profile.Lifetime) func(c *customer) (float64, float64) {
		return func(c *customer) (float64, float64) {
			h := history(c.spell, cut)
			return l.Expected(h, ahead), l.Within(h, ahead)
		}
	}
	numbers := func(r *ProfileResult, l profile.Lifetime) {
		r.R, r.Alpha, r.A, r.B, r.LogLikes = l.R, l.Alpha, l.A, l.B, l.LogLikelihood
	}
	numbers(add("bg/nbd", start, byModel(model)), model)
	add("bg/nbd, median", time.Now(), func(c *customer) (float64, float64) {
		h := history(c.spell, cut)
		return float64(model.Quantile(h, ahead, .5)), model.Within(h, ahead)
	})
	start = time.Now()
	table, err := profile.FitLifetime(cohorts.Groups(cut - profileDay))
	if err != nil {
		return nil, err
	}
	numbers(add(fmt.Sprintf("bg/nbd from cohorts of %d days", cohorts.Days()), start, byModel(table)), table)
	add("as often as before", time.Now(), func(c *customer) (float64, float64) {
		h := history(c.spell, cut)
		f := float64(h.Repeats) / math.Max(h.Age, 1) * ahead
		return f, f
	})
	mean := 0.0
	for i := range people {
		mean += float64(people[i].spell.Repeats)
	}
	mean *= ahead / weeks / float64(len(people))
	add("the same for all", time.Now(), func(*customer) (float64, float64) { return mean, 0 })
	add("by recency alone", time.Now(), func(c *customer) (float64, float64) { return 0, float64(c.spell.Last) })
	// Its forecast is nothing for everybody: the floor for the error, and its order the one
	// for the ranking.
	return all, nil
}

// history counts whole days, as the spells do: the day of the cut is not over yet.
func history(s profile.Spell, cut int64) profile.History { return s.History(cut - profileDay) }

func customersAt(orders []ProfileOrder, cut int64) ([]customer, *profile.Cohorts) {
	index := make(map[string]int)
	var people []customer
	var later []map[int64]bool
	for _, o := range orders {
		i, ok := index[o.Customer]
		if o.Time >= cut {
			if ok {
				later[i][o.Time/profileDay] = true
			}
			continue
		}
		if !ok {
			i = len(people)
			index[o.Customer] = i
			people, later = append(people, customer{}), append(later, make(map[int64]bool))
		}
		people[i].times = append(people[i].times, o.Time)
	}
	cohorts := &profile.Cohorts{}
	for i := range people {
		people[i].spell, _ = profile.SpellOf(people[i].times)
		people[i].later = float64(len(later[i]))
		cohorts.Move(nil, &people[i].spell)
	}
	return people, cohorts
}

func groupsOf(people []customer, cut int64) []profile.Group {
	all := make([]profile.Group, len(people))
	for i := range people {
		all[i] = profile.Group{History: history(people[i].spell, cut), People: 1}
	}
	return all
}

// judge compares forecasts with what came.
func judge(r *ProfileResult, people []customer, forecast func(c *customer) (orders, score float64)) {
	type scored struct {
		score float64
		came  bool
	}
	ranking := make([]scored, len(people))
	var said, came float64
	for i := range people {
		f, score := forecast(&people[i])
		said += f
		came += people[i].later
		r.MAE += math.Abs(f - people[i].later)
		r.RMSE += (f - people[i].later) * (f - people[i].later)
		ranking[i] = scored{score, people[i].later > 0}
	}
	n := float64(len(people))
	r.MAE, r.RMSE, r.Total = r.MAE/n, math.Sqrt(r.RMSE/n), said/math.Max(came, 1)
	slices.SortFunc(ranking, func(a, b scored) int {
		switch {
		case a.score < b.score:
			return -1
		case a.score > b.score:
			return 1
		}
		return 0
	})
	// The area under the curve is the mean rank of those who came; ties share their ranks.
	var ranks, yes float64
	for i := 0; i < len(ranking); {
		j := i
		for j < len(ranking) && ranking[j].score == ranking[i].score {
			j++
		}
		for _, s := range ranking[i:j] {
			if s.came {
				ranks += float64(i+j+1) / 2
				yes++
			}
		}
		i = j
	}
	if yes > 0 && yes < n {
		r.AUC = (ranks - yes*(yes+1)/2) / (yes * (n - yes))
	}
}

// buyerFeatures are what evaluateDays knows of a buyer.
var buyerFeatures = []string{"orders", "spending", "order value", "time between orders"}

// evaluateDays groups buyers as their orders come, and compares the groups from day to day.
func evaluateDays(s *ProfileSet, o ProfileOptions) ProfileResult {
	begin := time.Now()
	c := profile.NewClusters(profile.ClusterOptions{K: o.Groups, Seed: o.Seed})
	buyers := make(map[string]*buyer)
	var w watcher
	day := s.Orders[0].Time / profileDay
	for _, order := range s.Orders {
		if d := order.Time / profileDay; d != day {
			day = d
			w.turn(c)
		}
		b := buyers[order.Customer]
		if b == nil {
			b = &buyer{first: order.Time}
			buyers[order.Customer] = b
		}
		x := b.add(order)
		c.Add(x, order.Time)
		w.watch.Add(x)
	}
	w.turn(c)
	r := ProfileResult{
		Method: "online k-means by day", Rows: len(s.Orders), K: o.Groups, Seconds: time.Since(begin).Seconds(), Clusters: c.Names(buyerFeatures),
	}
	w.report(&r)
	return r
}

type buyer struct {
	first  int64
	orders float64
	spent  float64
}

func (b *buyer) add(o ProfileOrder) []float64 {
	b.orders++
	b.spent += math.Max(o.Amount, 0)
	gap := 0.0
	if b.orders > 1 {
		gap = float64(o.Time-b.first) / float64(profileDay) / (b.orders - 1)
	}
	return []float64{math.Log1p(b.orders), math.Log1p(b.spent), math.Log1p(b.spent / b.orders), math.Log1p(gap)}
}
