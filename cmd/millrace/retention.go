package main

import (
	"context"
	"time"
)

// Retention of the log: what is processed and committed may go when the log comes near
// its disk limit. What is not processed never goes: rather the ingest answers 503.

const (
	trimAbove = 0.7 // of --log-max-bytes; the ingest stops at 0.9
	trimTo    = 0.5
	trimEvery = 10 * time.Second // at 100 MB/s a log of 16 GB grows by 1/16 meanwhile
)

// trimLoop keeps the log below its limit until ctx ends.
func (a *app) trimLoop(ctx context.Context) {
	t := time.NewTicker(trimEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			if err := a.trim(ctx); err != nil && ctx.Err() == nil {
				a.log.Warn("the log could not be trimmed", "err", err)
			}
		}
	}
}

// trim purges the oldest committed messages of a log that is too full. Messages are
// taken to be of one size.
func (a *app) trim(ctx context.Context) error {
	s, err := a.events.Info(ctx)
	if err != nil || s.MaxBytes <= 0 || s.Messages == 0 {
		return err
	}
	fill := float64(s.Bytes) / float64(s.MaxBytes)
	if fill < trimAbove {
		return nil
	}
	span := float64(s.Last-s.First) + 1
	keep := uint64(span * trimTo / fill)
	// The message at our position stays: it is checked when the log is opened again.
	before := min(s.Last-keep+1, a.engine.Stats().Position.Seq, a.fills.needs())
	if before <= s.First {
		a.log.Warn("the log is nearly full, and nothing in it is processed yet", "fill", fill)
		return nil
	}
	a.log.Info("the log is trimmed", "fill", fill, "first", s.First, "before", before)
	return a.events.Purge(ctx, before)
}
