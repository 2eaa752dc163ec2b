package experiment_test

import (
	"math/rand/v2"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"millrace/operators/experiment"
)

// hour in milliseconds.
const hour = int64(3600 * 1000)

// TestCredit: an order is credited to the last human click before it and within the
// window, if that was on a mail of the experiment.
func TestCredit(t *testing.T) {
	mail, other := experiment.Hash("decision", "d"), experiment.Hash("decision", "e")
	f := func(credit experiment.Credit, want int64, outcomes ...experiment.Outcome) {
		t.Helper()
		r := trial(t, "e", 0)
		r.Credit = credit
		if err := r.Start(); err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(1, 2))
		for range 10 {
			all := []step{{Key: "p", At: hour, Decide: "d"}}
			rng.Shuffle(len(outcomes), func(i, j int) { outcomes[i], outcomes[j] = outcomes[j], outcomes[i] })
			for i, o := range outcomes {
				s := step{Key: "p", At: hour, Outcome: &o}
				switch o.Mail {
				case mail:
					s.Mail = "d"
				case other:
					s.Mail = "e"
				}
				o.ID = experiment.Hash(o.Name, strconv.FormatInt(o.At, 10)+s.Mail)
				all = append(all, s, all[max(0, len(all)-1-i%2)])
			}
			p := process(t, map[string]*experiment.Running{"p": r}, all, cut{}).read(r.Key())
			sum := int64(0)
			for _, a := range p.Figures(r, &experiment.Stops{}, 0, 0).Arms {
				sum += a.Metric(experiment.MetricAttributedRevenue).Sum
			}
			if sum != want {
				t.Fatalf("%+v: credited %d, want %d", outcomes, sum, want)
			}
		}
	}
	at := func(name string, hours float64, mail uint64) experiment.Outcome {
		return experiment.Outcome{Name: name, At: hour + int64(hours*float64(hour)), Amount: 1, Mail: mail}
	}
	order := experiment.Outcome{Name: experiment.OutcomeOrder, At: 31 * hour, Amount: 700}
	last := experiment.Credit{}
	// Not without a click, and opens are none.
	f(last, 0, order, at(experiment.OutcomeOpen, 2, mail))
	f(last, 700, order, at(experiment.OutcomeClick, 2, mail))
	// A click after the order earned nothing.
	f(last, 0, order, at(experiment.OutcomeClick, 40, mail))
	// The last one counts, and it was another journey's.
	f(last, 0, order, at(experiment.OutcomeClick, 2, mail), at(experiment.OutcomeClick, 3, other))
	f(last, 700, order, at(experiment.OutcomeClick, 4, mail), at(experiment.OutcomeClick, 3, other))
	// A scanner's click a second from it takes it back, whichever is read first; an hour apart not.
	f(last, 0, order, at(experiment.OutcomeClick, 2, mail), at(experiment.OutcomeScan, 2.0002, mail))
	f(last, 700, order, at(experiment.OutcomeClick, 2, mail), at(experiment.OutcomeScan, 3, mail))
	f(last, 700, order, at(experiment.OutcomeClick, 2, mail), at(experiment.OutcomeScan, 2.0002, other))
	// Beyond the window.
	f(experiment.Credit{Window: 24 * hour}, 0, order, at(experiment.OutcomeClick, 2, mail))
	f(experiment.Credit{Window: 29 * hour}, 700, order, at(experiment.OutcomeClick, 2, mail))
	// Any mail, clicked or not.
	f(experiment.Credit{Exposure: true}, 700, order, at(experiment.OutcomeSent, 0, mail))
	f(experiment.Credit{Exposure: true}, 0, order, at(experiment.OutcomeClick, 0, mail))
}

// TestMergedPerson: two persons who become one count once, in the variant that was met
// first, whatever stands before and after the merge; the sums are those of a person who
// did all of it himself.
func TestMergedPerson(t *testing.T) {
	r := trial(t, "e", 0.2)
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 3))
		var all []step
		arms := make(map[string]int)
		first, firstAt, conflict := "", int64(0), false
		var seen []experiment.Outcome
		for i := range rapid.IntRange(2, 12).Draw(t, "events") {
			who := []string{"old", "new"}[rng.IntN(2)]
			if rng.IntN(2) == 0 {
				at := 1_000_000 + int64(rng.IntN(1000))*1000 + int64(i)
				all = append(all, step{Key: who, At: at, Decide: "d" + strconv.Itoa(i)})
				if _, known := arms[who]; !known || at < firstAt {
					arms[who] = r.Place(who, "").Arm
				}
				if first == "" || at < firstAt {
					first, firstAt = who, at
				}
				continue
			}
			o := experiment.Outcome{ID: uint64(rng.IntN(6) + 1), Name: experiment.OutcomeOrder, At: 3_000_000, Amount: 500}
			if rng.IntN(4) == 0 {
				o.Gone = true
			}
			if _, in := arms[who]; in { // of others nothing is kept
				seen = append(seen, o)
			}
			all = append(all, step{Key: who, At: 1_000_000, Outcome: &o})
		}
		all = append(all, step{Key: "old", MergeInto: "new"})
		c := cut{Epoch: rapid.IntRange(1, 5).Draw(t, "epoch"), Crash: rapid.IntRange(0, 4).Draw(t, "crash")}
		p := process(t, map[string]*experiment.Running{"p": r}, all, c).read(r.Key())
		units, revenue := int64(0), int64(0)
		f := p.Figures(r, &experiment.Stops{}, 0, 0)
		for arm := range f.Arms {
			if n := f.Arms[arm].Units; n > 0 && arm != arms[first] {
				t.Fatalf("counted in %s, first met %s", f.Arms[arm].Name, r.Arms()[arms[first]])
			}
			units += f.Arms[arm].Units
			revenue += f.Arms[arm].Metric(experiment.MetricRevenue).Sum
		}
		if want := int64(min(1, len(arms))); units != want {
			t.Fatalf("%d units, want %d", units, want)
		}
		gone, want := map[uint64]bool{}, map[uint64]bool{}
		for _, o := range seen {
			want[o.ID] = true
			gone[o.ID] = gone[o.ID] || o.Gone
		}
		sum := int64(0)
		for id := range want {
			if !gone[id] {
				sum += 500
			}
		}
		if revenue != sum {
			t.Fatalf("revenue %d, want %d", revenue, sum)
		}
		if len(arms) == 2 {
			conflict = arms["old"] != arms["new"]
		}
		if got := p.Merged == 1; got != conflict {
			t.Fatalf("conflicts %d, want %v", p.Merged, conflict)
		}
	})
}
