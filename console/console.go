// Package console is the web page of millrace: what came in, what was decided and
// why, and the mails that were written. It reads, never owns: what it shows it asks
// for through the small interfaces of this package, and a page whose interface is
// nil is not there.
//
// Pages are made with net/http and html/template and work without JavaScript. With
// it, Run sends changed fragments of a page at most twice a second over server-sent
// events. Every page also answers "Accept: application/json".
package console

import (
	"cmp"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"time"

	"millrace/operators/event"
)

// Options says what a console shows and to whom. The zero value is a console with
// an empty overview that answers this machine only.
type Options struct {
	Stats       Stats
	Graph       Graph
	Inbox       Inbox
	People      People
	Items       Items
	DeadLetters DeadLetters
	Experiments Experiments
	Segments    Segments
	Quality     Quality
	Models      Models
	Tone        Tone

	Checks     []Check      // what /readyz asks
	Metrics    http.Handler // mounted at /metrics
	Recommend  http.Handler // mounted at /api/recommend
	Registerer Registerer   // takes the console's own metrics; nil: none
	Logger     *slog.Logger // nil: silent

	Title  string         // shown beside the name; "" none
	Notice string         // said on every page: "synthetic carts"
	Zone   *time.Location // in which times are shown; nil: UTC
	// Money writes an amount, in the form that the mails have; nil: "45.00 EUR".
	Money func(amount event.Money, currency string) string

	// AllowRemote lets other machines in. There is no password: whoever reaches the
	// address reads everything, so New refuses it together with Unmask.
	AllowRemote bool
	// Hosts are further names that the Host header may carry. Any other name is
	// refused, since a foreign page could have pointed it at this machine.
	Hosts []string
	// Unmask shows personal data as it is.
	Unmask bool

	Every          time.Duration // between two samples and two frames
	SubscribersMax int           // open live connections
	WriteWait      time.Duration // a live connection that takes longer to take a frame is dropped
	CheckWait      time.Duration // for all checks together
	CheckEvery     time.Duration // between two runs of the checks for the overview
}

// everyMin keeps the promise of at most two frames a second.
const everyMin = 500 * time.Millisecond

func (o Options) withDefaults() Options {
	o.Every = max(o.Every, everyMin)                // a page that changes faster cannot be read
	o.SubscribersMax = cmp.Or(o.SubscribersMax, 64) // each holds a goroutine and a frame; far more than one team's tabs
	o.WriteWait = cmp.Or(o.WriteWait, 5*time.Second)
	o.CheckWait = cmp.Or(o.CheckWait, 2*time.Second)   // below the usual 3 s of a prober
	o.CheckEvery = cmp.Or(o.CheckEvery, 5*time.Second) // checks may touch disk and network
	if o.Money == nil {
		o.Money = money
	}
	if o.Zone == nil {
		o.Zone = time.UTC
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Console serves the pages. It is safe for concurrent use.
type Console struct {
	opt     Options
	pages   map[string]*template.Template // by page name, read only
	handler http.Handler
	sampler *sampler
	hub     *hub
	count   *counters
	layouts layouts
}

// New makes a console. Run must be called beside it for rates, charts and live pages.
func New(o Options) (*Console, error) {
	if o.AllowRemote && o.Unmask {
		return nil, errors.New("console: other machines are let in and personal data is unmasked: there is no password, so choose one of the two")
	}
	for _, c := range o.Checks {
		if c.Name == "" || c.Func == nil {
			return nil, fmt.Errorf("console: check %q has no name or no function", c.Name)
		}
	}
	o = o.withDefaults()
	pages, err := parsePages()
	if err != nil {
		return nil, err
	}
	c := &Console{opt: o, pages: pages, sampler: newSampler(o), count: newCounters()}
	c.hub = newHub(o.SubscribersMax, c.count)
	if o.Registerer != nil {
		if err := c.count.register(o.Registerer, c.hub); err != nil {
			return nil, fmt.Errorf("console: register metrics: %w", err)
		}
	}
	c.handler = c.guard(c.routes())
	return c, nil
}

// ServeHTTP answers one request.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.handler.ServeHTTP(w, r)
}

// routes is the table of everything that is served.
func (c *Console) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", c.overview)
	mux.HandleFunc("GET /live", c.live)
	mux.HandleFunc("GET /api/v1/stats", c.stats)
	mux.Handle("GET /assets/", assets())
	mux.HandleFunc("GET /livez", c.livez)
	mux.HandleFunc("GET /-/healthy", c.livez)
	mux.HandleFunc("GET /readyz", c.readyz)
	mux.HandleFunc("GET /-/ready", c.readyz)
	if c.opt.Metrics != nil {
		mux.Handle("GET /metrics", c.opt.Metrics)
	}
	if c.opt.Recommend != nil {
		mux.Handle("GET /api/recommend", c.opt.Recommend)
	}
	if c.opt.Inbox != nil {
		mux.HandleFunc("GET /inbox", c.inbox)
		mux.HandleFunc("GET /inbox/{id}", c.mail)
		mux.HandleFunc("GET /inbox/{id}/html", c.mailHTML)
	}
	if c.opt.People != nil {
		mux.HandleFunc("GET /people", c.people)
		mux.Handle("POST /people", http.MaxBytesHandler(http.HandlerFunc(c.person), formBytesMax))
	}
	if c.opt.Items != nil {
		mux.HandleFunc("GET /items", c.items)
	}
	if c.opt.Experiments != nil {
		mux.HandleFunc("GET /experiments", c.experiments)
		mux.HandleFunc("GET /experiments/stream", c.experimentStream)
		mux.HandleFunc("GET /experiments/{name}/plot.svg", c.experimentPlot)
		mux.HandleFunc("GET /experiments/{name}/uplift.svg", c.upliftPlot)
	}
	if c.opt.Tone != nil {
		mux.HandleFunc("GET /tone", c.tone)
	}
	if c.opt.Segments != nil {
		mux.HandleFunc("GET /segments", c.segments)
	}
	if c.opt.Models != nil {
		mux.HandleFunc("GET /models", c.models)
	}
	if c.opt.Quality != nil {
		mux.HandleFunc("GET /quality", c.quality)
	}
	if c.opt.DeadLetters != nil {
		mux.HandleFunc("GET /dead-letters", c.deadLetters)
		mux.HandleFunc("GET /dead-letters/{id}", c.deadLetter)
	}
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		c.fail(w, r, http.StatusNotFound, "There is no such page.")
	})
	return mux
}

// formBytesMax is the size of a search form: a user id and a submit button.
const formBytesMax = 4 << 10
