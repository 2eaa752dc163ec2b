package lstm

// strip4 adds to 16 columns of four rows of y, which are cols apart, the product of four
// rows of x, which are rows apart, and a strip of rows rows.
//
//go:noescape
func strip4(strip, x, y *float32, rows, cols int)

// strip4Works says whether this machine has the instructions of strip4.
func strip4Works() bool
