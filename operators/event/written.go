package event

import (
	"hash/fnv"
	"unicode/utf8"
)

// The bounds of what a decision keeps of its mail.
const (
	WrittenLinesMost  = 8   // parts of a mail
	WrittenOthersMost = 8   // candidates of a part, the chosen one among them
	WrittenTextMost   = 256 // bytes of a text
	WrittenWhyMost    = 64  // bytes of a reason
)

// Written is what a mail was made of: its design and its lines, with what else was
// considered for them.
type Written struct {
	Design     string        `json:"design,omitempty"`
	Propensity float64       `json:"propensity,omitempty"` // with which a mail like this one gets the design
	Clicks     string        `json:"clicks,omitempty"`     // version of the model that ranked the subjects; "" for none
	Lines      []WrittenLine `json:"lines,omitempty"`
	// Seen are hashes of the lines, kept when the lines are not any more.
	Seen []uint32 `json:"seen,omitempty"`
}

// WrittenLine is a part of a mail.
type WrittenLine struct {
	Part   string      `json:"part"`
	Text   string      `json:"text"`
	Why    string      `json:"why,omitempty"` // why it is a written one, "" for the model's
	Others []Candidate `json:"others,omitempty"`
}

// Candidate is a text that was considered for a part of a mail.
type Candidate struct {
	Subject string  `json:"subject"` // the text, of whatever part
	Chosen  bool    `json:"chosen,omitempty"`
	LogProb float64 `json:"logprob"`         // of the network, per token behind the opening
	KL      float64 `json:"kl"`              // divergence of its topics from the person's interests; 0 where these are unknown
	Novelty float64 `json:"novelty"`         // 0 to 1
	Tone    float64 `json:"tone,omitempty"`  // predicted, -1 to 1; 0 where nobody predicts it
	Click   float64 `json:"click,omitempty"` // predicted preference over the other candidates, 0 to 1; 0 likewise
	Score   float64 `json:"score"`           // what it was chosen by
	Why     string  `json:"why,omitempty"`   // why it was refused; "" for one that only scored less
}

// HashText is the hash by which a text that somebody got is known again.
func HashText(text string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(text))
	return h.Sum32()
}

// Bounded cuts what a receipt brings to what a decision may keep.
func (w *Written) Bounded() *Written {
	if w == nil {
		return nil
	}
	out := &Written{Design: cutText(w.Design, WrittenWhyMost), Propensity: w.Propensity, Clicks: cutText(w.Clicks, WrittenWhyMost)}
	if !(out.Propensity > 0 && out.Propensity <= 1) {
		out.Propensity = 0
	}
	for _, l := range w.Lines[:min(len(w.Lines), WrittenLinesMost)] {
		line := WrittenLine{Part: cutText(l.Part, WrittenWhyMost), Text: cutText(l.Text, WrittenTextMost), Why: cutText(l.Why, WrittenWhyMost)}
		out.Seen = append(out.Seen, HashText(line.Text))
		for _, c := range l.Others[:min(len(l.Others), WrittenOthersMost)] {
			c.Subject, c.Why = cutText(c.Subject, WrittenTextMost), cutText(c.Why, WrittenWhyMost)
			line.Others = append(line.Others, c)
		}
		out.Lines = append(out.Lines, line)
	}
	return out
}

// Faded is what is kept of an older mail: the design, and by which hashes its lines are
// known again.
func (w *Written) Faded() *Written {
	if w == nil {
		return nil
	}
	return &Written{Design: w.Design, Propensity: w.Propensity, Clicks: w.Clicks, Seen: w.Seen}
}

// cutText cuts a text at a rune.
func cutText(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most]
}
