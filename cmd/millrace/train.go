package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"millrace/operators/content"
)

func newTrain() *cobra.Command {
	var o content.TrainOptions
	var path string
	cmd := &cobra.Command{
		Use:   "train",
		Short: "Train the model that writes subject lines",
		Long: `Train fits the subject model to the corpus that is shipped, checks that it heeds its
condition, and writes it to a file. The shipped model was made by this command.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
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
				return err
			}
			raw, err := content.EncodeModel(model)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d steps, loss %.3f, held out %.3f\non topic %v, with shuffled conditions %v\n",
				report.Steps, report.Loss, report.Held, report.Control, report.Shuffled)
			return writeFile(path, raw)
		},
	}
	cmd.Flags().StringVarP(&path, "out", "o", "subject.safetensors", "file to write")
	cmd.Flags().Uint64Var(&o.Seed, "seed", 0, "seed of the training (default: that of the shipped model)")
	cmd.Flags().IntVar(&o.Steps, "steps", 0, "steps at most (default: as many as the shipped model took)")
	return cmd
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
