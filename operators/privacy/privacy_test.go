package privacy

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

var testSecret = bytes.Repeat([]byte{7}, SecretSize)

func newTest(tb testing.TB) *Pseudonyms {
	tb.Helper()
	p, err := NewPseudonyms(testSecret)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func TestPseudonymsAreFixed(t *testing.T) {
	p := newTest(t)
	f := func(got, want string) {
		t.Helper()
		if got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
	// These stand in stored state: they must never change.
	f(p.Person("c-4711"), "ai44kcf16kup0g7oiu8e70r344")
	f(p.Visitor("c-4711"), "pgnkjgo39up11ockv47qnjlu2g")
	f(p.Decision("cart", "left", "c-4711", "1"), "27590d735301e4f7b488083ad47632c7")
}

func TestPseudonymsDiffer(t *testing.T) {
	p := newTest(t)
	other, err := NewPseudonyms(bytes.Repeat([]byte{8}, SecretSize))
	if err != nil {
		t.Fatal(err)
	}
	f := func(one, two string) {
		t.Helper()
		if one == two {
			t.Fatalf("both are %q", one)
		}
	}
	// Another secret, another domain, another cut.
	f(p.Person("a"), other.Person("a"))
	f(p.Person("a"), p.Visitor("a"))
	f(p.Decision("ab", "c"), p.Decision("a", "bc"))
	f(p.Decision("ab"), p.Decision("ab", ""))
}

func TestSecretSizeIsChecked(t *testing.T) {
	for _, n := range []int{0, 16, 31, 33} {
		if _, err := NewPseudonyms(make([]byte, n)); err == nil {
			t.Fatalf("%d bytes accepted", n)
		}
	}
}

func TestPseudonymsShape(t *testing.T) {
	p := newTest(t)
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.String().Draw(t, "id")
		got := p.Person(id)
		if len(got) != PseudonymSize || strings.Trim(got, letters) != "" {
			t.Fatalf("pseudonym %q", got)
		}
		if got != p.Person(id) {
			t.Fatalf("pseudonym of one id changed")
		}
		if len(id) > 3 && strings.Contains(got, id) {
			t.Fatalf("pseudonym %q shows its id", got)
		}
	})
}

func TestPseudonymsConcurrently(t *testing.T) {
	p := newTest(t)
	want := p.Person("one")
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 500 {
				if got := p.Person("one"); got != want {
					t.Errorf("got %q, want %q", got, want)
					return
				}
			}
		})
	}
	group.Wait()
}

func TestSecretFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	first, err := LoadOrCreateSecret(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := LoadOrCreateSecret(path)
	if err != nil || !bytes.Equal(first, again) {
		t.Fatalf("second load differs: %v", err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 || info.Size() != SecretSize {
		t.Fatalf("file is %v, %v", info, err)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".secret-*"))
	if err != nil || len(left) != 0 {
		t.Fatalf("left behind: %v, %v", left, err)
	}
}

func TestSecretFileRefused(t *testing.T) {
	f := func(size int, mode os.FileMode, want error) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadOrCreateSecret(path); !errors.Is(err, want) {
			t.Fatalf("size %d mode %o: got %v, want %v", size, mode, err, want)
		}
	}
	f(SecretSize, 0o644, ErrSecretOpen)
	f(SecretSize, 0o640, ErrSecretOpen)
	f(SecretSize, 0o602, ErrSecretOpen)
	f(0, 0o600, ErrSecretSize)
	f(31, 0o600, ErrSecretSize)
	f(33, 0o600, ErrSecretSize)
	f(SecretSize, 0o600, nil)
	f(SecretSize, 0o400, nil)
}

func TestSecretCreatedAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	got := make([][]byte, 8)
	var group sync.WaitGroup
	for i := range got {
		group.Go(func() {
			secret, err := LoadOrCreateSecret(path)
			if err != nil {
				t.Errorf("load: %v", err)
			}
			got[i] = secret
		})
	}
	group.Wait()
	for _, secret := range got {
		if !bytes.Equal(secret, got[0]) {
			t.Fatal("two secrets for one path")
		}
	}
}

func TestMask(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		if got := Mask(in); got != want {
			t.Fatalf("%q: got %q, want %q", in, got, want)
		}
	}
	f("mira@example.com", "m…@e….com")
	f("öz@shop.co.uk", "ö…@s….uk")
	f("a@localhost", "a…@l…")
	// Nothing of what is no address is shown.
	f("", "…")
	f("mira", "…")
	f("@example.com", "…")
	f("mira@", "…")
}

func BenchmarkPerson(b *testing.B) {
	p := newTest(b)
	b.ReportAllocs()
	for b.Loop() {
		p.Person("c-4711-0f39-4a27")
	}
}
