package operators_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"millrace/configs"
	"millrace/engine"
	"millrace/engine/enginetest"
	"millrace/operators"
	"millrace/operators/content"
	"millrace/operators/event"
	"millrace/operators/experiment"
	"millrace/operators/sentiment"
)

// listening is how the shop of a set listens, with the shipped model.
func listening(t testing.TB, set *configs.Set) *operators.Listening {
	t.Helper()
	if set.Shop.Sentiment == nil {
		return nil
	}
	m, err := sentiment.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	return operators.Listen(set, m, "sentiment-shipped0", operators.NewToneWatch())
}

// speech is a log of a shop, filled by one event after the other.
type speech struct {
	*enginetest.Log
	at  time.Time
	n   int
	all []engine.Message // as they were put in
}

func newSpeech() *speech {
	return &speech{Log: enginetest.NewLog(), at: time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)}
}

// say puts a track event of a person into the log, some time after the last one.
func (s *speech) say(after time.Duration, user, name, properties string) {
	s.n++
	s.raw(after, fmt.Sprintf(`{"type":"track","event":%q,"userId":%q,"messageId":"m%d","properties":{%s}}`, name, user, s.n, properties))
}

func (s *speech) raw(after time.Duration, raw string) {
	s.at = s.at.Add(after)
	ms := s.at.UnixMilli()
	data := event.AppendEnvelope(nil, event.Header{ReceivedAt: ms, Source: "shop", Sim: true}, []event.Item{{Raw: []byte(raw)}})
	s.all = append(s.all, engine.Message{Time: ms, Data: data})
	s.Append(ms, data)
}

func (s *speech) identify(user string) {
	s.raw(time.Second, fmt.Sprintf(`{"type":"identify","userId":%q,"traits":{"email":"%s@shop.example","firstName":"Anneliese","marketing_consent":true}}`, user, user))
}

func (s *speech) cart(after time.Duration, user, cart string) {
	s.say(after, user, "Product Added", fmt.Sprintf(`"cart_id":%q,"product_id":"mug","price":12.5,"quantity":1`, cart))
}

const (
	angry = "The kettle broke after two days and nobody answers my mails. I want my money back."
	happy = "I love it, works perfectly and fast delivery, thank you!"
)

const toneSection = `
sentiment:
  hold_after_bad: 7d
  labels: yes
`

// Nobody is mailed for a week after a bad experience, and the decision says why.
func TestListenerHolds(t *testing.T) {
	f := func(section, text string, after time.Duration, want string) {
		t.Helper()
		set := fieldsSet(t, section, "cart.items > 0")
		s := newSpeech()
		s.identify("ann")
		s.say(time.Second, "ann", "Service Message Received", fmt.Sprintf(`"body":%q`, text))
		s.cart(after, "ann", "c")
		s.say(3*time.Hour, "eve", "Product Viewed", `"product_id":"mug"`)
		s.say(3*time.Hour, "eve", "Product Viewed", `"product_id":"mug"`)
		fieldsRun(t, set, memoryStore(t), s.Log, nil, func(p *operators.Pipeline, v *engine.View) {
			all, err := p.Decisions(v, "ann")
			if err != nil || len(all) != 1 || !strings.HasPrefix(all[0].Reason, want) {
				t.Errorf("%q, %s later: got %+v, %v, want %s", text, after, all, err, want)
			}
		})
	}
	f(toneSection, angry, time.Minute, "held back after a bad experience: until 2026-03-09 10:00")
	f(toneSection, angry, 6*24*time.Hour, "held back after a bad experience: until 2026-03-09 10:00")
	f(toneSection, angry, 8*24*time.Hour, "cart left for 1h")
	f(toneSection, happy, time.Minute, "cart left for 1h")
	f(strings.Replace(toneSection, "7d", "0s", 1), angry, time.Minute, "cart left for 1h")
	f("", angry, time.Minute, "cart left for 1h")
}

// The tone stands in conditions and segments.
func TestToneInConditions(t *testing.T) {
	f := func(audience, text string, want event.Outcome) {
		t.Helper()
		set := fieldsSet(t, strings.Replace(toneSection, "7d", "0s", 1)+"segments:\n  sour: profile.tone < -0.1\n", audience)
		s := newSpeech()
		s.identify("ann")
		if text != "" {
			s.say(time.Second, "ann", "Product Reviewed", fmt.Sprintf(`"product_id":"mug","review_body":%q`, text))
		}
		s.cart(time.Minute, "ann", "c")
		s.say(3*time.Hour, "eve", "Product Viewed", `"product_id":"mug"`)
		s.say(3*time.Hour, "eve", "Product Viewed", `"product_id":"mug"`)
		fieldsRun(t, set, memoryStore(t), s.Log, nil, func(p *operators.Pipeline, v *engine.View) {
			all, err := p.Decisions(v, "ann")
			if err != nil || len(all) != 1 || all[0].Outcome != want {
				t.Errorf("%s after %q: got %+v, %v, want %v", audience, text, all, err, want)
			}
			in, err := p.SegmentsOf(v, "ann")
			if err != nil || (len(in) == 1) != (text == angry) {
				t.Errorf("after %q: in the segments %v, %v", text, in, err)
			}
		})
	}
	f("profile.tone < 0", angry, event.Pending)
	f("profile.tone > 0", angry, event.Skipped)
	f("profile.tone > 0.3", happy, event.Pending)
	f("profile.tone == 0", "", event.Pending)
	f(`segment("sour")`, angry, event.Pending)
	f(`segment("sour")`, happy, event.Skipped)
}

// What counts, and how much: each text once, stars as much as words, machines not at all.
func TestListenerHears(t *testing.T) {
	set := fieldsSet(t, toneSection, "cart.items > 0")
	f := func(texts, bad uint64, say func(s *speech)) *operators.PersonTone {
		t.Helper()
		s := newSpeech()
		s.identify("ann")
		say(s)
		var got *operators.PersonTone
		fieldsRun(t, set, memoryStore(t), s.Log, nil, func(p *operators.Pipeline, v *engine.View) {
			var err error
			if got, err = p.Tone(v, "ann"); err != nil {
				t.Fatal(err)
			}
			if texts == 0 && got != nil || texts > 0 && (got == nil || got.Texts != texts || got.Bad != bad || got.Model != "sentiment-shipped0") {
				t.Errorf("got %+v, want %d texts and %d bad", got, texts, bad)
			}
		})
		return got
	}
	f(0, 0, func(*speech) {})
	f(1, 1, func(s *speech) { // the second is a repeat
		raw := fmt.Sprintf(`{"type":"track","event":"Service Message Received","userId":"ann","messageId":"x","properties":{"body":%q}}`, angry)
		s.raw(time.Second, raw)
		s.raw(time.Second, raw)
	})
	f(0, 0, func(s *speech) { s.say(time.Second, "ann", "Service Message Received", `"body":"  "`) })
	f(0, 0, func(s *speech) { s.say(time.Second, "ann", "Product Viewed", `"product_id":"mug","body":"awful"`) })
	f(0, 0, func(s *speech) { // an automatic answer
		s.say(time.Second, "ann", "Email Replied", fmt.Sprintf(`"email_id":"d","machine":true,"body":%q`, angry))
	})
	f(1, 1, func(s *speech) {
		s.say(time.Second, "ann", "Email Replied", fmt.Sprintf(`"email_id":"d","body":%q`, angry+" On 3 May 2026, Shop wrote: "+happy))
	})
	if got := f(1, 1, func(s *speech) { s.say(time.Second, "ann", "Product Reviewed", `"product_id":"p","rating":1`) }); got.Last != -1000 {
		t.Errorf("one star is %d", got.Last)
	}
	f(0, 0, func(s *speech) { s.say(time.Second, "ann", "Product Reviewed", `"product_id":"p","rating":11`) })
	plain := f(1, 0, func(s *speech) {
		s.say(time.Second, "ann", "Product Reviewed", fmt.Sprintf(`"product_id":"p","review_body":%q`, happy))
	})
	starred := f(1, 0, func(s *speech) {
		s.say(time.Second, "ann", "Product Reviewed", fmt.Sprintf(`"product_id":"p","rating":3,"review_body":%q`, happy))
	})
	if starred.Last != plain.Last/2 {
		t.Errorf("three stars of five make %d of %d", starred.Last, plain.Last)
	}
	f(2, 1, func(s *speech) { // rubbish, and much of it
		s.say(time.Second, "ann", "Service Message Received", `"body":"`+strings.Repeat("退款 awful ", 700)+`"`)
		s.say(time.Second, "ann", "Service Message Received", `"body":"🙂 ガ 한 xq zzzz"`)
	})
}

// What is kept does not depend on the number of workers or on where epochs are cut, and a
// merge brings together what two ids have said.
func TestListenerWorkers(t *testing.T) {
	set := fieldsSet(t, toneSection, "cart.items > 0")
	rng := rand.New(rand.NewPCG(5, 6)) //nolint:gosec // a test
	texts := []string{angry, happy, "It is a kettle", "质量很差，要求退款", "很好吃，下次还来", "so so, call 0664/1234567 Anneliese"}
	kinds := []string{"Service Message Received", "Email Replied", "Product Reviewed"}
	s := newSpeech()
	for i := range 12 {
		s.identify(fmt.Sprint("u", i))
	}
	for range 200 {
		kind := kinds[rng.IntN(3)]
		s.say(time.Duration(rng.IntN(120))*time.Minute, fmt.Sprint("u", rng.IntN(12)), kind,
			fmt.Sprintf(`"product_id":"p","email_id":"d","rating":%d,%q:%q`, rng.IntN(6), map[string]string{"Product Reviewed": "review_body"}[kind]+map[bool]string{true: "body"}[kind != "Product Reviewed"], texts[rng.IntN(len(texts))]))
	}
	s.raw(time.Second, `{"type":"alias","userId":"u1","previousId":"u2","messageId":"merge"}`)
	for range 20 {
		s.say(time.Hour, "u2", "Service Message Received", fmt.Sprintf(`"body":%q`, happy))
	}
	var first any
	for trial := range 4 {
		log := enginetest.NewLog()
		for _, m := range s.all {
			log.Append(m.Time, m.Data)
		}
		with := func(o *engine.Options) {
			o.Parallel = 1 << (trial % 3)
			if trial == 3 {
				o.EpochEvents = 7
			}
		}
		store := memoryStore(t)
		fieldsRun(t, set, store, log, with, func(*operators.Pipeline, *engine.View) {})
		fieldsRun(t, set, store, log, with, func(p *operators.Pipeline, v *engine.View) { // the handover comes back through the log
			type picture struct {
				People    []operators.PersonTone
				Campaigns []operators.CampaignTone
				Asked     []sentiment.Asked
			}
			var got picture
			for i := range 12 {
				tone, err := p.Tone(v, fmt.Sprint("u", i))
				if err != nil || tone == nil {
					t.Fatalf("u%d: %v, %v", i, tone, err)
				}
				tone.Tone = math.Round(tone.Tone*1e9) / 1e9
				tone.HeldUntil = 0
				got.People = append(got.People, *tone)
			}
			var err error
			if got.Campaigns, err = p.CampaignTones(v); err != nil {
				t.Fatal(err)
			}
			if got.Asked, err = p.Uncertain(t.Context(), v, 20, func(string) bool { return false }, nil); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got.People[1], got.People[2]) || got.People[1].Texts < 30 {
				t.Errorf("two ids of one person: %+v and %+v", got.People[1], got.People[2])
			}
			for _, a := range got.Asked {
				if strings.Contains(a.Text, "Anneliese") || strings.Contains(a.Text, "0664") {
					t.Errorf("a text to ask about names a person: %q", a.Text)
				}
			}
			if len(got.Campaigns) != 1 || got.Campaigns[0].Campaign != operators.NoCampaign || len(got.Asked) == 0 {
				t.Errorf("%+v", got)
			}
			if first == nil {
				first = got
			} else if !reflect.DeepEqual(first, got) {
				t.Errorf("trial %d: got %+v, want %+v", trial, got, first)
			}
		})
	}
}

// A bad experience asks for the service, once, and repeats nothing that was written.
func TestListenerFollowsUp(t *testing.T) {
	set := fieldsSet(t, toneSection+"  then:\n    - {id: desk, publish: service.bad}\n", "cart.items > 0")
	s := newSpeech()
	s.identify("ann")
	s.say(time.Second, "ann", "Product Reviewed", fmt.Sprintf(`"product_id":"mug","review_body":%q`, angry))
	s.say(time.Second, "ann", "Product Reviewed", fmt.Sprintf(`"product_id":"mug","review_body":%q`, happy))
	var bodies []string
	fieldsRun(t, set, memoryStore(t), s.Log, func(o *engine.Options) {
		o.Handlers[operators.EffectPublish] = func(_ context.Context, _ *engine.View, row engine.Row) (engine.Result, time.Duration, error) {
			bodies = append(bodies, string(row.Body))
			return engine.Removed, 0, nil
		}
	}, func(*operators.Pipeline, *engine.View) {})
	if len(bodies) != 1 || strings.Contains(bodies[0], "kettle") || strings.Contains(bodies[0], "ann") {
		t.Fatalf("got %q", bodies)
	}
	var n operators.Notice
	var b operators.BadExperience
	if err := json.Unmarshal([]byte(bodies[0]), &n); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(n.Payload, &b); err != nil {
		t.Fatal(err)
	}
	if n.To != "service.bad" || b.Event != operators.EventBad || b.Step != "desk" || b.Product != "mug" || b.Score > -600 || b.Model == "" || b.ID != n.ID {
		t.Fatalf("got %+v of %+v", b, n)
	}
}

// The whole way, in virtual time: a mail leaves, its reader answers in anger, which is seen
// per campaign, and what was decided meanwhile is not sent.
func TestListenerWorld(t *testing.T) {
	enginetest.Bubble(t, func(t *testing.T) {
		set := fieldsSet(t, strings.Replace(toneSection, "7d", "24h", 1), "cart.items > 0")
		all, err := operators.Journeys(set, nil, true)
		if err != nil {
			t.Fatal(err)
		}
		w := newWorldOf(t, all)
		w.listening = listening(t, set)
		w.start()
		defer w.close()
		track := func(name string, properties map[string]any) {
			w.take(encode(t, object("type", "track", "event", name, "userId", "ann", "properties", properties)))
		}
		w.take(encode(t, object("type", "identify", "userId", "ann", "traits", object("email", "ann@shop.example", "marketing_consent", true))))
		track("Product Added", object("cart_id", "c", "product_id", "mug", "name", "Mug", "price", 12.5, "quantity", 1))
		time.Sleep(2 * time.Hour)
		decisions := func() []event.Decision {
			v := w.Engine.View()
			defer v.Close()
			d, err := w.pipeline.Decisions(v, "ann")
			w.check(err)
			return d
		}
		first := decisions()
		if len(first) != 1 || first[0].Outcome != event.Sent {
			t.Fatalf("got %+v", first)
		}
		track("Email Replied", object("email_id", first[0].ID, "body", "Stop sending me this. The last mug came broken and nobody answers!"))
		time.Sleep(time.Hour)
		v := w.Engine.View()
		campaigns, err := w.pipeline.CampaignTones(v)
		v.Close()
		w.check(err)
		if len(campaigns) != 1 || campaigns[0].Campaign != "cart-abandonment" || campaigns[0].Days[0].Bad != 1 {
			t.Fatalf("got %+v", campaigns)
		}
		// Decided while the mail server is down; the anger comes before it is back.
		time.Sleep(25 * time.Hour)
		w.down.Store(true)
		track("Product Added", object("cart_id", "d", "product_id", "cup", "name", "Cup", "price", 9.5, "quantity", 1))
		time.Sleep(90 * time.Minute)
		if d := decisions(); len(d) != 2 || d[1].Outcome != event.Pending {
			t.Fatalf("got %+v", d)
		}
		track("Service Message Received", object("body", angry))
		time.Sleep(time.Minute)
		w.down.Store(false)
		time.Sleep(time.Hour)
		if d := decisions(); d[1].Outcome != event.Skipped || !strings.HasPrefix(d[1].Reason, "held back after a bad experience: until ") {
			t.Fatalf("got %+v", d)
		}
	})
}

// Experiments hear how those speak whom they mailed.
func TestListenerExperiment(t *testing.T) {
	set := fieldsSet(t, toneSection+"holdout: 1%\n", "cart.items > 0")
	store, s := memoryStore(t), newSpeech()
	s.identify("ann")
	s.cart(time.Minute, "ann", "c")
	for range 2 {
		s.say(3*time.Hour, "eve", "Product Viewed", `"product_id":"mug"`)
	}
	id := ""
	fieldsRun(t, set, store, s.Log, nil, func(p *operators.Pipeline, v *engine.View) {
		all, err := p.Decisions(v, "ann")
		if err != nil || len(all) != 1 || all[0].Outcome != event.Pending {
			t.Fatalf("got %+v, %v", all, err)
		}
		id = all[0].ID
	})
	s.say(time.Hour, "ann", "Email Replied", fmt.Sprintf(`"email_id":%q,"body":%q`, id, angry))
	s.say(time.Hour, "ann", "Product Reviewed", fmt.Sprintf(`"product_id":"mug","review_body":%q`, happy))
	s.say(time.Hour, "eve", "Service Message Received", fmt.Sprintf(`"body":%q`, angry)) // was never mailed
	fieldsRun(t, set, store, s.Log, nil, func(p *operators.Pipeline, v *engine.View) {
		tone, err := p.Tone(v, "ann")
		if err != nil || tone.Texts != 2 {
			t.Fatalf("got %+v, %v", tone, err)
		}
		figures, err := p.Figures(v)
		if err != nil || len(figures) != 1 {
			t.Fatalf("got %+v, %v", figures, err)
		}
		sum := int64(0)
		for i := range figures[0].Arms {
			if m := figures[0].Arms[i].Metric(experiment.OutcomeTone); m != nil {
				sum += m.Sum
			}
		}
		if first := sum - int64(tone.Last); first > -600 || first < -1000 || tone.Last < 600 {
			t.Errorf("the experiment heard %d in all; the last text was %d", sum, tone.Last)
		}
	})
}

// Whoever has spoken badly of late gets calm lines, and whoever praises playful ones.
func TestListenerPicksTone(t *testing.T) {
	f := func(text string, times int, want content.Tone) {
		t.Helper()
		set := fieldsSet(t, strings.Replace(toneSection, "7d", "0s", 1), "cart.items > 0")
		s := newSpeech()
		s.identify("ann")
		for range times {
			s.say(time.Second, "ann", "Service Message Received", fmt.Sprintf(`"body":%q`, text))
		}
		fieldsRun(t, set, memoryStore(t), s.Log, nil, func(p *operators.Pipeline, v *engine.View) {
			req := content.Request{}
			if err := operators.NewMailer(p, nil, operators.SendOptions{}).Mood(v, &event.Decision{Person: pseudonyms(t).Person("ann")}, nil, &req); err != nil {
				t.Fatal(err)
			}
			if req.Tone != want || (req.Mood == 0) != (times == 0) {
				t.Errorf("%d times %q: got %q at %.2f, want %q", times, text, req.Tone, req.Mood, want)
			}
		})
	}
	f("", 0, content.AnyTone)
	f(angry, 1, content.Calm)
	f("It is a kettle", 1, content.AnyTone)
	f(happy, 4, content.Playful)
}
