package mail

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"

	"millrace/operators/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// day is the decision's time in the tests.
var day = time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)

func sample(decision string) Message {
	return Message{
		Decision: decision,
		Draft: event.Draft{Subject: "Your mug waits", Text: "Dear Ann,\n\nyour mug waits.\n",
			HTML: "<p>Dear Ann,</p><p>your mug waits.</p>\n"},
		From:        Address{Name: "The Shop", Addr: "shop@shop.example"},
		To:          Address{Name: "Ann", Addr: "ann@example.com"},
		Date:        day,
		Unsubscribe: "https://shop.example/u/token",
		Stream:      "cart-abandonment",
		Kind:        "cart",
	}
}

func render(t testing.TB, m Message) []byte {
	t.Helper()
	b, err := m.Render()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// serve makes an inbox behind pipes.
func serve(t testing.TB, o InboxOptions) (*Inbox, *Pipe) {
	t.Helper()
	inbox, pipe := NewInbox(o), NewPipe()
	served := make(chan error, 1)
	go func() { served <- inbox.Serve(pipe) }()
	t.Cleanup(func() {
		if err := inbox.Close(); err != nil {
			t.Errorf("close inbox: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return inbox, pipe
}

func dialled(t testing.TB, pipe *Pipe, o SMTPOptions) *SMTP {
	t.Helper()
	o.Dial = pipe.Dial
	s, err := OpenSMTP("smtp://inbox.example", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func journal(t testing.TB, dir string, o JournalOptions) *Journal {
	t.Helper()
	j, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func jobFor(t testing.TB, decision string) Job {
	t.Helper()
	m := sample(decision)
	return Job{Decision: decision, Effect: "row-" + decision, Person: "p-ann", List: "cart", To: m.To.Addr,
		Render: func(context.Context) (Letter, error) {
			b := render(t, m)
			return Letter{From: m.From.Addr, To: m.To.Addr, Subject: m.Draft.Subject, Model: "m1", Bytes: b}, nil
		}}
}
