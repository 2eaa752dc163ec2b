package event

import "strings"

// Times outside these bounds come from broken clocks or wrong units.
const (
	timeMin = 365 * 24 * 3600 * 1000 // the first of January 1971: all of 1970 is a zero or a wrong unit
	timeMax = 7258118400000          // the first of January 2200
)

// parseTime reads a time as Unix milliseconds: RFC 3339 with any fraction and offset
// and a blank for the T, Unix seconds or milliseconds by magnitude. Without a zone it
// is taken for UTC.
func parseTime(v *val) (ms int64, zone, ok bool) {
	switch v.t {
	case '0':
		ms, ok = unixTime(v.s)
		return ms, true, ok
	case '"':
		s := strings.TrimSpace(v.s)
		if len(s) < 5 || s[4] == '-' {
			return writtenTime(s)
		}
		ms, ok = unixTime(s)
		return ms, true, ok
	}
	return 0, false, false
}

// unixTime reads seconds or milliseconds: below 10^11 they are seconds, which then
// lie before the year 5138, and above it milliseconds, which then lie after 1973.
func unixTime(s string) (int64, bool) {
	d, ok := parseDecimal(s)
	if !ok {
		return 0, false
	}
	n, ok := d.times(0)
	if !ok || n <= 0 {
		return 0, false // microseconds end up here too
	}
	if n < 100_000_000_000 {
		return d.times(3)
	}
	return n, true
}

// writtenTime reads "2026-03-02T10:15:00.120Z" and its relatives.
func writtenTime(s string) (ms int64, zone, ok bool) {
	if len(s) < 10 || s[4] != '-' || s[7] != '-' {
		return 0, false, false
	}
	year, ok1 := number(s[0:4])
	month, ok2 := number(s[5:7])
	day, ok3 := number(s[8:10])
	if !ok1 || !ok2 || !ok3 || month < 1 || month > 12 || day < 1 || day > daysOf(year, month) {
		return 0, false, false
	}
	ms = days(year, month, day) * 86400_000
	if len(s) == 10 {
		return ms, false, true
	}
	if c := s[10]; c != 'T' && c != 't' && c != ' ' {
		return 0, false, false
	}
	clock, rest, ok := clockTime(s[11:])
	if !ok {
		return 0, false, false
	}
	if rest == "" {
		return ms + clock, false, true
	}
	offset, ok := zoneOffset(rest)
	return ms + clock - offset, true, ok
}

// clockTime reads "10:15:00.120", of which seconds and fraction may be missing, and
// answers what follows.
func clockTime(s string) (ms int64, rest string, ok bool) {
	if len(s) < 5 || s[2] != ':' {
		return 0, "", false
	}
	hour, ok1 := number(s[0:2])
	minute, ok2 := number(s[3:5])
	if !ok1 || !ok2 || hour > 23 || minute > 59 {
		return 0, "", false
	}
	ms = (hour*60 + minute) * 60_000
	s = s[5:]
	if len(s) < 3 || s[0] != ':' {
		return ms, s, true
	}
	second, ok := number(s[1:3])
	if !ok || second > 60 { // 60 is a leap second
		return 0, "", false
	}
	ms += second * 1000
	s = s[3:]
	if len(s) < 2 || s[0] != '.' && s[0] != ',' {
		return ms, s, true
	}
	s = s[1:]
	i, unit := 0, int64(100)
	for ; i < len(s) && s[i]-'0' <= 9; i++ {
		ms += int64(s[i]-'0') * unit
		unit /= 10
	}
	return ms, s[i:], i > 0
}

// zoneOffset reads "Z", "+02:00", "+0200", "+02" or " UTC" as milliseconds.
func zoneOffset(s string) (int64, bool) {
	s = strings.TrimPrefix(s, " ")
	switch s {
	case "Z", "z", "UTC", "GMT":
		return 0, true
	}
	if len(s) < 3 || s[0] != '+' && s[0] != '-' {
		return 0, false
	}
	hour, ok := number(s[1:3])
	minute := int64(0)
	switch {
	case len(s) == 5 && ok:
		minute, ok = number(s[3:5])
	case len(s) == 6 && s[3] == ':' && ok:
		minute, ok = number(s[4:6])
	case len(s) != 3:
		return 0, false
	}
	if !ok || hour > 23 || minute > 59 {
		return 0, false
	}
	offset := (hour*60 + minute) * 60_000
	if s[0] == '-' {
		offset = -offset
	}
	return offset, true
}

// number reads digits only.
func number(s string) (n int64, ok bool) {
	for i := range len(s) {
		c := s[i] - '0'
		if c > 9 {
			return 0, false
		}
		n = n*10 + int64(c)
	}
	return n, true
}

// daysOf is how many days a month has.
func daysOf(year, month int64) int64 {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// days is the day's number counted from the first of January 1970, in the Gregorian
// calendar: years are taken to begin in March, so that leap days stand at their ends.
func days(year, month, day int64) int64 {
	if month <= 2 {
		year--
		month += 12
	}
	era := year / 400
	if year < 0 {
		era = -1 // only the year 0, written 0000, comes here
	}
	y := year - era*400
	doy := (153*(month-3)+2)/5 + day - 1
	return era*146097 + y*365 + y/4 - y/100 + doy - 719468
}

// times are what the client said of an event's time.
type times struct {
	timestamp, original, sentAt *val
	server                      bool // by a server's library, whose clock is taken for good
}

// waitMax is how long a server library may retry with an old sentAt, so that its
// waiting is not taken for a wrong clock.
const waitMax = 10 * 60 * 1000

// eventTime is when an event happened, seen from r, when it was received. It is never
// after r. The formula is that of Segment and RudderStack, which takes the time
// between happening and sending from the client's clock and the rest from ours.
func eventTime(t times, r int64) (int64, Flags) {
	main := t.original
	given := func(v *val) bool { return v.t != 0 && v.t != 'n' }
	both := given(t.original) && given(t.timestamp)
	if !given(t.original) || both {
		main = t.timestamp // with both, timestamp was set by hand and is taken as it is
	}
	if !given(main) {
		return r, 0
	}
	at, zone, ok := parseTime(main)
	if !ok || at < timeMin {
		return r, ClockBad
	}
	flags := Flags(0)
	if !zone {
		flags |= ZoneMissing
	}
	if sent, _, ok := parseTime(t.sentAt); ok && sent >= timeMin && sent < timeMax && !both {
		if wait := r - sent; !t.server || wait < 0 || wait > waitMax {
			at = r - (sent - at)
		}
	}
	if at < timeMin {
		return r, flags | ClockBad
	}
	if at > r {
		return r, flags | ClockFuture
	}
	return at, flags
}

// ownTime is the time of an event that is simulated or imported: the one it names,
// however far from now. Without one it is r.
func ownTime(t times, r int64) (int64, Flags) {
	v := t.timestamp
	if v.t == 0 || v.t == 'n' {
		v = t.original
	}
	if v.t == 0 || v.t == 'n' {
		return r, 0
	}
	at, zone, ok := parseTime(v)
	if !ok || at < timeMin || at >= timeMax {
		return r, ClockBad
	}
	if !zone {
		return at, ZoneMissing
	}
	return at, 0
}
