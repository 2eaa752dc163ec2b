package mail_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"millrace/operators/event"
	"millrace/operators/mail"
)

// A mail is sent once, however often it is asked for.
func Example() {
	dir, err := os.MkdirTemp("", "mail")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()

	inbox, pipe := mail.NewInbox(mail.InboxOptions{}), mail.NewPipe()
	served := make(chan error, 1)
	go func() { served <- inbox.Serve(pipe) }()

	journal, err := mail.Open(filepath.Join(dir, "journal"), mail.JournalOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	smtp, err := mail.OpenSMTP("smtp://inbox.example?tls=never", mail.SMTPOptions{Dial: pipe.Dial})
	if err != nil {
		fmt.Println(err)
		return
	}
	sender := mail.NewSender(smtp, journal, mail.SenderOptions{})

	message := mail.Message{
		Decision: "7f3a", From: mail.Address{Name: "The Shop", Addr: "shop@shop.example"},
		To: mail.Address{Name: "Ann", Addr: "ann@example.com"}, Date: time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC),
		Draft:       event.Draft{Subject: "您的购物车还在等您", Text: "Your mug waits.", HTML: "<p>Your mug waits.</p>"},
		Unsubscribe: "https://shop.example/u/token", Stream: "cart-abandonment", Kind: "cart",
	}
	job := mail.Job{Decision: "7f3a", Person: "p-4711", List: "cart", To: message.To.Addr,
		Render: func(context.Context) (mail.Letter, error) {
			b, err := message.Render()
			return mail.Letter{From: message.From.Addr, To: message.To.Addr, Subject: message.Draft.Subject, Bytes: b}, err
		}}
	for range 2 {
		r, err := sender.Send(context.Background(), job)
		fmt.Println(r.Receipt.Outcome, r.Repeated, err)
	}
	for _, m := range inbox.List(0, 10) {
		fmt.Println(m.To, m.Subject, m.MessageID)
	}
	_, _, _, _ = smtp.Close(), journal.Close(), inbox.Close(), <-served
	// Output:
	// sent false <nil>
	// sent true <nil>
	// ann@example.com 您的购物车还在等您 7f3a@shop.example
}
