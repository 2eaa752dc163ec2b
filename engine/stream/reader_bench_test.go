package stream

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sys/unix"

	"millrace/engine"
)

// cpu is the processor time that this program used so far, server included.
func cpu(tb testing.TB) time.Duration {
	tb.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// perMillion reports what reading n messages in d took, b.N times.
func perMillion(b *testing.B, n int, used time.Duration) {
	b.Helper()
	total := float64(n) * float64(b.N)
	b.ReportMetric(total/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(used.Seconds()/total*1e6, "cpu-s/M")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkRead reads 500,000 messages of 250 bytes: with our reader and, beside it,
// with the client library's ordered consumer.
func BenchmarkRead(b *testing.B) {
	const n = 500_000
	s := startServer(b, ServerOptions{Listen: "127.0.0.1:0"})
	l := openLog(b, Options{Server: s})
	data := bytes.Repeat([]byte("x"), 250)
	for range n {
		if err := l.PublishAsync(b.Context(), "in.test", "", data); err != nil {
			b.Fatal(err)
		}
	}
	if err := l.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	tcp := openLog(b, Options{URL: s.URL()})
	run := func(name string, l *Log, read func(b *testing.B, l *Log)) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			before := cpu(b)
			for b.Loop() {
				read(b, l)
			}
			perMillion(b, n, cpu(b)-before)
		})
	}
	ours := func(b *testing.B, l *Log) {
		r := l.NewReader(ReaderOptions{})
		defer r.Close()
		if _, err := r.Open(b.Context(), engine.Position{}, false); err != nil {
			b.Fatal(err)
		}
		buf := make([]engine.Message, 512)
		for got := 0; got < n; {
			k, err := r.Next(b.Context(), buf)
			if err != nil {
				b.Fatal(err)
			}
			got += k
		}
	}
	run("reader/in-process", l, ours)
	run("reader/tcp", tcp, ours)
	run("ordered/in-process", l, readOrdered(n))
	run("ordered/tcp", tcp, readOrdered(n))
}

// readOrdered reads n messages with the client library's ordered consumer.
func readOrdered(n int) func(b *testing.B, l *Log) {
	return func(b *testing.B, l *Log) {
		b.Helper()
		c, err := l.js.OrderedConsumer(context.Background(), l.opts.Stream, jetstream.OrderedConsumerConfig{})
		if err != nil {
			b.Fatal(err)
		}
		done, got := make(chan struct{}), 0
		cc, err := c.Consume(func(jetstream.Msg) {
			if got++; got == n {
				close(done)
			}
		}, jetstream.PullMaxMessages(4096))
		if err != nil {
			b.Fatal(err)
		}
		<-done
		cc.Stop()
		<-cc.Closed()
	}
}
