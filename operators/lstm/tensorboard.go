package lstm

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"strings"
	"time"
)

// This file writes and reads learning curves as TensorBoard keeps them: a TFRecord file
// (https://www.tensorflow.org/tutorials/load_data/tfrecord) of Event messages, of which
// only the fields of a scalar are used. Both formats are plain enough to be written by
// hand:
//
//	record  = length (8) | masked CRC of it (4) | message | masked CRC of it (4)
//	Event   = 1: wall_time (double) | 2: step (varint) | 3: file_version | 5: Summary
//	Summary = 1: Value;  Value = 1: tag | 2: simple_value (float)

// Limits of an event file, for reading.
const (
	eventBytesMax = 1 << 20 // an event of ours has less than 100; one with a picture is refused
	eventsMax     = 1 << 20
	tagBytesMax   = 128
)

// Point is one value of a learning curve.
type Point struct {
	Step  int64
	Tag   string
	Value float32
	At    time.Time // zero for the point of no time
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// masked is the checksum of TFRecord: CRC-32C, turned and shifted, so that the checksum of
// data that holds checksums stays a good one.
func masked(b []byte) uint32 {
	c := crc32.Checksum(b, castagnoli)
	return (c>>15 | c<<17) + 0xa282ead8
}

// CurveWriter writes points to an event file. It belongs to one goroutine at a time.
type CurveWriter struct {
	w    io.Writer
	buf  []byte
	body []byte
}

// NewCurveWriter begins an event file. TensorBoard finds it when its name holds
// "tfevents".
func NewCurveWriter(w io.Writer, at time.Time) (*CurveWriter, error) {
	c := &CurveWriter{w: w}
	c.body = appendWall(c.body[:0], at)
	c.body = appendText(c.body, 3, "brain.Event:2")
	return c, c.record()
}

// Write writes a point.
func (c *CurveWriter) Write(p Point) error {
	if p.Tag == "" || len(p.Tag) > tagBytesMax {
		return fmt.Errorf("lstm: tag of %d bytes, want 1 to %d", len(p.Tag), tagBytesMax)
	}
	value := appendText(nil, 1, p.Tag)
	value = append(value, 2<<3|5)
	value = binary.LittleEndian.AppendUint32(value, math.Float32bits(p.Value))
	summary := appendText(nil, 1, string(value))
	c.body = appendWall(c.body[:0], p.At)
	c.body = append(c.body, 2<<3)
	c.body = binary.AppendUvarint(c.body, uint64(p.Step))
	c.body = appendText(c.body, 5, string(summary))
	return c.record()
}

// record writes body as a record, whole or not at all as far as the writer allows.
func (c *CurveWriter) record() error {
	c.buf = binary.LittleEndian.AppendUint64(c.buf[:0], uint64(len(c.body)))
	c.buf = binary.LittleEndian.AppendUint32(c.buf, masked(c.buf))
	c.buf = append(c.buf, c.body...)
	c.buf = binary.LittleEndian.AppendUint32(c.buf, masked(c.body))
	if _, err := c.w.Write(c.buf); err != nil {
		return fmt.Errorf("lstm: write event: %w", err)
	}
	return nil
}

func appendWall(b []byte, at time.Time) []byte {
	if at.IsZero() {
		return b
	}
	b = append(b, 1<<3|1)
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(float64(at.UnixMicro())/1e6))
}

func appendText(b []byte, field byte, text string) []byte {
	b = append(b, field<<3|2)
	b = binary.AppendUvarint(b, uint64(len(text)))
	return append(b, text...)
}

// ReadCurves reads the points of an event file, also one by another program: what is no
// scalar is passed over. A file that ends within a record, as one does that is still
// being written, gives the points before it.
func ReadCurves(r io.Reader) ([]Point, error) {
	in := bufio.NewReader(r)
	var out []Point
	for n := 0; ; n++ {
		body, err := readRecord(in)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("lstm: event %d: %w", n, err)
		}
		if n == eventsMax {
			return nil, fmt.Errorf("lstm: more than %d events", eventsMax)
		}
		if out, err = appendPoints(out, body); err != nil {
			return nil, fmt.Errorf("lstm: event %d: %w", n, err)
		}
	}
}

func readRecord(in io.Reader) ([]byte, error) {
	var head [12]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint64(head[:])
	if masked(head[:8]) != binary.LittleEndian.Uint32(head[8:]) {
		return nil, errors.New("checksum of the length does not fit")
	}
	if n > eventBytesMax {
		return nil, fmt.Errorf("%d bytes, at most %d", n, eventBytesMax)
	}
	body := make([]byte, n+4)
	if _, err := io.ReadFull(in, body); err != nil {
		return nil, err
	}
	if masked(body[:n]) != binary.LittleEndian.Uint32(body[n:]) {
		return nil, errors.New("checksum of the message does not fit")
	}
	return body[:n], nil
}

// appendPoints reads the scalars of an Event.
func appendPoints(out []Point, event []byte) ([]Point, error) {
	p := Point{}
	var values [][]byte
	err := fields(event, func(field int, number uint64, text []byte) error {
		switch field {
		case 1:
			if wall := math.Float64frombits(number); wall > 0 && wall < 1e11 {
				p.At = time.UnixMicro(int64(wall * 1e6)).UTC()
			}
		case 2:
			p.Step = int64(number)
		case 5:
			return fields(text, func(field int, _ uint64, text []byte) error {
				if field == 1 {
					values = append(values, text)
				}
				return nil
			})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, v := range values {
		q, scalar := p, false
		err := fields(v, func(field int, number uint64, text []byte) error {
			switch field {
			case 1:
				q.Tag = strings.ToValidUTF8(string(text[:min(len(text), tagBytesMax)]), "")
			case 2:
				q.Value, scalar = math.Float32frombits(uint32(number)), text == nil
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if scalar && q.Tag != "" {
			out = append(out, q)
		}
	}
	return out, nil
}

// fields calls f for every field of a protobuf message: with its number, or with its
// bytes, which are then not nil.
func fields(b []byte, f func(field int, number uint64, text []byte) error) error {
	broken := errors.New("message is cut off")
	for len(b) > 0 {
		key, n := binary.Uvarint(b)
		if n <= 0 {
			return broken
		}
		b = b[n:]
		var number uint64
		var text []byte
		size := 0
		switch key & 7 {
		case 0:
			if number, size = binary.Uvarint(b); size <= 0 {
				return broken
			}
		case 1:
			size = 8
		case 2:
			long, n := binary.Uvarint(b)
			if n <= 0 || long > uint64(len(b)-n) {
				return broken
			}
			text, size = b[n:n+int(long):n+int(long)], n+int(long)
		case 5:
			size = 4
		default:
			return fmt.Errorf("unknown wire type %d", key&7)
		}
		if size > len(b) {
			return broken
		}
		switch key & 7 {
		case 1:
			number = binary.LittleEndian.Uint64(b)
		case 5:
			number = uint64(binary.LittleEndian.Uint32(b))
		}
		b = b[size:]
		if err := f(int(key>>3&0xffff), number, text); err != nil {
			return err
		}
	}
	return nil
}
