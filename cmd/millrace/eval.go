package main

import "github.com/spf13/cobra"

func newEval() *cobra.Command {
	cmd := &cobra.Command{Use: "eval", Short: "Measure the models on data sets of your own"}
	cmd.AddCommand(
		newEvalProfile(),
		newEvalRecommend(),
		newEvalSentiment(),
		newEvalHeadline(),
		newEvalContent(),
		newEvalUpworthy(),
	)
	return cmd
}
