package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"millrace/configs"
	"millrace/engine"
	"millrace/operators"
	"millrace/operators/content"
	"millrace/operators/event"
	"millrace/operators/lstm"
	"millrace/operators/profile"
	"millrace/operators/recommend"
	"millrace/operators/trigger"
)

// This file keeps the versions of the pipelines: it builds what the log says is to take
// effect, and carries each effect out with the version that decided it.

const (
	builtMax   = 8                // versions built at once; those of older effects are built again when asked for
	attemptMax = 50               // failed attempts that are remembered
	applyWait  = 30 * time.Second // until an activation has taken effect: a backlog may stand before it
)

// The points of an activation that settings.step is told of; the engine's own follow.
const (
	pointAsked     = "activation-asked"
	pointChecked   = "activation-checked"   // its files say nothing wrong
	pointBuilt     = "activation-built"     // beside what runs
	pointPublished = "activation-published" // it stands in the log
	pointPrepared  = "activation-prepared"  // built ahead of the loop, from the log
)

// step tells a test that a point was reached.
func (a *app) step(point string) {
	if a.s.step != nil {
		a.s.step(point)
	}
}

// edition is a version of the pipelines, built.
type edition struct {
	version   engine.PipelineVersion
	hash      string
	set       *configs.Set
	journeys  []operators.Journey
	pipeline  *operators.Pipeline
	listening *operators.Listening // nil when the shop does not listen
	writers   []*content.Writer
	mailer    *operators.Mailer
	notices   *operators.Notices
}

// attempt is a version that did not take effect.
type attempt struct {
	Hash     string           `json:"hash"`
	By       string           `json:"by"`
	At       time.Time        `json:"at"`
	Error    string           `json:"error"`
	Problems configs.Problems `json:"problems,omitempty"`
}

// activations are the versions of an app. Safe for concurrent use.
type activations struct {
	a *app

	mu       sync.Mutex
	now      *edition
	built    map[uint64]*edition
	versions []engine.PipelineVersion
	failed   []attempt
	applied  uint64
	refused  uint64
	ignored  uint64
	pause    time.Duration // of the last activation
	waiters  map[string][]chan bool
	decays   time.Duration // of the items, in all versions that were built
	settle   bool          // there were several
}

// openActivations builds the version that the state was reached with, and for a state
// without one that of the files, which it answers.
func (a *app) openActivations() (*engine.Activation, error) {
	t := &activations{a: a, built: make(map[uint64]*edition), waiters: make(map[string][]chan bool)}
	a.acts = t
	a.openTones()
	if _, err := a.s.models().named(a.set); err != nil { // before the files can get into the log
		return nil, err
	}
	a.models = &modelWatch{registry: lstm.NewRegistry(filepath.Join(a.s.dir, modelsDir)), log: a.log}
	bundle := a.bundle
	version, raw, found, err := engine.ActiveVersion(a.store)
	if err != nil {
		return nil, err
	}
	if found {
		bundle = configs.Bundle{}
		if err := json.Unmarshal(raw, &bundle); err != nil {
			return nil, fmt.Errorf("version %d of the pipelines cannot be read: %w", version.Number, err)
		}
	}
	r, err := t.buildAs(max(version.Number, 1), bundle, nil)
	if err != nil {
		return nil, &exitError{exitConfig, fmt.Errorf("version %d of the pipelines, which the state was reached with: %w", max(version.Number, 1), err)}
	}
	a.models.add(r.writers)
	r.version, t.now = version, r
	a.watchTone(r.listening)
	a.pipeline, a.journeys = r.pipeline, r.journeys
	content, err := json.Marshal(a.bundle)
	if err != nil {
		return nil, fmt.Errorf("encode the files: %w", err)
	}
	return &engine.Activation{Hash: a.bundle.Hash(), By: "start", At: time.Now().UnixMilli(), Content: content, Files: a.bundle.Hash()}, nil
}

// opened takes the versions that the engine knows, and publishes that of the files, if
// they were changed since they were taken last: it takes effect where the log ends.
func (t *activations) opened(ctx context.Context) error {
	v := t.a.engine.View()
	defer v.Close()
	list, err := engine.Versions(v)
	if err != nil {
		return err
	}
	last := list[len(list)-1]
	t.versions, t.now.version = list, last
	t.built[last.Number] = t.now
	hash := t.a.bundle.Hash()
	if filesTaken(list) == hash || last.Hash == hash {
		return nil
	}
	if _, err := t.build(t.a.bundle); err != nil { // in the log it would stop every run
		return &exitError{exitConfig, fmt.Errorf("the pipeline files have changed since they were taken last, and cannot be: %w", err)}
	}
	t.a.log.Info("the pipeline files have changed since they were taken last: they take effect where the log ends", "hash", hash, "running", last.Number)
	return t.publish(ctx, &operators.Activation{Hash: hash, By: "files", Bundle: t.a.bundle, Files: hash}, last.Number)
}

// filesTaken is the hash of the pipeline files as they were taken last. The version that
// took them may be kept no more, so each one names them; those of before they did tell it
// by what made them.
func filesTaken(list []engine.PipelineVersion) string {
	for _, v := range slices.Backward(list) {
		switch {
		case v.Files != "":
			return v.Files
		case v.By == "start" || v.By == "files":
			return v.Hash
		}
	}
	return ""
}

// build builds a version that will not run, to see whether it can.
func (t *activations) build(b configs.Bundle) (*edition, error) { return t.buildAs(0, b, nil) }

// buildAs builds a version, with the counters of the one before. Its decisions carry its
// number, unless 0.
func (t *activations) buildAs(number uint64, b configs.Bundle, counters *operators.Counters) (*edition, error) {
	set, _, err := b.Load(configs.Options{})
	if err != nil {
		return nil, err
	}
	t.a.step(pointChecked)
	r := &edition{hash: b.Hash(), set: set}
	models, err := t.a.s.models().named(set)
	if err != nil {
		return nil, err
	}
	if r.journeys, err = operators.JourneysWith(set, models, false); err != nil {
		return nil, err
	}
	var rules []trigger.Rule
	for _, j := range r.journeys {
		j.Rule.Version = event.VersionText(j.Rule.Version, number)
		rules = append(rules, j.Rule)
	}
	fields, err := operators.Fields(set)
	if err != nil {
		return nil, err
	}
	if r.listening, err = t.a.s.listening(set, t.a.tones); err != nil {
		return nil, err
	}
	r.pipeline = operators.Build(operators.Options{
		Pseudonyms: t.a.pseudonyms, Rules: rules, Fields: fields, Counters: counters,
		Segments: operators.NewSegments(set, fields, models), Models: models, Pace: operators.Pace(set),
		Profile: profile.Options{HalfLife: set.Shop.Profile.HalfLife}, VisitorTTL: set.Shop.Profile.VisitorTTL,
		Recommend: recommend.Options{HalfLife: set.Shop.Items.HalfLife},
		Never:     set.Shop.Items.Exclude, Live: t.a.liveFor(set, r.journeys), Listening: r.listening,

		Experiments: operators.Experiments(r.journeys), Then: operators.Thens(r.journeys),
		Late: operators.LateOptions{Allowed: set.Shop.Log.AllowedLateness, Aside: set.Shop.Log.Late == "dead-letter"},
	})
	if err := t.a.openNotices(r); err != nil {
		return nil, err
	}
	return r, t.a.mailer(r)
}

// mailer makes what writes and sends the mails of a version.
func (a *app) mailer(r *edition) error {
	writers := make(map[string]*content.Writer)
	for _, j := range r.journeys {
		w, err := newWriter(j.Config, j.Config.Content.Subject)
		if err != nil {
			return fmt.Errorf("pipeline %s: %w", j.Config.Name, err)
		}
		writers[j.Config.Name] = w
		if err := variantWriters(writers, j.Config); err != nil {
			return err
		}
	}
	r.writers = slices.Collect(maps.Values(writers))
	from, err := a.from(r.set.Shop)
	if err != nil {
		return err
	}
	links := r.set.Shop.Links
	o := operators.SendOptions{
		Writers: writers, Sender: a.sender, Signer: a.signer, Publish: a.publishReceipt, Step: a.s.step,
		From: from, Shop: shopName(from, r.set.Shop.Name), CartURL: links.CartURL, LinkURL: a.linkURL(),
		ShopURL: cmp.Or(links.Shop, "https://"+from.Addr[strings.LastIndexByte(from.Addr, '@')+1:]+"/"),
	}
	o.TrackOpens, o.TrackClicks = a.tracks()
	o.Unfair = func(trait string, ratio float64) {
		a.log.Warn("offers are not shared fairly", "trait", trait, "ratio", ratio, "least", content.FairnessLeast)
	}
	r.mailer = operators.NewMailer(r.pipeline, r.journeys, o)
	if a.content == nil { // of the first version, before anything runs
		a.content = r.mailer.Content
	}
	r.mailer.Content = a.content
	return nil
}

// current is the version in use.
func (t *activations) current() *edition {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.now
}

// prepare makes the graph of an activation that stands in the log, ahead of the loop.
func (t *activations) prepare(m *operators.Activation) *engine.Activation {
	out := &engine.Activation{Expect: m.Expect, Hash: m.Hash, By: m.By, Note: m.Note, Files: m.Files}
	key := waitKey(m)
	number := uint64(0)
	if m.Expect != 0 { // it takes effect behind that one, or never
		number = m.Expect + 1
	}
	r, err := t.buildAs(number, m.Bundle, t.current().pipeline.Counters)
	t.a.step(pointPrepared)
	if err == nil {
		out.Content, err = json.Marshal(m.Bundle)
	}
	if err != nil {
		out.Err = err
		out.Done = func(engine.PipelineVersion, bool, time.Duration) { t.done(nil, key, 0) } // of another version than it expects
		return out
	}
	t.mu.Lock()
	decay := r.set.Shop.Items.HalfLife
	first := t.now.set.Shop.Items.HalfLife
	t.settle = t.settle || decay != first || t.decays != 0 && t.decays != decay
	t.decays, out.Settle = decay, t.settle
	t.mu.Unlock()
	t.a.models.add(r.writers) // here, since reading a model takes longer than the loop may stand still
	out.Graph = r.pipeline.Graph
	out.Done = func(now engine.PipelineVersion, applied bool, pause time.Duration) {
		if !applied {
			go t.a.models.remove(r.writers)
			t.done(nil, key, 0)
			return
		}
		r.version = now
		t.done(r, key, pause)
	}
	return out
}

// done is told by the engine's loop what came of an activation; r is nil when it was
// ignored.
func (t *activations) done(r *edition, key string, pause time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, w := range t.waiters[key] {
		w <- r != nil
	}
	delete(t.waiters, key)
	if r == nil {
		t.ignored++
		t.a.log.Warn("an activation in the log was ignored: it expected another version to run", "running", t.now.version.Number)
		return
	}
	t.applied++
	t.pause = pause
	t.now = r
	t.a.watchTone(r.listening)
	t.versions = append(t.versions, r.version)
	t.versions = t.versions[max(0, len(t.versions)-engine.VersionsKept):]
	t.keep(r)
	t.a.log.Info("a version of the pipelines took effect", "version", r.version.Number, "hash", r.version.Hash, "by", r.version.By, "sequence", r.version.Seq, "pause", pause)
}

// keep remembers a built version, and lets the oldest go when there are too many.
func (t *activations) keep(r *edition) {
	t.built[r.version.Number] = r
	for len(t.built) > builtMax {
		oldest := slices.Min(slices.Collect(maps.Keys(t.built)))
		if oldest == t.now.version.Number {
			return
		}
		go t.a.models.remove(t.built[oldest].writers) // the engine's loop must not wait for a model that is being read
		delete(t.built, oldest)
	}
}

// errVersionGone says that an effect was decided by a version that is not kept.
var errVersionGone = errors.New("the version of the pipelines that decided this is not kept any more")

// of is the version that decided the effect of a row.
func (t *activations) of(v *engine.View, row uint64) (*edition, error) {
	t.mu.Lock()
	version, ok := engine.DecidedBy(t.versions, row)
	r, counters := t.built[version.Number], t.now.pipeline.Counters
	t.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("row %d: %w", row, errVersionGone)
	}
	if r != nil {
		return r, nil
	}
	bundle, err := versionBundle(v, version.Number)
	if err != nil {
		return nil, err
	}
	if r, err = t.buildAs(version.Number, bundle, counters); err != nil {
		return nil, fmt.Errorf("version %d of the pipelines: %w", version.Number, err)
	}
	if err := engine.Attach(v, r.pipeline.Graph); err != nil {
		return nil, err
	}
	t.a.models.add(r.writers)
	r.version = version
	t.mu.Lock()
	defer t.mu.Unlock()
	t.keep(r)
	return r, nil
}

func versionBundle(v *engine.View, number uint64) (configs.Bundle, error) {
	var b configs.Bundle
	raw, found, err := engine.VersionContent(v, number)
	if err == nil && !found {
		err = &exitError{exitNotFound, fmt.Errorf("version %d is not kept", number)}
	}
	if err != nil {
		return b, err
	}
	if err := json.Unmarshal(raw, &b); err != nil {
		return b, fmt.Errorf("version %d of the pipelines cannot be read: %w", number, err)
	}
	return b, nil
}

// mail carries out trigger.EffectMail by the rules and words of the version that decided it.
func (t *activations) mail(ctx context.Context, v *engine.View, row engine.Row) (engine.Result, time.Duration, error) {
	r, err := t.of(v, row.ID)
	if err != nil {
		return engine.Again, time.Minute, err
	}
	return r.mailer.Handle(ctx, v, row)
}

// webhook carries out operators.EffectWebhook with the version that decided it.
func (t *activations) webhook(ctx context.Context, v *engine.View, row engine.Row) (engine.Result, time.Duration, error) {
	r, err := t.of(v, row.ID)
	if err != nil {
		return engine.Again, time.Minute, err
	}
	return r.notices.Webhook(ctx, v, row)
}

// notice carries out operators.EffectPublish with the version that decided it.
func (t *activations) notice(ctx context.Context, v *engine.View, row engine.Row) (engine.Result, time.Duration, error) {
	r, err := t.of(v, row.ID)
	if err != nil {
		return engine.Again, time.Minute, err
	}
	return r.notices.Publish(ctx, v, row)
}

// handover carries out operators.EffectHandover.
func (t *activations) handover(ctx context.Context, v *engine.View, row engine.Row) (engine.Result, time.Duration, error) {
	h := operators.NewHandover(t.current().pipeline, operators.HandoverOptions{Publish: t.a.publishHandover, Suppress: t.a.suppressToo})
	return h(ctx, v, row)
}

func waitKey(m *operators.Activation) string { return strconv.FormatUint(m.Expect, 10) + "/" + m.Hash }

// publish puts an activation into the log, behind version number.
func (t *activations) publish(ctx context.Context, m *operators.Activation, number uint64) error {
	data, err := m.Append(nil, t.a.pseudonyms)
	if err != nil {
		return err
	}
	id := fmt.Sprintf("activation/%d/%s/%d", number, m.Hash, time.Now().UnixNano())
	if _, err := t.a.events.Publish(ctx, operators.ActivationSubject, id, data); err != nil {
		return fmt.Errorf("put the version into the log: %w", err)
	}
	return nil
}

// applyRequest asks for a version.
type applyRequest struct {
	Bundle configs.Bundle `json:"bundle"`
	By     string         `json:"by"`
	Note   string         `json:"note,omitempty"`
	DryRun bool           `json:"dry_run,omitempty"`
}

// applyAnswer says what came of it.
type applyAnswer struct {
	Version  uint64           `json:"version"` // that runs now
	Hash     string           `json:"hash"`    // of the files asked for
	Result   string           `json:"result"`  // applied, no-op, planned, refused, restart, conflict or waiting
	Error    string           `json:"error,omitempty"`
	Problems configs.Problems `json:"problems,omitempty"`
	Plan     []configs.Change `json:"plan,omitempty"`
	Pause    float64          `json:"pause_seconds,omitempty"`
}

// apply checks a version, plans it, puts it into the log and waits until it has taken
// effect.
func (t *activations) apply(ctx context.Context, q *applyRequest) applyAnswer {
	t.a.step(pointAsked)
	now := t.current()
	ans := applyAnswer{Version: now.version.Number, Hash: q.Bundle.Hash()}
	refuse := func(result string, err error) applyAnswer {
		ans.Result, ans.Error = result, err.Error()
		if p, ok := errors.AsType[configs.Problems](err); ok {
			ans.Problems = p
		}
		if !q.DryRun {
			t.fail(q.By, &ans)
		}
		return ans
	}
	next, err := t.build(q.Bundle) // beside the one that runs: what fails, fails here
	if err != nil {
		return refuse("refused", err)
	}
	ans.Plan = configs.Plan(t.a.set.Shop, now.set, next.set)
	if ans.Plan[0].Verdict == "restart" {
		return refuse("restart", fmt.Errorf("shop.yaml: %s: stop the program and start it again", ans.Plan[0].Detail))
	}
	switch {
	case q.DryRun:
		ans.Result = "planned"
		return ans
	case ans.Hash == now.hash:
		ans.Result = "no-op"
		return ans
	}
	if err := t.room(); err != nil {
		return refuse("refused", err)
	}
	t.a.step(pointBuilt)
	m := &operators.Activation{Expect: now.version.Number, Hash: ans.Hash, By: q.By, Note: q.Note, Bundle: q.Bundle}
	came := make(chan bool, 1)
	t.mu.Lock()
	if m.Files = filesTaken(t.versions); q.By == "files" {
		m.Files = m.Hash
	}
	t.waiters[waitKey(m)] = append(t.waiters[waitKey(m)], came)
	t.mu.Unlock()
	if err := t.publish(ctx, m, m.Expect); err != nil {
		return refuse("refused", err)
	}
	t.a.step(pointPublished)
	timer := time.NewTimer(applyWait)
	defer timer.Stop()
	select {
	case ok := <-came:
		if !ok {
			return refuse("conflict", fmt.Errorf("another version came first: expected version %d to run", m.Expect))
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		ans.Result, ans.Version, ans.Pause = "applied", m.Expect+1, t.pause.Seconds()
	case <-timer.C:
		ans.Result, ans.Error = "waiting", "it stands in the log and takes effect when the engine comes to it"
	case <-ctx.Done():
		ans.Result, ans.Error = "waiting", "it stands in the log and takes effect when the engine comes to it"
	}
	return ans
}

// room refuses one more version while the oldest kept one is still needed.
func (t *activations) room() error {
	v := t.a.engine.View()
	defer v.Close()
	needed, err := engine.Referenced(v)
	if err == nil && needed {
		err = fmt.Errorf("mails that are not sent yet need the oldest of the %d versions kept: wait until they are", engine.VersionsKept)
	}
	return err
}

// fail remembers an attempt.
func (t *activations) fail(by string, ans *applyAnswer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refused++
	t.failed = append(t.failed, attempt{Hash: ans.Hash, By: by, At: time.Now().UTC(), Error: ans.Error, Problems: ans.Problems})
	t.failed = t.failed[max(0, len(t.failed)-attemptMax):]
	t.a.log.Error("a version of the pipelines was refused; the one that runs goes on", "running", t.now.version.Number, "hash", ans.Hash, "by", by, "err", ans.Error)
}

// rollback applies the content of an older version; 0 is the one before.
func (t *activations) rollback(ctx context.Context, to uint64, by string, dry bool) applyAnswer {
	now := t.current().version.Number
	if to == 0 {
		to = now - 1
	}
	v := t.a.engine.View()
	b, err := versionBundle(v, to)
	v.Close()
	if err != nil {
		return applyAnswer{Version: now, Result: "refused", Error: err.Error()}
	}
	return t.apply(ctx, &applyRequest{Bundle: b, By: by, Note: fmt.Sprintf("rollback to version %d", to), DryRun: dry})
}

// watch takes the files when they change, until ctx ends.
func (t *activations) watch(ctx context.Context) {
	_, loader, err := loadConfigs(t.a.s.configs)
	if err != nil {
		loader, err = configs.NewLoader(configs.Options{})
	}
	if err != nil {
		t.a.log.Error("the pipeline files cannot be watched", "err", err)
		return
	}
	loader.Watch(ctx, t.a.bundle.Hash(), configPaths(t.a.s.configs), func(b configs.Bundle) {
		t.apply(ctx, &applyRequest{Bundle: b, By: "files", Note: "the files changed"})
	}, func(err error) { t.fail("files", &applyAnswer{Error: err.Error()}) })
}
