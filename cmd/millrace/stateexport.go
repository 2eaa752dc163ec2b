package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"millrace/engine"
	"millrace/operators"
	"millrace/operators/privacy"
	"millrace/state"
)

// stateLine is a value of the state as shown and exported.
type stateLine struct {
	Cell  string          `json:"cell,omitempty"`
	Key   string          `json:"key,omitempty"`
	Value json.RawMessage `json:"value,omitempty"`

	End   bool   `json:"end,omitempty"` // the last line over the socket: nothing is missing
	Keys  int64  `json:"keys,omitempty"`
	Error string `json:"error,omitempty"`
}

// personal are the fields of stored values that name a person. Addresses are masked
// wherever they stand.
var personal = map[string]bool{"firstname": true, "lastname": true} //nolint:gochecknoglobals // constant

// showValue is a decoded value as JSON. Unless reveal is set, what names a person is
// masked.
func showValue(value any, reveal bool) (json.RawMessage, error) {
	raw, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("show a value: %w", err)
	}
	if reveal {
		return raw, nil
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber() // numbers stay as they are
	var tree any
	if err := d.Decode(&tree); err != nil {
		return nil, fmt.Errorf("show a value: %w", err)
	}
	return json.Marshal(maskTree("", tree))
}

func maskTree(name string, tree any) any {
	switch v := tree.(type) {
	case map[string]any:
		masked := make(map[string]any, len(v))
		for k, x := range v {
			shown := k
			if strings.Contains(k, "@") {
				shown = privacy.Mask(k)
			}
			masked[shown] = maskTree(k, x)
		}
		return masked
	case []any:
		for i := range v {
			v[i] = maskTree(name, v[i])
		}
		return v
	case string:
		switch {
		case v == "":
			return v
		case strings.Contains(v, "@"):
			return privacy.Mask(v)
		case personal[strings.ToLower(name)]:
			return "…"
		}
		return v
	default:
		return tree
	}
}

// stateValue finds the value of a key that a person gave.
func stateValue(p *operators.Pipeline, v *engine.View, cell, key string, reveal bool) (*stateLine, error) {
	for _, k := range p.StateKeys(cell, key) {
		value, found, err := p.Graph.ReadAny(v, cell, k)
		if err != nil {
			return nil, err
		}
		if found {
			raw, err := showValue(value, reveal)
			return &stateLine{Cell: cell, Key: k, Value: raw}, err
		}
	}
	return nil, errNotFound
}

// exportState writes the values of a cell, or of all, as lines of JSON, and a last one
// that says how many there were.
func exportState(ctx context.Context, p *operators.Pipeline, v *engine.View, cell string, reveal bool, w io.Writer) error {
	cells := p.Graph.Cells()
	if cell != "" {
		cells = []string{cell}
	}
	end := stateLine{End: true}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	for _, name := range cells {
		var bad error
		err := p.Graph.EachAny(v, name, func(key string, value any) bool {
			line := stateLine{Cell: name, Key: key}
			if line.Value, bad = showValue(value, reveal); bad == nil {
				bad = e.Encode(&line)
			}
			end.Keys++
			return bad == nil && ctx.Err() == nil
		})
		if err := errors.Join(err, bad, ctx.Err()); err != nil {
			end.Error = err.Error()
			return errors.Join(err, e.Encode(&end))
		}
	}
	return e.Encode(&end)
}

// exportAnswers adds single values, and exports, to the socket.
func (a *app) exportAnswers(mux *http.ServeMux) {
	mux.HandleFunc("GET /state/get", func(w http.ResponseWriter, r *http.Request) {
		v := a.engine.View()
		defer v.Close()
		q := r.URL.Query()
		line, err := stateValue(a.pipeline, v, q.Get("cell"), q.Get("key"), q.Get("reveal") == "true")
		writeAnswer(w, line, err)
	})
	mux.HandleFunc("GET /state/export", func(w http.ResponseWriter, r *http.Request) {
		v := a.engine.View()
		defer v.Close()
		b := bufio.NewWriter(w)
		_ = exportState(r.Context(), a.pipeline, v, r.URL.Query().Get("cell"), r.URL.Query().Get("reveal") == "true", b) // the last line says it
		_ = b.Flush()
	})
}

// withState calls fn with the store of a data directory on which no program runs.
func withState(f files, fn func(p *operators.Pipeline, v *engine.View) error) error {
	return withStore(f, func(_ *state.Store, names *privacy.Pseudonyms) (*operators.Pipeline, error) {
		return operators.Build(operators.Options{Pseudonyms: names}), nil
	}, fn)
}

// withStore is withState with the pipeline that build makes.
func withStore(f files, build func(*state.Store, *privacy.Pseudonyms) (*operators.Pipeline, error), fn func(p *operators.Pipeline, v *engine.View) error) error {
	for _, path := range []string{f.state(), f.secret()} {
		if _, err := os.Stat(path); err != nil {
			return &exitError{exitNotFound, fmt.Errorf("%s holds no state: nothing was processed there yet", f.dir)}
		}
	}
	unlock, err := f.lock()
	if err != nil {
		return err
	}
	defer unlock()
	secret, err := f.loadSecret()
	if err != nil {
		return err
	}
	names, err := privacy.NewPseudonyms(secret)
	if err != nil {
		return err
	}
	store, err := state.Open(state.Options{Dir: f.state()})
	if err != nil {
		return err
	}
	p, err := build(store, names)
	if err != nil {
		return errors.Join(err, store.Close())
	}
	view, err := engine.OpenView(store, p.Graph)
	if err != nil {
		return errors.Join(err, store.Close())
	}
	v := view()
	err = fn(p, v)
	v.Close()
	return errors.Join(err, store.Close())
}

func newStateGet() *cobra.Command {
	var f files
	var asJSON, reveal bool
	cmd := &cobra.Command{
		Use:   "get CELL KEY",
		Short: "Show one value of the state, decoded",
		Long: `Get shows the value of a key in a cell (see "state ls"). KEY is a user id, an anonymous
id, an address or a product id, whatever the cell is about, or the pseudonym that "state
export" shows. Names and addresses are masked unless --reveal is given.`,
		Args: wantArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			line, err := getState(cmd.Context(), f, args[0], args[1], reveal)
			if errors.Is(err, errNotFound) { // the key may be personal, and who asks has it at hand
				return &exitError{exitNotFound, fmt.Errorf("%s has nothing under this key", args[0])}
			}
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(line)
			}
			var b bytes.Buffer
			if err := json.Indent(&b, line.Value, "", "  "); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s %s\n%s\n", line.Cell, line.Key, b.String())
			return err
		},
	}
	cmd.Flags().StringVar(&f.dir, "data-dir", "data", "of which program")
	cmd.Flags().BoolVar(&asJSON, "json", false, "one line of JSON with cell, key and value")
	cmd.Flags().BoolVar(&reveal, "reveal", false, "show names and addresses as they are")
	return cmd
}

func getState(ctx context.Context, f files, cell, key string, reveal bool) (*stateLine, error) {
	c, err := dialSocket(ctx, f)
	if err != nil {
		return nil, err
	}
	line := new(stateLine)
	if c != nil {
		q := url.Values{"cell": {cell}, "key": {key}, "reveal": {strconv.FormatBool(reveal)}}
		return line, call(ctx, c, http.MethodGet, "/state/get?"+q.Encode(), line)
	}
	return line, withState(f, func(p *operators.Pipeline, v *engine.View) error {
		line, err = stateValue(p, v, cell, key, reveal)
		return err
	})
}

func newStateExport() *cobra.Command {
	var f files
	var format, to string
	var reveal bool
	cmd := &cobra.Command{
		Use:   "export [CELL]",
		Short: "Write decoded values of the state, of one cell or of all",
		Long: `Export writes a line for each value: cell, key, value. People are pseudonyms; names and
addresses are masked unless --reveal is given. It shows the state as of one commit, and
the engine may run meanwhile.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if format != "jsonl" && format != "csv" {
				return &exitError{exitUsage, fmt.Errorf("--format %s: want jsonl or csv", format)}
			}
			cell := ""
			if len(args) > 0 {
				cell = args[0]
			}
			if to == "" || to == "-" {
				return exportTo(cmd, f, cell, format, reveal, cmd.OutOrStdout())
			}
			file, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
			if err != nil {
				return fmt.Errorf("export: %w", err)
			}
			return errors.Join(exportTo(cmd, f, cell, format, reveal, file), file.Close())
		},
	}
	cmd.Flags().StringVar(&f.dir, "data-dir", "data", "of which program")
	cmd.Flags().StringVar(&format, "format", "jsonl", "jsonl or csv")
	cmd.Flags().StringVarP(&to, "output", "o", "", "the file to write, by default standard output")
	cmd.Flags().BoolVar(&reveal, "reveal", false, "show names and addresses as they are")
	return cmd
}

// exportTo reads lines from the running program, or from the store, and writes them.
func exportTo(cmd *cobra.Command, f files, cell, format string, reveal bool, w io.Writer) error {
	ctx := cmd.Context()
	c, err := dialSocket(ctx, f)
	if err != nil {
		return err
	}
	if c != nil {
		q := url.Values{"cell": {cell}, "reveal": {strconv.FormatBool(reveal)}}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://millrace/state/export?"+q.Encode(), http.NoBody)
		if err != nil {
			return err
		}
		resp, err := c.Do(req)
		if err != nil {
			return fmt.Errorf("ask the running program: %w", err)
		}
		defer func() { _ = resp.Body.Close() }()
		return copyLines(resp.Body, format, w, cmd.ErrOrStderr())
	}
	r, pipe := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := withState(f, func(p *operators.Pipeline, v *engine.View) error {
			b := bufio.NewWriter(pipe)
			return errors.Join(exportState(ctx, p, v, cell, reveal, b), b.Flush())
		})
		_ = pipe.CloseWithError(err)
		done <- err
	}()
	err = copyLines(r, format, w, cmd.ErrOrStderr())
	_ = r.CloseWithError(io.ErrClosedPipe)
	if storeErr := <-done; storeErr != nil && !errors.Is(storeErr, io.ErrClosedPipe) {
		return storeErr
	}
	return err
}

// maxStateLine is the longest value that is exported: a person of 10,000 orders takes a
// megabyte as JSON.
const maxStateLine = 64 << 20

// copyLines writes the lines that the state answers in a format. It fails when the last
// one, which says that nothing is missing, does not come.
func copyLines(r io.Reader, format string, w, status io.Writer) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 1<<16), maxStateLine)
	b := bufio.NewWriter(w)
	table := csv.NewWriter(b)
	if format == "csv" {
		_ = table.Write([]string{"cell", "key", "value"}) // errors stay until Flush
	}
	bar := newCountBar(status)
	for lines.Scan() {
		var line stateLine
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return fmt.Errorf("export: the answer cannot be read: %w", err)
		}
		if line.End {
			if bar != nil {
				_ = bar.Finish()
			}
			if line.Error != "" {
				return errors.New("export: " + line.Error)
			}
			table.Flush()
			if err := errors.Join(table.Error(), b.Flush()); err != nil {
				return fmt.Errorf("export: %w", err)
			}
			_, err := fmt.Fprintf(status, "%d values\n", line.Keys)
			return err
		}
		if format == "csv" {
			_ = table.Write([]string{line.Cell, line.Key, string(line.Value)})
		} else {
			_, _ = b.Write(lines.Bytes()) // errors stay until Flush
			_ = b.WriteByte('\n')
		}
		if bar != nil {
			_ = bar.Add(1)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return errors.New("export: the answer was cut off, what was written is not all")
}

// newCountBar shows how many values were written, on a terminal; elsewhere it is nil.
func newCountBar(w io.Writer) *progressbar.ProgressBar {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) { //nolint:gosec // a descriptor is small
		return nil
	}
	return progressbar.NewOptions64(-1, progressbar.OptionSetWriter(w), progressbar.OptionShowCount(),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionSetDescription("export"), progressbar.OptionClearOnFinish())
}
