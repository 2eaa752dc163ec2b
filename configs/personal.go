package configs

import (
	"slices"
	"time"
)

// Views is how much must be looked at before the wait of a journey of kind browse begins.
type Views struct {
	AtLeast int           `json:"at_least" jsonschema:"minimum=1,maximum=1000" jsonschema_description:"How many looks it takes (3)."`
	Of      string        `json:"of" jsonschema:"enum=product,enum=session" jsonschema_description:"product: at one and the same product; session: at any (session)."`
	Pause   time.Duration `json:"pause" jsonschema_description:"Looks that lie further apart are not counted together (30m)."`
}

// defaults is what views that say nothing mean.
func (v *Views) defaults() {
	v.AtLeast = 3              // two are a glance and the way back
	v.Of = "session"           // somebody who compares has not found it yet
	v.Pause = 30 * time.Minute // where web analytics end a session
}

// personal checks what belongs to journeys whose wait is the person's own, and to them only.
func (s *sense) personal(j *Journey, kind Kind) {
	views := s.root.get("trigger", "start", "views")
	if v := j.Trigger.Start.Views; v != nil {
		switch {
		case kind.Name != "browse" && kind.Name != "":
			s.at(views, "trigger.start.views", "", "a journey of kind %s counts no looks, those of kind browse do", kind.Name)
		case j.Trigger.Wait > 0 && v.Pause > j.Trigger.Wait:
			s.at(s.root.get("trigger", "wait"), "trigger.wait", "", "got %s, expected at least the pause of trigger.start.views, %s", FormatDuration(j.Trigger.Wait), FormatDuration(v.Pause))
		}
	}
	s.watched(j, kind)
	if !kind.Personal {
		return
	}
	key := s.root.get("trigger", "key")
	for i, name := range j.Trigger.Key {
		if i > 0 && slices.Contains(s.options.Keys, name) {
			s.at(item(key, i), "trigger.key", "", "a wait of kind %s belongs to the person, expected [%s]", kind.Name, s.options.Keys[0])
		}
	}
	cancel := s.root.get("trigger", "cancel", "on")
	for i, name := range j.Trigger.Cancel.On {
		if !slices.Contains(s.options.Events, name) || slices.Contains(kind.Cancels, name) || slices.Contains(j.Trigger.Start.On, name) {
			continue
		}
		expected := "expected no trigger.cancel"
		if len(kind.Cancels) > 0 {
			expected = "expected one of " + oneOf(kind.Cancels)
		}
		s.at(item(cancel, i), "trigger.cancel.on", "", "%s does not end a wait of kind %s, %s", name, kind.Name, expected)
	}
}
