package content

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The limits of a shop's own lines.
const (
	ownLinesMost = 10_000  // five times what is shipped
	ownBytesMost = 2 << 20 // of a file
	reactionsMin = 20      // a line that was sent less often says nothing of its own
)

// ErrOwnTooBig says that a file holds more lines of a shop than may be learnt.
var ErrOwnTooBig = errors.New("content: more lines of the shop's own than can be learnt")

// Own are the lines that a shop adds to the corpus.
type Own struct {
	Lines   []Line
	Refused []Refusal
	Text    string // of what was taken, in the form that was read
	Judged  int    // lines whose reactions are known
}

// Refusal is a line that was not taken.
type Refusal struct {
	Where string // file:line
	Why   string
}

// String returns the refusal as the command line prints it.
func (r Refusal) String() string { return r.Where + ": " + r.Why }

// ownSlots are the ways in which other mail programs write the slots.
func ownSlots() *strings.Replacer {
	names := [slotCount][]string{
		FirstName: {"{{first_name}}", "{{ first_name }}", "{{ customer.first_name }}", "*|FNAME|*", "%FIRSTNAME%", "{name}", "{姓名}"},
		Product:   {"{{product}}", "{{ product }}", "{{ product.name }}", "{{ product.title }}", "{item}", "{商品}"},
		Price:     {"{{price}}", "{{ price }}", "{{ product.price }}", "{价格}"},
		Category:  {"{{category}}", "{{ category }}", "{类别}"},
		Shop:      {"{{shop}}", "{{ shop }}", "{{ shop.name }}", "{店铺}"},
	}
	var pairs []string
	for slot := range slotCount {
		for _, name := range names[slot] {
			pairs = append(pairs, name, slot.String())
		}
	}
	return strings.NewReplacer(pairs...)
}

// ParseOwn reads lines of a shop's own in the form of the corpus: heads such as
//
//	[en subject cart Kitchen playful]
//
// (a language, a part, a kind, and behind them a category and a tag if there are), and
// under them lines. Behind a line may stand how often it was sent and clicked:
//
//	Your cart is still here | 4200 | 93
//
// Lines that break a rule of the corpus are refused, each by itself, with name:line.
func ParseOwn(name string, r io.Reader) (Own, error) {
	p := ownParser{name: name, slots: ownSlots(), seen: map[string]bool{}, banned: newBanned(defaultBanned())}
	var err error
	if p.claims, err = readClaims(); err != nil {
		return Own{}, err
	}
	if p.words, err = readWords(); err != nil {
		return Own{}, err
	}
	limited := &io.LimitedReader{R: r, N: ownBytesMost + 1}
	s := bufio.NewScanner(limited)
	s.Buffer(nil, ownBytesMost+1)
	for n := 1; s.Scan(); n++ {
		p.line(n, s.Text())
		if len(p.out.Lines) > ownLinesMost || len(p.out.Refused) > ownLinesMost {
			return Own{}, fmt.Errorf("%w: more than %d lines", ErrOwnTooBig, ownLinesMost)
		}
	}
	if errors.Is(s.Err(), bufio.ErrTooLong) {
		return Own{}, fmt.Errorf("%w: a line of more than %d bytes", ErrOwnTooBig, ownBytesMost)
	}
	if err := s.Err(); err != nil {
		return Own{}, fmt.Errorf("content: read lines of the shop: %w", err)
	}
	if limited.N <= 0 {
		return Own{}, fmt.Errorf("%w: more than %d bytes", ErrOwnTooBig, ownBytesMost)
	}
	p.weigh()
	p.out.Text = p.text.String()
	return p.out, nil
}

// ownParser reads a file of a shop's own lines.
type ownParser struct {
	name   string
	slots  *strings.Replacer
	banned banned
	claims claims
	words  words
	head   Line
	usable bool // the head was understood
	seen   map[string]bool
	sent   []int // by line: how often, and how often of these clicked
	clicks []int
	text   strings.Builder
	out    Own
}

func (p *ownParser) refuse(n int, format string, args ...any) {
	p.out.Refused = append(p.out.Refused, Refusal{fmt.Sprintf("%s:%d", p.name, n), fmt.Sprintf(format, args...)})
}

func (p *ownParser) line(n int, text string) {
	text = strings.TrimSpace(strings.ToValidUTF8(text, ""))
	switch {
	case text == "" || strings.HasPrefix(text, "#"):
		return
	case strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]"):
		var err error
		if p.head, err = ownHead(strings.Fields(text[1 : len(text)-1])); err != nil {
			p.usable = false
			p.refuse(n, "%v", err)
			return
		}
		p.usable = true
		fmt.Fprintln(&p.text, text)
		return
	case !p.usable:
		p.refuse(n, "stands under no head that is understood")
		return
	}
	cells := strings.Split(text, "|")
	if strings.Contains(text, "*|FNAME|*") { // the one form of a slot with the mark in it
		cells = strings.Split(strings.ReplaceAll(text, "*|FNAME|*", FirstName.String()), "|")
	}
	sent, clicks, err := reactions(cells[1:])
	if err != nil {
		p.refuse(n, "%v", err)
		return
	}
	l := p.head
	l.Text = p.slots.Replace(clean(cells[0], 400))
	if why := p.fault(&l); why != "" {
		p.refuse(n, "%s", why)
		return
	}
	key := l.Language + l.Part.String() + l.Kind + l.Category + l.Tag + l.Text
	if p.seen[key] {
		p.refuse(n, "stands here twice")
		return
	}
	p.seen[key] = true
	p.out.Lines = append(p.out.Lines, l)
	p.sent, p.clicks = append(p.sent, sent), append(p.clicks, clicks)
	fmt.Fprint(&p.text, l.Text)
	if sent > 0 {
		fmt.Fprintf(&p.text, " | %d | %d", sent, clicks)
	}
	fmt.Fprintln(&p.text)
}

// ownHead reads a head: a language, a part, a kind, a category and a tag.
func ownHead(words []string) (Line, error) {
	if len(words) < 3 {
		return Line{}, fmt.Errorf("head %q, want a language, a part and a kind", words)
	}
	if !slices.Contains(languages(), words[0]) {
		return Line{}, fmt.Errorf("language %q, one of %s", words[0], strings.Join(languages(), " "))
	}
	part, ok := partByName(words[1])
	if !ok {
		return Line{}, fmt.Errorf("part %q, one of %v", words[1], Parts())
	}
	base, grammar, err := headOf(words[2:])
	if err == nil && grammar {
		err = errors.New("grammar lines are for the shipped corpus only")
	}
	base.Language, base.Part = words[0], part
	return base, err
}

// reactions reads how often a line was sent and clicked.
func reactions(cells []string) (sent, clicks int, err error) {
	if len(cells) == 0 {
		return 0, 0, nil
	}
	if len(cells) != 2 {
		return 0, 0, errors.New("want how often it was sent and clicked behind the line, or nothing")
	}
	sent, err = strconv.Atoi(strings.TrimSpace(cells[0]))
	if err == nil {
		clicks, err = strconv.Atoi(strings.TrimSpace(cells[1]))
	}
	if err != nil || sent < 0 || clicks < 0 || clicks > sent || sent > 1e9 {
		return 0, 0, fmt.Errorf("sent %q, clicked %q: want whole numbers, no more clicked than sent", cells[0], cells[1])
	}
	return sent, clicks, nil
}

// fault says which rule a line breaks, or "".
func (p *ownParser) fault(l *Line) string {
	if err := checkLine(l.Text); err != nil {
		return err.Error()
	}
	if l.Text == "" {
		return "nothing is left of it"
	}
	if n := utf8.RuneCountInString(l.Text); n > l.Part.runes() {
		return fmt.Sprintf("%d characters, at most %d in a %s", n, l.Part.runes(), l.Part)
	}
	if n := len(p.words.tokenize(l.Language, l.Text)); n > l.Part.steps() {
		return fmt.Sprintf("%d words, at most %d in a %s", n, l.Part.steps(), l.Part)
	}
	rest := l.Text
	for s := range slotCount {
		rest = strings.ReplaceAll(rest, s.String(), "")
	}
	han := strings.ContainsFunc(rest, func(r rune) bool { return unicode.Is(unicode.Han, r) })
	latin := strings.ContainsFunc(rest, wordRune)
	if l.Language == "zh" && latin || l.Language == "en" && han || !latin && !han {
		return "is not in the language of its head"
	}
	if word := p.banned.find(l.Text); word != "" {
		return fmt.Sprintf("says %q, which no mail may", word)
	}
	if !fineWordings(l.Text) {
		return "reads like spam or an insult"
	}
	for _, tag := range tags() {
		if phrase := p.claims[tag].find(l.Text); phrase != "" && l.Tag != tag {
			return fmt.Sprintf("says %q, which is true under the tag %s only", phrase, tag)
		}
	}
	return ""
}

// weigh sets what lines count by how they were received: their rate of clicks, drawn
// towards that of all by as many mails as reactionsMin, over that of all.
func (p *ownParser) weigh() {
	sent, clicks := 0, 0
	for i, n := range p.sent {
		sent, clicks = sent+n, clicks+p.clicks[i]
	}
	if sent < reactionsMin || clicks == 0 {
		return
	}
	mean := float64(clicks) / float64(sent)
	for i, n := range p.sent {
		if n < reactionsMin {
			continue
		}
		rate := (float64(p.clicks[i]) + mean*reactionsMin) / float64(n+reactionsMin)
		p.out.Lines[i].Weight = float32(min(max(rate/mean, 0.25), 4)) // one line is not to fill the model
		p.out.Judged++
	}
}
