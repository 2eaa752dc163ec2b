package operators

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"millrace/operators/content"
)

// ContentCounts counts what the writers did. Safe for concurrent use.
type ContentCounts struct {
	Fairness *content.Fairness

	mu     sync.Mutex
	counts map[ContentCount]uint64
	now    int64 // watermark of the newest mail
	unfair map[string]bool
}

// ContentCount is what is counted: a part with what came of it, or the reason of a
// refusal without a part. The number of different ones is bounded.
type ContentCount struct{ Part, Result string }

// contentReasons are the words by which fallbacks and refusals are counted; what holds
// none of them is "other".
func contentReasons() []string {
	return []string{"no model", "deadline", "no line survived", "unknown kind", "banned", "too long", "slot", "stumbles", "unfinished",
		"another language", "hard to read", "twice", "no line does", "required", "reads like", "colon", "unlikely", "copy", "claims"}
}

func newContentCounts() *ContentCounts {
	return &ContentCounts{Fairness: content.NewFairness(content.FairnessOptions{}), counts: make(map[ContentCount]uint64), unfair: make(map[string]bool)}
}

func (c *ContentCounts) add(part, result string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[ContentCount{part, result}]++
}

func (c *ContentCounts) model(part string) { c.add(part, "model") }

func (c *ContentCounts) fellBack(part, why string) { c.add(part, "written: "+boundedReason(why)) }

func (c *ContentCounts) refused(why string) { c.add("", boundedReason(why)) }

// boundedReason is one of contentReasons, or "other".
func boundedReason(why string) string {
	for _, word := range contentReasons() {
		if strings.Contains(why, word) {
			return word
		}
	}
	return "other"
}

// Now is the watermark of the newest mail, in Unix milliseconds.
func (c *ContentCounts) Now() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// offer counts a mail to somebody of a group, and reports whether offers have just become
// unfair by that trait.
func (c *ContentCounts) offer(trait, group string, offered bool, now int64) (alarm bool, ratio float64) {
	c.Fairness.Add(trait, group, offered, now)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = max(c.now, now)
	ratio, ok := c.Fairness.Ratio(trait, c.now)
	unfair := ok && ratio < content.FairnessLeast
	alarm = unfair && !c.unfair[trait]
	c.unfair[trait] = unfair
	return alarm, ratio
}

// Each calls f with every count, in a steady order.
func (c *ContentCounts) Each(f func(ContentCount, uint64)) {
	c.mu.Lock()
	all := maps.Clone(c.counts)
	c.mu.Unlock()
	keys := slices.SortedFunc(maps.Keys(all), func(a, b ContentCount) int {
		return strings.Compare(a.Part+"\x00"+a.Result, b.Part+"\x00"+b.Result)
	})
	for _, k := range keys {
		f(k, all[k])
	}
}
