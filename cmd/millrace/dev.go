package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"millrace/bench/shop"
	"millrace/engine"
	"millrace/operators/mail"
)

// devKey is the write key of the simulated shop.
const devKey = "wk_dev"

// devStart is when the simulated shop opens: a Monday morning, always the same, so
// that a seed fixes the run.
var devStart = time.Date(2026, 1, 5, 7, 0, 0, 0, time.UTC) //nolint:gochecknoglobals // constant

// devOptions are the flags of dev.
type devOptions struct {
	settings
	forTime  time.Duration
	seed     uint64
	shoppers int
	json     bool
}

func newDev() *cobra.Command {
	o := devOptions{}
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run the whole thing with a simulated shop and a test inbox",
		Long: `Dev starts everything in one process: the log, the state, the engine, a mailbox,
the console, and a simulated shop whose shoppers search, look, fill carts, leave
them, buy, and read their mails. Simulated time runs fast, so that an hour's wait
takes seconds. No mail leaves this machine.`,
		Example: `  millrace dev
  millrace dev --for 40s --seed 7 --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	addSettings(cmd, &o.settings)
	f := cmd.Flags()
	f.Lookup("data-dir").DefValue = "a temporary directory"
	f.DurationVar(&o.forTime, "for", 0, "stop after so much time (default: run until stopped)")
	f.Uint64Var(&o.seed, "seed", 1, "which shop: the same seed gives the same shoppers")
	f.IntVar(&o.shoppers, "shoppers", 2000, "size of the simulated population")
	f.Float64Var(&o.speed, "speed", 720, "simulated seconds in a second")
	f.BoolVar(&o.json, "json", false, "print one summary object last")
	f.StringArrayVarP(&o.configs, "config", "c", nil, "pipeline file or directory (repeatable; default: the shipped ones)")
	return cmd
}

func (o *devOptions) run(cmd *cobra.Command) error {
	if err := checkSettings(&o.settings); err != nil {
		return err
	}
	if o.speed <= 0 || o.shoppers <= 0 {
		return &exitError{exitUsage, errors.New("--speed and --shoppers: want more than zero")}
	}
	if o.forTime < 0 {
		return &exitError{exitUsage, fmt.Errorf("--for: want a time above zero, got %s", o.forTime)}
	}
	if !cmd.Flags().Changed("data-dir") {
		dir, err := os.MkdirTemp("", "millrace-dev-")
		if err != nil {
			return fmt.Errorf("make a temporary data directory: %w", err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		o.dir = dir
	}
	if !cmd.Flags().Changed("durability") {
		o.durability = "process" // a demo need not survive a power failure
	}
	if o.http == "" {
		return &exitError{exitUsage, errors.New("--http: the simulated shop needs the ingest")}
	}
	o.simulated, o.unmask, o.title = true, true, "dev"
	o.writeKeys = append(o.writeKeys, devKey+"=shop")
	o.log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	engine.UseMemory(o.memory)
	return o.play(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
}

// play runs app and shop beside each other.
func (o *devOptions) play(ctx context.Context, out, status io.Writer) error {
	var player atomic.Pointer[shop.Player]
	var reading atomic.Pointer[readers]
	o.received = func(r mail.Received) {
		if p := player.Load(); p != nil {
			reading.Load().received(r)
			p.Delivered(shop.MailSeen{ID: r.MessageID, To: r.To, Subject: r.Subject})
		}
	}
	a, err := openApp(ctx, o.settings)
	if err != nil {
		return err
	}
	defer a.close()
	a.announce(status)
	sim := shop.New(shop.Options{Seed: o.seed, Shoppers: o.shoppers, Start: devStart})
	base := "http://" + a.listeners["http"].Addr().String()
	if first, last := sim.Shoppers()[0].UserID, sim.Shoppers()[o.shoppers-1].UserID; a.listeners["console"] != nil {
		fmt.Fprintf(status, "  shoppers    %s to %s: ask why one got a mail, or none, under People in the console\n", first, last)
	}
	reading.Store(newReaders(a, shop.HTTPPost(&http.Client{}, base, devKey)))
	p := shop.NewPlayer(sim, reading.Load().Post, shop.PlayerOptions{Speed: o.speed, WriteKey: devKey, From: a.shopTime()})
	player.Store(p)

	running, stop := context.WithCancel(ctx)
	defer stop()
	if o.forTime > 0 {
		running, stop = context.WithTimeout(ctx, o.forTime)
		defer stop()
	}
	started := time.Now()
	shopEnds := make(chan error, 1)
	go func() { shopEnds <- p.Run(running) }()
	statusEnds := make(chan struct{})
	go func() {
		defer close(statusEnds)
		a.showProgress(running, status, p, started)
	}()
	err = a.run(running)
	took := time.Since(started)
	stop()
	<-statusEnds
	if shopErr := <-shopEnds; err == nil {
		err = shopErr
	}
	if err != nil {
		return err
	}
	if o.json {
		return json.NewEncoder(out).Encode(a.summary(took))
	}
	a.report(out)
	return nil
}

// shopTime is where an earlier run on the same data directory left the shop, or zero.
func (a *app) shopTime() time.Time {
	if newest := a.engine.Stats().Newest; newest > 0 {
		return time.UnixMilli(newest).UTC()
	}
	return time.Time{}
}

// summary is the last thing that dev --json prints.
type summary struct {
	Events           uint64  `json:"events"`
	EventsPerSecond  float64 `json:"events_per_second"`
	Triggers         uint64  `json:"triggers"`
	Mails            uint64  `json:"mails"`
	Duplicates       int64   `json:"duplicates"`
	Cancelled        uint64  `json:"cancelled"`
	DeadLetters      uint64  `json:"dead_letters"`
	FallbackSubjects uint64  `json:"fallback_subjects"`
}

func (a *app) summary(took time.Duration) summary {
	c := a.pipeline.Counters
	fired, cancelled := c.Fired()
	s := summary{
		Events: c.Total(), EventsPerSecond: round(float64(c.Total()) / took.Seconds()), Triggers: fired,
		Mails: c.Mails.Load(), Cancelled: cancelled, FallbackSubjects: c.Fallbacks.Load(),
	}
	for _, n := range c.DeadLetters() {
		s.DeadLetters += n
	}
	if a.inbox != nil {
		s.Duplicates = a.inbox.Stats().Duplicates
	}
	return s
}

// showProgress keeps one line on a terminal up to date, or prints one every five
// seconds elsewhere.
func (a *app) showProgress(ctx context.Context, w io.Writer, p *shop.Player, started time.Time) {
	f, ok := w.(*os.File)
	live := ok && term.IsTerminal(int(f.Fd()))
	every := 5 * time.Second
	if live {
		every = 500 * time.Millisecond
	}
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			if live {
				fmt.Fprintln(w)
			}
			return
		case <-t.C:
		}
		c := a.pipeline.Counters
		fired, cancelled := c.Fired()
		line := fmt.Sprintf("shop time %s  %6.0f events/s  %d events  %d triggers  %d mails  %d cancelled", p.Now().Format("Mon 15:04"),
			float64(c.Total())/time.Since(started).Seconds(), c.Total(), fired, c.Mails.Load(), cancelled)
		if live {
			fmt.Fprintf(w, "\r%s\x1b[K", line)
		} else {
			fmt.Fprintln(w, line)
		}
	}
}
