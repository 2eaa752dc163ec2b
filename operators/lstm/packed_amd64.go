package lstm

import "golang.org/x/sys/cpu"

// strip4 adds to 16 columns of four rows of y, which are cols apart, the product of four
// rows of x, which are rows apart, and a strip of rows rows.
//
//go:noescape
func strip4(strip, x, y *float32, rows, cols int)

func strip4Works() bool { return cpu.X86.HasAVX }
