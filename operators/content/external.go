package content

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// ExternalOptions say how a model outside is asked. URL and Model are required.
type ExternalOptions struct {
	URL     string // of the chat completions, such as https://host/v1/chat/completions
	Model   string
	Key     string        // sent as a bearer token; never logged, never in an error
	Timeout time.Duration // of a call: 2 s
	Budget  int           // calls in a minute: 60
	Client  *http.Client
	// Now is the time of day that the budget is counted by: time.Now if nil.
	Now func() time.Time
}

// The limits of an answer.
const (
	externalBytes  = 64 << 10 // a line is a hundred
	externalTokens = 120
)

// External is a model outside, behind the OpenAI-compatible chat API. What it writes is
// held to the same slots, lengths and words as what our own model writes; where it is
// slow, wrong, or over its budget, our own model writes. It is told no name and no
// address: facts stand as slots in what it is asked and in what it answers. Safe for
// concurrent use.
type External struct {
	o       ExternalOptions
	mu      sync.Mutex
	minute  time.Time
	calls   int
	refused map[string]uint64 // by one of ExternalReasons
}

// Why an answer of a model outside was not taken.
const (
	externalBudget = "budget"
	externalFailed = "failed"  // no answer, a slow one, or not 200
	externalBroken = "broken"  // not the JSON that was asked for, or too long
	externalGuard  = "refused" // by the guard
)

// ExternalReasons are the reasons for which an answer is not taken.
func ExternalReasons() []string {
	return []string{externalBudget, externalFailed, externalBroken, externalGuard}
}

// NewExternal returns a model outside.
func NewExternal(o ExternalOptions) (*External, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("content: external model: want an address such as https://host/v1/chat/completions")
	}
	if o.Model == "" || strings.ContainsAny(o.Key, "\r\n") {
		return nil, errors.New("content: external model: it has no name, or its key holds a line break")
	}
	o.Timeout = cmp.Or(o.Timeout, 2*time.Second) // a mail is not urgent, but the pool is bounded
	o.Budget = cmp.Or(o.Budget, 60)              // twelve mails a minute, of five parts each
	if o.Client == nil {
		o.Client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &External{o: o, refused: map[string]uint64{}}, nil
}

// Refused counts the answers that were not taken, by reason.
func (e *External) Refused(reason string) uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.refused[reason]
}

func (e *External) version() string { return "external/" + clean(e.o.Model, 40) }

// propose asks for a line. It returns why there is none, or "".
func (e *External) propose(ctx context.Context, w *Writer, t *task) (proposal, string) {
	p, why := e.try(ctx, w, t)
	if why != "" {
		e.mu.Lock()
		e.refused[why]++
		e.mu.Unlock()
	}
	return p, why
}

func (e *External) try(ctx context.Context, w *Writer, t *task) (proposal, string) {
	if !e.spend() {
		return proposal{}, externalBudget
	}
	body, err := e.call(ctx, t)
	if err != nil {
		return proposal{}, externalFailed
	}
	line, err := externalLine(body)
	if err != nil {
		return proposal{}, externalBroken
	}
	p := proposal{written: written{line: line, subject: copied(line, t.values)}, likely: math.Inf(1)}
	if w.examine(t, p.written) != "" {
		return proposal{}, externalGuard
	}
	return p, ""
}

// spend takes a call out of the budget of the minute.
func (e *External) spend() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if minute := e.o.Now().Truncate(time.Minute); !minute.Equal(e.minute) {
		e.minute, e.calls = minute, 0
	}
	e.calls++
	return e.calls <= e.o.Budget
}

type chatMessage struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// call asks and returns the answer's bytes. No error of it holds the key or the address.
func (e *External) call(ctx context.Context, t *task) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, e.o.Timeout)
	defer cancel()
	ask, err := json.Marshal(map[string]any{
		"model": e.o.Model, "temperature": 0.7, "max_tokens": externalTokens, "seed": externalSeed(t.seed),
		"messages": []chatMessage{{"system", externalRules}, {"user", externalTask(t)}},
	})
	if err != nil {
		return nil, fmt.Errorf("content: external model: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.o.URL, bytes.NewReader(ask))
	if err != nil {
		return nil, errors.New("content: external model: request")
	}
	req.Header.Set("Content-Type", "application/json")
	if e.o.Key != "" {
		req.Header.Set("Authorization", "Bearer "+e.o.Key)
	}
	res, err := e.o.Client.Do(req)
	if err != nil {
		return nil, errors.New("content: external model: no answer")
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("content: external model: status %d", res.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, externalBytes+1))
	if err != nil || len(body) > externalBytes {
		return nil, errors.New("content: external model: the answer broke off, or is too long")
	}
	return body, nil
}

func externalSeed(seed string) int64 { return generator(seed + "/external").Int64N(1 << 31) }

const externalRules = `You write one line of a shop's mail. Answer with the line alone: no quotation marks, no list, no explanation.
Use only the placeholders that are offered, exactly as written in braces. Write no digits, no currency, no percent sign,
no emoji, and nothing that is not said here: no stock, no deadline, no discount, no promise.`

// externalTask says what is to be written. It holds no value of a slot: what a slot means
// is all that the model outside learns.
func externalTask(t *task) string {
	var slots []string
	for s := range slotCount {
		if t.values[s] != "" {
			slots = append(slots, s.String())
		}
	}
	lang := map[string]string{"en": "English", "zh": "simplified Chinese"}[t.cond.language]
	var out strings.Builder
	fmt.Fprintf(&out, "Part: %s. Trigger: %s. Language: %s. At most %d characters, placeholders filled. Placeholders: %s.",
		t.cond.part, t.cond.kind, lang, t.limit, strings.Join(slots, " "))
	for s := range slotCount {
		if t.cond.want[s] {
			fmt.Fprintf(&out, " It must hold %s.", s)
		}
	}
	if t.cond.category != "" {
		fmt.Fprintf(&out, " Category: %s.", t.cond.category)
	}
	if t.cond.tone != AnyTone {
		fmt.Fprintf(&out, " Tone: %s.", t.cond.tone)
	}
	for _, word := range t.words {
		fmt.Fprintf(&out, " It must hold the word %q.", word)
	}
	return out.String()
}

// externalLine takes the line out of an answer.
func externalLine(body []byte) (string, error) {
	var answer struct {
		Choices []struct {
			Message chatMessage `json:"message"`
			Finish  string      `json:"finish_reason"`
		} `json:"choices"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return "", fmt.Errorf("content: answer of the external model: %w", err)
	}
	if len(answer.Choices) == 0 || answer.Choices[0].Finish == "length" {
		return "", errors.New("content: answer of the external model: none, or cut off")
	}
	text := strings.TrimSpace(answer.Choices[0].Message.Content)
	text = strings.TrimSpace(strings.Trim(text, "\"“”"))
	if text == "" || strings.ContainsAny(text, "\r\n") || utf8.RuneCountInString(text) > 400 || text != clean(text, 400) {
		return "", errors.New("content: answer of the external model: not one line of text")
	}
	return text, nil
}

// ExternalRefused counts the answers of the model outside that were not taken, by one of
// ExternalReasons.
func (w *Writer) ExternalRefused(reason string) uint64 {
	if w.options.External == nil {
		return 0
	}
	return w.options.External.Refused(reason)
}
