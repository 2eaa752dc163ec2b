package configs

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
)

// BenchmarkEval is the cost of a condition as closures, and of one in the virtual
// machine.
func BenchmarkEval(b *testing.B) {
	env, err := NewEnv(StandardFields())
	if err != nil {
		b.Fatal(err)
	}
	slots := make([]Value, env.Len())
	set := func(name string, v Value) {
		slot, ok := env.Slot(name)
		if !ok {
			b.Fatalf("no field %s", name)
		}
		slots[slot] = v
	}
	set("profile.consent.marketing", BoolValue(true))
	set("profile.ltv", FloatValue(80))
	set("cart.value", FloatValue(95))
	set("profile.top_category", TextValue("Kitchen > Mugs"))
	for _, c := range []struct{ name, source string }{
		{"start", "cart.value > 30"},
		{"audience", "profile.consent.marketing && !profile.suppressed && (profile.ltv > 100 || cart.value > 80)"},
		{"texts", `profile.consent.marketing && profile.top_category in ["Garden", "Toys", "Kitchen > Mugs"]`},
		{"arithmetic", "cart.value - profile.aov * 2 > 20 && cart.quantity % 2 == 0"},
		{"machine", `lower(profile.top_category) contains "mugs"`},
	} {
		b.Run(c.name, func(b *testing.B) {
			condition := compile(b, c.source, env)
			if !condition.Eval(slots) {
				b.Fatal("does not hold: it would be left early")
			}
			b.ReportAllocs()
			for b.Loop() {
				condition.Eval(slots)
			}
		})
	}
}

// BenchmarkCheck is the check of a shop with 100 journeys, the schema made once.
func BenchmarkCheck(b *testing.B) {
	raw, err := shipped.ReadFile("cart-abandonment.yaml")
	if err != nil {
		b.Fatal(err)
	}
	files := fstest.MapFS{"shop.yaml": {Data: []byte(baseShop)}}
	for i := range 100 {
		text := strings.Replace(string(raw), "pipeline: cart-abandonment", fmt.Sprintf("pipeline: cart-%d", i), 1)
		files[fmt.Sprintf("cart-%d.yaml", i)] = &fstest.MapFile{Data: []byte(text)}
	}
	b.ReportAllocs()
	for b.Loop() {
		l, err := NewLoader(Options{FS: files})
		if err != nil {
			b.Fatal(err)
		}
		if problems := l.Check("."); len(problems) > 0 {
			b.Fatal(problems)
		}
	}
}

// BenchmarkNewLoader is the making of the schema alone.
func BenchmarkNewLoader(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := NewLoader(Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkHostile is the refusal of the largest file that is all signs.
func BenchmarkHostile(b *testing.B) {
	l, err := NewLoader(Options{})
	if err != nil {
		b.Fatal(err)
	}
	for name, text := range map[string]string{
		"many keys": "pipeline: x\n" + manyKeys(6000), "signs": strings.Repeat("- a\n", fileMax/4), "brackets": strings.Repeat("[", fileMax),
		"dense list": "pipeline: x\na: [" + strings.Repeat("1,", 9000) + "]\n", "same key": "pipeline: x\n" + strings.Repeat("a: 1\n", 6000),
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, problems := l.loadBytes("x.yaml", []byte(text)); len(problems) == 0 {
					b.Fatal("not refused")
				}
			}
		})
	}
}

// manyKeys is a mapping of that many keys.
func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "k%d: 1\n", i)
	}
	return b.String()
}
