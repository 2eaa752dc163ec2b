package experiment

import (
	"encoding/binary"
	"slices"

	"millrace/operators/event"
)

// auditMax is how many entries are kept; the oldest give way. A person decides something
// about an experiment a few times.
const auditMax = 100

// Entry is one line of what was decided about an experiment, and by whom.
type Entry struct {
	At      int64   `json:"at"`   // Unix milliseconds
	Kind    string  `json:"kind"` // alarm, or what a Steer may say
	Variant string  `json:"variant,omitempty"`
	Share   float64 `json:"share,omitempty"`
	By      string  `json:"by,omitempty"` // who did; "": the program
	Why     string  `json:"why,omitempty"`
}

// Notice is what the owner of an experiment is told: a guardrail has raised an alarm.
type Notice struct {
	Experiment string `json:"experiment"`
	Phase      string `json:"phase"`
	Variant    string `json:"variant"`
	Metric     string `json:"metric"`
	Reason     string `json:"reason"`
	At         int64  `json:"at"`    // Unix milliseconds
	Stops      bool   `json:"stops"` // the variant is stopped, not only watched
	All        bool   `json:"all"`   // and with it the journey
}

func (p *Progress) note(e Entry) {
	if len(p.Audit) >= auditMax {
		p.Audit = append(p.Audit[:0], p.Audit[1:]...)
	}
	p.Audit = append(p.Audit, e)
}

// hear writes down what was decided. Beliefs of the optimiser are too many: their number
// is kept in Learn.
func (p *Progress) hear(s *event.Steer) {
	if s.Kind != event.SteerShares {
		p.note(Entry{At: s.At, Kind: s.Kind, Variant: s.Variant, Share: s.Share, By: s.By, Why: s.Reason})
	}
}

// handled tells whether a person ever moved the shares: then they are not as planned.
func (p *Progress) handled() bool {
	return slices.ContainsFunc(p.Audit, func(e Entry) bool { return e.Kind == event.SteerPin || e.Kind == event.SteerCap })
}

func appendAudit(b []byte, all []Entry) []byte {
	b = binary.AppendUvarint(b, uint64(len(all)))
	for i := range all {
		e := &all[i]
		b = appendText(appendText(binary.AppendVarint(b, e.At), e.Kind), e.Variant)
		b = appendText(appendText(appendFloats(b, []float64{e.Share}), e.By), e.Why)
	}
	return b
}

func readAudit(r *reader) []Entry {
	var out []Entry
	for range r.length(auditMax, 6) {
		e := Entry{At: r.varint(), Kind: r.text(), Variant: r.text()}
		if share := r.floats(); len(share) == 1 {
			e.Share = share[0]
		} else {
			r.fail("an entry without a share")
		}
		e.By, e.Why = r.text(), r.text()
		out = append(out, e)
	}
	return out
}
