package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"millrace/engine"
	"millrace/engine/stream"
	"millrace/operators"
	"millrace/operators/event"
)

// This file answers questions about the state: over a Unix socket in the data
// directory while the program runs, else straight from the store.

// errNotFound says that nothing is known of who or what was asked for.
var errNotFound = &exitError{exitNotFound, errors.New("not found")}

// answers is what can be asked.
type answers struct {
	pipeline *operators.Pipeline
	view     func() *engine.View
	files    files // "" tells nothing of fills
}

// question is one thing to ask, as the query of a URL.
type question struct {
	What string // profile, why, recommend
	User string
	Item string
	N    int

	Session []string // items of a visit, oldest first
}

func (q question) values() url.Values {
	return url.Values{"user": {q.User}, "item": {q.Item}, "n": {strconv.Itoa(q.N)}, "session": {strings.Join(q.Session, ",")}}
}

// ask answers a question as something that encodes to JSON.
func (a *answers) ask(q question) (any, error) {
	v := a.view()
	defer v.Close()
	return a.askIn(v, q)
}

// askIn answers a question as of a view.
func (a *answers) askIn(v *engine.View, q question) (any, error) {
	switch q.What {
	case "profile":
		return a.profile(v, q.User)
	case "why":
		return a.why(v, q.User)
	case "recommend":
		return a.recommendFor(v, &q)
	default:
		return nil, errNotFound
	}
}

// serveSocket answers questions until ctx ends.
func (a *app) serveSocket(ctx context.Context, wg *sync.WaitGroup) error {
	path, err := a.s.socket()
	if err != nil {
		return err
	}
	_ = os.Remove(path) // of a run that was killed: the store's lock says that it is gone
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return fmt.Errorf("listen on the data directory's socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return errors.Join(err, l.Close())
	}
	s := &http.Server{Handler: a.socketHandler(), ReadHeaderTimeout: 5 * time.Second}
	a.serveHTTP(ctx, wg, l, s)
	return nil
}

func (a *app) socketHandler() http.Handler {
	mux := http.NewServeMux()
	a.acts.routes(mux)
	mux.HandleFunc("GET /ask/{what}", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.URL.Query().Get("n"))
		q := question{What: r.PathValue("what"), User: r.URL.Query().Get("user"), Item: r.URL.Query().Get("item"), N: n, Session: splitSession(r.URL.Query().Get("session"))}
		all := &answers{pipeline: a.acts.current().pipeline, view: a.engine.View, files: a.s.files}
		answer, err := all.ask(q)
		writeAnswer(w, answer, err)
	})
	mux.HandleFunc("GET /dlq", func(w http.ResponseWriter, r *http.Request) {
		from, _ := strconv.ParseUint(r.URL.Query().Get("from"), 10, 64)
		n, _ := strconv.Atoi(r.URL.Query().Get("n"))
		letters, err := a.events.ListDeadLetters(r.Context(), from, n)
		writeAnswer(w, letterViews(letters), err)
	})
	mux.HandleFunc("GET /dlq/{number}", func(w http.ResponseWriter, r *http.Request) {
		number, _ := strconv.ParseUint(r.PathValue("number"), 10, 64)
		letter, err := a.events.GetDeadLetter(r.Context(), number)
		writeAnswer(w, letterView(&letter), err)
	})
	mux.HandleFunc("POST /dlq/{number}/retry", func(w http.ResponseWriter, r *http.Request) {
		number, _ := strconv.ParseUint(r.PathValue("number"), 10, 64)
		seq, err := a.events.Retry(r.Context(), number, wrapRetry)
		writeAnswer(w, map[string]uint64{"seq": seq}, err)
	})
	a.stateAnswers(mux)
	a.experimentAnswers(mux)
	a.campaignAnswers(mux)
	a.segmentAnswers(mux)
	a.labelAnswers(mux)
	return mux
}

func writeAnswer(w http.ResponseWriter, answer any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		code := http.StatusInternalServerError
		if errors.Is(err, errNotFound) || errors.Is(err, stream.ErrNotFound) {
			code = http.StatusNotFound
		}
		w.WriteHeader(code)
		answer = map[string]string{"error": err.Error()}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// dialSocket is a client of the running program, or nil if none runs.
func dialSocket(ctx context.Context, f files) (*http.Client, error) {
	path, err := f.socket()
	if err != nil {
		return nil, err
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}
	c, err := dial(ctx, "", "")
	if err != nil {
		return nil, nil //nolint:nilnil,nilerr // nobody listens: no program runs
	}
	_ = c.Close()
	return &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}, nil
}

// call asks the running program.
func call(ctx context.Context, c *http.Client, method, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://millrace"+path, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := c.Do(req)
	if err != nil {
		return fmt.Errorf("ask the running program: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return fmt.Errorf("ask the running program: %w", err)
	}
	switch resp.StatusCode {
	case http.StatusOK:
		return json.Unmarshal(raw, into)
	case http.StatusNotFound:
		return errNotFound
	default:
		var e struct{ Error string }
		_ = json.Unmarshal(raw, &e)
		return errors.New(e.Error)
	}
}

// askAnyone asks the running program, or the store if none runs.
func askAnyone(ctx context.Context, f files, q question, into any) error {
	c, err := dialSocket(ctx, f)
	if err != nil {
		return err
	}
	if c != nil {
		err = call(ctx, c, http.MethodGet, "/ask/"+q.What+"?"+q.values().Encode(), into)
	} else {
		err = askStore(f, q, into)
	}
	if errors.Is(err, errNotFound) {
		what := "this user" // the id is personal, and who asks has it at hand
		if q.Item != "" {
			what = "item " + q.Item
		}
		if len(q.Session) > 0 {
			what = "these items, or any other,"
		}
		return &exitError{exitNotFound, fmt.Errorf("nothing is known of %s in %s", what, f.dir)}
	}
	return err
}

// askStore reads the store of a data directory on which no program runs.
func askStore(f files, q question, into any) error {
	var answer any
	err := withStored(f, func(p *operators.Pipeline, v *engine.View) error {
		var err error
		answer, err = (&answers{pipeline: p, files: f}).askIn(v, q)
		return err
	})
	if err != nil {
		return err
	}
	raw, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, into)
}

// letterJSON is a dead letter as shown.
type letterJSON struct {
	Number uint64    `json:"number"`
	Reason string    `json:"reason"`
	Detail string    `json:"detail"`
	Source string    `json:"source"`
	Type   string    `json:"type,omitempty"`
	Stream string    `json:"stream"`
	Seq    uint64    `json:"seq"`
	Index  uint32    `json:"index"`
	At     time.Time `json:"at"`
	Bytes  []byte    `json:"bytes"`
	Cut    bool      `json:"cut"`
}

// wrapRetry puts a dead letter's event back into an envelope, with the type that the
// path of its request had said.
func wrapRetry(d deadLetter) []byte {
	if d.Operator == letterEffect {
		return event.AppendRedo(nil, &event.Redo{Kind: d.Type, Body: d.Bytes, Letter: d.Number})
	}
	return event.AppendEnvelope(nil, event.Header{ReceivedAt: d.At.UnixMilli(), Source: d.Source}, []event.Item{{Type: d.Type, Raw: d.Bytes}})
}
