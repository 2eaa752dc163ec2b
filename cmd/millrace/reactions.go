package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"millrace/bench/accuracy"
	"millrace/engine"
	"millrace/engine/stream"
	"millrace/operators"
	"millrace/operators/event"
)

// This file learns from what readers did: which of the mails that a data directory sent
// were clicked.

// sentMail is a mail that left.
type sentMail struct {
	decision, subject, group string // group: of which kind and language
	at                       int64
}

// The bounds of what is learnt from.
const (
	reactionMails   = 1_000_000 // 100 bytes each; the newest of a shop of that size say enough
	reactionRivals  = 8         // mails that a clicked one is compared with: those sent next to it
	reactionClicked = 50        // below it chance decides which words count
)

// reactionPairs are the mails that were clicked, each beside some of the same kind and
// language that were not, sent next before and after it.
func reactionPairs(ctx context.Context, f files) ([]accuracy.HeadlinePair, string, error) {
	var mails []sentMail
	err := withState(f, func(p *operators.Pipeline, v *engine.View) error {
		return p.EachDecision(v, func(d *event.Decision) bool {
			if d.Outcome == event.Sent && d.Subject != "" {
				mails = append(mails, sentMail{d.ID, d.Subject, d.Kind + " " + languageOfText(d.Subject), d.Decided})
			}
			return len(mails) < reactionMails
		})
	})
	if err != nil {
		return nil, "", err
	}
	clicked, err := clickedDecisions(ctx, f)
	if err != nil {
		return nil, "", err
	}
	pairs, n := pairReactions(mails, clicked)
	if n < reactionClicked {
		return nil, "", &exitError{exitNotFound, fmt.Errorf("%d of the %d mails that the state still knows were clicked, want at least %d", n, len(mails), reactionClicked)}
	}
	return pairs, fmt.Sprintf("%d mails, %d of them clicked", len(mails), n), nil
}

// languageOfText is the language of a subject of ours.
func languageOfText(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return unicode.Is(unicode.Han, r) }) {
		return "zh"
	}
	return "en"
}

// clickedDecisions reads the log for the mails in which somebody clicked a link.
func clickedDecisions(ctx context.Context, f files) (map[string]bool, error) {
	l, done, err := openLogAlone(ctx, f, "")
	if err != nil {
		return nil, err
	}
	defer done()
	out := make(map[string]bool)
	end, err := l.Info(ctx)
	if err != nil || end.Last < end.First || end.Last == 0 {
		return out, err
	}
	r := l.NewReader(stream.ReaderOptions{})
	if _, err := r.Open(ctx, engine.Position{}, true); err != nil {
		return nil, err
	}
	decoder := event.NewDecoder(event.Options{})
	buf := make([]engine.Message, 256)
	for {
		n, err := r.Next(ctx, buf)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("read the log: %w", err), r.Close())
		}
		for _, m := range buf[:n] {
			decoder.Decode(m.Data, m.Time, event.Handler{Event: func(_ int, e *event.Event) {
				if e.Kind == event.EmailLinkClicked && !e.Mailing.Machine && !e.Bot && e.Mailing.EmailID != "" {
					out[strings.Clone(e.Mailing.EmailID)] = true
				}
			}})
			if m.Seq >= end.Last {
				return out, r.Close()
			}
		}
	}
}

// pairReactions pairs mails of a group, and says how many were clicked.
func pairReactions(mails []sentMail, clicked map[string]bool) ([]accuracy.HeadlinePair, int) {
	slices.SortFunc(mails, func(a, b sentMail) int {
		return cmp.Or(cmp.Compare(a.group, b.group), cmp.Compare(a.at, b.at), cmp.Compare(a.decision, b.decision))
	})
	var out []accuracy.HeadlinePair
	n := 0
	for i := range mails {
		m := &mails[i]
		if !clicked[m.decision] {
			continue
		}
		n++
		for _, rival := range rivals(mails, i, clicked) {
			out = append(out, accuracy.NewHeadlinePair(m.decision, m.subject, rival))
		}
	}
	return out, n
}

// rivals are the subjects of the mails of a group next to one that were not clicked, and
// say something else.
func rivals(mails []sentMail, at int, clicked map[string]bool) []string {
	var out []string
	for step := 1; step <= 4*reactionRivals && len(out) < reactionRivals; step++ {
		for _, j := range []int{at - step, at + step} {
			if j < 0 || j >= len(mails) || mails[j].group != mails[at].group {
				continue
			}
			if m := &mails[j]; !clicked[m.decision] && m.subject != mails[at].subject && len(out) < reactionRivals {
				out = append(out, m.subject)
			}
		}
	}
	return out
}
