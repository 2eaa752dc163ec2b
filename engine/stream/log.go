package stream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"millrace/engine"
)

// Options says which log to open and how it is kept. Server or URL is required.
type Options struct {
	// Server is the embedded server; when nil, URL is that of an existing one.
	Server *Server
	URL    string
	// Stream is the stream's name, Subjects what it takes.
	Stream   string
	Subjects []string
	// MaxBytes and MaxAge limit what the log keeps; zero is no limit. A log at
	// MaxBytes refuses new messages, one beyond MaxAge loses the oldest.
	MaxBytes int64
	MaxAge   time.Duration
	// DeadStream holds the dead letters, limited by DeadMaxBytes and DeadMaxAge.
	DeadStream   string
	DeadMaxBytes int64
	DeadMaxAge   time.Duration
	// Replicas is how many servers of a cluster keep each message.
	Replicas int
	// KeepLimits leaves a stream that exists as it is, for those who only look at it.
	KeepLimits bool
	// AckWait is how long a publish waits for JetStream.
	AckWait time.Duration
	// WindowMessages and WindowBytes bound what PublishAsync has on its way.
	WindowMessages int
	WindowBytes    int
	// Logger receives what the connection has to say; nil silences it.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	o.Stream = cmp.Or(o.Stream, "EVENTS")
	if len(o.Subjects) == 0 {
		o.Subjects = []string{"in.>"}
	}
	o.DeadStream = cmp.Or(o.DeadStream, "DEADLETTERS")
	o.DeadMaxBytes = cmp.Or(o.DeadMaxBytes, 256<<20)     // 4,000 letters of the largest size
	o.DeadMaxAge = cmp.Or(o.DeadMaxAge, 30*24*time.Hour) // long enough to come back from a holiday
	o.Replicas = cmp.Or(o.Replicas, 1)                   // the embedded server stands alone
	o.AckWait = cmp.Or(o.AckWait, 5*time.Second)         // the gateway must answer within 5 s
	o.WindowMessages = cmp.Or(o.WindowMessages, 1024)    // beyond this more in flight brings nothing
	o.WindowBytes = cmp.Or(o.WindowBytes, 32<<20)        // 64 packed messages
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// dedupWindow is how long the stream remembers message ids. It guards against a
// publisher's own repeats; the engine's own keys do the rest.
const dedupWindow = 2 * time.Minute

// Log is the log and its dead letters. It is safe for concurrent use, except where
// a method says otherwise.
type Log struct {
	opts Options
	nc   *nats.Conn
	js   jetstream.JetStream // publishing one at a time, asking
	bulk jetstream.JetStream // PublishAsync
	str  jetstream.Stream
	dead jetstream.Stream
	out  string // name of the stream of what is published for others; see OpenOut

	window window

	fillMu sync.Mutex // held by the one who asks the server for the fill
	fill   fillGauge

	link   atomic.Pointer[chan struct{}] // closed and replaced when the connection is made again
	closed chan struct{}                 // closed with the connection
}

// State is how the log stands.
type State struct {
	engine.LogInfo
	Messages uint64
	Bytes    uint64 // on disk, as JetStream counts it
	MaxBytes int64  // 0 when there is no limit
}

// Open connects, creates the log's stream and that of the dead letters where they
// are missing, and brings their limits up to date.
func Open(ctx context.Context, o Options) (*Log, error) {
	o = o.withDefaults()
	l := &Log{opts: o, closed: make(chan struct{})}
	l.relink()
	nc, err := l.connect()
	if err != nil {
		return nil, fmt.Errorf("open log %s: %w: %w", o.Stream, ErrUnavailable, err)
	}
	l.nc = nc
	if err := l.prepare(ctx); err != nil {
		nc.Close()
		return nil, err
	}
	return l, nil
}

func (l *Log) connect() (*nats.Conn, error) {
	opts := []nats.Option{
		nats.Name("millrace"),
		nats.MaxReconnects(-1), // the engine waits for its log as long as it takes
		nats.ReconnectWait(250 * time.Millisecond),
		nats.ReconnectBufSize(-1), // a publish while disconnected fails at once: it is not stored
		nats.ClosedHandler(func(*nats.Conn) { close(l.closed) }),
		nats.ReconnectHandler(func(*nats.Conn) { l.relink() }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				l.opts.Logger.Warn("lost the connection to the log", "error", err)
			}
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			l.opts.Logger.Warn("the log's connection reports an error", "error", err)
		}),
	}
	switch {
	case l.opts.Server != nil:
		return l.opts.Server.connect(opts)
	case l.opts.URL != "":
		return nats.Connect(l.opts.URL, opts...)
	default:
		return nil, errors.New("neither a server nor a URL is given")
	}
}

// relink tells the readers that the connection was made again: what they asked for
// is forgotten.
func (l *Log) relink() {
	link := make(chan struct{})
	if old := l.link.Swap(&link); old != nil {
		close(*old)
	}
}

func (l *Log) prepare(ctx context.Context) error {
	o := l.opts
	var err error
	if l.js, err = jetstream.New(l.nc, jetstream.WithDefaultTimeout(o.AckWait)); err != nil {
		return fmt.Errorf("open log %s: %w", o.Stream, err)
	}
	l.bulk, err = jetstream.New(l.nc, jetstream.WithDefaultTimeout(o.AckWait),
		jetstream.WithPublishAsyncMaxPending(o.WindowMessages),
		jetstream.WithPublishAsyncTimeout(2*o.AckWait))
	if err != nil {
		return fmt.Errorf("open log %s: %w", o.Stream, err)
	}
	if l.str, err = l.keep(ctx, jetstream.StreamConfig{
		Name: o.Stream, Subjects: o.Subjects, MaxBytes: o.MaxBytes, MaxAge: o.MaxAge,
		Discard: jetstream.DiscardNew, Duplicates: capAge(dedupWindow, o.MaxAge),
	}); err != nil {
		return err
	}
	// A full dead letter stream must not stop the pipeline, so it gives up its oldest
	// letter; the event itself still stands in the log.
	if l.dead, err = l.keep(ctx, jetstream.StreamConfig{
		Name: o.DeadStream, Subjects: []string{deadPrefix + ">"}, MaxBytes: o.DeadMaxBytes, MaxAge: o.DeadMaxAge,
		Discard: jetstream.DiscardOld, Duplicates: capAge(time.Hour, o.DeadMaxAge),
	}); err != nil {
		return err
	}
	_, err = l.Info(ctx)
	return err
}

// keep creates the stream, or brings an existing one to the configuration.
func (l *Log) keep(ctx context.Context, c jetstream.StreamConfig) (jetstream.Stream, error) {
	c.Storage = jetstream.FileStorage
	c.Retention = jetstream.LimitsPolicy
	c.AllowDirect = true
	c.Replicas = l.opts.Replicas
	if c.MaxBytes == 0 {
		c.MaxBytes = -1
	}
	if l.opts.KeepLimits {
		if s, err := l.js.Stream(ctx, c.Name); err == nil {
			return s, nil
		}
	}
	s, err := l.js.CreateOrUpdateStream(ctx, c)
	if err != nil {
		return nil, logError("open log "+c.Name, err)
	}
	return s, nil
}

func capAge(window, age time.Duration) time.Duration {
	if age > 0 && age < window {
		return age
	}
	return window
}

// Publish appends one message and returns its sequence. It returns without error
// only when JetStream has stored the message. A message with an id that the log saw
// in the last two minutes is not stored again, and the first one's sequence is
// returned; an empty id switches that off.
func (l *Log) Publish(ctx context.Context, subject, msgID string, data []byte) (uint64, error) {
	m := &nats.Msg{Subject: subject, Data: data}
	return l.publish(ctx, l.opts.Stream, m, msgID)
}

func (l *Log) publish(ctx context.Context, stream string, m *nats.Msg, msgID string) (uint64, error) {
	var opts []jetstream.PublishOpt
	if msgID != "" {
		opts = append(opts, jetstream.WithMsgID(msgID))
	}
	ack, err := l.js.PublishMsg(ctx, m, opts...)
	if err != nil {
		return 0, logError("publish to "+stream, err)
	}
	if err := l.took(ack, stream); err != nil {
		return 0, err
	}
	if stream == l.opts.Stream {
		l.fill.add(len(m.Data))
	}
	return ack.Sequence, nil
}

// took checks that the acknowledgement is of the stream meant: with a server that is
// not ours another stream may take the subject. Asking the server to check would put
// a header on every message, which cost the reader a sixth of its CPU time.
func (l *Log) took(ack *jetstream.PubAck, stream string) error {
	if ack.Stream != stream {
		return fmt.Errorf("publish to %s: %w: stream %s took the message", stream, ErrUnavailable, ack.Stream)
	}
	return nil
}

// Info asks the server how the log stands.
func (l *Log) Info(ctx context.Context) (State, error) {
	before := l.fill.added.Load()
	i, err := l.str.Info(ctx)
	if err != nil {
		return State{}, logError("ask about log "+l.opts.Stream, err)
	}
	s := State{
		LogInfo: engine.LogInfo{
			Stream: i.Config.Name, Created: i.Created.UnixNano(), First: i.State.FirstSeq, Last: i.State.LastSeq,
		},
		Messages: i.State.Msgs, Bytes: i.State.Bytes, MaxBytes: max(i.Config.MaxBytes, 0),
	}
	l.fill.set(s.Bytes, s.MaxBytes, before)
	return s, nil
}

// Get returns the message at a sequence, or ErrNotFound.
func (l *Log) Get(ctx context.Context, seq uint64) (engine.Message, error) {
	m, err := l.str.GetMsg(ctx, seq)
	if err != nil {
		return engine.Message{}, logError(fmt.Sprintf("get message %d of %s", seq, l.opts.Stream), err)
	}
	return engine.Message{Seq: m.Sequence, Time: m.Time.UnixMilli(), Subject: m.Subject, Data: m.Data}, nil
}

// Purge deletes all messages before seq.
func (l *Log) Purge(ctx context.Context, seq uint64) error {
	if seq <= 1 {
		return nil
	}
	if err := l.str.Purge(ctx, jetstream.WithPurgeSequence(seq)); err != nil {
		return logError("purge log "+l.opts.Stream, err)
	}
	l.fill.forget()
	return nil
}

// Erase overwrites and deletes one message, leaving a gap that the reader reports
// unless ReaderOptions.Erased explains it.
func (l *Log) Erase(ctx context.Context, seq uint64) error {
	return erase(ctx, l.str, fmt.Sprintf("erase message %d of %s", seq, l.opts.Stream), seq)
}

// erase overwrites and deletes one message of s.
func erase(ctx context.Context, s jetstream.Stream, what string, seq uint64) error {
	err := s.SecureDeleteMsg(ctx, seq)
	if errors.Is(err, jetstream.ErrMsgDeleteUnsuccessful) {
		// The client drops the code that would say why, so ask.
		if _, gone := s.GetMsg(ctx, seq); errors.Is(gone, jetstream.ErrMsgNotFound) {
			err = gone
		}
	}
	if err != nil {
		return logError(what, err)
	}
	return nil
}

// Close ends the connection. Readers and gateways of this log must be closed before.
func (l *Log) Close() error {
	l.nc.Close()
	return nil
}
