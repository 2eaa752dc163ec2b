package operators_test

import (
	"context"
	"strings"
	"testing"
	"testing/fstest"

	"millrace/engine"
	"millrace/engine/enginetest"
	"millrace/operators"
	"millrace/operators/experiment"
	"millrace/operators/mail"
)

const ownedJourney = `apiVersion: v1
pipeline: trial
owner: Ann <ann@shop.example>
trigger: {id: abandoned, key: [user_id, cart_id], start: {on: [Product Added]}, wait: 1h}
content:
  id: content
  kind: cart
  variants: {control: {weight: 1}, wide: {weight: 1, subject: fallback}}
send: {id: send, via: smtp/main}
`

// TestNotice: the owner of a journey is told of an alarm by one mail, whatever is tried
// again, and whoever else wants to be is told with an id that stays the same.
func TestNotice(t *testing.T) {
	files := withShipped(t, fstest.MapFS{"trial.yaml": {Data: []byte(ownedJourney)}})
	enginetest.Bubble(t, func(t *testing.T) {
		w := newWorldOf(t, journeysOf(t, files, "trial.yaml"))
		defer w.close()
		w.start()
		var ids []string
		tell := operators.AlarmHandler(operators.AlarmOptions{
			Journeys: w.journeys, Sender: w.sender, From: mail.Address{Addr: "hello@shop.example"},
			Notify: func(_ context.Context, id string, n *experiment.Notice) error {
				if ids = append(ids, id+" "+n.Metric); len(ids) == 1 {
					return errDown
				}
				return nil
			},
		})
		row := engine.Row{Body: encode(t, experiment.Notice{
			Experiment: "trial", Phase: "trial@1", Variant: "wide", Metric: "complaint", Reason: "rate 0.01, surely above the ceiling of 0.001", At: 1_772_446_800_000, Stops: true,
		})}
		if got, _, err := tell(t.Context(), nil, row); got != engine.Again || err == nil {
			t.Fatalf("a webhook that fails ended as %v (%v)", got, err)
		}
		for range 2 {
			if got, _, err := tell(t.Context(), nil, row); got != engine.Removed || err != nil {
				t.Fatalf("ended as %v: %v", got, err)
			}
		}
		if len(ids) != 3 || ids[0] != ids[2] {
			t.Errorf("told as %q", ids)
		}
		mails := w.inbox.List(0, 10)
		if len(mails) != 1 || mails[0].To != "ann@shop.example" || !strings.Contains(mails[0].Subject, "complaint of wide") {
			t.Fatalf("mails %+v", mails)
		}
	})
}
