package event

import "testing"

func TestMadeBy(t *testing.T) {
	f := func(version string, number uint64, file string) {
		t.Helper()
		d := Decision{Version: version}
		if n, got := d.MadeBy(); n != number || got != file {
			t.Fatalf("%q: got version %d of file %q, want %d of %q", version, n, got, number, file)
		}
	}
	f(VersionText("1f2e3d", 7), 7, "1f2e3d")
	f(VersionText("1f2e3d", 0), 0, "1f2e3d")
	// Kept before decisions named the number.
	f("1f2e3d", 0, "1f2e3d")
	f("", 0, "")
	// Rubbish is no number.
	f("1f2e3d/", 0, "1f2e3d")
	f("1f2e3d/-1", 0, "1f2e3d")
	f("1f2e3d/99999999999999999999", 0, "1f2e3d")
}
