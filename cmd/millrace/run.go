package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"millrace/engine"
	"millrace/operators/event"
	"millrace/operators/mail"
)

// addSettings declares the flags that run and dev share.
func addSettings(cmd *cobra.Command, s *settings) {
	f := cmd.Flags()
	f.StringVar(&s.dir, "data-dir", "data", "where log, state, journal and secret are kept")
	f.StringVar(&s.nats, "nats", "", "URL of an existing NATS server with JetStream, instead of the embedded one")
	f.StringVar(&s.natsListen, "nats-listen", "", "address at which programs of this machine reach the embedded NATS server, to publish events to in.>; empty for none")
	f.StringVar(&s.durability, "durability", "power", "what committed data survives: power (a power failure; syncs each commit) or process (a crash of the program)")
	f.StringVar(&s.http, "http", "127.0.0.1:8088", "address of the event ingest and of the links in mails; empty for none")
	f.StringVar(&s.console, "console", "127.0.0.1:8080", "address of the console; empty for none")
	f.StringVar(&s.linkURL, "public-url", "", "how the world reaches --http, for the links in mails")
	f.StringVar(&s.smtp, "smtp", "", "mail server, such as smtp://user:password@host:587 (default: that of shop.yaml, else a test inbox inside)")
	f.StringVar(&s.mailDir, "mail-dir", "", "also write each mail there, as an .eml file")
	f.StringVar(&s.onlyTo, "only-to", "", "hold back the mail of every other address, such as *@example.com")
	f.StringArrayVar(&s.writeKeys, "write-key", nil, "KEY or KEY=SOURCE that may send events (repeatable)")
	f.Int64Var(&s.logBytes, "log-max-bytes", 16<<30, "disk limit of the log; near it the ingest answers 503")
	f.DurationVar(&s.logAge, "log-max-age", 0, "how long the log keeps messages (default: for ever)")
	f.Int64Var(&s.reserve, "disk-reserve", 512<<20, "bytes to leave free on the disk: below it the ingest answers 503 and commits wait")
	f.Int64Var(&s.memory, "memory", 0, "bytes of memory to stay below, if it can be done (default: three quarters of what there is)")
	f.IntVar(&s.workers, "workers", 0, "goroutines that run the graph, rounded down to a power of two (default: 1 on fewer than four processors, else half of them); what comes of it is the same")
	f.DurationVar(&s.drain, "drain", 20*time.Second, "how long to wait at the end for mails under way")
	f.BoolVar(&s.acceptGap, "accept-gap", false, "go on although the log is not the one that was read: events may be missing")
}

// reserveLeast is the smallest reserve that keeps the state's memory-mapped files from
// being written when the disk is full.
const reserveLeast = 128 << 20

// checkSettings refuses what cannot be meant.
func checkSettings(s *settings) error {
	if s.durability != "power" && s.durability != "process" {
		return &exitError{exitUsage, fmt.Errorf("--durability: want power or process, got %q", s.durability)}
	}
	if s.reserve < reserveLeast {
		return &exitError{exitUsage, fmt.Errorf("--disk-reserve: want at least %d, since the state's files are rewritten in pieces of 64 MB, got %d", reserveLeast, s.reserve)}
	}
	if s.memory < 0 {
		return &exitError{exitUsage, fmt.Errorf("--memory: want bytes, got %d", s.memory)}
	}
	if s.workers < 0 {
		return &exitError{exitUsage, fmt.Errorf("--workers: want a number of goroutines, got %d", s.workers)}
	}
	if s.drain <= 0 {
		return &exitError{exitUsage, fmt.Errorf("--drain: want a time above zero, got %s", s.drain)}
	}
	if s.logBytes <= 0 || s.reserve < 0 {
		return &exitError{exitUsage, errors.New("--log-max-bytes and --disk-reserve: want numbers of bytes")}
	}
	if s.logAge < 0 || s.logAge > 0 && s.logAge < time.Minute {
		return &exitError{exitUsage, fmt.Errorf("--log-max-age: want at least a minute, got %s", s.logAge)}
	}
	if s.linkURL != "" {
		if u, err := url.Parse(s.linkURL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return &exitError{exitUsage, fmt.Errorf("--public-url: want https://host/, got %q", s.linkURL)}
		}
	}
	if s.onlyTo != "" {
		if _, err := mail.ParsePattern(s.onlyTo); err != nil {
			return &exitError{exitUsage, fmt.Errorf("--only-to: want patterns such as *@example.com, got %q", s.onlyTo)}
		}
	}
	_, err := s.sources()
	return err
}

func newRun() *cobra.Command {
	s := settings{title: "run"}
	cmd := &cobra.Command{
		Use:   "run -c FILE…",
		Short: "Process events and send mails",
		Long: `Run reads the log from where it stopped, keeps state, fires triggers and sends
mails, until it is stopped. The first SIGTERM stops reading, commits and waits for
mails under way (--drain); a second one stops at once. Nothing is lost either way.`,
		Example: `  millrace run -c configs/cart-abandonment.yaml --write-key wk_shop
  millrace run -c configs/post-purchase.yaml --once --mail-dir out   what is in the log, then stop`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkSettings(&s); err != nil {
				return err
			}
			s.log = newLogger(cmd.ErrOrStderr())
			engine.UseMemory(s.memory)
			a, err := openApp(cmd.Context(), s)
			if err != nil {
				return err
			}
			defer a.close()
			a.announce(cmd.ErrOrStderr())
			if err := a.run(cmd.Context()); err != nil {
				return err
			}
			a.report(cmd.OutOrStdout())
			return nil
		},
	}
	addSettings(cmd, &s)
	cmd.Flags().StringArrayVarP(&s.configs, "config", "c", nil, "pipeline file or directory (repeatable; default: the shipped ones)")
	cmd.Flags().BoolVar(&s.watch, "watch", false, "take the files of --config when they change, while it runs; those that are wrong are refused")
	cmd.Flags().BoolVar(&s.once, "once", false, "process what is in the log, fire every timer that is due by the last watermark, and stop")
	return cmd
}

// newLogger logs as text on a terminal and as JSON otherwise.
func newLogger(w io.Writer) *slog.Logger {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return slog.New(slog.NewTextHandler(w, nil))
	}
	return slog.New(slog.NewJSONHandler(w, nil))
}

// announce says what runs and where.
func (a *app) announce(w io.Writer) {
	durability := "power (each commit is synced to disk)"
	if a.s.durability == "process" {
		durability = "process (a crash of the program loses nothing, a power failure may)"
	}
	if a.s.nats != "" {
		durability += "; the log is as durable as its server"
	}
	fmt.Fprintf(w, "millrace %s\n  data        %s\n  durability  %s\n", version(), a.s.dir, durability)
	for _, j := range a.set.Journeys {
		fmt.Fprintf(w, "  pipeline    %s (%s)\n", j.Name, j.Mode)
	}
	if l := a.listeners["http"]; l != nil {
		fmt.Fprintf(w, "  ingest      http://%s/v1/batch\n", l.Addr())
		if len(a.s.writeKeys) == 0 {
			fmt.Fprintln(w, "              no --write-key: every request is refused")
		}
		if !isLoopback(l) {
			fmt.Fprintln(w, "              other machines can reach it, without TLS: put a proxy before it")
		}
	}
	if l := a.listeners["console"]; l != nil {
		fmt.Fprintf(w, "  console     http://%s/\n", l.Addr())
	}
	switch {
	case a.inbox != nil:
		fmt.Fprintln(w, "  mail        into the test inbox inside; nobody else gets any (--smtp for real)")
	case a.s.onlyTo != "":
		fmt.Fprintf(w, "  mail        over SMTP, only to addresses that match %s\n", a.s.onlyTo)
	default:
		fmt.Fprintln(w, "  mail        over SMTP")
	}
	if a.inbox == nil && !strings.HasPrefix(a.linkURL(), "https://") {
		fmt.Fprintf(w, "              links in mails lead to %s: readers need an https address (--public-url)\n", a.linkURL())
	}
}

// report says what a run did.
func (a *app) report(w io.Writer) {
	c := a.pipeline.Counters
	fired, cancelled := c.Fired()
	fmt.Fprintf(w, "%d events, %d triggers, %d mails, %d cancelled\n", c.Total(), fired, c.Mails.Load(), cancelled)
	decided, ended := make(map[string]uint64), make(map[string]uint64)
	for l, n := range c.Decisions() {
		switch {
		case l.Pipeline == "": // what came of an earlier decision
			ended[outcomeName(l.Outcome, l.Reason)] += n
		case l.Outcome == event.Pending:
			decided[l.Pipeline+": a mail"] += n
		default:
			decided[l.Pipeline+": none, "+l.Reason] += n
		}
	}
	table(w, "decided", decided)
	table(w, "what came of the mails", ended)
	table(w, "dead letters, millrace dlq list tells more", c.DeadLetters())
}

func outcomeName(o event.Outcome, reason string) string {
	if reason == "" {
		return o.String()
	}
	return o.String() + ": " + reason
}

// table prints counts, the largest first.
func table(w io.Writer, title string, counts map[string]uint64) {
	if len(counts) == 0 {
		return
	}
	fmt.Fprintln(w, title)
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), strings.Compare(a, b))
	})
	for _, name := range names {
		fmt.Fprintf(w, "%8d  %s\n", counts[name], name)
	}
}
