package main

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"millrace/operators/content"
	"millrace/operators/lstm"
)

// modelWatch puts the version that a registry names in place in running writers. Mails
// that are being written keep the model they began with, so nothing waits.
type modelWatch struct {
	mu       sync.Mutex
	registry *lstm.Registry
	writers  []*content.Writer // those without a model stay without
	log      *slog.Logger
	tried    string // the version that was tried last, for good or ill
	ranked   string // likewise of the models that rank subjects
}

// modelWatchEvery is how long a promotion may take to be noticed. A look reads one small
// file.
const modelWatchEvery = 2 * time.Second

// look takes the version in use, if it is another one than at the last look. One that
// cannot be taken is logged, and the model in place stays.
func (m *modelWatch) look() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lookRanked()
	version, err := m.registry.Current(content.ModelName)
	if err != nil {
		m.complain("registry", err)
		return
	}
	if version == m.tried {
		return
	}
	m.tried = version
	var file []byte
	if version == "" {
		file, err = content.ShippedModel()
	} else {
		_, file, err = m.registry.Load(content.ModelName, version)
	}
	if err == nil {
		err = content.CheckModel(file)
	}
	for _, w := range m.writers {
		if err == nil && w.Version() != "" {
			err = w.Swap(file)
		}
	}
	if err != nil {
		m.log.Error("cannot use the promoted model; the one in place stays", "version", version, "err", err)
		return
	}
	m.log.Info("subject model in use", "version", lstm.VersionOf(content.ModelName, file))
}

// lookRanked does the same for the model that ranks subjects. None is shipped: until one is
// promoted, subjects are chosen without.
func (m *modelWatch) lookRanked() {
	r := headlinesOf(m.registry)
	version, err := r.Current(headlineName)
	if err != nil {
		if key := "registry: " + err.Error(); key != m.ranked {
			m.ranked = key
			m.log.Error("cannot read the registry of models that rank subjects; the one in place stays", "err", err)
		}
		return
	}
	if version == m.ranked {
		return
	}
	m.ranked = version
	var clicks *content.Clicks
	if version != "" {
		var file []byte
		if _, file, err = r.Load(headlineName, version); err == nil {
			clicks, err = clicksOf(version, file)
		}
	}
	if err != nil {
		m.log.Error("cannot use the promoted model that ranks subjects; the one in place stays", "version", version, "err", err)
		return
	}
	for _, w := range m.writers {
		w.SwapClicks(clicks)
	}
	if version != "" {
		m.log.Info("model that ranks subjects in use", "version", version)
	}
}

// add takes writers in that a new version of the pipelines brings, and gives them the
// model in use.
func (m *modelWatch) add(writers []*content.Writer) {
	m.mu.Lock()
	m.writers = append(m.writers, writers...)
	m.tried, m.ranked = "(none)", "(none)"
	m.mu.Unlock()
	m.look()
}

// refused is how many answers of models outside were not taken for a reason.
func (m *modelWatch) refused(reason string) uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := uint64(0)
	for _, w := range m.writers {
		n += w.ExternalRefused(reason)
	}
	return n
}

// remove lets go of writers that nothing refers to any more.
func (m *modelWatch) remove(writers []*content.Writer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.writers = slices.DeleteFunc(m.writers, func(w *content.Writer) bool { return slices.Contains(writers, w) })
}

// complain logs a registry that cannot be read, once until something changes.
func (m *modelWatch) complain(what string, err error) {
	if key := what + ": " + err.Error(); key != m.tried {
		m.tried = key
		m.log.Error("cannot read the registry of models; the one in place stays", "err", err)
	}
}

// run looks until ctx ends. The first look, before anything is written, is the caller's.
func (m *modelWatch) run(ctx context.Context) {
	t := time.NewTicker(modelWatchEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			m.look()
		}
	}
}
