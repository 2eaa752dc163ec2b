package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"millrace/operators/content"
	"millrace/operators/lstm"
)

// modelsDir is the folder of the registry within a data directory.
const modelsDir = "models"

// shippedWord names the model of the build where a version is asked for.
const shippedWord = "shipped"

// notFoundModel gives what is not there its exit code.
func notFoundModel(err error) error {
	if errors.Is(err, lstm.ErrNoModel) {
		return &exitError{exitNotFound, err}
	}
	return err
}

// registryFlag adds --data-dir to a command and returns the registry in it.
func registryFlag(cmd *cobra.Command) func() *lstm.Registry {
	dir := cmd.Flags().String("data-dir", "data", "data directory")
	return func() *lstm.Registry { return lstm.NewRegistry(filepath.Join(*dir, modelsDir)) }
}

// newModelTrainSubject is "millrace train" into the registry.
func newModelTrainSubject() *cobra.Command {
	cmd := newTrain()
	cmd.Use, cmd.Short = "subject", "Train the model that writes subject lines, into the registry"
	if err := cmd.Flags().Set("data-dir", "data"); err != nil {
		panic("BUG: train has no --data-dir")
	}
	f := cmd.Flags().Lookup("data-dir")
	f.DefValue, f.Changed = "data", false
	_ = cmd.Flags().MarkHidden("out") // the registry names its files itself
	return cmd
}

// shippedCard is the card of the build's model.
func shippedCard() (lstm.Card, []byte, error) {
	file, err := content.ShippedModel()
	if err != nil {
		return lstm.Card{}, nil, err
	}
	card, err := content.CardOf(file, time.Time{})
	card.Version, card.Note, card.Bytes = lstm.VersionOf(content.ModelName, file), "shipped with the program", len(file)
	return card, file, err
}

func newModelList() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the versions of the models",
		Long: `List shows the model of subjects that is shipped and those of the registry, oldest first,
and then the models that rank subjects by their clicks. The one in use has a star.
On-topic is the share of subjects that name their trigger or category.`,
		Args: noArgs,
	}
	registry, name := registryFlag(cmd), nameFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		r := registry()
		if name.tone(nil) {
			return listTone(cmd, r, asJSON)
		}
		shipped, _, err := shippedCard()
		if err != nil {
			return err
		}
		cards, err := r.List(content.ModelName)
		if err != nil {
			return err
		}
		current, err := r.Current(content.ModelName)
		if err != nil {
			return err
		}
		cards = append([]lstm.Card{shipped}, cards...)
		headlines, ranking, err := listHeadlines(r)
		if err != nil {
			return err
		}
		if asJSON {
			return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]any{"current": current, "models": cards,
				headlineName: map[string]any{"current": ranking, "models": headlines}})
		}
		for i, c := range cards {
			mark, made := " ", c.Created.Format("2006-01-02 15:04")
			if i == 0 {
				made = shippedWord
			}
			if i == 0 && current == "" || i > 0 && c.Version == current {
				mark = "*"
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s %s  %-16s  held-out loss %.3f  on topic %.3f  %d bytes\n",
				mark, c.Version, made, c.Metrics["held_out_loss"], c.Metrics["control"], c.Bytes)
		}
		for _, c := range headlines {
			mark := " "
			if c.Version == ranking {
				mark = "*"
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s %s  %-16s  %.0f pairs, %.4f in the right order  %d bytes\n",
				mark, c.Version, c.Created.Format("2006-01-02 15:04"), c.Metrics["pairs"], c.Metrics["accuracy"], c.Bytes)
		}
		return nil
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one object")
	return cmd
}

// listHeadlines are the models that rank subjects, and which of them is in use.
func listHeadlines(r *lstm.Registry) ([]lstm.Card, string, error) {
	r = headlinesOf(r)
	cards, err := r.List(headlineName)
	if err != nil {
		return nil, "", err
	}
	current, err := r.Current(headlineName)
	return cards, current, err
}

// loadModel returns a version of the registry, or the shipped one.
func loadModel(r *lstm.Registry, version string) (lstm.Card, []byte, error) {
	if version == shippedWord {
		return shippedCard()
	}
	if strings.HasPrefix(version, headlineName+"-") {
		card, file, err := headlinesOf(r).Load(headlineName, version)
		return card, file, notFoundModel(err)
	}
	card, file, err := r.Load(content.ModelName, version)
	return card, file, notFoundModel(err)
}

func newModelShow() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "show VERSION",
		Short:   "Show the card of a version, after checking its file",
		Example: `  millrace model show shipped`,
		Args:    wantArgs(1),
	}
	registry, name := registryFlag(cmd), nameFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if name.tone(args) {
			return showTone(cmd, registry(), args[0])
		}
		card, _, err := loadModel(registry(), args[0])
		if err != nil {
			return err
		}
		e := json.NewEncoder(cmd.OutOrStdout())
		e.SetIndent("", "  ")
		return e.Encode(card)
	}
	return cmd
}

func newModelEval() *cobra.Command {
	eval := newEvalContent()
	cmd := &cobra.Command{
		Use:   "eval VERSION",
		Short: "Measure a version: millrace eval content for it",
		Args:  wantArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if strings.HasPrefix(args[0], headlineName+"-") {
				return &exitError{exitUsage, errors.New("a model that ranks headlines is measured by millrace eval headline")}
			}
			if args[0] != shippedWord {
				if err := cmd.Flags().Set("version", args[0]); err != nil {
					return err
				}
			} else if err := cmd.Flags().Set("data-dir", ""); err != nil {
				return err
			}
			return eval.RunE(cmd, nil)
		},
	}
	cmd.Flags().AddFlagSet(eval.Flags())
	if err := cmd.Flags().Set("data-dir", "data"); err != nil {
		panic("BUG: eval content has no --data-dir")
	}
	f := cmd.Flags().Lookup("data-dir")
	f.DefValue, f.Changed = "data", false
	_ = cmd.Flags().MarkHidden("version") // it is the argument
	return cmd
}

func newModelPromote() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "promote VERSION",
		Short: "Put a version of a model in use",
		Long: `Promote checks a version of the registry and puts it in use; its name says which model it
is. "shipped" is the model of the program itself; with --name headline it is none, since
none is shipped.`,
		Args: wantArgs(1),
	}
	registry, name := registryFlag(cmd), nameFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		r := registry()
		if name.headline(args) {
			return promoteHeadline(cmd, r, args[0])
		}
		if name.tone(args) {
			return promoteTone(cmd, r, args[0])
		}
		card, file, err := loadModel(r, args[0])
		if err != nil {
			return err
		}
		// What the checksum cannot know: whether this build's writer takes the model.
		if err := content.CheckModel(file); err != nil {
			return err
		}
		version := card.Version
		if args[0] == shippedWord {
			version = ""
		}
		if err := r.Promote(content.ModelName, version, time.Now().UTC()); err != nil {
			return notFoundModel(err)
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is in use\n", card.Version)
		return err
	}
	return cmd
}

// promoteHeadline puts a model that ranks subjects in use, or none for "shipped".
func promoteHeadline(cmd *cobra.Command, r *lstm.Registry, version string) error {
	if version == shippedWord {
		version = ""
	}
	if err := headlinesOf(r).Promote(headlineName, version, time.Now().UTC()); err != nil {
		return notFoundModel(err)
	}
	if version == "" {
		version = noHeadline
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s is in use\n", version)
	return err
}

// noHeadline is said where no model ranks subjects.
const noHeadline = "no model that ranks subjects"

func newModelRollback() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rollback",
		Short: "Take the last promotion of a model back",
		Args:  noArgs,
	}
	registry, name := registryFlag(cmd), nameFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if name.tone(nil) {
			return rollbackTone(cmd, registry())
		}
		r, none, kind := registry(), "the shipped model", content.ModelName
		if name.headline(nil) {
			r, none, kind = headlinesOf(r), noHeadline, headlineName
		}
		version, err := r.Rollback(kind, time.Now().UTC())
		if err != nil {
			return notFoundModel(err)
		}
		if version == "" {
			version = none
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is in use\n", version)
		return err
	}
	return cmd
}
