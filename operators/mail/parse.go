package mail

import (
	"bytes"
	"io"
	"strings"

	gomessage "github.com/emersion/go-message/mail"
)

// This file reads mails that anybody may have written.

// headers reads subject and Message-ID; what cannot be read is empty.
func headers(raw []byte) (subject, messageID string) {
	r, err := gomessage.CreateReader(bytes.NewReader(raw))
	if r == nil || err != nil && r.Header.Len() == 0 {
		return "", ""
	}
	defer func() { _ = r.Close() }()
	if subject, err = r.Header.Subject(); err != nil {
		subject = r.Header.Get("Subject")
	}
	if messageID, err = r.Header.MessageID(); err != nil {
		messageID = strings.Trim(r.Header.Get("Message-Id"), "<> ")
	}
	return subject, messageID
}

// partsMax bounds how many parts of a mail are read.
const partsMax = 100

// parts reads the first text and the first HTML part; what cannot be read is empty.
func parts(raw []byte) (text, html string) {
	r, err := gomessage.CreateReader(bytes.NewReader(raw))
	if r == nil || err != nil && r.Header.Len() == 0 {
		return "", ""
	}
	defer func() { _ = r.Close() }()
	for range partsMax {
		p, err := r.NextPart()
		if err != nil && p == nil {
			break
		}
		inline, ok := p.Header.(*gomessage.InlineHeader)
		if !ok {
			continue
		}
		kind, _, err := inline.ContentType()
		body, _ := io.ReadAll(p.Body) // decoding never grows a body, and raw is bounded; a broken end is shown as far as it goes
		switch {
		case err == nil && kind == "text/html" && html == "":
			html = string(body)
		case (err != nil || kind == "text/plain") && text == "":
			text = string(body)
		}
	}
	return text, html
}
