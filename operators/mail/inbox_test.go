package mail

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"
)

func TestInboxKeeps(t *testing.T) {
	inbox, pipe := serve(t, InboxOptions{Mails: 3, IDs: 4})
	s := dialled(t, pipe, SMTPOptions{})
	var watched []string
	stop := inbox.Watch(func(r Received) { watched = append(watched, fmt.Sprintf("%d:%s:%d", r.ID, r.MessageID, r.Copy)) })
	send := func(ids ...string) {
		t.Helper()
		for _, id := range ids {
			if d := s.Deliver(t.Context(), Transaction{From: "shop@shop.example", To: id + "@example.com", Body: render(t, sample(id))}); d.Status != Accepted {
				t.Fatal(d.Reason())
			}
		}
	}
	send("a", "b", "a", "c", "a")
	stop()
	send("d")
	if got, want := strings.Join(watched, " "), "1:a@shop.example:1 2:b@shop.example:1 3:a@shop.example:2 4:c@shop.example:1 5:a@shop.example:3"; got != want {
		t.Fatalf("got %s", got)
	}
	list := func(before int64, n int, want string) {
		t.Helper()
		var got []string
		for _, r := range inbox.List(before, n) {
			got = append(got, fmt.Sprintf("%d:%s:%s", r.ID, r.To, r.Subject))
		}
		if strings.Join(got, " ") != want {
			t.Fatalf("list from %d: got %q", before, got)
		}
	}
	list(0, 2, "6:d@example.com:Your mug waits 5:a@example.com:Your mug waits")
	list(5, 9, "4:c@example.com:Your mug waits")
	list(4, 9, "")
	list(0, -1, "")
	if _, ok := inbox.Open(1); ok {
		t.Fatal("an old mail is still there")
	}
	m, ok := inbox.Open(6)
	if !ok || m.From != "shop@shop.example" || len(m.Recipients) != 1 || m.Text != "Dear Ann,\r\n\r\nyour mug waits.\r\n" ||
		!strings.HasPrefix(m.HTML, "<p>Dear Ann,") || string(m.Raw) != string(render(t, sample("d"))) {
		t.Fatalf("got %+v", m)
	}
	st := inbox.Stats()
	if st.Mails != 6 || st.Kept != 3 || st.Duplicates != 2 || st.Bytes != int64(3*len(m.Raw)) || st.Connections != 1 {
		t.Fatalf("%+v", st)
	}
	// Message-IDs are forgotten in the order they came.
	send("e", "a", "b", "e")
	if got := inbox.Stats().Duplicates; got != 3 { // only e is still known when it comes again
		t.Fatalf("%d duplicates", got)
	}
	if len(inbox.ids) > 4 || len(inbox.ring) > 4 {
		t.Fatalf("%d ids are kept", len(inbox.ids))
	}
}

func TestInboxBytes(t *testing.T) {
	inbox, pipe := serve(t, InboxOptions{Bytes: 3000, MailBytes: 2000})
	s := dialled(t, pipe, SMTPOptions{})
	f := func(size int, want Status) {
		t.Helper()
		d := s.Deliver(t.Context(), Transaction{From: "a@a.example", To: "b@b.example", Body: []byte("x: y\r\n\r\n" + strings.Repeat("z", size-10) + "\r\n")})
		if d.Status != want {
			t.Fatalf("%d bytes: %s", size, d.Reason())
		}
	}
	f(1500, Accepted)
	f(1400, Accepted)
	f(3000, Permanent)
	f(1800, Accepted)
	if st := inbox.Stats(); st.Kept != 1 || st.Bytes != 1800 || st.Mails != 3 {
		t.Fatalf("%+v", st)
	}
}

// Mails that are none at all are kept and shown as far as they can be.
func TestInboxUnreadable(t *testing.T) {
	inbox, pipe := serve(t, InboxOptions{})
	s := dialled(t, pipe, SMTPOptions{})
	f := func(body, subject, text string) {
		t.Helper()
		if d := s.Deliver(t.Context(), Transaction{From: "a@a.example", To: "b@b.example", Body: []byte(body)}); d.Status != Accepted {
			t.Fatal(d.Reason())
		}
		m, ok := inbox.Open(inbox.Stats().Mails)
		if !ok || m.Subject != subject || m.Text != text {
			t.Fatalf("%q: got subject %q, text %q", body, m.Subject, m.Text)
		}
	}
	f("\r\n", "", "")
	f("no header\r\n", "", "")
	f("Subject: plain\r\n\r\nbody\r\n", "plain", "body\r\n")
	f("Subject: =?utf-8?b?w7w=?=\r\n\r\n.\r\n..\r\n", "ü", ".\r\n..\r\n")
	f("Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nopen end\r\n", "x", "open end")
	f("Subject: x\r\nContent-Type: text/plain; charset=nonsense\r\n\r\nbody\r\n", "x", "body\r\n")
	if n := inbox.Stats().Duplicates; n != 0 {
		t.Fatalf("%d mails without a Message-ID count as duplicates", n)
	}
}

func TestInboxListen(t *testing.T) {
	f := func(address string, remote, want bool) {
		t.Helper()
		inbox := NewInbox(InboxOptions{AllowRemote: remote})
		l, err := inbox.Listen(t.Context(), address)
		if (err == nil) != want {
			t.Fatalf("%s, remote %t: %v", address, remote, err)
		}
		if err == nil {
			_ = l.Close()
		}
		_ = inbox.Close()
	}
	f("127.0.0.1:0", false, true)
	f("localhost:0", false, true)
	f("0.0.0.0:0", false, false)
	f(":0", false, false)
	f("mx.example:25", false, false)
	f("nonsense", false, false)
	f(":0", true, true)
}

// The inbox over TCP, with a client that is not ours.
func TestInboxTCP(t *testing.T) {
	inbox := NewInbox(InboxOptions{})
	l, err := inbox.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- inbox.Serve(l) }()
	c, err := smtp.Dial(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SendMail("a@a.example", []string{"b@b.example", "c@c.example"}, strings.NewReader("Subject: hi\r\n\r\nbody\r\n")); err != nil {
		t.Fatal(err)
	}
	if m, ok := inbox.Open(1); !ok || strings.Join(m.Recipients, " ") != "b@b.example c@c.example" || m.Subject != "hi" {
		t.Fatalf("%+v", m)
	}
	// Our sender, by URL.
	s, err := OpenSMTP("smtp://"+l.Addr().String(), SMTPOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if d := s.Deliver(t.Context(), Transaction{From: "a@a.example", To: "b@b.example", Body: render(t, sample("d"))}); d.Status != Accepted {
		t.Fatal(d.Reason())
	}
	_ = s.Close()
	if err := inbox.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	if err := inbox.Close(); err != nil {
		t.Fatal(err)
	}
	if err := inbox.Serve(NewPipe()); err == nil {
		t.Fatal("a closed inbox serves")
	}
	// Nobody is there any more.
	if d := s.Deliver(t.Context(), Transaction{From: "a@a.example", To: "b@b.example", Body: []byte("x\r\n")}); d.Status != NotSent {
		t.Fatal(d.Reason())
	}
	gone, err := OpenSMTP("smtp://"+l.Addr().String(), SMTPOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if d := gone.Deliver(t.Context(), Transaction{From: "a@a.example", To: "b@b.example", Body: []byte("x\r\n")}); d.Status != NotSent || d.Stage != StageDial || !strings.Contains(d.Reason(), "refused") {
		t.Fatal(d.Reason())
	}
}

func TestScriptRefused(t *testing.T) {
	f := func(fault Fault, want bool) {
		t.Helper()
		if err := NewInbox(InboxOptions{}).Script(fault); (err == nil) != want {
			t.Fatalf("%+v: %v", fault, err)
		}
	}
	f(Fault{Stage: StageMail, Code: 450}, true)
	f(Fault{Stage: StageDot, Drop: true}, true)
	f(Fault{Stage: StageMail, Code: 250}, false)
	f(Fault{Stage: StageMail, Code: 600}, false)
	f(Fault{Stage: StageDial, Code: 450}, false)
	f(Fault{Stage: StageBody, Code: 450}, false)
	f(Fault{Stage: "quit"}, false)
	f(Fault{}, false)
}

// Answers go by address.
func TestScriptAddress(t *testing.T) {
	inbox, pipe := serve(t, InboxOptions{})
	pattern := func(text string) Pattern {
		p, err := ParsePattern(text)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if err := inbox.Script(
		Fault{Stage: StageMail, Address: pattern("evil@*"), Code: 550},
		Fault{Stage: StageRcpt, Address: pattern("*@gone.example"), Code: 550, Enhanced: [3]int{5, 1, 1}},
		Fault{Stage: StageData, Address: pattern("*@busy.example"), Code: 451},
		Fault{Stage: StageDot, Address: pattern("*@full.example"), Code: 452},
	); err != nil {
		t.Fatal(err)
	}
	s := dialled(t, pipe, SMTPOptions{})
	f := func(from, to, want string) {
		t.Helper()
		d := s.Deliver(t.Context(), Transaction{From: from, To: to, Body: []byte("x: y\r\n\r\nz\r\n")})
		if got := d.Reason(); got != want {
			t.Fatalf("%s to %s: got %q, want %q", from, to, got, want)
		}
	}
	f("a@a.example", "b@b.example", "accepted")
	f("evil@a.example", "b@b.example", "permanent at mail: 550 5.0.0")
	f("a@a.example", "b@gone.example", "permanent at rcpt: 550 5.1.1")
	f("a@a.example", "b@busy.example", "temporary at data: 451 4.0.0")
	f("a@a.example", "b@full.example", "temporary at dot: 452 4.0.0")
	f("a@a.example", "b@b.example", "accepted")
	if st := inbox.Stats(); st.Mails != 2 || st.Faults != 4 || st.Connections != 1 {
		t.Fatalf("%+v", st)
	}
}

func TestPipe(t *testing.T) {
	p := NewPipe()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Dial(ctx); err == nil {
		t.Fatal("dialled with a context that has ended")
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	_ = p.Close()
	if _, err := p.Dial(t.Context()); !errors.Is(err, net.ErrClosed) {
		t.Fatal(err)
	}
	if _, err := p.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Fatal(err)
	}
	if p.Addr().Network() != "pipe" || p.Addr().String() != "pipe" {
		t.Fatal(p.Addr())
	}
}
