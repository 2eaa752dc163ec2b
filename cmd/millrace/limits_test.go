package main

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"millrace/engine"
)

// TestLimits: each limit that a metric counts stands in the table of docs/operations.md, and
// no other; and the scan of the state finds what there is.
func TestLimits(t *testing.T) {
	dir := t.TempDir()
	r := start(t, settings{files: files{dir: dir}, http: "127.0.0.1:0", console: "127.0.0.1:0", writeKeys: []string{"wk_shop"}})
	doc, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(doc), "\n## Limits\n")
	table, _, _ = strings.Cut(table, "\n## ")
	listed := make(map[string]bool)
	for _, row := range regexp.MustCompile("reached ((?:`[a-z_]+`(?:, )?)+)").FindAllStringSubmatch(table, -1) {
		for _, name := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(row[1], -1) {
			if !strings.HasPrefix(name[1], "millrace_") {
				listed[name[1]] = true
			}
		}
	}
	_, metrics := ask(t, "GET", "http://"+r.listeners["console"].Addr().String()+"/metrics", "", "")
	shown := make(map[string]bool)
	for _, m := range regexp.MustCompile(`(?m)^millrace_limit_reached_total\{limit="([a-z_]+)"\}`).FindAllStringSubmatch(metrics, -1) {
		shown[m[1]] = true
	}
	if !maps.Equal(listed, shown) || len(shown) < 15 {
		t.Errorf("docs/operations.md lists %v\nthe program counts %v", slices.Sorted(maps.Keys(listed)), slices.Sorted(maps.Keys(shown)))
	}
	v := r.engine.View()
	sizes, err := engine.Inventory(v)
	v.Close()
	if err != nil {
		t.Fatal(err)
	}
	r.stored.mu.Lock()
	r.stored.last = sizes
	r.stored.mu.Unlock()
	_, metrics = ask(t, "GET", "http://"+r.listeners["console"].Addr().String()+"/metrics", "", "")
	if !strings.Contains(metrics, `millrace_state_bytes{cell="store"}`) || !strings.Contains(metrics, `millrace_values_memory_bytes{of="limit"}`) {
		t.Error("nobody can see how large the state is")
	}
}
