package operators

import (
	"errors"
	"fmt"
	"math"
	"time"

	"millrace/configs"
	"millrace/operators/event"
	"millrace/operators/experiment"
	"millrace/operators/profile"
	"millrace/operators/recommend"
	"millrace/operators/trigger"
)

// Journey is a journey of the configuration, ready to run.
type Journey struct {
	Rule    trigger.Rule
	Config  *configs.Journey
	Exclude recommend.Exclude
	// Together says that recommendations go by what goes together alone.
	Together bool
	// Experiment is that of the journey's variants and holdouts, nil without any.
	Experiment *experiment.Running
}

// ErrNotSupported says that a journey asks for what the operators cannot do yet.
var ErrNotSupported = errors.New("not yet supported")

// Journeys turns the journeys of a set into rules. Paused ones are left out.
func Journeys(set *configs.Set, _ *configs.Loader, assumeConsent bool) ([]Journey, error) {
	return JourneysWith(set, nil, assumeConsent)
}

// JourneysWith is Journeys with the models that the set names.
func JourneysWith(set *configs.Set, models *PeopleModels, assumeConsent bool) ([]Journey, error) {
	var out []Journey
	fields, err := Fields(set)
	if err != nil {
		return nil, err
	}
	for _, j := range set.Journeys {
		if j.Paused() {
			continue
		}
		r, err := rule(set, j, fields, models)
		if err != nil {
			return nil, err
		}
		r.AssumeConsent = assumeConsent || set.Shop.Consent.Assumed()
		ready := Journey{Rule: r, Config: j}
		if ready.Experiment, err = running(set, j); err != nil {
			return nil, err
		}
		if ready.Experiment != nil {
			ready.Rule.Held = ready.Experiment.Held
		}
		if rec := j.Content.Recommend; rec != nil {
			exclude, ok := recommend.ParseExclude(rec.Exclude)
			if !ok {
				return nil, fmt.Errorf("%s: content.recommend.exclude %q: %w", j.File, rec.Exclude, ErrNotSupported)
			}
			ready.Exclude = exclude
		}
		ready.Together = !j.Content.Recommend.Hybrid(set.Shop)
		out = append(out, ready)
	}
	return out, nil
}

func rule(set *configs.Set, j *configs.Journey, declared *profile.FieldSet, models *PeopleModels) (trigger.Rule, error) {
	r := trigger.Rule{
		Pipeline: j.Name, ID: j.Trigger.ID, Version: j.Version, Content: j.Content.Kind,
		Wait: j.Trigger.Wait, OncePer: j.Trigger.AtMost.OncePer, Freshness: j.Trigger.FreshFor,
		Kind: trigger.CartAbandoned,
	}
	shape(&r, j)
	for _, name := range j.Trigger.Start.On {
		k, ok := event.KindByName(name)
		if !ok {
			return r, fmt.Errorf("%s: trigger.start.on %q: %w", j.File, name, ErrNotSupported)
		}
		r.On = append(r.On, k)
	}
	for _, name := range j.Trigger.Cancel.On {
		k, _ := event.KindByName(name)
		carted := r.Kind == trigger.Browsed && (k == event.ProductAdded || k == event.CheckoutStarted)
		if k != event.OrderCompleted && !carted {
			return r, fmt.Errorf("%s: trigger.cancel.on %q: %w", j.File, name, ErrNotSupported)
		}
	}
	if c := j.Trigger.Start.When; c != nil {
		r.When, r.WhenText = condition(c, declared, models, set), c.String()
	}
	if c := j.Audience.When; c != nil {
		r.Audience, r.AudienceText = condition(c, declared, models, set), c.String()
	}
	return r, nil
}

// shape says what kind of rule a journey is, by what its mail is about.
func shape(r *trigger.Rule, j *configs.Journey) {
	switch j.Content.Kind {
	case "post-purchase", "review-request":
		r.Kind = trigger.PostPurchase
	case "browse":
		r.Kind = trigger.Browsed
		if v := j.Trigger.Start.Views; v != nil {
			r.Views = trigger.Views{AtLeast: v.AtLeast, Product: v.Of == "product", Pause: v.Pause}
		}
	case "win-back":
		r.Kind = trigger.Lapsed
	case "welcome":
		r.Kind = trigger.Greeting
		r.CancelOrdered = len(j.Trigger.Cancel.On) > 0
	}
}

// condition fills the slots that c reads from the facts and evaluates it.
func condition(c *configs.Condition, declared *profile.FieldSet, models *PeopleModels, set *configs.Set) func(*trigger.Facts) bool {
	fill := filler(c, declared, NewSegments(set, declared, models), models, set)
	return func(f *trigger.Facts) bool { return c.Eval(fill(f)) }
}

// fact is the value of a variable of the conditions. Money is in major units.
func fact(name string, f *trigger.Facts, assumed bool) configs.Value {
	if v, ok := personFact(name, f, assumed); ok {
		return v
	}
	pieces := 0
	var categories []string
	for i := range f.Items {
		pieces += int(f.Items[i].Quantity)
		categories = append(categories, f.Items[i].Category)
	}
	switch name {
	case "cart.value", "order.value":
		return configs.FloatValue(major(f.Value, f.Currency))
	case "browse.views":
		return configs.IntValue(int64(f.Views))
	case "cart.items", "order.items":
		return configs.IntValue(int64(len(f.Items)))
	case "cart.quantity", "order.quantity":
		return configs.IntValue(int64(pieces))
	case "cart.currency", "order.currency":
		return configs.TextValue(f.Currency)
	case "cart.categories", "order.categories", "browse.categories":
		return configs.TextsValue(categories)
	default:
		panic("BUG: no operator knows the variable " + name)
	}
}

func personFact(name string, f *trigger.Facts, assumed bool) (configs.Value, bool) {
	p := f.Person
	switch name {
	case "profile.consent.marketing":
		yes := p.Consent.State == event.ConsentYes || assumed && p.Consent.State == event.ConsentUnknown ||
			p.Flags&event.AssumedConsent != 0 && p.Consent.State != event.ConsentNo
		return configs.BoolValue(yes), true
	case "profile.suppressed":
		return configs.BoolValue(p.Consent.Suppressed || p.Traits.Dead), true
	case "profile.known":
		return configs.BoolValue(true), true // the person stage holds no visitors
	case "profile.has_email":
		return configs.BoolValue(p.Traits.Email != ""), true
	case "profile.ltv":
		return configs.FloatValue(major(p.LTV(), p.Currency)), true
	case "profile.aov":
		return configs.FloatValue(ratio(major(p.LTV(), p.Currency), float64(p.OrderCount()))), true
	case "profile.orders":
		return configs.IntValue(int64(min(p.OrderCount(), math.MaxInt64))), true //nolint:gosec // bounded
	case "profile.refunds":
		return configs.IntValue(int64(min(p.Stat(event.OrderRefunded).Count, math.MaxInt64))), true //nolint:gosec // bounded
	case "profile.views":
		return configs.FloatValue(p.Count(event.ProductViewed, f.Now)), true
	case "profile.days_since_order":
		return configs.FloatValue(since(f.Now, p.LastOrder.At)), true
	case "profile.days_since_seen":
		return configs.FloatValue(since(f.Now, p.Last)), true
	}
	return personTaste(name, f.Now, p)
}

func personTaste(name string, now int64, p *profile.Person) (configs.Value, bool) {
	switch name {
	case "profile.top_category":
		return configs.TextValue(p.TopCategory(now)), true
	case "profile.top_brand":
		top := ""
		for _, b := range p.FavouriteBrands(1, now) {
			top = b.Name
		}
		return configs.TextValue(top), true
	case "profile.categories":
		var names []string
		for _, w := range p.Favourites(8, now) {
			names = append(names, w.Name)
		}
		return configs.TextsValue(names), true
	case "profile.locale":
		return configs.TextValue(p.Traits.Locale), true
	case "profile.stage":
		return configs.TextValue(stageOf(p, now).String()), true
	case "profile.timezone":
		return configs.TextValue(p.Traits.Timezone), true
	default:
		return configs.Value{}, false
	}
}

func major(m event.Money, currency string) float64 {
	return float64(m) / math.Pow10(event.Exponent(currency))
}

func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

func since(now, then int64) float64 {
	if then == 0 {
		return 0
	}
	return float64(now-then) / float64((24 * time.Hour).Milliseconds())
}

// stageOf is where a person stands in the life of a customer, measured by the person's own
// cadence.
func stageOf(p *profile.Person, now int64) profile.Stage {
	spell, ok := p.Spell()
	if !ok {
		return profile.StageProspect
	}
	return profile.StageOf(spell, now, nil, profile.StageOptions{})
}
