package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"millrace/bench"
	"millrace/operators/event"
)

// recommendBench says how recommendations over HTTP are measured.
type recommendBench struct {
	Items, Sessions, Rate, Seconds int
	Warm                           int    // seconds of questions before those that count
	Against                        string // address of a program that runs; empty: one is started and filled
	Apart                          bool   // another process asks, as in life
	Progress                       func(phase string, done, total int)
}

type recommendResult struct {
	Items    int     `json:"items"`
	Sessions int     `json:"sessions"`
	Clicks   int     `json:"clicks"`
	Fill     float64 `json:"fill_seconds"`
	Asked    int     `json:"asked"`
	Failed   int     `json:"failed"`               // no answer, or neither 200 nor 404
	Failure  string  `json:"failure,omitempty"`    // the first one
	Rate     float64 `json:"rate"`                 // answers a second
	P50      float64 `json:"p50_ms"`               // from when a question was due, so that waiting counts
	P99      float64 `json:"p99_ms"`               //
	Max      float64 `json:"max_ms"`               //
	Cold     float64 `json:"cold_p99_ms"`          // of the seconds before, right after the visits were read
	Recorded int     `json:"top_items"`            // items in an answer, on average
	CPU      float64 `json:"cpu_seconds_per_1000"` // of both sides and all else the program does meanwhile
}

func newBenchRecommend() *cobra.Command {
	var b recommendBench
	asJSON := false
	cmd := &cobra.Command{
		Use:   "recommend",
		Short: "Measure recommendations over HTTP at a fixed rate",
		Long: `Recommend runs the whole program, fills it with visits of about five items, and asks
GET /api/recommend?session= on loopback at a fixed rate. A question counts from when it
was due, not from when it was sent, so that a slow answer delays none of the later ones
in the figures. Another process asks, as in life: with --against it is all that runs, and
asks a program that you started, of whose items it should know those of --items.`,
		Example: `  millrace bench recommend --items 40000 --sessions 180000 --rate 1000 --seconds 20`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if b.Items < 100 || b.Sessions < 1 || b.Rate < 1 || b.Rate > 100_000 || b.Seconds < 1 || b.Seconds > 3600 || b.Warm < 0 || b.Warm > 3600 {
				return &exitError{exitUsage, errors.New("want at least 100 items, visits, a rate of 1 to 100000, and 1 to 3600 seconds")}
			}
			b.Apart = b.Against == ""
			b.Progress = phases(cmd.ErrOrStderr())
			r, err := b.run(cmd.Context())
			if err != nil {
				return err
			}
			return r.print(cmd.OutOrStdout(), asJSON)
		},
	}
	f := cmd.Flags()
	f.IntVar(&b.Items, "items", 40_000, "items of the shop")
	f.IntVar(&b.Sessions, "sessions", 180_000, "visits before the questions")
	f.IntVar(&b.Rate, "rate", 1000, "questions a second")
	f.IntVar(&b.Seconds, "seconds", 60, "how long")
	f.IntVar(&b.Warm, "warm", 5, "seconds of questions before, which have a figure of their own")
	f.StringVar(&b.Against, "against", "", "address of the console of a running program to ask, such as http://127.0.0.1:8025")
	f.BoolVar(&asJSON, "json", false, "print one object last")
	return cmd
}

func (r *recommendResult) print(w io.Writer, asJSON bool) error {
	if asJSON {
		raw, err := json.Marshal(r)
		if err != nil {
			return fmt.Errorf("encode the result: %w", err)
		}
		_, err = fmt.Fprintf(w, "\n%s\n", raw)
		return err
	}
	_, err := fmt.Fprintf(w, "\n%d clicks of %d visits to %d items read in %.1f s; %d questions, %.0f a second, %d failed: p50 %.2f ms, p99 %.2f ms (before: %.2f), longest %.2f ms; %d items an answer; %.2f s of processor time a thousand\n",
		r.Clicks, r.Sessions, r.Items, r.Fill, r.Asked, r.Rate, r.Failed, r.P50, r.P99, r.Cold, r.Max, r.Recorded, r.CPU)
	return err
}

// visits makes up visits: items are as unequal as those of a shop, and a visit keeps to
// a neighbourhood.
func (b *recommendBench) visits(seed uint64) func() []string {
	rng := rand.New(rand.NewPCG(1, seed)) //nolint:gosec // made-up visits, the same each time
	zipf := rand.NewZipf(rng, 1.1, 20, uint64(b.Items-1))
	return func() []string {
		start := int(zipf.Uint64()) //nolint:gosec // below the number of items
		var out []string
		for range 2 + rng.IntN(7) {
			out = append(out, fmt.Sprint("item-", (start+rng.IntN(30)*rng.IntN(3))%b.Items))
		}
		return out
	}
}

func (b *recommendBench) run(ctx context.Context) (r recommendResult, err error) {
	if b.Against != "" {
		b.askAll(ctx, &r)
		return r, ctx.Err()
	}
	dir, err := os.MkdirTemp("", "millrace-bench-")
	if err != nil {
		return r, fmt.Errorf("make a directory to measure in: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "bench.yaml")
	if err = os.WriteFile(file, []byte(benchedJourney), 0o600); err != nil {
		return r, err
	}
	a, err := openApp(ctx, settings{
		files: files{filepath.Join(dir, "data")}, configs: []string{file}, console: "127.0.0.1:0", simulated: true, speed: 1,
		durability: "process", drain: time.Second, reserve: 1, logBytes: 8 << 30, log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return r, err
	}
	defer a.close()
	running, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- a.run(running) }()
	defer func() {
		cancel()
		err = errors.Join(err, <-ended)
	}()
	began := time.Now()
	clicks, err := b.fill(ctx, a, b.visits(visitsSeed))
	if err != nil {
		return r, err
	}
	filled := time.Since(began).Seconds()
	asking := *b
	asking.Against = "http://" + a.listeners["console"].Addr().String()
	before := bench.ProcessorTime() + bench.ChildrenTime()
	if b.Apart {
		err = asking.askApart(ctx, &r)
	} else {
		asking.askAll(ctx, &r)
	}
	r.Items, r.Sessions, r.Clicks, r.Fill = b.Items, b.Sessions, clicks, filled
	used := bench.ProcessorTime() + bench.ChildrenTime() - before
	r.CPU = used.Seconds() * 1000 / float64(b.Rate*(b.Warm+b.Seconds))
	return r, cmp.Or(err, ctx.Err())
}

// Visits to ask for are not those that were read.
const (
	visitsSeed   = 2
	questionSeed = 3
)

// askApart lets another process ask: a question in the same one would wait for the
// garbage collector of the answer, and its timer with it, as no shop's does.
func (b *recommendBench) askApart(ctx context.Context, r *recommendResult) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	cmd := exec.CommandContext(ctx, self, "bench", "recommend", "--json", "--against", b.Against, "--items", strconv.Itoa(b.Items), //nolint:gosec // itself
		"--rate", strconv.Itoa(b.Rate), "--seconds", strconv.Itoa(b.Seconds), "--warm", strconv.Itoa(b.Warm))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("run the process that asks: %w", err)
	}
	if err := json.Unmarshal(out, r); err != nil {
		return fmt.Errorf("read what the process that asks found: %w", err)
	}
	return nil
}

// askAll asks for a while, and then for the figures.
func (b *recommendBench) askAll(ctx context.Context, r *recommendResult) {
	visit := b.visits(questionSeed)
	questions := make([]string, 4096)
	for k := range questions {
		questions[k] = b.Against + "/api/recommend?n=20&session=" + strings.Join(visit(), ",")
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: askers, MaxConnsPerHost: askers}, Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	if b.Warm > 0 {
		b.ask(ctx, client, questions, b.Rate*b.Warm, r)
		r.Cold = r.P99
	}
	b.ask(ctx, client, questions, b.Rate*b.Seconds, r)
}

// fill publishes the visits, a person's three an hour apart, and waits until all are read.
func (b *recommendBench) fill(ctx context.Context, a *app, visit func() []string) (clicks int, err error) {
	var items []event.Item
	for v := range b.Sessions {
		at := int64(benchStart) + int64(v)*200
		for k, id := range visit() {
			clicks++
			items = append(items, benchEvent("track", fmt.Sprint("p", v/3), fmt.Sprint("m", clicks), at+int64(k)*10,
				fmt.Sprintf(`,"event":"Product Viewed","properties":{"product_id":%q,"name":%q,"category":"c%d","price":12,"currency":"EUR"}`, id, id, len(id))))
		}
		if len(items) >= 200 || v == b.Sessions-1 {
			if err := put(ctx, a, items); err != nil {
				return clicks, fmt.Errorf("publish visits: %w", err)
			}
			items = items[:0]
			b.Progress("publish", v+1, b.Sessions)
		}
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		s := a.engine.Stats()
		b.Progress("read", int(s.Position.Seq), int(max(s.LogEnd, 1))) //nolint:gosec // numbers of messages
		info, err := a.events.Info(ctx)
		if err != nil {
			return clicks, err
		}
		if s.Position.Seq >= info.Last {
			return clicks, nil
		}
		select {
		case <-ctx.Done():
			return clicks, ctx.Err()
		case <-tick.C:
		}
	}
}

// askers is how many connections there are: at 1,000 a second each has 64 ms.
const askers = 64

// ask sends the questions when they are due.
func (b *recommendBench) ask(ctx context.Context, client *http.Client, questions []string, total int, r *recommendResult) {
	took, shown := make([]time.Duration, total), make([]int, total)
	var next, failed atomic.Int64
	var once sync.Once
	var wg sync.WaitGroup
	began := time.Now()
	for range askers {
		wg.Go(func() {
			for {
				k := int(next.Add(1)) - 1
				if k >= total || ctx.Err() != nil {
					return
				}
				due := began.Add(time.Duration(k) * time.Second / time.Duration(b.Rate))
				select {
				case <-ctx.Done():
					return
				case <-time.After(time.Until(due)):
				}
				n, err := askOnce(ctx, client, questions[k%len(questions)])
				if err != nil {
					failed.Add(1)
					once.Do(func() { r.Failure = err.Error() })
				}
				took[k], shown[k] = time.Since(due), n
			}
		})
	}
	wg.Wait()
	r.Asked, r.Failed = total, int(failed.Load())
	r.Rate = float64(total) / time.Since(began).Seconds()
	slices.Sort(took)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	r.P50, r.P99, r.Max = ms(took[total/2]), ms(took[min(total-1, total*99/100)]), ms(took[total-1])
	sum := 0
	for _, n := range shown {
		sum += n
	}
	r.Recorded = sum / total
}

func askOnce(ctx context.Context, c *http.Client, address string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return 0, err
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, fmt.Errorf("ask: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	var out recommendView
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&out); err != nil {
		return 0, fmt.Errorf("read an answer: %w", err)
	}
	if resp.StatusCode == http.StatusNotFound { // nobody ever saw these items, and nothing is popular
		return 0, nil
	}
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("answer %d", resp.StatusCode)
	}
	return len(out.Items), nil
}
