package main

import "github.com/spf13/cobra"

func newModel() *cobra.Command {
	cmd := &cobra.Command{Use: "model", Short: "Make, judge and choose models"}
	train := &cobra.Command{Use: "train", Short: "Train a model"}
	train.AddCommand(newModelTrainHeadline(), newModelTrainSubject(), newModelTrainSentiment())
	cmd.AddCommand(train, newModelList(), newModelShow(), newModelEval(), newModelPromote(), newModelRollback(), newModelTune())
	return cmd
}
