package lstm

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func modelOf(t testing.TB, seed uint64) []byte {
	t.Helper()
	b, err := model(t, Config{Vocab: 5, Embed: 2, Hidden: 3, Cond: 1}, seed).Encode(Float16)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRegistry(t *testing.T) {
	dir := t.TempDir()
	r := NewRegistry(dir)
	at := time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)
	current := func(want string) {
		t.Helper()
		if got, err := NewRegistry(dir).Current("subject"); err != nil || got != want {
			t.Fatalf("current is %q (%v), want %q", got, err, want)
		}
	}
	current("")
	var v []string
	for i := range 3 {
		c, err := r.Add(modelOf(t, uint64(i)), Card{Name: "subject", Created: at.Add(time.Duration(i) * time.Hour), Seed: "7", Licence: "MIT", Metrics: map[string]float64{"loss": 1.5}})
		if err != nil {
			t.Fatal(err)
		}
		v = append(v, c.Version)
	}
	// The same file again is the same version, with its first card.
	if c, err := r.Add(modelOf(t, 0), Card{Name: "subject", Seed: "8"}); err != nil || c.Version != v[0] || c.Seed != "7" {
		t.Fatalf("%+v, %v", c, err)
	}
	all, err := r.List("subject")
	if err != nil || len(all) != 3 || all[0].Version != v[0] || all[2].Version != v[2] || all[1].Metrics["loss"] != 1.5 || all[1].Config.Hidden != 3 {
		t.Fatalf("%+v, %v", all, err)
	}
	promote := func(version string) {
		t.Helper()
		if err := r.Promote("subject", version, at); err != nil {
			t.Fatal(err)
		}
		current(version)
	}
	back := func(want string) {
		t.Helper()
		if got, err := r.Rollback("subject", at); err != nil || got != want {
			t.Fatalf("back to %q (%v), want %q", got, err, want)
		}
		current(want)
	}
	promote(v[0])
	promote(v[1])
	back(v[0])
	promote(v[2])
	back(v[0])
	back("")
	if _, err := r.Rollback("subject", at); !errors.Is(err, ErrNoModel) {
		t.Fatalf("back beyond the beginning: %v", err)
	}
	promote(v[1])
	promote("")
	back(v[1])
	h, err := r.History("subject")
	if err != nil || len(h) != 9 || !h[8].Rollback || !h[8].At.Equal(at) {
		t.Fatalf("%+v, %v", h, err)
	}
}

func TestRegistryRefuses(t *testing.T) {
	dir := t.TempDir()
	r := NewRegistry(dir)
	c, err := r.Add(modelOf(t, 1), Card{Name: "subject"})
	if err != nil {
		t.Fatal(err)
	}
	f := func(err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Fatalf("got %v, want %v", err, want)
		}
	}
	for _, name := range []string{"", "..", "a/b", "Subject", strings.Repeat("a", 99)} {
		f(r.Promote(name, c.Version, time.Time{}), ErrNoModel)
		_, err := r.Add(modelOf(t, 1), Card{Name: name})
		f(err, ErrNoModel)
	}
	for _, version := range []string{"subject-00000000", "../x", "other-00000000", "subject-", "subject-0000000g"} {
		f(r.Promote("subject", version, time.Time{}), ErrNoModel)
	}
	if _, err := r.Add([]byte("no model"), Card{Name: "subject"}); err == nil {
		t.Error("a file that is no model was added")
	}
	// Any byte of the file, of its card: not in use, and what was in use stays.
	file := filepath.Join(dir, "subject", c.Version, modelFile)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 9, len(whole) / 2, len(whole) - 1} {
		broken := append([]byte(nil), whole...)
		broken[n] ^= 1
		if err := os.WriteFile(file, broken, 0o600); err != nil {
			t.Fatal(err)
		}
		f(r.Promote("subject", c.Version, time.Time{}), ErrCorrupt)
	}
	if err := os.WriteFile(file, whole[:len(whole)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	f(r.Promote("subject", c.Version, time.Time{}), ErrCorrupt)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := r.Promote("subject", c.Version, time.Time{}); err == nil {
		t.Error("a version without its file was promoted")
	}
	if v, err := r.Current("subject"); err != nil || v != "" {
		t.Errorf("current is %q, %v", v, err)
	}
	// Adding the file again repairs it.
	if _, err := r.Add(whole, Card{Name: "subject"}); err != nil {
		t.Fatal(err)
	}
	if err := r.Promote("subject", c.Version, time.Time{}); err != nil {
		t.Fatal(err)
	}
	// A card that another program wrote over, and a history.
	if err := os.WriteFile(filepath.Join(dir, "subject", c.Version, cardFile), []byte(`{"name":"subject"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	f(r.Promote("subject", c.Version, time.Time{}), ErrCorrupt)
	if all, err := r.List("subject"); err != nil || len(all) != 0 {
		t.Errorf("%v, %v", all, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "subject", historyFile), []byte(`{`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Current("subject"); err == nil {
		t.Error("a broken history was read")
	}
}
