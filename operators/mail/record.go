package mail

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"millrace/operators/event"
)

// A journal segment is a header of 16 bytes (magic, then the segment's number as a
// little-endian uint64) and records:
//
//	length  uint32  of the payload
//	crc32c  uint32  over length and payload
//	payload kind uint8, at int64 (Unix ms), id (uint8 length, bytes), then by kind:
//	        rendered  mail
//	        attempt   nothing
//	        failed    code uint16
//	        outcome   outcome uint8, code uint16, reason (uint16 length, bytes)
//	        carried   state uint8, attempts uint16, code uint16, last int64, has uint8, mail if has is 1
//	mail    flags uint8 (1: fallback subject), then from, to, subject, model (uint16 length, bytes), then the bytes
//
// All numbers are little-endian. Records are never changed, only superseded.
const (
	segmentMagic  = "millrjn1"
	segmentHeader = 16
	recordHeader  = 8
	payloadMin    = 1 + 8 + 1 + 1     // kind, at, id of one byte
	payloadMax    = mailMax + 8192    // a mail and its envelope
	reasonMax     = 256               // bytes of a reason
	fieldMax      = 2048              // bytes of from, to, subject, model
	carriedHead   = 1 + 2 + 2 + 8 + 1 // state, attempts, code, last, has
	failedLen     = 2                 // code
	outcomeHead   = 1 + 2             // outcome, code
)

// recordKind is the first byte of a payload.
type recordKind uint8

const (
	recRendered recordKind = 1 + iota
	recAttempt
	recFailed
	recOutcome
	recCarried
)

// Letter is a rendered mail with its envelope and what its receipt will tell.
type Letter struct {
	From, To string // envelope
	Subject  string
	Model    string
	Fallback bool
	Bytes    []byte
}

// record is one decoded record. Bytes alias the buffer it was decoded from.
type record struct {
	kind     recordKind
	at       int64
	id       []byte
	letter   Letter // rendered, carried with has
	has      bool
	state    State  // carried
	attempts uint16 // carried
	last     int64  // carried
	code     uint16 // failed, outcome, carried
	outcome  event.Outcome
	reason   string
}

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	le         = binary.LittleEndian
)

// errBadRecord is what a record that cannot be read comes down to.
var errBadRecord = errors.New("record cannot be read")

// appendRecord adds the frame of r to b.
func appendRecord(b []byte, r *record) []byte {
	start := len(b)
	b = append(b, make([]byte, recordHeader)...)
	b = append(b, byte(r.kind))
	b = le.AppendUint64(b, uint64(r.at))
	b = append(b, byte(len(r.id)))
	b = append(b, r.id...)
	switch r.kind {
	case recRendered:
		b = appendLetter(b, &r.letter)
	case recFailed:
		b = le.AppendUint16(b, r.code)
	case recOutcome:
		b = append(b, byte(r.outcome))
		b = le.AppendUint16(b, r.code)
		b = appendText(b, r.reason, reasonMax)
	case recCarried:
		b = append(b, byte(r.state))
		b = le.AppendUint16(b, r.attempts)
		b = le.AppendUint16(b, r.code)
		b = le.AppendUint64(b, uint64(r.last))
		if r.has {
			b = appendLetter(append(b, 1), &r.letter)
		} else {
			b = append(b, 0)
		}
	}
	le.PutUint32(b[start:], uint32(len(b)-start-recordHeader))
	le.PutUint32(b[start+4:], frameSum(b[start:]))
	return b
}

func appendLetter(b []byte, l *Letter) []byte {
	var flags byte
	if l.Fallback {
		flags = 1
	}
	b = append(b, flags)
	for _, s := range []string{l.From, l.To, l.Subject, l.Model} {
		b = appendText(b, s, fieldMax)
	}
	return append(b, l.Bytes...)
}

func appendText(b []byte, s string, most int) []byte {
	s = s[:min(len(s), most)]
	return append(le.AppendUint16(b, uint16(len(s))), s...)
}

// frameSum is the checksum of a frame: over its length and its payload.
func frameSum(frame []byte) uint32 {
	return crc32.Update(crc32.Checksum(frame[:4], castagnoli), castagnoli, frame[recordHeader:])
}

// decodeRecord reads the payload of one record. It never panics, whatever b holds.
func decodeRecord(b []byte) (record, error) {
	if len(b) < payloadMin || len(b) > payloadMax {
		return record{}, errBadRecord
	}
	r := record{kind: recordKind(b[0]), at: int64(le.Uint64(b[1:]))}
	n := int(b[9])
	b = b[10:]
	if n == 0 || n > idMax || len(b) < n {
		return record{}, errBadRecord
	}
	r.id, b = b[:n], b[n:]
	switch r.kind {
	case recRendered:
		return r, r.decodeLetter(b)
	case recAttempt:
		return r, exactly(b, 0)
	case recFailed:
		if err := exactly(b, failedLen); err != nil {
			return record{}, err
		}
		r.code = le.Uint16(b)
		return r, nil
	case recOutcome:
		return r, r.decodeOutcome(b)
	case recCarried:
		return r, r.decodeCarried(b)
	default:
		return record{}, errBadRecord
	}
}

func exactly(b []byte, n int) error {
	if len(b) != n {
		return errBadRecord
	}
	return nil
}

func (r *record) decodeOutcome(b []byte) error {
	if len(b) < outcomeHead {
		return errBadRecord
	}
	r.outcome, r.code = event.Outcome(b[0]), le.Uint16(b[1:])
	if r.outcome != event.Sent && r.outcome != event.Skipped && r.outcome != event.UnknownOutcome {
		return errBadRecord
	}
	reason, rest, err := text(b[outcomeHead:], reasonMax)
	r.reason = reason
	return errors.Join(err, exactly(rest, 0))
}

func (r *record) decodeCarried(b []byte) error {
	if len(b) < carriedHead {
		return errBadRecord
	}
	r.state, r.attempts, r.code, r.last = State(b[0]), le.Uint16(b[1:]), le.Uint16(b[3:]), int64(le.Uint64(b[5:]))
	if r.state != Rendered && r.state != Attempted && r.state != Failed || b[13] > 1 {
		return errBadRecord
	}
	if b[13] == 0 {
		return exactly(b[carriedHead:], 0)
	}
	return r.decodeLetter(b[carriedHead:])
}

func (r *record) decodeLetter(b []byte) error {
	if len(b) < 1 || b[0] > 1 {
		return errBadRecord
	}
	r.has, r.letter.Fallback = true, b[0] == 1
	b = b[1:]
	var err error
	for _, s := range []*string{&r.letter.From, &r.letter.To, &r.letter.Subject, &r.letter.Model} {
		if *s, b, err = text(b, fieldMax); err != nil {
			return err
		}
	}
	if len(b) == 0 || len(b) > mailMax {
		return errBadRecord
	}
	r.letter.Bytes = b
	return nil
}

func text(b []byte, most int) (string, []byte, error) {
	if len(b) < 2 {
		return "", nil, errBadRecord
	}
	n := int(le.Uint16(b))
	if n > most || len(b)-2 < n {
		return "", nil, errBadRecord
	}
	return string(b[2 : 2+n]), b[2+n:], nil
}

// scanSegment reads the records of a segment, in order, from r, and says up to which
// offset they are good. The header must be there and carry number. An error of each is
// handed on; a bad or cut record ends the scan with errBadRecord, the regular end with
// nil. The record handed to each is valid until each returns.
func scanSegment(r io.Reader, number uint64, each func(rec *record, offset, size int64) error) (good int64, err error) {
	var head [segmentHeader]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, readFault(err)
	}
	if string(head[:8]) != segmentMagic || le.Uint64(head[8:]) != number {
		return 0, fmt.Errorf("header of the segment: %w", errBadRecord)
	}
	good = segmentHeader
	var frame []byte
	for {
		var h [recordHeader]byte
		if _, err := io.ReadFull(r, h[:]); errors.Is(err, io.EOF) {
			return good, nil
		} else if err != nil {
			return good, readFault(err)
		}
		n := le.Uint32(h[:])
		if n < payloadMin || n > payloadMax {
			return good, errBadRecord
		}
		frame = append(frame[:0], h[:]...)
		frame = append(frame, make([]byte, n)...)
		if _, err := io.ReadFull(r, frame[recordHeader:]); err != nil {
			return good, readFault(err)
		}
		if frameSum(frame) != le.Uint32(h[4:]) {
			return good, errBadRecord
		}
		rec, err := decodeRecord(frame[recordHeader:])
		if err != nil {
			return good, err
		}
		if err := each(&rec, good, int64(len(frame))); err != nil {
			return good, err
		}
		good += int64(len(frame))
	}
}

// readFault tells a file that ends too early from a disk that cannot be read.
func readFault(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errBadRecord
	}
	return err
}
