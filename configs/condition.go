package configs

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"
)

// Limits of a condition; a long one has a dozen nodes.
const (
	conditionMax = 4096 // characters, which bounds the parser's recursion
	nodesMax     = 256  // nodes of the syntax tree
)

// Condition is a checked expression that is true or false of some values. It does not
// change, so many goroutines may evaluate it.
type Condition struct {
	source    string
	canonical string
	uses      []int
	env       *Env
	test      func(slots []Value) bool // nil when only the virtual machine can run it
	program   *vm.Program              // what the closures stand for; also their oracle in tests
}

// ConditionError is what is wrong in a condition, at a character of it (from zero).
type ConditionError struct {
	Offset  int
	Message string
	Hint    string
}

// Error says what is wrong and what was meant.
func (e ConditionError) Error() string {
	if e.Hint != "" {
		return fmt.Sprintf("%s (did you mean %q?)", e.Message, e.Hint)
	}
	return e.Message
}

// CompileCondition checks the source against the variables of env that journeys of
// the content kind know (all of them when kind is empty) and returns either a
// condition or everything that is wrong with it, in order.
//
// The language is that of expr-lang without what could run long or give another
// answer tomorrow: no loops, ranges, clocks, or building of lists. Texts compare by
// bytes. A test that cannot be carried out is false.
func CompileCondition(source string, env *Env, kind string) (*Condition, []ConditionError) {
	if len(source) > conditionMax {
		return nil, []ConditionError{{Message: fmt.Sprintf("got a condition of %d characters, expected at most %d", len(source), conditionMax)}}
	}
	root, problem := parseCondition(source)
	if problem != nil {
		return nil, []ConditionError{*problem}
	}
	c := &checker{env: env, kind: kind, typed: map[ast.Node]Type{}}
	if got := c.check(root); got != Bool && got != bad {
		c.refuse(root, "", "got %s, expected a condition that is true or false", got)
	}
	if len(c.errors) > 0 {
		slices.SortStableFunc(c.errors, func(a, b ConditionError) int { return a.Offset - b.Offset })
		return nil, c.errors
	}
	program, err := expr.Compile(source, expr.Env(env.types()), expr.AsBool(), expr.Optimize(false), expr.MaxNodes(nodesMax*2))
	if err != nil { // our checker is the stricter one; this is the net below it
		return nil, []ConditionError{fromExpr(err)}
	}
	slices.Sort(c.uses)
	out := &Condition{source: source, canonical: root.String(), uses: slices.Compact(c.uses), env: env, program: program}
	out.test = (&closures{env: env, typed: c.typed}).bool(root)
	return out, nil
}

// parseCondition returns the syntax tree of the source. A panic of the parser, which
// is not ours, becomes an error.
func parseCondition(source string) (root ast.Node, problem *ConditionError) {
	defer func() {
		if p := recover(); p != nil {
			root, problem = nil, &ConditionError{Message: fmt.Sprintf("not a condition: %v", p)}
		}
	}()
	config := conf.CreateNew()
	config.MaxNodes = nodesMax
	tree, err := parser.ParseWithConfig(source, config)
	if err != nil {
		e := fromExpr(err)
		return nil, &e
	}
	if tree.Node == nil {
		return nil, &ConditionError{Message: "got nothing, expected a condition"}
	}
	return tree.Node, nil
}

// fromExpr reads the place out of an error of expr.
func fromExpr(err error) ConditionError {
	var at *file.Error
	if !errors.As(err, &at) {
		return ConditionError{Message: err.Error()}
	}
	message := at.Message
	if message == "compilation failed: expression exceeds maximum allowed nodes" {
		message = fmt.Sprintf("got a condition of more than %d parts", nodesMax)
	}
	return ConditionError{Offset: at.From, Message: message}
}

// Eval reports whether the condition holds for the slots, which are those of the Env
// that it was checked against: at least Env.Len of them. A nil Condition always holds.
func (c *Condition) Eval(slots []Value) bool {
	if c == nil {
		return true
	}
	if c.test != nil {
		return c.test(slots)
	}
	return c.interpret(slots)
}

// interpret evaluates in expr's virtual machine: slower by three orders, for the rare
// functions that have no closure.
func (c *Condition) interpret(slots []Value) bool {
	got, err := vm.Run(c.program, c.env.values(slots, c.uses))
	holds, ok := got.(bool)
	return err == nil && ok && holds
}

// Compiled reports whether the condition runs as closures, not in the virtual machine.
func (c *Condition) Compiled() bool { return c == nil || c.test != nil }

// Uses returns the slots that the condition reads, ascending: others need not be
// filled. The result must not be changed.
func (c *Condition) Uses() []int {
	if c == nil {
		return nil
	}
	return c.uses
}

// String returns the condition as it stands in the file.
func (c *Condition) String() string {
	if c == nil {
		return "true"
	}
	return c.source
}

// MarshalJSON writes the condition in its canonical form, so that white space does
// not count.
func (c *Condition) MarshalJSON() ([]byte, error) { return json.Marshal(c.canonical) }

// Env returns the variables that the condition was checked against, for filling slots.
func (c *Condition) Env() *Env { return c.env }
