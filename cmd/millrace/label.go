package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"millrace/bench/accuracy"
	"millrace/engine"
	"millrace/operators"
	"millrace/operators/sentiment"
)

// This file asks people what the model of tone is least certain of, and keeps what they
// answer: a labelled set in the data directory, from which the next model is trained.

// labels is the file of labels of a data directory, in the form of a labelled set.
func (f files) labels() string { return filepath.Join(f.dir, "labels", "sentiment.tsv") }

// labelsMax bounds the labels that are kept: more than anybody gives by hand.
const labelsMax = 100_000

// readLabels reads the labels of a data directory; none without a file.
func (f files) readLabels() ([]accuracy.SentimentRow, error) {
	if _, err := os.Stat(f.labels()); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	sets, err := accuracy.ReadSentiment(filepath.Dir(f.labels()), []string{f.labels()})
	if err != nil {
		return nil, err
	}
	var rows []accuracy.SentimentRow
	for _, s := range sets {
		rows = append(rows, s.Rows...)
	}
	return rows, nil
}

// addLabels appends labels to those of a data directory.
func (f files) addLabels(rows []accuracy.SentimentRow) (err error) {
	if len(rows) == 0 {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(f.labels()), 0o700); err != nil {
		return fmt.Errorf("keep labels: %w", err)
	}
	file, err := os.OpenFile(f.labels(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("keep labels: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("keep labels: %w", err)
	}
	var out strings.Builder
	if info.Size() == 0 {
		out.WriteString("label\ttext\n")
	}
	for _, r := range rows {
		label := "negative"
		if r.Positive {
			label = "positive"
		}
		fmt.Fprintf(&out, "%s\t%s\n", label, strings.Join(strings.Fields(r.Text), " "))
	}
	_, err = file.WriteString(out.String())
	if err = errors.Join(err, file.Sync()); err != nil {
		return fmt.Errorf("keep labels: %w", err)
	}
	return nil
}

// uncertain finds the texts of which a label would teach most.
func uncertain(f files, n int) scan {
	return func(ctx context.Context, p *operators.Pipeline, v *engine.View, progress func(people int)) (any, error) {
		if listens, labels := p.Listens(); !listens || !labels {
			return nil, errors.New("no texts are kept to be asked about: shop.yaml needs sentiment: {labels: yes}")
		}
		rows, err := f.readLabels()
		if err != nil {
			return nil, err
		}
		known := make(map[string]bool, len(rows))
		for _, r := range rows {
			known[sentiment.NewDoc(r.Text).Key()] = true
		}
		asked, err := p.Uncertain(ctx, v, n, func(text string) bool { return known[sentiment.NewDoc(text).Key()] }, progress)
		if asked == nil {
			asked = []sentiment.Asked{}
		}
		return asked, err
	}
}

// labelAnswers adds what label and tone ask to the socket.
func (a *app) labelAnswers(mux *http.ServeMux) {
	mux.HandleFunc("GET /label", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.URL.Query().Get("n"))
		v := a.engine.View()
		defer v.Close()
		uncertain(a.s.files, n).answer(r.Context(), a.acts.current().pipeline, v, w, func() { _ = http.NewResponseController(w).Flush() })
	})
}

func newLabel() *cobra.Command {
	var f files
	n, asJSON := 20, false
	cmd := &cobra.Command{
		Use:   "label",
		Short: "Ask what the tone of the texts is that the model is least certain of",
		Long: `Label shows the texts of people that the model of tone is least certain of, least certain
first, and takes a label of each: + for praise, - for a complaint, Enter to leave it open, q
to end. What names a person is masked. The labels are kept in the data directory; "millrace
model train sentiment" learns them. The shop must keep texts: sentiment: {labels: yes}.`,
		Example: `  millrace label --n 50
  millrace label --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if n < 1 || n > 1000 {
				return &exitError{exitUsage, fmt.Errorf("--n %d: want 1 to 1000", n)}
			}
			var asked []sentiment.Asked
			path := "/label?" + url.Values{"n": {strconv.Itoa(n)}}.Encode()
			if err := askScan(cmd.Context(), f, http.MethodGet, path, uncertain(f, n), cmd.ErrOrStderr(), &asked); err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(asked)
			}
			return takeLabels(f, asked, cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&f.dir, "data-dir", "data", "of which program")
	cmd.Flags().IntVar(&n, "n", n, "how many texts, at most 1000")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the texts as one line of JSON and ask nothing")
	return cmd
}

// answerMax bounds a line of an answer.
const answerMax = 4096

// takeLabels asks about each text and keeps each answer at once.
func takeLabels(f files, asked []sentiment.Asked, in io.Reader, out io.Writer) error {
	if len(asked) == 0 {
		_, err := fmt.Fprintln(out, "there is nothing to ask: no text was kept that has no label")
		return err
	}
	rows, err := f.readLabels()
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, answerMax)
	given := 0
ask:
	for i, a := range asked {
		if len(rows)+given >= labelsMax {
			return fmt.Errorf("%s holds %d labels, at most %d", f.labels(), len(rows)+given, labelsMax)
		}
		for {
			fmt.Fprintf(out, "\n%d of %d, judged %+.2f\n  %s\n+ - Enter q > ", i+1, len(asked), float64(a.Score)/sentiment.ScoreMax, a.Text)
			if !lines.Scan() {
				break ask
			}
			answer := strings.TrimSpace(lines.Text())
			if answer == "q" {
				break ask
			}
			if answer == "" {
				break
			}
			if answer != "+" && answer != "-" {
				continue
			}
			if err := f.addLabels([]accuracy.SentimentRow{{Text: a.Text, Positive: answer == "+"}}); err != nil {
				return err
			}
			given++
			break
		}
	}
	fmt.Fprintf(out, "\n%d labels given, %d in all", given, len(rows)+given)
	if given > 0 {
		fmt.Fprint(out, "; millrace model train sentiment learns them")
	}
	fmt.Fprintln(out)
	return lines.Err()
}
