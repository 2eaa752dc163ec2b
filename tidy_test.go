package millrace_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// This file holds the rules of the house that a compiler does not know. Each failure
// names the place and the rule. The tables are changed on purpose, with a reason,
// never to make a test pass.

const module = "millrace"

// mayImport is which packages of ours a package may import. A package that is
// missing here fails the test: a new one is placed on purpose. "*" allows all.
// Test files may also import engine/enginetest and the package they test.
var mayImport = map[string][]string{
	"":                     {"operators/event"}, // its tests decode the examples of the documents
	"state":                {},
	"engine":               {"state"},
	"engine/stream":        {"engine"},
	"engine/enginetest":    {"engine", "engine/stream", "state"},
	"operators/privacy":    {},
	"operators/lstm":       {},
	"operators/event":      {"operators/privacy"},
	"operators/profile":    {"engine", "state", "operators/event"},
	"operators/catalogue":  {"engine", "state", "operators/event", "operators/profile"},
	"operators/recommend":  {"engine", "state", "operators/event", "operators/profile"},
	"operators/trigger":    {"engine", "state", "operators/event", "operators/profile"},
	"operators/sentiment":  {"engine", "state", "operators/event", "operators/lstm"},
	"operators/experiment": {"engine", "state", "operators/event", "operators/privacy"},
	"operators/content":    {"engine", "state", "operators/event", "operators/profile", "operators/lstm"},
	"operators/mail":       {"engine", "state", "operators/event", "operators/privacy"},
	"configs":              {},
	"operators":            {"engine", "state", "configs", "operators/*"},
	"console":              {"engine", "configs", "operators/event"},
	"bench":                {"*"},
	"bench/shop":           {"*"},
	"bench/accuracy":       {"*"},
	"bench/nexmark":        {"*"},
	"cmd/millrace":         {"*"},
}

// mayUse is which packages may import a module of others: as few as possible, so
// that it can be replaced in one place. The reasons stand in docs/adr/0001.
var mayUse = map[string][]string{
	"github.com/chewxy/hm":                     {"operators/lstm"}, // types of gorgonia's ops
	"github.com/dgraph-io/badger/v4":           {"state"},
	"github.com/emersion/go-message":           {"operators/mail"},
	"github.com/emersion/go-smtp":              {"operators/mail"},
	"github.com/expr-lang/expr":                {"configs"},
	"github.com/goccy/go-yaml":                 {"configs"},
	"github.com/invopop/jsonschema":            {"configs"},
	"github.com/nats-io/nats-server/v2":        {"engine/stream"},
	"github.com/nats-io/nats.go":               {"engine/stream"},
	"github.com/osteele/liquid":                {"operators/content"},
	"github.com/prometheus/client_golang":      {"cmd/millrace", "console"}, // see TestMetricsFiles
	"github.com/santhosh-tekuri/jsonschema/v6": {"configs"},
	"github.com/schollz/progressbar/v3":        {"cmd/millrace"},
	"github.com/spf13/cobra":                   {"cmd/millrace"},
	"github.com/wneessen/go-mail":              {"operators/mail"},
	"go4.org/unsafe/assume-no-moving-gc":       {"operators/lstm"},
	"golang.org/x/sys":                         {"engine/stream"},
	"golang.org/x/term":                        {"cmd/millrace"},
	"golang.org/x/text":                        {"operators/content"},
	"github.com/axiomhq/hyperloglog":           {"engine"},
	"github.com/DataDog/sketches-go":           {"engine"},
	"gonum.org/v1/gonum":                       {"operators/lstm", "operators/profile", "operators/recommend", "operators/experiment", "operators/sentiment", "bench/accuracy"},
	"gorgonia.org/gorgonia":                    {"operators/lstm"},
	"gorgonia.org/tensor":                      {"operators/lstm"},
}

// mayUseInTests is what the test files of any package may import beside.
var mayUseInTests = []string{
	"github.com/chromedp/chromedp",
	"github.com/rogpeppe/go-internal",
	"go.uber.org/goleak",
	"pgregory.net/rapid",
}

// The sizes that fit a reader's screen and memory.
const (
	funcLinesMax   = 70
	fileLinesMax   = 700
	readmeLinesMax = 80
	adrLinesMax    = 40
)

// pack is what go list says of a package.
type pack struct {
	ImportPath, Name, Dir, Doc         string
	GoFiles, TestGoFiles, XTestGoFiles []string
	Imports, TestImports, XTestImports []string
}

// short is the path within the module, "" for the root.
func (p *pack) short() string {
	return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
}

func packages(t *testing.T) []pack {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json", "./...").Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatalf("go list: %v", err)
	}
	var all []pack
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pack
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		all = append(all, p)
	}
	if len(all) < 10 {
		t.Fatalf("go list found only %d packages", len(all))
	}
	return all
}

func TestImports(t *testing.T) {
	for _, p := range packages(t) {
		name := p.short()
		allowed, placed := mayImport[name]
		if !placed {
			t.Errorf("package %s is not in the table mayImport: place it", p.ImportPath)
			continue
		}
		for _, i := range p.Imports {
			checkImport(t, name, i, allowed, nil)
		}
		forTests := append([]string{"engine/enginetest", name}, allowed...)
		for _, i := range slices.Concat(p.TestImports, p.XTestImports) {
			checkImport(t, name, i, forTests, mayUseInTests)
		}
	}
}

// checkImport reports what neither the tables nor extra allow.
func checkImport(t *testing.T, from, imported string, allowed, extra []string) {
	t.Helper()
	if ours, ok := strings.CutPrefix(imported, module+"/"); ok {
		if !slices.ContainsFunc(allowed, func(pattern string) bool { return matches(pattern, ours) }) {
			t.Errorf("%s imports %s: it may import only %v", from, ours, allowed)
		}
		return
	}
	if imported == module {
		t.Errorf("%s imports the root, which holds nothing", from)
		return
	}
	if first, _, _ := strings.Cut(imported, "/"); !strings.Contains(first, ".") {
		return // the standard library
	}
	if slices.ContainsFunc(extra, func(m string) bool { return within(m, imported) }) {
		return
	}
	for m, users := range mayUse {
		if !within(m, imported) {
			continue
		}
		if !slices.Contains(users, from) {
			t.Errorf("%s imports %s: only %v may", from, imported, users)
		}
		return
	}
	t.Errorf("%s imports %s, which is not in the table mayUse: see docs/adr/0001-dependencies.md", from, imported)
}

// matches tells whether pattern, a package, "dir/*" or "*", covers name.
func matches(pattern, name string) bool {
	if dir, ok := strings.CutSuffix(pattern, "/*"); ok {
		return path.Dir(name) == dir
	}
	return pattern == "*" || pattern == name
}

// within tells whether a package belongs to a module.
func within(mod, pkg string) bool { return pkg == mod || strings.HasPrefix(pkg, mod+"/") }

// TestMatchers makes sure that the rules above can fail.
func TestMatchers(t *testing.T) {
	f := func(got, want bool, what string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: got %v, want %v", what, got, want)
		}
	}
	f(matches("operators/*", "operators/mail"), true, "a child")
	f(matches("operators/*", "operators/mail/deep"), false, "a grandchild")
	f(matches("operators/*", "operators"), false, "the directory itself")
	f(matches("engine", "engine/stream"), false, "a longer name")
	f(matches("*", "anything/at/all"), true, "everything")
	f(within("github.com/nats-io/nats.go", "github.com/nats-io/nats.go/jetstream"), true, "a package of a module")
	f(within("github.com/nats-io/nats.go", "github.com/nats-io/nats.gopher"), false, "another module")
	sleep := func(body string, want int) {
		t.Helper()
		src := source{name: "p_test.go", set: token.NewFileSet()}
		var err error
		if src.file, err = parser.ParseFile(src.set, src.name, "package p\n"+body, 0); err != nil {
			t.Fatal(err)
		}
		if got := len(sleeps([]source{src})); got != want {
			t.Errorf("%s: %d sleeps outside a bubble, want %d", body, got, want)
		}
	}
	sleep("func TestX(t *testing.T) { time.Sleep(1) }", 1)
	sleep("func TestX(t *testing.T) { synctest.Test(t, func(t *testing.T) { time.Sleep(1) }) }", 0)
	sleep("func TestX(t *testing.T) { synctest.Test(t, testX) }\nfunc testX(t *testing.T) { help() }\nfunc help() { time.Sleep(1) }", 0)
	sleep("func TestX(t *testing.T) { s.help() }\nfunc (s *scene) help() { time.Sleep(1) }", 1)
	sleep("func TestX(t *testing.T) { run(t, helper) }\nfunc helper() { time.Sleep(1) }", 1)
	// A helper that one test calls inside a bubble and another outside.
	sleep("func TestX(t *testing.T) { synctest.Test(t, testX) }\nfunc testX(t *testing.T) { help() }\nfunc help() { time.Sleep(1) }\nfunc TestY(t *testing.T) { help() }", 1)
}

func TestPackages(t *testing.T) {
	for _, p := range packages(t) {
		switch p.Name {
		case "utils", "util", "common", "helpers", "helper", "misc", "types", "models":
			t.Errorf("package %s: a package is named after what it is about", p.ImportPath)
		}
		if strings.Contains("/"+p.ImportPath+"/", "/internal/") || strings.Contains("/"+p.ImportPath+"/", "/pkg/") {
			t.Errorf("package %s: neither internal nor pkg, everything here may be read and used", p.ImportPath)
		}
		if len(p.GoFiles) > 0 && p.Doc == "" {
			t.Errorf("package %s has no package comment", p.ImportPath)
		}
	}
}

// source is one parsed Go file.
type source struct {
	name  string // with slashes, from the root
	lines int
	file  *ast.File
	set   *token.FileSet
}

func (s *source) isTest() bool { return strings.HasSuffix(s.name, "_test.go") }

func (s *source) at(n ast.Node) string {
	return fmt.Sprintf("%s:%d", s.name, s.set.Position(n.Pos()).Line)
}

func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	for _, name := range committed(t) {
		if path.Ext(name) != ".go" {
			continue
		}
		raw, err := os.ReadFile(filepath.FromSlash(name))
		if err != nil {
			t.Fatal(err)
		}
		s := source{name: name, set: token.NewFileSet(), lines: bytes.Count(raw, []byte("\n"))}
		if s.file, err = parser.ParseFile(s.set, name, raw, parser.ParseComments); err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

// committed lists the files of the source tree, without what is built or run there.
func committed(t *testing.T) []string {
	t.Helper()
	skip := []string{".git", "bin", "data", ".tools", "node_modules"}
	var all []string
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if slices.Contains(skip, name) || d.Name() == "node_modules" {
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		if d.Type().IsRegular() {
			all = append(all, filepath.ToSlash(name))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestSizes(t *testing.T) {
	for _, s := range sources(t) {
		if s.lines > fileLinesMax && !s.isTest() {
			t.Errorf("%s has %d lines, at most %d", s.name, s.lines, fileLinesMax)
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if f.Name.Name == "init" && f.Recv == nil {
				t.Errorf("%s: no init functions: what happens, happens because main says so", s.at(f))
			}
			lines := s.set.Position(f.End()).Line - s.set.Position(f.Pos()).Line + 1
			if lines > funcLinesMax && !s.isTest() {
				t.Errorf("%s: %s has %d lines, at most %d", s.at(f), f.Name.Name, lines, funcLinesMax)
			}
		}
	}
}

// TestMetricsFiles keeps the Prometheus client in files of one name, so that all
// metrics of a package stand together.
func TestMetricsFiles(t *testing.T) {
	for _, s := range sources(t) {
		for _, i := range s.file.Imports {
			name, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if within("github.com/prometheus/client_golang", name) && path.Base(s.name) != "metrics.go" && !s.isTest() {
				t.Errorf("%s imports %s: only metrics.go may", s.at(i), name)
			}
		}
	}
}

func TestSleeps(t *testing.T) {
	byFolder := make(map[string][]source)
	for _, s := range sources(t) {
		byFolder[path.Dir(s.name)] = append(byFolder[path.Dir(s.name)], s)
	}
	for _, all := range byFolder {
		for _, at := range sleeps(all) {
			t.Errorf("%s: time.Sleep outside a synctest bubble", at)
		}
	}
}

// bubbles are the calls whose arguments run in a synctest bubble.
var bubbles = [][2]string{{"synctest", "Test"}, {"enginetest", "Bubble"}}

// sleeper looks for calls of time.Sleep that may run outside a synctest bubble: it
// follows calls from the functions that the test runner, or anybody, may call, within
// a folder and by name, and does not enter what is handed to a bubble.
type sleeper struct {
	from  *source
	funcs map[string][]sleeping
	seen  map[string]bool
	bad   []string
}

type sleeping struct {
	from *source
	body *ast.BlockStmt
}

func sleeps(files []source) []string {
	v := &sleeper{funcs: make(map[string][]sleeping), seen: make(map[string]bool)}
	var roots []string
	runner := regexp.MustCompile(`^(Test|Benchmark|Fuzz|Example)`)
	for i := range files {
		for _, d := range files[i].file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			v.funcs[f.Name.Name] = append(v.funcs[f.Name.Name], sleeping{&files[i], f.Body})
			if !files[i].isTest() || runner.MatchString(f.Name.Name) {
				roots = append(roots, f.Name.Name)
			}
		}
	}
	for _, name := range roots {
		v.enter(name)
	}
	return v.bad
}

// enter follows a function, or all methods of a name, once.
func (v *sleeper) enter(name string) {
	if v.seen[name] {
		return
	}
	v.seen[name] = true
	for _, f := range v.funcs[name] {
		before := v.from
		v.from = f.from
		ast.Inspect(f.body, v.visit)
		v.from = before
	}
}

func (v *sleeper) visit(n ast.Node) bool {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return true
	}
	for _, b := range bubbles {
		if selects(call.Fun, b[0], b[1]) {
			return false
		}
	}
	if selects(call.Fun, "time", "Sleep") {
		v.bad = append(v.bad, v.from.at(call))
	}
	for _, e := range append([]ast.Expr{call.Fun}, call.Args...) {
		switch f := e.(type) {
		case *ast.Ident:
			v.enter(f.Name)
		case *ast.SelectorExpr:
			v.enter(f.Sel.Name)
		}
	}
	return true
}

// selects tells whether e is pkg.name.
func selects(e ast.Expr, pkg, name string) bool {
	s, ok := e.(*ast.SelectorExpr)
	if !ok || s.Sel.Name != name {
		return false
	}
	x, ok := s.X.(*ast.Ident)
	return ok && x.Name == pkg
}

// TestNoForeignNames keeps the paths of a machine and the hosts of registries out of
// what is committed. The patterns are put together so that they do not find
// themselves.
func TestNoForeignNames(t *testing.T) {
	bad := regexp.MustCompile(`(^|[^\w.])/(` + "wo" + `rk|` + "ro" + `ot|home/\w+)/\w` +
		`|` + "proxy" + `\.golang\.org|` + "registry" + `\.npmjs|` + "pypi" + `\.org|goproxy\.(io|cn)`)
	for _, text := range []string{"see /" + "work/x", "\"/" + "root/go", "https://proxy." + "golang.org"} {
		if !bad.MatchString(text) {
			t.Errorf("the pattern does not find %q", text)
		}
	}
	for _, name := range committed(t) {
		raw, err := os.ReadFile(filepath.FromSlash(name))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.IndexByte(raw[:min(len(raw), 8000)], 0) >= 0 {
			continue // not text
		}
		for i, line := range strings.Split(string(raw), "\n") {
			if m := bad.FindString(line); m != "" {
				t.Errorf("%s:%d names %q", name, i+1, m)
			}
		}
	}
}

// TestDocumentSizes keeps the first page and the decisions short.
func TestDocumentSizes(t *testing.T) {
	f := func(name string, most int) {
		t.Helper()
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Error(err)
			return
		}
		if n := bytes.Count(raw, []byte("\n")); n > most {
			t.Errorf("%s has %d lines, at most %d", name, n, most)
		}
	}
	f("README.md", readmeLinesMax)
	adrs, err := filepath.Glob("docs/adr/[0-9]*.md")
	if err != nil || len(adrs) == 0 {
		t.Fatalf("no decisions in docs/adr: %v", err)
	}
	for _, name := range adrs {
		f(name, adrLinesMax)
	}
}
