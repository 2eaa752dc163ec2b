package stream

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// BenchmarkGateway takes batches of 1 and of 50 events from 32 clients at once, with
// the embedded server syncing (power) or not (process). HTTP itself is left out.
func BenchmarkGateway(b *testing.B) {
	event := `{"type":"track","userId":"u17","event":"Product Viewed","messageId":"node-next-1772446500120-5f0c6f2e","properties":{"product_id":"p-301"}}`
	run := func(name string, sync bool, events int) {
		b.Run(name, func(b *testing.B) {
			l := openLog(b, Options{Server: startServer(b, ServerOptions{SyncAlways: sync})})
			g := newGateway(b, GatewayOptions{Log: l})
			body := `{"batch":[` + strings.Repeat(event+",", events-1) + event + `]}`
			before := cpu(b)
			b.ReportAllocs()
			requests := 0
			for b.Loop() {
				requests += 32 * 20
				hammer(b, g, body)
			}
			used := cpu(b) - before
			b.ReportMetric(float64(requests)/b.Elapsed().Seconds(), "requests/s")
			b.ReportMetric(float64(requests*events)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(used.Seconds()/float64(requests*events)*1e6, "cpu-s/M")
			b.ReportMetric(float64(requests*events)/float64(g.Stats().Messages), "events/message")
			b.ReportMetric(0, "ns/op")
		})
	}
	run("process/batch=1", false, 1)
	run("process/batch=50", false, 50)
	run("power/batch=1", true, 1)
	run("power/batch=50", true, 50)
}

// hammer sends 20 requests from each of 32 clients.
func hammer(b *testing.B, g *Gateway, body string) {
	b.Helper()
	var clients sync.WaitGroup
	for range 32 {
		clients.Go(func() {
			for range 20 {
				r := httptest.NewRequest(http.MethodPost, "/v1/batch", strings.NewReader(body))
				r.SetBasicAuth("wk_demo", "")
				w := httptest.NewRecorder()
				if g.ServeHTTP(w, r); w.Code != http.StatusOK {
					b.Errorf("answered %d %s", w.Code, w.Body)
				}
			}
		})
	}
	clients.Wait()
}
