package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"millrace/engine/stream"
	"millrace/operators/event"
)

// importOptions are the flags of import.
type importOptions struct {
	files
	event.ImportOptions
	nats       string
	format     string
	synthesise uint64
	restart    bool
}

func newImport() *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{
		Use:   "import --format FORMAT FILE…",
		Short: "Put a data set into the log, as events at their own times",
		Long: `Import reads files of known formats (gzip too, - is standard input) and publishes their
events to the log of a data directory, on which nothing else may run meanwhile, or to
an existing NATS server. Event time is that of the rows. Importing twice changes
nothing; an import that was stopped goes on where it was, unless its input is standard input.

Formats: ` + strings.Join(event.ImportFormats(), ", ") + `. For online-retail the
catalogue is a second file, known by its header.`,
		Example: `  millrace import --format online-retail orders.csv.gz catalogue.csv
  millrace import --format online-retail --synthesise-carts 7 --assume-consent --address '{user}@example.invalid' orders.csv.gz`,
		Args: wantArgs(math.MaxInt),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.SynthesiseCarts, o.Seed = cmd.Flags().Changed("synthesise-carts"), o.synthesise
			return o.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), args)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.dir, "data-dir", "data", "where the log is")
	f.StringVar(&o.nats, "nats", "", "URL of an existing NATS server with JetStream, instead of the embedded one")
	f.StringVar(&o.format, "format", "", "format of the files (required)")
	f.StringVar(&o.DataSet, "data-set", "", "name of the data set in messageIds (default: the format)")
	f.BoolVar(&o.AssumeConsent, "assume-consent", false, "let every user agree to mail; what rests on it says so")
	f.StringVar(&o.Address, "address", "", "give every user an address, such as '{user}@example.invalid'")
	f.Uint64Var(&o.synthesise, "synthesise-carts", 0, "make cart events up before orders, by this seed, and leave some carts behind; what rests on it says so")
	f.BoolVar(&o.restart, "restart", false, "begin anew instead of going on where an import of the same files stopped")
	return cmd
}

func (o *importOptions) run(ctx context.Context, out, status io.Writer, paths []string) error {
	if o.format == "" {
		return &exitError{exitUsage, fmt.Errorf("--format is required: one of %s", strings.Join(event.ImportFormats(), ", "))}
	}
	im, err := event.NewImporter(o.format, o.ImportOptions)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	inputs, total, err := prepareImport(im, paths)
	if err != nil {
		return err
	}
	if err := o.open(); err != nil {
		return err
	}
	if o.nats == "" {
		if err := os.MkdirAll(o.log(), 0o700); err != nil {
			return fmt.Errorf("make the log's directory: %w", err)
		}
	}
	l, closeLog, err := openLogAlone(ctx, o.files, o.nats)
	if errors.Is(err, errInUse) {
		err = fmt.Errorf("%w: stop it first", err)
	}
	if err != nil {
		return err
	}
	defer closeLog()
	mark, err := o.mark(ctx, l, paths)
	if err != nil {
		return err
	}
	p := &publisher{ctx: ctx, log: l, header: event.Header{Source: "import", Import: true}, mark: mark}
	if !o.restart {
		p.skip = mark.read()
	}
	if p.skip > 0 {
		fmt.Fprintf(status, "going on after event %d\n", p.skip)
	}
	bar := newBar(status, total)
	for _, path := range inputs {
		if err := importFile(im, path, bar, p.add); err != nil {
			return p.stopped(err)
		}
	}
	if err := p.flush(); err != nil {
		return err
	}
	if bar != nil {
		_ = bar.Finish()
		fmt.Fprintln(status)
	}
	reportImport(out, im.Stats(), p)
	return nil
}

// prepareImport lets the importer read the files that only help others, and answers
// the rest with their size.
func prepareImport(im *event.Importer, paths []string) (inputs []string, total int64, err error) {
	for _, path := range paths {
		if path == "-" {
			inputs = append(inputs, path)
			continue
		}
		f, err := os.Open(path) //nolint:gosec // the operator names it
		if err != nil {
			return nil, 0, &exitError{exitNotFound, err}
		}
		helps, err := im.Prepare(path, f)
		size := int64(0)
		if info, statErr := f.Stat(); statErr == nil {
			size = info.Size()
		}
		_ = f.Close()
		if err != nil {
			return nil, 0, err
		}
		if !helps {
			inputs = append(inputs, path)
			total += size
		}
	}
	if len(inputs) == 0 {
		return nil, 0, &exitError{exitUsage, errors.New("no file holds events")}
	}
	return inputs, total, nil
}

func importFile(im *event.Importer, path string, bar *progressbar.ProgressBar, yield func(event.Imported) error) error {
	if path == "-" {
		return im.Import("standard input", os.Stdin, yield)
	}
	f, err := os.Open(path) //nolint:gosec // the operator names it
	if err != nil {
		return fmt.Errorf("import: %w", err)
	}
	defer func() { _ = f.Close() }()
	if bar == nil {
		return im.Import(path, f, yield)
	}
	r := progressbar.NewReader(f, bar)
	return im.Import(path, &r, yield)
}

// newBar shows how much of the files is read, on a terminal; elsewhere it is nil.
func newBar(w io.Writer, total int64) *progressbar.ProgressBar {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return progressbar.NewOptions64(max(total, 1), progressbar.OptionSetWriter(w),
		progressbar.OptionShowBytes(true), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionSetDescription("import"))
}

// publisher packs imported events into messages and publishes them.
type publisher struct {
	ctx    context.Context //nolint:containedctx // lives for one call of run
	log    *stream.Log
	header event.Header
	mark   importMark
	skip   int64 // events up to this number are in the log already

	items   []event.Item
	bytes   int
	last    int64 // number of the newest event or bad row, over all files
	sent    int64
	bad     int64
	told    []string
	pending int // messages since the last flush
}

// How imported events are packed: as the gateway packs them.
const (
	importEvents = 500
	importBytes  = 512 << 10
	importFlush  = 64 // messages between marks
)

func (p *publisher) add(i event.Imported) error {
	if err := p.ctx.Err(); err != nil {
		return err
	}
	p.last++ // not i.Number, which begins anew with each file
	if i.Bad != nil {
		p.bad++
		if len(p.told) < 20 {
			p.told = append(p.told, i.Bad.Error())
		}
		return nil
	}
	if p.last <= p.skip {
		return nil
	}
	if len(p.items) >= importEvents || p.bytes+len(i.Item.Raw) > importBytes {
		if err := p.publish(); err != nil {
			return err
		}
	}
	it := i.Item
	it.Raw = append([]byte(nil), it.Raw...)
	p.items = append(p.items, it)
	p.bytes += len(it.Raw)
	return nil
}

// stopped makes the best of an import that err ended: what was read goes into the log.
func (p *publisher) stopped(err error) error {
	interrupted := p.ctx.Err() != nil
	if flushErr := p.flush(); flushErr != nil {
		return errors.Join(err, flushErr)
	}
	switch {
	case interrupted && p.mark.path != "":
		return fmt.Errorf("stopped after event %d: the same command goes on there", p.last)
	case interrupted:
		return fmt.Errorf("stopped after event %d", p.last)
	case max(p.last, p.skip) == p.bad:
		return err
	default:
		return fmt.Errorf("%w; the %d events before are in the log", err, max(p.last, p.skip)-p.bad)
	}
}

func (p *publisher) publish() error {
	if len(p.items) == 0 {
		return nil
	}
	data := event.AppendEnvelope(nil, p.header, p.items)
	if err := p.log.PublishAsync(p.ctx, "in.import", "", data); err != nil {
		return err
	}
	p.sent += int64(len(p.items))
	p.items, p.bytes = p.items[:0], 0
	if p.pending++; p.pending >= importFlush {
		return p.flush()
	}
	return nil
}

// flush waits until the log has everything, then leaves the mark from which an
// interrupted import goes on.
func (p *publisher) flush() error {
	if p.ctx.Err() != nil { // stopped: the last messages still have to arrive
		ctx, cancel := context.WithTimeout(context.WithoutCancel(p.ctx), 10*time.Second)
		defer cancel()
		p.ctx = ctx
	}
	if err := p.publishRest(); err != nil {
		return err
	}
	p.pending = 0
	if err := p.log.Flush(p.ctx); err != nil {
		return err
	}
	return p.mark.write(max(p.last, p.skip))
}

func (p *publisher) publishRest() error {
	if len(p.items) == 0 {
		return nil
	}
	p.pending = 0
	return p.publish()
}

func reportImport(w io.Writer, s event.ImportStats, p *publisher) {
	if p.sent == 0 && p.skip > 0 {
		fmt.Fprintln(w, "nothing new: all of it is in the log already (--restart publishes it again)")
	}
	fmt.Fprintf(w, "%d rows, %d events published\n", s.Rows, p.sent)
	for _, part := range []struct {
		n    int64
		what string
	}{
		{s.Orders, "orders"},
		{s.Refunds, "refunds"},
		{s.NotGoods, "rows that are no goods"},
		{s.Anonymous, "orders without a customer"},
		{s.Identifies, "users introduced"},
		{s.Names, "names from the catalogue"},
		{p.bad, "bad rows"},
	} {
		if part.n > 0 {
			fmt.Fprintf(w, "%8d  %s\n", part.n, part.what)
		}
	}
	if s.Carts > 0 {
		fmt.Fprintf(w, "synthetic: %d cart events and %d carts left behind were made up; every output that rests on them says so\n", s.Carts, s.Left)
	}
	for _, line := range p.told {
		fmt.Fprintln(w, "  bad row:", line)
	}
	if more := p.bad - int64(len(p.told)); more > 0 {
		fmt.Fprintf(w, "  and %d more\n", more)
	}
}
