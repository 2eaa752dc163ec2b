package configs

import (
	"slices"
	"time"
)

// Watch is for whom a change of the catalogue counts.
type Watch struct {
	AtLeast Percent       `json:"at_least" jsonschema_description:"How far below what the person saw the price must be, in journeys of kind price-drop (10%)."`
	Within  time.Duration `json:"within" jsonschema_description:"Who looked at the product, or put it in a cart, in this time before (30d)."`
}

// defaults is what a watch that says nothing means.
func (w *Watch) defaults() {
	w.AtLeast = 0.1                // what a shopper takes for a difference
	w.Within = 30 * 24 * time.Hour // longer ago it was bought elsewhere
}

// watchMax bounds how long who looked is kept.
const watchMax = 90 * 24 * time.Hour

// watched checks what belongs to journeys that the catalogue starts, and to them only.
func (s *sense) watched(j *Journey, kind Kind) {
	w, n := j.Trigger.Start.Watch, s.root.get("trigger", "start", "watch")
	if w == nil {
		return
	}
	switch {
	case kind.Name != "" && !slices.Contains(kind.Starts, "Product Upserted"):
		s.at(n, "trigger.start.watch", "", "a journey of kind %s does not watch the catalogue, those of kind price-drop and back-in-stock do", kind.Name)
	case w.Within <= 0 || w.Within > watchMax:
		s.at(n, "trigger.start.watch.within", "", "got %s, expected up to %s", FormatDuration(w.Within), FormatDuration(watchMax))
	case kind.Name == "back-in-stock" && n.get("at_least") != nil:
		s.at(n.get("at_least"), "trigger.start.watch.at_least", "", "a journey of kind back-in-stock looks at no price")
	}
}

// explainWatch says for whom a change of the catalogue counts.
func explainWatch(j *Journey, say func(format string, args ...any)) {
	w := j.Trigger.Start.Watch
	if w == nil {
		return
	}
	what := "is in stock again"
	if j.Content.Kind == "price-drop" {
		what = "costs at least " + w.AtLeast.String() + " less than what was seen"
	}
	say("[%s] It concerns who looked at the product, or put it in a cart, within %s before, if it %s.", j.Trigger.ID, spell(w.Within), what)
}
