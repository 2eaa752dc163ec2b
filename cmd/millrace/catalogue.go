package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"millrace/operators/catalogue"
	"millrace/operators/event"
)

func newCatalogue() *cobra.Command {
	cmd := &cobra.Command{Use: "catalogue", Short: "Read feeds of products, and look at what the catalogue says"}
	cmd.AddCommand(newCatalogueImport(), newCatalogueShow(), newCatalogueList())
	return cmd
}

func newCatalogueShow() *cobra.Command {
	var f files
	var o output
	cmd := &cobra.Command{
		Use:   "show ITEM",
		Short: "Show what the catalogue says of a product",
		Args:  wantArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var p productView
			if err := askAnyone(cmd.Context(), f, question{What: "product", Item: args[0]}, &p); err != nil {
				return err
			}
			return o.print(cmd.OutOrStdout(), &p, p.text)
		},
	}
	cmd.Flags().StringVar(&f.dir, "data-dir", "data", "where the state is")
	o.flag(cmd)
	return cmd
}

func newCatalogueList() *cobra.Command {
	var f files
	var o output
	after, n := "", 50
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the products of the catalogue by id",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var v productsView
			if err := askAnyone(cmd.Context(), f, question{What: "products", User: after, N: n}, &v); err != nil {
				return err
			}
			return o.print(cmd.OutOrStdout(), &v, v.text)
		},
	}
	cmd.Flags().StringVar(&f.dir, "data-dir", "data", "where the state is")
	cmd.Flags().StringVar(&after, "after", "", "begin behind this product id")
	cmd.Flags().IntVarP(&n, "n", "n", 50, "how many, at most 10000")
	o.flag(cmd)
	return cmd
}

// feedOptions are the flags of catalogue import.
type feedOptions struct {
	files
	catalogue.FeedOptions
	nats    string
	rejects string
	at      string
}

func newCatalogueImport() *cobra.Command {
	var o feedOptions
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Put a feed of products into the log, as Product Upserted events",
		Long: `Import reads a feed of products (- is standard input): a table with a header (csv), JSON
objects by line (jsonl) or in an array (json), or Google Merchant's RSS or Atom (google). The
program may run on the data directory meanwhile, or not. Reading a feed twice changes
nothing. A product that cannot be read is told with its place and counted; the others go in.`,
		Example: `  millrace catalogue import products.csv --currency EUR
  millrace catalogue import feed.xml --full --rejects bad.jsonl`,
		Args: wantArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), args[0])
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.dir, "data-dir", "data", "where the log is")
	f.StringVar(&o.nats, "nats", "", "URL of an existing NATS server with JetStream, instead of the embedded one")
	f.StringVar(&o.Format, "format", "", "csv, jsonl, json or google (default: what the file looks like)")
	f.StringVar(&o.Currency, "currency", "", "of prices that name none, such as EUR")
	f.BoolVar(&o.Full, "full", false, "the feed holds all products: those of the catalogue that it lacks are out of stock")
	f.StringVar(&o.rejects, "rejects", "", "write what could not be read to this file, a JSON object a line")
	f.StringVar(&o.at, "at", "", "as of when the feed speaks, as in 2026-03-02T10:15:00Z (default: now)")
	return cmd
}

func (o *feedOptions) run(ctx context.Context, out, status io.Writer, path string) error {
	at := time.Now()
	if o.at != "" {
		var err error
		if at, err = time.Parse(time.RFC3339, o.at); err != nil || at.After(time.Now()) {
			return &exitError{exitUsage, fmt.Errorf("--at %q: want a time that has passed, such as 2026-03-02T10:15:00Z", o.at)}
		}
	}
	in, size, closeFile, err := openFeed(path)
	if err != nil {
		return err
	}
	defer closeFile()
	p := &feedPublisher{ctx: ctx, at: at, file: path}
	if o.rejects != "" {
		if p.rejects, err = os.OpenFile(o.rejects, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600); err != nil {
			return &exitError{exitUsage, fmt.Errorf("open --rejects: %w", err)}
		}
		defer func() { _ = p.rejects.Close() }()
	}
	var vanished map[string]bool
	if o.Full {
		if vanished, err = o.listed(ctx); err != nil {
			return err
		}
	}
	closeLog, err := o.connect(ctx, p)
	if err != nil {
		return err
	}
	defer closeLog()
	if bar := newBar(status, size); bar != nil {
		in = io.TeeReader(in, bar)
		defer func() { _ = bar.Finish(); fmt.Fprintln(status) }()
	}
	readErr := catalogue.Read(path, in, o.FeedOptions, func(e catalogue.Entry) error {
		delete(vanished, e.ID)
		return p.add(e)
	})
	if readErr == nil {
		readErr = p.vanish(vanished)
	}
	if err := p.flush(); err != nil {
		return errors.Join(readErr, err)
	}
	p.report(out)
	if readErr != nil {
		return fmt.Errorf("%w; what stands before is in the log", readErr)
	}
	return nil
}

func openFeed(path string) (io.Reader, int64, func(), error) {
	if path == "-" {
		return os.Stdin, 0, func() {}, nil
	}
	f, err := os.Open(path) //nolint:gosec // the operator names it
	if err != nil {
		return nil, 0, nil, &exitError{exitNotFound, err}
	}
	size := int64(0)
	if info, err := f.Stat(); err == nil {
		size = info.Size()
	}
	return f, size, func() { _ = f.Close() }, nil
}

// listed are the products that the catalogue says are in stock. Of a data directory that
// nothing has run on yet there are none.
func (o *feedOptions) listed(ctx context.Context) (map[string]bool, error) {
	out := make(map[string]bool)
	for after := ""; ; {
		var page productsView
		err := askAnyone(ctx, o.files, question{What: "products", User: after, N: productsMax}, &page)
		var exit *exitError
		if errors.As(err, &exit) && exit.code == exitNotFound {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("list what the catalogue has: %w", err)
		}
		for i := range page.Products {
			if p := &page.Products[i]; p.InStock {
				out[p.ID] = true
			}
			after = page.Products[i].ID
		}
		if len(page.Products) < productsMax {
			return out, nil
		}
	}
}

// connect finds the way into the log: the program that runs, or the log itself.
func (o *feedOptions) connect(ctx context.Context, p *feedPublisher) (func(), error) {
	if err := o.open(); err != nil {
		return nil, err
	}
	if o.nats == "" {
		client, err := dialSocket(ctx, o.files)
		if err != nil {
			return nil, err
		}
		if client != nil {
			p.publish = func(ctx context.Context, data []byte) error { return postCatalogue(ctx, client, data) }
			return func() {}, nil
		}
		if err := os.MkdirAll(o.log(), 0o700); err != nil {
			return nil, fmt.Errorf("make the log's directory: %w", err)
		}
	}
	l, closeLog, err := openLogAlone(ctx, o.files, o.nats)
	if err != nil {
		return nil, err
	}
	p.publish = func(ctx context.Context, data []byte) error {
		_, err := l.Publish(ctx, subjectCatalogue, "", data)
		return err
	}
	return closeLog, nil
}

// subjectCatalogue is where feeds stand in the log.
const subjectCatalogue = "in.catalogue"

// feedPublisher packs products into messages, tells what is wrong with others, and counts.
type feedPublisher struct {
	ctx     context.Context //nolint:containedctx // lives for one call of run
	at      time.Time
	file    string
	publish func(ctx context.Context, data []byte) error
	rejects *os.File

	items           []event.Item
	bytes           int
	sent, bad, gone int64
	nameless        int64 // bad ones of unknown id
	told            []string
}

func (p *feedPublisher) add(e catalogue.Entry) error {
	if err := p.ctx.Err(); err != nil {
		return err
	}
	if e.Bad == nil {
		return p.put(e.Event)
	}
	p.bad++
	if e.ID == "" {
		p.nameless++
	}
	if len(p.told) < 20 {
		p.told = append(p.told, e.Bad.Error())
	}
	if p.rejects == nil {
		return nil
	}
	err := json.NewEncoder(p.rejects).Encode(map[string]any{
		"file": e.Bad.File, "line": e.Bad.Line, "column": e.Bad.Column, "why": e.Bad.Why, "raw": string(e.Bad.Raw),
	})
	if err != nil {
		return fmt.Errorf("write --rejects: %w", err)
	}
	return nil
}

// vanish says of products that a full feed lacks that they are out of stock. A feed that
// may hold them after all marks nothing.
func (p *feedPublisher) vanish(ids map[string]bool) error {
	switch {
	case len(ids) == 0:
		return nil
	case p.nameless > 0:
		return fmt.Errorf("--full: %d products have no id that can be read: nothing was marked out of stock", p.nameless)
	case p.sent == 0 && len(p.items) == 0:
		return errors.New("--full: the feed holds no product: nothing was marked out of stock")
	}
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		p.gone++
		if err := p.put(catalogue.SoldOut(id)); err != nil {
			return err
		}
	}
	return nil
}

func (p *feedPublisher) put(raw []byte) error {
	if len(p.items) >= importEvents || p.bytes+len(raw) > importBytes {
		if err := p.flush(); err != nil {
			return err
		}
	}
	p.items = append(p.items, event.Item{Raw: raw})
	p.bytes += len(raw)
	return nil
}

func (p *feedPublisher) flush() error {
	if len(p.items) == 0 {
		return nil
	}
	data := event.AppendEnvelope(nil, event.Header{ReceivedAt: p.at.UnixMilli(), Source: "catalogue"}, p.items)
	if err := p.publish(p.ctx, data); err != nil {
		return fmt.Errorf("publish products of %s: %w", p.file, err)
	}
	p.sent += int64(len(p.items))
	p.items, p.bytes = p.items[:0], 0
	return nil
}

func (p *feedPublisher) report(w io.Writer) {
	fmt.Fprintf(w, "%d products published\n", p.sent-p.gone)
	if p.gone > 0 {
		fmt.Fprintf(w, "%8d  are not in the feed: out of stock\n", p.gone)
	}
	if p.bad > 0 {
		fmt.Fprintf(w, "%8d  could not be read\n", p.bad)
	}
	for _, line := range p.told {
		fmt.Fprintln(w, "  "+line)
	}
	if more := p.bad - int64(len(p.told)); more > 0 {
		fmt.Fprintf(w, "  and %d more\n", more)
	}
}

// postCatalogue hands a message of products to the running program.
func postCatalogue(ctx context.Context, c *http.Client, data []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://millrace/catalogue", bytes.NewReader(data))
	if err != nil {
		return err
	}
	resp, err := c.Do(req)
	if err != nil {
		return fmt.Errorf("ask the running program: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		var e struct{ Error string }
		_ = json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&e)
		return errors.New(e.Error)
	}
	return nil
}

// catalogueAnswers lets feeds in over the data directory's socket.
func (a *app) catalogueAnswers(mux *http.ServeMux) {
	mux.HandleFunc("POST /catalogue", func(w http.ResponseWriter, r *http.Request) {
		data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 4*importBytes))
		if err == nil && !json.Valid(data) {
			err = errors.New("the products are not JSON")
		}
		seq := uint64(0)
		if err == nil {
			seq, err = a.events.Publish(r.Context(), subjectCatalogue, "", data)
		}
		writeAnswer(w, map[string]uint64{"seq": seq}, err)
	})
}
