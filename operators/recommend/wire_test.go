package recommend

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"millrace/operators/event"
)

// TestTouchWire reads back what it wrote.
func TestTouchWire(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.String()
		want := &Touch{
			Relation: Relation(rapid.IntRange(0, int(RelationCount)-1).Draw(rt, "relation")),
			Own:      rapid.Uint32().Draw(rt, "own"), Time: rapid.Int64().Draw(rt, "time"),
		}
		if others := rapid.SliceOfN(text, 0, 60).Draw(rt, "others"); len(others) > 0 {
			want.Others = others
		}
		if rapid.Bool().Draw(rt, "facts") {
			want.Facts = Facts{
				Name: text.Draw(rt, "name"), Category: text.Draw(rt, "category"), URL: text.Draw(rt, "url"), Currency: "EUR",
				Price: event.Money(rapid.Int64().Draw(rt, "price")), HasPrice: rapid.Bool().Draw(rt, "has"),
			}
		}
		got := &Touch{}
		if err := ReadTouch(got, string(AppendTouch(nil, want))); err != nil {
			rt.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			rt.Fatalf("got %+v, want %+v", got, want)
		}
	})
}

func FuzzReadTouch(f *testing.F) {
	f.Add(AppendTouch(nil, &Touch{Own: 1, Others: []string{"b", "c"}, Facts: Facts{Name: "Mug"}}))
	f.Add([]byte{2})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		touch := &Touch{}
		if err := ReadTouch(touch, string(b)); err != nil {
			return
		}
		if err := ReadTouch(&Touch{}, string(AppendTouch(nil, touch))); err != nil {
			t.Fatalf("cannot read its own writing: %v", err)
		}
	})
}
