package operators_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"millrace/configs"
	"millrace/engine"
	"millrace/engine/enginetest"
	"millrace/operators"
	"millrace/operators/content"
	"millrace/operators/event"
	"millrace/operators/experiment"
	"millrace/operators/mail"
	"millrace/operators/privacy"
	"millrace/operators/profile"
	"millrace/operators/recommend"
	"millrace/operators/trigger"
	"millrace/state"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// journeys are those of the shipped pipelines that are named.
func journeys(t testing.TB, files ...string) []operators.Journey {
	t.Helper()
	return journeysOf(t, configs.Shipped(), files...)
}

// journeysOf are those of pipelines in a file system, which also holds their shop.
func journeysOf(t testing.TB, files fs.FS, names ...string) []operators.Journey {
	t.Helper()
	loader, err := configs.NewLoader(configs.Options{FS: files})
	if err != nil {
		t.Fatal(err)
	}
	set, err := loader.Load(append([]string{"shop.yaml"}, names...)...)
	if err != nil {
		t.Fatal(err)
	}
	all, err := operators.Journeys(set, loader, false)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

var secret = bytes.Repeat([]byte{7}, 32) //nolint:gochecknoglobals // constant: decisions keep their ids

func pseudonyms(t testing.TB) *privacy.Pseudonyms {
	t.Helper()
	p, err := privacy.NewPseudonyms(secret)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// build makes the real graph. cache is how many values each cell keeps; 0 is the
// default.
func build(t testing.TB, all []operators.Journey, cache int) *operators.Pipeline {
	t.Helper()
	return buildLate(t, all, cache, operators.LateOptions{}, nil)
}

// buildLate is build with options for what comes too late, and for recommendations.
func buildLate(t testing.TB, all []operators.Journey, cache int, late operators.LateOptions, w *world) *operators.Pipeline {
	t.Helper()
	var rules []trigger.Rule
	for _, j := range all {
		rules = append(rules, j.Rule)
	}
	var live *recommend.Live
	var look func(*engine.View, string) (recommend.Listing, bool)
	var listening *operators.Listening
	if w != nil {
		live, look, listening = w.live, w.look, w.listening
	}
	return operators.Build(operators.Options{
		Then: operators.Thens(all), Late: late, Live: live, Look: look, Listening: listening,
		Pseudonyms: pseudonyms(t), Rules: rules, PeopleMax: cache, ItemsMax: cache, Experiments: operators.Experiments(all),
		Profile: profile.Options{HalfLife: 30 * 24 * time.Hour}, Recommend: recommend.Options{HalfLife: 90 * 24 * time.Hour},
	})
}

var errDown = errors.New("the mail server is down")

// world is the whole program but for HTTP: the real log, store, graph, mailer and
// inbox, on pipes and in virtual time.
type world struct {
	*enginetest.World
	t        *testing.T
	dir      string
	journeys []operators.Journey
	pipeline *operators.Pipeline
	names    *privacy.Pseudonyms

	inbox      *mail.Inbox // outlives restarts
	pipe       *mail.Pipe
	served     chan error
	down       atomic.Bool // the inbox cannot be reached
	hang       atomic.Bool // it can be reached and never says a word
	mute       atomic.Bool // the log takes no receipts
	held       atomic.Bool // the log takes no handovers
	journal    *mail.Journal
	suppressed *mail.Suppressed
	smtp       *mail.SMTP
	sender     *mail.Sender
	options    func(*engine.Options) // changes how the engine runs
	closers    []func()
	late       operators.LateOptions
	live       *recommend.Live // nil: none
	look       func(*engine.View, string) (recommend.Listing, bool)
	listening  *operators.Listening // nil: nobody listens
}

// newWorld opens a world in a new directory. Start it.
func newWorld(t *testing.T, pipelines ...string) *world {
	t.Helper()
	return newWorldOf(t, journeys(t, pipelines...))
}

// newWorldOf is newWorld with journeys of one's own.
func newWorldOf(t *testing.T, all []operators.Journey) *world {
	t.Helper()
	w := &world{
		t: t, dir: t.TempDir(), journeys: all, names: pseudonyms(t),
		inbox: mail.NewInbox(mail.InboxOptions{}), pipe: mail.NewPipe(), served: make(chan error, 1),
		options: func(*engine.Options) {},
	}
	go func() { w.served <- w.inbox.Serve(w.pipe) }()
	return w
}

func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// start opens everything and runs the engine.
func (w *world) start() {
	w.t.Helper()
	var err error
	w.World, err = enginetest.OpenWorld(w.t.Context(), enginetest.WorldOptions{Dir: w.dir})
	w.check(err)
	w.smtp, err = mail.OpenSMTP("smtp://127.0.0.1?tls=never", mail.SMTPOptions{Dial: func(ctx context.Context) (net.Conn, error) {
		if w.down.Load() {
			return nil, errDown
		}
		if w.hang.Load() {
			ours, _ := net.Pipe() // nobody is at the other end
			return ours, nil
		}
		return w.pipe.Dial(ctx)
	}})
	w.check(err)
	w.journal, err = mail.Open(filepath.Join(w.dir, "journal"), mail.JournalOptions{NoSync: true})
	w.check(err)
	w.suppressed, err = mail.OpenSuppressed(filepath.Join(w.dir, "suppressed"), mail.SuppressOptions{NoSync: true})
	w.check(err)
	w.sender = mail.NewSender(w.smtp, w.journal, mail.SenderOptions{Suppressed: w.suppressed.Contains})
	w.pipeline = buildLate(w.t, w.journeys, 0, w.late, w)
	o := engine.Options{
		Decoder: operators.NewDecoder(event.Options{}), Graph: w.pipeline.Graph, Tick: w.tick,
		Handlers: map[string]engine.Handler{
			trigger.EffectMail:      w.mailer().Handle,
			experiment.EffectStop:   operators.StopHandler(w.publish),
			experiment.EffectSteer:  operators.SteerHandler(w.publish),
			experiment.EffectNotice: operators.AlarmHandler(operators.AlarmOptions{Journeys: w.journeys, Sender: w.sender, From: mail.Address{Addr: "hello@shop.example"}}),
			operators.EffectDeadLetter: func(context.Context, *engine.View, engine.Row) (engine.Result, time.Duration, error) {
				return engine.Removed, 0, nil
			},
			operators.EffectHandover: operators.NewHandover(w.pipeline, operators.HandoverOptions{Publish: w.handover, Suppress: func(from, to string) error { return w.suppressed.Copy(from, to) }}),
		},
	}
	w.options(&o)
	w.check(w.Run(w.t.Context(), o))
}

func (w *world) mailer() *operators.Mailer {
	writer, err := content.New(content.Options{NoModel: true}) // the model has tests of its own
	w.check(err)
	signer, err := mail.NewSigner(secret)
	w.check(err)
	writers := make(map[string]*content.Writer)
	for _, j := range w.journeys {
		writers[j.Rule.Pipeline] = writer
	}
	return operators.NewMailer(w.pipeline, w.journeys, operators.SendOptions{
		Writers: writers, Sender: w.sender, Signer: signer, Publish: w.receipt,
		From: mail.Address{Name: "Shop", Addr: "hello@shop.example"}, Shop: "Shop", ShopURL: "https://shop.example/", LinkURL: "https://links.example/",
	})
}

func (w *world) publish(ctx context.Context, id string, data []byte) error {
	_, err := w.Log.Publish(ctx, "in.stop", id, data)
	return err
}

func (w *world) tick(ctx context.Context, at int64) error {
	_, err := w.Log.Publish(ctx, "in.tick", "", event.AppendTick(nil, at))
	return err
}

func (w *world) receipt(ctx context.Context, id string, r *event.Receipt) error {
	if w.mute.Load() {
		return errDown
	}
	_, err := w.Log.Publish(ctx, "in.receipt", id, event.AppendReceipt(nil, r))
	return err
}

func (w *world) handover(ctx context.Context, id string, data []byte) error {
	if w.held.Load() {
		return errDown
	}
	_, err := w.Log.Publish(ctx, "in.handover", id, data)
	return err
}

// stop ends the engine as SIGTERM does and closes everything but the inbox.
func (w *world) stop() {
	w.t.Helper()
	w.check(w.Halt())
	for _, f := range w.closers {
		f()
	}
	w.closers = nil
	w.check(errors.Join(w.smtp.Close(), w.journal.Close(), w.suppressed.Close(), w.Close()))
	w.World = nil
}

// close ends the world.
func (w *world) close() {
	w.t.Helper()
	if w.World != nil {
		w.stop()
	}
	w.check(w.inbox.Close())
	w.check(<-w.served)
}

// take puts an event into the log as the gateway does, received now.
func (w *world) take(raw []byte) {
	w.t.Helper()
	data := event.AppendEnvelope(nil, event.Header{ReceivedAt: time.Now().UnixMilli(), Source: "shop"}, []event.Item{{Raw: raw}})
	_, err := w.Log.Publish(w.t.Context(), "in.http", "", data)
	w.check(err)
}

// leave is what the endpoint behind the link in a mail does.
func (w *world) leave(user string) {
	w.t.Helper()
	person := w.names.Person(user)
	w.check(w.suppressed.Add(person, mail.AllLists))
	v := w.Engine.View()
	owner, err := w.pipeline.Owner(v, person)
	v.Close()
	w.check(err)
	w.check(w.suppressed.Add(owner, mail.AllLists))
	data := event.AppendFeedback(nil, &event.Feedback{Kind: event.Unsubscribed, Person: person, Decision: "d", At: time.Now().UnixMilli()})
	_, err = w.Log.Publish(w.t.Context(), "in.feedback", "", data)
	w.check(err)
}

// object makes JSON of names and values, in turn.
func object(pairs ...any) map[string]any {
	m := make(map[string]any)
	for i := 0; i < len(pairs); i += 2 {
		m[fmt.Sprint(pairs[i])] = pairs[i+1]
	}
	return m
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

var _ engine.Committer = (*state.Store)(nil)
