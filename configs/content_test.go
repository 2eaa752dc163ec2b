package configs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestContentErrors: each fault of designs, knowledge and external model is named where it
// stands.
func TestContentErrors(t *testing.T) {
	sound := strings.Replace(base, "  banned: [winner]\n", `  banned: [winner]
  designs:
    - {name: plain, blocks: [text, items, button]}
    - {name: hero, blocks: [hero, text, button], products: 6}
  knowledge:
    products: {mug: {attributes: [oven-safe]}}
    claims: [{say: organic, only: [tea]}]
    never: [cheap]
    replies: yes
    allow: [health]
  external: {url: "https://host.example/v1", model: big, key: "env:CHAT_KEY", timeout: 2s, per_minute: 60}
`, 1)
	if got := checkText(t, sound); got != "" {
		t.Fatalf("a sound file: %s", got)
	}
	f := func(old, put, want string) {
		t.Helper()
		if strings.Count(sound, old) != 1 {
			t.Fatalf("%q stands %d times", old, strings.Count(sound, old))
		}
		got := checkText(t, strings.Replace(sound, old, put, 1))
		place, _, _ := strings.Cut(got, " ")
		if !strings.Contains(got, want) || strings.Count(place, ":") < 2 || strings.Contains(got, "\n") {
			t.Errorf("%q for %q: got %s, want %s", put, old, got, want)
		}
	}
	f("[text, items, button]", "[text, items]", "has no button")
	f("[text, items, button]", "[text, text, button]", "stands here twice")
	f("[text, items, button]", "[text, carousel, button]", "carousel")
	f("name: hero", "name: plain", "stands here twice")
	f("products: 6", "products: 7", "products")
	f("allow: [health]", "allow: [toxic]", "toxic")
	f("never: [cheap]", `never: [" "]`, "empty text")
	f("attributes: [oven-safe]", `attributes: [" "]`, "empty text")
	f(`"https://host.example/v1"`, `"ftp://host.example/v1"`, "expected an address")
	f(`"https://host.example/v1"`, `"https://me:pw@host.example/v1"`, "expected an address")
	f(`"env:CHAT_KEY"`, `"sk-abcdef"`, "does not stand in a file")
	if got := checkText(t, strings.Replace(sound, `"env:CHAT_KEY"`, `"sk-abcdef"`, 1)); strings.Contains(got, "sk-abcdef") {
		t.Errorf("the key is repeated: %s", got)
	}
}

func TestExternalSecret(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(" from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := func(name string) (string, bool) { return "from-env", name == "CHAT_KEY" }
	f := func(key, want string) {
		t.Helper()
		got, err := (&External{Key: key}).Secret(env)
		if got != want || (err != nil) != (want == "" && key != "") {
			t.Errorf("%s: %q, %v", key, got, err)
		}
	}
	f("", "")
	f("env:CHAT_KEY", "from-env")
	f("env:OTHER", "")
	f("file:"+file, "from-file")
	f("file:"+file+".not", "")
}
