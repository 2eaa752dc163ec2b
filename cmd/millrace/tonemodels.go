package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"millrace/operators/content"
	"millrace/operators/lstm"
	"millrace/operators/sentiment"
)

// This file lists and promotes models of tone, for the commands that do so with models of
// subjects.

// nameFlag adds --name to a command: whose versions are meant.
func nameFlag(cmd *cobra.Command) *modelName {
	n := modelName(content.ModelName)
	cmd.Flags().Var(&n, "name", "which model: subject, headline or sentiment; a version tells it as well")
	return &n
}

// modelName is a name of models. It is the value of a flag.
type modelName string

// String, Set and Type implement pflag.Value.
func (n *modelName) String() string { return string(*n) }
func (n *modelName) Type() string   { return "name" }
func (n *modelName) Set(s string) error {
	if s != content.ModelName && s != headlineName && s != sentimentName {
		return fmt.Errorf("want %s, %s or %s", content.ModelName, headlineName, sentimentName)
	}
	*n = modelName(s)
	return nil
}

// tone tells whether a command is about the model of tone.
func (n *modelName) tone(args []string) bool {
	return *n == sentimentName || len(args) > 0 && strings.HasPrefix(args[0], sentimentName+"-")
}

// headline tells whether a command is about the model that ranks subjects.
func (n *modelName) headline(args []string) bool {
	return *n == headlineName || len(args) > 0 && strings.HasPrefix(args[0], headlineName+"-")
}

// shippedToneCard is the card of the build's model of tone.
func shippedToneCard() (lstm.Card, []byte, error) {
	version, file, err := shippedTone()
	if err != nil {
		return lstm.Card{}, nil, err
	}
	m, err := sentiment.Decode(file)
	if err != nil {
		return lstm.Card{}, nil, err
	}
	c := m.Card()
	return lstm.Card{
		Name: sentimentName, Version: version, Bytes: len(file), Seed: strconv.FormatUint(c.Seed, 10), Corpus: c.Corpus,
		Data: fmt.Sprintf("%d texts of the shipped corpus", c.Examples), Note: "shipped with the program",
	}, file, nil
}

// toneModels is the registry as that of models of tone.
func toneModels(r *lstm.Registry) *lstm.Registry {
	return r.Of(func(file []byte) error {
		_, err := sentiment.Decode(file)
		return err
	})
}

// loadTone returns a version of the registry, or the shipped one.
func loadTone(r *lstm.Registry, version string) (lstm.Card, []byte, error) {
	if version == shippedWord {
		return shippedToneCard()
	}
	card, file, err := r.Load(sentimentName, version)
	return card, file, notFoundModel(err)
}

func showTone(cmd *cobra.Command, r *lstm.Registry, version string) error {
	card, file, err := loadTone(r, version)
	if err != nil {
		return err
	}
	m, err := sentiment.Decode(file)
	if err != nil {
		return err
	}
	e := json.NewEncoder(cmd.OutOrStdout())
	e.SetIndent("", "  ")
	return e.Encode(map[string]any{"card": card, "model": m.Card()})
}

func listTone(cmd *cobra.Command, r *lstm.Registry, asJSON bool) error {
	shipped, _, err := shippedToneCard()
	if err != nil {
		return err
	}
	cards, err := r.List(sentimentName)
	if err != nil {
		return err
	}
	current, err := r.Current(sentimentName)
	if err != nil {
		return err
	}
	cards = slices.Insert(cards, 0, shipped)
	if asJSON {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]any{"current": current, "models": cards})
	}
	for i, c := range cards {
		mark, made := " ", c.Created.Format("2006-01-02 15:04")
		if i == 0 {
			made = shippedWord
		}
		if i == 0 && current == "" || i > 0 && c.Version == current {
			mark = "*"
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s %s  %-16s  %s", mark, c.Version, made, c.Data)
		if a, ok := c.Metrics["own_accuracy"]; ok {
			fmt.Fprintf(cmd.OutOrStdout(), "  accuracy %.3f", a)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "  %d bytes\n", c.Bytes)
	}
	return nil
}

func promoteTone(cmd *cobra.Command, r *lstm.Registry, asked string) error {
	card, _, err := loadTone(r, asked)
	if err != nil {
		return err
	}
	version := card.Version
	if asked == shippedWord {
		version = ""
	}
	if err := toneModels(r).Promote(sentimentName, version, time.Now().UTC()); err != nil {
		return notFoundModel(err)
	}
	return saysTone(cmd, card.Version)
}

func rollbackTone(cmd *cobra.Command, r *lstm.Registry) error {
	version, err := toneModels(r).Rollback(sentimentName, time.Now().UTC())
	if err != nil {
		return notFoundModel(err)
	}
	if version == "" {
		version = "the shipped model"
	}
	return saysTone(cmd, version)
}

// saysTone says when a promotion holds: what was judged is judged, so that a run that
// reads the log again must be able to judge the same.
func saysTone(cmd *cobra.Command, version string) error {
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s is in use from the next start or activation on, where shop.yaml says sentiment: {model: current}\n", version)
	return err
}
