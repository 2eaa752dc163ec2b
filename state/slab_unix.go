//go:build unix

package state

import "syscall"

// regionBytes is how much memory is asked of the system at once. It is used, and counts,
// only as far as it is written to.
const regionBytes = 32 << 20

// newRegion is memory that the collector neither looks into nor counts: its pace depends
// on how much lives on its heap. Without it the heap is asked.
func newRegion() (mem []byte, mapped bool) {
	mem, err := syscall.Mmap(-1, 0, regionBytes, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return make([]byte, slabBytes), false
	}
	return mem, true
}

func freeRegion(mem []byte) { _ = syscall.Munmap(mem) }
