package configs

import (
	"cmp"
	"math"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
)

// closures turns a checked syntax tree into Go closures of fixed types. Each method
// returns nil for what has no closure; the whole condition then runs in the virtual
// machine. Closures neither allocate nor panic on slots of the right number.
type closures struct {
	env   *Env
	typed map[ast.Node]Type
}

// The closures, one for each type they give.
type (
	boolFunc  = func(s []Value) bool
	intFunc   = func(s []Value) int64
	floatFunc = func(s []Value) float64
	textFunc  = func(s []Value) string
)

// field returns the slot of a node that is a variable.
func (c *closures) field(n ast.Node) (slot int, ok bool) {
	path, ok := dotted(n)
	if !ok {
		return 0, false
	}
	return c.env.Slot(path)
}

// bool returns the closure of a node that is true or false.
func (c *closures) bool(n ast.Node) boolFunc {
	if slot, ok := c.field(n); ok {
		return func(s []Value) bool { return s[slot].bits != 0 }
	}
	switch v := n.(type) {
	case *ast.BoolNode:
		holds := v.Value
		return func([]Value) bool { return holds }
	case *ast.UnaryNode:
		if slot, ok := c.field(v.Node); ok {
			return func(s []Value) bool { return s[slot].bits == 0 }
		}
		inner := c.bool(v.Node)
		if inner == nil {
			return nil
		}
		return func(s []Value) bool { return !inner(s) }
	case *ast.BinaryNode:
		return c.binary(v)
	case *ast.ConditionalNode:
		test, a, b := c.bool(v.Cond), c.bool(v.Exp1), c.bool(v.Exp2)
		if test == nil || a == nil || b == nil {
			return nil
		}
		return func(s []Value) bool {
			if test(s) {
				return a(s)
			}
			return b(s)
		}
	case *ast.BuiltinNode:
		return c.affix(v.Name, v.Arguments)
	case *ast.CallNode:
		return c.segment(v)
	default:
		return nil
	}
}

// affix returns the closure of hasPrefix and hasSuffix.
func (c *closures) affix(name string, args []ast.Node) boolFunc {
	if len(args) != 2 {
		return nil
	}
	switch name {
	case "hasPrefix":
		return c.texts(strings.HasPrefix, args[0], args[1])
	case "hasSuffix":
		return c.texts(strings.HasSuffix, args[0], args[1])
	default:
		return nil
	}
}

// texts returns the closure of a test of two texts.
func (c *closures) texts(test func(a, b string) bool, left, right ast.Node) boolFunc {
	a, b := c.text(left), c.text(right)
	if a == nil || b == nil {
		return nil
	}
	return func(s []Value) bool { return test(a(s), b(s)) }
}

// binary returns the closure of x op y that is true or false.
func (c *closures) binary(v *ast.BinaryNode) boolFunc {
	switch v.Operator {
	case "&&", "and":
		return all(c.chain(v, "&&", "and"))
	case "||", "or":
		return some(c.chain(v, "||", "or"))
	case "contains":
		return c.texts(strings.Contains, v.Left, v.Right)
	case "startsWith":
		return c.texts(strings.HasPrefix, v.Left, v.Right)
	case "endsWith":
		return c.texts(strings.HasSuffix, v.Left, v.Right)
	case "matches":
		return c.matches(v)
	case "in":
		return c.in(v)
	}
	left, right := c.typed[v.Left], c.typed[v.Right]
	switch {
	case left == Bool:
		a, b := c.bool(v.Left), c.bool(v.Right)
		if a == nil || b == nil {
			return nil
		}
		equal := v.Operator == "=="
		return func(s []Value) bool { return (a(s) == b(s)) == equal }
	case left == Text:
		return c.compareTexts(v)
	case left == Int && right == Int:
		return compare(v.Operator, c.int(v.Left), c.int(v.Right))
	default:
		return c.compareFloats(v)
	}
}

// chain returns the closures of a && b && c, in order; nil when one has none.
func (c *closures) chain(n ast.Node, operators ...string) []boolFunc {
	if v, ok := n.(*ast.BinaryNode); ok && slices.Contains(operators, v.Operator) {
		left, right := c.chain(v.Left, operators...), c.chain(v.Right, operators...)
		if left == nil || right == nil {
			return nil
		}
		return append(left, right...)
	}
	if f := c.bool(n); f != nil {
		return []boolFunc{f}
	}
	return nil
}

// all joins tests by &&. The usual lengths are written out, which spares a loop.
func all(tests []boolFunc) boolFunc {
	switch len(tests) {
	case 0:
		return nil
	case 2:
		a, b := tests[0], tests[1]
		return func(s []Value) bool { return a(s) && b(s) }
	case 3:
		a, b, c := tests[0], tests[1], tests[2]
		return func(s []Value) bool { return a(s) && b(s) && c(s) }
	default:
		return func(s []Value) bool {
			for _, t := range tests {
				if !t(s) {
					return false
				}
			}
			return true
		}
	}
}

// some joins tests by ||.
func some(tests []boolFunc) boolFunc {
	switch len(tests) {
	case 0:
		return nil
	case 2:
		a, b := tests[0], tests[1]
		return func(s []Value) bool { return a(s) || b(s) }
	case 3:
		a, b, c := tests[0], tests[1], tests[2]
		return func(s []Value) bool { return a(s) || b(s) || c(s) }
	default:
		return func(s []Value) bool {
			for _, t := range tests {
				if t(s) {
					return true
				}
			}
			return false
		}
	}
}

// compare returns the closure of a comparison of two computed values.
func compare[T cmp.Ordered](operator string, a, b func(s []Value) T) boolFunc {
	if a == nil || b == nil {
		return nil
	}
	switch operator {
	case "==":
		return func(s []Value) bool { return a(s) == b(s) }
	case "!=":
		return func(s []Value) bool { return a(s) != b(s) }
	case "<":
		return func(s []Value) bool { return a(s) < b(s) }
	case "<=":
		return func(s []Value) bool { return a(s) <= b(s) }
	case ">":
		return func(s []Value) bool { return a(s) > b(s) }
	case ">=":
		return func(s []Value) bool { return a(s) >= b(s) }
	default:
		return nil
	}
}

// compareFloats compares as numbers; a field against a written number, the usual
// case, costs one call.
func (c *closures) compareFloats(v *ast.BinaryNode) boolFunc {
	slot, isField := c.field(v.Left)
	bound, isWritten := number(v.Right)
	if !isField || !isWritten || c.typed[v.Left] != Float {
		return compare(v.Operator, c.float(v.Left), c.float(v.Right))
	}
	switch v.Operator {
	case "<":
		return func(s []Value) bool { return math.Float64frombits(s[slot].bits) < bound }
	case "<=":
		return func(s []Value) bool { return math.Float64frombits(s[slot].bits) <= bound }
	case ">":
		return func(s []Value) bool { return math.Float64frombits(s[slot].bits) > bound }
	case ">=":
		return func(s []Value) bool { return math.Float64frombits(s[slot].bits) >= bound }
	default:
		return compare(v.Operator, c.float(v.Left), c.float(v.Right))
	}
}

// compareTexts compares by bytes.
func (c *closures) compareTexts(v *ast.BinaryNode) boolFunc {
	slot, isField := c.field(v.Left)
	if want, isWritten := v.Right.(*ast.StringNode); isField && isWritten {
		text := want.Value
		switch v.Operator {
		case "==":
			return func(s []Value) bool { return s[slot].text == text }
		case "!=":
			return func(s []Value) bool { return s[slot].text != text }
		}
	}
	return compare(v.Operator, c.text(v.Left), c.text(v.Right))
}

// matches returns the closure of a test against a written pattern.
func (c *closures) matches(v *ast.BinaryNode) boolFunc {
	pattern, ok := v.Right.(*ast.StringNode)
	text := c.text(v.Left)
	if !ok || text == nil {
		return nil
	}
	re, err := regexp.Compile(pattern.Value)
	if err != nil {
		return nil
	}
	return func(s []Value) bool { return re.MatchString(text(s)) }
}

// in returns the closure of x in y.
func (c *closures) in(v *ast.BinaryNode) boolFunc {
	list, ok := v.Right.(*ast.ArrayNode)
	if !ok {
		slot, isField := c.field(v.Right)
		text := c.text(v.Left)
		if !isField || text == nil {
			return nil
		}
		return func(s []Value) bool { return slices.Contains(s[slot].list, text(s)) }
	}
	switch c.typed[v.Left] {
	case Text:
		return c.inTexts(v.Left, list)
	case Int:
		return c.inInts(v.Left, list)
	default:
		value := c.float(v.Left)
		var written []float64
		for _, item := range list.Nodes {
			f, _ := number(item)
			written = append(written, f)
		}
		if value == nil {
			return nil
		}
		return func(s []Value) bool { return slices.Contains(written, value(s)) }
	}
}

// inTexts returns the closure of a text in a written list.
func (c *closures) inTexts(left ast.Node, list *ast.ArrayNode) boolFunc {
	text := c.text(left)
	if text == nil {
		return nil
	}
	const few = 8 // below this a walk is quicker than a hash
	var written []string
	set := make(map[string]bool, len(list.Nodes))
	for _, item := range list.Nodes {
		if t, ok := item.(*ast.StringNode); ok {
			written, set[t.Value] = append(written, t.Value), true
		}
	}
	if len(written) <= few {
		return func(s []Value) bool { return slices.Contains(written, text(s)) }
	}
	return func(s []Value) bool { return set[text(s)] }
}

// inInts returns the closure of a whole number in a written list, whose whole numbers
// compare exactly and whose others compare as numbers do.
func (c *closures) inInts(left ast.Node, list *ast.ArrayNode) boolFunc {
	value := c.int(left)
	if value == nil {
		return nil
	}
	var whole []int64
	var broken []float64
	for _, item := range list.Nodes {
		if f, _ := number(item); c.typed[item] == Float {
			broken = append(broken, f)
		} else if inner := c.int(item); inner != nil {
			whole = append(whole, inner(nil))
		}
	}
	return func(s []Value) bool {
		i := value(s)
		return slices.Contains(whole, i) || slices.Contains(broken, float64(i))
	}
}

// number returns the value of a written number.
func number(n ast.Node) (float64, bool) {
	switch v := n.(type) {
	case *ast.IntegerNode:
		return float64(v.Value), true
	case *ast.FloatNode:
		return v.Value, true
	case *ast.UnaryNode:
		f, ok := number(v.Node)
		if v.Operator == "-" {
			f = -f
		}
		return f, ok && literal(n)
	default:
		return 0, false
	}
}

// int returns the closure of a whole number.
func (c *closures) int(n ast.Node) intFunc {
	if slot, ok := c.field(n); ok {
		return func(s []Value) int64 { return int64(s[slot].bits) }
	}
	switch v := n.(type) {
	case *ast.IntegerNode:
		i := int64(v.Value)
		return func([]Value) int64 { return i }
	case *ast.UnaryNode:
		inner := c.int(v.Node)
		if inner == nil || v.Operator != "-" {
			return inner
		}
		return func(s []Value) int64 { return -inner(s) }
	case *ast.BuiltinNode:
		if v.Name == "len" && len(v.Arguments) == 1 {
			return c.length(v.Arguments[0])
		}
	case *ast.BinaryNode:
		a, b := c.int(v.Left), c.int(v.Right)
		if a == nil || b == nil {
			return nil
		}
		switch v.Operator {
		case "+":
			return func(s []Value) int64 { return a(s) + b(s) }
		case "-":
			return func(s []Value) int64 { return a(s) - b(s) }
		case "*":
			return func(s []Value) int64 { return a(s) * b(s) }
		case "%":
			if divisor := b(nil); divisor != 0 { // the checker took written ones only
				return func(s []Value) int64 { return a(s) % divisor }
			}
		}
	}
	return nil
}

// length returns the closure of len: characters of a text, elements of a list.
func (c *closures) length(n ast.Node) intFunc {
	if c.typed[n] == Text {
		text := c.text(n)
		if text == nil {
			return nil
		}
		return func(s []Value) int64 { return int64(utf8.RuneCountInString(text(s))) }
	}
	slot, ok := c.field(n)
	if !ok {
		return nil
	}
	return func(s []Value) int64 { return int64(len(s[slot].list)) }
}

// float returns the closure of a number, whole or not.
func (c *closures) float(n ast.Node) floatFunc {
	if c.typed[n] == Int {
		whole := c.int(n)
		if whole == nil {
			return nil
		}
		return func(s []Value) float64 { return float64(whole(s)) }
	}
	if slot, ok := c.field(n); ok {
		return func(s []Value) float64 { return math.Float64frombits(s[slot].bits) }
	}
	switch v := n.(type) {
	case *ast.FloatNode:
		f := v.Value
		return func([]Value) float64 { return f }
	case *ast.UnaryNode:
		inner := c.float(v.Node)
		if inner == nil || v.Operator != "-" {
			return inner
		}
		return func(s []Value) float64 { return -inner(s) }
	case *ast.BinaryNode:
		a, b := c.float(v.Left), c.float(v.Right)
		if a == nil || b == nil {
			return nil
		}
		switch v.Operator {
		case "+":
			return func(s []Value) float64 { return a(s) + b(s) }
		case "-":
			return func(s []Value) float64 { return a(s) - b(s) }
		case "*":
			return func(s []Value) float64 { return a(s) * b(s) }
		case "/":
			return func(s []Value) float64 { return a(s) / b(s) }
		}
	}
	return nil
}

// text returns the closure of a text; joined texts would allocate and have none.
func (c *closures) text(n ast.Node) textFunc {
	if slot, ok := c.field(n); ok {
		return func(s []Value) string { return s[slot].text }
	}
	if v, ok := n.(*ast.StringNode); ok {
		text := v.Value
		return func([]Value) string { return text }
	}
	return nil
}
