package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"millrace/engine/stream"
)

func newDeadLetters() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dlq",
		Short: "Look at the events that could not be read, and try them again",
	}
	var d deadLetterSource
	cmd.PersistentFlags().StringVar(&d.dir, "data-dir", "data", "where the log is")
	cmd.PersistentFlags().StringVar(&d.nats, "nats", "", "URL of an existing NATS server, instead of the embedded one")
	var o output
	var from uint64
	var n int
	list := &cobra.Command{
		Use: "list", Short: "List dead letters, oldest first", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			letters, err := d.list(cmd.Context(), from, n)
			if err != nil {
				return err
			}
			if len(letters) == 0 {
				fmt.Fprintln(cmd.ErrOrStderr(), "no dead letters")
			}
			return o.print(cmd.OutOrStdout(), letters, func(w io.Writer) {
				for i := range letters {
					l := &letters[i]
					fmt.Fprintf(w, "%6d  %s  %-14s %s %d[%d]  %d bytes  %s\n", l.Number, stamp(l.At), l.Reason, l.Stream, l.Seq, l.Index, len(l.Bytes), l.Detail)
				}
			})
		},
	}
	list.Flags().Uint64Var(&from, "from", 0, "number of the first one")
	list.Flags().IntVar(&n, "n", 100, "how many at most")
	o.flag(list)
	show := &cobra.Command{
		Use: "show NUMBER", Short: "Show a dead letter with its bytes", Args: wantArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			number, err := letterNumber(args[0])
			if err != nil {
				return err
			}
			l, err := d.get(cmd.Context(), number)
			if err != nil {
				return err
			}
			return o.print(cmd.OutOrStdout(), l, func(w io.Writer) {
				l.text(w)
			})
		},
	}
	o.flag(show)
	retry := &cobra.Command{
		Use: "retry NUMBER…", Short: "Put events back into the log", Args: wantArgs(math.MaxInt),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, arg := range args {
				number, err := letterNumber(arg)
				if err != nil {
					return err
				}
				seq, err := d.retry(cmd.Context(), number)
				if err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%d is in the log again, at sequence %d\n", number, seq)
			}
			return nil
		},
	}
	cmd.AddCommand(list, show, retry)
	return cmd
}

func (l *letterJSON) text(w io.Writer) {
	kind := ""
	if l.Type != "" {
		kind = ", sent as " + l.Type
	}
	fmt.Fprintf(w, "%d  %s  %s: %s\nfrom source %q%s, %s sequence %d, event %d\n%q\n", l.Number, stamp(l.At), l.Reason, l.Detail, l.Source, kind, l.Stream, l.Seq, l.Index, l.Bytes)
}

func letterNumber(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n == 0 {
		return 0, &exitError{exitUsage, fmt.Errorf("want the number of a dead letter, got %q", s)}
	}
	return n, nil
}

// deadLetterSource is where dead letters are: with the program that runs on the data
// directory, else in its log.
type deadLetterSource struct {
	files
	nats string
}

func (d *deadLetterSource) list(ctx context.Context, from uint64, n int) (out []letterJSON, err error) {
	err = d.do(ctx, http.MethodGet, fmt.Sprintf("/dlq?from=%d&n=%d", from, n), &out, func(l *stream.Log) error {
		letters, err := l.ListDeadLetters(ctx, from, n)
		out = letterViews(letters)
		return err
	})
	return out, err
}

func (d *deadLetterSource) get(ctx context.Context, number uint64) (out letterJSON, err error) {
	err = d.do(ctx, http.MethodGet, fmt.Sprintf("/dlq/%d", number), &out, func(l *stream.Log) error {
		letter, err := l.GetDeadLetter(ctx, number)
		out = letterView(&letter)
		return err
	})
	return out, err
}

func (d *deadLetterSource) retry(ctx context.Context, number uint64) (uint64, error) {
	var out struct{ Seq uint64 }
	err := d.do(ctx, http.MethodPost, fmt.Sprintf("/dlq/%d/retry", number), &out, func(l *stream.Log) error {
		seq, err := l.Retry(ctx, number, wrapRetry)
		out.Seq = seq
		return err
	})
	return out.Seq, err
}

// do asks the running program, or the log itself.
func (d *deadLetterSource) do(ctx context.Context, method, path string, into any, own func(*stream.Log) error) error {
	if d.nats == "" {
		c, err := dialSocket(ctx, d.files)
		if err != nil {
			return err
		}
		if c != nil {
			return noLetter(call(ctx, c, method, path, into))
		}
	}
	l, closeLog, err := openLogAlone(ctx, d.files, d.nats)
	if err != nil {
		return err
	}
	defer closeLog()
	return noLetter(own(l))
}

// noLetter is err, with the exit code of what does not exist.
func noLetter(err error) error {
	if errors.Is(err, stream.ErrNotFound) || errors.Is(err, errNotFound) {
		return &exitError{exitNotFound, errors.New("no dead letter has this number (retried, too old, or never there)")}
	}
	return err
}

// openLogAlone opens the log of a data directory on which no program runs.
func openLogAlone(ctx context.Context, f files, natsURL string) (*stream.Log, func(), error) {
	o := stream.Options{URL: natsURL, KeepLimits: true}
	unlock := func() {}
	if natsURL == "" {
		if _, err := os.Stat(f.log()); err != nil {
			return nil, nil, &exitError{exitNotFound, fmt.Errorf("%s holds no log", f.dir)}
		}
		var err error
		if unlock, err = f.lock(); err != nil {
			return nil, nil, err
		}
		server, err := stream.StartServer(stream.ServerOptions{Dir: f.log(), SyncAlways: true, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			unlock()
			return nil, nil, err
		}
		o.Server = server
	}
	l, err := stream.Open(ctx, o)
	if err != nil {
		if o.Server != nil {
			o.Server.Shutdown()
		}
		unlock()
		return nil, nil, err
	}
	return l, func() {
		err := l.Close()
		if o.Server != nil {
			o.Server.Shutdown()
		}
		unlock()
		if err != nil && !errors.Is(err, context.Canceled) {
			fmt.Fprintln(os.Stderr, "millrace: close the log:", err)
		}
	}, nil
}
