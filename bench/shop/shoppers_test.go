package shop

import (
	"math"
	"reflect"
	"strings"
	"testing"
)

func TestShoppersShares(t *testing.T) {
	const n = 20_000
	all := Shoppers(3, n, 2, 0.8, 0.3)
	count := map[string]float64{}
	addresses := map[string]bool{}
	for i := range all {
		s := &all[i]
		count[s.language()]++
		count[[]string{"known", "later", "never"}[s.Login]]++
		if s.Consent {
			count["consent"]++
		}
		count["visits"] += s.VisitsDaily
		count["buying"] += s.Buying
		local, host, _ := strings.Cut(s.Email, "@")
		if host != "example.invalid" && !strings.HasSuffix(host, ".example.invalid") {
			t.Fatalf("shopper %d lives at host %q", i, host)
		}
		for _, r := range local {
			if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789.", r) {
				t.Fatalf("shopper %d: address has %q", i, r)
			}
		}
		if addresses[s.Email] || s.FirstName == "" || s.LastName == "" || s.City == "" || len(s.Tastes) != 8 {
			t.Fatalf("shopper %d: %+v", i, *s)
		}
		addresses[s.Email] = true
	}
	// A share of 20,000 lies within 0.014 of its probability with 4 sigma.
	f := func(name string, want, tolerance float64) {
		t.Helper()
		if got := count[name] / n; math.Abs(got-want) > tolerance {
			t.Errorf("%s: got %.4f, want %.3f ± %.3f", name, got, want, tolerance)
		}
	}
	f("en", 0.70, 0.014)
	f("zh", 0.20, 0.014)
	f("de", 0.10, 0.014)
	f("known", 0.70, 0.014)
	f("later", 0.20, 0.014)
	f("never", 0.10, 0.014)
	f("consent", 0.80, 0.014)
	f("buying", 0.30, 0.003)
	f("visits", 2, 1e-6) // exact by construction
}

func TestShoppersDeterministic(t *testing.T) {
	a, b := Shoppers(3, 100, 2, 0.8, 0.3), Shoppers(3, 100, 2, 0.8, 0.3)
	if !reflect.DeepEqual(a, b) {
		t.Error("the same seed gives other shoppers")
	}
	if c := Shoppers(4, 100, 2, 0.8, 0.3); reflect.DeepEqual(a, c) {
		t.Error("another seed gives the same shoppers")
	}
}
