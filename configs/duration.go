package configs

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// durationMax bounds every duration of a file: longer is a slip of the hand, and
// Go's own limit lies at 292 years.
const durationMax = 10 * 366 * 24 * time.Hour

// durationForm is what a duration looks like: numbers with units, longest first.
const durationForm = `^([0-9]{1,6}d)?([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?([0-9]{1,6}ms)?$`

// ParseDuration reads a duration as the files write it: "200ms", "30s", "90m",
// "1h30m", "7d". A day has 24 hours.
func ParseDuration(s string) (time.Duration, error) {
	var total time.Duration
	rest := s
	for _, u := range []struct {
		name string
		unit time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}, {"ms", time.Millisecond}} {
		digits := 0
		for digits < len(rest) && rest[digits] >= '0' && rest[digits] <= '9' {
			digits++
		}
		end := digits
		for end < len(rest) && rest[end] >= 'a' && rest[end] <= 'z' {
			end++
		}
		if rest[digits:end] != u.name || digits == 0 || digits > 6 {
			continue
		}
		n, err := strconv.Atoi(rest[:digits])
		if err != nil {
			return 0, fmt.Errorf("read duration %q: %w", s, err)
		}
		total += time.Duration(n) * u.unit
		rest = rest[end:]
		if total > durationMax {
			return 0, fmt.Errorf("read duration %q: longer than ten years", s)
		}
	}
	if s == "" || rest != "" {
		return 0, fmt.Errorf("read duration %q: expected a form such as 200ms, 30s, 90m, 1h30m or 7d", s)
	}
	return total, nil
}

// FormatDuration writes a duration in the form that ParseDuration reads, to the
// millisecond.
func FormatDuration(d time.Duration) string {
	if d < time.Millisecond {
		return "0s"
	}
	var b strings.Builder
	for _, u := range []struct {
		name string
		unit time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}, {"ms", time.Millisecond}} {
		if n := d / u.unit; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, u.name)
			d %= u.unit
		}
	}
	return b.String()
}

// Rate is how much may happen in a time, such as 40 per second. The zero Rate has
// no limit.
type Rate struct {
	Count int           `json:"count"`
	Per   time.Duration `json:"per"`
}

// rateForm is what a rate looks like.
const rateForm = `^[1-9][0-9]{0,6} per (second|minute|hour|day)$`

// parseRate reads "40 per second".
func parseRate(s string) (Rate, error) {
	count, unit, ok := strings.Cut(s, " per ")
	n, err := strconv.Atoi(count)
	if !ok || err != nil || n < 1 {
		return Rate{}, fmt.Errorf("read rate %q: expected a form such as 40 per second", s)
	}
	per := map[string]time.Duration{"second": time.Second, "minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}[unit]
	if per == 0 {
		return Rate{}, fmt.Errorf("read rate %q: expected second, minute, hour or day", s)
	}
	return Rate{Count: n, Per: per}, nil
}

// String writes the rate as the files do.
func (r Rate) String() string {
	if r.Count == 0 {
		return "no limit"
	}
	unit := "day"
	switch r.Per {
	case time.Second:
		unit = "second"
	case time.Minute:
		unit = "minute"
	case time.Hour:
		unit = "hour"
	}
	return fmt.Sprintf("%d per %s", r.Count, unit)
}
