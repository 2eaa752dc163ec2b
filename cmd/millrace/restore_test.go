package main

import (
	"io"
	"path/filepath"
	"testing"

	"millrace/state"
)

// checkpoint copies the state at rest, as millrace state checkpoint does.
func (c *crashTest) checkpoint() string {
	c.t.Helper()
	store, err := state.Open(state.Options{Dir: files{c.dir}.state()})
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	dir := filepath.Join(c.t.TempDir(), "checkpoint")
	v := store.Snapshot()
	defer v.Close()
	if err := v.CopyTo(c.t.Context(), dir, nil); err != nil {
		c.t.Fatal(err)
	}
	return dir
}

// work feeds a child of so many workers, ends it as a crash does, and goes to the end of
// the log and of all effects with as many.
func (c *crashTest) work(workers, requests int) {
	c.t.Helper()
	k := c.start(crashPlan{Workers: workers})
	c.feed(k, k.url(), requests)
	k.kill()
	c.end(k, true)
	c.endWith(workers)
}

func (c *crashTest) endWith(workers int) {
	c.t.Helper()
	c.end(c.start(crashPlan{Once: true, Workers: workers}), false)
}

// TestRestoreAtOtherWorkers takes a checkpoint of one worker, goes on with four, sends
// mails, and restores the checkpoint with two: the log leads to the same people and
// decisions as a recount, and no mail leaves again. Then once more, the other way round.
func TestRestoreAtOtherWorkers(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the program many times")
	}
	c := newCrashTest(t, 41)
	c.work(1, 25)
	old := c.checkpoint()
	c.work(4, 25)
	c.days(9)
	c.endWith(4)
	before := c.judge()
	if len(before.mails) == 0 {
		t.Fatal("no mail was sent since the checkpoint")
	}
	for _, workers := range []int{2, 1, 4} {
		if err := restore(t.Context(), files{c.dir}, old, io.Discard); err != nil {
			t.Fatal(err)
		}
		c.endWith(workers)
		after := c.judge()
		if len(after.mails) != len(before.mails) || len(after.log.messages) != len(before.log.messages) {
			t.Fatalf("restored at %d workers: %d mails and %d messages, before %d and %d",
				workers, len(after.mails), len(after.log.messages), len(before.mails), len(before.log.messages))
		}
	}
	c.work(2, 10) // it goes on
	c.judge()
	t.Logf("%d messages, %d decisions, %d mails", len(before.log.messages), len(before.got.decisions), len(before.mails))
}

// TestDamagedCheckpoint refuses a checkpoint that is not what was written, and leaves the
// state as it is.
func TestDamagedCheckpoint(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the program")
	}
	c := newCrashTest(t, 42)
	c.work(1, 10)
	p := &patient{c: c, whole: c.checkpoint()}
	f := func(pattern string, d damage) {
		t.Helper()
		if err := restore(t.Context(), files{c.dir}, p.spoil(pattern, false, d), io.Discard); err == nil {
			t.Errorf("%s: a damaged checkpoint was restored", pattern)
		} else if advice(err) == "" {
			t.Errorf("%s: it does not say what to do: %v", pattern, err)
		}
	}
	f("epochs/*", flip(.5))
	f("epochs/*", cutAt(-9))
	f("MANIFEST", flip(.5))
	f("FORMAT.json", cutAt(3))
	c.endWith(1)
	c.judge()
}
