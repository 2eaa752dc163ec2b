package content

import "testing"

// TestVerify checks the last look at a rendered subject by itself, without the masks
// that keep most of these from ever being written.
func TestVerify(t *testing.T) {
	values := [slotCount]string{"Ada", "Cast Iron Pan", "£49.90", ""}
	f := func(line, subject, want string) {
		t.Helper()
		if got := verify(line, subject, values, 40, newBanned([]string{"iron", "act now"})); got != want {
			t.Fatalf("%q as %q: got %q, want %q", line, subject, got, want)
		}
	}
	f("Hello {first_name}", "Hello Ada", "")
	f("Now {price}", "Now £49.90", "")
	// Not a copy: another price, another name, a lost letter.
	f("Now {price}", "Now £39.90", "not an exact copy")
	f("Hello {first_name}", "Hello Eve", "not an exact copy")
	f("Hello {first_name}", "Hello Ad", "not an exact copy")
	// A number or markup that no slot brought.
	f("Only 5 left", "Only 5 left", "character outside the corpus")
	f("Hello\r\nBcc", "Hello\r\nBcc", "character outside the corpus")
	// Slots: twice, and without a value.
	f("{first_name} and {first_name}", "Ada and Ada", "slot {first_name} stands twice")
	f("More {category}", "More ", "slot {category} has no value")
	// Banned in the words, and in what a slot brought.
	f("Act now, {first_name}", "Act now, Ada", "banned")
	f("Your {product}", "Your Cast Iron Pan", "banned")
	f("{first_name}", "Ada", "nothing but slots")
	f("", "", "nothing but slots")
	f("A line that is a good deal longer than forty runes", "A line that is a good deal longer than forty runes", "too long")
}

// TestFallbackIsGuarded: the written subjects pass the same guard.
func TestFallbackIsGuarded(t *testing.T) {
	f := func(banned, want string) {
		t.Helper()
		d := write(t, writer(t, Options{NoModel: true, Banned: []string{banned}}), request())
		if d.Subject != want {
			t.Fatalf("without %q: got %q, want %q", banned, d.Subject, want)
		}
	}
	f("Ada", "Your cart is still here")
	f("cart", "Ada, a few picks for you")
	w := writer(t, Options{NoModel: true, Banned: []string{"cart", "picks"}})
	if d, err := w.Write(t.Context(), request()); err == nil {
		t.Fatalf("got %q, want an error", d.Subject)
	}
}
