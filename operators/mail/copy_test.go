package mail

import (
	"path/filepath"
	"testing"
)

func TestSuppressedCopy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "suppressed")
	open := func() *Suppressed {
		t.Helper()
		s, err := OpenSuppressed(path, SuppressOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(s.Add("all", AllLists))
	check(s.Add("dead", Everything))
	check(s.Add("one", "carts"))
	for range 2 { // again changes nothing
		check(s.Copy("all", "a"))
		check(s.Copy("dead", "b"))
		check(s.Copy("one", "c", "carts", "orders"))
		check(s.Copy("one", "d")) // a list that is not named is not known
		check(s.Copy("nobody", "e", "carts"))
	}
	entries := s.Stats().Entries
	check(s.Close())
	s = open()
	defer func() { check(s.Close()) }()
	f := func(person, list string, want bool) {
		t.Helper()
		if s.Contains(person, list) != want {
			t.Fatalf("%s, %q: want %v", person, list, want)
		}
	}
	f("a", "carts", true)
	f("a", "", false) // transactional mail still goes
	f("b", "", true)
	f("c", "carts", true)
	f("c", "orders", false)
	f("d", "carts", false)
	f("e", "carts", false)
	if entries != 6 || s.Stats().Entries != entries {
		t.Fatalf("%d entries, then %d", entries, s.Stats().Entries)
	}
}
