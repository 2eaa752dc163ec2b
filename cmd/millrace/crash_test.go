package main

import (
	"strings"
	"testing"
	"time"

	"millrace/bench/shop"
	"millrace/operators/event"
)

// TestCrash kills the program again and again while events flow, then lets it come to
// its end and recomputes everything from the log.
func TestCrash(t *testing.T) {
	rounds := 8 // of three kills each
	if testing.Short() {
		rounds = 2
	}
	started := time.Now()
	c := newCrashTest(t, 7)
	for i := range rounds {
		c.crash(crashPlan{Kill: pointAny, Nth: 1 + c.dice.IntN(100), Epoch: 40})
		c.strike(crashPlan{}, c.dice.IntN(12))
		c.backlog(40)
		c.crash(crashPlan{Kill: pointAny, Nth: 1 + c.dice.IntN(150), Epoch: 1 + i*5})
	}
	for range 12 { // where a kill falls is a matter of time as well: until it fell where it hurts
		if c.inside > 0 && c.behind > 0 {
			break
		}
		c.backlog(40)
		c.crash(crashPlan{Kill: pointAny, Nth: 1 + c.dice.IntN(150), Epoch: 7})
	}
	for _, point := range []string{
		pointDecoded, pointBeforeCommit, pointAfterCommit, pointBeforeJournal, pointAfterJournal, pointBeforeDot, pointAfterDot,
		pointBeforeReceipt,
	} {
		c.crash(crashPlan{Kill: point, Nth: 1 + c.dice.IntN(3), Power: true})
	}
	c.days(9)
	for _, point := range []string{pointAny, pointBeforeDot, pointAfterDot} {
		c.crashOnce(crashPlan{Kill: point, Nth: 2 + c.dice.IntN(4), Epoch: 100})
	}
	c.finish()
	v := c.judge()
	kills := 0
	for _, n := range c.kills {
		kills += n
	}
	t.Logf("%d kills %v, of which %d met an open message, %d items to be written; %d messages in the log, %d events of %d persons and %d visitors, "+
		"%d repeats, %d dead letters; %d decisions: %d sent, %d skipped, %d unknown; %d mails; %.1f s", kills, c.kills, c.inside, c.behind,
		len(v.log.messages), v.count.events, len(v.count.people), len(v.count.visitors), v.count.repeats, len(v.log.letters),
		len(v.got.decisions), len(v.got.ids(event.Sent)), len(v.got.ids(event.Skipped)), len(v.got.ids(event.UnknownOutcome)),
		len(v.mails), time.Since(started).Seconds())
	if c.inside == 0 || c.behind == 0 || v.count.repeats == 0 || len(v.log.letters) == 0 || len(c.doubt) == 0 {
		t.Error("the kills met nothing of what they are for")
	}
	// There is nothing left to do.
	c.finish()
	again, err := c.verify()
	if err != nil {
		t.Error(err)
	} else if len(again.mails) != len(v.mails) || len(again.log.messages) != len(v.log.messages) {
		t.Errorf("another run made %d mails and %d messages of %d and %d", len(again.mails), len(again.log.messages), len(v.mails), len(v.log.messages))
	}
}

// judge ends the test unless the verifier agrees.
func (c *crashTest) judge() *verdict {
	c.t.Helper()
	v, err := c.verify()
	if err != nil {
		c.t.Fatal(err)
	}
	return v
}

// abandoned is a log with a cart that will have been left at the time that it answers.
func (c *crashTest) abandoned() time.Time {
	c.t.Helper()
	at := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	c.append(envelope(
		raw("identify", "kim", at, `,"traits":{"email":"kim@example.invalid","firstName":"Kim","marketing_consent":true}`),
		raw("track", "kim", at.Add(time.Minute), `,"event":"Product Added","properties":{"cart_id":"c1","product_id":"p1","name":"Mug","price":12.5,"quantity":1}`),
	))
	c.finish()
	return at.Add(2 * time.Hour)
}

// tell posts one event to a child, which may die of it.
func (c *crashTest) tell(k *child, e []byte) {
	c.t.Helper()
	if url := k.url(); url != "" {
		_ = c.send(c.t.Context(), url, []shop.Event{{JSON: e}})
	}
}

// TestCrashEffectsFirst swaps the order of commit and effect by the engine's test
// switch: the check after a kill must notice, and must not notice anything without.
func TestCrashEffectsFirst(t *testing.T) {
	f := func(plan crashPlan, want string, mails int) {
		t.Helper()
		c := newCrashTest(t, 1)
		later := c.abandoned()
		k := c.start(plan)
		c.tell(k, raw("page", "sam", later, ""))
		c.end(k, true)
		err := c.checkAtRest()
		switch {
		case want == "" && err != nil:
			t.Fatalf("%+v: %v", plan, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Fatalf("%+v: the check says %v, want %q", plan, err, want)
		}
		if got := len(c.inbox.received()); got != mails {
			t.Fatalf("%+v: %d mails have come, want %d", plan, got, mails)
		}
		// The same log leads to the same decision, and the journal knows it: afterwards
		// nothing is to be seen of it any more, so the check must come before.
		c.finish()
		if v := c.judge(); len(v.mails) != 1 || len(v.got.ids(event.Sent)) != 1 {
			t.Fatalf("%+v: %d mails, decisions %v", plan, len(v.mails), v.got.decisions)
		}
	}
	f(crashPlan{Kill: pointBeforeCommit, Nth: 1}, "", 0)
	f(crashPlan{Kill: pointAfterCommit, Nth: 1}, "", 0)
	f(crashPlan{Kill: pointBeforeCommit, Nth: 1, After: pointBeforeReceipt, EffectsFirst: true}, "which the state does not hold", 1)
}

// TestCrashThenOrder lets the order come after the mail and before the restart: a mail
// that left, or may have, must not end as skipped.
func TestCrashThenOrder(t *testing.T) {
	f := func(point string, want event.Outcome) {
		t.Helper()
		c := newCrashTest(t, 1)
		later := c.abandoned()
		k := c.start(crashPlan{Kill: point, Nth: 1})
		c.tell(k, raw("page", "sam", later, ""))
		c.end(k, true)
		c.died(point)
		c.append(envelope(raw("track", "kim", later.Add(time.Minute),
			`,"event":"Order Completed","properties":{"order_id":"o1","revenue":12.5,"products":[{"product_id":"p1","price":12.5,"quantity":1}]}`)))
		c.finish()
		v := c.judge()
		if len(v.got.ids(want)) != 1 || len(v.got.decisions) != 1 {
			t.Fatalf("killed at %s: want the decision %s, got %+v", point, want, v.got.decisions)
		}
	}
	f(pointAfterCommit, event.Skipped)
	f(pointBeforeJournal, event.Skipped)
	f(pointAfterJournal, event.Skipped)
	f(pointBeforeDot, event.UnknownOutcome)
	f(pointAfterDot, event.UnknownOutcome)
	f(pointBeforeReceipt, event.Sent)
}
