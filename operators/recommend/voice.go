package recommend

import "fmt"

// Context is what a query starts from.
type Context struct {
	Session []Num // what was touched in this visit or cart, oldest first, repeats included
	History []Num // what was touched before it, oldest first
	Now     int64 // milliseconds
}

// Voice is one opinion on what to recommend. Score adds to scores that were reset for
// all numbered items; it changes nothing else in the voice, so several goroutines may
// ask at once, each with a Scratch of its own, while none adds.
type Voice interface {
	// Name is how tables and weights call the voice.
	Name() string
	// Score adds what speaks for each item.
	Score(c *Context, s *Scratch)
	// Why gives the strongest reason to recommend an item; false when there is none.
	Why(c *Context, item Num, s *Scratch) (Reason, bool)
}

// Scratch is the working memory of queries. The zero value works; reuse it. One
// goroutine at a time.
type Scratch struct {
	Scores  Scores
	visits  visitScratch
	seeds   []seed
	ranked  []Ranked
	content contentScratch
}

// Reason is why an item is recommended.
type Reason struct {
	Voice string
	Seed  Num     // the item that speaks most for it, None without any
	Count float64 // how many visits, people or occurrences stand behind it; 0 when it cannot be counted
}

// reasonWords says for each voice how an item relates to the seed.
var reasonWords = map[string][2]string{
	VoiceSessions: {"looked at together with %s", "visits"},
	VoiceAR:       {"goes with %s", "times"},
	VoiceSR:       {"looked at soon after %s", "times"},
	VoiceCosine:   {"chosen together with %s", "people"},
	VoiceLLR:      {"chosen together with %s more often than by chance", "people"},
	VoiceEASE:     {"chosen by those who chose %s", "people"},
	VoiceContent:  {"similar to %s", ""},
	VoiceRepeat:   {"chosen before", "times"},
	VoicePopular:  {"popular", "people"},
}

// Text says a reason in words: "chosen together with X by 312 people". name says how an
// item is called in a sentence.
func (r Reason) Text(name func(Num) string) string {
	words, ok := reasonWords[r.Voice]
	if !ok {
		return r.Voice
	}
	text := words[0]
	if r.Seed != None && r.Voice != VoiceRepeat && r.Voice != VoicePopular {
		text = fmt.Sprintf(text, name(r.Seed))
	}
	n := int64(r.Count + 0.5)
	switch {
	case n < 1 || words[1] == "":
		return text
	case words[1] == "people" && n == 1:
		return text + " by 1 person"
	case words[1] == "people":
		return fmt.Sprintf("%s by %d people", text, n)
	case n == 1:
		return text + " once"
	case words[1] == "visits":
		return fmt.Sprintf("%s in %d visits", text, n)
	default:
		return fmt.Sprintf("%s %d times", text, n)
	}
}

// The names of the voices.
const (
	VoiceSessions = "vmis"
	VoiceAR       = "ar"
	VoiceSR       = "sr"
	VoiceCosine   = "itemknn"
	VoiceLLR      = "llr"
	VoiceEASE     = "ease"
	VoiceContent  = "content"
	VoiceRepeat   = "repeat"
	VoicePopular  = "pop"
)

// seed is an item that speaks for others, and how loudly.
type seed struct {
	item   Num
	weight float64
}

// SeedOptions say from which items of a context a voice starts. The zero value works.
type SeedOptions struct {
	Last       int     // newest items of the session that count; negative: none
	Fade       float64 // each older item of the session weighs so much less, as a factor; 1: all the same
	Past       int     // newest items of the history that count; negative: none
	PastWeight float64 // what an item of the history weighs beside a session
}

func (o SeedOptions) withDefaults() SeedOptions {
	if o.Last == 0 {
		o.Last = 9 // as far as the session neighbours look
	}
	if o.Fade == 0 {
		o.Fade = 0.6 // what was looked at last says most
	}
	if o.Past == 0 {
		o.Past = 100 // the cap of the history, see ItemCF
	}
	if o.PastWeight == 0 {
		o.PastWeight = 0.1 // nine of the newest say as much as the present one
	}
	return o
}

// of lists the seeds of a context, each item once, the newest first.
func (o SeedOptions) of(c *Context, s *Scratch) []seed {
	s.seeds = s.seeds[:0]
	add := func(i Num, w float64) {
		for k := range s.seeds {
			if s.seeds[k].item == i {
				return
			}
		}
		s.seeds = append(s.seeds, seed{i, w})
	}
	w := 1.0
	for k := len(c.Session) - 1; k >= 0 && len(s.seeds) < o.Last; k-- {
		add(c.Session[k], w)
		w *= o.Fade
	}
	past := 1.0
	if len(s.seeds) > 0 {
		past = o.PastWeight
	}
	for k, n := len(c.History)-1, 0; k >= 0 && n < o.Past; k, n = k-1, n+1 {
		add(c.History[k], past)
	}
	return s.seeds
}
