package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"millrace/operators/content"
)

// ownFile is where a data directory keeps the lines of the shop.
const ownFile = "corpus/own.txt"

func newCorpus() *cobra.Command {
	cmd := &cobra.Command{Use: "corpus", Short: "Add lines of the shop's own to what the model learns"}
	var dir string
	add := &cobra.Command{
		Use:   "import FILE",
		Short: "Check lines of the shop's own and keep them for training",
		Long: `Import reads a file in the form of the corpus, with heads such as
[en subject cart Kitchen] and a line of a mail on each line below. Behind a line may
stand how often it was sent and clicked: "Your cart is here | 4200 | 93"; lines that
were clicked more count more. Lines that break a rule are refused, each with its place.
The next "millrace model train subject" of the data directory learns what was taken.`,
		Example: `  millrace corpus import lines.txt --data-dir data`,
		Args:    wantArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return importCorpus(cmd, args[0], dir) },
	}
	add.Flags().StringVar(&dir, "data-dir", "data", "data directory that keeps the lines")
	cmd.AddCommand(add)
	return cmd
}

func importCorpus(cmd *cobra.Command, path, dir string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read corpus: %w", err)
	}
	got, err := content.ParseOwn(path, f)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	for _, r := range got.Refused {
		fmt.Fprintln(cmd.ErrOrStderr(), r)
	}
	if len(got.Lines) == 0 {
		return &exitError{exitConfig, fmt.Errorf("%s: no line was taken, %d refused", path, len(got.Refused))}
	}
	before, err := ownLines("", dir)
	if err != nil {
		return err
	}
	// What stands there twice is refused when both are read as one, so it is kept once.
	all, err := content.ParseOwn(ownFile, strings.NewReader(before+got.Text))
	if err != nil {
		return err
	}
	target := filepath.Join(dir, filepath.FromSlash(ownFile))
	if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
		return fmt.Errorf("keep corpus: %w", err)
	}
	if err := writeFile(target, []byte(all.Text)); err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d lines taken, %d of them with reactions; %d refused; %d in all\n",
		len(got.Lines), got.Judged, len(got.Refused), len(all.Lines))
	return err
}

// ownLines are the lines of a file, or those that a data directory keeps.
func ownLines(path, dir string) (string, error) {
	fromDir := path == ""
	if fromDir {
		if dir == "" {
			return "", nil
		}
		path = filepath.Join(dir, filepath.FromSlash(ownFile))
	}
	f, err := os.Open(path)
	if fromDir && errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read corpus: %w", err)
	}
	own, err := content.ParseOwn(path, f)
	if err = errors.Join(err, f.Close()); err != nil {
		return "", err
	}
	if len(own.Refused) > 0 {
		return "", &exitError{exitConfig, fmt.Errorf("%s, and %d more", own.Refused[0], len(own.Refused)-1)}
	}
	return own.Text, nil
}
