package stream

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// refusal is why a request was not taken; it indexes refusals.
type refusal int

const (
	accepted refusal = iota
	refusedJSON
	refusedKey
	refusedLarge
	refusedEncoding
	refusedPath
	refusedMethod
	refusedSlow
	refusedBusy
	refusedDraining
	refusedFull
	refusedDisk
	refusedLog
)

// refusals says what is answered. A 503 always tells when to come back, in whole
// seconds, since SDKs ignore a date. RudderStack's Node SDK comes back three times
// and then loses its batch: three times the wait must outlast the cause.
var refusals = [...]struct {
	status    int
	code      string
	retrySecs int
}{
	accepted:        {http.StatusOK, "", 0},
	refusedJSON:     {http.StatusBadRequest, "invalid_json", 0},
	refusedKey:      {http.StatusUnauthorized, "invalid_write_key", 0},
	refusedLarge:    {http.StatusRequestEntityTooLarge, "too_large", 0},
	refusedEncoding: {http.StatusUnsupportedMediaType, "unsupported_encoding", 0},
	refusedPath:     {http.StatusNotFound, "not_found", 0},
	refusedMethod:   {http.StatusMethodNotAllowed, "method_not_allowed", 0},
	refusedSlow:     {http.StatusServiceUnavailable, "body_timeout", 2},
	refusedBusy:     {http.StatusServiceUnavailable, "overloaded", 2},
	refusedDraining: {http.StatusServiceUnavailable, "draining", 10},
	refusedFull:     {http.StatusServiceUnavailable, "log_full", 60},
	refusedDisk:     {http.StatusServiceUnavailable, "disk_full", 60},
	refusedLog:      {http.StatusServiceUnavailable, "log_unavailable", 5},
}

// refuse answers why and counts it.
func (g *Gateway) refuse(w http.ResponseWriter, why refusal) {
	g.refused[why].Add(1)
	r := refusals[why]
	if r.retrySecs > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(r.retrySecs))
	}
	writeBody(w, r.status, `{"success":false,"error":"`+r.code+`"}`)
}

// reason maps an error of reading, packing or storing to its answer.
func reason(err error) refusal {
	switch {
	case errors.Is(err, errJSON):
		return refusedJSON
	case errors.Is(err, errTooLarge), errors.Is(err, ErrTooLarge):
		return refusedLarge
	case errors.Is(err, errEncoding):
		return refusedEncoding
	case errors.Is(err, errBusy):
		return refusedBusy
	case errors.Is(err, errSlow), errors.Is(err, context.Canceled):
		return refusedSlow
	case errors.Is(err, errClosed):
		return refusedDraining
	case errors.Is(err, ErrFull):
		return refusedFull
	default:
		return refusedLog
	}
}

// diskGuard asks at most once a second how much the disk still holds.
type diskGuard struct {
	free    func() (uint64, error)
	reserve uint64

	mu    sync.Mutex
	asked time.Time
	last  bool
}

func (d *diskGuard) low() (bool, error) {
	if d.free == nil {
		return false, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if now := time.Now(); now.Sub(d.asked) >= time.Second {
		n, err := d.free()
		d.asked = now
		if err != nil {
			d.last = false
			return false, err
		}
		d.last = n < d.reserve
	}
	return d.last, nil
}
