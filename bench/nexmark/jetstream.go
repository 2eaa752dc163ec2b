package nexmark

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
	"time"

	"millrace/engine"
	"millrace/engine/stream"
	"millrace/state"
)

// ErrAnswer says that a query's answer is not that of the naive computation.
var ErrAnswer = errors.New("the answer is wrong")

// BenchOptions say how the queries are measured. Dir, an empty directory, is required.
type BenchOptions struct {
	Dir      string
	Workload Workload
	Queries  []string // all of them if empty
	// Process leaves out the syncs: a crash of the program is survived, no power failure.
	Process bool
	// Workers is how many goroutines run the graph; 0 means one.
	Workers int
	// Tune, unless nil, changes the options of each engine.
	Tune func(*engine.Options)
	// Progress, unless nil, is told what is under way, and how much of it is done.
	Progress func(phase string, done, total int)
}

// QueryResult is what one query cost. CPU is user and system time of the whole process,
// the embedded server included.
type QueryResult struct {
	Query         string  `json:"query"`
	Rows          uint64  `json:"rows"`
	CPU           float64 `json:"cpu_s_per_million"`
	PerSecond     float64 `json:"events_per_second"`
	PerCoreSecond float64 `json:"events_per_core_second"`
	Commits       uint64  `json:"commits"`
	RSS           float64 `json:"rss_mb"` // greatest so far
}

// BenchResult is what reading and each query cost.
type BenchResult struct {
	Events        int64         `json:"events"`
	Pack          int           `json:"events_per_message"`
	Workers       int           `json:"workers"`
	BytesPerEvent float64       `json:"bytes_per_event"`
	Durability    string        `json:"durability"`
	ReadCPU       float64       `json:"read_cpu_s_per_million"` // reading and decoding alone
	Queries       []QueryResult `json:"queries"`
}

// Bench fills a log in JetStream and runs the queries over it, each with the whole
// engine and a state on disk of its own, and compares every answer with Naive's.
func Bench(ctx context.Context, o BenchOptions) (BenchResult, error) {
	o.Workload = o.Workload.withDefaults()
	if len(o.Queries) == 0 {
		o.Queries = Queries()
	}
	if o.Progress == nil {
		o.Progress = func(string, int, int) {}
	}
	r := BenchResult{Events: o.Workload.Events, Pack: o.Workload.Pack, Workers: max(o.Workers, 1), Durability: "power"}
	if o.Process {
		r.Durability = "process"
	}
	server, err := stream.StartServer(stream.ServerOptions{Dir: filepath.Join(o.Dir, "log")})
	if err != nil {
		return r, err
	}
	defer server.Shutdown()
	log, err := stream.Open(ctx, stream.Options{Server: server})
	if err != nil {
		return r, err
	}
	defer func() { _ = log.Close() }()
	bytes, err := o.publish(ctx, log)
	if err != nil {
		return r, err
	}
	r.BytesPerEvent = float64(bytes) / float64(r.Events)
	before := cpuTime()
	in, err := readAll(ctx, log)
	if err != nil {
		return r, err
	}
	r.ReadCPU = (cpuTime() - before).Seconds() / float64(r.Events) * 1e6
	for i, query := range o.Queries {
		o.Progress("queries", i, len(o.Queries))
		q, err := o.query(ctx, log, query, in)
		if err != nil {
			return r, err
		}
		r.Queries = append(r.Queries, q)
	}
	o.Progress("queries", len(o.Queries), len(o.Queries))
	return r, nil
}

// publish fills the log and answers how many bytes it has. The end is later than now,
// since the windows of q12 are those of the time at which the log received a bid.
func (o *BenchOptions) publish(ctx context.Context, log *stream.Log) (int, error) {
	bytes, n := 0, 0
	end := time.Now().Add(time.Hour).UnixMilli()
	err := o.Workload.Messages(end, func(_ int64, message []byte) error {
		bytes += len(message)
		if n++; n%10_000 == 0 {
			o.Progress("publish", n*o.Workload.Pack, int(o.Workload.Events))
		}
		return log.PublishAsync(ctx, "in.nexmark", "", message)
	})
	if err != nil {
		return 0, err
	}
	return bytes, log.Flush(ctx)
}

// readAll reads and decodes the log.
func readAll(ctx context.Context, log *stream.Log) ([]Input, error) {
	r := log.NewReader(stream.ReaderOptions{})
	defer func() { _ = r.Close() }()
	info, err := r.Open(ctx, engine.Position{}, false)
	if err != nil {
		return nil, err
	}
	var in []Input
	var units []engine.Unit
	buf := make([]engine.Message, 512) // as the engine reads
	for seq := uint64(0); seq < info.Last; {
		n, err := r.Next(ctx, buf)
		if err != nil {
			return nil, err
		}
		for i := range buf[:n] {
			seq = buf[i].Seq
			units = Decoder{}.Decode(units[:0], &buf[i])
			for _, u := range units {
				v, ok := u.Value.(*Input)
				if !ok {
					return nil, fmt.Errorf("message %d of the log: %w", seq, errWire)
				}
				in = append(in, *v)
			}
		}
	}
	return in, nil
}

// query runs one query and compares its answer.
func (o *BenchOptions) query(ctx context.Context, log *stream.Log, query string, in []Input) (QueryResult, error) {
	q := QueryResult{Query: query}
	store, err := state.Open(state.Options{Dir: filepath.Join(o.Dir, query), Sync: !o.Process})
	if err != nil {
		return q, err
	}
	defer func() { _ = store.Close() }()
	sink := &Sink{Updates: query == "q4"}
	r := log.NewReader(stream.ReaderOptions{})
	defer func() { _ = r.Close() }()
	end := func(ctx context.Context) (uint64, error) {
		s, err := log.Info(ctx)
		return s.Last, err
	}
	var e *engine.Engine
	before, started := cpuTime(), time.Now()
	if e, err = open(ctx, query, r, end, o.Workload.OutOfOrder(), store, sink, o.tune); err != nil {
		return q, err
	}
	if err := e.Run(ctx); err != nil {
		return q, fmt.Errorf("%s: %w", query, err)
	}
	used, took := (cpuTime() - before).Seconds(), time.Since(started).Seconds()
	events := float64(o.Workload.Events)
	q.Rows, q.CPU, q.PerSecond, q.PerCoreSecond = sink.Rows, used/events*1e6, events/took, events/used
	q.Commits, q.RSS = e.Stats().Commits, peakRSS()
	want := &Sink{}
	if err := Naive(query, in, want); err != nil {
		return q, err
	}
	if sink.Rows != want.Rows || sink.Hash != want.Hash || sink.Bad+sink.Lost > 0 {
		return q, fmt.Errorf("%s: %d rows with hash %x (%d bad, %d lost), naive %d rows with hash %x: %w",
			query, sink.Rows, sink.Hash, sink.Bad, sink.Lost, want.Rows, want.Hash, ErrAnswer)
	}
	return q, nil
}

// tune sets what the options say.
func (o *BenchOptions) tune(e *engine.Options) {
	e.Parallel = o.Workers
	if o.Tune != nil {
		o.Tune(e)
	}
}

// cpuTime is the processor time that this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// peakRSS is the greatest resident memory so far, in MiB.
func peakRSS() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return float64(u.Maxrss) / 1024 // Linux counts KiB
}
