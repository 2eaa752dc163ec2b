package operators

import (
	"cmp"
	"context"
	"hash/fnv"
	"math"

	"millrace/configs"
	"millrace/engine"
	"millrace/operators/experiment"
	"millrace/operators/profile"
	"millrace/operators/trigger"
)

// This file wires what is fitted over all people: groups, and what is expected of them.
// A model is a file that does not change; the version of the configuration names it, so
// that the same log meets the same models.

// PeopleModels are the models that a version of the configuration names; nil has none.
type PeopleModels struct {
	Groups   *profile.PeopleGroups
	Lifetime *profile.LifetimeModel
	Uplift   *experiment.UpliftModel
}

// fact is the value of a variable of conditions that a model gives.
func (m *PeopleModels) fact(name string, f *trigger.Facts) (configs.Value, bool) {
	if m == nil {
		m = &PeopleModels{}
	}
	switch name {
	case configs.ClusterName:
		if m.Groups == nil {
			return configs.TextValue(""), true
		}
		return configs.TextValue(m.Groups.Name(f.Person, f.Now)), true
	case configs.UpliftName:
		return configs.FloatValue(upliftOf(m.Uplift, f.Person, f.Now)), true
	case configs.ChurnName, configs.NextOrderName, configs.RFMName:
		if m.Lifetime == nil {
			return configs.Value{}, true
		}
		out, rfm := m.Lifetime.Outlook(f.Person, f.Now)
		switch {
		case name == configs.ChurnName:
			return configs.FloatValue(out.Churn), true
		case name == configs.NextOrderName:
			return configs.FloatValue(finite(out.NextDays)), true
		case rfm == (profile.RFM{}):
			return configs.TextValue(""), true
		}
		return configs.TextValue(rfm.String()), true
	}
	return configs.Value{}, false
}

// tenYears stands for a next order that is not to be expected.
const tenYears = 3650

func finite(days float64) float64 {
	if math.IsNaN(days) {
		return tenYears
	}
	return math.Min(days, tenYears)
}

// Expected is what the models say of a person.
type Expected struct {
	Cluster       string  `json:"cluster,omitempty"`
	RFM           string  `json:"rfm,omitempty"`
	Churn         float64 `json:"churn"`
	NextOrderDays float64 `json:"next_order_days"`
	// Uplift is what a mail adds to the goal of an experiment; nil without a model.
	Uplift     *float64 `json:"uplift,omitempty"`
	UpliftGoal string   `json:"uplift_goal,omitempty"` // in words
}

// ExpectedOf is what the models say of a person as of a view; nil without models.
func (p *Pipeline) ExpectedOf(v *engine.View, userID string) (*Expected, error) {
	if p.models == nil {
		return nil, nil //nolint:nilnil // no models are the usual case and no error
	}
	person, ok, err := p.Person(v, userID)
	if err != nil || !ok {
		return nil, err
	}
	out := new(Expected)
	if g := p.models.Groups; g != nil {
		out.Cluster = g.Name(&person, v.Watermark)
	}
	if m := p.models.Uplift; m != nil {
		u := upliftOf(m, &person, v.Watermark)
		out.Uplift, out.UpliftGoal = &u, upliftGoal(m)
	}
	if m := p.models.Lifetime; m != nil {
		o, rfm := m.Outlook(&person, v.Watermark)
		out.Churn, out.NextOrderDays = o.Churn, finite(o.NextDays)
		if rfm != (profile.RFM{}) {
			out.RFM = rfm.String()
		}
	}
	return out, nil
}

// Models are the models that conditions use; nil without any.
func (p *Pipeline) Models() *PeopleModels { return p.models }

// vectorsMax is how many people groups are fitted to: a hundred bytes each, and more
// change no centre by a hundredth.
const vectorsMax = 50_000

// FitGroups fits k groups to the people of a view, or to every second, fourth and so on
// of them when there are many; old, which may be nil, is compared with.
func (p *Pipeline) FitGroups(ctx context.Context, v *engine.View, k int, old *profile.PeopleGroups, version int, progress func(people int)) (*profile.PeopleGroups, error) {
	var vectors [][]float64
	var keys []uint64
	shift := 0 // of how many bits must be 0
	err := p.eachPerson(ctx, v, progress, func(key string, person *profile.Person) error {
		h := fnv.New64a()
		_, _ = h.Write([]byte(key)) // never fails
		sum := h.Sum64() * 0x9e3779b97f4a7c15
		if sum>>(64-shift) != 0 && shift > 0 {
			return nil
		}
		vectors, keys = append(vectors, person.Vector(nil, v.Watermark)), append(keys, sum)
		for len(vectors) > vectorsMax {
			shift++
			n := 0
			for i := range vectors {
				if keys[i]>>(64-shift) == 0 {
					vectors[n], keys[n] = vectors[i], keys[i]
					n++
				}
			}
			vectors, keys = vectors[:n], keys[:n]
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	g, err := profile.GroupPeople(vectors, v.Watermark, k, 1)
	if err == nil && old != nil {
		g.Compare(old, version, vectors)
	}
	return g, err
}

// FitLifetime fits what is expected of people to those of a view.
func (p *Pipeline) FitLifetime(ctx context.Context, v *engine.View, progress func(people int)) (*profile.LifetimeModel, error) {
	var cohorts profile.Cohorts
	var spent profile.Quantiles
	err := p.eachPerson(ctx, v, progress, func(_ string, person *profile.Person) error {
		if spell, ok := person.Spell(); ok {
			cohorts.Move(nil, &spell)
			spent.Add(float64(person.LTV()), cmp.Or(v.Watermark, 1), 0)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return profile.FitPeople(&cohorts, &spent, v.Watermark)
}
