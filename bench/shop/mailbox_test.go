package shop

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"millrace/operators/event"
)

func TestReactionRates(t *testing.T) {
	s := New(Options{Seed: 21, Shoppers: 2000, VisitsDaily: -1, Late: -1, Duplicate: -1, Malformed: -1})
	people := s.Shoppers()
	const mails = 20_000
	for i := range mails {
		s.Delivered(MailSeen{
			ID: fmt.Sprintf("decision-%d", i), To: people[i%len(people)].Email, Subject: "Your mug is waiting ☕", Campaign: "cart-abandonment",
			At: s.Start().Add(time.Duration(i) * time.Second), Links: []string{"https://shop.example.invalid/cart"}, Items: []string{"p-101", "p-202"},
		})
	}
	first := map[string]map[event.Kind]time.Time{}
	n := [event.KindCount]float64{}
	for e := range s.Until(s.Start().Add(14 * 24 * time.Hour)) {
		m := parse(t, e)
		p := m.Properties
		if e.Kind == event.OrderCompleted && m.Context.Campaign.Name == "cart-abandonment" { // the others came by themselves
			n[e.Kind]++
		}
		if p.EmailID == "" || p.Machine {
			continue
		}
		if m.Context.Traits.Email != people[e.Shopper].Email {
			t.Fatalf("event of a mailbox without its address: %s", e.JSON)
		}
		if first[p.EmailID] == nil {
			first[p.EmailID] = map[event.Kind]time.Time{}
		}
		if _, ok := first[p.EmailID][e.Kind]; !ok {
			first[p.EmailID][e.Kind] = e.Time
			n[e.Kind]++
		}
		if e.Kind == event.EmailLinkClicked && p.LinkURL != "https://shop.example.invalid/cart" {
			t.Fatalf("clicked %q", p.LinkURL)
		}
	}
	for id, at := range first {
		opened, clicked := at[event.EmailOpened], at[event.EmailLinkClicked]
		if !clicked.IsZero() && (opened.IsZero() || clicked.Before(opened)) || opened.Before(at[event.EmailDelivered]) && !opened.IsZero() {
			t.Fatalf("mail %s: %v", id, at)
		}
	}
	t.Logf("%v, %+v", n, s.Stats())
	f := func(kind event.Kind, want float64) { // within 4 sigma
		t.Helper()
		if got := n[kind] / mails; math.Abs(got-want) > 4*math.Sqrt(want*(1-want)/mails) {
			t.Errorf("%s: got %.4f, want %.4f", eventName(kind), got, want)
		}
	}
	f(event.EmailDelivered, 0.997)
	f(event.EmailBounced, 0.003)
	f(event.EmailOpened, 0.45*0.997)
	f(event.EmailLinkClicked, 0.08*0.997)
	f(event.OrderCompleted, 0.03*0.997)
	f(event.Unsubscribed, 0.005*0.997)
	f(event.EmailMarkedAsSpam, 0.001*0.997)
	if st := s.Stats(); st.MailsSeen != mails || st.MailsUnconsented == 0 || float64(st.MailsOrdered) != n[event.OrderCompleted] {
		t.Errorf("stats: %+v", st)
	}
}

// A mailbox is matched by address whatever its case; strangers and repeats do nothing.
func TestDeliveredOncePerMail(t *testing.T) {
	s := New(Options{Seed: 1, Shoppers: 10})
	p := s.Shoppers()[3]
	s.Delivered(MailSeen{ID: "a", To: " " + string(bytes.ToUpper([]byte(p.Email))), At: s.Start()})
	s.Delivered(MailSeen{ID: "a", To: p.Email, At: s.Start()})
	s.Delivered(MailSeen{ID: "b", To: p.Email, At: s.Start()})
	s.Delivered(MailSeen{ID: "c", To: "stranger@example.invalid", At: s.Start()})
	s.Delivered(MailSeen{})
	if st := s.Stats(); st.MailsSeen != 2 || st.MailsRepeated != 1 || st.MailsUnknown != 2 {
		t.Errorf("stats: %+v", st)
	}
	for i := range 2 * maxMails {
		s.Delivered(MailSeen{ID: fmt.Sprint("mail ", i), To: p.Email, At: s.Start()})
	}
	if got := len(s.people[3].mails); got != maxMails {
		t.Errorf("a person remembers %d mails, want %d", got, maxMails)
	}
}

// Mails to some change nothing for the others, and the order in which mails to
// different people are delivered at the same time changes nothing at all.
func TestFeedbackStaysWithItsPerson(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		touched := rapid.SliceOfNDistinct(rapid.IntRange(0, 29), 1, 8, rapid.ID).Draw(t, "touched")
		at := rapid.IntRange(0, 200).Draw(t, "at")
		o := Options{Seed: seed, Shoppers: 30, Opened: 1, Clicked: 0.9, Ordered: 0.5}
		play := func(recipients []int) (all, others []string) {
			s := New(o)
			people := s.Shoppers()
			for i := range 500 {
				if i == at {
					for _, r := range recipients {
						s.Delivered(MailSeen{ID: fmt.Sprint("mail ", r), To: people[r].Email, Campaign: "c", At: s.Start().Add(3 * time.Hour)})
					}
				}
				e := s.Next()
				text := fmt.Sprint(e.At, e.Late, e.Duplicate) + string(e.JSON)
				all = append(all, text)
				if !slices.Contains(touched, e.Shopper) {
					others = append(others, text)
				}
			}
			return all, others
		}
		_, alone := play(nil)
		forward, others := play(touched)
		for i := range min(len(alone), len(others)) {
			if alone[i] != others[i] {
				t.Fatalf("somebody else's event changed:\n%s\n%s", alone[i], others[i])
			}
		}
		back := slices.Clone(touched)
		slices.Reverse(back)
		if backward, _ := play(back); !slices.Equal(forward, backward) {
			t.Fatal("the order of delivery matters")
		}
	})
}

// With mails coming back to it the stream is still the same every time, and then every
// canonical kind of event appears.
func TestEveryKindAppears(t *testing.T) {
	play := func() (kinds [event.KindCount]int, hash uint64) {
		s := New(Options{Seed: 9, Shoppers: 800, Spam: 0.01, Bounced: 0.01})
		people := s.Shoppers()
		for e := range s.Until(s.Start().Add(3 * 24 * time.Hour)) {
			hash = mix(hash ^ hashText(string(e.JSON)) ^ uint64(e.At.UnixMilli()))
			kinds[e.Kind]++
			if e.Kind == event.ProductAdded && !e.Duplicate {
				s.Delivered(MailSeen{ID: "mail for " + e.MessageID, To: people[e.Shopper].Email, Subject: "Still thinking?", At: e.At.Add(time.Hour)})
			}
		}
		return kinds, hash
	}
	kinds, one := play()
	t.Logf("kinds %v", kinds)
	for k, n := range kinds[:lastKind+1] {
		if n == 0 {
			t.Errorf("no event of kind %d (%s)", k, eventName(event.Kind(k)))
		}
	}
	if _, two := play(); one != two {
		t.Error("the same seed and the same mails give another stream")
	}
}

// What a person does about one mail does not depend on the other mails.
func TestReactionBelongsToItsMail(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed, others, before := rapid.Uint64().Draw(t, "seed"), rapid.IntRange(0, 5).Draw(t, "others"), rapid.Bool().Draw(t, "before")
		play := func(others int) (out []string) {
			s := New(Options{Seed: seed, Shoppers: 3, Opened: 0.9, Clicked: 0.5})
			deliver := func(id string) {
				s.Delivered(MailSeen{ID: id, To: s.people[1].Email, At: s.Start().Add(time.Hour)})
			}
			if !before {
				deliver("the mail")
			}
			for i := range others {
				deliver(fmt.Sprint("another ", i))
			}
			if before {
				deliver("the mail")
			}
			for e := range s.Until(s.Start().Add(4 * 24 * time.Hour)) {
				if bytes.Contains(e.JSON, []byte(`"email_id":"the mail"`)) {
					out = append(out, fmt.Sprint(e.At)+string(e.JSON))
				}
			}
			return out
		}
		alone, crowded := play(0), play(others)
		if len(alone) == 0 || !slices.Equal(alone, crowded) {
			t.Fatalf("alone:\n%q\namong %d others:\n%q", alone, others, crowded)
		}
	})
}
