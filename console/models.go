package console

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Models tells which models there are, how they measured, and which are in use.
type Models interface {
	Models(ctx context.Context) ([]ModelKind, error)
}

// ModelKind are the versions of one model, oldest first, and what was put in use.
type ModelKind struct {
	Name, Note string
	Versions   []ModelVersion
	Promotions []ModelPromotion // oldest first
}

// ModelVersion is a version of a model. A zero time is one that came with the program.
type ModelVersion struct {
	Version string
	At      time.Time
	Data    string
	Bytes   int
	InUse   bool
	Metrics []ModelMetric
	Curves  []ModelCurve
}

// ModelMetric is a figure that was measured when a version was made.
type ModelMetric struct {
	Name  string
	Value float64
}

// ModelCurve is a learning curve: what was measured at which steps, in their order.
type ModelCurve struct {
	Name   string
	Steps  []int64
	Values []float64
}

// ModelPromotion is that a version was put in use, or that its predecessor was again.
type ModelPromotion struct {
	Version  string // "" for that of the program, or none
	At       time.Time
	Rollback bool
}

// Limits of the page.
const (
	modelVersionsMax   = 20
	modelPromotionsMax = 10
	modelMetricsMax    = 8
	modelPointsMax     = 2000
	curveWidth         = 320
	curveHeight        = 90
)

type curveView struct {
	Name  string  `json:"name"`
	First float64 `json:"first"`
	Last  float64 `json:"last"`
	Least float64 `json:"least"`
	Steps int64   `json:"steps"`
	Path  string  `json:"-"`
	Text  string  `json:"-"`
}

type modelView struct {
	Version string            `json:"version"`
	At      moment            `json:"at"`
	Data    string            `json:"data,omitempty"`
	Size    string            `json:"size"`
	InUse   bool              `json:"in_use"`
	Metrics []modelMetricView `json:"metrics"`
	Curves  []curveView       `json:"curves"`
}

type modelMetricView struct {
	Name string `json:"name"`
	Text string `json:"value"`
}

type promotionView struct {
	Version  string `json:"version"`
	At       moment `json:"at"`
	Rollback bool   `json:"rollback"`
}

type modelKindView struct {
	Name       string          `json:"name"`
	Note       string          `json:"note"`
	Versions   []modelView     `json:"versions"`
	Promotions []promotionView `json:"promotions"`
}

type modelsView struct {
	Kinds []modelKindView `json:"models"`
}

func (c *Console) models(w http.ResponseWriter, r *http.Request) {
	kinds, err := c.opt.Models.Models(r.Context())
	if err != nil {
		c.oops(w, r, fmt.Errorf("models: %w", err))
		return
	}
	v := modelsView{Kinds: []modelKindView{}}
	for _, k := range kinds {
		kind := modelKindView{Name: clean(k.Name), Note: clean(k.Note), Versions: []modelView{}, Promotions: []promotionView{}}
		for i := len(k.Versions) - 1; i >= max(0, len(k.Versions)-modelVersionsMax); i-- { // newest first
			kind.Versions = append(kind.Versions, c.modelOf(&k.Versions[i]))
		}
		for i := len(k.Promotions) - 1; i >= max(0, len(k.Promotions)-modelPromotionsMax); i-- {
			p := &k.Promotions[i]
			kind.Promotions = append(kind.Promotions, promotionView{clean(p.Version), at(p.At, c.opt.Zone), p.Rollback})
		}
		v.Kinds = append(v.Kinds, kind)
	}
	c.page(w, r, http.StatusOK, "models", "Models", v)
}

func (c *Console) modelOf(m *ModelVersion) modelView {
	v := modelView{Version: clean(m.Version), Data: clean(m.Data), Size: number(uint64(max(m.Bytes, 0))), InUse: m.InUse, Metrics: []modelMetricView{}, Curves: []curveView{}}
	if !m.At.IsZero() {
		v.At = at(m.At, c.opt.Zone)
	}
	for _, x := range m.Metrics[:min(len(m.Metrics), modelMetricsMax)] {
		text := fmt.Sprintf("%.4g", x.Value)
		if whole := uint64(max(x.Value, 0)); x.Value < 1e15 && float64(whole) == x.Value { // a count, in full
			text = number(whole)
		}
		v.Metrics = append(v.Metrics, modelMetricView{clean(x.Name), text})
	}
	for i := range m.Curves[:min(len(m.Curves), modelMetricsMax)] {
		if cv, ok := curveOf(&m.Curves[i]); ok {
			v.Curves = append(v.Curves, cv)
		}
	}
	return v
}

// curveOf draws a curve from its lowest value up. One of fewer than two points, or with a
// value that is no number, is not drawn.
func curveOf(m *ModelCurve) (curveView, bool) {
	n := min(len(m.Steps), len(m.Values), modelPointsMax)
	if n < 2 || m.Steps[n-1] <= m.Steps[0] {
		return curveView{}, false
	}
	least, most := m.Values[0], m.Values[0]
	for _, x := range m.Values[:n] {
		if x-x != 0 { // infinite, or no number
			return curveView{}, false
		}
		least, most = min(least, x), max(most, x)
	}
	span := max(most-least, 1e-9)
	var path strings.Builder
	for i := range n {
		x := float64(m.Steps[i]-m.Steps[0]) / float64(m.Steps[n-1]-m.Steps[0])
		y := (m.Values[i] - least) / span
		to := byte('L')
		if i == 0 {
			to = 'M'
		}
		path.WriteByte(to)
		path.WriteString(coordinate(4+(curveWidth-8)*x) + " " + coordinate(curveHeight-4-(curveHeight-8)*y))
	}
	v := curveView{Name: clean(m.Name), First: m.Values[0], Last: m.Values[n-1], Least: least, Steps: m.Steps[n-1], Path: path.String()}
	v.Text = fmt.Sprintf("%s: from %.3g to %.3g, at least %.3g, in %d steps", v.Name, v.First, v.Last, least, v.Steps)
	return v, true
}
