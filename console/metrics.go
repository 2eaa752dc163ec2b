package console

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// Registerer takes the console's metrics: any registry of the Prometheus client.
type Registerer = prometheus.Registerer

// counters counts what the console turned away. It is safe for concurrent use.
type counters struct {
	refused atomic.Uint64 // live connections beyond the limit
	dropped atomic.Uint64 // live connections that were too slow
	denied  atomic.Uint64 // requests that the access rules refused
}

func newCounters() *counters { return &counters{} }

// register hands the console's metrics to reg.
func (c *counters) register(reg prometheus.Registerer, h *hub) error {
	all := []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "millrace_console_subscribers", Help: "Open live connections of the console.",
		}, func() float64 { return float64(h.size()) }),
		counterOf("millrace_console_refused_total", "Live connections refused beyond the limit.", &c.refused),
		counterOf("millrace_console_dropped_total", "Live connections dropped because they were too slow.", &c.dropped),
		counterOf("millrace_console_denied_total", "Requests refused by the access rules.", &c.denied),
	}
	for _, m := range all {
		if err := reg.Register(m); err != nil {
			return err
		}
	}
	return nil
}

func counterOf(name, help string, n *atomic.Uint64) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help},
		func() float64 { return float64(n.Load()) })
}
