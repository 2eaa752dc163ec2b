package engine

import "millrace/state"

// Forget removes the current key's value from a cell, which must not be a lazy one. What
// Value answered before must not be used any more.
func Forget[T any, P state.Codec[T]](c *Ctx, cell *state.Cell[T, P]) {
	if cell.Lazy() {
		panic("BUG: a lazy cell forgets nothing")
	}
	if c.w != nil && !c.w.mayUse(c.key, cell.Common) {
		c.Fail(errForeign)
		return
	}
	has, err := cell.Has(c.key)
	if err == nil && has {
		err = cell.Delete(c.key)
	}
	if err != nil {
		c.Fail(err)
	}
}
