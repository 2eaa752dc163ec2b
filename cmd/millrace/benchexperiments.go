package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"millrace/operators/event"
	"millrace/operators/experiment"
)

// benchedJourney is the experiment that is measured.
const benchedJourney = `apiVersion: v1
pipeline: bench
trigger: {id: abandoned, key: [user_id, cart_id], start: {on: [Product Added]}, wait: 1h}
audience: {when: profile.consent.marketing}
content: {id: content, kind: cart, subject: fallback, variants: {control: {weight: 1}, other: {weight: 1}}}
measure: {goal: {on: Order Completed, within: 5d, value: event.total}}
send: {id: send, via: smtp/main}
`

// experimentsBench says how experiments are measured, and what came of it.
type experimentsBench struct {
	Rate, People int
	Time         time.Duration
	Durability   string
}

type experimentsResult struct {
	Outcomes       int     `json:"outcomes"`
	Rate           float64 `json:"outcomes_per_second"` // as published
	NATS           waited  `json:"nats"`                // from publishing an outcome to the message on NATS that counts it
	SSE            waited  `json:"sse"`                 // to the server-sent event that does
	Acked          waited  `json:"acked"`               // to the acknowledgement of the log, which is within both
	CPU            float64 `json:"cpu_seconds"`         // of the whole program with this measurement, while outcomes came
	PerCPU         float64 `json:"outcomes_per_cpu_second"`
	StateBytes     int     `json:"bytes_per_experiment"`
	Durability     string  `json:"durability"`
	MailsCounted   int64   `json:"people"`
	OutcomesUnseen int     `json:"outcomes_unseen"`
}

// waited is how long something took, in milliseconds.
type waited struct {
	P50 float64 `json:"p50_ms"`
	P99 float64 `json:"p99_ms"`
	Max float64 `json:"max_ms"`
}

func waitedOf(took []float64) waited {
	slices.Sort(took)
	n := len(took)
	if n == 0 {
		return waited{}
	}
	return waited{took[n/2], took[min(n-1, n*99/100)], took[n-1]}
}

func newBenchExperiments() *cobra.Command {
	var b experimentsBench
	asJSON := false
	cmd := &cobra.Command{
		Use:   "experiments",
		Short: "Measure the time from an outcome to the stream of figures",
		Long: `Experiments runs the whole program with an experiment of two variants, mails people
to an inbox of its own, and then publishes orders of theirs at a rate, 200 to a message.
It measures the time from there to the message on NATS that counts each of them, and to the
server-sent event of the console.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if b.Rate < 200 || b.People < 1 || b.Time <= 0 || b.Durability != "power" && b.Durability != "process" {
				return &exitError{exitUsage, errors.New("want a rate of at least 200, people, a time, and power or process")}
			}
			r, err := b.run(cmd.Context())
			if err != nil {
				return err
			}
			return r.print(cmd.OutOrStdout(), asJSON)
		},
	}
	f := cmd.Flags()
	f.IntVar(&b.Rate, "rate", 20_000, "outcomes a second")
	f.IntVar(&b.People, "people", 2000, "people in the experiment")
	f.DurationVar(&b.Time, "for", 10*time.Second, "how long")
	f.StringVar(&b.Durability, "durability", "power", "power or process, as for run")
	f.BoolVar(&asJSON, "json", false, "print one object")
	return cmd
}

func (r *experimentsResult) print(w io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(r)
	}
	fmt.Fprintf(w, "%d outcomes of %d people, %.0f a second, %.0f for each second of a core\n", r.Outcomes, r.MailsCounted, r.Rate, r.PerCPU)
	for _, l := range []struct {
		what string
		waited
	}{{"acknowledged by the log", r.Acked}, {"counted on NATS", r.NATS}, {"counted by SSE", r.SSE}} {
		fmt.Fprintf(w, "%-24s after %.0f ms (half), %.0f ms (99 of 100), %.0f ms (all)\n", l.what, l.P50, l.P99, l.Max)
	}
	_, err := fmt.Fprintf(w, "%d unseen; %d bytes of state an experiment\n", r.OutcomesUnseen, r.StateBytes)
	return err
}

// sentAt is when the message of each outcome was published.
type sentAt struct {
	mu    sync.Mutex
	times []time.Time
	acked []float64 // ms of each message until it was acknowledged
}

func (s *sentAt) add(at time.Time, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.times = append(s.times, slices.Repeat([]time.Time{at}, n)...)
}

func (s *sentAt) ack(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.acked = append(s.acked, float64(time.Since(at).Microseconds())/1000)
}

// seen notes when the outcomes that were published were counted in a stream.
type seen struct {
	sent  *sentAt
	mu    sync.Mutex
	took  []float64 // ms, of those that were counted
	money map[string]int64
	units map[string]int64
	more  chan struct{}
}

func newSeen(sent *sentAt) *seen {
	return &seen{sent: sent, money: make(map[string]int64), units: make(map[string]int64), more: make(chan struct{}, 1)}
}

// message takes a message as it is published: every outcome is worth 100.
func (s *seen) message(data []byte) {
	var f experiment.Figures
	if json.Unmarshal(data, &f) != nil || len(f.Arms) != 1 {
		return
	}
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.money[f.Arms[0].Name], s.units[f.Arms[0].Name] = f.Arms[0].Metric(experiment.MetricRevenue).Sum, f.Arms[0].Units
	total := 0
	for _, m := range s.money {
		total += int(m / 100)
	}
	s.sent.mu.Lock()
	for len(s.took) < min(total, len(s.sent.times)) {
		s.took = append(s.took, float64(now.Sub(s.sent.times[len(s.took)]).Microseconds())/1000)
	}
	s.sent.mu.Unlock()
	select {
	case s.more <- struct{}{}:
	default:
	}
}

// listen reads the server-sent events of a console until ctx ends.
func (s *seen) listen(ctx context.Context, address string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/experiments/stream", http.NoBody)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the console answers %s", resp.Status)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: ")); ok {
			s.message(data)
		}
	}
	return lines.Err()
}

func (s *seen) counts() (people int64, counted, sent int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.units {
		people += n
	}
	s.sent.mu.Lock()
	defer s.sent.mu.Unlock()
	return people, len(s.took), len(s.sent.times)
}

// until waits until ok, or for a minute.
func (s *seen) until(ctx context.Context, ok func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for !ok() {
		select {
		case <-s.more:
		case <-ctx.Done():
			return fmt.Errorf("wait for figures: %w", ctx.Err())
		}
	}
	return nil
}

func (b *experimentsBench) run(ctx context.Context) (r experimentsResult, err error) {
	dir, err := os.MkdirTemp("", "millrace-bench-")
	if err != nil {
		return r, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "bench.yaml")
	if err := os.WriteFile(file, []byte(benchedJourney), 0o600); err != nil {
		return r, err
	}
	a, err := openApp(ctx, settings{
		files: files{filepath.Join(dir, "data")}, configs: []string{file}, simulated: true, speed: 1, durability: b.Durability,
		drain: time.Second, reserve: 1, logBytes: 4 << 30, console: "127.0.0.1:0", log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return r, err
	}
	defer a.close()
	times := new(sentAt)
	s, page := newSeen(times), newSeen(times)
	publish := a.metering.publish
	a.metering.publish = func(subject string, data []byte) error {
		defer s.message(data)
		return publish(subject, data)
	}
	running, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- a.run(running) }()
	defer func() {
		cancel()
		err = errors.Join(err, <-ended)
	}()
	if err := b.enrol(ctx, a, s); err != nil {
		return r, err
	}
	go func() { _ = page.listen(running, a.listeners["console"].Addr().String()) }() // it ends with the program; what it did not see is counted
	if err := page.until(ctx, func() bool { n, _, _ := page.counts(); return n >= int64(b.People) }); err != nil {
		return r, err
	}
	began, before := time.Now(), cpuSeconds()
	if err := b.outcomes(ctx, a, times); err != nil {
		return r, err
	}
	r.Rate = float64(len(times.times)) / time.Since(began).Seconds()
	all := func(x *seen) func() bool { return func() bool { _, n, sent := x.counts(); return n >= sent } }
	if err := errors.Join(s.until(ctx, all(s)), page.until(ctx, all(page))); err != nil && ctx.Err() != nil {
		return r, err
	}
	r.CPU = cpuSeconds() - before
	r.PerCPU = float64(len(times.times)) / r.CPU
	r.SSE, r.Acked = waitedOf(page.took), waitedOf(times.acked)
	return b.result(a, s, r)
}

func (b *experimentsBench) result(a *app, s *seen, r experimentsResult) (experimentsResult, error) {
	people, counted, sent := s.counts()
	r.Outcomes, r.OutcomesUnseen, r.MailsCounted, r.Durability = sent, sent-counted, people, b.Durability
	v := a.engine.View()
	defer v.Close()
	n, err := a.pipeline.ExperimentBytes(v, a.pipeline.Experiment("bench"))
	r.StateBytes = n
	s.mu.Lock()
	defer s.mu.Unlock()
	r.NATS = waitedOf(s.took)
	return r, err
}

// cpuSeconds is what this process has used of processors so far.
func cpuSeconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// benchStart is when the simulated shop opens.
const benchStart = 1_772_446_800_000

func benchEvent(kind, user, id string, at int64, rest string) event.Item {
	return event.Item{Raw: fmt.Appendf(nil, `{"type":%q,"userId":%q,"messageId":%q,"timestamp":%q%s}`, kind, user, id,
		time.UnixMilli(at).UTC().Format(time.RFC3339Nano), rest)}
}

func put(ctx context.Context, a *app, items []event.Item) error {
	h := event.Header{ReceivedAt: time.Now().UnixMilli(), Source: "bench", Sim: true}
	_, err := a.events.Publish(ctx, "in.bench", "", event.AppendEnvelope(nil, h, items))
	return err
}

// enrol lets everybody leave a cart and waits until all were decided about.
func (b *experimentsBench) enrol(ctx context.Context, a *app, s *seen) error {
	var items []event.Item
	for i := range b.People {
		user := "u" + strconv.Itoa(i)
		items = append(items,
			benchEvent("identify", user, user+"i", benchStart, fmt.Sprintf(`,"traits":{"email":"%s@shop.example","marketing_consent":true}`, user)),
			benchEvent("track", user, user+"c", benchStart+1000, `,"event":"Product Added","properties":{"cart_id":"c","product_id":"T","name":"Tent","price":129,"currency":"EUR"}`))
	}
	items = append(items, benchEvent("page", "clock", "k", benchStart+3*3600_000, ""))
	for chunk := range slices.Chunk(items, 200) {
		if err := put(ctx, a, chunk); err != nil {
			return err
		}
	}
	return s.until(ctx, func() bool { n, _, _ := s.counts(); return n >= int64(b.People) })
}

// outcomes publishes orders at the rate.
func (b *experimentsBench) outcomes(ctx context.Context, a *app, s *sentAt) error {
	const pack = 200 // the gateway packs up to 500
	began, n := time.Now(), 0
	tick := time.NewTicker(max(time.Second*pack/time.Duration(b.Rate), time.Millisecond))
	defer tick.Stop()
	for time.Since(began) < b.Time {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		for due := int(float64(b.Rate) * time.Since(began).Seconds()); n+pack <= due; n += pack {
			items, at := make([]event.Item, 0, pack), benchStart+3*3600_000+time.Since(began).Milliseconds()
			for i := n; i < n+pack; i++ {
				id := "o" + strconv.Itoa(i)
				items = append(items, benchEvent("track", "u"+strconv.Itoa(i%b.People), id, at, fmt.Sprintf(
					`,"event":"Order Completed","properties":{"order_id":%q,"total":1,"revenue":1,"currency":"EUR"}`, id)))
			}
			now := time.Now()
			s.add(now, pack)
			if err := put(ctx, a, items); err != nil {
				return fmt.Errorf("publish outcomes: %w", err)
			}
			s.ack(now)
		}
	}
	return nil
}
