package main

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/benthosdev/benthos/v4/public/service"

	// The components that the stream names.
	_ "github.com/benthosdev/benthos/v4/public/components/nats"
	_ "github.com/benthosdev/benthos/v4/public/components/pure"
)

// benthosStream reads batches, since its input hands over one message at a time, and ends
// nowhere: all that the job writes is written by the processor. One thread keeps the order.
const benthosStream = `
input:
  broker:
    inputs:
      - nats_jetstream:
          urls: [%q]
          subject: %q
          durable: benthos
          deliver: all
          ack_wait: 60s
          max_ack_pending: 20000
    batching:
      count: 5000
      period: 250ms
pipeline:
  threads: 1
  processors:
    - shop_state: {}
output:
  drop: {}
logger:
  level: "OFF"
`

// benthos runs the job as a processor of a Benthos stream on its JetStream input. Benthos
// has no keyed state, transactions or timers; the processor brings the keeper, with a
// transaction for each batch. Messages are acknowledged behind that, so after a crash
// some count twice.
func benthos(ctx context.Context, e *env) (answer, error) {
	k, err := openKeeper(e.state, e.sync)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = k.close() }()
	k.cache = make(map[string]*shopper)
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	p := &benthosProcessor{k: k, last: e.last, stop: stop, done: e.done}
	registry := service.NewEnvironment()
	err = registry.RegisterBatchProcessor("shop_state", service.NewConfigSpec(),
		func(*service.ParsedConfig, *service.Resources) (service.BatchProcessor, error) { return p, nil })
	if err != nil {
		return answer{}, err
	}
	b := registry.NewStreamBuilder()
	if err := b.SetYAML(fmt.Sprintf(benthosStream, e.url, subject)); err != nil {
		return answer{}, fmt.Errorf("read the stream's configuration: %w", err)
	}
	s, err := b.Build()
	if err != nil {
		return answer{}, fmt.Errorf("build the stream: %w", err)
	}
	if err := s.Run(ctx); err != nil && ctx.Err() == nil {
		return answer{}, fmt.Errorf("run the stream: %w", err)
	}
	if err := ended(ctx); err != nil {
		return answer{}, err
	}
	return k.answer()
}

// benthosProcessor takes batches.
type benthosProcessor struct {
	k       *keeper
	last    uint64
	handled atomic.Uint64
	stop    context.CancelCauseFunc
	done    func()
}

// ProcessBatch implements service.BatchProcessor. Nothing goes on to the output.
func (p *benthosProcessor) ProcessBatch(_ context.Context, batch service.MessageBatch) ([]service.MessageBatch, error) {
	var events []action
	for _, m := range batch {
		raw, err := m.AsBytes()
		if err == nil {
			var a action
			a, err = parse(raw)
			events = append(events, a)
		}
		if err != nil {
			p.stop(err)
			return nil, err
		}
	}
	events = events[:min(uint64(len(events)), p.last-min(p.last, p.handled.Load()))] // the log may be longer than what is measured
	if err := p.k.take(events, 0); err != nil {
		p.stop(err)
		return nil, err
	}
	if p.handled.Add(uint64(len(events))) >= p.last {
		p.done()
		p.stop(errEnough)
	}
	return nil, nil
}

// Close implements service.BatchProcessor.
func (p *benthosProcessor) Close(context.Context) error { return nil }
