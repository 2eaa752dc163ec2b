package operators

import (
	"strings"
	"sync"

	"millrace/configs"
	"millrace/engine"
	"millrace/operators/event"
	"millrace/operators/profile"
)

// This file wires the figures of data quality, and who is too fast for a shopper.

// Pace turns the quality section of a set into what the graph keeps; nil without any.
func Pace(set *configs.Set) *profile.PaceOptions {
	q := set.Shop.Quality
	if q == nil {
		return nil
	}
	return &profile.PaceOptions{PerMinute: q.PerMinute, Excess: float64(q.Excess), HalfLife: q.HalfLife}
}

// addPace adds the operator that notices who is too fast, if the shop asks for it. It
// stands before all that learn.
func (p *Pipeline) addPace(o *Options) {
	if o.Pace == nil {
		return
	}
	p.pace = profile.NewPaceKeeper(*o.Pace, o.PeopleMax)
	p.pace.Fast = func(u *profile.Update) { p.Counters.Quality.more(u.Event.Source, ProblemFast) }
	p.people.Use("pace", p.pace)
	p.visitor.Pace = p.pace
	p.Graph.Keep(p.pace.Cell, p.pace.Visitors)
}

// paceSize is how many bytes the pace of the current key would hand over.
func (p *Pipeline) paceSize(c *engine.Ctx) int {
	if p.pace == nil {
		return 0
	}
	return len(engine.Value(c, p.pace.Cell).AppendTo(nil))
}

// Problem is a way in which events of a source are wanting: that of a profile.Fault, or
// one of those that only show in the state of their person.
type Problem string

// The problems beside the faults of package profile.
const (
	ProblemDuplicate Problem = "duplicate" // came before
	ProblemFast      Problem = "too fast"  // by somebody who is no shopper
)

// SourceProblems is how one source does.
type SourceProblems struct {
	Source   string
	Events   uint64
	Problems []ProblemCount // of those that there are, by name of the fault's class and order
}

// ProblemCount is how often there was one, and what it is a case of: "missing", "late",
// "out of range" or "repeated".
type ProblemCount struct {
	Problem Problem
	Class   string
	Count   uint64
}

// Quality counts what is wanting in the events of each source since this process started.
// Sources are those of the write keys; at most profile.MaxSources are told apart. Safe for
// concurrent use.
type Quality struct {
	mu     sync.Mutex
	faults profile.Quality
	rest   map[sourceProblem]uint64
}

type sourceProblem struct {
	source  string
	problem Problem
}

// NewQuality makes one that has seen nothing.
func NewQuality() *Quality { return &Quality{rest: make(map[sourceProblem]uint64)} }

// add counts the events of one message. It runs ahead of the engine's loop, in the
// goroutine that decodes.
func (q *Quality) add(records []event.Record) {
	if q == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range records {
		if e := records[i].Event; e != nil && e.Person == "" { // feedback of our own is no source
			q.faults.Add(e)
		}
	}
}

// more counts a problem that the state of a person showed.
func (q *Quality) more(source string, problem Problem) {
	q.mu.Lock()
	defer q.mu.Unlock()
	at := sourceProblem{strings.Clone(source), problem}
	if _, known := q.rest[at]; !known && len(q.rest) >= 2*profile.MaxSources {
		at.source = profile.OtherSources
	}
	q.rest[at]++
}

// Sources are the figures of all sources, by name.
func (q *Quality) Sources() []SourceProblems {
	q.mu.Lock()
	defer q.mu.Unlock()
	var all []SourceProblems
	for _, s := range q.faults.Sources() {
		out := SourceProblems{Source: s.Source, Events: s.Events}
		for _, f := range profile.Faults() {
			if n := s.Counts[f]; n > 0 {
				out.Problems = append(out.Problems, ProblemCount{Problem(f.String()), f.Class(), n})
			}
		}
		for _, p := range [...]struct {
			problem Problem
			class   string
		}{{ProblemDuplicate, "repeated"}, {ProblemFast, "out of range"}} {
			if n := q.rest[sourceProblem{s.Source, p.problem}]; n > 0 {
				out.Problems = append(out.Problems, ProblemCount{p.problem, p.class, n})
			}
		}
		all = append(all, out)
	}
	return all
}
