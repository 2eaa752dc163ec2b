package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"millrace/engine"
	"millrace/operators/recommend"
)

// Bounds of a question for recommendations.
const (
	recommendMax   = 100 // items of an answer over HTTP: more than a page shows
	sessionMax     = 50  // items of a visit: the older ones say nothing any more
	recommendIDMax = 512 // bytes of an id, as on the console's pages
)

func newRecommend() *cobra.Command {
	var f files
	var o output
	q := question{What: "recommend"}
	explain, asJSON, session := false, false, ""
	cmd := &cobra.Command{
		Use:   "recommend --user USER | --item ITEM | --session ITEM,ITEM,...",
		Short: "Show what goes with a person, an item or a visit",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q.Session = splitSession(session)
			if err := q.checkRecommend(); err != nil {
				return &exitError{exitUsage, err}
			}
			if asJSON {
				o.format = "json"
			}
			var r recommendView
			if err := askAnyone(cmd.Context(), f, q, &r); err != nil {
				return err
			}
			r.explained(explain)
			return o.print(cmd.OutOrStdout(), &r, r.text)
		},
	}
	cmd.Flags().StringVar(&f.dir, "data-dir", "data", "where the state is")
	cmd.Flags().StringVar(&q.User, "user", "", "the shop's id of a person")
	cmd.Flags().StringVar(&q.Item, "item", "", "a product id")
	cmd.Flags().StringVar(&session, "session", "", "the product ids of a visit, oldest first, with commas between")
	cmd.Flags().IntVarP(&q.N, "n", "n", 10, "how many")
	cmd.Flags().BoolVar(&explain, "explain", false, "say what stands behind each item")
	cmd.Flags().BoolVar(&asJSON, "json", false, "the same as -o json")
	o.flag(cmd)
	return cmd
}

// splitSession reads the items of a visit; the newest ones if there are too many.
func splitSession(s string) []string {
	var out []string
	for id := range strings.SplitSeq(s, ",") {
		if id = strings.TrimSpace(id); id != "" {
			out = append(out, id)
		}
	}
	return out[max(0, len(out)-sessionMax):]
}

// checkRecommend tells whether it is clear for whom recommendations are wanted.
func (q *question) checkRecommend() error {
	given := 0
	for _, has := range [...]bool{q.User != "", q.Item != "", len(q.Session) > 0} {
		if has {
			given++
		}
	}
	if given != 1 {
		return errors.New("want one of user, item and session")
	}
	for _, id := range append([]string{q.User, q.Item}, q.Session...) {
		if len(id) > recommendIDMax {
			return fmt.Errorf("an id of %d bytes: want at most %d", len(id), recommendIDMax)
		}
	}
	return nil
}

// recommendFor answers for an item, a visit or a person.
func (a *answers) recommendFor(v *engine.View, q *question) (*recommendView, error) {
	switch {
	case q.Item != "":
		return a.item(v, q.Item, q.N)
	case len(q.Session) > 0:
		scored, err := a.pipeline.RecommendSession(v, q.Session, limit(q.N))
		if err == nil && len(scored) == 0 {
			err = errNotFound
		}
		if err != nil {
			return nil, err
		}
		return &recommendView{Of: strings.Join(q.Session, ","), Items: viewScored(scored)}, nil
	default:
		return a.recommend(v, q.User, q.N)
	}
}

// recommend answers for a person; of whom nothing is known gets what is popular.
func (a *answers) recommend(v *engine.View, user string, n int) (*recommendView, error) {
	_, known, err := a.pipeline.Person(v, user)
	if err != nil {
		return nil, err
	}
	scored, err := a.pipeline.RecommendTo(v, user, limit(n))
	if err != nil {
		return nil, err
	}
	if !known && len(scored) == 0 {
		return nil, errNotFound
	}
	merged, err := a.merged(v, user)
	if err != nil {
		return nil, err
	}
	return &recommendView{Of: user, Cold: !known, Items: viewScored(scored), mergedView: merged}, nil
}

func viewScored(scored []recommend.Scored) []scoredView {
	out := make([]scoredView, 0, len(scored))
	for i := range scored {
		s := &scored[i]
		sv := scoredView{ID: s.Item, Name: s.Facts.Name, Score: round(s.Score), Why: s.Why(), Explain: s.Explain()}
		if s.Facts.HasPrice {
			sv.Price = money(s.Facts.Price, s.Facts.Currency)
		}
		out = append(out, sv)
	}
	return out
}

// explained says of each item either why in full, or in short.
func (r *recommendView) explained(full bool) {
	for i := range r.Items {
		s := &r.Items[i]
		if full {
			s.Why = cmp.Or(s.Explain, s.Why)
		}
		s.Explain = ""
	}
}

func (r *recommendView) text(w io.Writer) {
	r.mergedView.text(w, r.Of)
	fmt.Fprintln(w, strings.TrimSpace(r.Of+" "+r.Name))
	if r.Product != nil {
		fmt.Fprintf(w, "  %s\n", r.Product.line())
	}
	if r.Cold {
		fmt.Fprintln(w, "  nothing is known of this person: what is popular")
	}
	if len(r.Items)+len(r.Relations) == 0 {
		fmt.Fprintln(w, "  nothing yet")
	}
	for i := range r.Items {
		s := &r.Items[i]
		fmt.Fprintf(w, "  %8.3f  %-12s %-44s %-10s %s\n", s.Score, s.ID, s.Name, s.Price, s.Why)
	}
	for _, relation := range slices.Sorted(maps.Keys(r.Relations)) {
		fmt.Fprintf(w, "%s\n", relation)
		for _, n := range r.Relations[relation] {
			fmt.Fprintf(w, "  LLR %9.2f  %7.1f times  %-12s %s\n", n.LLR, n.Shared, n.ID, n.Name)
		}
	}
}

// serveRecommend answers GET /api/recommend?user=|item=|session=&n=&explain= on the
// console's address, behind the console's rules of access.
func (a *app) serveRecommend(w http.ResponseWriter, r *http.Request) {
	in := r.URL.Query()
	q := question{What: "recommend", User: in.Get("user"), Item: in.Get("item"), Session: splitSession(in.Get("session")), N: 10}
	err := q.checkRecommend()
	if s := in.Get("n"); s != "" && err == nil {
		if q.N, err = strconv.Atoi(s); err != nil || q.N < 1 || q.N > recommendMax {
			err = fmt.Errorf("n: want 1 to %d", recommendMax)
		}
	}
	if err != nil {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": err.Error()})
		return
	}
	v := a.engine.View()
	defer v.Close()
	answer, err := (&answers{pipeline: a.acts.current().pipeline}).recommendFor(v, &q)
	if err != nil && !errors.Is(err, errNotFound) {
		a.warn("recommend over HTTP", err)
		err = errors.New("the state could not be read")
	}
	if err == nil {
		answer.explained(in.Get("explain") != "")
	}
	writeAnswer(w, answer, err)
}
