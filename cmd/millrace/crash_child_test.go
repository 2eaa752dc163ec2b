package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"

	"millrace/engine"
)

// This file is the process that the crash test kills: the app as it is, on the data
// directory that it is told, with hooks at the named points.

// crashEnv names the variable that makes the test binary a child; it holds a crashPlan.
const crashEnv = "MILLRACE_CRASH_CHILD"

// crashKey is the write key that the children take events by.
const crashKey = "wk_crash"

// The points at which a child can be killed.
const (
	pointDecoded       = engine.PointDecoded
	pointBeforeCommit  = engine.PointBeforeCommit
	pointAfterCommit   = engine.PointAfterCommit
	pointBeforeJournal = "before-journal"
	pointAfterJournal  = "after-journal"
	pointBeforeDot     = "before-dot"
	pointAfterDot      = "after-dot"
	pointBeforeReceipt = "before-receipt"
	pointAny           = "any" // whichever comes
)

// crashPlan says what a child does and where it dies.
type crashPlan struct {
	Dir   string // the data directory
	SMTP  string // URL of the inbox, which lives in the parent
	Once  bool   // to the end of the log and all effects, instead of taking events
	Power bool   // durability: power, which syncs; a kill loses nothing without
	Epoch int    // units of an epoch, so that epochs end inside messages; 0: the default

	Kill string // the point of death; "" for none
	Nth  int    // which of its visits kills, from 1
	// After holds that visit up until this other point was reached, and kills then.
	After string

	// From is the point from which on visits count, "" for the start.
	From string

	EffectsFirst bool // the engine's test switch

	Limits  limits // what the system denies it
	Workers int    // goroutines that run the graph; 0: as many as suit the machine
	Console bool   // it has a console, and prints "console URL"
}

// crashChild runs the app until it is killed or done, and answers the exit code. It
// prints "ready URL" when it takes events.
func crashChild(raw string) int {
	var plan crashPlan
	if err := json.Unmarshal([]byte(raw), &plan); err != nil {
		fmt.Fprintln(os.Stderr, "crash child: read plan:", err)
		return exitUsage
	}
	k := &killer{plan: plan, reached: make(chan struct{})}
	s := settings{
		files: files{dir: plan.Dir}, durability: "process", smtp: plan.SMTP, logBytes: 1 << 30, reserve: 1,
		drain: 20 * time.Second, once: plan.Once, workers: plan.Workers, simulated: true, speed: 1, writeKeys: []string{crashKey + "=shop"},
		log:  slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		step: k.at,
		engine: func(o *engine.Options) {
			o.Hook, o.EffectsFirst, o.EpochEvents = k.at, plan.EffectsFirst, plan.Epoch
		},
	}
	if plan.Power {
		s.durability = "power"
	}
	if !plan.Once {
		s.http = "127.0.0.1:0"
	}
	if plan.Console {
		s.console = "127.0.0.1:0"
	}
	plan.Limits.apply(func(what string) { fmt.Println(what) })
	if err := runCrashChild(s); err != nil {
		fmt.Fprintln(os.Stderr, "crash child:", err)
		return exitFailure
	}
	return 0
}

func runCrashChild(s settings) error {
	a, err := openApp(context.Background(), s)
	if err != nil {
		return err
	}
	defer a.close()
	if l := a.listeners["console"]; l != nil {
		fmt.Println("console http://" + l.Addr().String())
	}
	if l := a.listeners["http"]; l != nil {
		fmt.Println("ready http://" + l.Addr().String())
	}
	return a.run(context.Background())
}

// killer kills its own process at the planned visit of the planned point.
type killer struct {
	plan    crashPlan
	mu      sync.Mutex
	visits  int
	armed   bool          // plan.From was reached
	reached chan struct{} // closed when plan.After was reached
	once    sync.Once
}

// at is called at every point, from several goroutines.
func (k *killer) at(point string) {
	if point == k.plan.After {
		k.once.Do(func() { close(k.reached) })
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.armed = k.armed || k.plan.From == "" || k.plan.From == point
	if !k.armed || k.plan.Kill != point && k.plan.Kill != pointAny {
		return
	}
	if k.visits++; k.visits != k.plan.Nth {
		return
	}
	if k.plan.After != "" {
		k.mu.Unlock()
		<-k.reached
		k.mu.Lock()
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // nothing happens after the point
}
