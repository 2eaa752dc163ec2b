package configs

import (
	"io/fs"
	"slices"
)

// Options are the words that the files may use. They are handed in by those who act on
// them, since this package knows no operator. The zero value means the standard
// words: the events of the Segment specifications and the variables of StandardFields.
type Options struct {
	// FS is where paths are read; nil is the disk.
	FS fs.FS
	// Events are the names of events, as the shop's SDKs send them.
	Events []string
	// Keys are the names that a trigger's key is made of. The first is the person's.
	Keys []string
	// Kinds are what mails may be about.
	Kinds []Kind
	// Sources are where recommended products come from.
	Sources []string
	// Seeds are the items whose neighbours are recommended.
	Seeds []Seed
	// Trigger and Audience are the variables of trigger.start.when and audience.when.
	Trigger, Audience *Env
}

// Kind is something that a mail may be about.
type Kind struct {
	Name   string   // content.kind
	Starts []string // events that bring what the mail is about; none means any
	// Cancels are the events that may end the wait, if Personal: the wait belongs to the
	// person and to nothing else.
	Cancels  []string
	Personal bool
}

// Seed names items whose neighbours are recommended.
type Seed struct {
	Name  string   // content.recommend.seed
	Kinds []string // the kinds of content that have such items; none means all
}

// withDefaults fills in the standard words.
func (o Options) withDefaults() (Options, error) {
	if len(o.Events) == 0 {
		o.Events = []string{
			"Product Viewed", "Product Added", "Product Removed", "Products Searched", "Cart Viewed", "Checkout Started",
			"Order Completed", "Order Refunded", "Product Reviewed",
			"Email Delivered", "Email Opened", "Email Link Clicked", "Email Bounced", "Email Marked as Spam", "Unsubscribed",
			"Identify", "Product Upserted",
		}
	}
	if len(o.Keys) == 0 {
		o.Keys = []string{"user_id", "cart_id"}
	}
	if len(o.Kinds) == 0 {
		o.Kinds = []Kind{
			{Name: "cart", Starts: []string{"Product Added", "Product Removed", "Cart Viewed", "Checkout Started"}},
			{Name: "post-purchase", Starts: []string{"Order Completed"}},
			{Name: "checkout", Starts: []string{"Checkout Started"}},
			{Name: "review-request", Starts: []string{"Order Completed"}},
			{Name: "browse", Starts: []string{"Product Viewed"}, Cancels: []string{"Product Added", "Checkout Started", "Order Completed"}, Personal: true},
			{Name: "win-back", Starts: []string{"Order Completed"}, Personal: true},
			{Name: "price-drop", Starts: []string{"Product Upserted"}, Cancels: []string{"Order Completed"}, Personal: true},
			{Name: "back-in-stock", Starts: []string{"Product Upserted"}, Cancels: []string{"Order Completed"}, Personal: true},
			{Name: "welcome", Starts: []string{"Identify"}, Cancels: []string{"Order Completed"}, Personal: true},
		}
	}
	if len(o.Sources) == 0 {
		o.Sources = []string{"co-purchase", "co-cart", "co-view"}
	}
	if len(o.Seeds) == 0 {
		o.Seeds = []Seed{
			{Name: "cart.items", Kinds: []string{"cart", "checkout"}},
			{Name: "order.items", Kinds: []string{"post-purchase", "review-request"}},
			{Name: "profile.viewed"},
		}
	}
	if o.Trigger == nil || o.Audience == nil {
		standard, err := NewEnv(StandardFields())
		if err != nil {
			return o, err
		}
		if o.Trigger == nil {
			o.Trigger = standard
		}
		if o.Audience == nil {
			o.Audience = standard
		}
	}
	return o, nil
}

// words returns the names of a list that a field is tagged with.
func (o Options) words(list string) []string {
	var out []string
	switch list {
	case "events":
		return o.Events
	case "properties":
		return FieldProperties()
	case "goals":
		return []string{"Order Completed", "Email Link Clicked"}
	case "keys":
		return o.Keys
	case "idempotency":
		return append(slices.Clone(o.Keys), startedAt)
	case "policies":
		return policyWords()
	case "sources":
		return o.Sources
	case "kinds":
		for _, k := range o.Kinds {
			out = append(out, k.Name)
		}
	case "seeds":
		for _, s := range o.Seeds {
			out = append(out, s.Name)
		}
	}
	return out
}

// kind returns the kind of that name, or one that allows everything.
func (o Options) kind(name string) Kind {
	i := slices.IndexFunc(o.Kinds, func(k Kind) bool { return k.Name == name })
	if i < 0 {
		return Kind{Name: name}
	}
	return o.Kinds[i]
}
