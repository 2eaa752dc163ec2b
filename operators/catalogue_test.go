package operators_test

import (
	"strconv"
	"strings"
	"time"
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
