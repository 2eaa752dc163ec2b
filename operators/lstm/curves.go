package lstm

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// curveFile is what the learning curves of a version are called beside its model, in a
// form that TensorBoard finds.
const (
	curveFile = "events.out.tfevents.millrace"
	curveMost = 8 << 20 // a million points
)

// KeepCurves puts the learning curves of a version, an event file, beside it.
func (r *Registry) KeepCurves(name, version string, file []byte) error {
	if len(file) > curveMost {
		return fmt.Errorf("lstm: learning curves of %d bytes, at most %d", len(file), curveMost)
	}
	if _, err := r.card(name, version); err != nil {
		return err
	}
	place, err := r.place(name, version)
	if err != nil {
		return err
	}
	return replace(filepath.Join(place, curveFile), file)
}

// Curves returns the learning curves of a version, nil where none were kept.
func (r *Registry) Curves(name, version string) ([]Point, error) {
	place, err := r.place(name, version)
	if err != nil {
		return nil, err
	}
	file, err := readAtMost(filepath.Join(place, curveFile), curveMost)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("lstm: read learning curves of %s: %w", version, err)
	}
	return ReadCurves(bytes.NewReader(file))
}
