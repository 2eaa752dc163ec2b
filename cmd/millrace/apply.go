package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"millrace/configs"
	"millrace/engine"
	"millrace/state"
)

// Exit codes of the commands that change what runs.
const (
	exitConflict = 5
	exitFindings = 6
)

// applyMax is the size of a request to apply: the files of a bundle, escaped at worst.
const applyMax = 8 << 20

// routes adds what changes the pipelines to the socket.
func (t *activations) routes(mux *http.ServeMux) {
	mux.HandleFunc("POST /apply", func(w http.ResponseWriter, r *http.Request) {
		var q applyRequest
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, applyMax)).Decode(&q); err != nil {
			writeAnswer(w, nil, fmt.Errorf("read the request: %w", err))
			return
		}
		writeAnswer(w, t.apply(r.Context(), &q), nil)
	})
	mux.HandleFunc("POST /rollback", func(w http.ResponseWriter, r *http.Request) {
		to, _ := strconv.ParseUint(r.URL.Query().Get("to"), 10, 64)
		writeAnswer(w, t.rollback(r.Context(), to, "rollback", r.URL.Query().Get("dry") == "true"), nil)
	})
	mux.HandleFunc("GET /versions", func(w http.ResponseWriter, _ *http.Request) { writeAnswer(w, t.list(), nil) })
}

// versionLine is a version as shown.
type versionLine struct {
	engine.PipelineVersion
	State string `json:"state"` // running or superseded
}

// versionList is all that is known of versions.
type versionList struct {
	Versions []versionLine `json:"versions"`         // the newest first
	Failed   []attempt     `json:"failed,omitempty"` // since the program started, the newest first
}

func listVersions(all []engine.PipelineVersion, failed []attempt) *versionList {
	out := &versionList{Versions: []versionLine{}}
	for i, v := range slices.Backward(all) {
		line := versionLine{v, "superseded"}
		if i == len(all)-1 {
			line.State = "running"
		}
		out.Versions = append(out.Versions, line)
	}
	for _, f := range slices.Backward(failed) {
		out.Failed = append(out.Failed, f)
	}
	return out
}

// list is what the program knows of versions.
func (t *activations) list() *versionList {
	t.mu.Lock()
	defer t.mu.Unlock()
	return listVersions(t.versions, t.failed)
}

func (l *versionList) text(w io.Writer) {
	for _, v := range l.Versions {
		fmt.Fprintf(w, "%-4d %s  %-10s  %s  by %s, message %d", v.Number, v.Hash, v.State, time.UnixMilli(v.At).UTC().Format(time.DateTime), v.By, v.Seq)
		if v.Note != "" {
			fmt.Fprintf(w, "  %q", v.Note)
		}
		fmt.Fprintln(w)
	}
	for _, f := range l.Failed {
		fmt.Fprintf(w, "-    %s  refused     %s  by %s\n", f.Hash, f.At.Format(time.DateTime), f.By)
		fmt.Fprintf(w, "       %s\n", f.Error)
	}
}

func (a *applyAnswer) text(w io.Writer) {
	for _, c := range a.Plan {
		fmt.Fprintf(w, "%-8s %s", c.Verdict, c.Part)
		if c.Detail != "" {
			fmt.Fprintf(w, ": %s", c.Detail)
		}
		fmt.Fprintln(w)
	}
	switch a.Result {
	case "applied":
		fmt.Fprintf(w, "version %d (%s) runs; the engine stood still for %.1f ms\n", a.Version, a.Hash, 1000*a.Pause)
	case "no-op":
		fmt.Fprintf(w, "version %d (%s) runs already\n", a.Version, a.Hash)
	}
}

// fault is the error that the command ends with.
func (a *applyAnswer) fault() error {
	var code int
	switch a.Result {
	case "refused":
		code = exitConfig
	case "restart":
		code = exitFindings
	case "conflict":
		code = exitConflict
	case "waiting":
		code = exitFailure
	default:
		return nil
	}
	return &exitError{code, errors.New(a.Error)}
}

// tell asks the running program to change what runs, and prints what came of it.
func tell(ctx context.Context, f files, path string, body any, o *output, w io.Writer) error {
	c, err := dialSocket(ctx, f)
	if err != nil {
		return err
	}
	if c == nil {
		return &exitError{exitNotFound, fmt.Errorf("no millrace runs on %s: it takes changed files when it starts", f.dir)}
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode the request: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://millrace"+path, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	resp, err := c.Do(req)
	if err != nil {
		return fmt.Errorf("ask the running program: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	var a applyAnswer
	if resp.StatusCode != http.StatusOK {
		var e struct{ Error string }
		_ = json.NewDecoder(io.LimitReader(resp.Body, applyMax)).Decode(&e)
		return errors.New(e.Error)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, applyMax)).Decode(&a); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if err := o.print(w, &a, a.text); err != nil {
		return err
	}
	return a.fault()
}

func newApply() *cobra.Command {
	var f files
	var o output
	var dry bool
	var note string
	cmd := &cobra.Command{
		Use:   "apply FILE…",
		Short: "Put changed pipelines in place while the engine runs",
		Long: `Apply checks the files, builds what they say beside what runs, and puts it into the
log: it takes effect there, between two events. State stays, pending timers keep
their due time, and mails that are decided already are written by the old rules.
The files are all that runs afterwards: journeys that are not among them retire.`,
		Args: wantArgs(math.MaxInt),
		RunE: func(cmd *cobra.Command, args []string) error {
			loader, err := configs.NewLoader(configs.Options{})
			if err != nil {
				return err
			}
			bundle, err := loader.Collect(args...)
			if err != nil {
				return &exitError{exitConfig, err}
			}
			q := applyRequest{Bundle: bundle, By: "apply", Note: note, DryRun: dry}
			return tell(cmd.Context(), f, "/apply", &q, &o, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&f.dir, "data-dir", "data", "where the running program keeps its data")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only say what would become of each part")
	cmd.Flags().StringVar(&note, "message", "", "why, for the list of versions")
	o.flag(cmd)
	return cmd
}

func newRollback() *cobra.Command {
	var f files
	var o output
	var dry bool
	cmd := &cobra.Command{
		Use:   "rollback [VERSION]",
		Short: "Put an older version of the pipelines in place again, by default the one before",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			to := uint64(0)
			if len(args) == 1 {
				var err error
				if to, err = strconv.ParseUint(args[0], 10, 64); err != nil || to == 0 {
					return &exitError{exitUsage, fmt.Errorf("want the number of a version, got %q", args[0])}
				}
			}
			return tell(cmd.Context(), f, fmt.Sprintf("/rollback?to=%d&dry=%t", to, dry), nil, &o, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&f.dir, "data-dir", "data", "where the running program keeps its data")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only say what would become of each part")
	o.flag(cmd)
	return cmd
}

func newVersions() *cobra.Command {
	var f files
	var o output
	cmd := &cobra.Command{
		Use:   "versions",
		Short: "List the versions of the pipelines: which ran when, and which were refused",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var l versionList
			c, err := dialSocket(cmd.Context(), f)
			switch {
			case err != nil:
			case c != nil:
				err = call(cmd.Context(), c, http.MethodGet, "/versions", &l)
			default:
				err = storedVersions(f, &l)
			}
			if err != nil {
				return err
			}
			return o.print(cmd.OutOrStdout(), &l, l.text)
		},
	}
	cmd.Flags().StringVar(&f.dir, "data-dir", "data", "where the state is")
	o.flag(cmd)
	return cmd
}

// storedVersions reads the versions of a data directory on which no program runs.
func storedVersions(f files, l *versionList) error {
	if !holdsSomething(f.state()) {
		return &exitError{exitNotFound, fmt.Errorf("%s holds no state: nothing was processed there yet", f.dir)}
	}
	unlock, err := f.lock()
	if err != nil {
		return err
	}
	defer unlock()
	store, err := state.Open(state.Options{Dir: f.state()})
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	v := &engine.View{Snapshot: store.Snapshot()}
	defer v.Close()
	all, err := engine.Versions(v)
	if err != nil {
		return err
	}
	*l = *listVersions(all, nil)
	return nil
}
