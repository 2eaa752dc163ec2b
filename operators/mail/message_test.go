package mail

import (
	"bytes"
	"errors"
	"mime"
	netmail "net/mail"
	"strings"
	"testing"
	"time"

	gomessage "github.com/emersion/go-message/mail"
	"pgregory.net/rapid"
)

func TestMessageHeaders(t *testing.T) {
	m, err := netmail.ReadMessage(bytes.NewReader(render(t, sample("d1"))))
	if err != nil {
		t.Fatal(err)
	}
	f := func(name, want string) {
		t.Helper()
		if got := m.Header[name]; len(got) != min(1, len(want)) || len(got) == 1 && got[0] != want {
			t.Fatalf("%s: got %q, want %q", name, got, want)
		}
	}
	f("From", `"The Shop" <shop@shop.example>`)
	f("To", `"Ann" <ann@example.com>`)
	f("Subject", "Your mug waits")
	f("Date", "Sat, 14 Mar 2026 15:09:26 +0000")
	f("Message-Id", "<d1@shop.example>")
	f("Mime-Version", "1.0")
	f("Auto-Submitted", "auto-generated")
	f("List-Unsubscribe", "<https://shop.example/u/token>")
	f("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")
	f("Feedback-Id", "cart-abandonment:cart:millrace:shop.example")
	// Nothing that names the program, and nothing that filters know from bulk mailers of old.
	f("User-Agent", "")
	f("X-Mailer", "")
	f("Precedence", "")
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" || params["boundary"] != boundary("d1") {
		t.Fatalf("content type %q, %v, %v", kind, params, err)
	}
}

func TestMessageTransactional(t *testing.T) {
	m := sample("d1")
	m.Unsubscribe, m.Stream, m.Draft.HTML = "", "", ""
	b := string(render(t, m))
	if strings.Contains(b, "List-Unsubscribe") || strings.Contains(b, "Feedback-ID") || strings.Contains(b, "multipart") {
		t.Fatalf("got\n%s", b)
	}
}

func TestMessageEqualBytes(t *testing.T) {
	one := render(t, sample("d1"))
	for range 20 {
		if !bytes.Equal(render(t, sample("d1")), one) {
			t.Fatal("equal messages give other bytes")
		}
	}
	if bytes.Equal(render(t, sample("d2")), one) {
		t.Fatal("other decisions give equal bytes")
	}
	elsewhere := sample("d1")
	elsewhere.Date = day.In(time.FixedZone("east", 5*3600))
	if !bytes.Equal(render(t, elsewhere), one) {
		t.Fatal("the zone of the date changes the bytes")
	}
}

// Texts of any language come back as they went in, in lines of at most 76 characters.
func TestMessageTexts(t *testing.T) {
	f := func(subject, name, text, html string) {
		t.Helper()
		m := sample("d1")
		m.Draft.Subject, m.To.Name, m.Draft.Text, m.Draft.HTML = subject, name, text, html
		b := render(t, m)
		wellFormed(t, b)
		gotText, gotHTML := parts(b)
		if subjectGot, _ := headers(b); subjectGot != subject {
			t.Fatalf("subject %q came back as %q", subject, subjectGot)
		}
		lf := func(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }
		if lf(gotText) != text+"\n" || lf(gotHTML) != html+"\n" {
			t.Fatalf("text %q, html %q came back as %q, %q", text, html, gotText, gotHTML)
		}
		r, err := gomessage.CreateReader(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		to, err := r.Header.AddressList("To")
		if err != nil || len(to) != 1 || to[0].Name != name || to[0].Address != "ann@example.com" {
			t.Fatalf("to %q came back as %v, %v", name, to, err)
		}
	}
	f("Your mug waits", "Ann", "text", "<p>html</p>")
	f("您的购物车还在等您：蓝色马克杯现在特价，仅限今天，千万不要错过这个难得的机会哦", "王小明", "亲爱的王小明，\n您的购物车还在等您。", "<p>您的购物车还在等您</p>")
	f("Grüße aus Köln – für Sie 🎁", `Ann "the mug" O'Hara, Ltd.`, strings.Repeat("ü", 500), "<p>"+strings.Repeat("long ", 400)+"</p>")
	f(strings.Repeat("word ", 60)+"end", "", ".\n..\n.dot at the start\nFrom here", "<pre>.\n.\n</pre>")
	f("= ?utf-8?q?not_encoded?=", "= ?utf-8?q?name?=", "--"+boundary("d2")+"--", "=3D = =20")
}

// wellFormed checks the limits of email.md 2.3 on a whole mail.
func wellFormed(t interface {
	Helper()
	Fatalf(string, ...any)
}, b []byte) {
	t.Helper()
	if bareEnds(b) || !bytes.HasSuffix(b, []byte("\r\n")) {
		t.Fatalf("line ends are not CRLF in\n%q", b)
	}
	head, _, _ := bytes.Cut(b, []byte("\r\n\r\n"))
	for i, line := range bytes.Split(b, []byte("\r\n")) {
		limit := 76
		if i < bytes.Count(head, []byte("\r\n"))+1 {
			limit = 998
		}
		if len(line) > limit {
			t.Fatalf("line %d has %d characters: %q", i, len(line), line)
		}
		for _, c := range line {
			if c >= 0x80 || c < ' ' && c != '\t' {
				t.Fatalf("line %d holds byte 0x%02x", i, c)
			}
		}
	}
}

// Whatever stands in the texts, no header is added and no part is closed.
func TestMessageInjection(t *testing.T) {
	clean := headerNames(t, render(t, sample("d1")))
	f := func(change func(m *Message)) {
		t.Helper()
		m := sample("d1")
		change(&m)
		if got := headerNames(t, render(t, m)); got != clean {
			t.Fatalf("headers changed from %s to %s", clean, got)
		}
	}
	for _, evil := range []string{"x\r\nBcc: eve@evil.example", "x\nBcc: eve@evil.example", "x\rBcc: e@e", "x\r\n\r\nbody", "\x00\x01", "x\u2028Bcc: a@b", "x\u0085Bcc: a@b", "\xff\xfe"} {
		f(func(m *Message) { m.Draft.Subject = "s" + evil })
		f(func(m *Message) { m.From.Name = evil })
		f(func(m *Message) { m.To.Name = evil })
		f(func(m *Message) { m.Stream, m.Kind = evil, evil })
		f(func(m *Message) { m.Draft.Text = "t" + evil })
	}
	// An encoded word in a text is not decoded by who reads the mail.
	hidden := sample("d1")
	hidden.Draft.Subject = "=?utf-8?b?ZXZpbA==?="
	if subject, _ := headers(render(t, hidden)); strings.Contains(subject, "evil") {
		t.Fatalf("the reader sees %q", subject)
	}
	m := sample("d1")
	m.Headers = []Field{{"X-Shop", "a\r\nBcc: eve@evil.example"}}
	if got := headerNames(t, render(t, m)); got != clean+" X-Shop" {
		t.Fatalf("got headers %s", got)
	}
}

func headerNames(t *testing.T, b []byte) string {
	t.Helper()
	m, err := netmail.ReadMessage(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, name := range []string{"From", "To", "Cc", "Bcc", "Subject", "Date", "Message-Id", "Content-Type", "Content-Transfer-Encoding",
		"List-Unsubscribe", "List-Unsubscribe-Post", "Feedback-Id", "Auto-Submitted", "Mime-Version", "Body", "X-Shop"} {
		for range m.Header[name] {
			names = append(names, name)
		}
	}
	if n := len(m.Header); n != len(names) {
		t.Fatalf("unexpected headers among %v", m.Header)
	}
	return strings.Join(names, " ")
}

func TestMessageRefused(t *testing.T) {
	f := func(want string, change func(m *Message)) {
		t.Helper()
		m := sample("d1")
		change(&m)
		_, err := m.Render()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Fatalf("got %v, want %q", err, want)
		}
		if strings.Contains(err.Error(), "ann@") || strings.Contains(err.Error(), "bücher") {
			t.Fatalf("the address is in %q", err)
		}
	}
	f("decision id", func(m *Message) { m.Decision = "" })
	f("byte 0x40", func(m *Message) { m.Decision = "a@b" })
	f("1 to 128", func(m *Message) { m.Decision = strings.Repeat("a", 129) })
	f("address of to: is empty", func(m *Message) { m.To.Addr = "" })
	f("give it in punycode", func(m *Message) { m.To.Addr = "ann@bücher.example" })
	f("address of from", func(m *Message) { m.From.Addr = "shop" })
	f("address of reply-to", func(m *Message) { m.ReplyTo = "a@b\r\nBcc: c@d" })
	f("address of message-id", func(m *Message) { m.Domain = "a b" })
	f("no subject", func(m *Message) { m.Draft.Subject = " \t" })
	f("subject has 999 bytes", func(m *Message) { m.Draft.Subject = strings.Repeat("a", 999) })
	f("no text part", func(m *Message) { m.Draft.Text = "" })
	f("larger than 1 MiB", func(m *Message) { m.Draft.HTML = strings.Repeat("a", 1<<20) })
	f("larger than 1 MiB", func(m *Message) { m.Draft.HTML = strings.Repeat("ü", 1<<18) })
	f("date is missing", func(m *Message) { m.Date = time.Time{} })
	f("not an absolute http", func(m *Message) { m.Unsubscribe = "/u/token" })
	f("not an absolute http", func(m *Message) { m.Unsubscribe = "mailto:a@b.example" })
	f("byte 0x0d", func(m *Message) { m.Unsubscribe = "https://a.example/\r\nBcc: c@d" })
	f("byte 0x3e", func(m *Message) { m.Unsubscribe = "https://a.example/>,<mailto:a@b.example" })
	f("at most 900", func(m *Message) { m.Unsubscribe = "https://a.example/" + strings.Repeat("a", 900) })
	f("Bcc is set by the mailer", func(m *Message) { m.Headers = []Field{{"Bcc", "a@b.example"}} })
	f("made of letters", func(m *Message) { m.Headers = []Field{{"X: y\r\nBcc", "a"}} })
	f("made of letters", func(m *Message) { m.Headers = []Field{{"--", "a"}} })
	f("at most 16", func(m *Message) { m.Headers = make([]Field, 17) })
	f("at most 998", func(m *Message) { m.Headers = []Field{{"X-A", strings.Repeat("a", 999)}} })

	m := sample("d1")
	m.To.Addr = "ann"
	var address *AddressError
	if _, err := m.Render(); !errors.As(err, &address) || address.Field != "to" {
		t.Fatalf("got %v", err)
	}
}

func TestCheckAddress(t *testing.T) {
	f := func(addr, want string) {
		t.Helper()
		got := ""
		if err := CheckAddress("to", addr); err != nil {
			got = err.Error()
		}
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Fatalf("%q: got %q, want %q", addr, got, want)
		}
	}
	f("ann@example.com", "")
	f("a.b+c=d/e@sub.example.co.uk", "")
	f("ann@xn--bcher-kva.example", "")
	f("ann@localhost", "")
	f(strings.Repeat("a", 64)+"@example.com", "")
	f(strings.Repeat("a", 65)+"@example.com", "longer than 64")
	f("ann@"+strings.Repeat("a.", 127)+"ab", "longer than 255")
	f("ann@"+strings.Repeat("a", 64)+".example", "bad label")
	f("", "is empty")
	f("ann", "has no @")
	f("@example.com", "no local part")
	f("ann@", "no domain")
	f("ann@.example", "bad label")
	f("ann@example.", "bad label")
	f("ann@-a.example", "bad label")
	f(".ann@example.com", "dot in a wrong place")
	f("an..n@example.com", "dot in a wrong place")
	f("ann @example.com", "not allowed")
	f("ann@exam ple.com", "not allowed")
	f("ann@a@example.com", "not allowed")
	f(`"ann"@example.com`, "not allowed")
	f("ann>@example.com", "not allowed")
	f("ann\r\n@example.com", "not allowed")
	f("änn@example.com", "local part that is not ASCII")
	f("ann@例子.example", "punycode")
	f("ann@127.0.0.1", "number where the domain belongs")
	f("ann@[127.0.0.1]", "not allowed")
}

func TestPattern(t *testing.T) {
	f := func(pattern, addr string, want bool) {
		t.Helper()
		p, err := ParsePattern(pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Matches(addr); got != want {
			t.Fatalf("%q, %q: got %t", pattern, addr, got)
		}
	}
	f("", "anybody@example.com", true)
	f("*@example.com", "Ann@Example.COM", true)
	f("*@example.com", "ann@example.com.evil.example", false)
	f("ann@example.com", "joann@example.com", false)
	f("a/b@*", "a/b@example.com", true)
	f("*@example.com", "a/b@example.com", true)
	f("x@y, ?nn@example.com", "ann@example.com", true)
	f("x@y,", "ann@example.com", false)
	for _, bad := range []string{"[", " , ", "a[b"} {
		if _, err := ParsePattern(bad); err == nil {
			t.Fatalf("%q was taken", bad)
		}
	}
}

// The subject begins on the line of its header, whatever its language and length, and no
// encoded word or line of it is over the limits of RFC 2047 (75 and 76 characters).
func TestSubjectFolds(t *testing.T) {
	f := func(subject string, lines int) {
		t.Helper()
		m := sample("d1")
		m.Draft.Subject = subject
		b := render(t, m)
		_, field, _ := strings.Cut(string(b), "\r\nSubject:")
		end := strings.Index(field, "\r\n")
		got := 1
		for ; field[end+2] == ' '; got++ {
			end += 2 + strings.Index(field[end+2:], "\r\n")
		}
		field = field[:end]
		first, _, _ := strings.Cut(field, "\r\n")
		if strings.TrimSpace(first) == "" {
			t.Fatalf("%q: nothing on the first line: %q", subject, field)
		}
		for i, line := range strings.Split(field, "\r\n") {
			if i == 0 {
				line = "Subject:" + line
			}
			if len(line) > 76 {
				t.Fatalf("%q: line of %d characters: %q", subject, len(line), line)
			}
		}
		for word := range strings.FieldsSeq(field) {
			if strings.HasPrefix(word, "=?") && len(word) > 75 {
				t.Fatalf("%q: encoded word of %d characters", subject, len(word))
			}
		}
		if read, _ := headers(b); read != subject || got != lines {
			t.Fatalf("%q came back as %q in %d lines, want %d", subject, read, got, lines)
		}
	}
	f("Your mug waits", 1)
	f("别让园艺好物在购物车里等太久", 2)
	f("购物车还在", 1)
	f("您的购物车还在等您：蓝色马克杯现在特价，仅限今天，千万不要错过这个难得的机会哦", 4)
	f("Grüße aus Köln", 1)
	f("🎁🎁🎁🎁🎁🎁🎁🎁🎁🎁🎁🎁", 2)
	f(strings.Repeat("word ", 30)+"end", 3)
	// A first word that leaves no room on the first line.
	f(strings.Repeat("w", 63)+" end", 2)
	f(strings.Repeat("w", 64)+" end", 2)
}

// Property: any text gives a well-formed mail, the same each time, that reads back.
func TestMessageAnyText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := sample("d1")
		m.Draft.Subject = "s" + rapid.StringN(0, 100, 300).Draw(t, "subject")
		m.Draft.Text = "t" + rapid.StringN(0, 500, 2000).Draw(t, "text")
		m.Draft.HTML = rapid.StringN(0, 500, 2000).Draw(t, "html")
		m.From.Name = rapid.StringN(0, 100, 300).Draw(t, "name")
		one, err := m.Render()
		if err != nil {
			t.Fatal(err)
		}
		two, _ := m.Render()
		if !bytes.Equal(one, two) {
			t.Fatal("not the same bytes")
		}
		wellFormed(t, one)
		if subject, id := headers(one); subject != oneLine(m.Draft.Subject) || id != "d1@shop.example" {
			t.Fatalf("subject %q came back as %q, id as %q", oneLine(m.Draft.Subject), subject, id)
		}
		text, _ := parts(one)
		if strings.ReplaceAll(text, "\r\n", "\n") != clean(m.Draft.Text) {
			t.Fatalf("text %q came back as %q", m.Draft.Text, text)
		}
	})
}

func FuzzHeadersAndParts(f *testing.F) {
	f.Add(render(f, sample("d1")))
	f.Add([]byte("Subject: =?utf-8?q?a?=\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\r\nx\r\n--a--\r\n"))
	f.Add([]byte("\r\n\r\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		headers(raw)
		text, html := parts(raw)
		if len(text)+len(html) > 4*len(raw)+16 {
			t.Fatalf("%d bytes became %d", len(raw), len(text)+len(html))
		}
	})
}

func BenchmarkRender(b *testing.B) {
	m := sample("d1")
	m.Draft.HTML = strings.Repeat("<tr><td>A mug</td><td>9.90</td></tr>\n", 150)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Render(); err != nil {
			b.Fatal(err)
		}
	}
}
