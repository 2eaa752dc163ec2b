package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"time"

	"millrace/engine"
	"millrace/engine/stream"
	"millrace/operators"
	"millrace/operators/event"
	"millrace/operators/mail"
)

// This file holds what the program itself puts into the log, and reads of it.

// encodeEnvelope fits the gateway to the event codec.
func encodeEnvelope(dst []byte, h stream.EnvelopeHeader, items []stream.Item) []byte {
	out := make([]event.Item, len(items))
	for i := range items {
		it := &items[i]
		o := event.Item{Type: it.Type, Context: it.Context, Integrations: it.Integrations, IP: it.IP, Raw: it.Raw}
		if it.Type == stream.TypeTooLong {
			o.Type, o.Reject = "", event.BatchTooLong
		}
		if len(it.SentAt) > 0 {
			_ = json.Unmarshal(it.SentAt, &o.SentAt) // not a string: as if it were not there
		}
		out[i] = o
	}
	return event.AppendEnvelope(dst, event.Header{ReceivedAt: h.ReceivedAt, Source: h.Source, Sim: h.Simulated}, out)
}

func (a *app) tick(ctx context.Context, at int64) error {
	_, err := a.events.Publish(ctx, "in.tick", "", event.AppendTick(nil, at))
	return err
}

func (a *app) clock(ctx context.Context, at int64) error {
	_, err := a.events.Publish(ctx, "in.clock", "", event.AppendClock(nil, at))
	return err
}

func (a *app) publishReceipt(ctx context.Context, id string, r *event.Receipt) error {
	_, err := a.events.Publish(ctx, "in.receipt", id, event.AppendReceipt(nil, r))
	return err
}

func (a *app) publishHandover(ctx context.Context, id string, data []byte) error {
	_, err := a.events.Publish(ctx, "in.handover", id, data)
	return err
}

// suppressToo lets what a person does not want hold for the one he was merged into.
func (a *app) suppressToo(from, to string) error {
	journeys := a.acts.current().journeys
	lists := make([]string, 0, len(journeys))
	for _, j := range journeys {
		lists = append(lists, j.Rule.Pipeline)
	}
	return a.suppressed.Copy(from, to, lists...)
}

func (a *app) logEnd(ctx context.Context) (uint64, error) {
	s, err := a.events.Info(ctx)
	return s.Last, err
}

// leave takes a person off the list: at once, in the set that is read before each
// send, and for good, in the log. One who was merged into another since the mail left is
// taken off by both names: the merge has copied what stood in the set before it.
func (a *app) leave(ctx context.Context, l mail.Leave) error {
	if err := a.suppressed.Add(l.Person, mail.AllLists); err != nil {
		return err
	}
	v := a.engine.View()
	owner, err := a.pipeline.Owner(v, l.Person)
	v.Close()
	if err != nil {
		return err
	}
	if err := a.suppressed.Add(owner, mail.AllLists); err != nil {
		return err
	}
	data := event.AppendFeedback(nil, &event.Feedback{
		Kind: event.Unsubscribed, Person: l.Person, Decision: l.Decision, At: time.Now().UnixMilli(),
	})
	_, err = a.events.Publish(ctx, "in.feedback", "leave/"+l.Person+"/"+l.Decision, data)
	return err
}

// deadLetter carries out operators.EffectDeadLetter.
func (a *app) deadLetter(ctx context.Context, _ *engine.View, row engine.Row) (engine.Result, time.Duration, error) {
	var d operators.DeadLetter
	if err := json.Unmarshal(row.Body, &d); err != nil {
		return engine.Again, time.Hour, fmt.Errorf("dead letter in row %d: %w", row.ID, err)
	}
	kind, err := a.letterTypes.of(ctx, d.Seq, d.Index)
	if err != nil {
		return engine.Again, time.Second, err
	}
	if d.Reason == operators.ReasonLate && len(d.Bytes) == 0 {
		if d.Bytes, err = a.letterTypes.bytes(ctx, d.Seq, d.Index); err != nil {
			return engine.Again, time.Second, err
		}
	}
	err = a.events.PublishDeadLetter(ctx, stream.DeadLetter{
		Pipeline: "ingest", Operator: "decode", Reason: d.Reason, Detail: d.Detail, Source: d.Source, Type: kind,
		Stream: a.engine.Stats().Position.Stream, Seq: d.Seq, Index: d.Index, At: time.UnixMilli(d.At), Bytes: d.Bytes,
		Cut: len(d.Bytes) >= event.MaxReject, // the rest was left out on the way here
	})
	if err != nil {
		return engine.Again, time.Second, err
	}
	return engine.Removed, 0, nil
}

// errDiskFull says that too little is left on the disk to write safely.
var errDiskFull = errors.New("the disk of the data directory is nearly full")

func (a *app) freeBytes() (uint64, error) { return stream.FreeBytes(a.s.dir) }

// The least that the log may keep, however small the disk, and the most that the dead
// letters may.
const (
	logLeast = 16 << 20
	deadMost = 256 << 20
)

// logLimits are what the log and the dead letters may keep: what was asked for, but no
// more than the disk holds beside its reserve.
func (a *app) logLimits() (log, dead int64, err error) {
	if err := os.MkdirAll(a.s.files.log(), 0o700); err != nil {
		return 0, 0, fmt.Errorf("make the log directory: %w", err)
	}
	free, err := a.freeBytes()
	if err != nil {
		return 0, 0, err
	}
	room := int64(min(free, math.MaxInt64/2)) - a.s.reserve //nolint:gosec // bounded
	err = filepath.WalkDir(a.s.files.log(), func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			room += info.Size() // what the log takes already
		}
		return err
	})
	if err != nil {
		return 0, 0, fmt.Errorf("measure the log: %w", err)
	}
	log = a.s.logBytes
	if most := max(room-room/8, logLeast); log > most || log == 0 {
		log = most
		a.log.Warn("the disk is smaller than --log-max-bytes: the log keeps less", "log_max_bytes", log, "free", free, "disk_reserve", a.s.reserve)
	}
	return log, min(deadMost, max(room/8, logLeast)), nil
}

// diskRoom is asked before each commit. Half of the gateway's reserve is kept for
// what is already in the log.
func (a *app) diskRoom() error {
	if readOnly, err := stream.ReadOnly(a.s.dir); err == nil && readOnly {
		return fmt.Errorf("%s: %w: it is mounted read-only", a.s.dir, errReadOnly)
	}
	free, err := a.freeBytes()
	if err != nil {
		return err
	}
	if need := uint64(max(a.s.reserve, 0)) / 2; free < need { //nolint:gosec // not negative
		return fmt.Errorf("%w: %d MB are free, %d MB are kept in reserve (--disk-reserve)", errDiskFull, free>>20, need>>20)
	}
	return nil
}
