package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/spf13/cobra"

	"millrace/configs"
)

func newCheck() *cobra.Command {
	var o output
	cmd := &cobra.Command{
		Use:   "check FILE…",
		Short: "Check pipeline files; exit 78 when one is wrong",
		Args:  wantArgs(1, math.MaxInt),
		RunE: func(cmd *cobra.Command, args []string) error {
			problems := configs.Check(args...)
			if o.format == "json" {
				if problems == nil {
					problems = configs.Problems{}
				}
				if err := json.NewEncoder(cmd.OutOrStdout()).Encode(problems); err != nil {
					return err
				}
			} else {
				for _, p := range problems {
					fmt.Fprintln(cmd.OutOrStdout(), p)
				}
			}
			switch len(problems) {
			case 0:
				fmt.Fprintln(cmd.ErrOrStderr(), "ok")
				return nil
			case 1:
				return &exitError{exitConfig, errors.New("1 problem")}
			default:
				return &exitError{exitConfig, fmt.Errorf("%d problems", len(problems))}
			}
		},
	}
	o.flag(cmd)
	return cmd
}

func newExplain() *cobra.Command {
	return &cobra.Command{
		Use:   "explain FILE…",
		Short: "Say in sentences what pipelines do",
		Args:  wantArgs(1, math.MaxInt),
		RunE: func(cmd *cobra.Command, args []string) error {
			set, err := configs.Load(args...)
			if err != nil {
				return &exitError{exitConfig, err}
			}
			for _, j := range set.Journeys {
				fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", j.Name, configs.Explain(j))
			}
			return nil
		},
	}
}

func newSchema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of pipeline files, for editors",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := configs.NewLoader(configs.Options{})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), string(l.Schema()))
			return err
		},
	}
}
