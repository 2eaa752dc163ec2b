// Command millrace runs the stream engine for real-time, personalised e-mail.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"millrace/engine"
	"millrace/engine/stream"
	"millrace/operators/mail"
	"millrace/state"
)

// Exit codes, as documented in docs/operations.md.
const (
	exitFailure  = 1
	exitUsage    = 2
	exitNotFound = 3
	exitConfig   = 78 // EX_CONFIG
)

// exitError is an error with an exit code of its own.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func main() {
	ctx, stop := signals()
	defer stop()
	root := newRoot()
	err := root.ExecuteContext(ctx)
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "millrace:", err)
	if a := advice(err); a != "" {
		fmt.Fprintln(os.Stderr, a)
	}
	code := exitFailure
	if e, ok := errors.AsType[*exitError](err); ok {
		code = e.code
	}
	stop()
	os.Exit(code) //nolint:gocritic // stop was called
}

// advice says what can be done about an error whose text does not.
func advice(err error) string {
	switch {
	case errors.Is(err, state.ErrDamaged):
		return "Restore a backup of the data directory, or move only its folder state away and start again:\n" +
			"the state is read anew from the log, as far back as that reaches, and no mail leaves twice."
	case errors.Is(err, mail.ErrJournalCorrupt):
		return "Restore the folder journal from a backup, or move it away and start again: receipts in the log still\n" +
			"keep mails from leaving twice, but one whose sending a crash cut short may."
	case errors.Is(err, stream.ErrLogBroken):
		return "Make room, or repair the disk, and start again: nothing that was acknowledged is lost."
	case errors.Is(err, stream.ErrGap), errors.Is(err, engine.ErrLogTrimmed), errors.Is(err, engine.ErrLogRewound),
		errors.Is(err, engine.ErrLogRecreated), errors.Is(err, engine.ErrLogDiffers):
		return "Restore a backup of the data directory, or go on with what there is: --accept-gap"
	}
	return ""
}

// signals ends the context at the first SIGTERM or interrupt, and the process at the
// second.
func signals() (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ch := make(chan os.Signal, 2)
	signal.Notify(ch, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-ch
		cancel()
		<-ch
		fmt.Fprintln(os.Stderr, "millrace: stopped at once; what was not committed is read again at the next start")
		os.Exit(exitFailure)
	}()
	return ctx, func() {
		signal.Stop(ch)
		cancel()
	}
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "millrace",
		Short: "Real-time, personalised e-mail from a stream of behaviour events",
		Long: `Millrace reads what shoppers do, keeps a picture of each of them, and when a
trigger fires (a cart is left for an hour) writes a mail and sends it, once.

Everything is in this one program: the log (NATS JetStream), the state (Badger),
the model that writes the subjects, the sender, a test inbox and a console.`,
		Example: `  millrace dev                                     the whole thing, with a simulated shop
  millrace run -c configs/cart-abandonment.yaml    the real thing
  millrace check configs/*.yaml                    is the configuration right?
  millrace why c-1042 --data-dir data              why did this person get a mail, or not?`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       version(),
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &exitError{exitUsage, err} })
	root.AddCommand(
		newDev(), newRun(), newImport(), newCheck(), newExplain(), newSchema(),
		newProfile(), newRecommend(), newWhy(), newDeadLetters(), newTrain(), newEval(), newModel(), newCorpus(), newMails(), newLabel(),
		newApply(), newRollback(), newVersions(),
		newAbstat(), newExperiment(), newCampaigns(), newSegments(), newState(), newBench(), newVersion(),
	)
	refuseMisuse(root)
	return root
}

// refuseMisuse makes arguments that cannot be meant end with exitUsage and a line that
// says how the command is used, for cmd and those below it.
func refuseMisuse(cmd *cobra.Command) {
	check := cmd.Args
	if cmd.HasSubCommands() {
		check = unknownCommand
		if cmd.RunE == nil {
			cmd.RunE = helps
		}
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return &exitError{exitUsage, fmt.Errorf("%w\nusage: %s", err, cmd.UseLine())}
		}
		return nil
	}
	for _, c := range cmd.Commands() {
		refuseMisuse(c)
	}
}

func helps(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// unknownCommand refuses what is left over after the name of a group of commands.
func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return fmt.Errorf("no command %q, nearest is %q", args[0], near[0])
	}
	return fmt.Errorf("no command %q", args[0])
}

// noArgs is cobra.NoArgs in other words.
func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("unexpected argument %q", args[0])
	}
	return nil
}

// wantArgs refuses no argument, and more than most of them.
func wantArgs(most int) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) == 0:
			return errors.New("an argument is missing")
		case len(args) > most:
			return fmt.Errorf("unexpected argument %q", args[most])
		}
		return nil
	}
}

// version is the module's version, or the commit it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	if v == "" || v == "(devel)" {
		v = "devel"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && v == "devel" {
			v += " " + s.Value[:min(12, len(s.Value))]
		}
	}
	return v
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "millrace", version())
			return err
		},
	}
}
