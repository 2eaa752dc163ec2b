package configs

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// bad is the type of what was refused; it passes everywhere, so that one mistake
// gives one message.
const bad Type = 0

// function is what a function takes and gives. A variadic one takes two or more of
// its one type.
type function struct {
	takes    []Type
	variadic bool
	gives    Type // bad: the common type of the arguments
}

// functions are those that conditions may call: they are bounded and give the same
// answer at any time and place.
var functions = map[string]function{
	"len":       {takes: []Type{Texts}, gives: Int}, // of texts too
	"abs":       {takes: []Type{Float}},
	"ceil":      {takes: []Type{Float}, gives: Float},
	"floor":     {takes: []Type{Float}, gives: Float},
	"round":     {takes: []Type{Float}, gives: Float},
	"min":       {takes: []Type{Float}, variadic: true},
	"max":       {takes: []Type{Float}, variadic: true},
	"lower":     {takes: []Type{Text}, gives: Text},
	"upper":     {takes: []Type{Text}, gives: Text},
	"trim":      {takes: []Type{Text}, gives: Text},
	"hasPrefix": {takes: []Type{Text, Text}, gives: Bool},
	"hasSuffix": {takes: []Type{Text, Text}, gives: Bool},
}

// functionNames are the keys of functions, sorted.
const functionNames = "abs, ceil, floor, hasPrefix, hasSuffix, len, lower, max, min, round, trim, upper"

// loops are the functions of expr that run over a list.
const loops = "all none any one filter map find findIndex findLast findLastIndex count sum groupBy sortBy reduce"

// checker gives each node of a condition its type and collects what is wrong.
type checker struct {
	env    *Env
	kind   string
	typed  map[ast.Node]Type
	uses   []int
	errors []ConditionError
}

// refuse notes an error at the first character of the node, and returns bad.
func (c *checker) refuse(n ast.Node, hint, format string, args ...any) Type {
	c.errors = append(c.errors, ConditionError{Offset: start(n), Message: fmt.Sprintf(format, args...), Hint: hint})
	return bad
}

// start is the first character of a node; expr places operators and members behind
// their left side.
func start(n ast.Node) int {
	at := n.Location().From
	for {
		switch v := n.(type) {
		case *ast.BinaryNode:
			n = v.Left
		case *ast.MemberNode:
			n = v.Node
		case *ast.ChainNode:
			n = v.Node
		case *ast.ConditionalNode:
			n = v.Cond
		case *ast.SliceNode:
			n = v.Node
		case *ast.CallNode:
			n = v.Callee
		case *ast.SequenceNode:
			n = v.Nodes[0]
		default:
			return at
		}
		if n == nil {
			return at
		}
		at = min(at, n.Location().From)
	}
}

// check returns the type of a node, having checked all below it.
func (c *checker) check(n ast.Node) Type {
	t := c.one(n)
	c.typed[n] = t
	return t
}

// one is check without the note.
func (c *checker) one(n ast.Node) Type {
	switch v := n.(type) {
	case *ast.BoolNode:
		return Bool
	case *ast.IntegerNode:
		return Int
	case *ast.FloatNode:
		return Float
	case *ast.StringNode:
		return Text
	case *ast.IdentifierNode:
		return c.name(n, v.Value, v.Location().From)
	case *ast.MemberNode:
		if path, ok := dotted(v); ok {
			return c.name(n, path, v.Location().From)
		}
		return c.refuse(n, "", "got an element of a list or a computed name, expected the name of a field")
	case *ast.UnaryNode:
		return c.unary(v)
	case *ast.BinaryNode:
		return c.binary(v)
	case *ast.ConditionalNode:
		return c.conditional(v)
	case *ast.BuiltinNode:
		return c.call(v, v.Name, v.Arguments)
	case *ast.CallNode:
		return c.call(v, callee(v), v.Arguments)
	case *ast.ArrayNode:
		return c.refuse(n, "", "got a list, expected one only on the right of `in`")
	case *ast.NilNode:
		return c.refuse(n, "", "got nil, expected a value: what is not known is false, 0 or empty text")
	case *ast.ChainNode:
		return c.refuse(n, "", "got ?., expected a plain dot: every field has a value")
	case *ast.VariableDeclaratorNode:
		return c.refuse(n, "", "got let, expected comparisons joined by && and ||")
	case *ast.SliceNode:
		return c.refuse(n, "", "got a part of a list or text, expected comparisons joined by && and ||")
	case *ast.SequenceNode:
		return c.refuse(n, "", "got several expressions, expected one")
	default: // maps, bytes, predicates
		return c.refuse(n, "", "got something else, expected comparisons joined by && and ||")
	}
}

// callee names what a call calls, for the message that refuses it.
func callee(v *ast.CallNode) string {
	method, ok := v.Callee.(*ast.MemberNode)
	if !ok {
		name, _ := dotted(v.Callee)
		return name
	}
	left, _ := dotted(method.Node)
	name, _ := method.Property.(*ast.StringNode)
	if name == nil {
		return left
	}
	return left + "." + name.Value
}

// dotted returns the path of a member such as profile.consent.marketing.
func dotted(n ast.Node) (string, bool) {
	switch v := n.(type) {
	case *ast.IdentifierNode:
		return v.Value, true
	case *ast.MemberNode:
		property, ok := v.Property.(*ast.StringNode)
		if !ok || v.Optional || v.Method {
			return "", false
		}
		left, ok := dotted(v.Node)
		return left + "." + property.Value, ok
	default:
		return "", false
	}
}

// name looks up a variable. The error stands at the part of the path that is unknown.
func (c *checker) name(n ast.Node, path string, at int) Type {
	slot, ok := c.env.Slot(path)
	if !ok {
		// The first part that leads nowhere is the one to point at.
		if m, isMember := n.(*ast.MemberNode); isMember {
			if left, _ := dotted(m.Node); !c.env.group(left) {
				if _, isField := c.env.Slot(left); !isField {
					return c.name(m.Node, left, m.Node.Location().From)
				}
				c.errors = append(c.errors, ConditionError{Offset: at, Message: fmt.Sprintf("%s has no fields, it is %s", left, c.env.fields[c.env.slots[left]].Type)})
				return bad
			}
		}
		if c.env.group(path) {
			return c.refuse(n, "", "got the group %s, expected one of its fields: %s", path, oneOf(c.below(path)))
		}
		c.errors = append(c.errors, ConditionError{Offset: at, Message: fmt.Sprintf("unknown name %q", cut(path)), Hint: c.env.near(path)})
		return bad
	}
	f := c.env.fields[slot]
	if c.kind != "" && len(f.Kinds) > 0 && !contains(f.Kinds, c.kind) {
		return c.refuse(n, "", "%s is known in journeys of kind %s, this one is of kind %s", path, strings.Join(f.Kinds, ", "), c.kind)
	}
	c.uses = append(c.uses, slot)
	return f.Type
}

// below lists the fields of a group.
func (c *checker) below(group string) []string {
	var out []string
	for _, n := range c.env.names {
		if strings.HasPrefix(n, group+".") {
			out = append(out, n)
		}
	}
	return out
}

// unary checks !x, -x and +x.
func (c *checker) unary(v *ast.UnaryNode) Type {
	got := c.check(v.Node)
	switch v.Operator {
	case "!", "not":
		c.expect(v.Node, got, Bool, v.Operator)
		return Bool
	default:
		if got != bad && !got.number() {
			return c.refuse(v.Node, "", "got %s, expected a number for %s", got, v.Operator)
		}
		return got
	}
}

// expect refuses a node whose type is not the wanted one.
func (c *checker) expect(n ast.Node, got, want Type, operator string) {
	if got == bad || got == want || (want == Float && got == Int) {
		return
	}
	c.refuse(n, "", "got %s, expected %s for %s", got, want, operator)
}

// binary checks x op y.
func (c *checker) binary(v *ast.BinaryNode) Type {
	if v.Operator == ".." {
		return c.refuse(v, "", "got a range, expected comparisons: a condition may not loop")
	}
	left := c.check(v.Left)
	if v.Operator == "in" {
		c.member(v, left)
		return Bool
	}
	right := c.check(v.Right)
	switch v.Operator {
	case "&&", "and", "||", "or":
		c.expect(v.Left, left, Bool, v.Operator)
		c.expect(v.Right, right, Bool, v.Operator)
		return Bool
	case "==", "!=", "<", "<=", ">", ">=":
		c.comparison(v, left, right)
		return Bool
	case "+", "-", "*", "/", "%", "**", "^":
		return c.arithmetic(v, left, right)
	case "contains", "startsWith", "endsWith":
		c.expect(v.Left, left, Text, v.Operator)
		c.expect(v.Right, right, Text, v.Operator)
		return Bool
	case "matches":
		c.expect(v.Left, left, Text, v.Operator)
		pattern, ok := v.Right.(*ast.StringNode)
		if !ok {
			c.refuse(v.Right, "", "got a computed pattern, expected one in quotes")
		} else if _, err := regexp.Compile(pattern.Value); err != nil {
			c.refuse(v.Right, "", "got a pattern that is none: %v", err)
		}
		return Bool
	default:
		return c.refuse(v, "", "got the operator %s, expected comparisons joined by && and ||", v.Operator)
	}
}

// comparison checks x < y and x == y: both numbers, or both of one type.
func (c *checker) comparison(v *ast.BinaryNode, left, right Type) {
	ordered := v.Operator != "==" && v.Operator != "!="
	for _, side := range []struct {
		n ast.Node
		t Type
	}{{v.Left, left}, {v.Right, right}} {
		if side.t == Texts || (side.t == Bool && ordered) {
			c.refuse(side.n, "", "got %s, expected numbers or texts for %s", side.t, v.Operator)
			return
		}
	}
	if left == bad || right == bad || left == right || (left.number() && right.number()) {
		return
	}
	want := left
	if want == Int {
		want = Float
	}
	c.refuse(v.Right, "", "got %s, expected %s to compare with", right, want)
}

// arithmetic checks x + y and its like.
func (c *checker) arithmetic(v *ast.BinaryNode, left, right Type) Type {
	if v.Operator == "+" && left == Text {
		c.expect(v.Right, right, Text, v.Operator)
		return Text
	}
	want := Float
	if v.Operator == "%" {
		want = Int
	}
	c.expect(v.Left, left, want, v.Operator)
	c.expect(v.Right, right, want, v.Operator)
	switch v.Operator {
	case "/", "**", "^":
		return Float
	case "%":
		if n, ok := v.Right.(*ast.IntegerNode); !ok || n.Value == 0 {
			c.refuse(v.Right, "", "got a divisor that may be zero, expected a written number such as 7")
		}
		return Int
	}
	if left == Int && right == Int {
		return Int
	}
	return Float
}

// member checks x in y, where y is a written list or a list field.
func (c *checker) member(v *ast.BinaryNode, left Type) {
	list, ok := v.Right.(*ast.ArrayNode)
	if !ok {
		right := c.check(v.Right)
		if right != bad && right != Texts {
			c.refuse(v.Right, "", "got %s, expected a list for in", right)
		} else if right == Texts {
			c.expect(v.Left, left, Text, v.Operator)
			if isSegments(v.Right) {
				c.segmentName(v.Left)
			}
		}
		return
	}
	if left == Texts || left == Bool {
		c.refuse(v.Left, "", "got %s, expected text or a number for in", left)
		return
	}
	for _, item := range list.Nodes {
		got := c.check(item)
		if !literal(item) {
			if got != bad {
				c.refuse(item, "", "got a computed value, expected written ones in a list")
			}
			continue
		}
		if left != bad && got != left && !(left.number() && got.number()) {
			c.refuse(item, "", "got %s in the list, expected %s", got, left)
		}
	}
}

// literal reports whether the node is written out: a text or a number, signed or not.
func literal(n ast.Node) bool {
	switch v := n.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode:
		return true
	case *ast.UnaryNode:
		_, isInt := v.Node.(*ast.IntegerNode)
		_, isFloat := v.Node.(*ast.FloatNode)
		return isInt || isFloat
	default:
		return false
	}
}

// conditional checks a ? b : c.
func (c *checker) conditional(v *ast.ConditionalNode) Type {
	c.expect(v.Cond, c.check(v.Cond), Bool, "?")
	a, b := c.check(v.Exp1), c.check(v.Exp2)
	switch {
	case a == bad || b == bad:
		return bad
	case a == b:
		return a
	case a.number() && b.number():
		return Float
	default:
		return c.refuse(v.Exp2, "", "got %s, expected %s as on the other side", b, a)
	}
}

// call checks a function and what it is given.
func (c *checker) call(n ast.Node, name string, args []ast.Node) Type {
	if name == segmentCall {
		return c.segment(n, args)
	}
	f, ok := functions[name]
	if !ok {
		if contains(strings.Fields(loops), name) {
			return c.refuse(n, "", "got %s, expected comparisons: a condition may not loop", name)
		}
		hint := nearest(name, strings.Split(functionNames, ", "))
		return c.refuse(n, hint, "got the function %s, expected one of %s", cut(name), functionNames)
	}
	if (!f.variadic && len(args) != len(f.takes)) || (f.variadic && len(args) < 2) {
		return c.refuse(n, "", "got %d values for %s, expected %s", len(args), name, f.count())
	}
	gives := f.gives
	for i, a := range args {
		got, want := c.check(a), f.takes[min(i, len(f.takes)-1)]
		switch {
		case name == "len" && got == Text:
		default:
			c.expect(a, got, want, name)
		}
		if f.gives == bad {
			gives = common(gives, got)
		}
	}
	return gives
}

// count says how many values the function takes.
func (f function) count() string {
	if f.variadic {
		return "two or more"
	}
	return strconv.Itoa(len(f.takes))
}

// common is the type that holds two numbers.
func common(a, b Type) Type {
	if a == bad || a == b {
		return b
	}
	return Float
}

// contains reports whether the list holds the name.
func contains(list []string, name string) bool {
	return slices.Contains(list, name)
}
