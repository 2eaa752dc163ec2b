package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
	"unsafe"

	"millrace/state"
)

// A lazy stage is the last one on its way: its operators keep state and send, set and
// decide nothing. So its state need not be written with each epoch: the messages that
// it got are, which are smaller, and its cells' values follow later, each once for
// many messages. After a crash the messages are applied again to the values that had
// not seen them. It is what write-ahead logging with a log sequence number per page
// is to a database (Mohan et al., ARIES, 1992).

// redo says how the messages of a lazy stage are written and read.
type redo[T any] struct {
	number byte
	encode func(b []byte, v T) []byte
}

// replayer is a lazy stage as it gets its messages. One goroutine at a time.
type replayer func(c *Ctx, key, message string) error

// replayers makes a replayer of each lazy stage.
func (g *Graph) replayers() []replayer {
	all := make([]replayer, len(g.lazy))
	for i, of := range g.lazy {
		all[i] = of()
	}
	return all
}

// AddLazyStage adds a stage whose cells are lazy ones. encode and decode write and
// read its messages. What is sent need be valid only until Send returns. decode must be
// safe for concurrent use; see AddLazyStageOf.
func AddLazyStage[T any](g *Graph, name string, encode func(b []byte, v T) []byte, decode func(message string) (T, error)) *Stage[T] {
	return AddLazyStageOf(g, name, encode, func() func(string) (T, error) { return decode })
}

// AddLazyStageOf is AddLazyStage with a decoder for each goroutine that runs the stage.
// A decoder is called for one message at a time, and what it answers may be used again
// for the next one; neither it nor an operator may keep strings of the message, whose
// memory is used again.
func AddLazyStageOf[T any](g *Graph, name string, encode func(b []byte, v T) []byte, decoder func() func(message string) (T, error)) *Stage[T] {
	s := AddStage[T](g, name)
	s.redo = &redo[T]{number: byte(len(g.lazy)), encode: encode} //nolint:gosec // a graph has few stages
	g.lazy = append(g.lazy, func() replayer {
		decode := decoder()
		return func(c *Ctx, key, message string) error {
			v, err := decode(message)
			if err != nil {
				return err
			}
			s.run(c, key, v)
			return nil
		}
	})
	return s
}

// How far lazy cells may trail.
const (
	lazyAge    = 10 * time.Second // a hot value is written so often, and views of it are so old
	lazyIdle   = time.Second      // when nothing came for so long, all of them are written
	lazyAtOnce = 256 << 10        // so much is written as soon as there is nothing else to do
	lazyBytes  = 64 << 20         // of messages in the store: about two seconds of recovery
	lazyValues = 50_000           // dirty values cannot be evicted
	redoPart   = 512 << 10
)

// redoLog is the messages to lazy stages of the epoch that is open, and which epochs'
// messages stand in the store.
type redoLog struct {
	last    uint64             // number of the last message of a closed epoch
	groups  [redoGroups][]byte // of the open epoch, by the hash of their keys
	ends    [redoGroups]uint64 // the newest message of each, counted from the epoch's first
	bytes   int                // in groups
	count   uint64             // messages in groups
	scratch []byte
	kept    []redoEpoch // oldest first
}

// redoGroups are how many groups the messages form: of 20,000 values of 2.5 kB each, those of a group take 800 kB.
const redoGroups = 64

// redoEpoch names the stored messages of an epoch.
type redoEpoch struct {
	epoch uint64
	parts uint16
	bytes int
	at    time.Time // zero after a restart: then it is due
}

func redoKey(epoch uint64, part uint16) []byte {
	b := binary.BigEndian.AppendUint64([]byte{state.SpaceRedo}, epoch)
	return binary.BigEndian.AppendUint16(b, part)
}

// redoStart stands before the messages of a group, in the place of a stage.
const redoStart = 0xff

// add appends a message: stage, how many were sent since the last one of its group, key,
// payload, the latter two with their lengths.
func (l *redoLog) add(stage byte, key string, payload func(b []byte) []byte) {
	l.count++
	group := state.Owner(key) % redoGroups // one of several goroutines has all keys of a group
	b := l.groups[group]
	before := len(b)
	if before == 0 {
		b = append(b, redoStart)
		l.ends[group] = 0
	}
	b = append(b, stage)
	b = binary.AppendUvarint(b, l.count-l.ends[group])
	l.ends[group] = l.count
	b = binary.AppendUvarint(b, uint64(len(key)))
	b = append(b, key...)
	l.scratch = payload(l.scratch[:0])
	b = binary.AppendUvarint(b, uint64(len(l.scratch)))
	b = append(b, l.scratch...)
	l.groups[group] = b
	l.bytes += len(b) - before
}

// end numbers the messages of the open epoch, and answers the number of the first one. They
// stand in the groups until flush.
func (l *redoLog) end() (first uint64) {
	first = l.last + 1
	l.last += l.count
	l.count = 0
	return first
}

// cut appends at most n bytes of the groups, one after the other, from a place on, and
// answers where it stopped.
func (l *redoLog) cut(b []byte, n, group, at int) (_ []byte, g, a int) {
	for ; group < redoGroups; group, at = group+1, 0 {
		part := l.groups[group][at:]
		if len(part) > n {
			return append(b, part[:n]...), group, at + n
		}
		b = append(b, part...)
		n -= len(part)
	}
	return b, group, at
}

// flush writes the open epoch's messages into r, group by group, and removes those of epochs
// that no dirty value needs any more: the oldest that one does is oldest.
func (l *redoLog) flush(r *state.Record, first, oldest uint64) {
	for len(l.kept) > 0 && l.kept[0].epoch < oldest {
		for part := range l.kept[0].parts {
			r.Delete(redoKey(l.kept[0].epoch, part))
		}
		l.kept = l.kept[1:]
	}
	if l.bytes > 0 && oldest <= r.Epoch {
		// The number of the first message stands before the first part only: parts are
		// read one after the other.
		whole := binary.AppendUvarint(nil, first)
		parts := uint16(0)
		for group, at := 0, 0; group < redoGroups && l.bytes > int(parts)*redoPart; parts++ {
			r.Room(redoPart + 100) // with its key and the number
			r.PutFunc(redoKey(r.Epoch, parts), func(b []byte) []byte {
				b, group, at = l.cut(append(b, whole...), redoPart, group, at)
				return b
			})
			whole = nil
		}
		l.kept = append(l.kept, redoEpoch{r.Epoch, parts, l.bytes, time.Now()})
	}
	for i := range l.groups {
		l.groups[i] = l.groups[i][:0]
	}
	l.bytes = 0
}

var errRedo = errors.New("the messages of a lazy stage are damaged")

// recover applies the messages that stand in the store to the values that have not
// seen them.
func (e *Engine) recover() error {
	var epoch uint64
	var blob []byte
	apply := func() error {
		if len(blob) == 0 {
			return nil
		}
		if err := e.replay(epoch, blob); err != nil {
			return fmt.Errorf("recover epoch %d: %w", epoch, err)
		}
		blob = blob[:0]
		return nil
	}
	var failed error
	err := e.read.Scan([]byte{state.SpaceRedo}, nil, func(key, value []byte) bool {
		if len(key) != 11 {
			failed = errRedo
			return false
		}
		if of := binary.BigEndian.Uint64(key[1:]); of != epoch {
			if failed = apply(); failed != nil {
				return false
			}
			epoch = of
			e.redo.kept = append(e.redo.kept, redoEpoch{epoch: of})
		}
		last := &e.redo.kept[len(e.redo.kept)-1]
		last.parts++
		last.bytes += len(value)
		blob = append(blob, value...)
		return true
	})
	if failed == nil && err == nil {
		failed = apply()
	}
	return errors.Join(failed, err)
}

// replay applies the messages of one epoch that stand in the store.
func (e *Engine) replay(epoch uint64, blob []byte) error {
	c := Ctx{engine: e, op: e.graph.operators[0], replay: epoch}
	n, size := binary.Uvarint(blob)
	if size <= 0 {
		return errRedo
	}
	return e.deliver(&c, e.replayers(), n, string(blob[size:]))
}

// applyLazy applies the messages of the open epoch to the values of lazy cells, and
// answers the number of the first one.
func (e *Engine) applyLazy() (first uint64, err error) {
	first = e.redo.end()
	if e.crew != nil {
		return first, e.crew.applyLazy(first)
	}
	c := Ctx{engine: e, op: e.graph.operators[0]}
	for i := range e.redo.groups {
		if err := e.deliver(&c, e.replayers(), first, text(e.redo.groups[i])); err != nil {
			return first, err
		}
	}
	return first, nil
}

// text is b as a string, good until b is changed.
func text(b []byte) string {
	return unsafe.String(unsafe.SliceData(b), len(b)) //nolint:gosec // see AddLazyStageOf: nobody keeps it
}

// replayers are those of the engine's loop.
func (e *Engine) replayers() []replayer {
	if e.lazy == nil {
		e.lazy = e.graph.replayers()
	}
	return e.lazy
}

// deliver hands messages to their stages; first is the number that the epoch began with.
func (e *Engine) deliver(c *Ctx, to []replayer, first uint64, rest string) error {
	c.message = first - 1
	for len(rest) > 0 {
		if rest[0] == redoStart {
			c.message, rest = first-1, rest[1:]
			continue
		}
		stage := int(rest[0])
		step, rest2, ok1 := cutUvarint(rest[1:])
		key, rest2, ok2 := cutText(rest2)
		message, rest2, ok3 := cutText(rest2)
		if !ok1 || !ok2 || !ok3 || stage >= len(to) {
			return errRedo
		}
		c.message += step
		if err := to[stage](c, key, message); err != nil {
			return err
		}
		if c.err != nil {
			return c.err
		}
		rest = rest2
	}
	return nil
}

// cutUvarint cuts a number off s.
func cutUvarint(s string) (n uint64, rest string, ok bool) {
	for i := 0; i < len(s) && i < binary.MaxVarintLen64; i++ {
		n |= uint64(s[i]&0x7f) << (7 * i)
		if s[i] < 0x80 {
			return n, s[i+1:], true
		}
	}
	return 0, "", false
}

// cutText cuts a text with its length before it off s.
func cutText(s string) (text, rest string, ok bool) {
	n, rest, ok := cutUvarint(s)
	if !ok || n > uint64(len(rest)) {
		return "", "", false
	}
	return rest[:n], rest[n:], true
}

// overdue is the newest epoch whose messages stood in the store for long enough.
func (l *redoLog) overdue() uint64 {
	bytes := 0
	for _, k := range slices.Backward(l.kept) {
		if bytes += k.bytes; bytes > lazyBytes || time.Since(k.at) > lazyAge {
			return k.epoch
		}
	}
	return 0
}

// flushLazy writes what lazy cells owe into r: what is overdue, and when there are too
// many dirty values, or nothing else to do, a slice of the oldest. It answers the
// oldest epoch whose messages are still needed.
func (e *Engine) flushLazy(r *state.Record, everything bool) uint64 {
	oldest := r.Epoch + 1
	most := r.Bytes() + e.limitB*2/10 // the open epoch itself takes at most seven tenths
	for _, c := range e.graph.cells {
		if !c.Lazy() {
			continue
		}
		until := e.redo.overdue()
		if n, _ := c.Dirty(); everything || n > lazyValues {
			until = r.Epoch
		}
		c.Flush(r, until, most-r.Bytes())
		if epoch, dirty := c.Oldest(); dirty {
			oldest = min(oldest, epoch)
		}
	}
	return oldest
}

// behind tells whether lazy cells have values to write.
func (e *Engine) behind() bool {
	for _, c := range e.graph.cells {
		if c.Lazy() {
			if _, dirty := c.Oldest(); dirty {
				return true
			}
		}
	}
	return false
}
