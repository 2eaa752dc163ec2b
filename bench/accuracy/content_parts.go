package accuracy

import (
	"bytes"
	"context"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"millrace/operators/content"
	"millrace/operators/event"
)

// ContentPart is what the lines of one part of the mails are worth.
type ContentPart struct {
	Part      string             `json:"part"`
	Lines     int                `json:"lines"`
	Right     float64            `json:"slots_right"`
	Banned    int                `json:"banned"`
	Long      int                `json:"over_long"`
	Urgent    int                `json:"false_urgency"`
	Fallbacks float64            `json:"fallbacks"`
	Different int                `json:"different"`
	Distinct2 float64            `json:"distinct_2"`
	SelfBLEU  map[string]float64 `json:"self_bleu"`
}

// contentPart is a part whose lines are being counted.
type contentPart struct {
	ContentPart
	right, fallen int
	words         map[string][][]string
	forms         map[string]bool
}

// contentAttributes are what the made-up shop says of its main item.
func contentAttributes() []string {
	return []string{"made in the valley", "made to last", "手工制作", "经久耐用"}
}

// contentKnowledge is what the made-up shop knows, in two languages.
func contentKnowledge() content.Knowledge {
	return content.Knowledge{
		Attributes: map[string][]string{"p": contentAttributes()},
		Claims:     []content.Claim{{Say: "organic", Only: []string{"q"}}},
		Replies:    true,
	}
}

// contentRunes is the longest line of a part that the judge lets pass.
func contentRunes(part string, subject int) int {
	return map[string]int{"subject": subject, "preheader": 110, "opening": 200, "product": 160, "action": 28}[part]
}

func (e *contentEval) judgePart(c *ContentContext, l *event.WrittenLine) {
	p := e.parts[l.Part]
	if p == nil {
		p = &contentPart{words: map[string][][]string{}, forms: map[string]bool{}}
		p.Part, p.SelfBLEU = l.Part, map[string]float64{}
		e.parts[l.Part] = p
	}
	p.Lines++
	if l.Why != "" {
		p.fallen++
		if l.Text == "" {
			return // a sentence about the product that was left out
		}
	}
	form := openSlots(c, l.Text)
	if contentFactsRight(c, l.Text) {
		p.right++
	}
	if utf8.RuneCountInString(l.Text) > contentRunes(l.Part, c.Limit) {
		p.Long++
	}
	// Written words are the same for all shops; what a shop bans, its own lines may not say.
	if l.Why == "" && slices.ContainsFunc(c.Banned, func(b string) bool { return saysWord(form, b) }) {
		p.Banned++
	}
	if c.Request.Stock != 1 && slices.ContainsFunc(contentUrgency(), func(b string) bool { return saysWord(form, b) }) {
		p.Urgent++
	}
	language := "en"
	if strings.HasPrefix(c.Request.Language, "zh") {
		language = "zh"
	}
	p.words[language] = append(p.words[language], contentWords(form))
	p.forms[form] = true
}

// partResults are the counts of all parts in the order in which they are read.
func (e *contentEval) partResults() []ContentPart {
	var out []ContentPart
	for _, part := range content.Parts() {
		p := e.parts[part.String()]
		if p == nil {
			continue
		}
		var all [][]string
		for _, language := range []string{"en", "zh"} {
			all = append(all, p.words[language]...)
			p.SelfBLEU[language] = contentSelfBLEU(p.words[language], 200, e.o.Seed)
		}
		said := 0
		for _, words := range p.words {
			said += len(words)
		}
		p.Right, p.Fallbacks = float64(p.right)/float64(max(said, 1)), float64(p.fallen)/float64(p.Lines)
		p.Different, p.Distinct2 = len(p.forms), contentDistinct(all, 2)
		out = append(out, p.ContentPart)
	}
	return out
}

// ContentPage writes n mails of all kinds, in both languages, to made-up people onto one
// HTML page, to be read. No model is the shipped one.
func ContentPage(ctx context.Context, model []byte, n int, seed uint64) ([]byte, error) {
	w, err := content.New(content.Options{Model: model, SubjectWait: time.Minute, Knowledge: contentKnowledge()})
	if err != nil {
		return nil, err
	}
	var mails []ContentMail
	contexts := ContentContexts(40*n, seed)
	for i := 0; i < n; i++ {
		kind := content.Kinds()[i/2%len(content.Kinds())]
		language := []string{"en", "zh"}[i%2]
		at := slices.IndexFunc(contexts, func(c ContentContext) bool {
			return c.Request.Kind == kind && strings.HasPrefix(c.Request.Language, "zh") == (language == "zh")
		})
		if at < 0 {
			continue
		}
		c := contexts[at]
		contexts = contexts[at+1:]
		d, err := w.Write(ctx, c.Request)
		if err != nil {
			return nil, fmt.Errorf("mail of the kind %s: %w", kind, err)
		}
		mails = append(mails, contentMail(&c, &d))
	}
	page, err := template.New("page").Parse(contentPage)
	if err != nil {
		return nil, fmt.Errorf("page of mails: %w", err)
	}
	var b bytes.Buffer
	if err := page.Execute(&b, mails); err != nil {
		return nil, fmt.Errorf("page of mails: %w", err)
	}
	return b.Bytes(), nil
}

const contentPage = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Mails to be read</title>
<style>body{font:16px/1.5 system-ui,'Noto Sans CJK SC',sans-serif;margin:2rem auto;max-width:46rem;padding:0 1rem;color:#1d2125;background:#f3f1ec}
article{background:#fff;border:1px solid #e4e0d8;border-radius:12px;padding:1rem 1.3rem;margin:0 0 1rem}
small{color:#59616a}h2{font-size:1.1rem;margin:.3rem 0 0}p{margin:.5rem 0}
b{display:inline-block;background:#0f766e;color:#fff;border-radius:8px;padding:.35rem 1rem;margin-top:.4rem}</style></head><body>
<h1>{{len .}} mails to be read</h1>
{{range .}}<article><small>{{.Kind}}, {{.Language}}, likes {{.Interests}}{{if not .Model}} (written subject){{end}}</small>
<h2>{{.Subject}}</h2><small>{{.Preheader}}</small><p>{{.Opening}}</p>{{if .Sentence}}<p>{{.Sentence}}</p>{{end}}<b>{{.Action}}</b></article>
{{end}}</body></html>
`
