package configs

import (
	"testing"
)

// The closures of segments say what expr's virtual machine says, and names are checked.
func TestSegmentConditions(t *testing.T) {
	shop := &Shop{Segments: map[string]*Condition{"vip": nil, "new_here": nil}}
	env, err := NewEnv(StandardFields())
	if err != nil {
		t.Fatal(err)
	}
	env = env.withSegments(shop)
	f := func(source string, in []string, want bool) {
		t.Helper()
		c, wrong := CompileCondition(source, env, "")
		if len(wrong) > 0 {
			t.Fatalf("%s: %v", source, wrong)
		}
		slots := make([]Value, env.Len())
		slot, _ := env.Slot(SegmentsName)
		slots[slot] = TextsValue(in)
		if got, oracle := c.Eval(slots), c.interpret(slots); got != want || oracle != want || !c.Compiled() {
			t.Errorf("%s of %v: got %v, the machine %v, want %v", source, in, got, oracle, want)
		}
	}
	f(`segment("vip")`, []string{"vip"}, true)
	f(`segment("vip")`, nil, false)
	f(`!segment("vip") && "new_here" in profile.segments`, []string{"new_here"}, true)
	f(`len(profile.segments) == 2 ? segment("vip") : false`, []string{"new_here", "vip"}, true)
	refused := func(source, want string) {
		t.Helper()
		_, wrong := CompileCondition(source, env, "")
		if len(wrong) != 1 || wrong[0].Error() != want {
			t.Errorf("%s: got %v, want %s", source, wrong, want)
		}
	}
	refused(`segment("vib")`, `unknown segment "vib", expected new_here, vip (did you mean "vip"?)`)
	refused(`"vib" in profile.segments`, `unknown segment "vib", expected new_here, vip (did you mean "vip"?)`)
	refused(`segment(profile.locale)`, `got a computed name, expected the name of a segment in quotes`)
	refused(`segment("vip", "x")`, `got 2 values for segment, expected 1`)
}
