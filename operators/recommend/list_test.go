package recommend

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// A list finds what was put in, in whatever order, and stands in one order only.
func TestListAgainstMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.Custom(func(t *rapid.T) string {
			return rapid.SampledFrom([]string{"", "p", "p-00000", "a-rather-long-product-id-"}).Draw(t, "head") +
				fmt.Sprint(rapid.IntRange(0, 60).Draw(t, "number"))
		})
		want := map[string]float64{}
		var list []neighbour
		for range rapid.IntRange(0, 120).Draw(t, "steps") {
			add := id.Draw(t, "id")
			want[add]++
			list, _ = addTo(list, add, 1, MaxNeighbours)
		}
		if len(list) != len(want) {
			t.Fatalf("%d in the list, want %d", len(list), len(want))
		}
		for i := range list {
			if i > 0 && !list[i-1].before(list[i].hash, list[i].id) {
				t.Fatalf("%q stands behind %q", list[i].id, list[i-1].id)
			}
		}
		for n := range 60 {
			for _, head := range []string{"", "p", "p-00000"} {
				other := head + fmt.Sprint(n)
				at, ok := find(list, hashOf(other), other)
				if _, in := want[other]; ok != in || ok && list[at].count != want[other] {
					t.Fatalf("%q: found %v, want %v", other, ok, in)
				}
			}
		}
	})
}

// Ids with one hash are still two.
func TestListOfOneHash(t *testing.T) {
	list := []neighbour{{hash: 7, id: "a", count: 1}, {hash: 7, id: "c", count: 2}, {hash: 1 << 63, id: "b", count: 3}}
	f := func(hash uint64, id string, at int, ok bool) {
		t.Helper()
		if a, o := find(list, hash, id); a != at || o != ok {
			t.Fatalf("%d %q: at %d, %v; want %d, %v", hash, id, a, o, at, ok)
		}
	}
	f(7, "a", 0, true)
	f(7, "b", 1, false)
	f(7, "c", 1, true)
	f(7, "d", 2, false)
	f(1<<63, "b", 2, true)
	f(0, "z", 0, false)
	f(1<<64-1, "a", 3, false)
}
