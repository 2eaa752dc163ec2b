package operators_test

import (
	"io/fs"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"millrace/configs"
	"millrace/engine/enginetest"
)

// product lets the catalogue speak of a product.
func (s *scene) product(id string, args []string) {
	s.t.Helper()
	s.serial++
	p := object("product_id", id, "name", id, "currency", "EUR")
	e := object("type", "track", "event", "Product Upserted", "messageId", "p"+strconv.Itoa(s.serial), "properties", p)
	for _, a := range args {
		switch name, value, _ := strings.Cut(a, "="); name {
		case "happened":
			e["timestamp"] = s.begin.Add(clock(s.t, value)).Format(time.RFC3339)
		case "id":
			e["messageId"] = value
		case "deleted":
			p[name] = value == "true"
		default:
			p[name] = strings.ReplaceAll(value, "_", " ")
		}
	}
	s.take(encode(s.t, e))
}

// TestMailTakesCatalogue: a mail shows what the catalogue says by then, and nothing that is
// sold out; one about nothing else is not sent, unless the journey wants it.
func TestMailTakesCatalogue(t *testing.T) {
	f := func(require string, words []string, want, never string, reason string) {
		t.Helper()
		enginetest.Bubble(t, func(t *testing.T) {
			raw, err := fs.ReadFile(configs.Shipped(), "cart-abandonment.yaml")
			if err != nil {
				t.Fatal(err)
			}
			changed := strings.Replace(string(raw), "  kind: cart\n", "  kind: cart\n"+require, 1)
			all := journeysOf(t, withShipped(t, fstest.MapFS{"cart-abandonment.yaml": {Data: []byte(changed)}}), "cart-abandonment.yaml")
			s := &scene{world: newWorldOf(t, all), begin: time.Now().UTC().Truncate(24 * time.Hour)}
			defer s.close()
			s.start()
			for _, line := range append([]string{
				"10:00 ann identify email=ann@example.com consent=yes", "10:01 ann add mug 12.90 c1", "10:02 ann add lamp 40 c1",
			}, words...) {
				s.line(strings.Fields(line))
			}
			s.line(strings.Fields("14:00 - end"))
			v := s.Engine.View()
			defer v.Close()
			decisions, err := s.pipeline.Decisions(v, "ann")
			if err != nil || len(decisions) != 1 || !strings.HasPrefix(decisions[0].Reason, reason) {
				t.Fatalf("%v: got %+v, %v, want %q", words, decisions, err, reason)
			}
			text := ""
			for _, m := range s.inbox.List(0, 10) {
				opened, _ := s.inbox.Open(m.ID)
				text += string(opened.Raw)
			}
			if !strings.Contains(text, want) || never != "" && strings.Contains(text, never) {
				t.Errorf("%v: got %s, want %q and not %q", words, text, want, never)
			}
		})
	}
	sent := "cart left"
	f("", nil, "lamp", "", sent)
	f("", []string{"10:30 % mug name=Mighty_mug price=11.50"}, "Mighty mug", "12.90", sent)
	f("", []string{"10:30 % mug stock=0"}, "lamp", "mug", sent)
	f("", []string{"10:30 % mug stock=0", "10:31 % lamp deleted=true"}, "", "lamp", "cancelled: out of stock")
	f("  require: anything\n", []string{"10:30 % mug stock=0", "10:31 % lamp stock=0"}, "lamp", "", sent)
}
