package stream

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	deadPrefix = "dlq."
	// deadBytesMax is how many bytes of an event a letter keeps: twice the largest
	// event that is accepted.
	deadBytesMax = 64 << 10
	// deadListMax is the longest list of letters that is given at once.
	deadListMax = 1000
	// RetryHeader names, on a message of the log, the dead letter that it was.
	RetryHeader = "Millrace-Retry"
)

// ErrCut says that a dead letter holds only the beginning of its event, so that it
// cannot be retried.
var ErrCut = errors.New("the dead letter holds only a part of the event")

// DeadLetter is an event that could not be processed, with the reason and the place
// in the log it came from.
type DeadLetter struct {
	Number   uint64    // its sequence among the dead letters; set when read
	Pipeline string    // which pipeline gave it up; "ingest" before any
	Operator string    // the operator's id; "decode" for unreadable ones
	Reason   string    // a code, such as "no_identity"
	Detail   string    // for people; holds no personal data
	Source   string    // whose write key it came in through, as far as known
	Type     string    // what the path of the request said, such as "track"; "" when it said nothing
	Stream   string    // the log
	Seq      uint64    // the message in the log
	Index    uint32    // the event in the message
	At       time.Time // event time, or when it was given up
	Bytes    []byte    // the event as it came in
	Cut      bool      // Bytes are only the beginning
}

// letterJSON is the letter as stored. Bytes that are text stand as text.
type letterJSON struct {
	Reason   string `json:"reason"`
	Detail   string `json:"detail,omitempty"`
	Source   string `json:"source,omitempty"`
	Type     string `json:"type,omitempty"`
	Stream   string `json:"stream"`
	Seq      uint64 `json:"seq"`
	Index    uint32 `json:"index"`
	At       int64  `json:"at"` // Unix milliseconds
	Bytes    string `json:"bytes"`
	Encoding string `json:"encoding,omitempty"` // "base64", or text
	Cut      bool   `json:"cut,omitempty"`
}

// MarshalJSON writes the letter as it is stored and shown.
func (d DeadLetter) MarshalJSON() ([]byte, error) {
	b, cut := d.Bytes, d.Cut
	if len(b) > deadBytesMax {
		b, cut = b[:deadBytesMax], true
	}
	j := letterJSON{
		Reason: d.Reason, Detail: d.Detail, Source: d.Source, Type: d.Type, Stream: d.Stream, Seq: d.Seq, Index: d.Index,
		At: d.At.UnixMilli(), Bytes: string(b), Cut: cut,
	}
	if !utf8.Valid(b) {
		j.Bytes, j.Encoding = base64.StdEncoding.EncodeToString(b), "base64"
	}
	return json.Marshal(j)
}

// UnmarshalJSON reads a stored letter.
func (d *DeadLetter) UnmarshalJSON(data []byte) error {
	var j letterJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return fmt.Errorf("read dead letter: %w", err)
	}
	*d = DeadLetter{
		Reason: j.Reason, Detail: j.Detail, Source: j.Source, Type: j.Type, Stream: j.Stream, Seq: j.Seq, Index: j.Index,
		At: time.UnixMilli(j.At).UTC(), Bytes: []byte(j.Bytes), Cut: j.Cut,
	}
	if j.Encoding == "base64" {
		b, err := base64.StdEncoding.DecodeString(j.Bytes)
		if err != nil {
			return fmt.Errorf("read dead letter: bytes: %w", err)
		}
		d.Bytes = b
	}
	return nil
}

// PublishDeadLetter keeps a dead letter. The same letter, known by its place in the
// log and who gave it up, is kept once however often it is published within an hour.
func (l *Log) PublishDeadLetter(ctx context.Context, d DeadLetter) error {
	data, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("publish dead letter of %s/%d/%d: %w", d.Stream, d.Seq, d.Index, err)
	}
	pipeline, operator := token(d.Pipeline), token(d.Operator)
	id := fmt.Sprintf("%s/%d/%d/%s/%s", d.Stream, d.Seq, d.Index, pipeline, operator)
	m := &nats.Msg{Subject: deadPrefix + pipeline + "." + operator, Data: data}
	if _, err := l.publish(ctx, l.opts.DeadStream, m, id); err != nil {
		return fmt.Errorf("dead letter of %s/%d/%d: %w", d.Stream, d.Seq, d.Index, err)
	}
	return nil
}

// token makes a name fit to be one token of a subject.
func token(name string) string {
	t := strings.Map(func(r rune) rune {
		if r <= ' ' || r >= 0x7f || strings.ContainsRune(".*>", r) {
			return '_'
		}
		return r
	}, name)
	if t == "" {
		return "_"
	}
	return t
}

// GetDeadLetter returns one dead letter by its number, or ErrNotFound.
func (l *Log) GetDeadLetter(ctx context.Context, number uint64) (DeadLetter, error) {
	return l.deadLetter(ctx, number)
}

func (l *Log) deadLetter(ctx context.Context, number uint64, opts ...jetstream.GetMsgOpt) (DeadLetter, error) {
	m, err := l.dead.GetMsg(ctx, number, opts...)
	if err != nil {
		return DeadLetter{}, logError(fmt.Sprintf("get dead letter %d", number), err)
	}
	var d DeadLetter
	if err := json.Unmarshal(m.Data, &d); err != nil {
		// Somebody else wrote into the stream: show what stands there.
		d = DeadLetter{Reason: "not_a_letter", At: m.Time, Bytes: m.Data}
	}
	d.Number = m.Sequence
	d.Pipeline, d.Operator, _ = strings.Cut(strings.TrimPrefix(m.Subject, deadPrefix), ".")
	return d, nil
}

// ListDeadLetters returns up to n dead letters, at most 1,000, with numbers from
// "from" on, oldest first.
func (l *Log) ListDeadLetters(ctx context.Context, from uint64, n int) ([]DeadLetter, error) {
	var all []DeadLetter
	for next := max(from, 1); len(all) < min(n, deadListMax); {
		// With a subject the server looks for the next message at or after a sequence.
		d, err := l.deadLetter(ctx, next, jetstream.WithGetMsgSubject(deadPrefix+">"))
		if errors.Is(err, ErrNotFound) {
			break
		}
		if err != nil {
			return all, err
		}
		all = append(all, d)
		next = d.Number + 1
	}
	return all, nil
}

// CountDeadLetters is how many dead letters there are.
func (l *Log) CountDeadLetters(ctx context.Context) (uint64, error) {
	i, err := l.dead.Info(ctx)
	if err != nil {
		return 0, logError("ask about dead letters", err)
	}
	return i.State.Msgs, nil
}

// Retry puts a dead letter's event into the log again, then deletes the letter, and
// returns the event's new sequence. wrap makes the message; nil takes the bytes as
// they are. Trying twice within two minutes does not put it in twice.
func (l *Log) Retry(ctx context.Context, number uint64, wrap func(DeadLetter) []byte) (uint64, error) {
	d, err := l.GetDeadLetter(ctx, number)
	if err != nil {
		return 0, err
	}
	if d.Cut {
		return 0, fmt.Errorf("retry dead letter %d: %w", number, ErrCut)
	}
	data := d.Bytes
	if wrap != nil {
		data = wrap(d)
	}
	m := nats.NewMsg("in.retry")
	m.Data = data
	m.Header.Set(RetryHeader, strconv.FormatUint(number, 10))
	seq, err := l.publish(ctx, l.opts.Stream, m, fmt.Sprintf("retry/%d/%d", l.dead.CachedInfo().Created.UnixNano(), number))
	if err != nil {
		return 0, fmt.Errorf("retry dead letter %d: %w", number, err)
	}
	return seq, l.DeleteDeadLetter(ctx, number)
}

// DeleteDeadLetter overwrites and deletes one dead letter.
func (l *Log) DeleteDeadLetter(ctx context.Context, number uint64) error {
	return erase(ctx, l.dead, fmt.Sprintf("delete dead letter %d", number), number)
}
