package event

import "encoding/json"

// What a Steer may say.
const (
	SteerShares   = "shares"   // the optimiser's new belief: Shares, or Lines where features count
	SteerPin      = "pin"      // Variant gets everybody
	SteerCap      = "cap"      // Variant gets at most Share; 1 lifts the cap
	SteerFreeze   = "freeze"   // shares stay as they are
	SteerUnfreeze = "unfreeze" // pins, caps and freezes are lifted
	SteerStop     = "stop"     // a guardrail stopped Variant, or all of it
)

// Steer is a word to all who assign people to an experiment: what the optimiser believes,
// or what a person decided. It counts from its position in the log.
type Steer struct {
	Experiment string    `json:"experiment"` // name@phase
	Kind       string    `json:"kind"`
	Serial     uint64    `json:"serial,omitempty"` // of shares: older ones than the last heard are not heeded
	Variant    string    `json:"variant,omitempty"`
	Share      float64   `json:"share,omitempty"`
	Shares     []float64 `json:"shares,omitempty"` // by variant, before floor, caps and pins
	Lines      []Line    `json:"lines,omitempty"`  // by variant
	Reason     string    `json:"reason,omitempty"` // without anything that names a shopper
	By         string    `json:"by,omitempty"`     // who decided it
	At         int64     `json:"at"`               // Unix milliseconds
}

// Line is the belief about a variant's reward as a line over a person's features: the mean
// of its coefficients, and their covariance by rows, upper triangle only.
type Line struct {
	Mean []float64 `json:"mean"`
	Cov  []float64 `json:"cov"`
}

// AppendSteer appends the message of one steer to dst.
func AppendSteer(dst []byte, s *Steer) []byte {
	raw, err := json.Marshal(s)
	if err != nil {
		panic("BUG: a steer cannot be encoded: " + err.Error())
	}
	dst = append(dst, `{"mr":1,"kind":"steer","steer":`...)
	return append(append(dst, raw...), '}')
}

// The bounds of a steer from outside.
const (
	steerArmsMax     = 200
	steerFeaturesMax = 64
)

// steer reads a message that AppendSteer wrote.
func (d *Decoder) steer(dst []Record, data []byte, m map[string]json.RawMessage, o *origin) []Record {
	s := new(Steer)
	if json.Unmarshal(m["steer"], s) != nil || !s.sound() {
		return d.reject(dst, o, BadEnvelope, "the steer is unreadable", data)
	}
	return append(dst, Record{Steer: s})
}

// sound tells whether a steer can be heeded. JSON holds no number that is none.
func (s *Steer) sound() bool {
	if s.Experiment == "" || len(s.Shares) > steerArmsMax || len(s.Lines) > steerArmsMax {
		return false
	}
	switch s.Kind {
	case SteerShares:
		sum := 0.0
		for _, v := range s.Shares {
			if v < 0 || v > 1 {
				return false
			}
			sum += v
		}
		for _, l := range s.Lines {
			if n := len(l.Mean); n == 0 || n > steerFeaturesMax || len(l.Cov) != n*(n+1)/2 {
				return false
			}
		}
		return len(s.Lines) > 0 || sum > 0.999 && sum < 1.001
	case SteerPin:
		return s.Variant != ""
	case SteerCap:
		return s.Variant != "" && s.Share >= 0 && s.Share <= 1
	case SteerFreeze, SteerUnfreeze:
		return true
	}
	return false // a stop is a message of its own
}
