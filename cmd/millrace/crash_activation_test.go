//go:build !race

// Under the race detector a child takes so long to start that it dies before it has changed
// anything; what goes on inside one process is tested in activation_test.go.

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"millrace/configs"
	"millrace/engine"
	"millrace/operators/event"
)

// variants are three versions of the pipelines, which differ in what is decided, when, and
// in the links of the mails.
func variants(t *testing.T) []configs.Bundle {
	t.Helper()
	_, loader, err := loadConfigs(nil)
	if err != nil {
		t.Fatal(err)
	}
	shipped, err := loader.Collect(configPaths(nil)...)
	if err != nil {
		t.Fatal(err)
	}
	f := func(host, wait string, drop bool) configs.Bundle {
		var b configs.Bundle
		for _, file := range shipped.Files {
			if drop && file.Path == "post-purchase.yaml" {
				continue
			}
			old := file.Text
			switch file.Path {
			case "shop.yaml":
				file.Text = strings.Replace(old, "https://shop.example/cart", "https://"+host+"/cart", 1)
			case "cart-abandonment.yaml":
				file.Text = strings.Replace(old, "wait: 1h ", "wait: "+wait+" ", 1)
			default:
				file.Text += "# another text\n"
			}
			if file.Text == old && host != "shop.example" {
				t.Fatalf("%s does not say any more what the test changes", file.Path)
			}
			b.Files = append(b.Files, file)
		}
		return b
	}
	return []configs.Bundle{shipped, f("b.shop.example", "40m", false), f("c.shop.example", "2h", true)}
}

// hosts are where the links to the cart lead, of each of the variants.
var hosts = []string{"https://shop.example/", "https://b.shop.example/", "https://c.shop.example/"} //nolint:gochecknoglobals // constant

// changer applies versions to a child while events flow.
type changer struct {
	c       *crashTest
	bundles []configs.Bundle
	asked   int // the variant asked for last
	done    chan error
	// answered tells of each answer.
	answered chan struct{}
	results  map[string]int
}

// start asks a child for so many changes, one after the other, until it dies.
func (g *changer) start(ctx context.Context, k *child, n int) {
	g.done, g.answered = make(chan error, 1), make(chan struct{}, n)
	var order []int
	for range n {
		g.asked = (g.asked + 1 + g.c.dice.IntN(2)) % 3
		order = append(order, g.asked)
	}
	go func() {
		for _, i := range order {
			if err := g.apply(ctx, k, i); err != nil {
				g.done <- err
				return
			}
		}
		g.done <- nil
	}()
}

// apply asks for one of the variants. No error is made of the child's death.
func (g *changer) apply(ctx context.Context, k *child, i int) error {
	client, err := dialSocket(ctx, files{g.c.dir})
	for again := time.NewTicker(2 * time.Millisecond); client == nil; client, err = dialSocket(ctx, files{g.c.dir}) {
		select {
		case <-k.done:
			again.Stop()
			return err
		case <-again.C: // it does not listen yet
		}
	}
	raw, err := json.Marshal(applyRequest{Bundle: g.bundles[i], By: "test"})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://millrace/apply", bytes.NewReader(raw))
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil
	}
	defer func() { _ = resp.Body.Close() }()
	var ans applyAnswer
	if json.NewDecoder(resp.Body).Decode(&ans) != nil {
		return nil
	}
	g.results[ans.Result]++
	g.answered <- struct{}{}
	switch ans.Result {
	case "applied", "no-op", "conflict": // the log may hold one that was asked of a child that died
		return nil
	}
	return fmt.Errorf("variant %d: %s: %s", i, ans.Result, ans.Error)
}

// crash is crashTest.crash with changes on the way.
func (g *changer) crash(plan crashPlan, changes int) {
	c := g.c
	c.t.Helper()
	k := c.start(plan)
	url := k.url()
	g.start(c.t.Context(), k, changes)
	const most = 3000 // requests, one every few milliseconds: building a version takes a while
	n := 0
	for again := time.NewTicker(20 * time.Millisecond); n < most && c.feed(k, url, 1) == 1; n++ {
		<-again.C
	}
	if n == most {
		k.kill()
	}
	c.wait(k)
	if err := <-g.done; err != nil {
		c.t.Fatalf("child %+v: %v, said:\n%s", plan, err, k.stderr.String())
	}
	if n == most {
		c.t.Fatalf("child %+v did not come to its point within %d requests, results %v, said:\n%s", plan, n, g.results, k.stderr.String())
	}
	c.end(k, true)
	c.died(plan.From + " " + plan.Kill)
}

// strike kills a child from outside, at any moment after so many changes.
func (g *changer) strike(changes int, after time.Duration) {
	c := g.c
	c.t.Helper()
	k := c.start(crashPlan{})
	url := k.url()
	g.start(c.t.Context(), k, changes+1)
	again := time.NewTicker(20 * time.Millisecond)
	for answered := 0; answered < changes; {
		select {
		case <-g.answered:
			answered++
		case <-again.C:
			if c.feed(k, url, 1) != 1 {
				c.t.Fatalf("child died by itself, said:\n%s", c.wait(k))
			}
		}
	}
	<-time.After(after)
	k.kill()
	if err := <-g.done; err != nil {
		c.t.Fatal(err)
	}
	c.end(k, true)
	c.died("from outside")
}

// backlog puts packed events into the log. Plain ones would bring the wall's time into the
// watermark of a simulated log.
func (g *changer) backlog(n int) {
	c := g.c
	c.t.Helper()
	if len(c.unsent) > 0 {
		return
	}
	var messages [][]byte
	for range n {
		var raw [][]byte
		for range 1 + c.dice.IntN(20) {
			e := c.shop.Next()
			c.acked[e.MessageID] = true
			raw = append(raw, e.JSON)
		}
		messages = append(messages, envelope(raw...))
	}
	c.append(messages...)
}

// TestCrashActivations kills the program at each step of an activation and at random
// moments while versions of the pipelines come and go under load, then recomputes from
// the log with each version from its position on: the same state, byte for byte, the same
// decisions and versions, and each mail with the links of the version that decided it.
func TestCrashActivations(t *testing.T) {
	rounds, seed := 1, uint64(11)
	if os.Getenv("MILLRACE_CRASH") != "" {
		rounds = 5
	}
	c := newCrashTest(t, seed)
	c.patience = 4 * childMax // it builds four versions, each with its models, on a machine that may be busy
	g := &changer{c: c, bundles: variants(t), results: make(map[string]int)}
	steps := []crashPlan{
		{Kill: pointChecked, From: pointAsked}, {Kill: pointBuilt, From: pointAsked}, {Kill: pointPublished, From: pointAsked},
		{Kill: pointPrepared, From: pointAsked}, {Kill: engine.PointActivating}, {Kill: engine.PointActivated},
		{Kill: pointBeforeCommit, From: engine.PointActivated}, {Kill: pointAfterCommit, From: engine.PointActivated},
		{Kill: pointBeforeReceipt, From: engine.PointActivated}, {Kill: pointAny, From: engine.PointActivated, Nth: 5},
	}
	if testing.Short() {
		steps = steps[3:7]
	}
	kills, started := 0, time.Now()
	for range rounds {
		for i, plan := range steps {
			plan.Nth = max(plan.Nth, 1)
			plan.Epoch, plan.Workers = 1+c.dice.IntN(60), 1<<c.dice.IntN(2)
			g.crash(plan, 3)
			g.strike(1+c.dice.IntN(2), time.Duration(c.dice.IntN(int(30*time.Millisecond))))
			kills += 2
			if i%3 == 0 {
				g.backlog(20)
			}
		}
	}
	c.days(3)
	c.finish()
	v := c.judge()
	g.judge(v)
	t.Logf("%d kills %v; answers %v; %d versions; %d decisions: %d sent, %d skipped, %d unknown; %d mails; %.1f s", kills, c.kills, g.results, len(v.want.versions),
		len(v.got.decisions), len(v.got.ids(event.Sent)), len(v.got.ids(event.Skipped)), len(v.got.ids(event.UnknownOutcome)), len(v.mails), time.Since(started).Seconds())
}

// judge checks what only this test can know: which version decided, and wrote.
func (g *changer) judge(v *verdict) {
	t := g.c.t
	t.Helper()
	variant := []int{0} // of each version
	for _, w := range v.want.versions[1:] {
		for i := range g.bundles {
			if g.bundles[i].Hash() == w.Hash {
				variant = append(variant, i)
			}
		}
	}
	if len(variant) != len(v.want.versions) || len(variant) < 5 {
		t.Fatalf("%d versions in the log, of which the test knows %d", len(v.want.versions), len(variant))
	}
	linked, mailed := 0, make(map[int]int)
	for id, r := range v.mails {
		d := v.got.decisions[id]
		number, _ := d.MadeBy()
		if number == 0 || number > uint64(len(variant)) {
			t.Fatalf("decision %s was made by version %d of %d", id, number, len(variant))
		}
		if d.Kind != "cart" {
			continue
		}
		want := variant[number-1]
		m, ok := g.c.inbox.inbox.Open(r.ID)
		if !ok || !strings.Contains(m.HTML, hosts[want]+"cart?") {
			t.Errorf("decision %s of version %d was not written by variant %d:\n%s", id, number, want, m.HTML)
		}
		linked++
		mailed[want]++
	}
	if linked == 0 || len(mailed) < 2 {
		t.Errorf("%d mails of carts by the variants %v: the test met nothing of what it is for", linked, mailed)
	}
}
