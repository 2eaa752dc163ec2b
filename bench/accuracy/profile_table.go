package accuracy

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// WriteProfileTable writes results as tables, one for each kind of question.
func WriteProfileTable(w io.Writer, all []ProfileResult) error {
	var b strings.Builder
	section := func(title, head string, is func(r *ProfileResult) bool, row func(r *ProfileResult) string) {
		some := false
		for i := range all {
			if !is(&all[i]) {
				continue
			}
			if !some {
				fmt.Fprintf(&b, "%s\n%-22s %-46s %7s  %s %9s\n", title, "set", "method", "rows", head, "seconds")
				some = true
			}
			r := &all[i]
			fmt.Fprintf(&b, "%-22s %-46s %7d  %s %9.3f\n", r.Name, r.Method, r.Rows, row(r), r.Seconds)
		}
		if some {
			b.WriteString("\n")
		}
	}
	section("Principal components: variance held over the most that can be, after one pass", "axes  best    file    median  worst  ",
		func(r *ProfileResult) bool { return r.Components > 0 },
		func(r *ProfileResult) string {
			return fmt.Sprintf("%4d  %.4f  %.4f  %.4f  %.4f ", r.Components, r.Explained, r.Captured, r.CapturedMd, r.CapturedLo)
		})
	section("Groups: squared error over the best of 20 batch runs", "  k  file    median  worst  ",
		func(r *ProfileResult) bool { return r.SSE > 0 },
		func(r *ProfileResult) string {
			return fmt.Sprintf("%3d  %.3f   %.3f   %.3f  ", r.K, r.SSE, r.SSEMedian, r.SSEWorst)
		})
	section("Groups: adjusted Rand index from one period to the next", "periods  median  worst   silhouette ",
		func(r *ProfileResult) bool { return r.Periods > 0 },
		func(r *ProfileResult) string {
			return fmt.Sprintf("%7d  %.3f   %.3f   %.3f      ", r.Periods, r.Stability, r.StabilityLo, r.Silhouette)
		})
	for i := range all {
		if len(all[i].Clusters) > 0 {
			fmt.Fprintf(&b, "Groups of %s:\n  %s\n\n", all[i].Name, strings.Join(all[i].Clusters, "\n  "))
		}
	}
	section("Orders after the calibration", "weeks  ahead  MAE     RMSE    sum    AUC   ",
		func(r *ProfileResult) bool { return r.Weeks > 0 },
		func(r *ProfileResult) string {
			return fmt.Sprintf("%5.1f  %5.1f  %.4f  %.4f  %.3f  %.4f", r.Weeks, r.Ahead, r.MAE, r.RMSE, r.Total, r.AUC)
		})
	for i := range all {
		if r := &all[i]; r.R > 0 {
			fmt.Fprintf(&b, "%s, %s: r %.3f, alpha %.3f weeks, a %.3f, b %.3f, log-likelihood %.1f\n", r.Name, r.Method, r.R, r.Alpha, r.A, r.B, r.LogLikes)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteProfileJSON writes results as one object on one line.
func WriteProfileJSON(w io.Writer, all []ProfileResult) error {
	return json.NewEncoder(w).Encode(struct {
		Sets []ProfileResult `json:"sets"`
	}{all})
}
