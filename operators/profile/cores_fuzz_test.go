package profile

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"millrace/operators/event"
)

// stored is what the state of every core can do.
type stored interface {
	AppendTo(b []byte) []byte
	DecodeFrom(b []byte) error
}

// fuzzCore reads any bytes as a core, which may refuse them with an error that says why,
// and must not panic; what it takes it writes again and reads again to the same bytes, and
// it can be used.
func fuzzCore[T stored](f *testing.F, fresh func() T, use func(T), seeds ...T) {
	for _, s := range seeds {
		raw := s.AppendTo(nil)
		f.Add(raw)
		f.Add(raw[:len(raw)/2])
		f.Add(append([]byte{9}, raw[1:]...))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		a := fresh()
		if err := a.DecodeFrom(raw); err != nil {
			if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewer) {
				t.Fatal(err)
			}
			return
		}
		once := a.AppendTo(nil)
		b := fresh()
		if err := b.DecodeFrom(once); err != nil {
			t.Fatalf("its own form: %v", err)
		}
		if !bytes.Equal(b.AppendTo(nil), once) {
			t.Fatal("another form each time")
		}
		use(b)
	})
}

func FuzzMomentsDecode(f *testing.F) {
	var m Moments
	m.Add([]float64{1, 2.5, -3}, testBase, time.Hour)
	m.Add([]float64{1.1, 2, 9}, testBase+5, time.Hour)
	fuzzCore(f, func() *Moments { return &Moments{} }, func(m *Moments) {
		m.Add([]float64{1, 2}, testBase, time.Hour)
		m.Merge(m)
	}, &Moments{}, &m)
}

func FuzzCCIPCADecode(f *testing.F) {
	c := NewCCIPCA(2)
	for i := range 9 {
		c.Add([]float64{float64(i), float64(i * i), 1})
	}
	fuzzCore(f, func() *CCIPCA { return NewCCIPCA(1) }, func(c *CCIPCA) {
		c.Add([]float64{1, 2, 3, 4})
		c.Axes()
	}, NewCCIPCA(3), c)
}

func FuzzDirectionsDecode(f *testing.F) {
	d := NewDirections(3)
	for i := range 9 {
		d.Add([]float64{float64(i), float64(i * i), 1}, testBase+int64(i), time.Hour)
	}
	fuzzCore(f, func() *Directions { return NewDirections(2) }, func(d *Directions) {
		for i := range 8 {
			d.Add([]float64{1, float64(i), 3, 4}, testBase, time.Hour)
		}
	}, NewDirections(4), d)
}

func FuzzClustersDecode(f *testing.F) {
	warm, c := NewClusters(ClusterOptions{K: 3}), NewClusters(ClusterOptions{K: 3, Warm: 6, HalfLife: time.Hour})
	for i := range 40 {
		warm.Add(blob(i, i), testBase+int64(i))
		c.Add(blob(i, i), testBase+int64(i)*60_000)
	}
	fuzzCore(f, func() *Clusters { return NewClusters(ClusterOptions{K: 3, HalfLife: time.Hour}) }, func(c *Clusters) {
		for i := range 200 {
			c.Add(blob(i, i), testBase)
		}
		c.Names([]string{"a"})
	}, NewClusters(ClusterOptions{}), warm, c)
}

func FuzzWatchDecode(f *testing.F) {
	c := NewClusters(ClusterOptions{K: 3, Warm: 6})
	var h Watch
	for i := range 40 {
		c.Add(blob(i, i), testBase)
		h.Add(blob(i, i))
		if i == 20 {
			h.Turn(c)
		}
	}
	fuzzCore(f, func() *Watch { return &Watch{} }, func(h *Watch) {
		h.Add([]float64{1, 2, 3})
		h.Turn(c)
	}, &Watch{}, &h)
}

func FuzzFieldsDecode(f *testing.F) {
	set := mustCompile(f, testFields, nil)
	e := event.Event{Kind: event.OrderCompleted, Time: testBase, HasTotal: true, Total: 500, Products: []event.Product{
		{ID: "a", Brand: "Aye", Category: "Home > Mugs", Price: 250, HasPrice: true, Quantity: 2}, {ID: "b", Quantity: 1},
	}}
	var s FieldState
	set.Apply(&s, &e)
	fuzzCore(f, func() *FieldState { return &FieldState{} }, func(s *FieldState) {
		var other FieldState
		set.Apply(&other, &e)
		s.Merge(&other)
		set.Apply(s, &e)
		for i := range set.All {
			set.Value(s, i, testBase)
		}
	}, &FieldState{}, &s)
}

func FuzzQuantilesDecode(f *testing.F) {
	var q Quantiles
	for _, x := range []float64{-4, 0, 1, 1, 1e6} {
		q.Add(x, testBase, time.Hour)
	}
	fuzzCore(f, func() *Quantiles { return &Quantiles{} }, func(q *Quantiles) {
		q.Add(3, testBase, time.Hour)
		q.At(.5)
	}, &Quantiles{}, &q)
}

func FuzzCohortsDecode(f *testing.F) {
	var c Cohorts
	for i := range int32(9) {
		c.Move(nil, &Spell{20000 + i, 20010 + i, i})
	}
	fuzzCore(f, func() *Cohorts { return &Cohorts{} }, func(c *Cohorts) {
		c.Move(&Spell{1, 2, 3}, &Spell{1, 5, 4})
		c.Groups(testBase)
		c.Scale(&Quantiles{})
	}, &Cohorts{}, &c)
}

func FuzzPaceDecode(f *testing.F) {
	o := PaceOptions{PerMinute: 2}
	var p Pace
	for i := range int64(9) {
		p.Add(testBase+i*20_000, o)
	}
	p.Add(testBase, o)
	p.Add(testBase, o)
	fuzzCore(f, func() *Pace { return &Pace{} }, func(p *Pace) {
		p.Add(testBase, o)
		var q Pace
		q.Merge(p, o)
	}, &Pace{}, &p)
}

func FuzzQualityDecode(f *testing.F) {
	var q Quality
	q.Add(&event.Event{Source: "web"}, PriceOff)
	q.Add(&event.Event{Source: "app", Kind: event.OrderCompleted})
	fuzzCore(f, func() *Quality { return &Quality{} }, func(q *Quality) { q.Add(&event.Event{}) }, &Quality{}, &q)
}

// No feature, however large, small or wrong, breaks what is stored of the others.
func TestExtremeFeatures(t *testing.T) {
	extremes := []float64{0, 1, -1e99, 1e101, 1e200, -math.MaxFloat64, math.SmallestNonzeroFloat64, 1e-200, math.NaN(), math.Inf(1)}
	rng := rand.New(rand.NewPCG(1, 1))
	vector := func() []float64 {
		x := make([]float64, 3)
		for i := range x {
			x[i] = extremes[rng.IntN(len(extremes))] * rng.NormFloat64()
		}
		return x
	}
	f := func(core, back stored, add func(x []float64, at int64)) {
		t.Helper()
		for i := range 400 {
			add(vector(), testBase+int64(i)*60_000)
			if i%20 != 0 {
				continue
			}
			if err := back.DecodeFrom(core.AppendTo(nil)); err != nil {
				t.Fatalf("%T after %d vectors: %v", core, i+1, err)
			}
		}
	}
	m := &Moments{}
	f(m, &Moments{}, func(x []float64, at int64) { m.Add(x, at, time.Hour) })
	d := NewDirections(2)
	f(d, NewDirections(2), func(x []float64, at int64) { d.Add(x, at, time.Hour); d.Axes(2) })
	p := NewCCIPCA(2)
	f(p, NewCCIPCA(2), func(x []float64, _ int64) { p.Add(x); p.Axes() })
	o := ClusterOptions{K: 3, HalfLife: time.Hour, Warm: 20}
	c := NewClusters(o)
	f(c, NewClusters(o), func(x []float64, at int64) { c.Add(m.Fill(nil, x), at) })
}
