package stream

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// ServerOptions says how the embedded NATS server runs. Only Dir is required.
type ServerOptions struct {
	// Dir is where JetStream keeps its files. It is created when missing.
	Dir string
	// SyncAlways makes the server sync every write to disk before it acknowledges it
	// (durability: power). Without it an acknowledged message survives a crash of the
	// program, but up to two minutes of them are lost with the power.
	SyncAlways bool
	// MaxPayload is the size of the largest message.
	MaxPayload int32
	// MaxStore limits what JetStream may keep on disk over all streams, in bytes;
	// zero sets no limit of ours.
	MaxStore int64
	// Listen is the "host:port" at which other programs may connect; empty opens no
	// port. The embedded server has no accounts, so the host must be a loopback
	// address unless AllowRemote is set.
	Listen string
	// AllowRemote permits Listen to name an address that other machines can reach.
	AllowRemote bool
	// Name is the server's name in its own log.
	Name string
	// Logger receives the server's notices and errors; nil silences it.
	Logger *slog.Logger
	// ReadyWait is how long StartServer waits until the server accepts connections.
	ReadyWait time.Duration
}

func (o ServerOptions) withDefaults() ServerOptions {
	o.MaxPayload = cmp.Or(o.MaxPayload, 8<<20) // a packed message is 512 KiB; a body of 4 MiB fits whole
	o.Name = cmp.Or(o.Name, "millrace")        // one server a process, so one name will do
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.ReadyWait = cmp.Or(o.ReadyWait, 2*time.Minute) // recovering a log of many gigabytes takes a while
	return o
}

// Server is an embedded NATS server with JetStream. It is safe for concurrent use.
type Server struct {
	ns       *server.Server
	syncs    bool
	maxStore int64
	fault    *fault
}

// StartServer starts the embedded server and waits until it is ready.
func StartServer(o ServerOptions) (*Server, error) {
	o = o.withDefaults()
	if o.Dir == "" {
		return nil, errors.New("start nats server: no directory given")
	}
	so := &server.Options{
		ServerName: o.Name,
		JetStream:  true,
		StoreDir:   o.Dir,
		SyncAlways: o.SyncAlways,
		MaxPayload: o.MaxPayload,
		// A reader that stalls must not be cut off before its bounded prefetch is
		// delivered: the pending limit holds several of the largest messages.
		MaxPending: 8 * int64(o.MaxPayload),
		// Without a number JetStream takes three quarters of what is free, and then neither
		// makes nor opens a stream whose limit is above it.
		JetStreamMaxStore: cmp.Or(o.MaxStore, math.MaxInt64/4),
		DontListen:        true,
		NoSigs:            true,
	}
	if o.Listen != "" {
		if err := listenOn(so, o.Listen, o.AllowRemote); err != nil {
			return nil, err
		}
	}
	ns, err := server.NewServer(so)
	if err != nil {
		return nil, fmt.Errorf("start nats server: %w", err)
	}
	s := &Server{ns: ns, syncs: o.SyncAlways, maxStore: o.MaxStore, fault: newFault()}
	ns.SetLoggerV2(slogAdapter{o.Logger, s.fault}, false, false, false)
	ns.Start()
	if !ns.ReadyForConnections(o.ReadyWait) {
		s.Shutdown()
		return nil, fmt.Errorf("start nats server: not ready after %v", o.ReadyWait)
	}
	return s, nil
}

func listenOn(so *server.Options, listen string, remote bool) error {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return fmt.Errorf("start nats server: listen address %q: %w", listen, err)
	}
	p, err := strconv.Atoi(port)
	if err != nil || p < 0 || p > 65535 {
		return fmt.Errorf("start nats server: listen address %q: no such port", listen)
	}
	if ip := net.ParseIP(host); !remote && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("start nats server: %q is not a loopback address: the embedded server has no accounts", listen)
	}
	if p == 0 {
		p = server.RANDOM_PORT
	}
	so.Host, so.Port, so.DontListen = host, p, false
	return nil
}

// URL is the address at which other programs reach the server; empty when it opens
// no port.
func (s *Server) URL() string {
	if a := s.ns.Addr(); a != nil {
		return "nats://" + a.String()
	}
	return ""
}

// SyncAlways tells whether every write is synced before it is acknowledged.
func (s *Server) SyncAlways() bool { return s.syncs }

// Shutdown stops the server and waits until its files are closed. It may be called
// more than once.
func (s *Server) Shutdown() {
	s.ns.Shutdown()
	s.ns.WaitForShutdown()
}

func (s *Server) connect(opts []nats.Option) (*nats.Conn, error) {
	return nats.Connect("", append(opts, nats.InProcessServer(s.ns))...)
}

// slogAdapter hands the server's log lines to slog. Its debug and trace lines carry
// subjects and payloads, so they are never passed on.
type slogAdapter struct {
	l *slog.Logger
	f *fault
}

func (a slogAdapter) Noticef(format string, v ...any) { a.l.Debug(fmt.Sprintf(format, v...)) }
func (a slogAdapter) Warnf(format string, v ...any)   { a.l.Warn(fmt.Sprintf(format, v...)) }
func (a slogAdapter) Fatalf(format string, v ...any)  { a.l.Error(fmt.Sprintf(format, v...)) }
func (a slogAdapter) Errorf(format string, v ...any)  { a.f.heard(a.l, fmt.Sprintf(format, v...)) }
func (a slogAdapter) Debugf(string, ...any)           {}
func (a slogAdapter) Tracef(string, ...any)           {}
