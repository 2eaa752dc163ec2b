package state

// Adopt takes over what another cell of the same name holds: its number, its decoded
// values, and what it owes the store. It answers false, and changes nothing, when from is
// no such cell of the same type or was never attached. The other cell may be viewed
// afterwards, and not be read or changed any more.
func (c *Cell[T, P]) Adopt(from any) bool {
	old, ok := from.(*Cell[T, P])
	if !ok || old == c || old.name != c.name || old.lazy != c.lazy || old.read == nil {
		return false
	}
	most := c.max
	*c = *old
	c.max = most
	return true
}
