package console

import "fmt"

// The levels of a remark.
const (
	levelOK   = "ok"
	levelIdle = "idle"
	levelWarn = "warn"
	levelBad  = "bad"
)

// remark is one sentence that needs attention, with what to do about it.
type remark struct {
	Level   string `json:"level"`
	Text    string `json:"text"`
	Fix     string `json:"fix,omitempty"`     // a sentence
	Command string `json:"command,omitempty"` // to type
	Link    string `json:"link,omitempty"`    // a page of ours
}

// verdict is the first thing a person reads.
type verdict struct {
	Level   string   `json:"level"`
	Title   string   `json:"title"`
	Detail  string   `json:"detail"`
	Remarks []remark `json:"remarks"`
}

// The thresholds of the verdict.
const (
	fallbackShareMax = 0.2 // of the mails: beyond it the model is the exception
	fallbackMailsMin = 20  // fewer mails say nothing
	memoryShareMax   = 0.9
	quietSecondsMax  = 30
	unknownShareMax  = 0.02
	queueFillMax     = 0.8
)

// judge says in one word, then in sentences, how the engine stands.
func judge(o Options, r reading) verdict {
	v := verdict{Level: levelOK, Remarks: remarksOf(o, r)}
	for _, m := range v.Remarks {
		if m.Level == levelBad || (m.Level == levelWarn && v.Level != levelBad) {
			v.Level = m.Level
		}
	}
	st := r.stats
	switch {
	case o.Stats == nil:
		v.Level, v.Title, v.Detail = levelIdle, "Nothing is connected", "This console was started without an engine."
	case v.Level == levelBad:
		v.Title = "Something is wrong"
	case v.Level == levelWarn:
		v.Title = "Running, with remarks"
	case st.State != "" && st.State != "running":
		v.Level, v.Title = levelIdle, capital(clean(st.State))
	case st.Events == 0:
		v.Level, v.Title, v.Detail = levelIdle, "Waiting for the first event", "Nothing has come in yet."
		v.Remarks = append(v.Remarks, remark{Level: levelIdle, Text: "See it run with a simulated shop:", Command: "millrace dev"})
	case r.eventRate == 0 && r.flat.Seconds() > quietSecondsMax:
		v.Level, v.Title = levelIdle, "Healthy and quiet"
	default:
		v.Title = "Healthy"
	}
	if v.Detail == "" {
		v.Detail = detail(st)
	}
	return v
}

// detail is the state of affairs in one sentence.
func detail(st Snapshot) string {
	s := fmt.Sprintf("%s events made %s triggers and %s mails", number(st.Events), number(st.Triggers), number(st.Mails))
	if st.Duplicates == 0 {
		return s + "; none was sent twice."
	}
	return s + "."
}

// remarksOf lists what needs attention, the worst first.
func remarksOf(o Options, r reading) []remark {
	st := r.stats
	var out []remark
	add := func(bad bool, level string, m remark) {
		if bad {
			m.Level = level
			out = append(out, m)
		}
	}
	for _, c := range r.checks {
		add(!c.OK, levelBad, remark{Text: fmt.Sprintf("Check %q fails: %s.", clean(c.Name), clean(c.Error)), Fix: "All checks:", Link: "/readyz"})
	}
	add(st.Duplicates > 0, levelBad, remark{
		Text: plural(st.Duplicates, "mail was", "mails were") + " sent more than once. This must never happen.",
		Fix:  "Stop the program, keep its data directory and report it.",
	})
	add(st.MemoryLimit > 0 && float64(st.MemoryBytes) > memoryShareMax*float64(st.MemoryLimit), levelWarn, remark{
		Text: fmt.Sprintf("Memory stands at %s of %s.", size(st.MemoryBytes), size(st.MemoryLimit)),
		Fix:  "If effects are slow, the outbox below grows: look at the mail server first.",
	})
	unknown := countOf(st.Outcomes, "unknown")
	add(unknown > 0 && float64(unknown) > unknownShareMax*float64(st.Mails+unknown), levelWarn, remark{
		Text: plural(unknown, "mail has", "mails have") + " an unknown end: the link to the mail server dropped at the last moment.",
		Fix:  "They are not sent again. See the mail server's log for the Message-IDs.",
	})
	add(st.DeadLetters > 0, levelWarn, remark{
		Text: plural(st.DeadLetters, "event", "events") + " could not be read and are set aside; the rest goes on.",
		Fix:  "See why:", Link: linkIf(o.DeadLetters != nil, "/dead-letters"), Command: "millrace dlq list",
	})
	add(st.Mails >= fallbackMailsMin && float64(st.FallbackSubjects) > fallbackShareMax*float64(st.Mails), levelWarn, remark{
		Text: fmt.Sprintf("%s of the mails carry a written subject, since the model was slow or refused.", percent(st.FallbackSubjects, st.Mails)),
		Fix:  "Its time limit is generate.max_wait in the pipeline file.",
	})
	for _, e := range r.edges {
		add(e.Fill > queueFillMax, levelWarn, remark{
			Text: fmt.Sprintf("The queue %s → %s is %.0f %% full.", e.From, e.To, 100*min(e.Fill, 1)),
			Fix:  fmt.Sprintf("%s is the slowest step.", capital(e.To)),
		})
	}
	return out[:min(len(out), remarksMax)]
}

// remarksMax is how many sentences a person reads before the numbers.
const remarksMax = 6

func linkIf(ok bool, link string) string {
	if ok {
		return link
	}
	return ""
}

func plural(n uint64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return number(n) + " " + many
}

func countOf(counts []Count, name string) uint64 {
	for _, c := range counts {
		if c.Name == name {
			return c.N
		}
	}
	return 0
}
