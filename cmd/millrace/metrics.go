package main

import (
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"millrace/engine"
	"millrace/operators"
	"millrace/operators/content"
	"millrace/operators/event"
	"millrace/operators/experiment"
	"millrace/operators/recommend"
)

// registry is where the metrics of a program are declared.
type registry struct{ *prometheus.Registry }

func newRegistry() *registry { return &registry{prometheus.NewRegistry()} }

// show declares the metrics of an app.
func (r *registry) show(a *app) { r.MustRegister(newMetrics(a)) }

// handler answers /metrics.
func (r *registry) handler() http.Handler {
	return promhttp.HandlerFor(r.Registry, promhttp.HandlerOpts{})
}

// collector shows Prometheus what the parts of an app count. All labels are bounded:
// none holds a person, an address, an item or a text.
type collector struct {
	app   *app
	descs []*prometheus.Desc
	emit  []func(m *collector, d *prometheus.Desc, ch chan<- prometheus.Metric)
}

func newMetrics(a *app) *collector {
	m := &collector{app: a}
	m.engine()
	m.flow()
	m.delivery()
	m.mail()
	m.experiments()
	m.activations()
	m.segments()
	m.memory()
	m.liveRecommend()
	m.tones()
	return m
}

// Describe implements prometheus.Collector.
func (m *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range m.descs {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *collector) Collect(ch chan<- prometheus.Metric) {
	for i, d := range m.descs {
		m.emit[i](m, d, ch)
	}
}

// add declares a metric with the labels that emit gives values for.
func (m *collector) add(name, help string, labels []string, emit func(send func(v float64, labels ...string)), kind prometheus.ValueType) {
	m.descs = append(m.descs, prometheus.NewDesc(name, help, labels, nil))
	m.emit = append(m.emit, func(_ *collector, d *prometheus.Desc, ch chan<- prometheus.Metric) {
		emit(func(v float64, values ...string) { ch <- prometheus.MustNewConstMetric(d, kind, v, values...) })
	})
}

func (m *collector) gauge(name, help string, value func() float64) {
	m.add(name, help, nil, func(send func(float64, ...string)) { send(value()) }, prometheus.GaugeValue)
}

func (m *collector) counter(name, help string, value func() float64) {
	m.add(name, help, nil, func(send func(float64, ...string)) { send(value()) }, prometheus.CounterValue)
}

// engine declares what the engine counts.
func (m *collector) engine() {
	e := m.app.engine
	m.counter("millrace_units_total", "Events, ticks and receipts processed since start.", func() float64 { return float64(e.Stats().Events) })
	m.counter("millrace_commits_total", "Epochs committed since start.", func() float64 { return float64(e.Stats().Commits) })
	m.counter("millrace_commit_duration_seconds_total", "Time spent in commits.", func() float64 { return e.Stats().CommitTime.Seconds() })
	m.counter("millrace_commit_keys_total", "Keys written by commits.", func() float64 { return float64(e.Stats().Changes) })
	m.counter("millrace_commit_bytes_total", "Bytes written by commits.", func() float64 { return float64(e.Stats().Bytes) })
	m.gauge("millrace_log_position", "Sequence of the last message that is committed.", func() float64 { return float64(e.Stats().Position.Seq) })
	m.gauge("millrace_watermark_timestamp_seconds", "Event time before which no more events are expected.", func() float64 { return float64(e.Stats().Watermark) / 1000 })
	m.gauge("millrace_watermark_lag_seconds", "How far the watermark trails the newest event.", func() float64 {
		s := e.Stats()
		return float64(s.Newest-s.Watermark) / 1000
	})
	m.gauge("millrace_timers_pending", "Timers that are set and not due.", func() float64 { return float64(e.Stats().Timers) })
	m.gauge("millrace_outbox_pending", "Effects decided and without an outcome.", func() float64 { return float64(e.Stats().Unresolved) })
	m.counter("millrace_outbox_retries_total", "Effects that had to be tried again.", func() float64 { return float64(e.Stats().Retries) })
	m.gauge("millrace_commits_paused", "1 while commits wait, for example for room on the disk.", func() float64 {
		if e.Stats().Paused != "" {
			return 1
		}
		return 0
	})
	m.gauge("millrace_state_file_bytes", "Size of the state's files.", func() float64 { return float64(m.app.store.Size()) })
	m.add("millrace_step_messages_total", "Messages that a step of the graph processed.", []string{"step"}, func(send func(float64, ...string)) {
		for _, o := range e.Stats().Operators {
			send(float64(o.In), o.Name)
		}
	}, prometheus.CounterValue)
	m.add("millrace_step_timers_fired_total", "Timers that fired in a step of the graph.", []string{"step"}, func(send func(float64, ...string)) {
		for _, o := range e.Stats().Operators {
			send(float64(o.Fired), o.Name)
		}
	}, prometheus.CounterValue)
}

// flow declares what the operators count.
func (m *collector) flow() {
	c := m.app.pipeline.Counters
	m.add("millrace_events_total", "Events processed since start, by kind.", []string{"kind"}, func(send func(float64, ...string)) {
		for k := range event.KindCount {
			send(float64(c.Events[k].Load()), event.KindName(k))
		}
	}, prometheus.CounterValue)
	m.counter("millrace_event_repeats_total", "Events dropped because their messageId was seen before.", func() float64 { return float64(c.Duplicates.Load()) })
	m.counter("millrace_events_late_total", "Events older than the newest of their person.", func() float64 { return float64(c.Late.Load()) })
	m.counter("millrace_visitors_forgotten_total", "Anonymous visitors who stayed away for longer than profile.visitor_ttl.", func() float64 { return float64(c.Forgotten.Load()) })
	m.counter("millrace_ticks_total", "Ticks read.", func() float64 { return float64(c.Ticks.Load()) })
	m.counter("millrace_merges_total", "Known persons who were merged into another one.", func() float64 { return float64(c.Merges.Load()) })
	m.counter("millrace_merge_repeats_total", "Merges and handovers that came again.", func() float64 { return float64(c.MergeRepeats.Load()) })
	m.add("millrace_dead_letters_total", "Events that could not be read, by reason.", []string{"reason"}, func(send func(float64, ...string)) {
		for reason, n := range c.DeadLetters() {
			send(float64(n), reason)
		}
	}, prometheus.CounterValue)
	m.add("millrace_decisions_total", "Decisions and what came of them.", []string{"pipeline", "result", "reason"}, func(send func(float64, ...string)) {
		for l, n := range c.Decisions() {
			send(float64(n), l.Pipeline, l.Outcome.String(), l.Reason)
		}
	}, prometheus.CounterValue)
}

// delivery declares how effects leave, what holds the watermark, and which limits were
// reached. Targets and sources come from the configuration.
func (m *collector) delivery() {
	e, c := m.app.engine, m.app.pipeline.Counters
	m.add("millrace_watermark_held_seconds", "How far the source that holds the watermark is behind the one that is ahead.", []string{"source"}, func(send func(float64, ...string)) {
		if r := e.Stats().Watermarks; r.Holding != "" {
			send(float64(r.HeldMillis)/1000, r.Holding)
		}
	}, prometheus.GaugeValue)
	each := func(name, help, label string, counts func() map[string]uint64) {
		m.add(name, help, []string{label}, func(send func(float64, ...string)) {
			for value, n := range counts() {
				send(float64(n), value)
			}
		}, prometheus.CounterValue)
	}
	each("millrace_events_too_late_total", "Events later than allowed_lateness, by source.", "source", c.TooLate)
	each("millrace_notices_total", "Webhooks taken and messages published, by target.", "via", c.Notices)
	each("millrace_outbox_given_up_total", "Effects that went to the dead letters, by reason.", "reason", func() map[string]uint64 { return e.Delivery().GivenUp })
	breaker := func(name, help string, kind prometheus.ValueType, value func(f *engine.BreakerFigures) float64) {
		m.add(name, help, []string{"target"}, func(send func(float64, ...string)) {
			all := e.Delivery().Breakers
			for i := range all {
				send(value(&all[i]), all[i].Target)
			}
		}, kind)
	}
	breaker("millrace_breaker_state", "0 while calls pass, 1 while none does, 2 while a few are tried.", prometheus.GaugeValue,
		func(f *engine.BreakerFigures) float64 { return float64(f.State) })
	breaker("millrace_breaker_opened_total", "Times a target's breaker opened.", prometheus.CounterValue,
		func(f *engine.BreakerFigures) float64 { return float64(f.Opened) })
	breaker("millrace_breaker_failed_total", "Calls at which the target failed.", prometheus.CounterValue,
		func(f *engine.BreakerFigures) float64 { return float64(f.Failed) })
	breaker("millrace_breaker_rejected_total", "Calls that a breaker did not let pass.", prometheus.CounterValue,
		func(f *engine.BreakerFigures) float64 { return float64(f.Rejected) })
	each("millrace_limit_reached_total", "Times a limit was reached.", "limit", func() map[string]uint64 {
		d, w := e.Delivery(), e.Stats().Watermarks
		return m.limits(map[string]uint64{
			"outbox": d.Stopped, "outbox_memory": d.Overflows, "outbox_rate": d.Paced, "send_rate": d.Slowed, "breaker_targets": d.Evicted,
			"watermark_sources": w.Shared,
		})
	})
}

// mail declares what the way out counts.
func (m *collector) mail() {
	c := m.app.pipeline.Counters
	m.counter("millrace_emails_total", "Mails that a server accepted.", func() float64 { return float64(c.Mails.Load()) })
	m.counter("millrace_generate_fallback_total", "Mails with a written subject because the model was slow or failed.", func() float64 { return float64(c.Fallbacks.Load()) })
	m.content()
	m.counter("millrace_email_unknown_total", "Mails whose final dot left without an answer.", func() float64 { return float64(m.app.sender.Stats().Unknown) })
	if m.app.s.http == "" {
		return
	}
	m.add("millrace_email_hits_total", "Opens and clicks of mails, by who did it: a person, or the rule that says a machine.", []string{"kind", "by"}, func(send func(float64, ...string)) {
		s := m.app.tracker.Stats()
		for kind, hits := range map[string]map[string]int64{"open": s.Opens, "click": s.Clicks} {
			for rule, n := range hits {
				send(float64(n), kind, by(rule))
			}
		}
	}, prometheus.CounterValue)
	m.counter("millrace_email_hits_lost_total", "Opens and clicks that could not be stored.", func() float64 { return float64(m.app.tracker.Stats().Faults) })
	m.counter("millrace_email_links_unknown_total", "Requests for links and pixels that this program did not sign.", func() float64 { return float64(m.app.tracker.Stats().Unknown) })
	m.counter("millrace_ingest_requests_total", "Requests that took events.", func() float64 { return float64(m.app.gateway.Stats().Requests) })
	m.counter("millrace_ingest_events_total", "Events that the gateway stored.", func() float64 { return float64(m.app.gateway.Stats().Events) })
	m.add("millrace_ingest_refused_total", "Requests refused, by error.", []string{"reason"}, func(send func(float64, ...string)) {
		for reason, n := range m.app.gateway.Stats().Refused {
			if reason != "" { // those whom nobody refused have no reason
				send(float64(n), reason)
			}
		}
	}, prometheus.CounterValue)
}

// experiments declares the figures of the experiments. Names of experiments, variants and
// metrics come from the configuration: there are at most a few dozen.
func (m *collector) experiments() {
	each := func(name, help string, labels []string, emit func(send func(float64, ...string), f *experiment.Figures, a *experiment.Arm)) {
		if m.app.metering == nil {
			return
		}
		m.add(name, help, labels, func(send func(float64, ...string)) {
			all, _ := m.app.metering.snapshot()
			for i := range all {
				for arm := range all[i].Arms {
					emit(send, &all[i], &all[i].Arms[arm])
				}
			}
		}, prometheus.GaugeValue)
	}
	arm := []string{"experiment", "variant"}
	each("millrace_experiment_units", "People of an experiment's variant in the present phase.", arm,
		func(send func(float64, ...string), f *experiment.Figures, a *experiment.Arm) {
			send(float64(a.Units), f.Experiment, a.Name)
		})
	each("millrace_experiment_outcomes", "Outcomes of a variant's people; money in the smallest unit.", append(arm, "metric"),
		func(send func(float64, ...string), f *experiment.Figures, a *experiment.Arm) {
			for i := range a.Metrics {
				send(float64(a.Metrics[i].Sum), f.Experiment, a.Name, a.Metrics[i].Name)
			}
		})
	each("millrace_experiment_goal_p", "Least any-time p-value of a variant's goal against the baseline.", arm,
		func(send func(float64, ...string), f *experiment.Figures, a *experiment.Arm) {
			send(a.P, f.Experiment, a.Name)
		})
	each("millrace_experiment_shares_p", "Least any-time p-value that people arrive in the planned shares.", []string{"experiment"},
		func(send func(float64, ...string), f *experiment.Figures, a *experiment.Arm) {
			if a.Name == f.Arms[0].Name {
				send(f.SharesP, f.Experiment)
			}
		})
	each("millrace_experiment_stopped", "1 for a variant that a guardrail stopped.", arm,
		func(send func(float64, ...string), f *experiment.Figures, a *experiment.Arm) {
			stopped := 0.0
			if a.Stopped != "" {
				stopped = 1
			}
			send(stopped, f.Experiment, a.Name)
		})
}

// activations declares what the versions of the pipelines count.
func (m *collector) activations() {
	t := m.app.acts
	m.add("millrace_activations_total", "Versions of the pipelines that were asked for since start, by what came of them.", []string{"result"}, func(send func(float64, ...string)) {
		t.mu.Lock()
		defer t.mu.Unlock()
		send(float64(t.applied), "applied")
		send(float64(t.refused), "refused")
		send(float64(t.ignored), "ignored")
	}, prometheus.CounterValue)
	m.add("millrace_pipeline_version", "Number of the version of the pipelines that runs.", nil, func(send func(float64, ...string)) {
		send(float64(t.current().version.Number))
	}, prometheus.GaugeValue)
	m.add("millrace_activation_pause_seconds", "How long the engine stood still at the last activation.", nil, func(send func(float64, ...string)) {
		t.mu.Lock()
		defer t.mu.Unlock()
		send(t.pause.Seconds())
	}, prometheus.GaugeValue)
	m.add("millrace_timers_orphaned_total", "Timers that came due when their operator was gone, and did nothing.", nil, func(send func(float64, ...string)) {
		send(float64(m.app.engine.Stats().Orphans))
	}, prometheus.CounterValue)
}

// content declares what the writers count.
func (m *collector) content() {
	m.add("millrace_content_lines_total", "Lines of mails, by part and by what came of them: the model's, or a written one and why.", []string{"part", "result"}, func(send func(float64, ...string)) {
		m.app.content.Each(func(c operators.ContentCount, n uint64) {
			if c.Part != "" {
				send(float64(n), c.Part, c.Result)
			}
		})
	}, prometheus.CounterValue)
	m.add("millrace_content_refused_total", "Candidates that the guard refused, by reason.", []string{"reason"}, func(send func(float64, ...string)) {
		m.app.content.Each(func(c operators.ContentCount, n uint64) {
			if c.Part == "" {
				send(float64(n), c.Result)
			}
		})
	}, prometheus.CounterValue)
	m.add("millrace_content_fairness_ratio", "Lowest share of mails with an offer among the groups of a trait over the highest; below .8 is an alarm.", []string{"trait"}, func(send func(float64, ...string)) {
		for _, trait := range content.FairnessTraits() {
			if ratio, ok := m.app.content.Fairness.Ratio(trait, m.app.content.Now()); ok {
				send(ratio, trait)
			}
		}
	}, prometheus.GaugeValue)
	m.add("millrace_content_external_refused_total", "Answers of the model outside that were not taken, by reason.", []string{"reason"}, func(send func(float64, ...string)) {
		for _, reason := range content.ExternalReasons() {
			send(float64(m.app.models.refused(reason)), reason)
		}
	}, prometheus.CounterValue)
}

// segments declares the sizes of the declared segments, of which there are at most
// configs.SegmentsMax, and what is wanting in the events of each source.
func (m *collector) segments() {
	m.add("millrace_segment_people", "People of a declared segment, as of the last scan.", []string{"segment"}, func(send func(float64, ...string)) {
		if sizes := m.app.segments.latest(); sizes != nil {
			for _, s := range sizes.Segments {
				send(float64(s.People), s.Name)
			}
		}
	}, prometheus.GaugeValue)
	m.add("millrace_quality_events_total", "Events of a source whose quality was looked at.", []string{"source"}, func(send func(float64, ...string)) {
		for _, s := range m.app.pipeline.Counters.Quality.Sources() {
			send(float64(s.Events), s.Source)
		}
	}, prometheus.CounterValue)
	m.add("millrace_quality_total", "Events of a source in which something is wanting, by what.", []string{"source", "problem"}, func(send func(float64, ...string)) {
		for _, s := range m.app.pipeline.Counters.Quality.Sources() {
			for _, p := range s.Problems {
				send(float64(p.Count), s.Source, string(p.Problem))
			}
		}
	}, prometheus.CounterValue)
}

// memory declares how much is kept.
func (m *collector) memory() {
	m.add("millrace_state_bytes", "Keys and values of a cell, of timers, of the outbox, as of the last scan.", []string{"cell"}, func(send func(float64, ...string)) {
		for _, s := range m.app.stored.latest() {
			send(float64(s.Bytes), s.Name)
		}
	}, prometheus.GaugeValue)
	m.add("millrace_state_keys", "Keys of a cell, timers, rows of the outbox, as of the last scan.", []string{"cell"}, func(send func(float64, ...string)) {
		for _, s := range m.app.stored.latest() {
			send(float64(s.Keys), s.Name)
		}
	}, prometheus.GaugeValue)
	m.add("millrace_values_memory_bytes", "What encoded values take in memory, and the limit, at which those not used lately go.", []string{"of"}, func(send func(float64, ...string)) {
		used, limit := m.app.engine.ValuesMemory()
		send(float64(used), "used")
		send(float64(limit), "limit")
	}, prometheus.GaugeValue)
	m.gauge("millrace_backfill_position", "How far the fill of new fields that runs has read the log; 0 while none does.", func() float64 { return float64(m.app.fills.running.Load()) })
	m.counter("millrace_backfill_keys_total", "Persons and visitors whose new fields were filled.", func() float64 { return float64(m.app.fills.filled.Load()) })
	m.gauge("millrace_outbox_memory", "Effects that the outbox holds in memory.", func() float64 { return float64(m.app.engine.Delivery().Window) })
}

// liveRecommend declares what recommendations keep in memory.
func (m *collector) liveRecommend() {
	live := func() *recommend.Live {
		m.app.mu.Lock()
		defer m.app.mu.Unlock()
		return m.app.lively.live
	}
	stats := func() recommend.LiveStats {
		if l := live(); l != nil {
			return l.Stats()
		}
		return recommend.LiveStats{}
	}
	m.add("millrace_recommend_taught_total", "Clicks that have taught the weights of a kind of mail.", []string{"placement"}, func(send func(float64, ...string)) {
		if l := live(); l != nil {
			for placement, n := range l.Blend.Learned() {
				send(float64(n), placement)
			}
		}
	}, prometheus.CounterValue)
	m.gauge("millrace_recommend_visits", "Visits that recommendations remember.", func() float64 { return float64(stats().Visits) })
	m.gauge("millrace_recommend_items", "Items that recommendations know.", func() float64 { return float64(stats().Items) })
	m.gauge("millrace_recommend_queue", "Events that recommendations have not taken in yet.", func() float64 { return float64(stats().Waiting) })
	m.counter("millrace_recommend_missed_total", "Events that found no room in the queue of recommendations, until the state is read again.", func() float64 { return float64(stats().Missed) })
	m.counter("millrace_recommend_reads_total", "Times that recommendations have read the state.", func() float64 { return float64(stats().Read) })
	m.counter("millrace_recommend_dropped_total", "Visits that were forgotten because there were too many.", func() float64 { return float64(stats().Lost) })
}

// tones declares what is heard.
func (m *collector) tones() {
	m.add("millrace_tone_texts_total", "Texts of people that were judged, by event and verdict.", []string{"event", "verdict"}, func(send func(float64, ...string)) {
		for k, n := range m.app.tones.Figures().Counts {
			verdict := "other"
			if k.Bad {
				verdict = "bad"
			}
			send(float64(n), strings.ToLower(strings.ReplaceAll(k.Kind, " ", "_")), verdict)
		}
	}, prometheus.CounterValue)
	m.gauge("millrace_tone_drift_index", "How far what people write is from what the model of tone was made of (population stability index of the last 500 texts); above 0.25 is an alarm.", func() float64 {
		return m.app.tones.Figures().Drift
	})
	m.gauge("millrace_tone_drift_alarm", "1 while what people write is too far from what the model of tone was made of.", func() float64 {
		if m.app.tones.Figures().Alarm {
			return 1
		}
		return 0
	})
}
