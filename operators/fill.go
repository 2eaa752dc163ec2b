package operators

import (
	"bytes"
	"context"
	"crypto/hmac"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"millrace/configs"
	"millrace/engine"
	"millrace/operators/event"
	"millrace/operators/privacy"
	"millrace/operators/profile"
	"millrace/operators/recommend"
	"millrace/operators/trigger"
	"millrace/state"
)

// This file fills fields that a version of the pipelines adds: a graph of its own, without
// effects, reads the log once more up to the activation, and what it makes of the new fields
// goes into the log, from where it joins what the persons hold by then. See
// docs/adr/0026-fields-are-filled-from-the-log.md.

// FillSubject is what stands before the subjects of fills: nothing else comes there.
const FillSubject = "in.fill."

// The bounds of a message of a fill.
const (
	fillKeys  = 500       // as many as events in a packed message
	fillBytes = 512 << 10 // likewise; a single key may take more
	fillMax   = 4 << 20
)

// ErrFill says that a message is no fill that a program of this data directory has published.
var ErrFill = errors.New("not a fill of this data directory")

// Fill is a message with what new fields hold of some persons and visitors.
type Fill struct {
	Upto uint64    `json:"upto"` // the message of the activation that added the fields
	Keys []FillKey `json:"keys"`
}

// FillKey is what new fields hold of one key.
type FillKey struct {
	Key     string `json:"key"` // pseudonym
	Visitor bool   `json:"visitor,omitempty"`
	Fields  []byte `json:"fields"` // a profile.FieldState as stored
}

type fillEnvelope struct {
	Envelope int             `json:"mr"`
	Kind     string          `json:"kind"`
	MAC      string          `json:"mac"`
	Fill     json.RawMessage `json:"fill"`
}

// Append appends the message of a fill to dst.
func (f *Fill) Append(dst []byte, names *privacy.Pseudonyms) ([]byte, error) {
	raw, err := json.Marshal(f)
	if err != nil {
		return dst, fmt.Errorf("encode fill: %w", err)
	}
	dst = append(dst, `{"mr":1,"kind":"fill","mac":`...)
	dst = strconv.AppendQuote(dst, names.Decision("fill", string(raw)))
	return append(append(append(dst, `,"fill":`...), raw...), '}'), nil
}

// ReadFill reads what Append wrote with the same pseudonyms.
func ReadFill(data []byte, names *privacy.Pseudonyms) (*Fill, error) {
	var e fillEnvelope
	if len(data) > fillMax {
		return nil, fmt.Errorf("got %d bytes: %w", len(data), ErrFill)
	}
	if err := json.Unmarshal(data, &e); err != nil || e.Envelope != 1 || e.Kind != "fill" {
		return nil, fmt.Errorf("the message is unreadable: %w", ErrFill)
	}
	if !hmac.Equal([]byte(e.MAC), []byte(names.Decision("fill", string(e.Fill)))) {
		return nil, fmt.Errorf("the signature is another one: %w", ErrFill)
	}
	f := new(Fill)
	if err := json.Unmarshal(e.Fill, f); err != nil {
		return nil, fmt.Errorf("the fill is unreadable: %w", ErrFill)
	}
	return f, nil
}

// fill makes the unit of a message of a fill. What is none of ours goes to the dead letters.
func (d *Decoder) fill(dst []engine.Unit, m *engine.Message) []engine.Unit {
	refuse := func(why string) []engine.Unit {
		return append(dst, engine.Unit{Value: &event.Reject{
			Code: event.BadEnvelope, Detail: why, ReceivedAt: m.Time, Bytes: m.Data[:min(len(m.Data), event.MaxReject)],
		}})
	}
	if d.Names == nil {
		return refuse("fills are not taken here")
	}
	f, err := ReadFill(m.Data, d.Names)
	if err != nil {
		return refuse(err.Error())
	}
	all := make(fills, 0, len(f.Keys))
	for i := range f.Keys {
		u := &fillUnit{key: f.Keys[i].Key, visitor: f.Keys[i].Visitor, fill: profile.FieldsFill{Upto: f.Upto}}
		if err := u.fill.State.DecodeFrom(f.Keys[i].Fields); err != nil {
			return refuse("the fields in a fill are damaged")
		}
		all = append(all, u)
	}
	return append(dst, engine.Unit{Value: all})
}

// fills is the unit of a fill.
type fills []*fillUnit

type fillUnit struct {
	key     string
	visitor bool
	fill    profile.FieldsFill
}

// fill sends each part of a fill to the key that it is about.
func (p *Pipeline) fill(c *engine.Ctx, all fills) {
	if p.fields == nil {
		return // they were taken out again
	}
	for _, u := range all {
		if u.visitor {
			p.visitors.Send(c, u.key, &profile.Link{Update: profile.Update{Fill: &u.fill}})
			continue
		}
		p.merger.follow.Send(c, u.key, &profile.Update{Fill: &u.fill})
	}
}

// AddedFields are the fields that next declares and running does not, or declares to mean
// something else, by name.
func AddedFields(running, next *configs.Set) []string {
	var added []string
	for _, name := range slices.Sorted(maps.Keys(next.Shop.Fields)) {
		before, ok := running.Shop.Fields[name]
		if !ok || !reflect.DeepEqual(before, next.Shop.Fields[name]) {
			added = append(added, name)
		}
	}
	return added
}

// Filling says which fields are filled, and from what. All but Progress is required.
type Filling struct {
	Set        *configs.Set // the version that added the fields
	Names      []string     // of the fields
	Upto       uint64       // the message of its activation: the last one that is read
	Pseudonyms *privacy.Pseudonyms
	Source     engine.Source
	Store      *state.Store // kept by who fills until all is published
	Progress   func(seq uint64)
}

// graph is the pipeline that keeps the new fields and what they depend on.
func (f *Filling) graph() (*Pipeline, error) {
	only := *f.Set
	shop := *f.Set.Shop
	shop.Fields = make(map[string]configs.PersonField)
	for _, name := range f.Names {
		shop.Fields[name] = f.Set.Shop.Fields[name]
	}
	only.Shop = &shop
	fields, err := Fields(&only)
	if err != nil {
		return nil, err
	}
	p := Build(Options{
		Filling: true, Pseudonyms: f.Pseudonyms, Fields: fields, Pace: Pace(f.Set),
		Profile: profile.Options{HalfLife: shop.Profile.HalfLife}, VisitorTTL: shop.Profile.VisitorTTL,
		Recommend: recommend.Options{HalfLife: shop.Items.HalfLife},
		Late:      LateOptions{Allowed: shop.Log.AllowedLateness, Aside: shop.Log.Late == "dead-letter"},
	})
	p.fields.Filling = true
	return p, nil
}

// Run reads the log to its end; a run that was ended goes on where it was. It answers the
// pipeline, to be read by Each.
func (f *Filling) Run(ctx context.Context) (*Pipeline, error) {
	p, err := f.graph()
	if err != nil {
		return nil, err
	}
	decoder := NewDecoder(event.Options{})
	muted := func(context.Context, *engine.View, engine.Row) (engine.Result, time.Duration, error) {
		return engine.Removed, 0, nil
	}
	short := &shortLog{Source: f.Source, upto: f.Upto, progress: f.Progress}
	e, err := engine.Open(ctx, engine.Options{
		Source: short, Store: f.Store, Decoder: decoder, Graph: p.Graph, Once: true, LogEnd: short.end,
		Handlers: map[string]engine.Handler{
			EffectDeadLetter: muted, EffectHandover: muted, trigger.EffectMail: muted, EffectWebhook: muted, EffectPublish: muted,
		},
		OutOfOrder: f.Set.Shop.Log.OutOfOrder, ProducerIdle: f.Set.Shop.Log.ProducerIdle, Parallel: 1, Workers: 1,
		Memory: state.NewMemory(64 << 20), // beside the engine that the program is for
	})
	if err != nil {
		return nil, err
	}
	if err := e.Run(ctx); err != nil {
		return nil, err
	}
	return p, ctx.Err()
}

// Each calls publish with the messages of the fill, in order. It makes the same ones each
// time, of a store that a Run was completed on.
func (f *Filling) Each(p *Pipeline, publish func(n int, data []byte) error) (keys int, err error) {
	v := &engine.View{Snapshot: f.Store.Snapshot()}
	defer v.Close()
	out := Fill{Upto: f.Upto}
	n, size := 0, 0
	flush := func() error {
		if len(out.Keys) == 0 {
			return nil
		}
		data, err := out.Append(nil, f.Pseudonyms)
		if err != nil {
			return err
		}
		keys += len(out.Keys)
		out.Keys, size = out.Keys[:0], 0
		n++
		return publish(n, data)
	}
	for _, cell := range []*state.Cell[profile.FieldState, *profile.FieldState]{p.fields.Cell, p.fields.Visitors} {
		var failed error
		err := p.Graph.EachAny(v, cell.Name(), func(key string, value any) bool {
			s, ok := value.(*profile.FieldState)
			if !ok || s.Empty() {
				return true
			}
			raw := s.AppendTo(nil)
			if len(out.Keys) >= fillKeys || size+len(raw) > fillBytes {
				if failed = flush(); failed != nil {
					return false
				}
			}
			size += len(raw)
			out.Keys = append(out.Keys, FillKey{Key: key, Visitor: cell == p.fields.Visitors, Fields: bytes.Clone(raw)})
			return true
		})
		if err = errors.Join(err, failed); err != nil {
			return keys, err
		}
	}
	return keys, flush()
}

// shortLog is a log that ends at a message.
type shortLog struct {
	engine.Source
	upto     uint64
	progress func(seq uint64)
	read     atomic.Uint64 // the last message that was handed on
	over     atomic.Bool   // nothing follows up to upto
}

// Open implements engine.Source.
func (s *shortLog) Open(ctx context.Context, from engine.Position, acceptGap bool) (engine.LogInfo, error) {
	info, err := s.Source.Open(ctx, from, acceptGap)
	s.read.Store(from.Seq)
	info.Last = min(info.Last, s.upto)
	if from.Seq >= s.upto || info.First > s.upto {
		s.over.Store(true)
		info.Last = from.Seq
	}
	return info, err
}

// Next implements engine.Source.
func (s *shortLog) Next(ctx context.Context, buf []engine.Message) (int, error) {
	for !s.over.Load() {
		n, err := s.Source.Next(ctx, buf)
		if err != nil {
			return 0, err
		}
		for i := range n {
			if buf[i].Seq > s.upto {
				n = i
				s.over.Store(true)
				break
			}
		}
		if n == 0 {
			continue
		}
		s.read.Store(buf[n-1].Seq)
		if buf[n-1].Seq == s.upto {
			s.over.Store(true)
		}
		if s.progress != nil {
			s.progress(buf[n-1].Seq)
		}
		return n, nil
	}
	<-ctx.Done()
	return 0, ctx.Err()
}

// end is Options.LogEnd.
func (s *shortLog) end(context.Context) (uint64, error) {
	if s.over.Load() {
		return min(s.read.Load(), s.upto), nil
	}
	return s.upto, nil
}

// isFill tells whether a message is a fill.
func isFill(m *engine.Message) bool { return strings.HasPrefix(m.Subject, FillSubject) }
