package trigger

import (
	"encoding/binary"
	"encoding/json"
	"slices"

	"millrace/operators/event"
	"millrace/operators/profile"
)

// The bounds of a state.
const (
	MaxWaits   = 64   // a person's carts times a handful of rules
	MaxFired   = 64   // decisions that still matter: for OncePer, and against firing again
	MaxRecords = 32   // newest decisions kept for `why`
	maxAwaits  = 1024 // far more than the ids that may become one person
	recordKeep = 3    // items of a decision kept in its record
)

// State is what is waited for and was decided for one person. The zero value works. One
// goroutine at a time.
type State struct {
	Waits   []Wait
	Fired   []Fired
	Records []event.Decision // oldest first; of the items only the first three are kept
	Lost    uint32           // waits and records that a bound dropped
	Awaits  int              // how much of others who were merged into this person is on its way

	Sessions []Session // what was looked at, for rules that wait after looks
	Greeted  []string  // the rules that have greeted the person, sorted
	Offers   []Offer   // products that were looked at and are cheaper, or back, by id
}

// Wait is a trigger that is armed.
type Wait struct {
	Rule     string
	Sub      string
	Started  int64 // when the cart or order began
	Activity int64 // what restarted the wait last
	Deadline int64
	Armed    int64 // when the timer that was asked for is due; it may lie before Deadline
}

// Fired remembers that a rule decided about something as of an activity.
type Fired struct {
	Rule     string
	Sub      string
	Activity int64
	At       int64
	Decision string
	Counts   bool // it stands against OncePer: pending, sent or unknown
	Pending  bool // its receipt has not come
}

func (s *State) wait(rule, sub string) int {
	return slices.IndexFunc(s.Waits, func(w Wait) bool { return w.Rule == rule && w.Sub == sub })
}

// handled tells whether a rule has decided about an activity, or a later one.
func (s *State) handled(rule, sub string, activity int64) bool {
	return slices.ContainsFunc(s.Fired, func(f Fired) bool { return f.Rule == rule && f.Sub == sub && f.Activity >= activity })
}

// capped tells whether a decision of the rule stands in the way of another one.
func (s *State) capped(r *Rule, now, reserve int64) bool {
	if r.OncePer <= 0 {
		return false
	}
	name := r.name()
	for i := range s.Fired {
		f := &s.Fired[i]
		expired := f.Pending && now-f.At > reserve
		if f.Counts && f.Rule == name && !expired && now-f.At < r.OncePer.Milliseconds() {
			return true
		}
	}
	return false
}

// drop takes a wait out.
func (s *State) drop(i int) { s.Waits = slices.Delete(s.Waits, i, i+1) }

// note keeps a decision and what it forbids from now on. What the rule decided longer
// ago than it must be known is forgotten.
func (s *State) note(d *event.Decision, rule, sub string, known int64) {
	pending := d.Outcome == event.Pending
	counts := pending || d.WouldSend // who is held out is asked as often as who is mailed
	s.Fired = slices.DeleteFunc(s.Fired, func(f Fired) bool {
		return f.Rule == rule && (f.Sub == sub && !f.Counts || !f.Pending && d.Decided-f.At > known)
	})
	if len(s.Fired) >= MaxFired {
		i := slices.IndexFunc(s.Fired, func(f Fired) bool { return !f.Counts })
		i = max(i, 0)
		s.Fired = slices.Delete(s.Fired, i, i+1)
		s.Lost++
	}
	s.Fired = append(s.Fired, Fired{Rule: rule, Sub: sub, Activity: d.Started, At: d.Decided, Decision: d.ID, Counts: counts, Pending: pending})
	if len(s.Records) >= MaxRecords {
		s.Records = slices.Delete(s.Records, 0, 1)
		s.Lost++
	}
	r := *d
	r.Items = slices.Clone(d.Items[:min(len(d.Items), recordKeep)])
	s.Records = append(s.Records, r)
}

// Settle takes over what came of a decision. It answers whether the decision was
// pending here; a receipt that comes twice changes nothing.
func (s *State) Settle(r *event.Receipt) bool {
	was := false
	for i := range s.Fired {
		if f := &s.Fired[i]; f.Decision == r.Decision && f.Pending && r.Outcome != event.Pending {
			was = true
			f.Pending = false
			f.Counts = r.Outcome != event.Skipped
		}
	}
	for i := range s.Records {
		d := &s.Records[i]
		if d.ID != r.Decision || d.Outcome != event.Pending || r.Outcome == event.Pending {
			continue
		}
		was = true
		d.Outcome, d.Subject, d.Model, d.Ended = r.Outcome, r.Subject, r.Model, r.At
		d.Written = r.Written.Bounded()
		s.fade(i)
		if r.Reason != "" {
			d.Reason = r.Reason
		}
	}
	return was
}

// writtenKeep is how many of the newest mails are kept with all that was considered for
// them: a few kilobytes each.
const writtenKeep = 2

// fade forgets the words of all mails but the newest ones before and with record last.
func (s *State) fade(last int) {
	kept := 0
	for i := last; i >= 0; i-- {
		if w := s.Records[i].Written; w != nil && len(w.Lines) > 0 {
			if kept++; kept > writtenKeep {
				s.Records[i].Written = w.Faded()
			}
		}
	}
}

// schema is the version of the stored form. The second one is written only of those
// who await something, at its end, and the third, with what follows that, only of those who
// have sessions or were greeted. The fourth one adds the offers of those who have any.
const (
	schemaPersonal = 3
	schema         = 4
)

func (s *State) version() byte {
	if len(s.Offers) > 0 {
		return schema
	}
	if s.personal() {
		return schemaPersonal
	}
	return 1 + bit(s.Awaits > 0, 1)
}

// AppendTo appends the stored form.
func (s *State) AppendTo(b []byte) []byte {
	version := s.version()
	b = append(b, version)
	b = binary.AppendUvarint(b, uint64(s.Lost))
	b = binary.AppendUvarint(b, uint64(len(s.Waits)))
	for i := range s.Waits {
		w := &s.Waits[i]
		b = profile.AppendString(profile.AppendString(b, w.Rule), w.Sub)
		b = binary.AppendVarint(b, w.Activity)
		for _, t := range [...]int64{w.Started, w.Deadline, w.Armed} {
			b = binary.AppendVarint(b, t-w.Activity)
		}
	}
	b = binary.AppendUvarint(b, uint64(len(s.Fired)))
	for i := range s.Fired {
		f := &s.Fired[i]
		b = profile.AppendString(profile.AppendString(b, f.Rule), f.Sub)
		b = binary.AppendVarint(b, f.Activity)
		b = binary.AppendVarint(b, f.At-f.Activity)
		b = profile.AppendString(b, f.Decision)
		b = append(b, bit(f.Counts, 1)|bit(f.Pending, 2))
	}
	b = binary.AppendUvarint(b, uint64(len(s.Records)))
	for i := range s.Records {
		b = AppendDecision(b, &s.Records[i])
	}
	if version > 1 {
		b = binary.AppendUvarint(b, uint64(s.Awaits)) //nolint:gosec // never negative
	}
	if version >= schemaPersonal {
		b = s.appendPersonal(b)
	}
	if version == schema {
		b = s.appendOffers(b)
	}
	return b
}

func bit(b bool, v byte) byte {
	if b {
		return v
	}
	return 0
}

// AppendDecision writes a decision.
func AppendDecision(b []byte, d *event.Decision) []byte {
	for _, t := range [...]string{d.ID, d.Pipeline, d.Trigger, d.Kind, d.Person, d.CartID, d.OrderID, d.Currency, d.Reason, d.Variant, d.Subject, d.Model, d.Version} {
		b = profile.AppendString(b, t)
	}
	b = binary.AppendVarint(b, d.Started)
	b = binary.AppendVarint(b, d.Decided-d.Started)
	b = binary.AppendVarint(b, d.Ended)
	b = binary.AppendVarint(b, int64(d.Value))
	b = append(b, byte(d.Outcome)|bit(d.Experiment != "", outcomeTrial)|bit(d.Written != nil, outcomeWritten))
	if d.Experiment != "" {
		b = profile.AppendFloat(profile.AppendString(b, d.Experiment), d.Propensity)
		b = append(b, bit(d.WouldSend, 1))
	}
	b = binary.AppendUvarint(b, uint64(d.Flags))
	b = binary.AppendUvarint(b, uint64(len(d.Items)))
	for i := range d.Items {
		b = profile.AppendItem(b, &d.Items[i])
	}
	if d.Written != nil {
		text, err := json.Marshal(d.Written)
		if err != nil {
			panic("BUG: what was written is not JSON")
		}
		b = profile.AppendString(b, string(text))
	}
	return b
}

// outcomeTrial says beside the outcome that the experiment of a decision follows, and
// outcomeWritten that what was written stands at its end.
const (
	outcomeTrial   = 0x80
	outcomeWritten = 0x40
)

// ReadDecision reads what AppendDecision wrote, also before decisions named experiments.
func ReadDecision(w *profile.Wire) event.Decision {
	var d event.Decision
	for _, t := range [...]*string{&d.ID, &d.Pipeline, &d.Trigger, &d.Kind, &d.Person, &d.CartID, &d.OrderID, &d.Currency, &d.Reason, &d.Variant, &d.Subject, &d.Model, &d.Version} {
		*t = w.String()
	}
	d.Started = w.Varint()
	d.Decided = d.Started + w.Varint()
	d.Ended = w.Varint()
	d.Value = event.Money(w.Varint())
	outcome := w.Byte()
	d.Outcome = event.Outcome(outcome &^ (outcomeTrial | outcomeWritten))
	if outcome&outcomeTrial != 0 {
		d.Experiment, d.Propensity = w.String(), w.Float()
		would := w.Byte()
		d.WouldSend = would == 1
		if d.Experiment == "" || would > 1 {
			w.Fail("experiment of unknown kind")
		}
	}
	if d.Outcome > event.UnknownOutcome {
		w.Fail("outcome of unknown kind")
	}
	d.Flags = event.Flags(w.Int(1<<16 - 1))
	if n := w.Len(profile.MaxCartItems, 7); n > 0 {
		d.Items = make([]event.CartItem, n)
	}
	for i := range d.Items {
		d.Items[i] = profile.ReadItem(w)
	}
	if outcome&outcomeWritten != 0 {
		if err := json.Unmarshal([]byte(w.String()), &d.Written); err != nil || d.Written == nil {
			w.Fail("what was written is not JSON")
		}
	}
	return d
}

// DecodeFrom replaces the state by its stored form. It answers profile.ErrNewer or
// profile.ErrDamaged, wrapped with the facts; the state is then empty. It keeps nothing
// of b.
func (s *State) DecodeFrom(b []byte) error {
	*s = State{}
	var r profile.Wire
	version := r.Begin(string(b), schema)
	s.read(&r)
	if version > 1 {
		if s.Awaits = r.Int(maxAwaits); s.Awaits == 0 && version == 2 {
			r.Fail("awaits nothing")
		}
	}
	if version >= schemaPersonal {
		s.readPersonal(&r)
	}
	switch {
	case version == schema:
		s.readOffers(&r)
	case version == schemaPersonal && !s.personal():
		r.Fail("no sessions and no greetings")
	}
	if err := r.Err(); err != nil {
		*s = State{}
		return err
	}
	return nil
}

func (s *State) read(r *profile.Wire) {
	s.Lost = uint32(r.Int(1<<32 - 1))
	if n := r.Len(MaxWaits, 6); n > 0 {
		s.Waits = make([]Wait, n)
	}
	for i := range s.Waits {
		w := &s.Waits[i]
		w.Rule, w.Sub, w.Activity = r.String(), r.String(), r.Varint()
		w.Started = w.Activity + r.Varint()
		w.Deadline = w.Activity + r.Varint()
		w.Armed = w.Activity + r.Varint()
	}
	if n := r.Len(MaxFired, 6); n > 0 {
		s.Fired = make([]Fired, n)
	}
	for i := range s.Fired {
		f := &s.Fired[i]
		f.Rule, f.Sub, f.Activity = r.String(), r.String(), r.Varint()
		f.At = f.Activity + r.Varint()
		f.Decision = r.String()
		bits := r.Byte()
		f.Counts, f.Pending = bits&1 != 0, bits&2 != 0
		if bits > 3 {
			r.Fail("decision of unknown kind")
		}
	}
	if n := r.Len(MaxRecords, 20); n > 0 {
		s.Records = make([]event.Decision, n)
	}
	for i := range s.Records {
		s.Records[i] = ReadDecision(r)
	}
}
