package main

import (
	"testing"
	"time"
)

// TestShopTime lets the simulated shop of a data directory go on where it was left:
// otherwise all it does would be dropped as repeats.
func TestShopTime(t *testing.T) {
	s := settings{files: files{t.TempDir()}, simulated: true, speed: 1}
	r := start(t, s)
	if at := r.shopTime(); !at.IsZero() {
		t.Errorf("a new shop is said to be at %s", at)
	}
	r.put(clock(2*time.Hour), clock(time.Hour))
	r.until("the events were processed", func() bool { return !r.shopTime().IsZero() })
	r.stop()
	r = start(t, s)
	if got := r.shopTime(); !got.Equal(at(2 * time.Hour)) {
		t.Errorf("the shop goes on at %s, want %s", got, at(2*time.Hour))
	}
}
