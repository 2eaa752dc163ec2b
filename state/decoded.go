package state

// ViewAny is View for who does not know the type of the values: a *T.
func (c *Cell[T, P]) ViewAny(v *Snapshot, key string) (value any, found bool, err error) {
	out, found, err := c.View(v, key)
	return &out, found, err
}

// EachAny is Each for who does not know the type of the values: a *T each.
func (c *Cell[T, P]) EachAny(v *Snapshot, fn func(key string, value any) bool) error {
	return c.Each(v, func(key string, value *T) bool { return fn(key, value) })
}
