package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	netmail "net/mail"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"millrace/configs"
	"millrace/console"
	"millrace/engine"
	"millrace/engine/stream"
	"millrace/operators"
	"millrace/operators/event"
	"millrace/operators/experiment"
	"millrace/operators/mail"
	"millrace/operators/privacy"
	"millrace/operators/trigger"
	"millrace/state"
)

// settings are what run and dev have in common.
type settings struct {
	files
	configs    []string // files, or none for the shipped ones
	nats       string   // URL of an existing server, or "" for the embedded one
	natsListen string   // address of the embedded one, or "" for none
	durability string   // power or process
	http       string   // address of ingest and links, "" for none
	console    string   // address of the console, "" for none
	linkURL    string   // how the world reaches http
	smtp       string   // URL of the mail server, "" for that of the shop, else the inbox
	mailDir    string
	onlyTo     string
	writeKeys  []string // KEY or KEY=SOURCE
	logBytes   int64
	logAge     time.Duration
	reserve    int64 // bytes that must stay free on the disk
	memory     int64 // bytes to stay below; 0 for the default
	workers    int   // goroutines that run the graph; 0 for as many as suit the machine
	drain      time.Duration
	once       bool
	watch      bool // the files of configs are taken when they change
	acceptGap  bool
	unmask     bool // the console shows personal data

	simulated bool                  // the default source is a simulation
	speed     float64               // of the simulation
	smtpOpen  mail.SMTPOptions      // for tests: a dialer
	engine    func(*engine.Options) // for tests: hooks
	step      func(point string)    // for tests: crash points of sending
	received  func(mail.Received)   // a mail came into the inbox
	log       *slog.Logger
	title     string
}

// app is the running program. Its parts are opened in the order in which they depend
// on each other and closed in the reverse.
type app struct {
	models     *modelWatch // subject models of the registry
	content    *operators.ContentCounts
	s          settings
	log        *slog.Logger
	set        *configs.Set   // what the files said at the start: what cannot change later holds as there
	bundle     configs.Bundle // those files
	acts       *activations   // the versions of the pipelines
	journeys   []operators.Journey
	pseudonyms *privacy.Pseudonyms
	secret     []byte

	server      *stream.Server
	events      *stream.Log
	reader      *stream.Reader
	store       *state.Store
	pipeline    *operators.Pipeline
	engine      *engine.Engine
	inbox       *mail.Inbox
	inboxURL    string
	journal     *mail.Journal
	suppressed  *mail.Suppressed
	smtp        *mail.SMTP
	sender      *mail.Sender
	signer      *mail.Signer
	tracker     *mail.Tracker
	hits        chan struct{} // as many as are being stored
	gateway     *stream.Gateway
	console     *console.Console
	segments    segmentSizes
	stored      storedSizes
	fills       backfill
	tones       *operators.ToneWatch
	metering    *metering // figures of the experiments
	uplifts     uplifts
	registry    *registry
	letterTypes letterTypes
	lively      liveRecommend

	listeners map[string]net.Listener
	closers   []func()
	closing   sync.Mutex // of closers
	draining  bool
	mu        sync.Mutex
}

// openApp opens every part. On an error it closes what it opened.
func openApp(ctx context.Context, s settings) (*app, error) {
	a := &app{s: s, log: s.log, listeners: make(map[string]net.Listener), registry: newRegistry(), lively: liveRecommend{wanted: make(chan struct{})}}
	a.fills.a = a
	for _, open := range []func(context.Context) error{
		a.openConfig, a.openFiles, a.openLog, a.openState, a.openListeners, a.openMail, a.openTracking, a.openEngine, a.openGateway, a.openMetering, a.openConsole,
	} {
		if err := open(ctx); err != nil {
			a.close()
			return nil, err
		}
	}
	return a, nil
}

func (a *app) later(f func()) {
	a.closing.Lock()
	defer a.closing.Unlock()
	a.closers = append(a.closers, f)
}

// close closes every part, the last opened first.
func (a *app) close() {
	a.closing.Lock()
	closers := a.closers
	a.closers = nil
	a.closing.Unlock()
	for _, f := range slices.Backward(closers) {
		f()
	}
}

func (a *app) openFiles(context.Context) error {
	if err := a.s.open(); err != nil {
		return err
	}
	unlock, err := a.s.lock()
	if err != nil {
		return err
	}
	a.later(unlock)
	if err := a.s.writable(); err != nil {
		return err
	}
	secret, err := a.s.loadSecret()
	if err != nil {
		return err
	}
	a.secret = secret
	if a.pseudonyms, err = privacy.NewPseudonyms(secret); err != nil {
		return err
	}
	if a.signer, err = mail.NewSigner(secret); err != nil {
		return err
	}
	return a.diskRoom() // the state is mapped into memory: on a full disk opening it is a SIGBUS
}

func (a *app) openConfig(context.Context) error {
	set, loader, err := loadConfigs(a.s.configs)
	if err != nil {
		return err
	}
	a.set = set
	if a.bundle, err = loader.Collect(configPaths(a.s.configs)...); err != nil {
		return &exitError{exitConfig, err}
	}
	a.journeys, err = operators.Journeys(set, loader, false)
	if err != nil {
		return &exitError{exitConfig, err}
	}
	return nil
}

// configPaths are the files to read, the shipped ones if none is named.
func configPaths(paths []string) []string {
	if len(paths) == 0 {
		return []string{"shop.yaml", "cart-abandonment.yaml", "post-purchase.yaml"}
	}
	return paths
}

// loadConfigs reads the files, or the shipped ones if there are none.
func loadConfigs(paths []string) (*configs.Set, *configs.Loader, error) {
	o := configs.Options{}
	if len(paths) == 0 {
		o.FS = configs.Shipped()
	}
	loader, err := configs.NewLoader(o)
	if err != nil {
		return nil, nil, err
	}
	set, err := loader.Load(configPaths(paths)...)
	if err != nil {
		return nil, nil, &exitError{exitConfig, err}
	}
	return set, loader, nil
}

func (a *app) openLog(ctx context.Context) error {
	o := stream.Options{URL: a.s.nats, MaxBytes: a.s.logBytes, MaxAge: a.s.logAge, Logger: a.log}
	if a.s.nats == "" {
		var err error
		if o.MaxBytes, o.DeadMaxBytes, err = a.logLimits(); err != nil {
			return err
		}
		server, err := stream.StartServer(stream.ServerOptions{
			Dir: a.s.files.log(), SyncAlways: a.s.durability != "process", Listen: a.s.natsListen, Logger: a.log,
		})
		if err != nil {
			return err
		}
		a.server = server
		a.later(server.Shutdown)
		o.Server = server
	}
	events, err := stream.Open(ctx, o)
	if err != nil {
		if a.s.nats != "" {
			err = fmt.Errorf("--nats: %w", err)
		}
		return err
	}
	a.events = events
	a.letterTypes.get = events.Get
	a.later(func() { a.warn("close the log", events.Close()) })
	a.reader = events.NewReader(stream.ReaderOptions{})
	a.later(func() { a.warn("close the reader", a.reader.Close()) })
	return nil
}

func (a *app) openState(context.Context) error {
	store, err := state.Open(state.Options{Dir: a.s.state(), Sync: a.s.durability != "process"})
	if err != nil {
		return err
	}
	a.store = store
	a.later(func() { a.warn("close the state", store.Close()) })
	return nil
}

// openListeners opens the ports, so that the parts that come after know their
// addresses.
func (a *app) openListeners(ctx context.Context) error {
	for name, addr := range map[string]string{"http": a.s.http, "console": a.s.console} {
		if addr == "" {
			continue
		}
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
		if err != nil {
			return fmt.Errorf("--%s: %w", name, err)
		}
		a.listeners[name] = l
		a.later(func() { _ = l.Close() })
	}
	return a.checkListeners()
}

// checkListeners refuses addresses that would not do what they are for. Nothing is
// served yet.
func (a *app) checkListeners() error {
	if l := a.listeners["console"]; l != nil && !isLoopback(l) {
		return &exitError{exitUsage, fmt.Errorf("--console: %s can be reached from other machines, and the console has no password: use 127.0.0.1 and a tunnel", a.s.console)}
	}
	if l := a.listeners["http"]; l != nil && a.s.linkURL == "" && l.Addr().(*net.TCPAddr).IP.IsUnspecified() {
		return &exitError{exitUsage, fmt.Errorf("--public-url is required with --http %s: mails hold links that must lead somewhere", a.s.http)}
	}
	return nil
}

func isLoopback(l net.Listener) bool { return l.Addr().(*net.TCPAddr).IP.IsLoopback() }

func (a *app) openMail(ctx context.Context) error {
	target, err := a.mailTarget(ctx)
	if err != nil {
		return err
	}
	if a.smtp, err = mail.OpenSMTP(target, a.s.smtpOpen); err != nil {
		return &exitError{exitUsage, fmt.Errorf("--smtp: %w", err)}
	}
	a.later(func() { a.warn("close SMTP", a.smtp.Close()) })
	noSync := a.s.durability == "process"
	if a.journal, err = mail.Open(a.s.journal(), mail.JournalOptions{NoSync: noSync}); err != nil {
		return err
	}
	a.later(func() { a.warn("close the journal", a.journal.Close()) })
	if a.suppressed, err = mail.OpenSuppressed(a.s.files.suppressed(), mail.SuppressOptions{NoSync: noSync}); err != nil {
		return fmt.Errorf("%s: %w: restore it from a backup, or move it away: what the log holds is still heeded", a.s.files.suppressed(), err)
	}
	a.later(func() { a.warn("close the suppressions", a.suppressed.Close()) })
	a.tellDamage()
	o := mail.SenderOptions{MailDir: a.s.mailDir, Suppressed: a.suppressed.Contains, Step: a.s.step, Log: a.log}
	if a.s.mailDir != "" {
		if err := os.MkdirAll(a.s.mailDir, 0o700); err != nil {
			return fmt.Errorf("--mail-dir: %w", err)
		}
	}
	if a.s.onlyTo != "" {
		if o.OnlyTo, err = mail.ParsePattern(a.s.onlyTo); err != nil {
			return &exitError{exitUsage, fmt.Errorf("--only-to: %w", err)}
		}
	}
	a.sender = mail.NewSender(a.smtp, a.journal, o)
	return nil
}

// tellDamage warns of what could not be read in the files that keep mails from leaving
// twice, or to somebody who has said no. After a crash a little at the end of the journal
// is usual: it was never written whole.
func (a *app) tellDamage() {
	if n := a.journal.Stats().TornBytes; n > 0 {
		a.log.Warn("the end of the mail journal could not be read and was cut off; receipts in the log still keep mails from leaving twice", "bytes", n)
	}
	st := a.suppressed.Stats()
	if st.Damaged > 0 || st.TornBytes > 0 {
		a.log.Warn("records of who has said no could not be read: restore the file suppressed from a backup if there is one; what the log holds is still heeded",
			"records", st.Damaged, "bytes_at_end", st.TornBytes)
	}
}

// mailTarget is the URL that mail goes to: the one asked for, else that of the shop's
// sender, else the inbox inside this program.
func (a *app) mailTarget(ctx context.Context) (string, error) {
	if a.s.smtp != "" {
		return a.s.smtp, nil
	}
	if s, ok := a.set.Shop.Senders["main"]; ok && !a.s.simulated && !leftOpen(s.SMTP) {
		u, err := s.URL(os.LookupEnv)
		if err != nil {
			return "", &exitError{exitConfig, fmt.Errorf("shop.yaml: senders.main: %w", err)}
		}
		return u.String(), nil
	}
	a.inbox = mail.NewInbox(mail.InboxOptions{})
	l, err := a.inbox.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	a.inboxURL = "smtp://" + l.Addr().String()
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.warn("serve the inbox", a.inbox.Serve(l))
	}()
	a.later(func() {
		a.warn("close the inbox", a.inbox.Close())
		<-done
	})
	if a.s.received != nil {
		stop := a.inbox.Watch(a.s.received)
		a.later(stop)
	}
	return a.inboxURL, nil
}

// leftOpen tells whether a mail server is to be read from a variable that is not set.
func leftOpen(smtp string) bool {
	name, fromEnv := strings.CutPrefix(smtp, "env:")
	return fromEnv && os.Getenv(name) == ""
}

func (a *app) openEngine(ctx context.Context) error {
	first, err := a.openActivations()
	if err != nil {
		return err
	}
	shop := a.set.Shop
	decoder := operators.NewDecoder(event.Options{})
	decoder.Activate, decoder.Names, decoder.Quality = a.acts.prepare, a.pseudonyms, a.pipeline.Counters.Quality
	o := engine.Options{
		Source: a.reader, Store: a.store, Decoder: decoder, Graph: a.pipeline.Graph, First: first,
		Delivery: a.delivery(),
		Handlers: map[string]engine.Handler{
			trigger.EffectMail:         a.acts.mail,
			operators.EffectDeadLetter: a.deadLetter,
			operators.EffectWebhook:    a.acts.webhook,
			operators.EffectPublish:    a.acts.notice,
			experiment.EffectStop:      operators.StopHandler(a.publishStop),
			experiment.EffectSteer:     operators.SteerHandler(a.publishSteer),
			experiment.EffectNotice:    a.acts.alarm,
			operators.EffectHandover:   a.acts.handover,
		},
		OutOfOrder: shop.Log.OutOfOrder, ProducerIdle: shop.Log.ProducerIdle, Idle: shop.Log.Idle, Drain: a.s.drain,
		Parallel: cmp.Or(a.s.workers, engine.ParallelFor(runtime.GOMAXPROCS(0))), AcceptGap: a.s.acceptGap,
		Once: a.s.once, LogEnd: a.logEnd, Speed: a.s.speed, MayCommit: a.diskRoom, Logger: a.log,
	}
	if !a.s.once {
		o.Tick, o.Clock = a.tick, a.clock
	}
	if a.s.engine != nil {
		a.s.engine(&o)
	}
	if a.engine, err = engine.Open(ctx, o); err != nil {
		return err
	}
	return a.acts.opened(ctx)
}

// from is the sender's address. All journeys of this version use smtp/main.
func (a *app) from(shop *configs.Shop) (mail.Address, error) {
	s, ok := shop.Senders["main"]
	if !ok {
		return mail.Address{}, &exitError{exitConfig, errors.New("shop.yaml: senders.main is missing")}
	}
	addr, err := netmail.ParseAddress(s.From)
	if err != nil {
		return mail.Address{}, &exitError{exitConfig, errors.New("shop.yaml: senders.main.from is not an address")}
	}
	return mail.Address{Name: addr.Name, Addr: addr.Address}, nil
}

func shopName(from mail.Address, fallback string) string {
	if from.Name != "" {
		return from.Name
	}
	return fallback
}

func (a *app) linkURL() string {
	if a.s.linkURL != "" {
		return a.s.linkURL
	}
	if l := a.listeners["http"]; l != nil {
		return "http://" + l.Addr().String()
	}
	return "http://127.0.0.1:8088"
}

func (a *app) warn(what string, err error) {
	if err != nil && !errors.Is(err, net.ErrClosed) {
		a.log.Warn("cannot "+what, "err", err)
	}
}

// run runs the engine and serves what asks it, until ctx ends, the log ends with
// --once, or something breaks.
func (a *app) run(ctx context.Context) error {
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	if err := a.serve(serving, &wg); err != nil {
		return err
	}
	if a.s.nats == "" { // the log of a server that is not ours is its owner's to trim
		wg.Go(func() { a.trimLoop(serving) })
	}
	ctx, release := a.whileLogHolds(ctx)
	defer release()
	undrain := context.AfterFunc(ctx, a.drain)
	defer undrain()
	return errors.Join(a.engine.Run(ctx), a.logHolds())
}

// drain makes the gateway refuse events with 503, so that SDKs keep them.
func (a *app) drain() {
	a.mu.Lock()
	a.draining = true
	a.mu.Unlock()
	if a.gateway != nil {
		a.gateway.Drain()
	}
}

// serve starts the HTTP servers and the socket.
func (a *app) serve(ctx context.Context, wg *sync.WaitGroup) error {
	if a.console != nil {
		wg.Go(func() { a.warn("run the console", a.console.Run(ctx)) })
		a.serveHTTP(ctx, wg, a.listeners["console"], &http.Server{Handler: a.console, ReadHeaderTimeout: 5 * time.Second})
	}
	if a.gateway != nil {
		server := a.gateway.HTTPServer()
		server.Handler = a.public()
		a.serveHTTP(ctx, wg, a.listeners["http"], server)
	}
	wg.Go(func() { a.models.run(ctx) })
	wg.Go(func() { a.runLive(ctx) })
	wg.Go(func() { a.segments.run(ctx, a) })
	wg.Go(func() { a.stored.run(ctx, a) })
	wg.Go(func() { a.fills.run(ctx) })
	if a.metering != nil {
		wg.Go(func() { a.metering.run(ctx) })
	}
	if a.s.watch {
		wg.Go(func() { a.acts.watch(ctx) })
	}
	return a.serveSocket(ctx, wg)
}

func (a *app) serveHTTP(ctx context.Context, wg *sync.WaitGroup, l net.Listener, s *http.Server) {
	wg.Go(func() {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			a.warn("serve HTTP", err)
		}
	})
	wg.Go(func() {
		<-ctx.Done()
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if err := s.Shutdown(end); err != nil {
			_ = s.Close()
		}
	})
}

func (a *app) openGateway(context.Context) error {
	if a.s.http == "" {
		return nil
	}
	sources, err := a.s.sources()
	if err != nil {
		return err
	}
	g, err := stream.NewGateway(stream.GatewayOptions{
		Log: a.events, Subject: "in.http", Sources: sources, Encode: encodeEnvelope, FreeBytes: a.freeBytes,
		Reserve: uint64(max(a.s.reserve, 0)), Logger: a.log, //nolint:gosec // not negative
	})
	if err != nil {
		return err
	}
	a.gateway = g
	a.later(g.Close)
	return nil
}

// sources are the write keys and whom they belong to.
func (s *settings) sources() (map[string]stream.Source, error) {
	sources := make(map[string]stream.Source)
	for _, k := range s.writeKeys {
		key, name, ok := strings.Cut(k, "=")
		if !ok {
			name = "default"
		}
		if key == "" || name == "" {
			return nil, &exitError{exitUsage, errors.New("--write-key: want KEY or KEY=SOURCE")}
		}
		sources[key] = stream.Source{Name: name, Simulated: s.simulated}
	}
	return sources, nil
}

func (a *app) openConsole(context.Context) error {
	a.registry.show(a)
	if a.s.console == "" {
		return nil
	}
	c, err := console.New(a.consoleOptions(a.registry.handler()))
	if err != nil {
		return err
	}
	a.console = c
	return nil
}
