package content

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"

	"millrace/operators/lstm"
)

//go:embed model/*.safetensors
var modelFiles embed.FS

// ShippedModel returns the file of the trained model that is part of the build.
func ShippedModel() ([]byte, error) {
	b, err := modelFiles.ReadFile("model/subject.safetensors")
	if err != nil {
		return nil, fmt.Errorf("content: read shipped model: %w", err)
	}
	return b, nil
}

// subjects is a model ready to write. It does not change; the decoders in its pool
// belong to whoever took them out.
type subjects struct {
	version string
	corpus  string
	vocab   *vocabulary
	runner  *lstm.Runner
	pool    sync.Pool
}

// newSubjects reads a model file and checks that it is one of subjects, trained for
// the conditions of this build.
func newSubjects(file []byte) (*subjects, error) {
	m, err := lstm.Decode(file)
	if err != nil {
		return nil, fmt.Errorf("content: %w", err)
	}
	if m.Meta(metaFeatures) != featureList() || m.Config().Cond != len(features()) {
		return nil, errors.New("content: model was trained for other conditions than this build's")
	}
	v, err := readVocabulary(m)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(file)
	s := &subjects{
		version: "subject-" + hex.EncodeToString(sum[:4]),
		corpus:  m.Meta(metaCorpus),
		vocab:   v, runner: lstm.NewRunner(m),
	}
	s.pool.New = func() any { return newDecoder(s.vocab, s.runner) }
	return s, nil
}
