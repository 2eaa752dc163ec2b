package stream

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Why the log did not take or give a message.
var (
	// ErrFull says that the log stands at its limit: nothing was stored.
	ErrFull = errors.New("the log is full")
	// ErrUnavailable says that the log did not answer; whether the message was stored
	// is not known.
	ErrUnavailable = errors.New("the log is not available")
	// ErrTooLarge says that the message is larger than the server takes.
	ErrTooLarge = errors.New("the message is too large for the log")
	// ErrNotFound says that no message stands at that sequence.
	ErrNotFound = errors.New("no such message in the log")
	// ErrGap says that messages are missing in the middle of the log and that no
	// erasure explains it.
	ErrGap = errors.New("messages are missing in the middle of the log")
)

// API codes of JetStream that carry a meaning for us.
const (
	codeStoreFailed      jetstream.ErrorCode = 10077 // generic; its text tells more
	codeMessageTooLarge  jetstream.ErrorCode = 10054
	codeStorageExceeded  jetstream.ErrorCode = 10047
	codeNoResources      jetstream.ErrorCode = 10023
	codeAccountResources jetstream.ErrorCode = 10002
)

// logError puts our own sentinel in front of what NATS answered, so that callers
// need not know NATS. A context that ended stays what it is.
func logError(what string, err error) error {
	var api *jetstream.APIError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: %w", what, err)
	case errors.As(err, &api) && isFull(api):
		return fmt.Errorf("%s: %w: %w", what, ErrFull, err)
	case errors.Is(err, nats.ErrMaxPayload), errors.As(err, &api) && api.ErrorCode == codeMessageTooLarge:
		return fmt.Errorf("%s: %w: %w", what, ErrTooLarge, err)
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return fmt.Errorf("%s: %w", what, ErrNotFound)
	default:
		return fmt.Errorf("%s: %w: %w", what, ErrUnavailable, err)
	}
}

func isFull(api *jetstream.APIError) bool {
	switch api.ErrorCode {
	case codeStorageExceeded, codeNoResources, codeAccountResources:
		return true
	case codeStoreFailed:
		return strings.Contains(api.Description, "exceeded") ||
			strings.Contains(api.Description, "no space left")
	default:
		return false
	}
}
