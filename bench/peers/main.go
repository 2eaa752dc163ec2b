// Command peers does one job, that of the nearest thing which a user of Go could pick
// instead of millrace, on several grounds: millrace, plain Go, Watermill and Benthos. All
// read the same filled log of an embedded JetStream server; each runs in a process of its
// own, one after the other, and is measured there. See docs/performance.md.
//
// It is a module of its own, so that millrace does not carry its peers.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"millrace/bench/shop"
	"millrace/engine/stream"
)

// What the log is called.
const (
	streamName = "EVENTS"
	subject    = "in.>"
)

// options are those of the command.
type options struct {
	events  int
	users   int
	synced  int // of peers that sync each message
	rounds  int
	only    string
	dir     string
	plot    string
	asJSON  bool
	child   string
	process bool
	last    uint64
	state   string
	nexmark bool
	query   string
}

func main() {
	var o options
	flag.IntVar(&o.events, "events", 100_000, "how many events")
	flag.IntVar(&o.users, "users", 0, "how many persons they belong to (default: as many as events)")
	flag.IntVar(&o.synced, "synced-events", 3000, "how many events those do that sync every message")
	flag.IntVar(&o.rounds, "rounds", 3, "how often each is measured; the median in CPU is told")
	flag.StringVar(&o.only, "only", "", "names of those to measure, with commas (default: all)")
	flag.StringVar(&o.dir, "dir", "", "where to measure (default: the directory of temporary files)")
	flag.StringVar(&o.plot, "plot", "", "write a plot to this SVG file")
	flag.BoolVar(&o.asJSON, "json", false, "print one object last")
	flag.StringVar(&o.child, "child", "", "do the job of this peer, in a process that the command starts")
	flag.BoolVar(&o.process, "process", false, "of a child: no syncs")
	flag.Uint64Var(&o.last, "last", 0, "of a child: where the log ends")
	flag.StringVar(&o.state, "state", "", "of a child: an empty directory for the state")
	flag.BoolVar(&o.nexmark, "nexmark", false, "measure the Nexmark queries beside Apache Flink instead")
	flag.StringVar(&o.query, "query", "", "with -nexmark: which queries, with commas (default: all that both have)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	run := measureAll
	switch {
	case o.child != "" && o.nexmark:
		run = nexmarkChild
	case o.child != "":
		run = child
	case o.nexmark:
		run = nexmarkAll
	}
	if err := run(ctx, &o); err != nil {
		fmt.Fprintf(os.Stderr, "peers: %v\n", err)
		os.Exit(1) //nolint:gocritic // nothing is left to be stopped
	}
}

// measureAll fills the log and measures one peer after the other.
func measureAll(ctx context.Context, o *options) error {
	if o.events < 100 || o.rounds < 1 || o.synced < 100 {
		return errors.New("want at least 100 events, 100 synced ones, and one round")
	}
	if o.users <= 0 {
		o.users = o.events
	}
	dir, err := os.MkdirTemp(o.dir, "millrace-peers-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	o.dir = dir
	if err := fill(ctx, o); err != nil {
		return err
	}
	var all []result
	for round := range o.rounds {
		for i, p := range peers() {
			if !o.wanted(p.name) {
				continue
			}
			fmt.Fprintf(os.Stderr, "round %d of %d: %s\n", round+1, o.rounds, p.name)
			r, err := start(ctx, o, &p, fmt.Sprintf("state-%d-%d", round, i))
			if err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			all = append(all, r)
		}
	}
	return report(o, medians(all))
}

func (o *options) wanted(name string) bool { return listed(o.only, name) }

// listed tells whether a list with commas has a name, or is empty.
func listed(list, name string) bool {
	return list == "" || slices.Contains(strings.Split(list, ","), name)
}

// fill publishes the workload of the shop, an event a message.
func fill(ctx context.Context, o *options) error {
	server, err := stream.StartServer(stream.ServerOptions{Dir: filepath.Join(o.dir, "log")})
	if err != nil {
		return err
	}
	defer server.Shutdown()
	log, err := stream.Open(ctx, stream.Options{Server: server, Stream: streamName, Subjects: []string{subject}})
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	w := shop.NewWorkload(shop.WorkloadOptions{
		Seed: 1, Events: o.events, Users: o.users, Items: 50_000,
		Start: time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC),
		// Ten hours whatever the number: nearly all carts that are left are noticed.
		Step: max(10*time.Hour/time.Duration(o.events), time.Millisecond).Truncate(time.Millisecond),
		Mix:  shop.Mix{Views: 700, Adds: 120, Removes: 30, Orders: 50},
	})
	for m := range w.All() {
		if err := log.PublishAsync(ctx, "in.bench", "", append([]byte(nil), m...)); err != nil {
			return err
		}
	}
	return log.Flush(ctx)
}

// report prints what came of it.
func report(o *options, all []result) error {
	compare(all)
	table(os.Stdout, o, all)
	if o.plot != "" {
		if err := os.WriteFile(o.plot, plot(o, all), 0o600); err != nil {
			return fmt.Errorf("write the plot: %w", err)
		}
	}
	if err := check(all); err != nil || !o.asJSON {
		return err
	}
	raw, err := json.Marshal(map[string]any{"events": o.events, "users": o.users, "rounds": o.rounds, "results": all})
	if err != nil {
		return err
	}
	_, err = fmt.Printf("\n%s\n", raw)
	return err
}
