package console

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
)

// letterView is a dead letter as shown.
type letterView struct {
	ID       string `json:"id"`
	At       moment `json:"at"`
	Reason   string `json:"reason"`
	Position string `json:"position"`
	Source   string `json:"source,omitempty"`
	Size     int    `json:"size"`
	SizeText string `json:"-"`
	Href     string `json:"-"`
	Bytes    string `json:"bytes,omitempty"`
	Cut      bool   `json:"cut,omitempty"`
	Masked   bool   `json:"masked"`
	Command  string `json:"-"`
}

type lettersView struct {
	Letters []letterView `json:"dead_letters"`
	Pager   pager        `json:"pager"`
}

// bytesShownMax is how much of a dead letter a page shows; "millrace dlq show" shows
// all. An escape takes up to five times its byte.
const bytesShownMax = 8 << 10

// deadLetters answers the list.
func (c *Console) deadLetters(w http.ResponseWriter, r *http.Request) {
	offset := offsetOf(r)
	list, total, err := c.opt.DeadLetters.DeadLetters(r.Context(), offset, pageRows)
	if err != nil {
		c.oops(w, r, fmt.Errorf("list dead letters: %w", err))
		return
	}
	list = list[:min(len(list), pageRows)]
	v := lettersView{Letters: []letterView{}, Pager: pagerOf("/dead-letters", offset, len(list), total)}
	for _, d := range list {
		d.Bytes = nil
		v.Letters = append(v.Letters, c.letterOf(d))
	}
	c.page(w, r, http.StatusOK, "dead-letters", "Dead letters", v)
}

// deadLetter answers one with its bytes.
func (c *Console) deadLetter(w http.ResponseWriter, r *http.Request) {
	d, err := c.opt.DeadLetters.DeadLetter(r.Context(), r.PathValue("id"))
	if err != nil {
		c.oops(w, r, err)
		return
	}
	c.page(w, r, http.StatusOK, "dead-letter", "Dead letter", c.letterOf(d))
}

func (c *Console) letterOf(d DeadLetter) letterView {
	v := letterView{
		ID: clean(d.ID), At: at(d.At, c.opt.Zone), Reason: clean(d.Reason), Position: clean(d.Position), Source: clean(d.Source),
		Size: d.Size, SizeText: size(uint64(max(d.Size, 0))), Href: "/dead-letters/" + url.PathEscape(d.ID),
		Cut: d.Truncated || len(d.Bytes) > bytesShownMax, Masked: !c.opt.Unmask, Command: "millrace dlq show " + clean(d.ID),
	}
	text := string(d.Bytes[:min(len(d.Bytes), bytesShownMax)])
	if !c.opt.Unmask {
		text = shape(text)
		v.Reason = clean(veil{}.text(d.Reason))
	}
	v.Bytes = printable([]byte(text))
	return v
}

func isMissing(err error) bool { return errors.Is(err, ErrNotFound) }
