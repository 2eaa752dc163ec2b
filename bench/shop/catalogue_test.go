package shop

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestCatalogueReadsLikeAShop(t *testing.T) {
	c := NewCatalogue()
	if got := len(c.Products()); got != 240 {
		t.Fatalf("products: got %d, want 240", got)
	}
	want := []string{"Kitchen", "Outdoor", "Books", "Toys", "Fashion", "Electronics", "Garden", "Beauty"}
	if got := c.Categories(); !slices.Equal(got, want) {
		t.Fatalf("categories: got %q, want %q", got, want)
	}
	seen := map[string]string{}
	address := regexp.MustCompile(`^https://shop\.example\.invalid/p/[a-z0-9]+(-[a-z0-9]+)*$`)
	for _, p := range c.Products() {
		for _, unique := range []string{p.ID, p.SKU, p.Name, p.URL} {
			if other, ok := seen[unique]; ok {
				t.Errorf("%q belongs to both %q and %q", unique, p.Name, other)
			}
			seen[unique] = p.Name
		}
		if !address.MatchString(p.URL) {
			t.Errorf("product %q: odd address %q", p.Name, p.URL)
		}
		if p.Price < 200 || p.Price > 50_000 {
			t.Errorf("product %q: price %d cents", p.Name, p.Price)
		}
		if p.Brand == "" || strings.Count(p.Category, " > ") != 1 {
			t.Errorf("product %q: brand %q, category %q", p.Name, p.Brand, p.Category)
		}
		if got, ok := c.ByID(p.ID); !ok || got.Name != p.Name {
			t.Errorf("ByID(%q): got %q, %v", p.ID, got.Name, ok)
		}
	}
	if _, ok := c.ByID("p-9999"); ok {
		t.Error("ByID finds a product that does not exist")
	}
}

func TestComplements(t *testing.T) {
	c := NewCatalogue()
	byName := map[string]string{}
	for _, p := range c.Products() {
		byName[p.Name] = p.ID
	}
	f := func(name, want string) {
		t.Helper()
		for _, p := range c.Complements(byName[name]) {
			if p.Name == want {
				return
			}
		}
		t.Errorf("%q: %q is not among its complements", name, want)
	}
	f("Two-Person Trekking Tent", "Three-Season Sleeping Bag")
	f("Three-Season Sleeping Bag", "Two-Person Trekking Tent")
	f("Espresso Cups Set of Six", "Dark Roast Espresso Beans 1 kg")
	f("Dark Roast Espresso Beans 1 kg", "Espresso Cups Set of Six")
	f("Classic Safety Razor", "Hydrating Face Cream 50 ml")

	for _, p := range c.Products() {
		fits := c.Complements(p.ID)
		if len(fits) < 2 {
			t.Errorf("%q has %d complements", p.Name, len(fits))
		}
		for _, other := range fits {
			if other.ID == p.ID || other.Category == p.Category {
				t.Errorf("%q is not a complement of %q", other.Name, p.Name)
			}
		}
	}
	if got := c.Complements("nothing"); got != nil {
		t.Errorf("complements of an unknown product: %v", got)
	}
}
