package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const alarmShop = `apiVersion: v1
shop: demo
webhooks:
  crm: {url: env:CRM_URL}
  other: {url: env:OTHER_URL}
senders:
  main: {smtp: env:SMTP_URL, from: "Demo <hello@shop.example>"}
`

const alarmedJourney = `apiVersion: v1
pipeline: trial
trigger: {id: left, key: [user_id, cart_id], start: {on: Product Added}, wait: 1h}
content: {id: content, kind: cart, subject: fallback, variants: {control: {weight: 1}, wide: {weight: 1}}}
alarms: {webhook: crm}
send: {id: send, via: smtp/main}
`

// TestAlarmWebhookOpened: the webhook of alarms is looked up when a version is built, so that
// what is missing is said then; one that nothing uses is not.
func TestAlarmWebhookOpened(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"shop.yaml": alarmShop, "trial.yaml": alarmedJourney} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := settings{files: files{t.TempDir()}, configs: []string{dir}, simulated: true, speed: 1, durability: "process", reserve: 1, logBytes: 1 << 30, log: slog.New(slog.DiscardHandler)}
	t.Setenv("CRM_URL", "")
	if a, err := openApp(t.Context(), s); err == nil || !strings.Contains(err.Error(), "webhooks.crm") {
		t.Errorf("opened: %v", err)
		a.close()
	}
	t.Setenv("CRM_URL", "https://crm.example/in")
	r := start(t, s)
	if got := r.acts.current().journeys[0].Experiment.AlarmTo; got != "crm" {
		t.Errorf("alarms go to %q", got)
	}
}
