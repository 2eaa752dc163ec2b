package console

import "fmt"

// campaign is what the mails of an experiment's journey led to, all variants together.
type campaign struct {
	Name  string
	Cells []string // people, mails, sent, delivered, open, click, click to open, order, revenue, a mail, unsubscribe, complaint
}

// campaignOf puts the arms that are mailed together.
func campaignOf(e *Experiment) campaign {
	sums, people := make(map[string]float64), int64(0)
	for i := range e.Arms {
		a := &e.Arms[i]
		if a.Name == holdout {
			continue
		}
		people += a.Units
		for _, m := range a.Metrics {
			sums[m.Name] += float64(m.Sum)
		}
	}
	out := campaign{Name: clean(e.Name), Cells: []string{number(uint64(max(people, 0))), fmt.Sprintf("%.0f", sums["mails"]), fmt.Sprintf("%.0f", sums["sent"])}}
	share := func(name, of string) string {
		if sums[of] <= 0 {
			return "–"
		}
		return fmt.Sprintf("%.2f%%", 100*sums[name]/sums[of])
	}
	money := func(of float64) string {
		if of <= 0 {
			return "–"
		}
		return fmt.Sprintf("%.2f", sums["revenue"]/100/of)
	}
	out.Cells = append(out.Cells, share("delivered", "sent"), share("open", "sent"), share("click", "sent"), share("click", "open"), share("order", "sent"),
		money(1), money(sums["mails"]), share("unsubscribe", "sent"), share("complaint", "sent"))
	return out
}

// holdout is the arm of the people who are not mailed.
const holdout = "holdout"
