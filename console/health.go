package console

import (
	"context"
	"net/http"
)

// CheckResult is how one check ended.
type CheckResult struct {
	Name  string `json:"name"`
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
}

// health is the answer of /readyz.
type health struct {
	Status string        `json:"status"`           // "ok" or "failed"
	Failed string        `json:"failed,omitempty"` // the first check that failed
	Checks []CheckResult `json:"checks"`
}

// runChecks asks each check in turn within one deadline.
func runChecks(ctx context.Context, o Options) []CheckResult {
	ctx, cancel := context.WithTimeout(ctx, o.CheckWait)
	defer cancel()
	out := make([]CheckResult, 0, len(o.Checks))
	for _, c := range o.Checks {
		r := CheckResult{Name: c.Name, OK: true}
		if err := c.Func(ctx); err != nil {
			r.OK, r.Error = false, err.Error()
		}
		out = append(out, r)
	}
	return out
}

// livez says that the process answers. It asks nothing else: a restart would not
// cure what a check finds.
func (c *Console) livez(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// readyz says whether every check passes, and which does not.
func (c *Console) readyz(w http.ResponseWriter, r *http.Request) {
	out := health{Status: "ok", Checks: runChecks(r.Context(), c.opt)}
	status := http.StatusOK
	for _, res := range out.Checks {
		if !res.OK {
			out.Status, out.Failed, status = "failed", res.Name, http.StatusServiceUnavailable
			break
		}
	}
	writeJSON(w, status, out)
}
