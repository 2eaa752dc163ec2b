package shop

import (
	"strconv"
	"time"
	"unicode/utf8"

	"millrace/operators/event"
)

// lastKind is the last kind that the shop knows by name. Kinds that millrace learns
// later are Unknown here.
const lastKind = event.Unsubscribed

// eventName is what the Segment specifications call a kind; empty for calls that are
// not track calls.
func eventName(k event.Kind) string {
	return [event.KindCount]string{
		event.ProductViewed:     "Product Viewed",
		event.ProductAdded:      "Product Added",
		event.ProductRemoved:    "Product Removed",
		event.ProductsSearched:  "Products Searched",
		event.CartViewed:        "Cart Viewed",
		event.CheckoutStarted:   "Checkout Started",
		event.OrderCompleted:    "Order Completed",
		event.OrderRefunded:     "Order Refunded",
		event.ProductReviewed:   "Product Reviewed",
		event.EmailDelivered:    "Email Delivered",
		event.EmailOpened:       "Email Opened",
		event.EmailLinkClicked:  "Email Link Clicked",
		event.EmailBounced:      "Email Bounced",
		event.EmailMarkedAsSpam: "Email Marked as Spam",
		event.Unsubscribed:      "Unsubscribed",
	}[k]
}

// kindOf is the inverse of eventName for one call; names that have no meaning to
// millrace are Unknown.
func kindOf(call, name string) event.Kind {
	switch call {
	case "identify":
		return event.Identify
	case "alias":
		return event.Alias
	case "page":
		return event.Page
	case "screen":
		return event.Screen
	case "group":
		return event.Group
	case "track":
		for k := event.ProductViewed; k <= lastKind; k++ {
			if eventName(k) == name {
				return k
			}
		}
	}
	return event.Unknown
}

// wire writes JSON. It exists because a simulated shop is only useful for measuring
// when it costs much less than what it feeds; encoding/json takes several times as long.
type wire struct {
	b []byte
}

// key begins a member. An empty key begins an element of a list.
func (w *wire) key(k string) {
	switch last := w.b[len(w.b)-1]; last {
	case '{', '[', ':':
	default:
		w.b = append(w.b, ',')
	}
	if k != "" {
		w.b = append(append(append(w.b, '"'), k...), '"', ':')
	}
}

func (w *wire) open(k string)     { w.key(k); w.b = append(w.b, '{') }
func (w *wire) close()            { w.b = append(w.b, '}') }
func (w *wire) openList(k string) { w.key(k); w.b = append(w.b, '[') }
func (w *wire) closeList()        { w.b = append(w.b, ']') }

func (w *wire) text(k, v string) { w.key(k); w.b = appendText(w.b, v) }

func (w *wire) count(k string, n int) { w.key(k); w.b = strconv.AppendInt(w.b, int64(n), 10) }

func (w *wire) flag(k string, v bool) { w.key(k); w.b = strconv.AppendBool(w.b, v) }

func (w *wire) money(k string, m event.Money) { w.key(k); w.b = appendMoney(w.b, m) }

func (w *wire) moment(k string, ms int64) {
	w.key(k)
	w.b = append(appendTime(append(w.b, '"'), ms), '"')
}

// appendMoney writes cents as JavaScript would write the number: 12.9, not 12.90.
func appendMoney(b []byte, m event.Money) []byte {
	b = strconv.AppendInt(b, int64(m/100), 10)
	switch cents := int(m % 100); {
	case cents == 0:
		return b
	case cents%10 == 0:
		return append(b, '.', byte('0'+cents/10))
	default:
		return append(b, '.', byte('0'+cents/10), byte('0'+cents%10))
	}
}

// appendText writes a JSON string.
func appendText(b []byte, s string) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < 0x20:
			b = append(b, '\\', 'u', '0', '0')
			b = appendHex(b, uint64(c), 2)
		case c < utf8.RuneSelf:
			b = append(b, c)
		default:
			r, size := utf8.DecodeRuneInString(s[i:])
			b = utf8.AppendRune(b, r) // what is not UTF-8 becomes U+FFFD
			i += size
			continue
		}
		i++
	}
	return append(b, '"')
}

// appendTime writes Unix milliseconds as Date.toISOString does:
// 2026-03-02T10:15:00.120Z. The years are those of four digits.
func appendTime(b []byte, ms int64) []byte {
	days, rest := ms/86_400_000, ms%86_400_000
	if rest < 0 {
		days, rest = days-1, rest+86_400_000
	}
	year, month, day := civil(days)
	b = appendDigits(b, year, 4)
	b = appendDigits(append(b, '-'), month, 2)
	b = appendDigits(append(b, '-'), day, 2)
	b = appendDigits(append(b, 'T'), int(rest/3_600_000), 2)
	b = appendDigits(append(b, ':'), int(rest/60_000%60), 2)
	b = appendDigits(append(b, ':'), int(rest/1000%60), 2)
	b = appendDigits(append(b, '.'), int(rest%1000), 3)
	return append(b, 'Z')
}

// civil turns days since 1970 into a date: Howard Hinnant, "chrono-compatible
// low-level date algorithms", civil_from_days.
func civil(days int64) (year, month, day int) {
	z := days + 719_468
	era := z / 146_097
	doe := z - era*146_097
	yoe := (doe - doe/1460 + doe/36_524 - doe/146_096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	day = int(doy - (153*mp+2)/5 + 1)
	month = int(mp + 3)
	if month > 12 {
		month -= 12
	}
	year = int(yoe + era*400)
	if month <= 2 {
		year++
	}
	return year, month, day
}

func appendDigits(b []byte, n, width int) []byte {
	unit := 1
	for range width - 1 {
		unit *= 10
	}
	for ; unit > 0; unit /= 10 {
		b = append(b, byte('0'+n/unit%10))
	}
	return b
}

// millis is a duration in the unit of the simulation's clock.
func millis(d time.Duration) int64 { return d.Milliseconds() }
