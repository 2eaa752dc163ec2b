package console

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/mail"
	"net/url"
	"strconv"
)

// mailLine is a mail in a list.
type mailLine struct {
	ID       string `json:"id"`
	Subject  string `json:"subject"`
	To       string `json:"to"`
	At       moment `json:"at"`
	Pipeline string `json:"pipeline,omitempty"`
	Kind     string `json:"kind,omitempty"`
	Fallback bool   `json:"fallback_subject"`
	Notice   string `json:"notice,omitempty"`
	Initial  string `json:"-"`
	Href     string `json:"-"`
	Current  bool   `json:"-"`
}

// pager leads to newer and older entries.
type pager struct {
	From  int    `json:"from"` // 1 for the newest
	To    int    `json:"to"`
	Total int    `json:"total"`
	Newer string `json:"newer,omitempty"`
	Older string `json:"older,omitempty"`
}

// inboxView is the list of mails.
type inboxView struct {
	Mails []mailLine `json:"mails"`
	Pager pager      `json:"pager"`
}

// mailTab is one way to look at a mail.
type mailTab struct {
	Label, Href string
	Current     bool
}

// mailView is one mail.
type mailView struct {
	mailLine
	From       string     `json:"from"`
	Decision   string     `json:"decision,omitempty"`
	Headers    []Header   `json:"headers"`
	Text       string     `json:"text"`
	HTML       string     `json:"html"`
	Masked     bool       `json:"masked"`
	Part       string     `json:"-"`
	TextCut    bool       `json:"-"`
	Tabs       []mailTab  `json:"-"`
	Frame      string     `json:"-"`
	HTMLSize   string     `json:"-"`
	Neighbours []mailLine `json:"-"`
}

// Sizes of lists and of what is shown of one mail.
const (
	pageRows       = 25
	besideRows     = 8
	textShownMax   = 16 << 10 // in the page; a mail's text is 2 kB
	htmlShownMax   = 1 << 20  // in its frame; a mail beyond 100 kB is cut by mail readers anyway
	headersMax     = 48
	headerBytesMax = 1000
)

// inbox answers the list of mails.
func (c *Console) inbox(w http.ResponseWriter, r *http.Request) {
	v, err := c.inboxOf(r.Context(), offsetOf(r))
	if err != nil {
		c.oops(w, r, err)
		return
	}
	c.page(w, r, http.StatusOK, "inbox", "Inbox", v)
}

// inboxParts renders what changes on the newest page of the inbox.
func (c *Console) inboxParts(ctx context.Context) ([]part, error) {
	v, err := c.inboxOf(ctx, 0)
	if err != nil {
		return nil, err
	}
	p, err := c.fragment("inbox", "mails", v)
	return []part{p}, err
}

func (c *Console) inboxOf(ctx context.Context, offset int) (inboxView, error) {
	mails, total, err := c.opt.Inbox.List(ctx, offset, pageRows)
	if err != nil {
		return inboxView{}, fmt.Errorf("list mails: %w", err)
	}
	mails = mails[:min(len(mails), pageRows)]
	return inboxView{Mails: c.linesOf(mails), Pager: pagerOf("/inbox", offset, len(mails), total)}, nil
}

// mail answers one mail.
func (c *Console) mail(w http.ResponseWriter, r *http.Request) {
	m, err := c.opt.Inbox.Get(r.Context(), r.PathValue("id"))
	if err != nil {
		c.oops(w, r, err)
		return
	}
	v := c.mailOf(m, known(cmp.Or(r.URL.Query().Get("part"), "html"), "html", "phone", "text", "headers"))
	beside, _, err := c.opt.Inbox.List(r.Context(), 0, besideRows)
	if err != nil {
		c.oops(w, r, err)
		return
	}
	v.Neighbours = c.linesOf(beside[:min(len(beside), besideRows)])
	for i := range v.Neighbours {
		v.Neighbours[i].Current = v.Neighbours[i].ID == m.ID
	}
	c.page(w, r, http.StatusOK, "mail", v.Subject, v)
}

// mailHTML answers the HTML part of a mail for its frame, under a policy that lets
// it do nothing but be looked at.
func (c *Console) mailHTML(w http.ResponseWriter, r *http.Request) {
	m, err := c.opt.Inbox.Get(r.Context(), r.PathValue("id"))
	if err != nil {
		c.oops(w, r, err)
		return
	}
	body := firstBytes(m.HTML, htmlShownMax)
	if !c.opt.Unmask {
		body = veilOf(m).markup(body)
	}
	w.Header().Set("Content-Security-Policy", mailPolicy)
	w.Header().Set("X-Frame-Options", "SAMEORIGIN")
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write([]byte(body)) //nolint:gosec // it is a foreign page on purpose: mailPolicy and the sandbox let it do nothing
}

func (c *Console) mailOf(m Mail, shown string) mailView {
	v := mailView{
		mailLine: c.lineOf(m), From: clean(m.From), Decision: clean(m.Decision), Part: shown, Masked: !c.opt.Unmask,
		Text: cleanText(m.Text), HTML: m.HTML, HTMLSize: size(uint64(len(m.HTML))), Frame: "/inbox/" + url.PathEscape(m.ID) + "/html",
	}
	ve := veilOf(m)
	for _, h := range m.Headers[:min(len(m.Headers), headersMax)] {
		value := firstBytes(h.Value, headerBytesMax)
		if !c.opt.Unmask && value != m.From && h.Name != "From" {
			value = ve.text(value)
		}
		v.Headers = append(v.Headers, Header{clean(h.Name), printable([]byte(value))})
	}
	if !c.opt.Unmask {
		v.Text, v.HTML = ve.text(v.Text), ve.markup(v.HTML)
	}
	v.TextCut = len(v.Text) > textShownMax
	v.Text = firstBytes(v.Text, textShownMax)
	v.HTML = firstBytes(v.HTML, htmlShownMax)
	for _, t := range []mailTab{{Label: "Mail", Href: "html"}, {Label: "Phone", Href: "phone"}, {Label: "Plain text", Href: "text"}, {Label: "Headers", Href: "headers"}} {
		v.Tabs = append(v.Tabs, mailTab{t.Label, v.Href + "?part=" + t.Href, t.Href == shown || shown == "other" && t.Href == "html"})
	}
	return v
}

func (c *Console) linesOf(mails []Mail) []mailLine {
	out := make([]mailLine, 0, len(mails))
	for _, m := range mails {
		out = append(out, c.lineOf(m))
	}
	return out
}

// lineOf is a mail in a list, masked unless the options allow more.
func (c *Console) lineOf(m Mail) mailLine {
	l := mailLine{ID: m.ID, Subject: m.Subject, To: m.To, At: at(m.At, c.opt.Zone), Pipeline: clean(m.Pipeline),
		Kind: clean(m.Kind), Fallback: m.Fallback, Notice: clean(m.Notice), Href: "/inbox/" + url.PathEscape(m.ID)}
	if a, err := mail.ParseAddress(m.To); err == nil {
		l.To = cmp.Or(a.Name, a.Address)
		if a.Name != "" {
			l.To += " <" + a.Address + ">"
		}
	}
	l.Initial = capital(firstRunes(clean(l.To), 1))
	if !c.opt.Unmask {
		l.Subject, l.To = veilOf(m).text(m.Subject), maskAddress(m.To)
	}
	l.Subject, l.To = clean(l.Subject), clean(l.To)
	if l.Subject == "" {
		l.Subject = "(no subject)"
	}
	return l
}

// firstBytes cuts s to at most n bytes, at a character.
func firstBytes(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n]
}

// offsetMax bounds how far back a list is asked for.
const offsetMax = 1 << 30

// offsetOf reads ?from=, the number of entries to leave out.
func offsetOf(r *http.Request) int {
	n, err := strconv.Atoi(r.URL.Query().Get("from"))
	if err != nil {
		return 0
	}
	return min(max(n, 0), offsetMax)
}

func pagerOf(base string, offset, rows, total int) pager {
	p := pager{From: offset + 1, To: offset + rows, Total: total}
	if offset > 0 {
		p.Newer = base
		if n := max(0, offset-pageRows); n > 0 {
			p.Newer += "?from=" + strconv.Itoa(n)
		}
	}
	if offset+rows < total {
		p.Older = base + "?from=" + strconv.Itoa(offset+pageRows)
	}
	return p
}
