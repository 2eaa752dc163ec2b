package lstm

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// ErrNoModel says that a registry has no model of that name or version.
var ErrNoModel = errors.New("lstm: no such model")

// ErrCorrupt says that a model's file is not the one that was added.
var ErrCorrupt = errors.New("lstm: model file is corrupt")

// Limits of a registry.
const (
	versionsMax = 100      // of a name: two years of weekly training
	cardMax     = 64 << 10 // bytes
	historyMax  = 256      // promotions that are remembered
	modelMax    = fileMax  // bytes
	modelFile   = "model.safetensors"
	cardFile    = "card.json"
	historyFile = "promoted.json"
)

// Card says what a model is: enough to make it again and to judge it.
type Card struct {
	Name    string    `json:"name"`
	Version string    `json:"version"` // of the content: VersionOf
	Created time.Time `json:"created"`
	SHA256  string    `json:"sha256"`
	Bytes   int       `json:"bytes"`
	Config  Config    `json:"config"`
	Seed    string    `json:"seed"`
	Data    string    `json:"data"`       // what it was trained on
	Corpus  string    `json:"corpus"`     // hash of it
	Vocab   string    `json:"vocabulary"` // hash of the list of tokens, which is in the file
	Licence string    `json:"licence"`
	// Metrics are what was measured when it was made, by name.
	Metrics map[string]float64 `json:"metrics"`
	Note    string             `json:"note,omitempty"`
}

// Promotion is an entry of a registry's history.
type Promotion struct {
	Version  string    `json:"version"` // "" is the shipped model
	At       time.Time `json:"at"`
	Rollback bool      `json:"rollback,omitempty"`
}

// Registry keeps models as files: DIR/NAME/VERSION/{model.safetensors,card.json}, and
// which of them is in use in DIR/NAME/promoted.json. Each file is put in its place whole,
// so another process that reads sees the old or the new. One process may write at a time.
type Registry struct {
	dir   string
	check func(file []byte) error // whether a file is a model
}

// NewRegistry returns the registry in dir, which need not exist yet.
func NewRegistry(dir string) *Registry {
	return &Registry{dir, func(file []byte) error {
		_, err := Decode(file)
		return err
	}}
}

// Of returns the same registry for models of another kind than those of this package,
// which check knows. Their files have the same name, whatever is in them.
func (r *Registry) Of(check func(file []byte) error) *Registry { return &Registry{r.dir, check} }

// VersionOf names the content of a model's file: the same file has the same version
// everywhere.
func VersionOf(name string, file []byte) string {
	sum := sha256.Sum256(file)
	return name + "-" + hex.EncodeToString(sum[:4])
}

var (
	nameForm    = regexp.MustCompile(`^[a-z][a-z0-9]{0,31}$`)
	versionForm = regexp.MustCompile(`^[a-z][a-z0-9]{0,31}-[0-9a-f]{8}$`)
)

// place is the folder of a version. Names become paths, so their form is strict.
func (r *Registry) place(name, version string) (string, error) {
	if !nameForm.MatchString(name) {
		return "", fmt.Errorf("%w: name %q, want letters and digits", ErrNoModel, name)
	}
	if !versionForm.MatchString(version) || !strings.HasPrefix(version, name+"-") {
		return "", fmt.Errorf("%w: version %q, want %s and eight hexadecimal digits", ErrNoModel, version, name+"-")
	}
	return filepath.Join(r.dir, name, version), nil
}

// Add puts a model into the registry under the name of the card and returns the card with
// the version, size and checksum filled in. A file that is there already keeps its card.
func (r *Registry) Add(file []byte, card Card) (Card, error) {
	m, err := Decode(file)
	if err != nil {
		return Card{}, err
	}
	card.Config = m.config
	return r.AddFile(file, card)
}

// AddFile is Add for a model of another kind than those of this package, see Of.
func (r *Registry) AddFile(file []byte, card Card) (Card, error) {
	if err := r.check(file); err != nil {
		return Card{}, err
	}
	sum := sha256.Sum256(file)
	card.Version, card.SHA256, card.Bytes = VersionOf(card.Name, file), hex.EncodeToString(sum[:]), len(file)
	place, err := r.place(card.Name, card.Version)
	if err != nil {
		return Card{}, err
	}
	if old, _, err := r.Load(card.Name, card.Version); err == nil {
		return old, nil
	}
	all, err := r.List(card.Name)
	if err != nil {
		return Card{}, err
	}
	if len(all) >= versionsMax {
		return Card{}, fmt.Errorf("lstm: %s has %d versions already, at most %d: delete folders of old ones", card.Name, len(all), versionsMax)
	}
	text, err := json.MarshalIndent(card, "", "  ")
	if err != nil {
		return Card{}, fmt.Errorf("lstm: encode card: %w", err)
	}
	if len(text) > cardMax {
		return Card{}, fmt.Errorf("lstm: card of %d bytes, at most %d", len(text), cardMax)
	}
	if err := os.MkdirAll(place, 0o700); err != nil {
		return Card{}, fmt.Errorf("lstm: add model: %w", err)
	}
	// The card comes last: a folder without one is no version.
	if err := replace(filepath.Join(place, modelFile), file); err != nil {
		return Card{}, err
	}
	return card, replace(filepath.Join(place, cardFile), text)
}

// Load returns a version after checking it: a file that is not the one that was added is
// ErrCorrupt.
func (r *Registry) Load(name, version string) (Card, []byte, error) {
	card, err := r.card(name, version)
	if err != nil {
		return Card{}, nil, err
	}
	place, err := r.place(name, version)
	if err != nil {
		return Card{}, nil, err
	}
	file, err := readAtMost(filepath.Join(place, modelFile), modelMax)
	if err != nil {
		return Card{}, nil, fmt.Errorf("lstm: load %s: %w", version, err)
	}
	sum := sha256.Sum256(file)
	if hex.EncodeToString(sum[:]) != card.SHA256 || VersionOf(name, file) != version {
		return Card{}, nil, fmt.Errorf("%w: %s has the checksum %x, its card says %.12s", ErrCorrupt, version, sum[:6], card.SHA256)
	}
	return card, file, nil
}

func (r *Registry) card(name, version string) (Card, error) {
	place, err := r.place(name, version)
	if err != nil {
		return Card{}, err
	}
	text, err := readAtMost(filepath.Join(place, cardFile), cardMax)
	if errors.Is(err, fs.ErrNotExist) {
		return Card{}, fmt.Errorf("%w: %s", ErrNoModel, version)
	}
	if err != nil {
		return Card{}, fmt.Errorf("lstm: read card of %s: %w", version, err)
	}
	var card Card
	if err := strictJSON(text, &card); err != nil {
		return Card{}, fmt.Errorf("%w: card of %s: %w", ErrCorrupt, version, err)
	}
	if card.Name != name || card.Version != version {
		return Card{}, fmt.Errorf("%w: the card of %s says %q", ErrCorrupt, version, card.Version)
	}
	return card, nil
}

// List returns the cards of a name, oldest first. What has no card that can be read is
// left out.
func (r *Registry) List(name string) ([]Card, error) {
	if !nameForm.MatchString(name) {
		return nil, fmt.Errorf("%w: name %q, want letters and digits", ErrNoModel, name)
	}
	entries, err := os.ReadDir(filepath.Join(r.dir, name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("lstm: list models: %w", err)
	}
	var out []Card
	for _, e := range entries {
		if card, err := r.card(name, e.Name()); err == nil {
			out = append(out, card)
		}
	}
	slices.SortStableFunc(out, func(a, b Card) int { return a.Created.Compare(b.Created) })
	return out, nil
}

// History returns the promotions of a name, oldest first.
func (r *Registry) History(name string) ([]Promotion, error) {
	if !nameForm.MatchString(name) {
		return nil, fmt.Errorf("%w: name %q, want letters and digits", ErrNoModel, name)
	}
	text, err := readAtMost(filepath.Join(r.dir, name, historyFile), 1<<20)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("lstm: read promotions: %w", err)
	}
	var all []Promotion
	if err := strictJSON(text, &all); err != nil {
		return nil, fmt.Errorf("lstm: read promotions: %w", err)
	}
	return all, nil
}

// Current returns the version in use, "" for the shipped model.
func (r *Registry) Current(name string) (string, error) {
	all, err := r.History(name)
	if err != nil || len(all) == 0 {
		return "", err
	}
	return all[len(all)-1].Version, nil
}

// Promote puts a version in use, "" for the shipped model, after loading and checking it.
func (r *Registry) Promote(name, version string, at time.Time) error {
	return r.enter(name, Promotion{Version: version, At: at})
}

// Rollback puts the version in use that was before the current one was promoted, and
// returns it. Going back twice goes back two promotions; before the first of them lies
// the shipped model.
func (r *Registry) Rollback(name string, at time.Time) (string, error) {
	all, err := r.History(name)
	if err != nil {
		return "", err
	}
	var stack []string
	for _, p := range all {
		switch {
		case !p.Rollback:
			stack = append(stack, p.Version)
		case len(stack) > 0:
			stack = stack[:len(stack)-1]
		}
	}
	if len(stack) == 0 {
		return "", fmt.Errorf("%w: nothing was promoted that could be taken back", ErrNoModel)
	}
	target := ""
	if len(stack) > 1 {
		target = stack[len(stack)-2]
	}
	return target, r.enter(name, Promotion{Version: target, At: at, Rollback: true})
}

// enter writes a promotion to the history.
func (r *Registry) enter(name string, p Promotion) error {
	if p.Version != "" {
		_, file, err := r.Load(name, p.Version)
		if err != nil {
			return err
		}
		if err := r.check(file); err != nil {
			return err
		}
	}
	all, err := r.History(name)
	if err != nil {
		return err
	}
	all = append(all, p)
	all = all[max(0, len(all)-historyMax):]
	text, err := json.MarshalIndent(all, "", " ")
	if err != nil {
		return fmt.Errorf("lstm: encode promotions: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(r.dir, name), 0o700); err != nil {
		return fmt.Errorf("lstm: promote: %w", err)
	}
	return replace(filepath.Join(r.dir, name, historyFile), text)
}

// replace writes a file whole or not at all, and makes it last.
func replace(path string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return fmt.Errorf("lstm: write model: %w", err)
	}
	_, err = tmp.Write(data)
	if err == nil {
		err = tmp.Sync()
	}
	err = errors.Join(err, tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
		return fmt.Errorf("lstm: write model: %w", err)
	}
	if d, err := os.Open(filepath.Dir(path)); err == nil { // not every system can sync a folder
		_ = d.Sync()
		_ = d.Close()
	}
	return nil
}

func readAtMost(path string, most int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > most {
		return nil, fmt.Errorf("%s has %d bytes, at most %d", filepath.Base(path), info.Size(), most)
	}
	return os.ReadFile(path)
}
