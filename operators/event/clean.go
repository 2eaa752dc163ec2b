package event

import (
	"hash/fnv"
	"strconv"
	"strings"
	"unicode/utf8"
)

// origin is what is known of an event beside its own JSON.
type origin struct {
	receivedAt int64
	seq        uint64
	index      int
	source     string
	options    SourceOptions
	own        bool    // receive time is event time
	imported   bool    // the wider limits of imports hold
	flags      Flags   // of the envelope and of the item
	call       string  // what the path said, or ""
	sentAt     val     // of the batch
	batch      *fields // context and integrations of the batch, or nil
	raw        []byte
}

// The calls of the tracking API that are no kinds of ours alone.
const (
	callTrack = KindCount + iota
	callMerge
)

// callKind is the kind of a call; callTrack and callMerge for those two, Unknown for
// what is none.
func callKind(call string) Kind {
	if len(call) > len("identify") {
		call = strings.TrimSpace(call)
	}
	var buf [len("identify")]byte
	if len(call) > len(buf) {
		return Unknown
	}
	n := copy(buf[:], call)
	for i := range buf[:n] {
		if c := buf[i]; 'A' <= c && c <= 'Z' {
			buf[i] = c + 'a' - 'A'
		}
	}
	switch string(buf[:n]) {
	case "track":
		return callTrack
	case "identify":
		return Identify
	case "page":
		return Page
	case "screen":
		return Screen
	case "group":
		return Group
	case "alias":
		return Alias
	case "merge":
		return callMerge
	}
	return Unknown
}

// build makes the event of what was read. It answers a code when the event cannot be
// taken, and why.
func (d *Decoder) build(e *Event, f *fields, o *origin) (Code, string) {
	e.Source, e.ReceivedAt, e.Flags = o.source, o.receivedAt, o.flags
	call := o.call
	if call == "" {
		if v := f.event.get(eType); v.t == '"' {
			call = v.s
		}
	}
	e.Kind = callKind(call)
	ga4, merge := false, false
	switch e.Kind {
	case Unknown:
		return BadType, "type is none of track, identify, page, screen, group, alias, merge"
	case callMerge:
		e.Kind, merge = Alias, true
	case callTrack:
		e.Kind = Unknown
		if v := f.event.get(eEvent); v.t == '"' {
			e.Name = cleanText(v, &e.Flags)
		}
		if e.Name == "" {
			return NoEventName, "track without event"
		}
		e.Kind, ga4 = trackKind(e.Name)
	}
	if e.Flags&PublicKey != 0 && e.Kind.isMail() && e.Kind != Unsubscribed && e.Kind != EmailMarkedAsSpam {
		return NotAllowed, "e-mail events need a server's key"
	}
	if e.Flags&PublicKey != 0 && e.Kind == ProductUpserted {
		return NotAllowed, "the catalogue needs a server's key"
	}
	e.context(f, o)
	e.traits(f, o)
	if e.Name != "" {
		d.properties(e, f, o, ga4)
	} else if v := f.event.get(eProperties); v.t != 0 && v.t != 'n' && v.t != '{' {
		e.Flags |= PropsWrapped
	}
	if e.Kind == ProductUpserted {
		if len(e.Products) == 0 {
			return BadProduct, "a product without product_id"
		}
	} else if code, why := e.identities(f, merge); code != "" {
		return code, why
	}
	e.messageID(f, o)
	return "", ""
}

// identities sets the ids of the person.
func (e *Event) identities(f *fields, merge bool) (Code, string) {
	e.UserID = identity(f.event.get(eUserID), &e.Flags)
	e.AnonymousID = visitor(f.event.get(eAnonymousID), &e.Flags)
	if e.Kind == Alias {
		if code, why := e.merged(f, merge); code != "" {
			return code, why
		}
	}
	if e.UserID != "" || e.AnonymousID != "" {
		return "", ""
	}
	if e.Kind.isMail() && (e.Mailing.EmailID != "" || e.Traits.Email != "") {
		return "", "" // the mail, or its address, says whom it is about
	}
	return NoIdentity, "neither userId nor anonymousId"
}

// messageIDMax is the longest messageId that is kept, as documented by Segment.
const messageIDMax = 100

// messageID sets the key of de-duplication. Who sends none gets one that depends on
// where the event stands in the log.
func (e *Event) messageID(f *fields, o *origin) {
	id := rawID(f.event.get(eMessageID), &e.Flags)
	if len(id) > messageIDMax && utf8.RuneCountInString(id) > messageIDMax {
		e.Flags |= MessageIDHashed
		id = hash(id)
	}
	if id == "" {
		e.Flags |= MessageIDNew
		h := fnv.New128a()
		h.Write(strconv.AppendUint(nil, o.seq, 16))
		h.Write(strconv.AppendInt([]byte{'.'}, o.receivedAt, 16))
		h.Write(strconv.AppendInt([]byte{'.'}, int64(o.index), 16))
		h.Write([]byte{'.'})
		h.Write(o.raw)
		id = "mr-" + string(appendHex(nil, h.Sum(nil)))
	}
	e.MessageID = id
}

// appendHex appends b in hexadecimal digits.
func appendHex(dst, b []byte) []byte {
	for _, c := range b {
		dst = append(dst, hexDigits[c>>4], hexDigits[c&15])
	}
	return dst
}

// context sets what the context says, and the time, which depends on it.
func (e *Event) context(f *fields, o *origin) {
	get := func(id uint8) *val {
		if v := f.context.get(id); v.t != 0 || o.batch == nil {
			return v
		}
		return o.batch.context.get(id)
	}
	library := func() string { // looked up only where it matters
		if v := get(cLibrary); v.t == '{' {
			if name := member(v.s, "name"); name.t == '"' {
				return name.s
			}
		}
		return ""
	}
	t := times{timestamp: f.event.get(eTimestamp), original: f.event.get(eOriginal), sentAt: f.event.get(eSentAt)}
	if t.sentAt.t == 0 || t.sentAt.t == 'n' {
		t.sentAt = &o.sentAt
	}
	flags := Flags(0)
	if o.own {
		stored := e.ReceivedAt
		e.Time, flags = ownTime(t, stored)
		if o.imported && e.Time > stored { // a data set knows no future: one wrong row must not age everybody
			e.Time, flags = stored, flags|ClockFuture
		}
		e.ReceivedAt = e.Time
	} else {
		t.server = (t.sentAt.t == '"' || t.sentAt.t == '0') && isServer(library())
		e.Time, flags = eventTime(t, e.ReceivedAt)
	}
	e.Flags |= flags
	e.Inactive = get(cActive).t == 'f'
	agent := get(cAgent)
	if agent.t != '"' {
		agent = get(cAgentSnake)
	}
	if agent.t == '"' {
		e.Bot = agent.s == "" && isBrowser(library()) || isBot(agent.s)
	}
	e.Traits.Locale = locale(get(cLocale), &e.Flags)
	e.Traits.Timezone = timezone(get(cTimezone))
	e.Off = isOff(f, o.batch)
}

// isServer tells whether a library runs on servers, whose clocks are right and whose
// retries keep an old sentAt.
func isServer(library string) bool {
	switch library {
	case "analytics-node", "@segment/analytics-node", "analytics-go":
		return true
	}
	return false
}

// isBrowser tells whether a library runs in browsers, which always have a user agent.
func isBrowser(library string) bool {
	return library == "analytics.js" || library == "RudderLabs JavaScript SDK"
}

// isOff tells whether integrations switch us off. Of the event and its batch, the
// event wins name by name.
func isOff(f, batch *fields) bool {
	get := func(id uint8) *val {
		if v := f.integrations.get(id); v.t != 0 || batch == nil {
			return v
		}
		return batch.integrations.get(id)
	}
	if ours := get(iOurs); ours.t != 0 && ours.t != 'n' {
		return ours.t == 'f'
	}
	return get(iAll).t == 'f'
}

// locale normalises "de_AT" to "de-AT".
func locale(v *val, flags *Flags) string {
	if v.t != '"' || len(v.s) > 35 { // the longest tag that RFC 5646 asks to allow for
		return ""
	}
	s := cleanText(v, flags)
	if i := strings.IndexByte(s, '.'); i >= 0 {
		s = s[:i] // "de_AT.UTF-8"
	}
	for i := range len(s) {
		if c := s[i]; c != '-' && c != '_' && c-'0' > 9 && (c|0x20 < 'a' || c|0x20 > 'z') {
			return ""
		}
	}
	if strings.IndexByte(s, '_') >= 0 {
		s = strings.ReplaceAll(s, "_", "-")
	}
	return s
}

// timezone keeps IANA names. An offset such as "GMT+0100" is no time zone.
func timezone(v *val) string {
	if v.t != '"' || len(v.s) > 64 {
		return ""
	}
	for i := range len(v.s) {
		if c := v.s[i]; c != '/' && c != '_' && c != '-' && c != '+' && c-'0' > 9 && (c|0x20 < 'a' || c|0x20 > 'z') {
			return ""
		}
	}
	if v.s == "UTC" || strings.IndexByte(v.s, '/') > 0 {
		return v.s
	}
	return ""
}

// traits sets what is said of the person: traits, and under them context.traits. The
// traits of a group are the group's, and no person's.
func (e *Event) traits(f *fields, o *origin) {
	if v := f.event.get(eTraits); v.t != 0 && v.t != 'n' && v.t != '{' {
		e.Flags |= PropsWrapped
	}
	personal := &f.personal
	if o.batch != nil && f.context.get(cTraits).t == 0 {
		personal = &o.batch.personal
	}
	if f.traits.mask|personal.mask == 0 {
		return
	}
	get := func(id uint8) *val {
		if v := f.traits.get(id); v.t != 0 && e.Kind != Group {
			return v
		}
		return personal.get(id)
	}
	either := func(a, b uint8) *val {
		if v := get(a); v.t != 0 {
			return v
		}
		return get(b)
	}
	if v := get(tEmail); v.t == 'n' {
		e.Traits.Cleared = append(e.Traits.Cleared, "email")
	} else if v.t != 0 {
		if e.Traits.Email = address(v); e.Traits.Email == "" {
			e.Flags |= EmailBad
		}
	}
	e.word(either(tFirst, tFirstSnake), &e.Traits.FirstName, "firstName")
	e.word(either(tLast, tLastSnake), &e.Traits.LastName, "lastName")
	if v := get(tLocale); v.t == 'n' {
		e.Traits.Cleared = append(e.Traits.Cleared, "locale")
	} else if s := locale(v, &e.Flags); s != "" {
		e.Traits.Locale = s
	}
	if v := get(tTimezone); v.t == 'n' {
		e.Traits.Cleared = append(e.Traits.Cleared, "timezone")
	} else if s := timezone(v); s != "" {
		e.Traits.Timezone = s
	}
	e.consent(get)
}

// nameMaxBytes bounds a person's name: longer ones are no names.
const nameMaxBytes = 256

// word sets a trait that is a short text.
func (e *Event) word(v *val, to *string, name string) {
	switch v.t {
	case 'n':
		e.Traits.Cleared = append(e.Traits.Cleared, name)
	case '"':
		s := cleanText(v, &e.Flags)
		if len(s) > nameMaxBytes {
			e.Flags |= TextCleaned
			s = cut(s, nameMaxBytes)
		}
		*to = s
	}
}

// consent reads the traits that tell of consent: marketing_consent, email_opt_in (both
// also in camel case), subscribed, and consent, which is a value or an object with
// marketing or email. If they disagree, no wins: mail to someone who said no cannot be
// taken back.
func (e *Event) consent(get func(uint8) *val) {
	cleared := false
	see := func(v *val) {
		cleared = cleared || v.t == 'n'
		if c := consentValue(v); c > e.Traits.Consent {
			e.Traits.Consent = c // ConsentNo is the greatest
		}
	}
	for id := uint8(tMarketing); id <= tSubscribed; id++ {
		see(get(id))
	}
	if v := get(tConsent); v.t == '{' {
		for _, key := range []string{"marketing", "email"} {
			m := member(v.s, key)
			see(&m)
		}
	} else {
		see(v)
	}
	if cleared && e.Traits.Consent == ConsentUnknown {
		e.Traits.Cleared = append(e.Traits.Cleared, "consent")
	}
}

// consentValue reads yes and no as clients write them. What is neither says nothing.
func consentValue(v *val) uint8 {
	switch v.t {
	case 't':
		return ConsentYes
	case 'f':
		return ConsentNo
	case '0', '"':
	default:
		return ConsentUnknown
	}
	switch strings.ToLower(strings.TrimSpace(v.s)) {
	case "true", "1", "yes", "y", "on", "granted", "subscribed", "opted_in", "opt_in":
		return ConsentYes
	case "false", "0", "no", "n", "off", "denied", "unsubscribed", "opted_out", "opt_out":
		return ConsentNo
	}
	return ConsentUnknown
}
