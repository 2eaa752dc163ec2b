package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"millrace/bench/accuracy"
	"millrace/operators/content"
	"millrace/operators/lstm"
)

func newEvalContent() *cobra.Command {
	var o accuracy.ContentOptions
	var dir, version, messages string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "content",
		Short: "Measure the lines that the model writes for mails",
		Long: `Content lets the model write whole mails for made-up people, seeded, and judges each part by
rules of its own: facts copied, banned words, length, false urgency, repeats, variety,
closeness to the person's interests; and the model's perplexity beside that of a
Kneser-Ney trigram. It needs no data. With --data the guard's word lists and its model of
wording are measured too, on labelled messages: a label (spam or another) and a text on
each line, with a tab between.

The model is the shipped one, or a version of a data directory's registry.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Contexts < 2 || o.Contexts > 100_000 || o.Show < 0 || o.Show > 1000 {
				return &exitError{exitUsage, fmt.Errorf("%d contexts (2 to 100000), %d shown (at most 1000)", o.Contexts, o.Show)}
			}
			if (version == "") != (dir == "") {
				return &exitError{exitUsage, errors.New("--version and --data-dir go together")}
			}
			if version != "" {
				_, file, err := lstm.NewRegistry(filepath.Join(dir, modelsDir)).Load(content.ModelName, version)
				if err != nil {
					return notFoundModel(err)
				}
				o.Model = file
			}
			got, err := accuracy.EvaluateContent(cmd.Context(), o)
			if err != nil {
				return err
			}
			if messages != "" {
				guard, err := accuracy.EvaluateContentGuard(messages)
				if err != nil {
					return err
				}
				got.Guard = &guard
			}
			return printContent(cmd.OutOrStdout(), got, asJSON)
		},
	}
	cmd.Flags().IntVar(&o.Contexts, "contexts", 2000, "mails to write")
	cmd.Flags().Uint64Var(&o.Seed, "seed", 1, "of the contexts")
	cmd.Flags().IntVar(&o.Show, "show", 0, "print so many of the mails, to read")
	cmd.Flags().StringVar(&dir, "data-dir", "", "data directory of the version")
	cmd.Flags().StringVar(&version, "version", "", "version of the registry (default: the shipped model)")
	cmd.Flags().StringVar(&messages, "data", "", "file of labelled messages, or folder that holds it")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one object instead of a table")
	return cmd
}

// printContent prints what was measured, and the mails that were kept for reading.
func printContent(w io.Writer, r accuracy.ContentResult, asJSON bool) error {
	for i, m := range r.Mails {
		mark := ""
		if !m.Model {
			mark = " (written)"
		}
		fmt.Fprintf(w, "%3d %s %s, likes %s%s\n    %s\n    %s\n    %s\n    %s\n    [%s]\n", i+1, m.Language, m.Kind, m.Interests, mark, m.Subject, m.Preheader, m.Opening, m.Sentence, m.Action)
	}
	if asJSON {
		return json.NewEncoder(w).Encode(map[string]any{"sets": []accuracy.ContentResult{r}})
	}
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-28s "+format+"\n", append([]any{name}, args...)...)
	}
	line("model", "%s", r.Model)
	line("contexts", "%d", r.Contexts)
	line("slots right", "%.4f", r.Slots)
	line("banned words", "%d", r.Banned)
	line("over-long", "%d", r.Long)
	line("false urgency", "%d", r.Urgent)
	line("requirements unmet", "%d", r.Unmet)
	line("repeats to the same person", "%d", r.Repeats)
	line("fall-backs", "%.4f", r.Fallbacks)
	for _, why := range slices.Sorted(maps.Keys(r.Why)) {
		line("  "+why, "%d", r.Why[why])
	}
	line("distinct-2", "%.3f", r.Distinct2)
	line("different lines", "%d", r.Different)
	for _, language := range slices.Sorted(maps.Keys(r.SelfBLEU)) {
		line("self-BLEU "+language, "%.3f", r.SelfBLEU[language])
	}
	line("perplexity", "%.3f of %d held-out tokens", r.Perplexity, r.HeldTokens)
	line("  Kneser-Ney trigram", "%.3f", r.TrigramPerplexity)
	line("divergence", "%.3f nats", r.KL)
	line("  other people's interests", "%.3f nats, so %.1f %% lower", r.ShuffledKL, 100*r.KLGain)
	for _, p := range r.Parts {
		line(p.Part, "%d lines, facts right %.4f, banned %d, over-long %d, false urgency %d, fall-backs %.4f, different %d, distinct-2 %.3f, self-BLEU en %.3f zh %.3f",
			p.Lines, p.Right, p.Banned, p.Long, p.Urgent, p.Fallbacks, p.Different, p.Distinct2, p.SelfBLEU["en"], p.SelfBLEU["zh"])
	}
	if g := r.Guard; g != nil {
		for _, by := range g.By {
			line("spam, "+by.Part, "%.4f of %d found, %.4f of %d others refused", by.Recall, g.Spam, by.False, g.Texts-g.Spam)
		}
	}
	line("time", "%.1f s, %.2f ms a mail", r.Seconds, r.MsSubject)
	return nil
}
