package configs

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// testFields are a variable of each type, twice.
var testFields = []Field{
	{Name: "p.ok", Type: Bool}, {Name: "p.q.yes", Type: Bool},
	{Name: "p.n", Type: Int}, {Name: "m", Type: Int},
	{Name: "p.x", Type: Float}, {Name: "p.q.y", Type: Float},
	{Name: "p.s", Type: Text}, {Name: "t", Type: Text},
	{Name: "p.l", Type: Texts}, {Name: "p.q.k", Type: Texts},
}

// testSlots are values for them.
func testSlots() []Value {
	return []Value{
		BoolValue(true), BoolValue(false), IntValue(7), IntValue(-3), FloatValue(2.5), FloatValue(-0.5),
		TextValue("mugs"), TextValue("Zürich"), TextsValue([]string{"mugs", "tea"}), TextsValue(nil),
	}
}

func testEnv(t testing.TB) *Env {
	t.Helper()
	env, err := NewEnv(testFields)
	if err != nil {
		t.Fatal(err)
	}
	return env
}

// compile compiles what must be right.
func compile(t testing.TB, source string, env *Env) *Condition {
	t.Helper()
	c, wrong := CompileCondition(source, env, "")
	if len(wrong) > 0 {
		t.Fatalf("%s: %v", source, wrong)
	}
	return c
}

func TestEval(t *testing.T) {
	env, slots := testEnv(t), testSlots()
	f := func(source string, want, compiled bool) {
		t.Helper()
		c := compile(t, source, env)
		if got := c.Eval(slots); got != want {
			t.Errorf("%s: got %v", source, got)
		}
		if got := c.interpret(slots); got != want {
			t.Errorf("%s: the virtual machine says %v", source, got)
		}
		if c.Compiled() != compiled {
			t.Errorf("%s: compiled is %v", source, c.Compiled())
		}
	}
	f("p.ok", true, true)
	f("!p.ok", false, true)
	f("not p.q.yes and p.ok", true, true)
	f("p['ok']", true, true)
	f("p.q.yes || p.n == 7 || false", true, true)
	f("p.ok && p.n == 7 && m < 0 && p.x > 2", true, true)
	f("p.q.yes || m > 0 || p.x < 0 || t == 'Zürich'", true, true)
	f("p.ok == p.q.yes", false, true)
	f("p.ok != p.q.yes", true, true)
	f("p.x >= 2.5 && p.x <= 2.5 && p.x == 2.5 && !(p.x != 2.5) && p.x > 2 && p.x < 3", true, true)
	f("p.n > p.x", true, true)
	f("-4 < m < -2", true, true)
	f("p.n / 2 == 3.5", true, true)
	f("p.n % 4 == 3 && m % 2 == -1", true, true)
	f("p.n + m * 2 - 1 == 0", true, true)
	f("-p.x + p.q.y * 2 == -3.5", true, true)
	f("p.s == 'mugs' && t != 'x' && p.s < t == false", true, true)
	f("t contains 'ric' && t startsWith 'Z' && t endsWith 'h'", true, true)
	f("hasPrefix(p.s, 'mu') && hasSuffix(p.s, 'gs')", true, true)
	f("t matches '^Z.rich$'", true, true)
	f("p.s not contains 'x' && not (t matches '[0-9]')", true, true)
	f("p.s in ['tea', 'mugs'] && t not in ['a']", true, true)
	f("t in ['a','b','c','d','e','f','g','h','i','Zürich']", true, true)
	f("p.n in [1, 7] && m in [-3, 2.5] && m not in [3.0]", true, true)
	f("p.n in [1, 7.0] && m in [-3.0]", true, true)
	f("p.x in [1, 2.5] && p.x not in [-2.5]", true, true)
	f("'tea' in p.l && 'tea' not in p.q.k && p.s in p.l", true, true)
	f("len(p.l) == 2 && len(p.q.k) == 0 && len(t) == 6", true, true)
	f("p.ok ? m < 0 : p.q.yes", true, true)
	f("p.q.yes ? true : p.n > 100", false, true)
	// In the virtual machine.
	f("lower(t) == 'zürich'", true, false)
	f("max(p.n, p.x, 9) == 9 && abs(m) == 3", true, false)
	f("p.s + '!' == 'mugs!'", true, false)
	f("p.x ** 2 == 6.25", true, false)
	f("round(p.x) == 3.0 && (p.ok ? p.n : p.x) > 3", true, false)
	f("trim(upper(p.s)) startsWith 'M'", true, false)
}

// The closures say what expr's virtual machine says, whatever the condition and the
// values.
func TestClosuresAgreeWithMachine(t *testing.T) {
	env := testEnv(t)
	rapid.Check(t, func(t *rapid.T) {
		source := anyBool(t, 4)
		c, wrong := CompileCondition(source, env, "")
		if len(wrong) > 0 {
			if strings.Contains(wrong[0].Message, "parts") {
				t.Skip("too long")
			}
			t.Fatalf("%s: %v", source, wrong)
		}
		if !c.Compiled() {
			t.Fatalf("%s has no closures", source)
		}
		for range 8 {
			slots := anySlots(t)
			if got, want := c.Eval(slots), c.interpret(slots); got != want {
				t.Fatalf("%s with %v: closures say %v, the machine says %v", source, env.values(slots, c.uses), got, want)
			}
		}
	})
}

// anySlots draws a value for each test field.
func anySlots(t *rapid.T) []Value {
	text := rapid.SampledFrom([]string{"", "mugs", "tea", "Zürich", "mu", "a"})
	float := rapid.OneOf(rapid.SampledFrom([]float64{0, 1, -1, 2.5, 1e300, math.Inf(1), math.NaN(), 7}), rapid.Float64())
	whole := rapid.OneOf(rapid.Int64Range(-10, 10), rapid.Int64())
	return []Value{
		BoolValue(rapid.Bool().Draw(t, "a")), BoolValue(rapid.Bool().Draw(t, "b")),
		IntValue(whole.Draw(t, "c")), IntValue(whole.Draw(t, "d")),
		FloatValue(float.Draw(t, "e")), FloatValue(float.Draw(t, "f")),
		TextValue(text.Draw(t, "g")), TextValue(text.Draw(t, "h")),
		TextsValue(rapid.SliceOfN(text, 0, 3).Draw(t, "i")), TextsValue(nil),
	}
}

// anyBool draws the source of a condition of at most the depth.
func anyBool(t *rapid.T, depth int) string {
	choice := rapid.IntRange(0, 11).Draw(t, "bool")
	if depth <= 0 {
		choice %= 3
	}
	pair := func(of func(*rapid.T, int) string, operators ...string) string {
		return fmt.Sprintf("(%s %s %s)", of(t, depth-1), rapid.SampledFrom(operators).Draw(t, "op"), of(t, depth-1))
	}
	comparisons := []string{"==", "!=", "<", "<=", ">", ">="}
	switch choice {
	case 0:
		return rapid.SampledFrom([]string{"true", "false"}).Draw(t, "literal")
	case 1, 2:
		return rapid.SampledFrom([]string{"p.ok", "p.q.yes"}).Draw(t, "field")
	case 3:
		return "!" + anyBool(t, depth-1)
	case 4, 5:
		return pair(anyBool, "&&", "||", "and", "or", "==", "!=")
	case 6:
		return pair(anyInt, comparisons...)
	case 7:
		return pair(anyFloat, comparisons...)
	case 8:
		return fmt.Sprintf("(%s %s %s)", anyInt(t, depth-1), rapid.SampledFrom(comparisons).Draw(t, "op"), anyFloat(t, depth-1))
	case 9:
		return pair(anyText, append([]string{"contains", "startsWith", "endsWith"}, comparisons...)...)
	case 10:
		return anyIn(t, depth)
	default:
		return fmt.Sprintf("(%s ? %s : %s)", anyBool(t, depth-1), anyBool(t, depth-1), anyBool(t, depth-1))
	}
}

// anyIn draws a test of membership.
func anyIn(t *rapid.T, depth int) string {
	operator := rapid.SampledFrom([]string{"in", "not in"}).Draw(t, "in")
	switch rapid.IntRange(0, 3).Draw(t, "what") {
	case 0:
		return fmt.Sprintf("(%s %s %s)", anyText(t, 0), operator, rapid.SampledFrom([]string{"p.l", "p.q.k"}).Draw(t, "list"))
	case 1:
		list := rapid.SliceOfN(rapid.SampledFrom([]string{"'a'", "'mugs'", "'tea'", "''"}), 0, 12).Draw(t, "texts")
		return fmt.Sprintf("(%s %s [%s])", anyText(t, 0), operator, strings.Join(list, ", "))
	case 2:
		list := rapid.SliceOfN(rapid.SampledFrom([]string{"1", "-1", "7", "2.5", "-7.0"}), 0, 6).Draw(t, "numbers")
		return fmt.Sprintf("(%s %s [%s])", anyInt(t, depth-1), operator, strings.Join(list, ", "))
	default:
		list := rapid.SliceOfN(rapid.SampledFrom([]string{"1", "-1", "7", "2.5", "-7.0"}), 0, 6).Draw(t, "numbers")
		return fmt.Sprintf("(%s %s [%s])", anyFloat(t, depth-1), operator, strings.Join(list, ", "))
	}
}

// anyInt draws the source of a whole number.
func anyInt(t *rapid.T, depth int) string {
	choice := rapid.IntRange(0, 6).Draw(t, "int")
	if depth <= 0 {
		choice %= 3
	}
	switch choice {
	case 0:
		return fmt.Sprint(rapid.IntRange(0, 10).Draw(t, "i"))
	case 1, 2:
		return rapid.SampledFrom([]string{"p.n", "m", "len(p.l)", "len(t)", "p['n']"}).Draw(t, "field")
	case 3:
		return "-(" + anyInt(t, depth-1) + ")"
	case 4:
		return fmt.Sprintf("(%s %% %d)", anyInt(t, depth-1), rapid.IntRange(1, 9).Draw(t, "by"))
	default:
		return fmt.Sprintf("(%s %s %s)", anyInt(t, depth-1), rapid.SampledFrom([]string{"+", "-", "*"}).Draw(t, "op"), anyInt(t, depth-1))
	}
}

// anyFloat draws the source of a number that is not whole by type.
func anyFloat(t *rapid.T, depth int) string {
	choice := rapid.IntRange(0, 5).Draw(t, "float")
	if depth <= 0 {
		choice %= 3
	}
	switch choice {
	case 0:
		return rapid.SampledFrom([]string{"0.0", "2.5", "1e3", "7.0"}).Draw(t, "f")
	case 1, 2:
		return rapid.SampledFrom([]string{"p.x", "p.q.y"}).Draw(t, "field")
	case 3:
		return "-(" + anyFloat(t, depth-1) + ")"
	case 4:
		return fmt.Sprintf("(%s / %s)", anyInt(t, depth-1), anyInt(t, depth-1))
	default:
		return fmt.Sprintf("(%s %s %s)", anyFloat(t, depth-1), rapid.SampledFrom([]string{"+", "-", "*", "/"}).Draw(t, "op"), anyFloat(t, depth-1))
	}
}

// anyText draws the source of a text.
func anyText(t *rapid.T, _ int) string {
	return rapid.SampledFrom([]string{"p.s", "t", "'mugs'", "''", `"Zür"`}).Draw(t, "text")
}

// FuzzCondition: any source is refused with a place in it, or evaluates without a
// panic, the same in closures and in the virtual machine.
func FuzzCondition(f *testing.F) {
	for _, s := range []string{"p.ok && p.x > 3", "any(p.l, # == 'x')", "p.s in ['a'] ? 1 : 2", "let x = 1; x == 1", "p?.x ?? 3", "p.l[0] == 'a'", "{a: 1}.a == 1", "1..3", "p.n % 2", "b'a'", "p.s matches p.s", "if p.ok { true } else { false }", "not not p.ok", "max(1)", "p.l | len() == 2", "$env.p.ok", "p.n|abs==7", "-(-p.n)==7", "'\\u00e9' < t"} {
		f.Add(s)
	}
	env := testEnv(f)
	slots := testSlots()
	f.Fuzz(func(t *testing.T, source string) {
		c, wrong := CompileCondition(source, env, "")
		if (c == nil) != (len(wrong) > 0) {
			t.Fatalf("got %v and %v", c, wrong)
		}
		for _, w := range wrong {
			if w.Offset < 0 || w.Offset > len([]rune(source)) || w.Message == "" {
				t.Fatalf("got no place: %+v", w)
			}
		}
		if c != nil && c.Eval(slots) != c.interpret(slots) {
			t.Fatalf("closures say %v", c.Eval(slots))
		}
	})
}

// What is not in the language is refused, by name and place.
func TestRefusedConditions(t *testing.T) {
	env := testEnv(t)
	f := func(source, want string) {
		t.Helper()
		_, wrong := CompileCondition(source, env, "")
		var got []string
		for _, w := range wrong {
			got = append(got, fmt.Sprintf("%d: %s", w.Offset, w.Error()))
		}
		if strings.Join(got, "\n") != want {
			t.Errorf("%s:\n got %s\nwant %s", source, strings.Join(got, "\n"), want)
		}
	}
	f("let x = 1; x == 1", "4: got let, expected comparisons joined by && and ||")
	f("p.l[0] == 'a'", "0: got an element of a list or a computed name, expected the name of a field")
	f("p?.ok", "0: got ?., expected a plain dot: every field has a value")
	f("[1] == [1]", "0: got a list, expected one only on the right of `in`\n7: got a list, expected one only on the right of `in`")
	f("p.l == p.q.k", "0: got a list of texts, expected numbers or texts for ==")
	f("p.ok < p.q.yes", "0: got true or false, expected numbers or texts for <")
	f("p.ok in [true]", "0: got true or false, expected text or a number for in")
	f("t in [p.s, 3]", "6: got a computed value, expected written ones in a list\n11: got a whole number in the list, expected text")
	f("p.n in p.l", "0: got a whole number, expected text for in")
	f("t in t", "5: got text, expected a list for in")
	f("t matches p.s", "10: got a computed pattern, expected one in quotes")
	f("p.x % 2 == 1", "0: got a number, expected a whole number for %")
	f("p.n % 0 == 1", "6: got a divisor that may be zero, expected a written number such as 7")
	f("p.ok ? 1 : 't'", "11: got text, expected a whole number as on the other side")
	f("map(p.l, #)", "0: got map, expected comparisons: a condition may not loop")
	f("repeat('x', 1000000) == 'x'", "0: got the function repeat, expected one of "+functionNames)
	f("p.foo(3) == 1", "0: got the function p.foo, expected one of "+functionNames)
	f("{'a': 1} == p.ok", "0: got something else, expected comparisons joined by && and ||")
	f("t[1:2] == 'u'", "0: got a part of a list or text, expected comparisons joined by && and ||")
	f("p.ok; p.ok", "0: got several expressions, expected one")
	f("p.ok ?? true", "0: got the operator ??, expected comparisons joined by && and ||")
	f("ok && yes", `0: unknown name "ok" (did you mean "p.ok"?)`+"\n"+`6: unknown name "yes" (did you mean "p.q.yes"?)`)
	f("p.q.zzz.w", `4: unknown name "p.q.zzz"`)
	f("", "0: unexpected token EOF")
	f(strings.Repeat("(", 5000), "0: got a condition of 5000 characters, expected at most 4096")
	f(strings.Repeat("!", 4000)+"p.ok", "4003: got a condition of more than 256 parts")
}

func TestUsesAndKinds(t *testing.T) {
	env := testEnv(t)
	if got := compile(t, "p.x > 1 && t == 'a' && p.x < 9", env).Uses(); !slices.Equal(got, []int{4, 7}) {
		t.Errorf("got %v", got)
	}
	shop, err := NewEnv(StandardFields())
	if err != nil {
		t.Fatal(err)
	}
	if _, wrong := CompileCondition("cart.value > 3", shop, "cart"); len(wrong) > 0 {
		t.Error(wrong)
	}
	if _, wrong := CompileCondition("cart.value > 3", shop, "post-purchase"); len(wrong) != 1 {
		t.Error("a mail after an order knows the cart")
	}
	if slot, ok := shop.Slot("profile.ltv"); !ok || shop.Fields()[slot].Name != "profile.ltv" {
		t.Errorf("got slot %d", slot)
	}
}

func TestNewEnvRefuses(t *testing.T) {
	f := func(want string, fields ...Field) {
		t.Helper()
		if _, err := NewEnv(fields); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	f(`add field "A": expected lower-case names joined by dots`, Field{Name: "A", Type: Int})
	f(`add field "a..b": expected lower-case names joined by dots`, Field{Name: "a..b", Type: Int})
	f(`add field "a": expected a type`, Field{Name: "a"})
	f(`add field "a": it is there already`, Field{Name: "a", Type: Int}, Field{Name: "a", Type: Int})
	f(`add field "a.b.c": "a.b" is a field, not a group of fields`, Field{Name: "a.b.c", Type: Int}, Field{Name: "a.b", Type: Int})
}

// The hot path does not allocate.
func TestEvalDoesNotAllocate(t *testing.T) {
	env, slots := testEnv(t), testSlots()
	c := compile(t, "p.ok && !p.q.yes && (p.x > 2 || m in [1, 2]) && p.s in ['tea', 'mugs'] && 'tea' in p.l && t contains 'x' == false", env)
	if got := testing.AllocsPerRun(100, func() { c.Eval(slots) }); got != 0 {
		t.Errorf("got %v allocations", got)
	}
}

// A character of a scalar is found in the file however the scalar is written.
func TestPlace(t *testing.T) {
	const condition = `cart.value > 30 && cart.currency == "a b" || profile.ltv == '' || nope > 3`
	quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(condition)
	f := func(scalar string) {
		t.Helper()
		text := strings.Replace(base, "{on: [Product Added, Cart Viewed], when: cart.value > 30}", "\n    on: Cart Viewed\n    when: "+scalar, 1)
		got := checkText(t, text)
		if !strings.Contains(got, "unknown name \"nope\"") {
			t.Fatalf("%s: got %s", scalar, got)
		}
		var line, column int
		for l := range strings.SplitSeq(got, "\n") {
			if strings.Contains(l, "nope") {
				if _, err := fmt.Sscanf(l, "%d:%d:", &line, &column); err != nil {
					t.Fatal(err)
				}
			}
		}
		at := []rune(strings.Split(text, "\n")[line-1])[column-1:]
		if !strings.HasPrefix(string(at), "nope") {
			t.Errorf("%s: %d:%d points at %q", scalar, line, column, string(at))
		}
	}
	f(condition)
	f("\"" + quoted + "\"")
	f("'" + strings.ReplaceAll(condition, "'", "''") + "'")
	f("|\n      " + strings.ReplaceAll(condition, "|| ", "||\n      ") + "\n")
	f("|2-\n      " + strings.ReplaceAll(condition, "|| ", "||\n\n        ") + "\n")
	f(">\n      " + strings.ReplaceAll(condition, "|| ", "||\n      ") + "\n")
	f(">-  # folded\n      " + strings.ReplaceAll(condition, "&& ", "&&\n\n      ") + "\n")
	f(strings.ReplaceAll(condition, "|| ", "||\n      "))
	f("\"" + strings.ReplaceAll(quoted, "|| ", "||\n      ") + "\"")
	f("\"" + strings.ReplaceAll(quoted, "|| ", "|| \\\n      ") + "\"")
	f("\"" + strings.ReplaceAll(quoted, "|| ", `||\t\u0020\x20`) + "\"")
	f("'" + strings.ReplaceAll(strings.ReplaceAll(condition, "'", "''"), "|| ", "||\n\n      ") + "'")
	f(strings.ReplaceAll(condition, "a b", "Zürich 中文"))
}
