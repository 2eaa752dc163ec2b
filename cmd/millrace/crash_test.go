package main

import "testing"

func TestCrash(t *testing.T) {
	c := newCrashTest(t, 7)
	for i := range 3 {
		c.crash(crashPlan{Kill: pointAny, Nth: 5 + 20*i, Epoch: 40})
	}
	c.strike(crashPlan{}, 5)
	c.finish()
	t.Log(c.kills, c.spent, len(c.inbox.received()))
}
