package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"millrace/engine"
	"millrace/operators"
)

func newCampaigns() *cobra.Command {
	var f files
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "campaigns",
		Short: "Show what the mails of each journey led to",
		Long: `Shows for each journey of the running program how many people were mailed, and what came
of it: delivered, opened, clicked, clicks for each who opened, orders, revenue for each mail,
unsubscribes, complaints and bounces. A journey is measured if it has variants, a holdout or
a measure.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := dialSocket(cmd.Context(), f)
			if err != nil {
				return err
			}
			if c == nil {
				return errNotRunning
			}
			var all []operators.Campaign
			if err := call(cmd.Context(), c, http.MethodGet, "/campaigns", &all); err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(all)
			}
			return campaignsText(cmd.OutOrStdout(), all)
		},
	}
	cmd.Flags().StringVar(&f.dir, "data-dir", "data", "of which program")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one list of objects")
	return cmd
}

// campaignAnswers answers what journeys led to.
func (a *app) campaignAnswers(mux *http.ServeMux) {
	mux.HandleFunc("GET /campaigns", func(w http.ResponseWriter, _ *http.Request) {
		now := a.acts.current()
		answer, err := viewed(a, func(v *engine.View) ([]operators.Campaign, error) { return now.pipeline.Campaigns(v, now.journeys) })
		writeAnswer(w, answer, err)
	})
}

func campaignsText(w io.Writer, all []operators.Campaign) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "campaign\tpeople\tmails\tsent\tdelivered\topen\tclick\tclick-to-open\torder\tcredited\trevenue\ta mail\tunsubscribe\tcomplaint\tbounce\t")
	for i := range all {
		c := &all[i]
		if !c.Measured {
			fmt.Fprintf(t, "%s\tnot measured\t\n", c.Pipeline)
		}
		for _, r := range c.Rows {
			name := c.Pipeline
			if r.Variant != "" {
				name = "  " + r.Variant
			}
			share := func(n int64) string {
				if r.Sent == 0 {
					return "-"
				}
				return fmt.Sprintf("%.2f%%", 100*float64(n)/float64(r.Sent))
			}
			fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%s\t%s\t%s\t%.1f%%\t%s\t%s\t%.2f\t%.2f\t%s\t%s\t%s\t\n", name, r.People, r.Mails, r.Sent,
				share(r.Delivered), share(r.Opened), share(r.Clicked), 100*r.ClickToOpen, share(r.Converted), share(r.Attributed),
				float64(r.Revenue)/100, r.RevenuePerMail/100, share(r.Unsubscribed), share(r.Complained), share(r.Bounced))
			if l := r.Incremental; l != nil {
				fmt.Fprintf(t, "  beyond the holdout\t\t\t\t\t\t\t\t\t\t%.2f\t(%.2f … %.2f)\t\n", l.Revenue/100, l.Lo/100, l.Hi/100)
			}
		}
	}
	return t.Flush()
}
