package event

import "encoding/json"

// Redo is an effect that was given up and that somebody wants to be tried again: a new
// decision, which names the dead letter that the old one became.
type Redo struct {
	Kind   string          `json:"kind"`   // of the effect
	Body   json.RawMessage `json:"body"`   // of the old row
	Letter uint64          `json:"letter"` // number of the dead letter
}

// maxRedo bounds what is believed of a redo: no effect of ours is larger.
const maxRedo = 64 << 10

// AppendRedo appends the message of one redo to dst. A body that is no JSON cannot be one
// of ours, and is left out: the decoder rejects the message.
func AppendRedo(dst []byte, r *Redo) []byte {
	c := *r
	if !json.Valid(c.Body) {
		c.Body = nil
	}
	raw, err := json.Marshal(&c)
	if err != nil {
		panic("BUG: a redo cannot be encoded: " + err.Error())
	}
	dst = append(dst, `{"mr":1,"kind":"redo","redo":`...)
	return append(append(dst, raw...), '}')
}

// redo reads a message that AppendRedo wrote.
func (d *Decoder) redo(dst []Record, data []byte, m map[string]json.RawMessage, o *origin) []Record {
	r := new(Redo)
	if len(data) > maxRedo || json.Unmarshal(m["redo"], r) != nil || r.Kind == "" || len(r.Body) == 0 || r.Body[0] != '{' {
		return d.reject(dst, o, BadEnvelope, "the effect to be tried again is unreadable", data)
	}
	return append(dst, Record{Redo: r})
}
