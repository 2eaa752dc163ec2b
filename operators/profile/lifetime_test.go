package profile

import (
	"math"
	"testing"
)

// cdnow are the published estimates for the CDNOW set: Fader, Hardie, Lee 2005, table 2.
var cdnow = Lifetime{R: .243, Alpha: 4.414, A: .793, B: 2.426}

func within(t *testing.T, what string, got, want, by float64) {
	t.Helper()
	if !(math.Abs(got-want) <= by) {
		t.Errorf("%s: got %v, want %v within %v", what, got, want, by)
	}
}

func TestLifetimePublished(t *testing.T) {
	// Fader, Hardie, Lee, "Implementing the BG/NBD Model …", the worked example: customer
	// 1 of CDNOW, forecast over 39 weeks.
	within(t, "expected orders", cdnow.Expected(History{2, 30.43, 38.86}, 39), 1.226, .001)
}
