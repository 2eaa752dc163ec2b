package bench

import "testing"

// A small shop is measured: each figure is there, and of a plausible size.
func TestGrowth(t *testing.T) {
	told := 0
	g := Growth{VisitsPerItem: 2, Questions: 50, Progress: func(int, int, int) { told++ }}
	r, err := g.Run(t.Context(), 500)
	if err != nil {
		t.Fatal(err)
	}
	if r.Items != 500 || r.People != 334 || r.Visits != 1000 || r.Events < 3000 || told == 0 {
		t.Fatalf("%+v", r)
	}
	if r.ItemBytes < 100 || r.ItemBytes > 5000 || r.VisitBytes < 30 || r.VisitBytes > 2000 || r.ItemRecord < 20 || r.PersonBytes < 50 {
		t.Fatalf("bytes: %+v", r)
	}
	if r.State <= 0 || r.Live <= 0 || r.P50 <= 0 || r.P99 < r.P50 {
		t.Fatalf("times: %+v", r)
	}
	if _, err := g.Run(t.Context(), 1); err == nil {
		t.Fatal("a shop of one item was measured")
	}
}
