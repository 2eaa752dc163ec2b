package shop

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// HTTPPost returns a Post that sends to an ingest server, such as
// "http://127.0.0.1:8080", the way the Segment Node SDK does: the write key as the
// user of Basic authentication, and no answer waited for longer than 10 s. Unlike the
// SDK it also honours Retry-After on 503. Redirects are not followed; they count as
// refused.
func HTTPPost(client *http.Client, base, writeKey string) Post {
	c := *client
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	base = strings.TrimSuffix(base, "/")
	return func(ctx context.Context, path string, body []byte) error {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, base+path, bytes.NewReader(body))
		if err != nil {
			return fmt.Errorf("post events: %w", err)
		}
		r.SetBasicAuth(writeKey, "")
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("User-Agent", "analytics-node-next/latest")
		answer, err := c.Do(r)
		if err != nil {
			return fmt.Errorf("post events: %w", err)
		}
		defer func() { _ = answer.Body.Close() }()
		_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 64<<10)) // so that the connection is used again
		return judge(answer)
	}
}

// judge reads an answer as the Node SDK does: what to drop and what to send again.
func judge(answer *http.Response) error {
	switch code := answer.StatusCode; {
	case code >= 200 && code < 300:
		return nil
	case code == 408 || code == 429 || code >= 500 && code != 501 && code != 505:
		seconds, err := strconv.Atoi(answer.Header.Get("Retry-After"))
		if err != nil || seconds < 0 || seconds > 86_400 {
			seconds = 0
		}
		return &RetryError{Status: code, After: time.Duration(seconds) * time.Second}
	default:
		return &RefusedError{Status: code}
	}
}
