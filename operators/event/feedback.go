package event

import (
	"encoding/json"
)

// Feedback is what a person did with a mail of ours, as our own endpoints saw it. They
// know the person by pseudonym only, so it has a message of its own in the log.
type Feedback struct {
	Kind     Kind   `json:"kind"`     // EmailOpened, EmailLinkClicked or Unsubscribed
	Person   string `json:"person"`   // pseudonym
	Decision string `json:"decision"` // the mail
	URL      string `json:"url,omitempty"`
	At       int64  `json:"at"` // Unix milliseconds
}

// AppendFeedback appends the message of one piece of feedback to dst.
func AppendFeedback(dst []byte, f *Feedback) []byte {
	raw, err := json.Marshal(f)
	if err != nil {
		panic("BUG: feedback cannot be encoded: " + err.Error())
	}
	dst = append(dst, `{"mr":1,"kind":"feedback","feedback":`...)
	dst = append(dst, raw...)
	return append(dst, '}')
}

// feedback reads a message that AppendFeedback wrote. Its time is not after that of
// its storage.
func (d *Decoder) feedback(dst []Record, data []byte, m map[string]json.RawMessage, o *origin) []Record {
	var f Feedback
	ok := json.Unmarshal(m["feedback"], &f) == nil && f.Person != "" && f.At > 0
	switch f.Kind {
	case EmailOpened, EmailLinkClicked, Unsubscribed:
	default:
		ok = false
	}
	if !ok {
		return d.reject(dst, o, BadEnvelope, "the feedback is unreadable", data)
	}
	at := min(f.At, o.receivedAt)
	return append(dst, Record{Event: &Event{
		Kind: f.Kind, Name: KindName(f.Kind), Person: f.Person, Source: "feedback", Time: at, ReceivedAt: at, Inactive: true,
		MessageID: f.Decision + "/" + KindName(f.Kind) + "/" + f.URL,
		Mailing:   Mailing{EmailID: f.Decision, LinkURL: f.URL},
	}})
}
