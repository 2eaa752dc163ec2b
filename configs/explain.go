package configs

import (
	"fmt"
	"strings"
	"time"
)

// Explain tells what a journey does in plain words, a sentence for each step.
func Explain(j *Journey) string {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	say("%s: %s", j.Name, map[bool]string{true: "paused, it starts and sends nothing.", false: "live."}[j.Paused()])
	t := &j.Trigger
	when := ""
	if t.Start.When != nil {
		when = fmt.Sprintf(", if %s", t.Start.When)
	}
	say("[%s] On %s%s, wait %s for each %s; a further one begins the wait anew.",
		t.ID, either(t.Start.On), when, spell(t.Wait), strings.Join(t.Key, " and "))
	if v := t.Start.Views; v != nil {
		of := map[bool]string{true: "one product", false: "any products"}[v.Of == "product"]
		say("[%s] The wait begins at look %d at %s, with no pause of more than %s between looks.", t.ID, v.AtLeast, of, spell(v.Pause))
	}
	explainWatch(j, say)
	if len(t.Cancel.On) > 0 {
		say("[%s] %s in that time ends it without a mail.", t.ID, upper(either(t.Cancel.On)))
	}
	if j.Audience.When != nil {
		say("[audience] Go on only if %s; asked again just before the mail leaves.", j.Audience.When)
	} else {
		say("[audience] Everybody.")
	}
	if t.AtMost.OncePer > 0 {
		say("[%s] At most one mail to a person in %s.", t.ID, spell(t.AtMost.OncePer))
	}
	explainTrial(j, say)
	c := &j.Content
	if c.Subject == "lstm" {
		say("[%s] Write a %s mail whose subject comes from the model, or is the written one if that takes more than %s.", c.ID, c.Kind, spell(c.MaxWait))
	} else {
		say("[%s] Write a %s mail with the written subject.", c.ID, c.Kind)
	}
	if r := c.Recommend; r != nil {
		without := ""
		if r.Exclude == "purchased" {
			without = ", without what that person has bought"
		}
		say("[%s] Show %d products that go with %s, by %s%s.", c.ID, r.Count, r.Seed, strings.Join(r.From, ", then "), without)
	}
	if c.Require == "in stock" {
		say("[%s] Leave out what is sold out, and send nothing if nothing else is left.", c.ID)
	}
	if len(c.Banned) > 0 {
		say("[%s] No subject holds one of %d banned words.", c.ID, len(c.Banned))
	}
	rate := ""
	if j.Send.Rate.Count > 0 {
		rate = fmt.Sprintf(", at most %s", j.Send.Rate)
	}
	say("[%s] Send it via %s%s, unless it is late by more than %s.", j.Send.ID, j.Send.Via, rate, spell(t.FreshFor))
	say("[%s] One %s is one mail, however often it is tried.", j.Send.ID, strings.Join(j.Send.IdempotencyKey, " + "))
	return b.String()
}

// either joins names by "or".
func either(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// upper begins a sentence.
func upper(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// spell writes a duration in words: "1 hour", "7 days", "90 minutes".
func spell(d time.Duration) string {
	for _, u := range []struct {
		name string
		unit time.Duration
	}{{"day", 24 * time.Hour}, {"hour", time.Hour}, {"minute", time.Minute}, {"second", time.Second}, {"millisecond", time.Millisecond}} {
		if n := d / u.unit; n > 0 && d%u.unit == 0 {
			if n == 1 {
				return "1 " + u.name
			}
			return fmt.Sprintf("%d %ss", n, u.name)
		}
	}
	return FormatDuration(d)
}
