package event

import "encoding/json"

// AppendStop appends the message of one stop to dst.
func AppendStop(dst []byte, s *Stop) []byte {
	raw, err := json.Marshal(s)
	if err != nil {
		panic("BUG: a stop cannot be encoded: " + err.Error())
	}
	dst = append(dst, `{"mr":1,"kind":"stop","stop":`...)
	return append(append(dst, raw...), '}')
}

// stop reads a message that AppendStop wrote.
func (d *Decoder) stop(dst []Record, data []byte, m map[string]json.RawMessage, o *origin) []Record {
	s := new(Stop)
	if json.Unmarshal(m["stop"], s) != nil || s.Experiment == "" || s.Metric == "" {
		return d.reject(dst, o, BadEnvelope, "the stop is unreadable", data)
	}
	return append(dst, Record{Stop: s})
}
