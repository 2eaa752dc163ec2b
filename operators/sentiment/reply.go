package sentiment

import "strings"

// Empty tells whether there is nothing in the text to judge.
func (d *Doc) Empty() bool { return len(d.units) == 0 }

// quoteMarks begin what a mail program puts below a reply, in lower case.
func quoteMarks() []string {
	return []string{"-----original message", "---- original", "________________________________", "-----原始邮件", "------------------ 原始邮件", "发件人:", "发件人：", "\n>", " > "}
}

// Reply is what a person wrote in a reply, without the mail that is quoted below it: our own
// words are no tone of theirs. A reply that is all quotation is kept whole.
func Reply(text string) string {
	text = cut(text, textMax)
	low := strings.ToLower(text)
	if len(low) != len(text) { // a character whose lower case has another length
		low = text
	}
	end := len(text)
	for _, mark := range quoteMarks() {
		if i := strings.Index(low[:end], mark); i >= 0 {
			end = i
		}
	}
	if i := strings.Index(low[:end], " wrote:"); i >= 0 { // "On 3 May 2026 at 9:00, Shop wrote:"
		if on := strings.LastIndex(low[:i], "on "); on >= 0 && i-on <= wroteMax && strings.ContainsAny(low[on:i], "0123456789") && (on == 0 || low[on-1] == ' ' || low[on-1] == '\n') {
			end = on
		}
	}
	if i := strings.Index(text[:end], "写道"); i >= 0 { // "Shop 于2026年5月3日写道："
		end = i
		if at := strings.LastIndexAny(text[:i], "。！？!?\n"); at >= 0 {
			end = at
		}
	}
	if own := strings.TrimSpace(text[:end]); own != "" {
		return own
	}
	return text
}

// wroteMax is how far apart "On" and "wrote:" may stand: a date, a name and an address.
const wroteMax = 200
