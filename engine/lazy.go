package engine

import (
	"encoding/binary"
	"errors"
	"fmt"

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

// replayer is a lazy stage as recovery sees it.
type replayer func(c *Ctx, key string, message []byte) error

// AddLazyStage adds a stage whose cells are lazy ones. encode and decode write and
// read its messages; decode must not keep b.
func AddLazyStage[T any](g *Graph, name string, encode func(b []byte, v T) []byte, decode func(b []byte) (T, error)) *Stage[T] {
	s := AddStage[T](g, name)
	s.redo = &redo[T]{number: byte(len(g.lazy)), encode: encode} //nolint:gosec // a graph has few stages
	g.lazy = append(g.lazy, func(c *Ctx, key string, message []byte) error {
		v, err := decode(message)
		if err != nil {
			return err
		}
		s.run(c, key, v)
		return nil
	})
	return s
}

// How far lazy cells may trail.
const (
	lazyEpochs = 64     // about a second of recovery under full load
	lazyValues = 50_000 // dirty values cannot be evicted
	redoPart   = 512 << 10
)

// redoLog is the messages to lazy stages of the epoch that is open, and which epochs'
// messages stand in the store.
type redoLog struct {
	last    uint64 // number of the last message ever sent to a lazy stage
	first   uint64 // number of the first message in buf
	buf     []byte
	scratch []byte
	kept    []redoEpoch // oldest first
}

// redoEpoch names the stored messages of an epoch.
type redoEpoch struct {
	epoch uint64
	parts uint16
}

func redoKey(epoch uint64, part uint16) []byte {
	b := binary.BigEndian.AppendUint64([]byte{state.SpaceRedo}, epoch)
	return binary.BigEndian.AppendUint16(b, part)
}

// add appends a message: stage, key, payload, the latter two with their lengths.
func (l *redoLog) add(stage byte, key string, payload func(b []byte) []byte) {
	l.last++
	if len(l.buf) == 0 {
		l.first = l.last
	}
	l.buf = append(l.buf, stage)
	l.buf = binary.AppendUvarint(l.buf, uint64(len(key)))
	l.buf = append(l.buf, key...)
	l.scratch = payload(l.scratch[:0])
	l.buf = binary.AppendUvarint(l.buf, uint64(len(l.scratch)))
	l.buf = append(l.buf, l.scratch...)
}

// flush writes the open epoch's messages into r, and removes those of epochs that no
// dirty value needs any more: the oldest that one does is oldest.
func (l *redoLog) flush(r *state.Record, oldest uint64) {
	for len(l.kept) > 0 && l.kept[0].epoch < oldest {
		for part := range l.kept[0].parts {
			r.Delete(redoKey(l.kept[0].epoch, part))
		}
		l.kept = l.kept[1:]
	}
	if len(l.buf) == 0 || oldest > r.Epoch {
		l.buf = l.buf[:0]
		return
	}
	// The number of the first message stands before the first part only: parts are
	// read one after the other.
	whole := binary.AppendUvarint(nil, l.first)
	parts := uint16(0)
	for rest := l.buf; ; {
		n := min(len(rest), redoPart)
		chunk := rest[:n]
		rest = rest[n:]
		r.PutFunc(redoKey(r.Epoch, parts), func(b []byte) []byte { return append(append(b, whole...), chunk...) })
		whole = nil
		parts++
		if len(rest) == 0 {
			break
		}
	}
	l.kept = append(l.kept, redoEpoch{r.Epoch, parts})
	l.buf = l.buf[:0]
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
		e.redo.kept[len(e.redo.kept)-1].parts++
		blob = append(blob, value...)
		return true
	})
	if failed == nil && err == nil {
		failed = apply()
	}
	return errors.Join(failed, err)
}

// replay applies the messages of one epoch.
func (e *Engine) replay(epoch uint64, blob []byte) error {
	c := Ctx{engine: e, op: e.graph.operators[0], replay: epoch}
	n, size := binary.Uvarint(blob)
	if size <= 0 {
		return errRedo
	}
	blob = blob[size:]
	for c.message = n; len(blob) > 0; c.message++ {
		stage := int(blob[0])
		keyLen, size := binary.Uvarint(blob[1:])
		if size <= 0 || keyLen > uint64(len(blob)-1-size) || stage >= len(e.graph.lazy) {
			return errRedo
		}
		blob = blob[1+size:]
		key := string(blob[:keyLen])
		blob = blob[keyLen:]
		length, size := binary.Uvarint(blob)
		if size <= 0 || length > uint64(len(blob)-size) {
			return errRedo
		}
		blob = blob[size:]
		if err := e.graph.lazy[stage](&c, key, blob[:length]); err != nil {
			return err
		}
		if c.err != nil {
			return c.err
		}
		blob = blob[length:]
	}
	return nil
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
		until := uint64(0)
		if r.Epoch > lazyEpochs {
			until = r.Epoch - lazyEpochs
		}
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
