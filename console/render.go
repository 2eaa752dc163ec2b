package console

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"html/template"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"
)

//go:embed web
var web embed.FS

// navLink is an entry of the navigation.
type navLink struct {
	Href, Label string
	Current     bool
}

// chrome is what stands around every page.
type chrome struct {
	Title  string // of the page
	Name   string // of the installation
	Notice string
	Topic  string // live topic, "" when the page stands still
	Nav    []navLink
	Masked bool
	Now    moment
}

// sheet is what a page template is given.
type sheet struct {
	chrome
	View any
}

// pageNames are the templates web/<name>.html; each defines "body".
var pageNames = []string{"overview", "inbox", "mail", "people", "items", "experiments", "segments", "models", "tone", "quality", "dead-letters", "dead-letter", "error"}

// parsePages reads the embedded templates: one set for each page.
func parsePages() (map[string]*template.Template, error) {
	version, err := webVersion()
	if err != nil {
		return nil, err
	}
	base := template.New("layout").Funcs(template.FuncMap{
		"asset":   func(name string) string { return "/assets/" + name + "?v=" + version },
		"weekday": func(i int) string { return weekdays[i%7] },
	})
	base, err = base.ParseFS(web, "web/layout.html", "web/parts.html")
	if err != nil {
		return nil, fmt.Errorf("console: read layout: %w", err)
	}
	out := make(map[string]*template.Template, len(pageNames))
	for _, name := range pageNames {
		t, err := base.Clone()
		if err == nil {
			t, err = t.ParseFS(web, "web/"+name+".html")
		}
		if err != nil {
			return nil, fmt.Errorf("console: read page %s: %w", name, err)
		}
		out[name] = t
	}
	return out, nil
}

// webVersion names the contents of the embedded files, so that a browser may keep them.
func webVersion() (string, error) {
	h := fnv.New64a()
	err := fs.WalkDir(web, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := web.ReadFile(p)
		h.Write(b)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("console: read embedded files: %w", err)
	}
	return strconv.FormatUint(h.Sum64(), 16), nil
}

// assets serves the script, the style sheet and the icon.
func assets() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := path.Base(r.URL.Path)
		b, err := web.ReadFile("web/" + name)
		if err != nil || strings.HasSuffix(name, ".html") {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", mime.TypeByExtension(path.Ext(name)))
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(b))
	})
}

// page answers with view: as JSON to who asks for it, else as the named page.
func (c *Console) page(w http.ResponseWriter, r *http.Request, status int, name, title string, view any) {
	w.Header().Add("Vary", "Accept")
	if wantsJSON(r) {
		writeJSON(w, status, view)
		return
	}
	var b bytes.Buffer
	if err := c.pages[name].ExecuteTemplate(&b, "layout", sheet{c.around(r, name, title), view}); err != nil {
		c.opt.Logger.Error("console: render page", "page", name, "err", err)
		http.Error(w, "This page could not be made; the log says why.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the reader went away: nobody is left to tell
}

// around makes the frame of a page.
func (c *Console) around(r *http.Request, name, title string) chrome {
	ch := chrome{Title: title, Name: clean(c.opt.Title), Notice: clean(c.opt.Notice), Masked: !c.opt.Unmask, Now: at(time.Now(), c.opt.Zone)}
	link := func(ok bool, href, label string, names ...string) {
		if !ok {
			return
		}
		l := navLink{Href: href, Label: label}
		for _, n := range names {
			l.Current = l.Current || n == name
		}
		ch.Nav = append(ch.Nav, l)
	}
	link(true, "/", "Overview", "overview")
	link(c.opt.Inbox != nil, "/inbox", "Inbox", "inbox", "mail")
	link(c.opt.People != nil, "/people", "People", "people")
	link(c.opt.Experiments != nil, "/experiments", "Experiments", "experiments")
	link(c.opt.Segments != nil, "/segments", "Segments", "segments")
	link(c.opt.Models != nil, "/models", "Models", "models")
	link(c.opt.Tone != nil, "/tone", "Tone", "tone")
	link(c.opt.Quality != nil, "/quality", "Quality", "quality")
	link(c.opt.Items != nil, "/items", "Items", "items")
	link(c.opt.DeadLetters != nil, "/dead-letters", "Dead letters", "dead-letters", "dead-letter")
	if name == topicOverview || name == topicExperiments || (name == topicInbox && r.URL.Query().Get("from") == "") {
		ch.Topic = name
	}
	if r.URL.Query().Get("live") == "off" || r.Method != http.MethodGet {
		ch.Topic = ""
	}
	return ch
}

// fragment renders one named template of a page.
func (c *Console) fragment(page, name string, view any) (part, error) {
	var b bytes.Buffer
	if err := c.pages[page].ExecuteTemplate(&b, name, view); err != nil {
		return part{}, fmt.Errorf("render %s: %w", name, err)
	}
	return part{Name: name, HTML: strings.TrimSpace(b.String())}, nil
}

// failure is what an error page says.
type failure struct {
	Status int    `json:"status"`
	Error  string `json:"error"`
}

// fail answers with an error page.
func (c *Console) fail(w http.ResponseWriter, r *http.Request, status int, why string) {
	c.page(w, r, status, "error", http.StatusText(status), failure{status, why})
}

// oops answers what a source of ours could not.
func (c *Console) oops(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, ErrNotFound):
		c.fail(w, r, http.StatusNotFound, "It is not here. It may have been removed, or it never was.")
	case r.Context().Err() != nil: // the reader went away
	default:
		c.opt.Logger.Error("console: read for page", "pattern", r.Pattern, "err", err)
		c.fail(w, r, http.StatusInternalServerError, "This could not be read; the log says why.")
	}
}

// wantsJSON tells whether the reader is a program.
func wantsJSON(r *http.Request) bool {
	accept := r.Header.Get("Accept")
	return strings.Contains(accept, "application/json") && !strings.Contains(accept, "text/html")
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		http.Error(w, "This could not be written as JSON.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // the reader went away: nobody is left to tell
}
