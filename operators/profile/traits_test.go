package profile

import "testing"

func TestFullName(t *testing.T) {
	f := func(first, last, want string) {
		t.Helper()
		if got := (&Traits{FirstName: first, LastName: last}).FullName(); got != want {
			t.Errorf("%q %q: got %q, want %q", first, last, got, want)
		}
	}
	f("Ann", "Example", "Ann Example")
	f("晓明", "黄", "黄晓明")
	f("さくら", "山田", "山田さくら")
	f("민준", "김", "김민준")
	// Written in Latin letters, or half so, the order is the one that was given.
	f("Xiaoming", "Huang", "Xiaoming Huang")
	f("David", "黄", "David 黄")
	// Somebody without a first name is not called by the last one alone.
	f("", "Example", "")
	f("Ann", "", "Ann")
	f("", "", "")
}
