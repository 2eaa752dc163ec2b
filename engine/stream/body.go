package stream

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
)

// Why a body was not taken.
var (
	errTooLarge = errors.New("the body is too large")
	errBusy     = errors.New("too much is being read already")
	errEncoding = errors.New("the content encoding is not supported")
	errSlow     = errors.New("the body did not arrive in time or was cut off")
)

// readChunk is how much room a body is given at first; most are smaller.
const readChunk = 16 << 10

// bodies reads request bodies into memory of which all together hold at most a
// budget. It is safe for concurrent use.
type bodies struct {
	bodyMax int64 // of one, on the wire and decompressed
	budget  int64 // of all
	held    atomic.Int64
	buffers sync.Pool // *bytes.Buffer of at most keepMax
	gzips   sync.Pool // *gzip.Reader
}

// keepMax is the largest buffer that is kept for the next request.
const keepMax = 1 << 20

// body is the content of one request. It is released by the second of its two
// holders, the handler and the packer.
type body struct {
	from  *bodies
	buf   *bytes.Buffer
	held  int64
	users atomic.Int32
}

// read takes in the body of r. The answer must be released, even with an error.
func (bs *bodies) read(w http.ResponseWriter, r *http.Request) (*body, error) {
	b := &body{from: bs}
	b.users.Store(1)
	if r.ContentLength > bs.bodyMax {
		return b, errTooLarge
	}
	buf, ok := bs.buffers.Get().(*bytes.Buffer)
	if !ok {
		buf = new(bytes.Buffer)
	}
	b.buf = buf
	in := io.Reader(http.MaxBytesReader(w, r.Body, bs.bodyMax))
	switch strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding"))) {
	case "", "identity":
		return b, b.fill(in, max(min(r.ContentLength, bs.bodyMax)+1, readChunk))
	case "gzip", "x-gzip":
	default:
		return b, errEncoding
	}
	z, ok := bs.gzips.Get().(*gzip.Reader)
	if !ok {
		z = new(gzip.Reader)
	}
	defer bs.gzips.Put(z)
	if err := z.Reset(in); err != nil {
		return b, readError(err)
	}
	return b, b.fill(z, readChunk)
}

// fill reads to the end, asking the budget for every byte of room before it takes it.
func (b *body) fill(in io.Reader, room int64) error {
	for {
		if err := b.hold(int64(b.buf.Len()) + room); err != nil {
			return err
		}
		b.buf.Grow(int(room))
		free := b.buf.AvailableBuffer()
		n, err := readFull(in, free[:room])
		b.buf.Write(free[:n])
		switch {
		case int64(b.buf.Len()) > b.from.bodyMax:
			return errTooLarge
		case err == io.EOF: //nolint:errorlint // readFull answers it bare
			return nil
		case err != nil:
			return readError(err)
		}
		room = min(int64(b.buf.Len()), b.from.bodyMax+1-int64(b.buf.Len())) // doubles
	}
}

// readFull fills p unless the input ends before.
func readFull(in io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var k int
		k, err = in.Read(p[n:])
		n += k
	}
	return n, err
}

func readError(err error) error {
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return errTooLarge
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, io.EOF), isCorrupt(err):
		return errJSON
	default:
		return errSlow
	}
}

func isCorrupt(err error) bool {
	var c flate.CorruptInputError
	return errors.As(err, &c)
}

func (b *body) hold(bytes int64) error {
	if bytes <= b.held {
		return nil
	}
	if b.from.held.Add(bytes-b.held) > b.from.budget {
		b.from.held.Add(b.held - bytes)
		return errBusy
	}
	b.held = bytes
	return nil
}

func (b *body) bytes() []byte { return b.buf.Bytes() }

// share counts one more holder.
func (b *body) share() { b.users.Add(1) }

// release gives the memory back when the last holder lets go.
func (b *body) release() {
	if b.users.Add(-1) != 0 {
		return
	}
	b.from.held.Add(-b.held)
	if b.buf != nil && b.buf.Cap() <= keepMax {
		b.buf.Reset()
		b.from.buffers.Put(b.buf)
	}
}
