package stream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"millrace/engine"
)

// ReaderOptions bounds what a reader fetches ahead and says which gaps are known.
type ReaderOptions struct {
	// PrefetchMessages and PrefetchBytes bound what waits in memory for Next. A
	// single message larger than half of PrefetchBytes is still fetched.
	PrefetchMessages int
	PrefetchBytes    int
	// PullWait is how long one request to the server stays open. Its end is the sign
	// of life on a quiet log.
	PullWait time.Duration
	// Erased tells whether the messages first to last were erased on purpose. Nil
	// means that none were.
	Erased func(first, last uint64) bool
}

func (o ReaderOptions) withDefaults() ReaderOptions {
	o.PrefetchMessages = max(cmp.Or(o.PrefetchMessages, 4096), pullsLive) // some 10 ms of reading at full speed
	o.PrefetchBytes = cmp.Or(o.PrefetchBytes, 16<<20)                     // two messages of the largest size
	o.PullWait = cmp.Or(o.PullWait, 5*time.Second)                        // a dead server is noticed within 7 s
	return o
}

const (
	pullsLive        = 2               // while one is served the next already stands at the server
	pullGrace        = 2 * time.Second // how late the end of a request may be heard
	consumerIdleMax  = 5 * time.Minute // then the server forgets the reader, who makes a new one
	statusReserve    = 64              // room in the channel for the answers that carry no message
	resumeWaitMin    = 100 * time.Millisecond
	resumeWaitMax    = 2 * time.Second
	resumeAskMin     = time.Second
	deleteConsumerIn = time.Second
)

// Reader reads the log in order. It implements engine.Source. The server keeps no
// acknowledgements: the position is the engine's. One goroutine at a time, and it
// starts none: what Next does not ask for is not fetched.
//
// The reader pulls through a consumer that it makes anew, from the next sequence,
// whenever messages were lost on the way, the connection was made again, or the
// server fell silent. A message that is missing in the log itself is another matter:
// Next answers engine.ErrLogTrimmed when it and all before it are gone, and ErrGap
// when it is missing in the middle, unless ReaderOptions.Erased explains the gap or
// Open was told to accept gaps.
type Reader struct {
	log  *Log
	opts ReaderOptions

	open      bool
	acceptGap bool
	created   int64
	next      uint64 // the sequence expected next; 0 takes whatever comes first
	skipped   uint64
	err       error // ends this reading; sticky until Open

	sub      *nats.Subscription
	ch       chan *nats.Msg
	consumer string
	inbox    string
	pullTo   string
	pullReq  []byte
	pullBig  []byte         // lets one message of the largest size through
	oversize bool           // the next message does not fit a common request
	served   int            // messages since the last answer without one
	live     int            // requests that stand at the server
	cseq     uint64         // the consumer's count of what it delivered
	lost     bool           // the consumer must be made anew
	heard    time.Time      // since when nothing came; zero while something does
	link     *chan struct{} // the connection the consumer was made on
	gap      seqRange       // found, not yet judged
	timer    *time.Timer
}

type seqRange struct{ first, last uint64 }

var _ engine.Source = (*Reader)(nil)

// NewReader returns a reader of the log. Open it before use.
func (l *Log) NewReader(o ReaderOptions) *Reader {
	return &Reader{log: l, opts: o.withDefaults()}
}

// Open implements engine.Source. With acceptGap it goes on at the oldest message
// after from.Seq; in a log that was made anew, at its oldest message; and in one that
// was rewound behind from.Seq, at the next message that will come.
func (r *Reader) Open(ctx context.Context, from engine.Position, acceptGap bool) (engine.LogInfo, error) {
	r.stop()
	r.acceptGap, r.err, r.gap, r.skipped = acceptGap, nil, seqRange{}, 0
	s, err := r.log.Info(ctx)
	if err != nil {
		return engine.LogInfo{}, err
	}
	r.created = s.Created
	if r.next, err = r.start(ctx, s.LogInfo, from); err != nil {
		return s.LogInfo, err
	}
	if err := r.subscribe(ctx); err != nil {
		r.stop()
		return s.LogInfo, err
	}
	r.open = true
	return s.LogInfo, nil
}

// start checks a position against the log and says which sequence comes next.
func (r *Reader) start(ctx context.Context, i engine.LogInfo, from engine.Position) (uint64, error) {
	if from == (engine.Position{}) {
		return 0, nil
	}
	err := r.check(ctx, i, from)
	if err == nil {
		return from.Seq + 1, nil
	}
	if !r.acceptGap {
		return 0, err
	}
	switch {
	case errors.Is(err, engine.ErrLogRecreated):
		return 0, nil
	case errors.Is(err, engine.ErrLogRewound):
		return i.Last + 1, nil
	case errors.Is(err, engine.ErrLogTrimmed), errors.Is(err, engine.ErrLogDiffers):
		return max(from.Seq+1, i.First), nil
	default:
		return 0, err
	}
}

func (r *Reader) check(ctx context.Context, i engine.LogInfo, from engine.Position) error {
	switch {
	case from.Stream != "" && from.Stream != i.Stream:
		return fmt.Errorf("%w (position in %s, log %s)", engine.ErrLogRecreated, from.Stream, i.Stream)
	case from.Created != 0 && from.Created != i.Created:
		return fmt.Errorf("%w (log %s of %s, position of %s)", engine.ErrLogRecreated, i.Stream,
			stamp(i.Created), stamp(from.Created))
	case i.Last < from.Seq:
		return fmt.Errorf("%w (log %s ends at %d, position %d)", engine.ErrLogRewound, i.Stream, i.Last, from.Seq)
	case i.First > from.Seq+1:
		return fmt.Errorf("%w (log %s begins at %d, position %d)", engine.ErrLogTrimmed, i.Stream, i.First, from.Seq)
	case from.Seq < i.First || from.Hash == 0:
		return nil // read and then purged: nothing is left to compare with
	}
	m, err := r.log.Get(ctx, from.Seq)
	switch {
	case errors.Is(err, ErrNotFound) && r.erased(from.Seq, from.Seq):
		return nil
	case errors.Is(err, ErrNotFound):
		return fmt.Errorf("%w (message %d of %s is gone)", engine.ErrLogDiffers, from.Seq, i.Stream)
	case err != nil:
		return err
	}
	if h := engine.HashMessage(m.Data); h != from.Hash {
		return fmt.Errorf("%w (message %d of %s has hash %016x, position says %016x)", engine.ErrLogDiffers,
			from.Seq, i.Stream, h, from.Hash)
	}
	return nil
}

func stamp(nanos int64) string { return time.Unix(0, nanos).UTC().Format(time.RFC3339Nano) }

func (r *Reader) erased(first, last uint64) bool {
	return r.opts.Erased != nil && r.opts.Erased(first, last)
}

// Next implements engine.Source. Once it answered another error than ctx.Err() or
// ErrUnavailable, it answers the same until Open.
func (r *Reader) Next(ctx context.Context, buf []engine.Message) (int, error) {
	if !r.open {
		return 0, errors.New("read log: the reader is not open")
	}
	for {
		if err := r.ready(ctx); err != nil {
			return 0, err
		}
		n := 0
		for n < len(buf) && !r.lost && r.gap.last == 0 {
			select {
			case m := <-r.ch:
				if r.take(m, &buf[n]) {
					n++
				}
				continue
			default:
			}
			break
		}
		if n > 0 || len(buf) == 0 {
			r.heard = time.Time{}
			return n, nil
		}
		if r.lost || r.gap.last != 0 {
			continue
		}
		if r.wait(ctx, &buf[0]) {
			return 1, nil
		}
	}
}

// ready makes sure that requests stand at the server and that nothing found before
// forbids going on.
func (r *Reader) ready(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if r.gap.last != 0 && r.err == nil {
		if err := r.judgeGap(ctx); err != nil {
			return err
		}
	}
	if r.err != nil {
		return r.err
	}
	if r.lost || r.link != r.log.link.Load() {
		return r.resume(ctx)
	}
	return r.pull()
}

// wait blocks until one message came, ctx ended, or the server was silent too long.
func (r *Reader) wait(ctx context.Context, m *engine.Message) bool {
	// The silence began when the channel was first found empty, perhaps calls ago.
	if r.heard.IsZero() {
		r.heard = time.Now()
	}
	r.timer.Reset(time.Until(r.heard.Add(r.opts.PullWait + pullGrace)))
	defer r.timer.Stop()
	select {
	case in := <-r.ch:
		r.heard = time.Time{}
		return r.take(in, m)
	case <-ctx.Done():
	case <-*r.link:
	case <-r.log.closed:
		r.lost = true
	case <-r.timer.C:
		r.log.opts.Logger.Warn("the log fell silent: reading again", "stream", r.log.opts.Stream, "next", r.next)
		r.lost = true
	}
	return false
}

// take reads what the server sent: a message, in which case it fills m and answers
// true, or word about a request.
func (r *Reader) take(in *nats.Msg, m *engine.Message) bool {
	a, ok := parseAck(in.Reply)
	if !ok {
		r.status(in)
		return false
	}
	if a.delivered != r.cseq+1 {
		r.lost = true
		return false
	}
	r.cseq++
	r.served++
	if r.next != 0 && a.seq != r.next && !r.leap(a.seq) {
		return false
	}
	r.next = a.seq + 1
	m.Seq, m.Time, m.Subject, m.Data = a.seq, a.nanos/int64(time.Millisecond), in.Subject, in.Data
	return true
}

// leap answers whether reading may go on at seq although others stand before it.
func (r *Reader) leap(seq uint64) bool {
	switch {
	case seq < r.next:
		r.lost = true
		return false
	case r.erased(r.next, seq-1):
		return true
	case r.acceptGap:
		r.skipped += seq - r.next
		r.log.opts.Logger.Warn("messages are missing in the log: going on as told", "stream", r.log.opts.Stream,
			"first", r.next, "last", seq-1)
		return true
	}
	r.gap = seqRange{r.next, seq - 1}
	return false
}

// judgeGap names a gap: the log was trimmed, or it has a hole.
func (r *Reader) judgeGap(ctx context.Context) error {
	s, err := r.log.Info(ctx)
	if err != nil {
		return err
	}
	why := ErrGap
	if s.First > r.gap.first {
		why = engine.ErrLogTrimmed
	}
	r.err = fmt.Errorf("%w (messages %d to %d of %s)", why, r.gap.first, r.gap.last, s.Stream)
	r.unsubscribe()
	return r.err
}

// status reads an answer without a message: a request ended, or the consumer did.
func (r *Reader) status(in *nats.Msg) {
	if len(in.Data) != 0 {
		return // a stranger wrote to our inbox
	}
	switch in.Header.Get("Status") {
	case "100": // a heartbeat; we ask for none
	case "408":
		r.live--
	case "409":
		switch in.Header.Get("Description") {
		case "Batch Completed":
			r.live--
		case "Message Size Exceeds MaxBytes":
			r.live--
			r.oversize = r.served == 0
		default: // consumer deleted, leader changed, server shut down
			r.lost = true
		}
	case "": // not an answer of the server
		return
	default: // 503 no responders, 404: the consumer is not there
		r.lost = true
	}
	r.served = 0
	if !r.lost {
		r.lost = r.pull() != nil
	}
}

// pull tops the requests at the server up.
func (r *Reader) pull() error {
	for ; r.live < pullsLive; r.live++ {
		req := r.pullReq
		if r.oversize {
			req, r.oversize = r.pullBig, false
		}
		if err := r.log.nc.PublishRequest(r.pullTo, r.inbox, req); err != nil {
			r.lost = true
			return nil //nolint:nilerr // the consumer is made anew, which reports what is wrong
		}
	}
	return nil
}

// resume makes the consumer anew from the next sequence, as often as it takes.
func (r *Reader) resume(ctx context.Context) error {
	for wait := resumeWaitMin; ; wait = min(2*wait, resumeWaitMax) {
		r.unsubscribe()
		err := r.reattach(ctx, max(resumeAskMin, 5*wait))
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case r.err != nil:
			return r.err
		case r.log.nc.IsClosed():
			return fmt.Errorf("read log: %w: the connection is closed", ErrUnavailable)
		}
		r.timer.Reset(wait)
		select {
		case <-r.timer.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-r.log.closed:
		}
	}
}

// reattach tries once to check the log and make the consumer. A question that was
// put to a server in its last moments is never answered, so patience grows slowly.
func (r *Reader) reattach(ctx context.Context, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := r.recheck(ctx); err != nil {
		return err
	}
	return r.subscribe(ctx)
}

// recheck compares the log with what was read so far in this reading.
func (r *Reader) recheck(ctx context.Context) error {
	s, err := r.log.Info(ctx)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		r.err = fmt.Errorf("%w (log %s is gone)", engine.ErrLogRecreated, r.log.opts.Stream)
	case err != nil:
		return err
	case s.Created != r.created:
		r.err = fmt.Errorf("%w (log %s of %s, read so far of %s)", engine.ErrLogRecreated, s.Stream,
			stamp(s.Created), stamp(r.created))
	case r.next > 0 && s.Last+1 < r.next:
		r.err = fmt.Errorf("%w (log %s ends at %d, read so far %d)", engine.ErrLogRewound, s.Stream, s.Last, r.next-1)
	}
	return r.err
}

// subscribe makes a consumer that begins at the next sequence, and asks for messages.
func (r *Reader) subscribe(ctx context.Context) error {
	link, inbox := r.log.link.Load(), nats.NewInbox()
	c := jetstream.ConsumerConfig{
		Name:              "reader-" + strings.TrimPrefix(inbox, nats.InboxPrefix),
		Description:       "millrace engine; the position is kept by the engine",
		DeliverPolicy:     jetstream.DeliverAllPolicy,
		AckPolicy:         jetstream.AckNonePolicy,
		InactiveThreshold: consumerIdleMax,
		MemoryStorage:     true,
		Replicas:          1,
		MaxWaiting:        2 * pullsLive,
	}
	if r.next > 0 {
		c.DeliverPolicy, c.OptStartSeq = jetstream.DeliverByStartSequencePolicy, r.next
	}
	r.ch = make(chan *nats.Msg, r.opts.PrefetchMessages+statusReserve)
	r.inbox = inbox
	var err error
	if r.sub, err = r.log.nc.ChanSubscribe(r.inbox, r.ch); err != nil {
		return logError("read log "+r.log.opts.Stream, err)
	}
	if _, err := r.log.js.CreateConsumer(ctx, r.log.opts.Stream, c); err != nil {
		return logError("read log "+r.log.opts.Stream, err)
	}
	r.consumer = c.Name
	r.pullTo = "$JS.API.CONSUMER.MSG.NEXT." + r.log.opts.Stream + "." + c.Name
	r.pullReq = r.request(r.opts.PrefetchMessages/pullsLive, r.opts.PrefetchBytes/pullsLive)
	r.pullBig = r.request(1, 2*int(r.log.nc.MaxPayload()))
	r.cseq, r.live, r.served, r.lost, r.oversize = 0, 0, 0, false, false
	r.link, r.heard = link, time.Time{}
	if r.timer == nil {
		r.timer = time.NewTimer(time.Hour)
		r.timer.Stop()
	}
	return r.pull()
}

func (r *Reader) request(messages, bytes int) []byte {
	b := strconv.AppendInt([]byte(`{"expires":`), int64(r.opts.PullWait), 10)
	b = strconv.AppendInt(append(b, `,"batch":`...), int64(messages), 10)
	b = strconv.AppendInt(append(b, `,"max_bytes":`...), int64(bytes), 10)
	return append(b, '}')
}

// Skipped is how many messages were missing and passed over since Open, because it
// was told to accept gaps.
func (r *Reader) Skipped() uint64 { return r.skipped }

// Close implements engine.Source.
func (r *Reader) Close() error {
	r.stop()
	return nil
}

func (r *Reader) stop() {
	r.open = false
	r.unsubscribe()
}

func (r *Reader) unsubscribe() {
	if r.sub != nil {
		_ = r.sub.Unsubscribe() // a closed connection has no subscriptions left
		r.sub = nil
	}
	if r.consumer != "" && r.log.nc.IsConnected() {
		// The server forgets the consumer by itself after a while; this is politeness.
		ctx, cancel := context.WithTimeout(context.Background(), deleteConsumerIn)
		_ = r.log.js.DeleteConsumer(ctx, r.log.opts.Stream, r.consumer)
		cancel()
	}
	r.consumer, r.ch = "", nil
}
