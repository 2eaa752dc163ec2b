package operators_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"millrace/engine"
	"millrace/engine/enginetest"
	"millrace/operators"
	"millrace/operators/event"
	"millrace/operators/trigger"
	"millrace/state"
)

// union is a log with what merges do to it. One goroutine at a time.
type union struct {
	t       *testing.T
	store   *state.Store
	log     *enginetest.Log
	at      int64 // event time of what comes next
	hold    bool  // handovers do not get into the log
	mute    bool  // receipts do not
	runs    int
	letters []operators.DeadLetter
	sent    []event.Decision
	moved   [][]byte // the handovers
	copied  []string // suppressions asked for
}

func newUnion(t *testing.T) *union {
	t.Helper()
	store, err := state.Open(state.Options{MemTable: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return &union{t: t, store: store, log: enginetest.NewLog(), at: time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC).UnixMilli()}
}

// add puts events into the log, a second apart.
func (u *union) add(h event.Header, raws ...string) {
	for _, raw := range raws {
		u.at += 1000
		h.ReceivedAt, h.Source, h.Sim = u.at, "shop", true
		u.log.Append(u.at, event.AppendEnvelope(nil, h, []event.Item{{Raw: []byte(raw)}}))
	}
}

func (u *union) say(raws ...string) { u.add(event.Header{}, raws...) }

// run processes what is in the log, and what comes of it, to its end, unless handovers
// are held, then asks.
func (u *union) run(ask func(p *operators.Pipeline, v *engine.View)) {
	u.t.Helper()
	p := build(u.t, journeys(u.t, "cart-abandonment.yaml"), 0)
	u.runs++
	ctx, cancel := context.WithCancel(u.t.Context())
	defer cancel()
	e, err := engine.Open(ctx, engine.Options{
		Source: u.log, Store: u.store, Decoder: operators.NewDecoder(event.Options{}), Graph: p.Graph, Once: true, LogEnd: u.log.Last, Workers: 1,
		Parallel: 1 + u.runs%3, // nothing depends on it
		Handlers: map[string]engine.Handler{
			operators.EffectDeadLetter: func(_ context.Context, _ *engine.View, row engine.Row) (engine.Result, time.Duration, error) {
				var d operators.DeadLetter
				err := json.Unmarshal(row.Body, &d)
				u.letters = append(u.letters, d)
				return engine.Removed, 0, err
			},
			trigger.EffectMail: func(_ context.Context, _ *engine.View, row engine.Row) (engine.Result, time.Duration, error) {
				var d event.Decision
				err := json.Unmarshal(row.Body, &d)
				u.sent = append(u.sent, d)
				if u.mute {
					return engine.Removed, 0, err
				}
				u.receipt(&d, row.ID)
				return engine.Reported, 0, err
			},
			operators.EffectHandover: operators.NewHandover(p, operators.HandoverOptions{
				Publish: func(_ context.Context, id string, data []byte) error {
					if !strings.HasPrefix(id, "handover/") {
						u.t.Errorf("published as %q", id)
					}
					if u.hold {
						cancel()
						return errDown
					}
					u.moved = append(u.moved, data)
					u.log.Append(u.at, data)
					return nil
				},
				Suppress: func(from, to string) error {
					u.copied = append(u.copied, from+" "+to)
					return nil
				},
			}),
		},
	})
	if err != nil {
		u.t.Fatal(err)
	}
	if err := e.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		u.t.Fatal(err)
	}
	if ask != nil {
		v := e.View()
		defer v.Close()
		ask(p, v)
	}
}

func (u *union) receipt(d *event.Decision, row uint64) {
	r := event.Receipt{Decision: d.ID, Person: d.Person, Effect: strconv.FormatUint(row, 10), Outcome: event.Sent, Subject: "s", At: u.at}
	u.log.Append(u.at, event.AppendReceipt(nil, &r))
}

func (u *union) dump() []string {
	u.t.Helper()
	d, err := enginetest.Dump(u.store, state.SpaceCells, state.SpaceTimers, state.SpaceOutbox)
	if err != nil {
		u.t.Fatal(err)
	}
	return d
}

func view(user string) string {
	return fmt.Sprintf(`{"type":"track","event":"Product Viewed","userId":%q,"properties":{"product_id":"mug"}}`, user)
}

func alias(user, previous string) string {
	return fmt.Sprintf(`{"type":"alias","userId":%q,"previousId":%q,"messageId":"%s<%s"}`, user, previous, user, previous)
}

func TestMergeRefusals(t *testing.T) {
	f := func(want event.Code, h event.Header, raws ...string) {
		t.Helper()
		u := newUnion(t)
		u.say(raws[:len(raws)-1]...)
		u.run(nil)
		before := len(u.letters)
		u.add(h, raws[len(raws)-1])
		u.run(nil)
		if want == "" {
			if len(u.letters) != before {
				t.Fatalf("refused: %+v", u.letters)
			}
			return
		}
		if len(u.letters) != before+1 || u.letters[before].Reason != string(want) {
			t.Fatalf("%d letters, want one more for %s: %+v", len(u.letters), want, u.letters)
		}
		// It can be tried again as it stands.
		got := event.NewDecoder(event.Options{}).DecodeAll(nil, u.letters[before].Bytes, u.at)
		last := event.NewDecoder(event.Options{}).DecodeAll(nil, []byte(raws[len(raws)-1]), u.at)
		if len(got) != 1 || got[0].Event == nil || got[0].Event.UserID != last[0].Event.UserID || got[0].Event.PreviousID != last[0].Event.PreviousID || got[0].Event.MessageID != last[0].Event.MessageID {
			t.Fatalf("%s", u.letters[before].Bytes)
		}
	}
	public := event.Header{Public: true}
	f("", event.Header{}, view("a"), view("b"), alias("b", "a"))
	f("", event.Header{}, view("a"), view("b"), alias("b", "a"), alias("b", "a"))
	f("", event.Header{}, view("a"), alias("b", "a")) // who stays was not known before
	f("", event.Header{}, view("b"), alias("b", "a")) // nobody's id
	f("", public, view("b"), alias("b", "a"))
	f("", event.Header{}, view("a"), view("b"), view("c"), alias("b", "a"), alias("c", "b"), alias("c", "a"))
	f(event.MergeCycle, event.Header{}, view("a"), view("b"), alias("b", "a"), alias("a", "b"))
	f(event.MergeCycle, event.Header{}, view("a"), view("b"), view("c"), alias("b", "a"), alias("c", "b"), alias("a", "c"))
	f(event.MergeTaken, event.Header{}, view("a"), view("b"), view("c"), alias("b", "a"), alias("c", "a"))
	f(event.NotAllowed, public, view("a"), view("b"), alias("b", "a"))

	many := []string{}
	for i := range 65 {
		many = append(many, view(fmt.Sprint("u", i)), alias("b", fmt.Sprint("u", i)))
	}
	f("", event.Header{}, many[:128]...)
	f(event.MergeFull, event.Header{}, many...)

	var large []string // a person of over 700 KiB
	for cart := range 16 {
		for part := range 2 {
			var lines []string
			for i := range 12 {
				lines = append(lines, fmt.Sprintf(`{"product_id":"%d-%d","name":%q,"category":%q}`, part, i, strings.Repeat("n", 1000), strings.Repeat("c", 1000)))
			}
			for _, product := range lines {
				large = append(large, fmt.Sprintf(`{"type":"track","event":"Product Added","userId":"a","properties":{"cart_id":"k%d","product_id":%s`, cart, strings.TrimPrefix(product, `{"product_id":`)+"}"))
			}
		}
	}
	f(event.MergeLarge, event.Header{}, append(large, view("b"), alias("b", "a"))...)
}

// What was handed over counts once, however often its message comes; one that nobody
// waits for, or that is damaged, counts never.
func TestHandoverTwice(t *testing.T) {
	u := newUnion(t)
	u.say(view("a"), view("a"), view("b"), alias("b", "a"))
	u.run(func(p *operators.Pipeline, v *engine.View) {
		b, _, err := p.Person(v, "a")
		if err != nil || b.Stat(event.ProductViewed).Count != 3 {
			t.Fatalf("%+v: %v", b.Kinds, err)
		}
		m, err := p.Merged(v, "a")
		if err != nil || m.Into != pseudonyms(t).Person("b") || m.Others != 1 || m.Awaits != 0 {
			t.Fatalf("%+v: %v", m, err)
		}
		if m, err = p.Merged(v, "b"); err != nil || m.Into != "" || m.Others != 1 {
			t.Fatalf("%+v: %v", m, err)
		}
	})
	want := u.dump()
	if len(u.moved) != 1 || !slices.Equal(u.copied, []string{names(t, "a", "b"), names(t, "a", "b")}) {
		t.Fatalf("%d handovers, copied %q", len(u.moved), u.copied)
	}
	if bytes.Contains(u.moved[0], []byte(`"a"`)) {
		t.Fatal("the shop's id stands in the message")
	}
	for range 2 {
		u.log.Append(u.at, u.moved[0])
	}
	u.run(nil)
	if got := u.dump(); !slices.Equal(got, want) || len(u.letters) != 0 {
		t.Fatalf("%d keys, then %d: %+v", len(want), len(got), u.letters)
	}
	forged := bytes.ReplaceAll(u.moved[0], []byte(pseudonyms(t).Person("a")), []byte(pseudonyms(t).Person("z")))
	u.log.Append(u.at, forged)
	u.run(nil)
	if len(u.letters) != 1 || u.letters[0].Reason != string(event.BadEnvelope) || !slices.Equal(u.dump(), want) {
		t.Fatalf("%+v", u.letters)
	}
}

func names(t *testing.T, users ...string) string {
	t.Helper()
	out := make([]string, len(users))
	for i := range users {
		out[i] = pseudonyms(t).Person(users[i])
	}
	return strings.Join(out, " ")
}

// A handover that is damaged goes to the dead letters; the true one still counts.
func TestHandoverDamaged(t *testing.T) {
	u := newUnion(t)
	u.say(view("a"), view("b"), alias("b", "a"))
	u.hold = true
	u.run(nil)
	damaged := event.Handover{ID: "x", From: pseudonyms(t).Person("a"), To: pseudonyms(t).Person("b")}
	damaged.Put("profile", []byte{1, 2, 3})
	raw, err := json.Marshal(&damaged)
	if err != nil {
		t.Fatal(err)
	}
	u.log.Append(u.at, event.AppendHandover(nil, raw))
	u.hold = false
	u.run(func(p *operators.Pipeline, v *engine.View) {
		b, _, err := p.Person(v, "b")
		if err != nil || b.Stat(event.ProductViewed).Count != 2 {
			t.Fatalf("%+v: %v", b.Kinds, err)
		}
	})
	if len(u.letters) != 1 || u.letters[0].Reason != string(event.BadEnvelope) {
		t.Fatalf("%+v", u.letters)
	}
}

// A receipt that is read while the decision it is about is on its way waits for it, along
// a chain as well.
func TestEarlyReceipt(t *testing.T) {
	f := func(merges ...string) {
		t.Helper()
		u := newUnion(t)
		u.say(`{"type":"identify","userId":"a","traits":{"email":"a@shop.example","marketing_consent":true}}`, view("b"), view("c"),
			`{"type":"track","event":"Product Added","userId":"a","properties":{"product_id":"mug","name":"mug","price":12.9,"cart_id":"k"}}`)
		u.at += 2 * 3_600_000
		u.say(view("d")) // the wait is over
		u.hold = true
		u.say(merges...)
		u.run(nil)
		if len(u.sent) != 1 || len(u.moved) != 0 {
			t.Fatalf("%d mails, %d handovers", len(u.sent), len(u.moved))
		}
		u.run(func(p *operators.Pipeline, v *engine.View) { // reads the receipt, and cannot settle it
			if m, err := p.Merged(v, "a"); err != nil || m.Awaits == 0 {
				t.Fatalf("%+v: %v", m, err)
			}
		})
		u.hold = false
		u.run(func(p *operators.Pipeline, v *engine.View) {
			all, err := p.Decisions(v, "a")
			if err != nil || len(all) != 1 || all[0].Outcome != event.Sent || all[0].Subject != "s" {
				t.Fatalf("%+v: %v", all, err)
			}
		})
		if len(u.sent) != 1 || len(u.letters) != 0 {
			t.Fatalf("%d mails, %+v", len(u.sent), u.letters)
		}
	}
	f(alias("b", "a"))
	f(alias("b", "a"), alias("c", "b"))
}

// The same when the decision came with a first handover that has arrived, at a person who
// was then handed over himself.
func TestEarlyReceiptOfTheSecondHand(t *testing.T) {
	u := newUnion(t)
	u.mute = true
	u.say(`{"type":"identify","userId":"a","traits":{"email":"a@shop.example","marketing_consent":true}}`, view("b"), view("c"),
		`{"type":"track","event":"Product Added","userId":"a","properties":{"product_id":"mug","name":"mug","price":12.9,"cart_id":"k"}}`)
	u.at += 2 * 3_600_000
	u.say(view("d"), alias("b", "a"))
	u.run(nil)
	u.say(alias("c", "b"))
	u.hold = true
	u.run(nil)
	if len(u.sent) != 1 || len(u.moved) != 1 {
		t.Fatalf("%d mails, %d handovers", len(u.sent), len(u.moved))
	}
	u.receipt(&u.sent[0], 1)
	u.run(nil)
	u.hold = false
	u.run(func(p *operators.Pipeline, v *engine.View) {
		all, err := p.Decisions(v, "b")
		if err != nil || len(all) != 1 || all[0].Outcome != event.Sent {
			t.Fatalf("%+v: %v", all, err)
		}
	})
}
