package millrace_test

import (
	"errors"
	"go/ast"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"millrace/operators/event"
)

// This file keeps the documentation true: commands that it shows are run, flags and
// metrics that it lists are compared with those of the program, events that it shows
// are decoded. The rules are told to writers in docs/README.md.

// documents are README.md and everything under docs.
func documents(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, name := range committed(t) {
		if name == "README.md" || strings.HasPrefix(name, "docs/") && path.Ext(name) == ".md" {
			all = append(all, name)
		}
	}
	if len(all) < 5 {
		t.Fatalf("only %d documents", len(all))
	}
	return all
}

func read(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.FromSlash(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// blocks are the code blocks of a document with the given word behind their fence.
func blocks(text, word string) []string {
	var all []string
	for _, m := range regexp.MustCompile("(?ms)^```"+regexp.QuoteMeta(word)+"\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	return all
}

// buildProgram makes the binary that the documents speak of.
func buildProgram(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "millrace")
	if runtime.GOOS == "windows" {
		bin += ".exe"
	}
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "./cmd/millrace").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return bin
}

// asRun is how a command of a document is run in the test: long ones short, with
// ports that are free, and those that need what is not there with --help behind
// them, so that their flags are checked and nothing is done.
func asRun(args []string) []string {
	freePorts := func(args []string) []string {
		for _, flag := range []string{"--http", "--console"} {
			args = append(without(args, flag), flag, "127.0.0.1:0")
		}
		return args
	}
	if len(args) == 0 {
		return args
	}
	switch args[0] {
	case "dev":
		return append(freePorts(without(args, "--for")), "--for", "3s")
	case "run":
		if slices.Contains(args, "--nats") { // there is no server
			return append(args, "--help")
		}
		return append(freePorts(without(args, "--once")), "--once")
	case "import", "train":
		return append(args, "--help")
	case "dlq":
		if len(args) > 1 && args[1] != "list" {
			return append(args, "--help")
		}
	}
	return args
}

// without takes a flag and its value out; --once has none.
func without(args []string, flag string) []string {
	var kept []string
	for i := 0; i < len(args); i++ {
		switch {
		case args[i] == flag && flag != "--once":
			i++
		case args[i] == flag, strings.HasPrefix(args[i], flag+"="):
		default:
			kept = append(kept, args[i])
		}
	}
	return kept
}

func TestAsRun(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		if got := strings.Join(asRun(strings.Fields(in)), " "); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	f("dev", "dev --http 127.0.0.1:0 --console 127.0.0.1:0 --for 3s")
	f("dev --for 40s --seed 7 --console=:1", "dev --seed 7 --http 127.0.0.1:0 --console 127.0.0.1:0 --for 3s")
	f("run --once -c x", "run -c x --http 127.0.0.1:0 --console 127.0.0.1:0 --once")
	f("import --format ndjson x", "import --format ndjson x --help")
	f("dlq list", "dlq list")
	f("dlq retry 3", "dlq retry 3 --help")
	f("check configs/shop.yaml", "check configs/shop.yaml")
}

// TestCommands runs every command line of the documents, those of one document one
// after the other in one directory that holds the shipped configs.
func TestCommands(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs the program")
	}
	bin := buildProgram(t)
	dir := t.TempDir()
	var files []string
	for _, name := range documents(t) {
		var script strings.Builder
		for _, b := range blocks(read(t, name), "sh") {
			script.WriteString(commands(t, name, b))
		}
		if script.Len() == 0 {
			continue
		}
		file := filepath.Join(dir, strings.NewReplacer("/", "-", ".md", "").Replace(name)+".txtar")
		if err := os.WriteFile(file, []byte(script.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	if len(files) == 0 {
		t.Fatal("no document shows a command")
	}
	testscript.Run(t, testscript.Params{
		Files: files,
		Setup: func(e *testscript.Env) error {
			return os.CopyFS(filepath.Join(e.WorkDir, "configs"), os.DirFS("configs"))
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"millrace": func(ts *testscript.TestScript, _ bool, args []string) {
				args = asRun(expand(ts, args))
				err := ts.Exec(bin, args...)
				var exit *exec.ExitError
				if errors.As(err, &exit) && exit.ExitCode() == 3 && slices.Contains([]string{"why", "profile", "recommend", "dlq"}, args[0]) {
					return // nothing is known of the example's person: the question was understood
				}
				if err != nil {
					ts.Fatalf("millrace %s: %v", strings.Join(args, " "), err)
				}
			},
		},
	})
}

// expand does what a shell does with a star.
func expand(ts *testscript.TestScript, args []string) []string {
	var all []string
	for _, a := range args {
		names, err := filepath.Glob(ts.MkAbs(a))
		if strings.Contains(a, "*") && err == nil && len(names) > 0 {
			all = append(all, names...)
			continue
		}
		all = append(all, a)
	}
	return all
}

// commands makes a script of the lines of a block. A line is a command of ours, a
// make target that exists, or a comment; nothing else may stand in such a block.
func commands(t *testing.T, name, block string) string {
	t.Helper()
	makefile := read(t, "Makefile")
	var script strings.Builder
	for line := range strings.Lines(strings.ReplaceAll(block, "\\\n", " ")) {
		line = strings.TrimSpace(line)
		line, _, _ = strings.Cut(line, "  #")
		line, _, _ = strings.Cut(line, " > ")
		line, _, _ = strings.Cut(line, " | ")
		words := strings.Fields(strings.TrimPrefix(line, "bin/"))
		switch {
		case len(words) == 0 || words[0] == "#":
		case words[0] == "millrace":
			script.WriteString(strings.TrimPrefix(strings.TrimSpace(line), "bin/") + "\n")
		case words[0] == "make" && len(words) > 1:
			if !strings.Contains(makefile, "\n"+words[1]+":") {
				t.Errorf("%s: make has no target %s", name, words[1])
			}
			if _, args, ok := strings.Cut(line, "ARGS="); ok {
				script.WriteString("millrace " + words[1] + " " + strings.Trim(args, `"`) + "\n")
			}
		case words[0] == ".ci/run" || words[0] == "git" && words[1] == "clone" || words[0] == "cd":
		default:
			t.Errorf("%s: %q is not a command that the test can check: use a block without sh", name, line)
		}
	}
	return script.String()
}

// TestFlags compares the flags of every command with those that docs/operations.md
// lists under the command's heading.
func TestFlags(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs the program")
	}
	bin := buildProgram(t)
	text := read(t, "docs/operations.md")
	seen := make(map[string]bool)
	var visit func(args []string)
	visit = func(args []string) {
		help, err := exec.CommandContext(t.Context(), bin, append(args, "--help")...).Output()
		if err != nil {
			t.Fatalf("millrace %v --help: %v", args, err)
		}
		subs := regexp.MustCompile(`(?m)^  ([a-z-]+) +`).FindAllStringSubmatch(between(string(help), "Available Commands:", "Flags:"), -1)
		for _, s := range subs {
			if s[1] != "help" && s[1] != "completion" {
				visit(append(slices.Clone(args), s[1]))
			}
		}
		if len(subs) > 0 {
			return
		}
		name := "millrace " + strings.Join(args, " ")
		seen[name] = true
		_, section, ok := strings.Cut(text, "\n### `"+name+"`\n")
		if !ok {
			t.Errorf("docs/operations.md has no heading ### `%s`", name)
			return
		}
		section, _, _ = strings.Cut(section, "\n### ")
		section, _, _ = strings.Cut(section, "\n## ")
		want, got := make(map[string]bool), make(map[string]bool)
		for _, m := range regexp.MustCompile(`(?m)^ +(?:-\w, |    )(--[a-z-]+)`).FindAllStringSubmatch(string(help), -1) {
			want[m[1]] = m[1] != "--help"
		}
		for _, m := range regexp.MustCompile("(?m)^\\| `(?:-\\w, )?(--[a-z-]+)").FindAllStringSubmatch(section, -1) {
			got[m[1]] = true
		}
		if strings.Contains(section, "takes every flag of `millrace run`") {
			for _, m := range regexp.MustCompile("(?m)^\\| `(?:-\\w, )?(--[a-z-]+)").FindAllStringSubmatch(between(text, "\n### `millrace run`\n", "\n### "), -1) {
				if want[m[1]] {
					got[m[1]] = true
				}
			}
		}
		for flag, shown := range want {
			if shown && !got[flag] {
				t.Errorf("docs/operations.md: %s has the flag %s, which is not in its table", name, flag)
			}
		}
		for flag := range got {
			if !want[flag] {
				t.Errorf("docs/operations.md: %s has no flag %s", name, flag)
			}
		}
	}
	visit(nil)
	for _, m := range regexp.MustCompile("(?m)^### `(millrace [a-z -]+)`$").FindAllStringSubmatch(text, -1) {
		if !seen[m[1]] {
			t.Errorf("docs/operations.md: there is no command %s", m[1])
		}
	}
}

// between is what stands in text behind a and before the next b.
func between(text, a, b string) string {
	_, text, _ = strings.Cut(text, a)
	text, _, _ = strings.Cut(text, b)
	return text
}

// TestMetrics compares the metrics that docs/operations.md lists with those that the
// files called metrics.go declare.
func TestMetrics(t *testing.T) {
	metric := regexp.MustCompile(`^millrace_[a-z0-9_]+$`)
	declared := make(map[string]string)
	for _, s := range sources(t) {
		if path.Base(s.name) != "metrics.go" {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			l, ok := n.(*ast.BasicLit)
			if !ok || l.Kind != token.STRING {
				return true
			}
			if v, err := strconv.Unquote(l.Value); err == nil && metric.MatchString(v) {
				declared[v] = s.name
			}
			return true
		})
	}
	listed := make(map[string]bool)
	for _, m := range regexp.MustCompile("(?m)^\\| `(millrace_[a-z0-9_]+)").FindAllStringSubmatch(read(t, "docs/operations.md"), -1) {
		listed[m[1]] = true
		if declared[m[1]] == "" {
			t.Errorf("docs/operations.md lists %s, which no metrics.go declares", m[1])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(declared)) {
		if !listed[name] {
			t.Errorf("%s declares %s, which docs/operations.md does not list", declared[name], name)
		}
	}
	if len(declared) < 20 {
		t.Errorf("only %d metrics found", len(declared))
	}
}

// TestEvents decodes the events that docs/events.md shows: those in blocks marked
// json must be taken, and each rejection code must be listed and no other.
func TestEvents(t *testing.T) {
	text := read(t, "docs/events.md")
	d := event.NewDecoder(event.Options{})
	shown := 0
	for _, b := range blocks(text, "json") {
		records := d.DecodeAll(nil, []byte(b), 1_800_000_000_000)
		if len(records) == 0 {
			t.Errorf("nothing is read from\n%s", b)
		}
		for i := range records {
			shown++
			if r := records[i].Reject; r != nil {
				t.Errorf("rejected as %s, %s:\n%s", r.Code, r.Detail, b)
			}
		}
	}
	if shown < 3 {
		t.Errorf("only %d events are shown", shown)
	}
	for _, code := range []event.Code{
		event.TooLarge, event.NoIdentity, event.NoEventName, event.BadType, event.TooDeep, event.BatchTooLong, event.NotJSON,
		event.BadEnvelope, event.NotAllowed,
	} {
		if !strings.Contains(text, "\n| `"+string(code)+"` |") {
			t.Errorf("docs/events.md does not list the code %s", code)
		}
	}
	for k := event.Unknown + 1; k < event.KindCount; k++ {
		if !strings.Contains(text, event.KindName(k)) {
			t.Errorf("docs/events.md does not name the kind %s", k)
		}
	}
}

// TestLinks follows the links between documents, and names of files in backquotes.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#: ]+)(?:#[^)]*)?\)`)
	file := regexp.MustCompile("`((?:[a-z]+/)+[A-Za-z0-9_.-]+\\.(?:go|md|yaml|txt|liquid|safetensors))`")
	for _, name := range documents(t) {
		text := read(t, name)
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.FromSlash(path.Join(path.Dir(name), m[1]))); err != nil {
				t.Errorf("%s links to %s, which is not there", name, m[1])
			}
		}
		for _, m := range file.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.FromSlash(m[1])); err != nil {
				t.Errorf("%s names %s, which is not there", name, m[1])
			}
		}
	}
}
