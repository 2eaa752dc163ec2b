package stream

// delivery is what the server tells about a message in its reply subject.
type delivery struct {
	seq       uint64 // in the log
	delivered uint64 // how many the consumer sent, this one included
	nanos     int64  // when the log stored it, Unix nanoseconds
}

// parseAck reads the reply subject of a delivered message without allocating:
//
//	$JS.ACK.<stream>.<consumer>.<attempts>.<seq>.<delivered>.<nanos>.<pending>
//	$JS.ACK.<domain>.<account>.<stream>.<consumer>.<attempts>.<seq>.<delivered>.<nanos>.<pending>[.<token>]
//
// (ADR-15). It answers false for anything else.
func parseAck(s string) (delivery, bool) {
	const prefix = "$JS.ACK."
	if len(s) < len(prefix) || s[:len(prefix)] != prefix {
		return delivery{}, false
	}
	var start [13]int // of each token; one more than the longest form has
	tokens := 1
	for i := 0; i < len(s); i++ {
		if s[i] != '.' {
			continue
		}
		if tokens == len(start) {
			return delivery{}, false
		}
		start[tokens] = i + 1
		tokens++
	}
	at := 5 // the token of seq
	switch tokens {
	case 9:
	case 11, 12:
		at = 7
	default:
		return delivery{}, false
	}
	token := func(i int) string { return s[start[i] : start[i+1]-1] }
	seq, ok1 := parseUint(token(at))
	delivered, ok2 := parseUint(token(at + 1))
	nanos, ok3 := parseUint(token(at + 2))
	if !ok1 || !ok2 || !ok3 || nanos > 1<<63-1 {
		return delivery{}, false
	}
	return delivery{seq: seq, delivered: delivered, nanos: int64(nanos)}, true
}

func parseUint(s string) (uint64, bool) {
	if s == "" || len(s) > 19 {
		return 0, false // 19 digits cannot overflow, and no count of ours needs 20
	}
	var n uint64
	for i := range len(s) {
		c := s[i] - '0'
		if c > 9 {
			return 0, false
		}
		n = n*10 + uint64(c)
	}
	return n, true
}
