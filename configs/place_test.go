package configs

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"pgregory.net/rapid"
)

// An unknown key is found at its line and column in a file of any style: block and
// flow, quotes, comments, blank lines, texts over several lines, other scripts, and
// both ends of line.
func TestUnknownKeyIsPlaced(t *testing.T) {
	r := &reader{file: "x.yaml"}
	doc := r.read([]byte(base))
	if doc == nil {
		t.Fatal(r.problems)
	}
	descriptions := []string{
		"", "description: Zürich 中文 𝄞  # c\n", "description: |\n  two: lines\n\n  # no comment\n", "description: >-\n  a\n  b: c\n\n",
		"description: plain\n  and more\n\n  and more\n", "description: \"a\n  \\\"b\\\": c\\\n  d\"\n", "description: 'it''s\n\n  two'   # c\n",
		"description: |+\n  kept\n\n\n", "description: \"\"\n\n", "description: |\n\n   first blank\n",
	}
	l, err := NewLoader(Options{})
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		spoilt := *doc.root
		spoil(t, &spoilt)
		var b strings.Builder
		for _, e := range rapid.Permutation(spoilt.entries).Draw(t, "order") {
			if rapid.Bool().Draw(t, "blank") {
				b.WriteString("# 中: 'x'\n   \n\n")
			}
			if e.key == "mode" {
				b.WriteString(rapid.SampledFrom(descriptions).Draw(t, "description"))
			}
			b.WriteString(scalar(t, e.key) + ":")
			block(t, &b, e.value, 1)
		}
		text := b.String()
		before, _, _ := strings.Cut(text, "zzqq")
		lineStart := strings.LastIndex(before, "\n") + 1
		column := len([]rune(before[lineStart:])) + 1
		if strings.HasSuffix(before, `"`) || strings.HasSuffix(before, "'") {
			column-- // a quoted key begins at its quote
		}
		want := fmt.Sprintf("x.yaml:%d:%d: ", strings.Count(before, "\n")+1, column)
		if rapid.Bool().Draw(t, "crlf") {
			text = strings.ReplaceAll(text, "\n", "\r\n")
		}
		one := *l
		one.options.FS = fstest.MapFS{"x.yaml": {Data: []byte(text)}}
		problems := one.Check("x.yaml")
		if len(problems) != 1 || !strings.HasPrefix(problems[0].String(), want) || !strings.Contains(problems[0].Message, "unknown key") {
			t.Fatalf("got %v, want %s in\n%s", problems, want, text)
		}
	})
}

// spoil puts the key zzqq into one of the mappings, without touching the original.
func spoil(t *rapid.T, n *node) {
	n.entries = append([]entry(nil), n.entries...)
	var deeper []int
	for i, e := range n.entries {
		if e.value.kind == kindMapping {
			deeper = append(deeper, i)
		}
	}
	if len(deeper) > 0 && rapid.Bool().Draw(t, "deeper") {
		i := rapid.SampledFrom(deeper).Draw(t, "into")
		child := *n.entries[i].value
		n.entries[i].value = &child
		spoil(t, &child)
		return
	}
	value := &node{kind: kindText, value: rapid.SampledFrom([]string{"x", "中 文", "a#b", "it's"}).Draw(t, "value")}
	n.entries = append(n.entries, entry{key: "zzqq", value: value})
}
