package engine

import (
	"context"
	"errors"
)

// Message is one message of the log. Data belongs to the receiver.
type Message struct {
	Seq     uint64 // the log's sequence: the only order there is
	Time    int64  // Unix milliseconds at which the log stored it
	Subject string
	Data    []byte
}

// Position is how far the log has been read. It is committed with the state it led
// to, and checked against the stream before reading goes on.
type Position struct {
	Stream  string // the stream's name
	Created int64  // the stream's creation time, Unix nanoseconds
	Seq     uint64 // the last message that was read whole; 0 before the first
	Index   uint32 // how many events of message Seq+1 are already processed
	Hash    uint64 // HashMessage of message Seq; 0 when Seq is 0
}

// LogInfo is how a log stands when it is opened.
type LogInfo struct {
	Stream  string
	Created int64  // Unix nanoseconds
	First   uint64 // sequence of the oldest message kept
	Last    uint64 // sequence of the newest message
}

// Why a position does not fit its log. They stop the engine; going on needs --accept-gap.
var (
	ErrLogTrimmed   = errors.New("the log begins after our position: messages that we have not read are gone")
	ErrLogRewound   = errors.New("the log ends before our position: it was rewound or restored from an older copy")
	ErrLogRecreated = errors.New("the log is not the one our position belongs to: it was deleted and made anew")
	ErrLogDiffers   = errors.New("the message at our position is another one than we read")
)

// Source is a log that the engine reads in order. One goroutine at a time.
type Source interface {
	// Open checks from against the log and goes to the message after from.Seq. A
	// zero position starts at the oldest message. It answers ErrLogTrimmed,
	// ErrLogRewound, ErrLogRecreated or ErrLogDiffers, wrapped with the facts,
	// unless acceptGap is set, in which case it goes to the oldest message after
	// from.Seq that is there: of a log that was made anew to its oldest one, and of one
	// that was rewound to the next that will come.
	Open(ctx context.Context, from Position, acceptGap bool) (LogInfo, error)
	// Next fills buf with the next messages, at least one, and says how many. It
	// blocks until there is one or ctx ends, and then answers ctx.Err().
	Next(ctx context.Context, buf []Message) (int, error)
	// Close ends reading.
	Close() error
}

// HashMessage is the 64-bit FNV-1a hash of a message's bytes, as kept in Position.
func HashMessage(data []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, b := range data {
		h ^= uint64(b)
		h *= 1099511628211
	}
	return h
}
