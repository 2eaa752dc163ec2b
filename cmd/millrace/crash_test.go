package main

import (
	"testing"
	"time"

	"millrace/operators/event"
)

func TestCrash(t *testing.T) {
	c := newCrashTest(t, 7)
	start := time.Now()
	for i := range 20 {
		if i%2 == 0 {
			c.crash(crashPlan{Kill: pointAny, Nth: 1 + c.dice.IntN(100), Epoch: 40})
		} else {
			c.strike(crashPlan{}, c.dice.IntN(12))
		}
	}
	for _, p := range []string{pointDecoded, pointBeforeCommit, pointAfterCommit, pointBeforeJournal, pointAfterJournal, pointBeforeDot, pointAfterDot, pointBeforeReceipt} {
		c.crash(crashPlan{Kill: p, Nth: 1 + c.dice.IntN(3)})
	}
	c.finish()
	v, err := c.verify()
	if err != nil {
		t.Error(err)
	}
	if v != nil {
		dump(t, v)
		t.Log(v.count.events, v.count.repeats, len(v.count.malformed), len(v.got.decisions), len(v.mails), len(v.got.ids(event.Sent)), len(v.got.ids(event.Skipped)), len(v.got.ids(event.UnknownOutcome)), len(v.count.people), len(v.count.visitors))
	}
	t.Log(c.kills, c.spent, time.Since(start))
}

func dump(t *testing.T, v *verdict) {
	for key, p := range v.got.people {
		known := false
		for id := range v.count.people {
			known = known || v.names.Person(id) == key
		}
		if !known {
			t.Logf("unknown %+v", p)
		}
	}
	seen := map[place]bool{}
	for _, l := range v.log.letters {
		seen[place{l.Seq, l.Index}] = true
	}
	for at, raw := range v.count.malformed {
		if !seen[at] {
			t.Logf("lost letter %v %.200s", at, raw)
		}
	}
	t.Log(len(v.log.letters), len(v.count.malformed), v.got.other)
}
