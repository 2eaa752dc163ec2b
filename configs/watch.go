package configs

import (
	"context"
	"time"
)

// watchEvery is how often a Watch looks: a person who saves a file waits a second at most
// for the first look, and reading a few dozen small files costs a millisecond.
const watchEvery = time.Second

// Watch reads the files that paths mean, once a second, until ctx ends, and calls changed
// with those of each new content, and failed, once for each text, when they cannot be read.
// A content must be the same at two looks, so a file that is being written is not
// taken half. What it holds at the beginning is known; its hash is.
func (l *Loader) Watch(ctx context.Context, is string, paths []string, changed func(Bundle), failed func(error)) {
	w := watching{taken: is, changed: changed, failed: failed}
	t := time.NewTicker(watchEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			w.look(l.Collect(paths...))
		}
	}
}

// watching is what a Watch has seen.
type watching struct {
	taken, seen string // hashes: what was handed on, and what the last look found
	trouble     string
	changed     func(Bundle)
	failed      func(error)
}

// look takes what one look found.
func (w *watching) look(b Bundle, err error) {
	if err != nil {
		if text := err.Error(); text != w.trouble {
			w.trouble = text
			w.failed(err)
		}
		return
	}
	w.trouble = ""
	hash := b.Hash()
	if hash != w.seen {
		w.seen = hash
		return
	}
	if hash != w.taken {
		w.taken = hash
		w.changed(b)
	}
}
