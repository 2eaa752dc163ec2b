package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"millrace/operators/content"
	"millrace/operators/lstm"
)

func newTrain() *cobra.Command {
	var o content.TrainOptions
	var path, logDir, cell, registry, own string
	cmd := &cobra.Command{
		Use:   "train",
		Short: "Train the model that writes the lines of mails",
		Long: `Train fits the model to the corpus that is shipped, and the shop's own lines if there are, checks that it heeds its
condition, and writes it to a file. The shipped model was made by this command. With
--data-dir the model goes into the registry of that directory instead, where "millrace
model promote" puts it in use.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if cell != "lstm" && cell != string(lstm.GRU) {
				return &exitError{exitUsage, fmt.Errorf("--cell %q, lstm or gru", cell)}
			}
			if cell == string(lstm.GRU) {
				o.Cell = lstm.GRU
			}
			if err := trainable(o); err != nil {
				return &exitError{exitUsage, err}
			}
			if o.Own, err = ownLines(own, registry); err != nil {
				return err
			}
			var curves bytes.Buffer
			raw, report, err := trainLogged(cmd, o, logDir, &curves)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d steps, loss %.3f, held out %.3f after step %d\non topic %.3f, with shuffled conditions %.3f\n",
				report.Steps, report.Loss, report.Held, report.Best, report.Control.Share, report.Shuffled.Share)
			if report.Mean > 0 {
				fmt.Fprintf(cmd.OutOrStdout(), "mean of the last weights: held out %.4f, the best alone %.4f, so the %s\n",
					report.Mean, report.Alone, map[bool]string{true: "mean is kept", false: "best alone is"}[report.Averaged > 0])
			}
			if registry == "" {
				return writeFile(path, raw)
			}
			card, err := content.CardOf(raw, time.Now().UTC())
			if err == nil {
				card, err = lstm.NewRegistry(filepath.Join(registry, modelsDir)).Add(raw, card)
			}
			if err != nil {
				return err
			}
			if err := lstm.NewRegistry(filepath.Join(registry, modelsDir)).KeepCurves(card.Name, card.Version, curves.Bytes()); err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), card.Version)
			return err
		},
	}
	cmd.Flags().StringVarP(&path, "out", "o", "subject.safetensors", "file to write")
	cmd.Flags().StringVar(&registry, "data-dir", "", "data directory whose registry takes the model, instead of a file")
	cmd.Flags().StringVar(&own, "corpus", "", "file of lines of the shop's own (default: what \"millrace corpus import\" put into --data-dir)")
	cmd.Flags().StringVar(&logDir, "log", "", "folder for the learning curves, as TensorBoard event files")
	cmd.Flags().Uint64Var(&o.Seed, "seed", 0, "seed of the training (default: that of the shipped model)")
	cmd.Flags().IntVar(&o.Steps, "steps", 0, "steps at most (default: as many as the shipped model took)")
	cmd.Flags().StringVar(&cell, "cell", "lstm", "kind of cells: lstm or gru")
	cmd.Flags().BoolVar(&o.Tied, "tied", false, "let the output read the embeddings")
	cmd.Flags().IntVar(&o.Hidden, "hidden", 0, "cells (default 128)")
	cmd.Flags().Float64Var(&o.Dropout, "dropout", 0, "share of the cells' outputs left out while learning")
	cmd.Flags().Float64Var(&o.Rate, "rate", 0, "step size at its highest (default .006)")
	cmd.Flags().Float64Var(&o.Clip, "clip", 0, "longest gradient (default 1)")
	cmd.Flags().IntVar(&o.Average, "average", 0, "also try the mean of so many of the last measured weights, and keep it where it measures better")
	cmd.Flags().IntVar(&o.Patience, "patience", 0, "stop when as many measurements of the held-out loss, one every 100 steps, bring nothing better (default: never)")
	return cmd
}

// averagedMost is of how many weights a mean may be asked for; each is a copy in memory.
const averagedMost = 16

// trainable refuses options that no training can have.
func trainable(o content.TrainOptions) error {
	if o.Steps < 0 || o.Steps > 1_000_000 || o.Hidden < 0 || o.Hidden > 512 || o.Patience < 0 || o.Average < 0 || o.Average > averagedMost {
		return fmt.Errorf("%d steps (at most 1000000), %d cells (at most 512), patience %d, average of %d (at most %d)", o.Steps, o.Hidden, o.Patience, o.Average, averagedMost)
	}
	if !(o.Dropout >= 0 && o.Dropout <= .9) || !(o.Rate >= 0 && o.Rate <= 1) || !(o.Clip >= 0 && o.Clip <= 1e6) {
		return fmt.Errorf("dropout %g (0 to .9), rate %g (0 to 1), clip %g (0 to 1e6)", o.Dropout, o.Rate, o.Clip)
	}
	return nil
}

// trainLogged trains with a progress bar, writes the learning curves to w and into a
// folder unless it is "", and returns the model's file.
func trainLogged(cmd *cobra.Command, o content.TrainOptions, dir string, w io.Writer) (raw []byte, report content.Report, err error) {
	curves, err := lstm.NewCurveWriter(w, time.Now())
	if err != nil {
		return nil, report, err
	}
	o.Curve = func(step int, tag string, value float64) error {
		return curves.Write(lstm.Point{Step: int64(step), Tag: tag, Value: float32(value), At: time.Now()})
	}
	if dir != "" {
		log, err := newCurveLog(dir)
		if err != nil {
			return nil, report, err
		}
		defer func() { err = errors.Join(err, log.Close()) }()
		both := o.Curve
		o.Curve = func(step int, tag string, value float64) error {
			return errors.Join(both(step, tag, value), log.point(step, tag, value))
		}
	}
	var bar *progressbar.ProgressBar
	model, report, err := content.Train(cmd.Context(), o, func(step, total int, loss float64) {
		if bar == nil {
			bar = progressbar.NewOptions(total, progressbar.OptionSetWriter(cmd.ErrOrStderr()), progressbar.OptionShowCount())
		}
		bar.Describe(fmt.Sprintf("loss %.3f", loss))
		_ = bar.Set(step)
	})
	if bar != nil {
		_ = bar.Finish()
		fmt.Fprintln(cmd.ErrOrStderr())
	}
	if err != nil {
		return nil, report, err
	}
	raw, err = content.EncodeModel(model)
	return raw, report, err
}

// curveLog is an event file of TensorBoard.
type curveLog struct {
	*os.File
	writer *lstm.CurveWriter
}

func newCurveLog(dir string) (*curveLog, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("learning curves: %w", err)
	}
	now := time.Now()
	f, err := os.Create(filepath.Join(dir, fmt.Sprintf("events.out.tfevents.%d.millrace", now.Unix())))
	if err != nil {
		return nil, fmt.Errorf("learning curves: %w", err)
	}
	w, err := lstm.NewCurveWriter(f, now)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &curveLog{f, w}, nil
}

func (l *curveLog) point(step int, tag string, value float64) error {
	return l.writer.Write(lstm.Point{Step: int64(step), Tag: tag, Value: float32(value), At: time.Now()})
}

// writeFile writes a file whole or not at all.
func writeFile(path string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".millrace-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = tmp.Write(data)
	if err == nil {
		err = tmp.Sync()
	}
	if closeErr := tmp.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
