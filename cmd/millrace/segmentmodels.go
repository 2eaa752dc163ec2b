package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"millrace/configs"
	"millrace/engine"
	"millrace/operators"
	"millrace/operators/profile"
)

// This file fits models over all people, and keeps them: each is a file that is written
// once and never changes. shop.yaml names the versions that conditions use.

// peopleModels is the directory of the models of a data directory.
type peopleModels struct{ dir string }

func (f files) models() peopleModels { return peopleModels{filepath.Join(f.dir, "segments")} }

// Kinds of models, as their files begin.
const (
	modelCluster  = "cluster"
	modelLifetime = "lifetime"
	modelUplift   = "uplift"
)

// Limits of the directory.
const (
	peopleModelsMax  = 10_000   // versions of a kind: one an hour for a year
	peopleModelBytes = 16 << 20 // 64 groups with a full map take about 3 MB
)

func (m peopleModels) path(kind string, version int) string {
	return filepath.Join(m.dir, kind+"-"+strconv.Itoa(version)+".json")
}

// latest is the newest version of a kind, 0 without any.
func (m peopleModels) latest(kind string) (int, error) {
	all, err := os.ReadDir(m.dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, fmt.Errorf("list models: %w", err)
	}
	newest := 0
	for _, e := range all {
		if number, ok := strings.CutPrefix(strings.TrimSuffix(e.Name(), ".json"), kind+"-"); ok {
			if n, err := strconv.Atoi(number); err == nil {
				newest = max(newest, n)
			}
		}
	}
	return newest, nil
}

func (m peopleModels) read(kind string, version int) ([]byte, error) {
	file, err := os.Open(m.path(kind, version))
	if errors.Is(err, os.ErrNotExist) {
		command := map[string]string{modelCluster: "segments cluster", modelLifetime: "segments fit", modelUplift: "experiment uplift NAME --promote"}[kind]
		return nil, &exitError{exitConfig, fmt.Errorf("profile.%s: there is no version %d here; millrace %s makes one", kind, version, command)}
	}
	if err != nil {
		return nil, fmt.Errorf("read a model: %w", err)
	}
	defer func() { _ = file.Close() }() // only read
	raw, err := io.ReadAll(io.LimitReader(file, peopleModelBytes))
	if err != nil {
		return nil, fmt.Errorf("read a model: %w", err)
	}
	return raw, nil
}

// write keeps a model under the next version, which it answers. The file is whole or not
// there, and no other process can have taken the same version.
func (m peopleModels) write(kind string, model any) (int, error) {
	raw, err := json.Marshal(model)
	if err != nil {
		return 0, fmt.Errorf("write a model: %w", err)
	}
	if err := os.MkdirAll(m.dir, 0o700); err != nil {
		return 0, fmt.Errorf("write a model: %w", err)
	}
	file, err := os.CreateTemp(m.dir, "new-*")
	if err != nil {
		return 0, fmt.Errorf("write a model: %w", err)
	}
	defer func() { _ = os.Remove(file.Name()) }() // its content has another name by then
	_, err = file.Write(raw)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return 0, fmt.Errorf("write a model: %w", err)
	}
	newest, err := m.latest(kind)
	for err == nil && newest < peopleModelsMax {
		newest++
		if err = os.Link(file.Name(), m.path(kind, newest)); err == nil {
			return newest, nil
		}
		if errors.Is(err, os.ErrExist) {
			err = nil // somebody else was quicker
		}
	}
	if err == nil {
		err = fmt.Errorf("there are %d versions already", peopleModelsMax)
	}
	return 0, fmt.Errorf("write a model: %w", err)
}

func (m peopleModels) groups(version int) (*profile.PeopleGroups, error) {
	raw, err := m.read(modelCluster, version)
	if err != nil {
		return nil, err
	}
	g, err := profile.ReadPeopleGroups(raw)
	if err != nil {
		return nil, fmt.Errorf("%s-%d.json: %w", modelCluster, version, err)
	}
	return g, nil
}

// named reads the models that a set names; nil without any.
func (m peopleModels) named(set *configs.Set) (*operators.PeopleModels, error) {
	p := set.Shop.Profile
	if p.Cluster == 0 && p.Lifetime == 0 && p.Uplift == 0 {
		return nil, nil //nolint:nilnil // no models are the usual case and no error
	}
	out := new(operators.PeopleModels)
	if p.Cluster > 0 {
		g, err := m.groups(p.Cluster)
		if err != nil {
			return nil, err
		}
		out.Groups = g
	}
	if p.Uplift > 0 {
		u, err := m.uplift(p.Uplift)
		if err != nil {
			return nil, err
		}
		out.Uplift = u
	}
	if p.Lifetime > 0 {
		raw, err := m.read(modelLifetime, p.Lifetime)
		if err != nil {
			return nil, err
		}
		if out.Lifetime, err = profile.ReadLifetimeModel(raw); err != nil {
			return nil, fmt.Errorf("%s-%d.json: %w", modelLifetime, p.Lifetime, err)
		}
	}
	return out, nil
}

// fitted is a model with the version it was kept under.
type fitted[T any] struct {
	Version int `json:"version"`
	Model   *T  `json:"model"`
}

func fitGroups(m peopleModels, k int) scan {
	return func(ctx context.Context, p *operators.Pipeline, v *engine.View, progress func(people int)) (any, error) {
		before, err := m.latest(modelCluster)
		if err != nil {
			return nil, err
		}
		var old *profile.PeopleGroups
		if before > 0 {
			if old, err = m.groups(before); err != nil {
				return nil, err
			}
		}
		g, err := p.FitGroups(ctx, v, k, old, before, progress)
		if err != nil {
			return nil, err
		}
		version, err := m.write(modelCluster, g)
		return fitted[profile.PeopleGroups]{version, g}, err
	}
}

func fitLifetime(m peopleModels) scan {
	return func(ctx context.Context, p *operators.Pipeline, v *engine.View, progress func(people int)) (any, error) {
		l, err := p.FitLifetime(ctx, v, progress)
		if err != nil {
			return nil, err
		}
		version, err := m.write(modelLifetime, l)
		return fitted[profile.LifetimeModel]{version, l}, err
	}
}

func newSegmentsCluster() *cobra.Command {
	var f files
	var k int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "cluster",
		Short: "Put all people into groups, by K-means, and keep the groups under a new version",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if k < 2 || k > profile.MaxClusters {
				return &exitError{exitUsage, fmt.Errorf("-k %d: want 2 to %d", k, profile.MaxClusters)}
			}
			var got fitted[profile.PeopleGroups]
			path := "/segments/cluster?" + url.Values{"k": {strconv.Itoa(k)}}.Encode()
			if err := askScan(cmd.Context(), f, http.MethodPost, path, fitGroups(f.models(), k), cmd.ErrOrStderr(), &got); err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(got)
			}
			return groupsText(cmd.OutOrStdout(), got.Version, got.Model)
		},
	}
	cmd.Flags().StringVar(&f.dir, "data-dir", "data", "of which program")
	cmd.Flags().IntVarP(&k, "groups", "k", 6, "how many groups")
	cmd.Flags().BoolVar(&asJSON, "json", false, "one line of JSON with version and model")
	return cmd
}

func groupsText(w io.Writer, version int, g *profile.PeopleGroups) error {
	fmt.Fprintf(w, "version %d: %d people in %d groups, which explain %.0f %% of their differences\n", version, g.People, len(g.Groups), 100*g.Explained)
	if g.Before > 0 {
		fmt.Fprintf(w, "as version %d puts the same people: %.2f (1 is the same, 0 is chance)\n", g.Before, g.Stability)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i := range g.Groups {
		var out []string
		for _, s := range g.Groups[i].Out {
			out = append(out, fmt.Sprintf("%s %+.1f", s.Feature, s.Off))
		}
		fmt.Fprintf(t, "%s\t%d\t%.1f %%\t%s\n", g.Groups[i].Name, g.Groups[i].People, 100*g.Groups[i].Share, strings.Join(out, ", "))
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("print groups: %w", err)
	}
	_, err := fmt.Fprintf(w, "to use it: profile: {cluster: %d} in shop.yaml, then profile.cluster in conditions\n", version)
	return err
}

func newSegmentsFit() *cobra.Command {
	var f files
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "fit",
		Short: "Fit when people order again, or never, and keep the model under a new version",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var got fitted[profile.LifetimeModel]
			if err := askScan(cmd.Context(), f, http.MethodPost, "/segments/fit", fitLifetime(f.models()), cmd.ErrOrStderr(), &got); err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(got)
			}
			l := got.Model.Lifetime
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "version %d: %.0f buyers, r %.3f, alpha %.3f weeks, a %.3f, b %.3f\n"+
				"to use it: profile: {lifetime: %d} in shop.yaml, then profile.churn, profile.next_order_days and profile.rfm in conditions\n",
				got.Version, l.People, l.R, l.Alpha, l.A, l.B, got.Version)
			return err
		},
	}
	cmd.Flags().StringVar(&f.dir, "data-dir", "data", "of which program")
	cmd.Flags().BoolVar(&asJSON, "json", false, "one line of JSON with version and model")
	return cmd
}
