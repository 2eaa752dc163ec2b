package content

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"
	"sync"
	"time"

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

// ModelName is the name under which a registry keeps models of subjects.
const ModelName = "subject"

// CheckModel refuses a file that no Writer of this build would take.
func CheckModel(file []byte) error {
	_, err := newSubjects(file)
	return err
}

// CardOf says of a model's file what a registry keeps with it.
func CardOf(file []byte, at time.Time) (lstm.Card, error) {
	if err := CheckModel(file); err != nil {
		return lstm.Card{}, err
	}
	m, err := lstm.Decode(file)
	if err != nil {
		return lstm.Card{}, fmt.Errorf("content: %w", err)
	}
	vocab := sha256.Sum256([]byte(m.Meta(metaVocabulary)))
	c := lstm.Card{
		Name: ModelName, Created: at, Seed: m.Meta(metaSeed), Data: "the shipped corpus of subject lines",
		Corpus: m.Meta(metaCorpus), Vocab: hex.EncodeToString(vocab[:]), Licence: "Apache-2.0",
		Metrics: map[string]float64{},
	}
	for _, key := range []string{metaSteps, metaLoss, metaHeld, metaControl, metaShuffled, metaNovel} {
		if x, err := strconv.ParseFloat(m.Meta(key), 64); err == nil && !math.IsNaN(x) && !math.IsInf(x, 0) {
			c.Metrics[key] = x
		}
	}
	return c, nil
}
