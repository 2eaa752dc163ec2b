package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"millrace/engine"
	"millrace/operators"
	"millrace/operators/privacy"
	"millrace/state"
)

func newState() *cobra.Command {
	cmd := &cobra.Command{Use: "state", Short: "Look at the state, and back it up while the engine runs"}
	cmd.AddCommand(newStateLs(), newStateGet(), newStateExport(), newStateCheckpoint(), newStateRestore())
	return cmd
}

func newStateLs() *cobra.Command {
	var f files
	var o output
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List what the state holds, and how much of each",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var list []engine.Stored
			err := askState(cmd.Context(), f, http.MethodGet, "/state", &list, func(v *engine.View) error {
				var err error
				list, err = engine.Inventory(v)
				return err
			})
			if err != nil {
				return err
			}
			return o.print(cmd.OutOrStdout(), list, func(w io.Writer) {
				t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
				fmt.Fprintln(t, "keys\tbytes\t  \t")
				for _, s := range list {
					fmt.Fprintf(t, "%d\t%d\t  \t%s\n", s.Keys, s.Bytes, s.Name)
				}
				_ = t.Flush()
			})
		},
	}
	cmd.Flags().StringVar(&f.dir, "data-dir", "data", "of which program")
	o.flag(cmd)
	return cmd
}

func newStateCheckpoint() *cobra.Command {
	var f files
	cmd := &cobra.Command{
		Use:   "checkpoint DIR",
		Short: "Write the committed state and its position in the log to a new directory",
		Long: `Checkpoint writes the state as of one commit, with its position in the log, to a new
directory. The engine runs on meanwhile. The journal of what was sent, the suppressions
and the secret stay in the data directory and are not part of it.`,
		Args: wantArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := filepath.Abs(args[0])
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			var reached checkpointView
			err = askState(cmd.Context(), f, http.MethodPost, "/checkpoint?"+url.Values{"dir": {dir}}.Encode(), &reached, func(v *engine.View) error {
				reached, err = writeCheckpoint(cmd.Context(), v, dir)
				return err
			})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "epoch %d is in %s, %d bytes\n", reached.Epoch, dir, reached.Bytes)
			return err
		},
	}
	cmd.Flags().StringVar(&f.dir, "data-dir", "data", "of which program")
	return cmd
}

// checkpointView is what a checkpoint holds.
type checkpointView struct {
	Epoch uint64 `json:"epoch"` // at least
	Bytes int64  `json:"bytes"`
}

func writeCheckpoint(ctx context.Context, v *engine.View, dir string) (checkpointView, error) {
	c := checkpointView{Epoch: v.Epoch}
	err := v.CopyTo(ctx, dir, func(bytes int64) { c.Bytes = bytes })
	return c, err
}

func newStateRestore() *cobra.Command {
	var f files
	cmd := &cobra.Command{
		Use:   "restore DIR",
		Short: "Put a checkpoint in the place of the state; the engine must not run",
		Long: `Restore puts a copy of a checkpoint in the place of the state, which is kept beside it.
The next run reads the log on from where the checkpoint stands. What was sent since is
known from the journal and from the receipts in the log, and is not sent again; so the
data directory must be the one that the checkpoint was made of.`,
		Args: wantArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return restore(cmd.Context(), f, args[0], cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&f.dir, "data-dir", "data", "of which program")
	return cmd
}

func restore(ctx context.Context, f files, from string, w io.Writer) error {
	unlock, err := f.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := os.Stat(filepath.Join(from, "FORMAT.json")); err != nil {
		return &exitError{exitNotFound, fmt.Errorf("%s is no checkpoint: it has no FORMAT.json", from)}
	}
	store, err := state.Open(state.Options{Dir: from})
	if err != nil {
		return fmt.Errorf("the checkpoint: %w", err)
	}
	next := f.state() + ".restored"
	if err := os.RemoveAll(next); err != nil {
		return errors.Join(fmt.Errorf("restore: %w", err), store.Close())
	}
	v := store.Snapshot()
	err = v.CopyTo(ctx, next, nil)
	v.Close()
	if err := errors.Join(err, store.Close()); err != nil {
		return err
	}
	kept := f.state() + time.Now().UTC().Format(".before-20060102T150405.000000000")
	if err := os.Rename(f.state(), kept); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("keep the state of now: %w", err)
	}
	if err := os.Rename(next, f.state()); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	_, err = fmt.Fprintf(w, "%s is the state of %s now; what it was is in %s\n", from, f.dir, kept)
	return err
}

// askState asks the running program, or reads the store if none runs.
func askState(ctx context.Context, f files, method, path string, into any, read func(v *engine.View) error) error {
	c, err := dialSocket(ctx, f)
	if err != nil {
		return err
	}
	if c != nil {
		return call(ctx, c, method, path, into)
	}
	if _, err := os.Stat(f.state()); err != nil {
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
	names, err := privacy.NewPseudonyms(make([]byte, 32)) // nobody is looked up
	if err != nil {
		return errors.Join(err, store.Close())
	}
	view, err := engine.OpenView(store, operators.Build(operators.Options{Pseudonyms: names}).Graph)
	if err != nil {
		return errors.Join(err, store.Close())
	}
	v := view()
	err = read(v)
	v.Close()
	return errors.Join(err, store.Close())
}

// stateAnswers adds what is asked about the state as a whole to the socket.
func (a *app) stateAnswers(mux *http.ServeMux) {
	a.exportAnswers(mux)
	mux.HandleFunc("GET /state", func(w http.ResponseWriter, _ *http.Request) {
		v := a.engine.View()
		defer v.Close()
		list, err := engine.Inventory(v)
		writeAnswer(w, list, err)
	})
	mux.HandleFunc("POST /checkpoint", func(w http.ResponseWriter, r *http.Request) {
		v := a.engine.View()
		defer v.Close()
		c, err := writeCheckpoint(r.Context(), v, r.URL.Query().Get("dir"))
		writeAnswer(w, c, err)
	})
}
