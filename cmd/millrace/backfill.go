package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"millrace/configs"
	"millrace/console"
	"millrace/engine"
	"millrace/engine/stream"
	"millrace/operators"
	"millrace/state"
)

// This file fills fields that a version adds from what the log still holds; see
// operators/fill.go. One fill runs at a time, beside the engine; a run that ends in the
// middle goes on with the next one.

const (
	fillLook  = 250 * time.Millisecond // how often is looked whether a version took effect
	fillAgain = time.Minute            // after a failure
	markMax   = 1 << 20                // bytes of a mark
)

// fillMark is what is kept of a fill, for good.
type fillMark struct {
	Seq     uint64    `json:"seq"` // message of the activation that added the fields
	Version uint64    `json:"version"`
	Fields  []string  `json:"fields"`
	From    time.Time `json:"from"` // when the oldest message was stored that the log still held
	Done    bool      `json:"done"`
	Keys    int       `json:"keys"` // persons and visitors of whom the fields hold anything
	Ended   time.Time `json:"ended,omitzero"`
}

func (f files) fills() string { return filepath.Join(f.dir, "backfill") }

func (f files) fillMark(seq uint64) string {
	return filepath.Join(f.fills(), strconv.FormatUint(seq, 10)+".json")
}

// fillMarks are those of all fills that were begun, oldest first.
func (f files) fillMarks() ([]fillMark, error) {
	entries, err := os.ReadDir(f.fills())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the fills: %w", err)
	}
	var all []fillMark
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".json") {
			continue
		}
		raw, err := os.ReadFile(filepath.Join(f.fills(), e.Name()))
		if err != nil {
			return nil, fmt.Errorf("read the fills: %w", err)
		}
		var m fillMark
		if err := json.Unmarshal(raw[:min(len(raw), markMax)], &m); err != nil {
			return nil, fmt.Errorf("%s cannot be read, and without it fields would be filled twice: restore it from a backup: %w", filepath.Join(f.fills(), e.Name()), err)
		}
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b fillMark) int { return a.From.Compare(b.From) })
	return all, nil
}

func (f files) keepFill(m *fillMark) error {
	if err := os.MkdirAll(f.fills(), 0o700); err != nil {
		return fmt.Errorf("keep a fill: %w", err)
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("keep a fill: %w", err)
	}
	tmp := f.fillMark(m.Seq) + ".tmp"
	if err := os.WriteFile(tmp, append(raw, '\n'), 0o600); err != nil {
		return fmt.Errorf("keep a fill: %w", err)
	}
	if err := os.Rename(tmp, f.fillMark(m.Seq)); err != nil {
		return fmt.Errorf("keep a fill: %w", err)
	}
	return nil
}

// backfill fills fields. Its methods but run are safe for concurrent use.
type backfill struct {
	a       *app
	pinned  atomic.Uint64 // the first message that is still needed, 0 for none
	running atomic.Uint64 // how far the fill that runs has read
	filled  atomic.Uint64 // since start
}

// needs is the first message of the log that must stay.
func (b *backfill) needs() uint64 {
	if n := b.pinned.Load(); n > 0 {
		return n
	}
	return math.MaxUint64
}

// run fills what is to be filled until ctx ends.
func (b *backfill) run(ctx context.Context) {
	timer := time.NewTimer(fillLook)
	defer timer.Stop()
	looked := uint64(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		wait := fillLook
		if now := b.a.acts.current().version.Number; now != looked {
			err := b.fillAll(ctx, now)
			switch {
			case err == nil:
				looked = now
			case errors.Is(err, errNotCommitted):
			case ctx.Err() == nil:
				b.a.log.Error("fields that were added could not be filled from the log; it is tried again", "err", err)
				wait = fillAgain
			}
		}
		timer.Reset(wait)
	}
}

var errNotCommitted = errors.New("the version is not committed yet")

// fillAll does the fills that the versions up to now call for.
func (b *backfill) fillAll(ctx context.Context, now uint64) error {
	v := b.a.engine.View()
	jobs, err := b.jobs(v, now)
	v.Close()
	if err != nil {
		return err
	}
	for i := range jobs {
		if err := b.fill(ctx, &jobs[i]); err != nil {
			return fmt.Errorf("version %d: %w", jobs[i].version.Number, err)
		}
	}
	return nil
}

// fillJob is a fill to be done.
type fillJob struct {
	version engine.PipelineVersion
	set     *configs.Set
	names   []string
	mark    fillMark
}

// jobs are the fills that are not done, of fields that are still declared as they were.
func (b *backfill) jobs(v *engine.View, now uint64) ([]fillJob, error) {
	list, err := engine.Versions(v)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 || list[len(list)-1].Number < now {
		return nil, errNotCommitted
	}
	marks, err := b.a.s.fillMarks()
	if err != nil {
		return nil, err
	}
	running := b.a.acts.current().set
	var jobs []fillJob
	var before *configs.Set
	for _, version := range list {
		bundle, err := versionBundle(v, version.Number)
		if err != nil {
			return nil, err
		}
		set, _, err := bundle.Load(configs.Options{})
		if err != nil {
			return nil, err
		}
		job := fillJob{version: version, set: set, mark: fillMark{Seq: version.Seq, Version: version.Number}}
		if i := slices.IndexFunc(marks, func(m fillMark) bool { return m.Seq == version.Seq }); i >= 0 {
			job.mark = marks[i]
		}
		if before != nil && version.Seq > 0 && !job.mark.Done {
			changed := operators.AddedFields(set, running)
			for _, name := range operators.AddedFields(before, set) {
				_, declared := running.Shop.Fields[name]
				if declared && !slices.Contains(changed, name) {
					job.names = append(job.names, name)
				}
			}
		}
		if len(job.names) > 0 {
			jobs = append(jobs, job)
		}
		before = set
	}
	return jobs, nil
}

// fill does one fill. What was read and published by an earlier run is not again.
func (b *backfill) fill(ctx context.Context, j *fillJob) error {
	info, err := b.a.events.Info(ctx)
	if err != nil {
		return err
	}
	b.pinned.Store(max(info.First, 1))
	defer b.pinned.Store(0)
	defer b.running.Store(0)
	if j.mark.From.IsZero() {
		m, err := b.a.events.Get(ctx, info.First)
		if err != nil {
			return err
		}
		j.mark.From, j.mark.Fields = time.UnixMilli(m.Time).UTC(), j.names
		if err := b.a.s.keepFill(&j.mark); err != nil {
			return err
		}
	}
	b.a.log.Info("fields are filled from the log", "fields", j.names, "version", j.version.Number, "first", info.First, "last", j.version.Seq)
	dir := filepath.Join(b.a.s.fills(), strconv.FormatUint(j.version.Seq, 10))
	store, err := state.Open(state.Options{Dir: dir, MemTable: 8 << 20, LogBytes: 64 << 20}) // read anew if it is lost
	if err != nil {
		return err
	}
	if err := errors.Join(b.read(ctx, j, store), store.Close()); err != nil {
		return err
	}
	j.mark.Done, j.mark.Ended = true, time.Now().UTC()
	if err := b.a.s.keepFill(&j.mark); err != nil {
		return err
	}
	b.filled.Add(uint64(max(j.mark.Keys, 0)))
	b.a.log.Info("fields are filled", "fields", j.names, "keys", j.mark.Keys, "from", j.mark.From)
	return os.RemoveAll(dir)
}

// read reads the log into a store and publishes what comes of it.
func (b *backfill) read(ctx context.Context, j *fillJob, store *state.Store) error {
	reader := b.a.events.NewReader(stream.ReaderOptions{PrefetchMessages: 512, PrefetchBytes: 8 << 20})
	defer func() { b.a.warn("close the reader of a fill", reader.Close()) }()
	f := operators.Filling{
		Set: j.set, Names: j.names, Upto: j.version.Seq, Pseudonyms: b.a.pseudonyms, Source: reader, Store: store,
		Progress: func(seq uint64) {
			b.running.Store(seq)
			b.pinned.Store(max(seq, 1))
		},
	}
	p, err := f.Run(ctx)
	if err != nil {
		return err
	}
	j.mark.Keys, err = f.Each(p, func(n int, data []byte) error {
		return b.a.events.PublishOnce(ctx, fmt.Sprint(operators.FillSubject, j.version.Seq, ".", n), data)
	})
	return err
}

// filledFrom says of which declared fields what the log held before they were declared
// counts too, and since when; of one that is being filled that it is.
func (f files) filledFrom(fields map[string]any) (map[string]string, error) {
	marks, err := f.fillMarks()
	if err != nil || len(marks) == 0 {
		return nil, err
	}
	out := make(map[string]string)
	for _, m := range marks {
		for _, name := range m.Fields {
			if _, declared := fields[name]; !declared {
				continue
			}
			out[name] = "filled from " + m.From.Format(time.DateOnly)
			if !m.Done {
				out[name] = "is being filled from " + m.From.Format(time.DateOnly)
			}
		}
	}
	return out, nil
}

// declared are the declared fields of a person as facts of the console, with from when the
// log was read for those that were declared later.
func (c consolePeople) declared(v *engine.View, user string) ([]console.Fact, error) {
	values, err := c.a.acts.current().pipeline.FieldValues(v, user)
	if err != nil || len(values) == 0 {
		return nil, err
	}
	filled, err := c.a.s.filledFrom(values)
	if err != nil {
		return nil, err
	}
	var facts []console.Fact
	for _, name := range slices.Sorted(maps.Keys(values)) {
		text := fieldText(values[name])
		if note := filled[name]; note != "" {
			text += " (" + note + ")"
		}
		facts = append(facts, console.Fact{Name: "Field " + name, Value: text})
	}
	return facts, nil
}

// sharesShown is how many shares of a field a page shows.
const sharesShown = 5

// fieldText is the value of a field for people.
func fieldText(value any) string {
	switch value := value.(type) {
	case nil:
		return "unknown"
	case float64:
		return strconv.FormatFloat(round(value), 'f', -1, 64)
	case time.Time:
		return value.Format(time.DateTime)
	case map[string]float64:
		names := slices.SortedFunc(maps.Keys(value), func(a, b string) int {
			return cmp.Or(cmp.Compare(value[b], value[a]), strings.Compare(a, b))
		})
		var parts []string
		for _, name := range names[:min(len(names), sharesShown)] {
			parts = append(parts, fmt.Sprintf("%s %.0f %%", name, 100*value[name]))
		}
		return strings.Join(parts, ", ")
	default:
		return fmt.Sprint(value)
	}
}
