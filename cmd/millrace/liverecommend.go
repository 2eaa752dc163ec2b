package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"millrace/configs"
	"millrace/operators"
	"millrace/operators/recommend"
)

// liveRecommend is what recommendations know beside the state: see
// docs/adr/0031-recommendations-live-beside-the-engine.md.
type liveRecommend struct {
	live   *recommend.Live
	wanted chan struct{} // closed when a version wants it
}

// weightsFile is where the weights that clicks taught stand in the data directory.
func (f files) weights() string { return filepath.Join(f.dir, "recommend.json") }

// weightsEvery is how often learned weights are written. What a crash takes is relearned
// from later clicks.
const weightsEvery = 5 * time.Minute

// weightsMost bounds what is read back.
const weightsMost = 64 << 20

// liveFor is what a version's recommendations know beside the state, nil if neither the
// shop nor a journey wants it. It is made when the first version wants it.
func (a *app) liveFor(set *configs.Set, journeys []operators.Journey) *recommend.Live {
	if !set.Shop.Items.Hybrid() && !slices.ContainsFunc(journeys, func(j operators.Journey) bool { return !j.Together }) {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.lively.live == nil {
		a.lively.live = recommend.NewLive(recommend.LiveOptions{})
		a.readWeights()
		close(a.lively.wanted)
	}
	return a.lively.live
}

// readWeights takes over what clicks taught in an earlier run. What cannot be read is
// left aside: it begins anew.
func (a *app) readWeights() {
	info, err := os.Stat(a.s.weights())
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	if err == nil && info.Size() > weightsMost {
		err = fmt.Errorf("it has %d bytes, at most %d are read", info.Size(), weightsMost)
	}
	var raw []byte
	if err == nil {
		raw, err = os.ReadFile(a.s.weights())
	}
	if err == nil {
		err = a.lively.live.Blend.Load(raw)
	}
	a.warn("read the learned weights of recommendations, so they begin anew", err)
}

// writeWeights keeps what clicks taught.
func (a *app) writeWeights() {
	b := a.lively.live.Blend
	if !b.Changed() {
		return
	}
	raw, err := b.Save()
	if err == nil {
		next := a.s.weights() + ".next"
		if err = os.WriteFile(next, raw, 0o600); err == nil {
			err = os.Rename(next, a.s.weights())
		}
	}
	a.warn("write the learned weights of recommendations", err)
}

// runLive keeps it up to date until ctx ends, from when a version wants it.
func (a *app) runLive(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-a.lively.wanted:
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		a.warn("keep recommendations up to date", a.lively.live.Run(ctx, a.fillLive))
	}()
	tick := time.NewTicker(weightsEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			a.writeWeights()
		case <-ctx.Done():
			<-ended
			a.writeWeights()
			return
		}
	}
}

// fillTries is how often reading the state begins anew when it took too long.
const fillTries = 5

// fillLive reads the state.
func (a *app) fillLive(ctx context.Context) error {
	began := time.Now()
	live := a.lively.live
	note := func(phase string, n int) {
		a.log.Info("recommendations read the state", "phase", phase, "records", n, "seconds", time.Since(began).Seconds())
	}
	for try := 1; ; try++ {
		v := a.engine.View()
		err := a.acts.current().pipeline.FillLive(ctx, v, live, recommend.VisitsMost, note)
		v.Close()
		if err == nil || ctx.Err() != nil || try == fillTries {
			return err
		}
		a.log.Warn("recommendations could not read the state; once more", "err", err)
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(try) * time.Second):
		}
	}
}
