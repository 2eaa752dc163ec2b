//go:build !unix

package state

// newRegion is memory for slabs, here of the collector's heap.
func newRegion() (mem []byte, mapped bool) { return make([]byte, slabBytes), false }

func freeRegion([]byte) {}
