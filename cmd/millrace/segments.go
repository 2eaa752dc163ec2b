package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"millrace/configs"
	"millrace/engine"
	"millrace/operators"
	"millrace/operators/privacy"
	"millrace/state"
)

// This file shows the declared segments: who is in one is reckoned by a scan of a view.

func newSegments() *cobra.Command {
	var f files
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "segments",
		Short: "Show the declared segments with their size",
		Long: `Segments counts the people of each segment that shop.yaml declares, as of one commit, and
the engine may run meanwhile.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var sizes operators.SegmentSizes
			if err := askScan(cmd.Context(), f, http.MethodGet, "/segments", countSegments, cmd.ErrOrStderr(), &sizes); err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(sizes)
			}
			return segmentsText(cmd.OutOrStdout(), &sizes)
		},
	}
	cmd.Flags().StringVar(&f.dir, "data-dir", "data", "of which program")
	cmd.Flags().BoolVar(&asJSON, "json", false, "one line of JSON with people and segments")
	cmd.AddCommand(newSegmentsCluster(), newSegmentsFit())
	return cmd
}

func segmentsText(w io.Writer, sizes *operators.SegmentSizes) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, s := range sizes.Segments {
		fmt.Fprintf(t, "%s\t%d\t%.1f %%\t%s\n", s.Name, s.People, 100*s.Share, s.When)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("print segments: %w", err)
	}
	if len(sizes.Segments) == 0 {
		fmt.Fprintln(w, "shop.yaml declares no segments")
	}
	_, err := fmt.Fprintf(w, "%d people in all\n", sizes.People)
	return err
}

// scanLine is a line of the answer to a scan: how far it is, and at last what it found.
type scanLine struct {
	People int             `json:"people,omitempty"`
	Done   json.RawMessage `json:"done,omitempty"`
	Error  string          `json:"error,omitempty"`
}

// scan is something that reads all people of a view.
type scan func(ctx context.Context, p *operators.Pipeline, v *engine.View, progress func(people int)) (any, error)

// answer writes the lines of a scan.
func (s scan) answer(ctx context.Context, p *operators.Pipeline, v *engine.View, w io.Writer, flush func()) {
	e := json.NewEncoder(w)
	done, err := s(ctx, p, v, func(people int) {
		_ = e.Encode(&scanLine{People: people}) // who went away ends the context
		flush()
	})
	line := scanLine{}
	if err == nil {
		line.Done, err = json.Marshal(done)
	}
	if err != nil {
		line = scanLine{Error: err.Error()}
	}
	_ = e.Encode(&line)
}

func countSegments(ctx context.Context, p *operators.Pipeline, v *engine.View, progress func(people int)) (any, error) {
	return p.ScanSegments(ctx, v, progress)
}

// segmentAnswers adds the scans to the socket.
func (a *app) segmentAnswers(mux *http.ServeMux) {
	handle := func(pattern string, s func(r *http.Request) scan) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			v := a.engine.View()
			defer v.Close()
			s(r).answer(r.Context(), a.acts.current().pipeline, v, w, func() { _ = http.NewResponseController(w).Flush() })
		})
	}
	handle("GET /segments", func(*http.Request) scan {
		return func(ctx context.Context, p *operators.Pipeline, v *engine.View, progress func(people int)) (any, error) {
			sizes, err := p.ScanSegments(ctx, v, progress)
			if err == nil {
				a.segments.keep(sizes)
			}
			return sizes, err
		}
	})
	handle("POST /segments/cluster", func(r *http.Request) scan {
		k, _ := strconv.Atoi(r.URL.Query().Get("k"))
		return fitGroups(a.s.models(), k)
	})
	handle("POST /segments/fit", func(*http.Request) scan { return fitLifetime(a.s.models()) })
}

// askScan asks the running program, or reads the store if none runs.
func askScan(ctx context.Context, f files, method, path string, s scan, status io.Writer, into any) error {
	c, err := dialSocket(ctx, f)
	if err != nil {
		return err
	}
	bar := newCountBar(status)
	progress := func(people int) {
		if bar != nil {
			_ = bar.Set(people)
		}
	}
	defer func() {
		if bar != nil {
			_ = bar.Finish()
		}
	}()
	if c == nil {
		return withStored(f, func(p *operators.Pipeline, v *engine.View) error {
			done, err := s(ctx, p, v, progress)
			if err != nil {
				return err
			}
			raw, err := json.Marshal(done)
			if err != nil {
				return fmt.Errorf("segments: %w", err)
			}
			return json.Unmarshal(raw, into)
		})
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://millrace"+path, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := c.Do(req)
	if err != nil {
		return fmt.Errorf("ask the running program: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	return readScan(resp.Body, progress, into)
}

// maxScanLine holds 64 segments with conditions of 4,096 characters each, or a model.
const maxScanLine = 16 << 20

func readScan(r io.Reader, progress func(people int), into any) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxScanLine)
	for lines.Scan() {
		var line scanLine
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return fmt.Errorf("segments: the answer cannot be read: %w", err)
		}
		switch {
		case line.Error != "":
			return errors.New("segments: " + line.Error)
		case line.Done != nil:
			return json.Unmarshal(line.Done, into)
		default:
			progress(line.People)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("segments: %w", err)
	}
	return errors.New("segments: the answer was cut off")
}

// storedPipeline builds the version of the pipelines that a store was reached with, as far
// as it keeps and shows state.
func storedPipeline(f files, store *state.Store, names *privacy.Pseudonyms) (*operators.Pipeline, error) {
	version, raw, found, err := engine.ActiveVersion(store)
	if err != nil {
		return nil, err
	}
	o := operators.Options{Pseudonyms: names}
	if found {
		var b configs.Bundle
		if err := json.Unmarshal(raw, &b); err != nil {
			return nil, fmt.Errorf("version %d of the pipelines cannot be read: %w", version.Number, err)
		}
		set, _, err := b.Load(configs.Options{})
		if err != nil {
			return nil, &exitError{exitConfig, fmt.Errorf("version %d of the pipelines: %w", version.Number, err)}
		}
		if o.Fields, err = operators.Fields(set); err != nil {
			return nil, err
		}
		if o.Models, err = f.models().named(set); err != nil {
			return nil, err
		}
		if o.Listening, err = f.listening(set, nil); err != nil {
			return nil, err
		}
		o.Segments, o.Pace = operators.NewSegments(set, o.Fields, o.Models), operators.Pace(set)
	}
	return operators.Build(o), nil
}

// withStored calls fn with the store of a data directory on which no program runs, and
// the version of the pipelines that it was reached with.
func withStored(f files, fn func(p *operators.Pipeline, v *engine.View) error) error {
	return withStore(f, func(store *state.Store, names *privacy.Pseudonyms) (*operators.Pipeline, error) {
		return storedPipeline(f, store, names)
	}, fn)
}

// segmentSizes are those of the last scan. Safe for concurrent use.
type segmentSizes struct {
	mu   sync.Mutex
	last *operators.SegmentSizes
}

func (s *segmentSizes) keep(sizes *operators.SegmentSizes) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = sizes
}

// latest are the sizes of the last scan, nil before the first one.
func (s *segmentSizes) latest() *operators.SegmentSizes {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

const (
	scanFirst = 10 * time.Second // after the start: a replay should be under way before people are counted
	scanEvery = 10 * time.Minute // sizes of segments are looked at by the day
	scanShare = 50               // a scan may take one part of so many of a processor
)

// run scans now and then until ctx ends, while there are segments.
func (s *segmentSizes) run(ctx context.Context, a *app) {
	timer := time.NewTimer(scanFirst)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		begin := time.Now()
		if p := a.acts.current().pipeline; p.HasSegments() {
			v := a.engine.View()
			sizes, err := p.ScanSegments(ctx, v, nil)
			v.Close()
			if err == nil {
				s.keep(sizes)
			} else if ctx.Err() == nil {
				a.log.Warn("count the people of the segments", "error", err)
			}
		}
		timer.Reset(max(scanEvery, scanShare*time.Since(begin)))
	}
}
