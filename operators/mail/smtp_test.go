package mail

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/textproto"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

func TestOpenSMTP(t *testing.T) {
	f := func(url, want string) {
		t.Helper()
		s, err := OpenSMTP(url, SMTPOptions{})
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = fmt.Sprintf("implicit=%t upgrade=%d auth=%t host=%s", s.implicit, s.upgrade, s.auth != nil, s.options.TLS.ServerName)
		}
		if !strings.Contains(got, want) {
			t.Fatalf("%s: got %q, want %q", url, got, want)
		}
		if strings.Contains(got, "secret") || s != nil && strings.Contains(fmt.Sprintf("%v %+v", s.auth, s.auth), "secret") {
			t.Fatalf("the password is in %q", got)
		}
	}
	f("smtp://mx.example", "implicit=false upgrade=0 auth=false host=mx.example")
	f("smtp://mx.example:2525?tls=require", "upgrade=1")
	f("smtp://mx.example?tls=never", "upgrade=2")
	f("smtps://ann:secret@mx.example", "implicit=true upgrade=1 auth=true")
	f("smtp://ann:secret@mx.example", "upgrade=1 auth=true")
	f("smtp://ann:secret@127.0.0.1:25", "upgrade=0 auth=true")
	f("smtp://ann:secret@mx.example?tls=never", "in the clear")
	f("smtp://ann:secret@mx.example?tls=maybe", "allowed are require and never")
	f("smtp://ann:secret@mx.example?password=secret2", `unknown setting "password"`)
	f("http://ann:secret@mx.example", "not of the form")
	f("smtp://ann:secret@mx.example/path", "not of the form")
	f("smtp://", "not of the form")
	f("smtp://ann:sec%ret@mx.example", "cannot be parsed")
	f("smtp://ann:secret@mx.example:port", "cannot be parsed")
}

// peer is an SMTP server that says what a test tells it to, over one pipe.
type peer struct {
	*textproto.Conn
	raw net.Conn
}

// talk dials once to a peer that runs f.
func talk(t *testing.T, url string, o SMTPOptions, f func(p *peer)) (*SMTP, func()) {
	t.Helper()
	ended := make(chan struct{})
	started := false
	o.Dial = func(context.Context) (net.Conn, error) {
		if started {
			return nil, errors.New("dialled twice")
		}
		started = true
		client, server := net.Pipe()
		go func() {
			defer close(ended)
			defer func() { _ = server.Close() }()
			f(&peer{textproto.NewConn(server), server})
		}()
		return client, nil
	}
	s, err := OpenSMTP(url, o)
	if err != nil {
		t.Fatal(err)
	}
	return s, func() {
		_ = s.Close()
		if started {
			<-ended
		}
	}
}

// say answers a command that begins with prefix.
func (p *peer) say(prefix string, lines ...string) string {
	line, err := p.ReadLine()
	if err != nil || !strings.HasPrefix(line, prefix) {
		lines = []string{"500 expected " + prefix}
	}
	for _, l := range lines {
		_ = p.PrintfLine("%s", l)
	}
	return line
}

// What the wire shows between the last byte of the body and the answer decides.
func TestFinalDot(t *testing.T) {
	f := func(name, want string, end func(p *peer)) {
		t.Helper()
		s, done := talk(t, "smtp://mx.example?tls=never", SMTPOptions{}, func(p *peer) {
			_ = p.PrintfLine("220 hello")
			p.say("EHLO", "250 mx")
			p.say("MAIL", "250 ok")
			p.say("RCPT", "250 ok")
			p.say("DATA", "354 go")
			if _, err := io.ReadFull(p.R, make([]byte, len("Subject: x\r\n\r\nbody"))); err != nil {
				t.Errorf("%s: body: %v", name, err)
			}
			end(p)
		})
		var steps []string
		d := s.Deliver(t.Context(), Transaction{From: "a@a.example", To: "b@b.example", Body: []byte("Subject: x\r\n\r\nbody\r\n"),
			Step: func(step string) { steps = append(steps, step) }})
		done()
		if got := fmt.Sprintf("%s code=%d %s", d.Status, d.Code, strings.Join(steps, ",")); got != want {
			t.Fatalf("%s: got %q, want %q", name, got, want)
		}
	}
	dot := func(p *peer, n int) { _, _ = io.ReadFull(p.R, make([]byte, n)) }
	both := "before-dot,after-dot"
	// No byte of the dot was taken.
	f("closed before the dot", "not sent code=0 before-dot", func(*peer) {})
	// Some of it was taken: what the server makes of that is not ours to know.
	f("closed within the dot", "unknown code=0 before-dot", func(p *peer) {
		_, _ = p.raw.Read(make([]byte, 3))
	})
	f("closed after the dot", "unknown code=0 "+both, func(p *peer) { dot(p, 5) })
	f("half an answer", "unknown code=0 "+both, func(p *peer) { dot(p, 5); _, _ = p.raw.Write([]byte("25")) })
	f("nonsense", "unknown code=0 "+both, func(p *peer) { dot(p, 5); _ = p.PrintfLine("what?") })
	f("another 354", "unknown code=354 "+both, func(p *peer) { dot(p, 5); _ = p.PrintfLine("354 go on") })
	f("taken", "accepted code=0 "+both, func(p *peer) { dot(p, 5); _ = p.PrintfLine("250 ok") })
	f("taken in other words", "accepted code=0 "+both, func(p *peer) { dot(p, 5); _ = p.PrintfLine("252 fine") })
	f("taken in many lines", "accepted code=0 "+both, func(p *peer) { dot(p, 5); _ = p.PrintfLine("250-a\r\n250 b") })
	f("later", "temporary code=451 "+both, func(p *peer) { dot(p, 5); _ = p.PrintfLine("451 4.3.0 b@b.example later") })
	f("never", "permanent code=554 "+both, func(p *peer) { dot(p, 5); _ = p.PrintfLine("554 5.6.0 b@b.example") })
}

func TestCommitRefused(t *testing.T) {
	inbox, pipe := serve(t, InboxOptions{})
	s := dialled(t, pipe, SMTPOptions{})
	no := errors.New("no")
	d := s.Deliver(t.Context(), Transaction{From: "a@a.example", To: "b@b.example", Body: []byte("x\r\n"), Commit: func() error { return no }})
	if d.Status != NotSent || !errors.Is(d.Err, no) || inbox.Stats().Mails != 0 {
		t.Fatalf("got %+v", d)
	}
}

// The server's words and our secrets stay out of every text, and a server that talks
// without end is left.
func TestServerTalk(t *testing.T) {
	f := func(name, want string, serve func(p *peer)) {
		t.Helper()
		s, done := talk(t, "smtp://user:hunter2@127.0.0.1?tls=never", SMTPOptions{}, serve)
		d := s.Deliver(t.Context(), Transaction{From: "a@a.example", To: "b@b.example", Body: []byte("x\r\n")})
		done()
		text := d.Reason() + fmt.Sprintf(" %v %+v", d.Err, d)
		if !strings.Contains(text, want) || strings.Contains(text, "b@b") || strings.Contains(text, "hunter2") || strings.Contains(text, "aHVudGVyMg") {
			t.Fatalf("%s: got %q, want %q", name, text, want)
		}
	}
	login := base64.StdEncoding.EncodeToString([]byte("\x00user\x00hunter2"))
	f("login refused, quoting it", "not sent at auth: 535", func(p *peer) {
		_ = p.PrintfLine("220 hello")
		p.say("EHLO", "250-mx", "250 AUTH PLAIN")
		p.say("AUTH PLAIN "+login, "535 5.7.8 no "+login)
		p.say("*", "501 ok")
	})
	f("challenge", "not sent at auth", func(p *peer) {
		_ = p.PrintfLine("220 hello")
		p.say("EHLO", "250-mx", "250 AUTH PLAIN")
		p.say("AUTH", "334 aHVudGVyMg==")
		p.say("*", "501 ok")
	})
	f("address in a garbled line", "cannot be understood", func(p *peer) {
		_ = p.PrintfLine("220 hello")
		p.say("EHLO", "250-mx", "250 AUTH PLAIN")
		p.say("AUTH", "235 ok")
		p.say("MAIL", "250 ok")
		p.say("RCPT", "<b@b.example> who?")
	})
	f("talks without end", "more than 1 MiB", func(p *peer) {
		_ = p.PrintfLine("220 hello")
		_, _ = p.ReadLine()
		line := []byte("250-" + strings.Repeat("x", 1000) + "\r\n")
		for {
			if _, err := p.raw.Write(line); err != nil {
				return
			}
		}
	})
	f("refuses at once", "not sent at hello: 554", func(p *peer) { _ = p.PrintfLine("554 go away b@b.example") })
}

// certificate makes a server certificate for mx.example and a pool that trusts it.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	plan := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"mx.example"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, plan, plan, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// secure goes on in TLS.
func (p *peer) secure(cert tls.Certificate) *peer {
	c := tls.Server(p.raw, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
	return &peer{textproto.NewConn(c), c}
}

// takeMail takes one mail and a goodbye.
func takeMail(p *peer) {
	p.say("MAIL", "250 ok")
	p.say("RCPT", "250 ok")
	p.say("DATA", "354 go")
	_, _ = p.ReadDotBytes()
	_ = p.PrintfLine("250 ok")
	p.say("QUIT", "221 bye")
}

// deliverTLS delivers one mail to a peer that runs serve.
func deliverTLS(t *testing.T, name, url string, roots *x509.CertPool, want string, serve func(p *peer)) {
	t.Helper()
	s, done := talk(t, url, SMTPOptions{TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}, serve)
	d := s.Deliver(t.Context(), Transaction{From: "a@a.example", To: "b@b.example", Body: []byte("Subject: x\r\n\r\n.x\r\n")})
	done()
	if got := d.Reason(); !strings.Contains(got, want) {
		t.Fatalf("%s: got %q, want %q", name, got, want)
	}
}

func TestTLS(t *testing.T) {
	cert, pool := certificate(t)
	f := func(name, url string, roots *x509.CertPool, want string, serve func(p *peer)) {
		t.Helper()
		deliverTLS(t, name, url, roots, want, serve)
	}
	starttls := func(rest func(p *peer)) func(p *peer) {
		return func(p *peer) {
			_ = p.PrintfLine("220 hello")
			p.say("EHLO", "250-mx", "250 STARTTLS")
			p.say("STARTTLS", "220 ready")
			p = p.secure(cert)
			rest(p)
		}
	}
	login := func(p *peer) {
		p.say("EHLO", "250-mx", "250 AUTH PLAIN")
		p.say("AUTH PLAIN", "235 ok")
		takeMail(p)
	}
	f("smtps", "smtps://mx.example", pool, "accepted", func(p *peer) {
		p = p.secure(cert)
		_ = p.PrintfLine("220 hello")
		p.say("EHLO", "250 mx")
		takeMail(p)
	})
	f("starttls, login", "smtp://u:p@mx.example", pool, "accepted", starttls(login))
	f("starttls, certificate nobody knows", "smtp://u:p@mx.example", x509.NewCertPool(), "not sent at tls", starttls(login))
	f("starttls, certificate of another host", "smtp://u:p@other.example", pool, "not sent at tls", starttls(login))
	f("tls, no answer to the dot", "smtps://mx.example", pool, "unknown at dot", func(p *peer) {
		p = p.secure(cert)
		_ = p.PrintfLine("220 hello")
		p.say("EHLO", "250 mx")
		p.say("MAIL", "250 ok")
		p.say("RCPT", "250 ok")
		p.say("DATA", "354 go")
		_, _ = p.ReadDotBytes()
	})
	f("tls, gone before the body", "smtps://mx.example", pool, "not sent at", func(p *peer) {
		p = p.secure(cert)
		_ = p.PrintfLine("220 hello")
		p.say("EHLO", "250 mx")
		p.say("MAIL", "250 ok")
		p.say("RCPT", "250 ok")
		p.say("DATA", "354 go")
	})
}

func TestNoTLS(t *testing.T) {
	_, pool := certificate(t)
	f := func(name, url, want string, serve func(p *peer)) {
		t.Helper()
		deliverTLS(t, name, url, pool, want, serve)
	}
	// The password never goes over a link in the clear.
	f("not offered, login", "smtp://u:p@mx.example", "does not offer STARTTLS", func(p *peer) {
		_ = p.PrintfLine("220 hello")
		p.say("EHLO", "250-mx", "250 AUTH PLAIN")
		if line, err := p.ReadLine(); err == nil {
			t.Errorf("the client went on with %q", line)
		}
	})
	f("not offered, no login", "smtp://mx.example", "accepted", func(p *peer) {
		_ = p.PrintfLine("220 hello")
		p.say("EHLO", "250 mx")
		p.say("EHLO", "250 mx")
		takeMail(p)
	})
	f("no EHLO at all", "smtp://mx.example", "accepted", func(p *peer) {
		_ = p.PrintfLine("220 hello")
		p.say("EHLO", "502 what?")
		p.say("EHLO", "502 what?")
		p.say("HELO", "250 mx")
		takeMail(p)
	})
	f("words slipped in behind STARTTLS", "smtp://mx.example", "more than its answer", func(p *peer) {
		_ = p.PrintfLine("220 hello")
		p.say("EHLO", "250-mx", "250 STARTTLS")
		p.say("STARTTLS", "220 ready\r\n250 slipped in")
	})
}

// One connection serves many mails; a refusal does not cost it; one that the server has
// closed meanwhile is replaced unnoticed; an old one is not used.
func TestReuse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inbox, pipe := serve(t, InboxOptions{})
		s := dialled(t, pipe, SMTPOptions{PerConnection: 10})
		send := func(n int, want Status, dials int64) {
			t.Helper()
			for range n {
				if d := s.Deliver(t.Context(), Transaction{From: "a@a.example", To: "b@b.example", Body: []byte("x: y\r\n\r\nz\r\n")}); d.Status != want {
					t.Fatalf("got %s", d.Reason())
				}
			}
			if got := s.Stats().Dials; got != dials {
				t.Fatalf("%d connections were opened, want %d", got, dials)
			}
		}
		script := func(f ...Fault) {
			t.Helper()
			if err := inbox.Script(f...); err != nil {
				t.Fatal(err)
			}
		}
		send(8, Accepted, 1)
		script(Fault{Stage: StageRcpt, Code: 550})
		send(2, Permanent, 1) // the tenth mail of this connection
		script()
		send(1, Accepted, 2)
		script(Fault{Stage: StageMail, Drop: true, Times: 1})
		send(1, Accepted, 3)
		script(Fault{Stage: StageMail, Code: 421, Times: 1})
		send(1, Accepted, 4)
		time.Sleep(time.Minute)
		send(1, Accepted, 5)
		script(Fault{Stage: StageDone, Drop: true, Times: 1})
		send(2, Accepted, 6)
		if st := s.Stats(); st.Redials != 3 || st.Idle != 1 {
			t.Fatalf("%+v", st)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if d := s.Deliver(t.Context(), Transaction{From: "a@a.example", To: "b@b.example", Body: []byte("x\r\n")}); d.Status != NotSent || !errors.Is(d.Err, ErrClosed) {
			t.Fatalf("after Close: %s", d.Reason())
		}
	})
}

func TestSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inbox, pipe := serve(t, InboxOptions{})
		if err := inbox.Script(Fault{Stage: StageMail, Delay: 10 * time.Second}); err != nil {
			t.Fatal(err)
		}
		s := dialled(t, pipe, SMTPOptions{Connections: 2})
		start := time.Now()
		results := make(chan Delivery, 6)
		for range 6 {
			go func() {
				results <- s.Deliver(t.Context(), Transaction{From: "a@a.example", To: "b@b.example", Body: []byte("x\r\n")})
			}()
		}
		for range 6 {
			if d := <-results; d.Status != Accepted {
				t.Fatal(d.Reason())
			}
		}
		if took := time.Since(start); took != 30*time.Second {
			t.Fatalf("six mails of 10 s over two connections took %s", took)
		}
		if d := s.Stats().Dials; d != 2 {
			t.Fatalf("%d connections", d)
		}
	})
}

// Property: what is stuffed, sent and read by textproto is what was given.
func TestStuffed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOfN(rapid.SampledFrom([]string{"", ".", "..", ".a", "a.", "a", "\ta"}), 1, 20).Draw(t, "lines")
		ends := rapid.SampledFrom([]string{"\r\n", "\n", "\r"}).Draw(t, "ends")
		body := strings.Join(lines, ends) + "\r\n"
		wire := append(bytes.Clone(stuffed([]byte(body))), "\r\n.\r\nNEXT"...)
		r := textproto.NewReader(bufio.NewReader(bytes.NewReader(wire)))
		got, err := r.ReadDotBytes()
		if want := strings.Join(lines, "\n") + "\n"; err != nil || string(got) != want {
			t.Fatalf("%q came through as %q, %v", want, got, err)
		}
		if next, _ := io.ReadAll(r.R); string(next) != "NEXT" {
			t.Fatalf("the mail ended elsewhere: %q is left", next)
		}
	})
}

func BenchmarkSend(b *testing.B) {
	for _, sync := range []bool{false, true} {
		b.Run(fmt.Sprintf("sync=%t", sync), func(b *testing.B) {
			_, pipe := serve(b, InboxOptions{Mails: 10})
			s := NewSender(dialled(b, pipe, SMTPOptions{}), journal(b, b.TempDir(), JournalOptions{NoSync: !sync}), SenderOptions{})
			m := sample("d1")
			m.Draft.HTML = strings.Repeat("<tr><td>A mug</td><td>9.90</td></tr>\n", 150)
			letter := Letter{From: m.From.Addr, To: m.To.Addr, Bytes: render(b, m)}
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				n++
				_, err := s.Send(b.Context(), Job{Decision: fmt.Sprintf("d%d", n), Render: func(context.Context) (Letter, error) { return letter, nil }})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
