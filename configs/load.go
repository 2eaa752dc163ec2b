package configs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

// filesMax is how many files one call reads: a shop has dozens of journeys.
const filesMax = 1000

// shopFile is the name of the file beside a journey that holds its shop.
const shopFile = "shop.yaml"

// Set is a shop with its journeys, checked together.
type Set struct {
	Shop     *Shop
	Journeys []*Journey // by name
	Version  string     // hash of what all of it means
}

// Journey returns the journey of that name, or nil.
func (s *Set) Journey(name string) *Journey {
	for _, j := range s.Journeys {
		if j.Name == name {
			return j
		}
	}
	return nil
}

// Loader reads and checks files against one set of words. It does not change, so many
// goroutines may use it.
type Loader struct {
	options Options
	schemas *schemas
}

// NewLoader returns a Loader for the words of the options.
func NewLoader(o Options) (*Loader, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("prepare words of pipeline files: %w", err)
	}
	s, err := newSchemas(o)
	if err != nil {
		return nil, err
	}
	return &Loader{options: o, schemas: s}, nil
}

// Load reads the files and returns a set, or everything that is wrong as Problems. A
// path is a file, a directory (its .yaml and .yml files) or a directory with "/..."
// (those below it too); in a directory, *.test.yaml and files of others (no apiVersion,
// pipeline or shop) are passed over. When no file is a shop, the shop.yaml beside the first journey is
// used, and without one the shipped shop.
func (l *Loader) Load(paths ...string) (*Set, error) {
	set, problems := l.load(paths)
	if len(problems) > 0 {
		return nil, problems
	}
	return set, nil
}

// Check is Load for those who want to know only what is wrong, sorted by place.
func (l *Loader) Check(paths ...string) Problems {
	_, problems := l.load(paths)
	return problems
}

// Schema returns the JSON Schema of the files, for editors; conditions carry the
// types of their variables in x-millrace-variables.
func (l *Loader) Schema() []byte { return slices.Clone(l.schemas.text) }

// Load is Loader.Load with the standard words.
func Load(paths ...string) (*Set, error) {
	l, err := NewLoader(Options{})
	if err != nil {
		return nil, err
	}
	return l.Load(paths...)
}

// Check is Loader.Check with the standard words.
func Check(paths ...string) Problems {
	l, err := NewLoader(Options{})
	if err != nil {
		return Problems{{Message: err.Error()}}
	}
	return l.Check(paths...)
}

// loading is one call of Load.
type loading struct {
	*Loader
	problems Problems
	set      Set
	shopAt   string    // the file that is the shop
	unread   bool      // a file is not even YAML: it may have been the shop
	pending  []pending // journeys that wait for the shop, whose fields their conditions may use
	journeys []loaded
}

// pending is the file of a journey.
type pending struct {
	r   *reader
	doc *document
}

// loaded is a journey with its tree, for what is checked later.
type loaded struct {
	journey *Journey
	root    *node
}

// load reads everything and returns the problems in order.
func (l *Loader) load(paths []string) (*Set, Problems) {
	g := &loading{Loader: l}
	files := g.files(paths)
	for _, f := range files {
		g.file(f.path, f.listed)
	}
	if len(g.problems) == 0 && len(g.pending) == 0 && g.set.Shop == nil {
		g.trouble(strings.Join(paths, " "), "no pipeline file here")
	}
	if g.shopAt == "" && !g.unread && len(g.pending) > 0 {
		g.nearShop(files)
	}
	for _, p := range g.pending {
		before := len(p.r.problems)
		g.journey(p.r, p.doc)
		g.problems = append(g.problems, p.r.problems[before:]...)
	}
	g.together()
	if problems := g.problems.sorted(); len(problems) > 0 {
		return nil, problems
	}
	slices.SortFunc(g.set.Journeys, func(a, b *Journey) int { return strings.Compare(a.Name, b.Name) })
	g.set.Version = setVersion(&g.set)
	return &g.set, nil
}

// trouble notes a problem of a file as a whole.
func (g *loading) trouble(file, format string, args ...any) {
	g.problems = append(g.problems, Problem{File: file, Message: fmt.Sprintf(format, args...)})
}

// nearShop reads the shop beside the first journey, or the shipped one.
func (g *loading) nearShop(files []found) {
	beside := filepath.Join(filepath.Dir(g.pending[0].r.file), shopFile)
	read := slices.ContainsFunc(files, func(f found) bool { return f.path == beside })
	if _, err := g.stat(beside); err == nil && !read {
		before := len(g.problems)
		g.file(beside, false)
		if g.shopAt == "" && len(g.problems) == before {
			g.trouble(beside, "got a file without shop, expected the shop of the journeys beside it")
		}
		return
	}
	raw, err := shipped.ReadFile(shopFile)
	if err != nil {
		panic("BUG: the shipped shop is missing: " + err.Error())
	}
	g.bytes(shopFile+" (shipped)", raw, false)
}

// together checks what lies between files.
func (g *loading) together() {
	first, trials := map[string]*Journey{}, map[string]*Journey{}
	for _, l := range g.journeys {
		s := &sense{reader: &reader{file: l.journey.File}, options: g.options, root: l.root}
		if before := first[l.journey.Name]; before != nil {
			s.at(l.root.get("pipeline"), "pipeline", "", "the name %s is taken by %s", l.journey.Name, before.File)
		} else if l.journey.Name != "" {
			first[l.journey.Name] = l.journey
		}
		if before := trials[l.journey.Experiment()]; before != nil && before.Name != l.journey.Name {
			s.at(l.root.get("experiment", "id"), "experiment.id", "", "the experiment %s is that of %s", cut(l.journey.Experiment()), before.File)
		} else {
			trials[l.journey.Experiment()] = l.journey
		}
		if g.set.Shop != nil {
			s.sender(l.journey, g.set.Shop)
			s.hooks(l.journey, g.set.Shop)
		}
		s.layer(l.journey, g.set.Journeys)
		g.problems = append(g.problems, s.problems...)
		g.set.Journeys = append(g.set.Journeys, l.journey)
	}
}

// file reads and checks one file. Of a listed one (found in a directory) nothing is
// said when it is no file of ours.
func (g *loading) file(path string, listed bool) {
	raw, err := g.read(path)
	if err != nil {
		g.trouble(path, "cannot be read: %v", cause(err))
		g.unread = true
		return
	}
	g.bytes(path, raw, listed)
}

// bytes checks the text of one file.
func (g *loading) bytes(path string, raw []byte, listed bool) {
	r := &reader{file: path}
	doc := r.read(raw)
	if listed && !ours(raw) {
		return
	}
	if doc != nil {
		g.form(r, doc)
	}
	g.unread = g.unread || doc == nil
	g.problems = append(g.problems, r.problems...)
}

// ours reports whether a file found in a directory is meant for us: one of its lines
// begins with a key that every file of ours has, or nearly so. Rules of Prometheus and
// the like may lie in the same directory.
func ours(raw []byte) bool {
	for line := range strings.SplitSeq(string(raw[:min(len(raw), fileMax)]), "\n") {
		key, _, isKey := strings.Cut(strings.TrimPrefix(line, "\xef\xbb\xbf"), ":")
		if isKey && nearest(strings.Trim(key, `"' `), []string{"apiVersion", "pipeline", "shop"}) != "" {
			return true
		}
	}
	return false
}

// form finds out whether the file is a shop or a journey, and checks it as such.
func (g *loading) form(r *reader, doc *document) {
	shop, journey := doc.root.entry("shop"), doc.root.entry("pipeline")
	switch {
	case shop != nil && journey != nil:
		r.refuse(shop.line, shop.column, "shop", "got a shop and a pipeline in one file, expected one of them")
	case shop != nil:
		g.shop(r, doc)
	case journey != nil:
		g.pending = append(g.pending, pending{r, doc})
	default:
		for _, e := range doc.root.entries {
			if near := nearest(e.key, []string{"shop", "pipeline"}); near != "" {
				r.refuse(e.line, e.column, cut(e.key), "unknown key %q, expected shop or pipeline", cut(e.key))
				r.problems[len(r.problems)-1].Hint = near
				return
			}
		}
		r.refuse(doc.root.line, doc.root.column, "", "got neither shop nor pipeline, expected one of them to name the file's content")
	}
}

// shop checks and keeps a shop.
func (g *loading) shop(r *reader, doc *document) {
	(&validation{reader: r, schemas: g.schemas, schema: g.schemas.shop, root: doc.root}).run()
	shop := &Shop{File: r.file}
	(&decoding{reader: r, doc: doc, envs: g.segmentsEnv(r, doc)}).into(doc.root, reflect.ValueOf(shop).Elem(), "")
	(&sense{reader: r, options: g.options, root: doc.root}).shop(shop)
	if e := doc.root.entry("shop"); g.shopAt != "" {
		r.refuse(e.line, e.column, "shop", "got a second shop, %s is one already", g.shopAt)
		return
	}
	g.shopAt = r.file
	shop.Version = shopVersion(shop)
	if s := doc.root.get("senders"); s == nil || s.kind == kindMapping {
		g.set.Shop = shop
	}
}

// journey checks and keeps a journey.
func (g *loading) journey(r *reader, doc *document) {
	(&validation{reader: r, schemas: g.schemas, schema: g.schemas.journey, root: doc.root}).run()
	j := &Journey{File: r.file}
	d := &decoding{reader: r, doc: doc, envs: map[string]*Env{
		"trigger":  g.options.Trigger.withPersonFields(g.set.Shop).withModels(g.set.Shop).withTone(g.set.Shop).withSegments(g.set.Shop),
		"audience": g.options.Audience.withPersonFields(g.set.Shop).withModels(g.set.Shop).withTone(g.set.Shop).withSegments(g.set.Shop),
	}}
	if name, ok := doc.root.get("content", "kind").text(); ok && slices.Contains(g.options.words("kinds"), name) {
		d.kind = name
	}
	d.into(doc.root, reflect.ValueOf(j).Elem(), "")
	(&sense{reader: r, options: g.options, root: doc.root}).journey(j)
	if len(j.Send.IdempotencyKey) == 0 {
		j.Send.IdempotencyKey = append(slices.Clone(j.Trigger.Key), startedAt)
	}
	j.Version = journeyVersion(j)
	g.journeys = append(g.journeys, loaded{j, doc.root})
}

// found is a file to read; listed when it was found in a directory.
type found struct {
	path   string
	listed bool
}

// files lists the files that the paths mean.
func (g *loading) files(paths []string) []found {
	var out []found
	seen := map[string]bool{}
	add := func(path string, listed bool) {
		if !seen[path] && len(out) < filesMax {
			seen[path] = true
			out = append(out, found{path, listed})
		}
	}
	for _, path := range paths {
		path, deep := strings.CutSuffix(filepath.ToSlash(path), "/...")
		path = filepath.Clean(path)
		info, err := g.stat(path)
		switch {
		case err != nil:
			g.trouble(path, "cannot be read: %v", cause(err))
		case !info.IsDir():
			add(path, false)
		default:
			g.walk(path, deep, add)
		}
	}
	if len(out) == filesMax {
		g.trouble(strings.Join(paths, " "), "got more than %d files", filesMax-1)
		return nil
	}
	return out
}

// walk lists the pipeline files of a directory, and of those below it when deep.
// Hidden directories are passed over.
func (g *loading) walk(dir string, deep bool, add func(path string, listed bool)) {
	fsys, root := g.options.FS, dir
	if fsys == nil {
		fsys, root = os.DirFS(dir), "."
	}
	err := fs.WalkDir(fsys, root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if path != root && (!deep || strings.HasPrefix(name, ".")) {
				return fs.SkipDir
			}
			return nil
		}
		ext := filepath.Ext(name)
		if (ext != ".yaml" && ext != ".yml") || strings.HasSuffix(strings.TrimSuffix(name, ext), ".test") {
			return nil
		}
		if g.options.FS == nil {
			path = filepath.Join(dir, path)
		}
		add(path, true)
		return nil
	})
	if err != nil {
		g.trouble(dir, "cannot be listed: %v", cause(err))
	}
}

// stat tells what stands at a path.
func (g *loading) stat(path string) (fs.FileInfo, error) {
	if g.options.FS != nil {
		return fs.Stat(g.options.FS, filepath.ToSlash(path))
	}
	return os.Stat(path)
}

// read returns the bytes of a regular file, one more than allowed when it is too large.
func (g *loading) read(path string) ([]byte, error) {
	info, err := g.stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is no regular file")
	}
	var f fs.File
	if g.options.FS != nil {
		f, err = g.options.FS.Open(filepath.ToSlash(path))
	} else {
		f, err = os.Open(path)
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	return io.ReadAll(io.LimitReader(f, fileMax+1))
}

// cause is an error of the file system without the path, which the problem names.
func cause(err error) error {
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		return at.Err
	}
	return err
}

// TriggerEnv returns the variables of trigger.start.when, for filling slots.
func (l *Loader) TriggerEnv() *Env { return l.options.Trigger }

// AudienceEnv returns the variables of audience.when, for filling slots.
func (l *Loader) AudienceEnv() *Env { return l.options.Audience }
