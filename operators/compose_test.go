package operators_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"millrace/engine/enginetest"
	"millrace/operators/event"
)

// TestWrittenIsKept plays a shop whose carts get one of two designs: each decision keeps
// the design, its probability and what was written, and the mail that was sent says that.
func TestWrittenIsKept(t *testing.T) {
	files := withShipped(t, make(fstest.MapFS))
	cart := string(files["cart-abandonment.yaml"].Data)
	if !strings.Contains(cart, "\n  kind: cart\n") {
		t.Fatalf("the shipped pipeline has another form:\n%s", cart)
	}
	files["cart-abandonment.yaml"] = &fstest.MapFile{Data: []byte(strings.Replace(cart, "\n  kind: cart\n",
		"\n  kind: cart\n  designs:\n    - {name: plain, blocks: [text, items, button]}\n    - {name: short, blocks: [items, button]}\n", 1))}
	enginetest.Bubble(t, func(t *testing.T) {
		s := &scene{world: newWorldOf(t, journeysOf(t, files, "cart-abandonment.yaml")), begin: time.Now().UTC().Truncate(24 * time.Hour)}
		defer s.close()
		s.start()
		for i := range 6 {
			s.line(strings.Fields(fmt.Sprintf("0%d:00 u%d identify email=u%d@example.com consent=yes", i, i, i)))
			s.line(strings.Fields(fmt.Sprintf("0%d:01 u%d add mug 30.00 c%d", i, i, i)))
		}
		s.line(strings.Fields("12:00 - end"))
		s.tell()
		v := s.Engine.View()
		defer v.Close()
		designs := map[string]int{}
		for i := range 6 {
			all, err := s.pipeline.Decisions(v, fmt.Sprintf("u%d", i))
			s.check(err)
			for _, d := range all {
				if d.Outcome != event.Sent {
					continue
				}
				w := d.Written
				if w == nil || w.Propensity != 0.5 || len(w.Seen) != len(w.Lines) || len(w.Lines) == 0 || w.Lines[0].Text != d.Subject {
					t.Fatalf("%+v", w)
				}
				designs[w.Design]++
				opening := slices.ContainsFunc(w.Lines, func(l event.WrittenLine) bool { return l.Part == "opening" })
				if opening != (w.Design == "plain") {
					t.Errorf("design %s with lines %+v", w.Design, w.Lines)
				}
			}
		}
		if designs["plain"]+designs["short"] < 4 || len(designs) > 2 {
			t.Errorf("designs %v", designs)
		}
	})
}
