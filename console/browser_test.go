package console

import (
	"context"
	"flag"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// shots is where the screenshots go; without it they are taken and thrown away.
var shots = flag.String("shots", "", "directory for the screenshots of TestBrowser")

// browser starts Chromium, or skips visibly when there is none.
func browser(t *testing.T, dark bool) context.Context {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "headless-shell"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		t.Skip("no Chromium here: the page is not looked at (on Debian: apt-get install chromium)")
	}
	if testing.Short() {
		t.Skip("-short: the page is not looked at")
	}
	scheme := "preferredColorScheme=1"
	if dark {
		scheme = "preferredColorScheme=0"
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.Flag("blink-settings", scheme))
	alloc, stopAlloc := chromedp.NewExecAllocator(context.Background(), opts...)
	t.Cleanup(stopAlloc)
	ctx, stop := chromedp.NewContext(alloc)
	t.Cleanup(stop)
	return ctx
}

// serveDemo serves a console with Run beside it, until the test ends.
func serveDemo(t *testing.T, d *demo, change func(*Options)) (url string, c *Console) {
	t.Helper()
	o := demoOptions(d)
	if change != nil {
		change(&o)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range historySlots { // a past for the chart
		sm := sample{at: time.Now().Add(time.Duration(i-historySlots) * time.Second), stats: d.Stats()}
		sm.nodes, sm.edges = d.Graph()
		d.Stats()
		c.sampler.add(sm)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- c.Run(ctx) }()
	srv := httptest.NewServer(c)
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		srv.Close()
	})
	return srv.URL, c
}

// keep writes a screenshot where -shots says.
func keep(t *testing.T, name string, png []byte) {
	t.Helper()
	if len(png) < 4000 {
		t.Fatalf("screenshot %s has %d bytes: the page is empty", name, len(png))
	}
	if *shots == "" {
		return
	}
	if err := os.WriteFile(filepath.Join(*shots, name+".png"), png, 0o644); err != nil {
		t.Fatal(err)
	}
}

// errorsOf asks the page what went wrong in it: requests to other hosts, refused
// resources, a page wider than its window.
const errorsOf = `(() => {
  const out = [];
  for (const e of performance.getEntriesByType("resource")) if (new URL(e.name).host !== location.host) out.push("foreign request " + e.name);
  if (document.documentElement.scrollWidth > innerWidth) {
    const wide = [...document.querySelectorAll("main *")].filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".scroll, nav, svg")).map(e => e.className || e.nodeName);
    out.push("page is " + document.documentElement.scrollWidth + " wide in " + innerWidth + ": " + wide.slice(0, 5));
  }
  if (![...document.styleSheets].some(s => s.cssRules.length > 50)) out.push("no style sheet");
  return out.join("; ");
})()`

func TestBrowser(t *testing.T) {
	for _, scheme := range []string{"light", "dark"} {
		t.Run(scheme, func(t *testing.T) {
			ctx := browser(t, scheme == "dark")
			url, _ := serveDemo(t, newDemo(40), func(o *Options) {
				if scheme == "dark" {
					o.Notice = "synthetic carts: every mail here rests on carts that were made up"
				}
			})
			look := func(name, path string, width, height int64) {
				t.Helper()
				if err := chromedp.Do(ctx, chromedp.EmulateViewport(width, height), chromedp.Navigate(url+path)); err != nil {
					t.Fatal(err)
				}
				bad, err := chromedp.Run(ctx, chromedp.Evaluate[string](errorsOf))
				if err != nil || bad != "" {
					t.Errorf("%s: %s %v", name, bad, err)
				}
				png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
				if err != nil {
					t.Fatal(err)
				}
				keep(t, scheme+"-"+name, png)
				paint, err := chromedp.Run(ctx, chromedp.Evaluate[float64](`performance.getEntriesByName("first-paint").map(e => e.startTime)[0] || 0`))
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("%s: first paint after %.0f ms", name, paint)
			}
			look("overview-360", "/?live=off", 360, 740)
			dark, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`matchMedia("(prefers-color-scheme: dark)").matches`))
			if err != nil || dark != (scheme == "dark") {
				t.Errorf("the browser is dark: %t, %v", dark, err)
			}
			if scheme == "dark" && *shots == "" {
				return // one dark page shows that the scheme is followed
			}
			look("overview", "/?live=off", 1360, 900)
			look("mail", "/inbox/d9f3c", 1360, 900)
			if *shots != "" {
				look("inbox", "/inbox?live=off", 1360, 900)
				look("mail-360", "/inbox/d9f3c?part=phone", 360, 740)
				look("items", "/items?id=sku12", 1360, 900)
				look("dead", "/dead-letters/1", 1000, 700)
			}
			person := `document.querySelector("#user").value = "u_123456"; setTimeout(() => document.querySelector("form").submit()); ""`
			for _, width := range []int64{360, 1360}[:1+min(1, len(*shots))] {
				if err := chromedp.Do(ctx, chromedp.EmulateViewport(width, 900), chromedp.Navigate(url+"/people")); err != nil {
					t.Fatal(err)
				}
				if _, err := chromedp.Run(ctx, chromedp.Evaluate[string](person)); err != nil {
					t.Fatal(err)
				}
				if err := chromedp.Do(ctx, chromedp.WaitVisible(".story")); err != nil {
					t.Fatal(err)
				}
				bad, err := chromedp.Run(ctx, chromedp.Evaluate[string](errorsOf))
				if err != nil || bad != "" {
					t.Errorf("person: %s %v", bad, err)
				}
				png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
				if err != nil {
					t.Fatal(err)
				}
				keep(t, scheme+"-person-"+map[int64]string{1360: "wide", 360: "360"}[width], png)
			}
		})
	}
}

// TestBrowserLive sees numbers move, keeps what a person is reading, and says when
// the server is gone.
func TestBrowserLive(t *testing.T) {
	ctx := browser(t, false)
	d := newDemo(3)
	o := demoOptions(d)
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	run, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- c.Run(run) }()
	srv := httptest.NewServer(c)
	defer srv.Close()
	if err := chromedp.Do(ctx, chromedp.Navigate(srv.URL)); err != nil {
		t.Fatal(err)
	}
	wait := func(what, js string) {
		t.Helper()
		if _, err := chromedp.Run(ctx, chromedp.Poll[bool](js, chromedp.WithPollingTimeout(20*time.Second))); err != nil {
			state, _ := chromedp.Run(ctx, chromedp.Evaluate[string](`document.querySelector("#link").outerHTML`))
			t.Fatalf("%s: %v; %s", what, err, state)
		}
	}
	wait("live", `document.querySelector("#link").dataset.state === "live"`)
	wait("numbers move", `window.first === undefined ? (window.first = document.querySelector(".hero .tile-sub").textContent, false) : window.first !== document.querySelector(".hero .tile-sub").textContent`)
	d.put(Mail{ID: "new", Subject: "The newest of all", To: "x@example.com", At: demoTime})
	wait("a mail arrives", `document.querySelector(".mails li").textContent.includes("The newest of all")`)
	// What somebody is operating is not replaced under them; the rest goes on.
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`document.querySelector(".mails a").focus(); window.first = undefined; true`)); err != nil {
		t.Fatal(err)
	}
	d.put(Mail{ID: "newer", Subject: "Newer still", To: "x@example.com", At: demoTime})
	wait("numbers move", `window.first === undefined ? (window.first = document.querySelector(".hero .tile-sub").textContent, false) : window.first !== document.querySelector(".hero .tile-sub").textContent`)
	kept, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`document.activeElement.textContent.includes("The newest of all") && !document.querySelector(".mails").textContent.includes("Newer still")`))
	if err != nil || !kept {
		t.Fatalf("a list with the focus was replaced, or lost it: %v", err)
	}
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`document.activeElement.blur(); true`)); err != nil {
		t.Fatal(err)
	}
	wait("the list catches up", `document.querySelector(".mails li").textContent.includes("Newer still")`)
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	wait("stale", `document.querySelector("#link").dataset.state === "stale" && document.body.classList.contains("stale")`)
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.querySelector("#link").textContent`))
	if err != nil || !strings.Contains(text, "stale") {
		t.Fatalf("the page says %q, %v", text, err)
	}
}
