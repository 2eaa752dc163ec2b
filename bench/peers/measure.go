package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"millrace/engine/stream"
)

// peer is one ground for the job.
type peer struct {
	name    string
	run     func(context.Context, *env) (answer, error)
	process bool // without syncs: with them a message would cost a sync
	synced  bool // it syncs every message, and so does only a few
	order   bool // its answer must be that of all others
	lacks   string
}

// peers are the grounds, in the order in which they are measured.
func peers() []peer {
	const mill = "nothing of the job: state, position, timers and decisions are one commit"
	return []peer{
		{name: "millrace", run: millraceJob(1), order: true, lacks: mill},
		{name: "millrace-2", run: millraceJob(2), order: true, lacks: "as millrace, two goroutines run the graph"},
		{name: "millrace-pipeline", run: millraceWhole, lacks: "does more than the job: checks, pseudonyms, profiles, co-occurrence"},
		{name: "plain", run: plain, order: true, lacks: "nothing of the job, all by hand; no outbox, no reload, no tools"},
		{name: "benthos", run: benthos, order: true, lacks: "state and timers brought along; at least once: a batch counts twice after a crash"},
		{name: "watermill", run: watermillPeer(1), process: true, order: true, lacks: "as benthos, a message a transaction; here without syncs"},
		{name: "watermill-4", run: watermillPeer(4), process: true, lacks: "as watermill; loses the order of a person's events too"},
		{name: "watermill-4-synced", run: watermillPeer(4), synced: true, lacks: "as watermill-4, each message synced"},
	}
}

// env is what a peer is given.
type env struct {
	server *stream.Server
	url    string
	state  string // an empty directory
	sync   bool
	last   uint64 // of the log: so many events are to be taken

	workers int    // of millrace
	done    func() // to be called when all is committed: the measurement ends
}

// result is what a peer cost.
type result struct {
	Peer       string  `json:"peer"`
	Events     uint64  `json:"events"`
	Durability string  `json:"durability"`
	CPU        float64 `json:"cpu_s_per_million"`
	PerSecond  float64 `json:"events_per_second"`
	RSS        float64 `json:"rss_mb"` // greatest, of the process with its server
	StateMB    float64 `json:"state_mb"`
	Answer     answer  `json:"answer"`
	Equal      string  `json:"same_answer"`
	Lacks      string  `json:"lacks"`
}

// errEnough ends a peer that would run for ever.
var errEnough = errors.New("every event was taken")

// ended tells why a context ended that errEnough may end.
func ended(ctx context.Context) error {
	if err := context.Cause(ctx); !errors.Is(err, errEnough) {
		return err
	}
	return nil
}

// start runs a peer in a process of its own.
func start(ctx context.Context, o *options, p *peer, state string) (result, error) {
	events := o.events
	if p.synced {
		events = min(events, o.synced)
	}
	dir := filepath.Join(o.dir, state)
	defer func() { _ = os.RemoveAll(dir) }()
	// A log of its own, so that no peer finds the consumers of another.
	log := filepath.Join(o.dir, "log-of-"+state)
	defer func() { _ = os.RemoveAll(log) }()
	if err := os.CopyFS(log, os.DirFS(filepath.Join(o.dir, "log"))); err != nil {
		return result{}, fmt.Errorf("copy the log: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return result{}, err
	}
	args := []string{"-child", p.name, "-dir", log, "-state", dir, "-last", strconv.Itoa(events)}
	if p.process {
		args = append(args, "-process")
	}
	ctx, stop := context.WithTimeout(ctx, 30*time.Minute)
	defer stop()
	cmd := exec.CommandContext(ctx, self, args...) //nolint:gosec // ourselves
	cmd.Stderr = os.Stderr
	raw, err := cmd.Output()
	if err != nil {
		return result{}, err
	}
	var r result
	if err := json.Unmarshal(bytes.TrimSpace(raw), &r); err != nil {
		return r, fmt.Errorf("read what it printed: %w", err)
	}
	r.Lacks = p.lacks
	return r, nil
}

// child does the job of one peer and prints what it cost.
func child(ctx context.Context, o *options) error {
	i := slices.IndexFunc(peers(), func(p peer) bool { return p.name == o.child })
	if i < 0 {
		return fmt.Errorf("there is no peer %q", o.child)
	}
	r, err := measure(ctx, &peers()[i], o)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// measure runs a peer beside a server of its own. The CPU time of both counts, from
// when the server has recovered its log until the peer has committed the last event.
func measure(ctx context.Context, p *peer, o *options) (result, error) {
	r := result{Peer: p.name, Durability: "power"}
	if o.process {
		r.Durability = "process"
	}
	server, err := stream.StartServer(stream.ServerOptions{Dir: o.dir, Listen: "127.0.0.1:0"})
	if err != nil {
		return r, err
	}
	defer server.Shutdown()
	before, started := cpuTime(), time.Now()
	var once sync.Once
	e := &env{server: server, url: server.URL(), state: o.state, sync: !o.process, last: o.last, done: func() {
		once.Do(func() {
			events := float64(o.last)
			r.CPU = (cpuTime() - before).Seconds() / events * 1e6
			r.PerSecond = events / time.Since(started).Seconds()
			r.RSS = peakRSS()
		})
	}}
	if r.Answer, err = p.run(ctx, e); err != nil {
		return r, err
	}
	if r.Events = r.Answer.Events; r.Events != o.last {
		return r, fmt.Errorf("%d events were counted, %d are in the log", r.Events, o.last)
	}
	r.StateMB, err = size(o.state)
	return r, err
}

// size is how many MiB a directory has on disk. Badger makes files of a fixed length
// that are mostly holes, so blocks count.
func size(dir string) (float64, error) {
	blocks := int64(0)
	err := filepath.Walk(dir, func(_ string, f os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		if s, ok := f.Sys().(*syscall.Stat_t); ok && f.Mode().IsRegular() {
			blocks += s.Blocks
		}
		return nil
	})
	return float64(blocks) * 512 / (1 << 20), err
}

// medians are the rounds with the median CPU time of each peer, in the order of peers.
func medians(all []result) []result {
	var out []result
	for _, p := range peers() {
		var mine []result
		for _, r := range all {
			if r.Peer == p.name {
				mine = append(mine, r)
			}
		}
		if len(mine) > 0 {
			slices.SortFunc(mine, func(a, b result) int { return cmp.Compare(a.CPU, b.CPU) })
			out = append(out, mine[len(mine)/2])
		}
	}
	return out
}

// compare says of each result whether its answer is that of the first one, unless it is
// about another number of events or, as the whole pipeline's, about more than the job.
func compare(all []result) {
	for i := range all {
		r := &all[i]
		j := slices.IndexFunc(all, func(other result) bool { return other.Answer.Hash != 0 && other.Events == r.Events })
		switch {
		case r.Answer.Hash == 0 || all[j].Events != all[0].Events:
			r.Equal = "-"
		case j == i:
			r.Equal = "reference"
		case all[j].Answer == r.Answer:
			r.Equal = "yes"
		default:
			r.Equal = "no"
		}
	}
}

// check tells of a peer that must have the answer of all others and has not: then what
// was measured is not the same job.
func check(all []result) error {
	for _, p := range peers() {
		for _, r := range all {
			if p.order && r.Peer == p.name && r.Equal == "no" {
				return fmt.Errorf("the answer of %s is %+v, not that of %s: %+v", r.Peer, r.Answer, all[0].Peer, all[0].Answer)
			}
		}
	}
	return nil
}

// cpuTime is the processor time that this process has used, of the system too.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// peakRSS is the greatest resident memory so far, in MiB.
func peakRSS() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return float64(u.Maxrss) / 1024 // Linux counts KiB
}

// median is the middle one of values, which it sorts.
func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}
