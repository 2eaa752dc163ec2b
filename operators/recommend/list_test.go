package recommend

import (
	"cmp"
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
		var all neighbours
		for range rapid.IntRange(0, 120).Draw(t, "steps") {
			add := id.Draw(t, "id")
			want[add]++
			all.add(add, 1, MaxNeighbours)
		}
		list := all.list
		if len(list) != len(want) {
			t.Fatalf("%d in the list, want %d", len(list), len(want))
		}
		for i := range list {
			if i > 0 && cmp.Or(cmp.Compare(list[i-1].hash, list[i].hash), cmp.Compare(all.id(i-1), all.id(i))) >= 0 {
				t.Fatalf("%q stands behind %q", all.id(i), all.id(i-1))
			}
		}
		for n := range 60 {
			for _, head := range []string{"", "p", "p-00000"} {
				other := head + fmt.Sprint(n)
				at, ok := all.find(hashOf(other), other)
				if _, in := want[other]; ok != in || ok && list[at].count != want[other] {
					t.Fatalf("%q: found %v, want %v", other, ok, in)
				}
			}
		}
	})
}

// Ids with one hash are still two.
func TestListOfOneHash(t *testing.T) {
	var list neighbours
	list.put(0, 7, "c", 2)
	list.put(0, 7, "a", 1)
	list.put(2, 1<<63, "b", 3)
	f := func(hash uint64, id string, at int, ok bool) {
		t.Helper()
		if a, o := list.find(hash, id); a != at || o != ok {
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
