package console

import (
	"cmp"
	"fmt"
	"math"
	"strings"
	"sync"
)

// nodeView is a node as drawn.
type nodeView struct {
	X, Y, W, H string
	Label      string
	Line       string // its rate
	Note       string
	Class      string
	Title      string // for a pointer and a screen reader
}

// edgeView is an edge as drawn.
type edgeView struct {
	Path   string
	Class  string
	Width  string
	TX, TY string
	Rate   string
	Title  string
}

// graphView is the whole picture.
type graphView struct {
	ID, ViewBox, Class string
	Width, Height      string
	Nodes              []nodeView
	Edges              []edgeView
}

// The sizes of the picture, in pixels.
const (
	nodeWidth  = 132
	nodeHeight = 64
	margin     = 22
)

// layouts keeps the last layout of each direction: the steps change only with the
// pipeline, their rates twice a second. It is safe for concurrent use.
type layouts struct {
	mu   sync.Mutex
	key  string
	wide drawing
	tall drawing
}

// of answers both layouts of a pipeline.
func (l *layouts) of(nodes []Node, edges []Edge) (wide, tall drawing, kept []Edge) {
	var key strings.Builder
	index := make(map[string]int, len(nodes))
	for i, n := range nodes {
		if _, ok := index[n.ID]; !ok {
			index[n.ID] = i
		}
		fmt.Fprintf(&key, "%q ", n.ID)
	}
	var links []link
	for _, e := range edges {
		from, okFrom := index[e.From]
		to, okTo := index[e.To]
		if !okFrom || !okTo {
			continue
		}
		links = append(links, link{from, to, e.Feedback})
		kept = append(kept, e)
		fmt.Fprintf(&key, "%d>%d:%t ", from, to, e.Feedback)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if k := key.String(); k != l.key {
		l.key = k
		l.wide = layOut(len(nodes), links, measure{mainSize: nodeWidth, crossSize: nodeHeight, mainGap: 54, crossGap: 28, laneGap: 26})
		l.tall = layOut(len(nodes), links, measure{mainSize: nodeHeight, crossSize: nodeWidth, mainGap: 40, crossGap: 14, laneGap: 22})
	}
	return l.wide, l.tall, kept
}

// graphsOf draws the pipeline twice: from left to right for wide screens, from top
// to bottom for narrow ones.
func (l *layouts) graphsOf(r reading) []graphView {
	if len(r.nodes) == 0 {
		return nil
	}
	wide, tall, edges := l.of(r.nodes, r.edges)
	return []graphView{
		draw("graph-wide", wide, r, edges, false),
		draw("graph-tall", tall, r, edges, true),
	}
}

func draw(id string, d drawing, r reading, edges []Edge, tall bool) graphView {
	flip := func(main, cross float64) (x, y float64) {
		if tall { // a narrow screen has no room beside the graph
			return cross + 4, main + margin
		}
		return main + margin, cross + 8
	}
	w, h := flip(d.mainExtent+margin, d.crossSpan+8)
	g := graphView{ID: id, Class: id, Width: coordinate(w), Height: coordinate(h), ViewBox: "0 0 " + coordinate(w) + " " + coordinate(h)}
	for i, e := range edges {
		g.Edges = append(g.Edges, drawEdge(d.routes[i], e, r.edgeRate[edgeKey{e.From, e.To, e.Label}], flip, tall))
	}
	for i, n := range r.nodes {
		x, y := flip(d.boxes[i].main, d.boxes[i].cross)
		g.Nodes = append(g.Nodes, drawNode(n, r.nodeRate[n.ID], x, y))
	}
	return g
}

func drawNode(n Node, perSecond, x, y float64) nodeView {
	v := nodeView{
		X: coordinate(x), Y: coordinate(y), W: coordinate(nodeWidth), H: coordinate(nodeHeight),
		Label: fit(n.Label, 17), Line: rate(perSecond), Note: fit(n.Note, 19),
		Class: "kind-" + known(n.Kind, KindLog, KindOperator, KindExchange, KindOutbox, KindEffect) +
			" stage-" + known(n.Stage, "visitor", "person", "item", "effects"),
	}
	if n.Errors > 0 {
		v.Class += " has-errors"
	}
	v.Title = fmt.Sprintf("%s: %s, %s in all", n.Label, rate(perSecond), number(n.Total))
	if n.Note != "" {
		v.Title += ", " + n.Note
	}
	if n.Errors > 0 {
		v.Title += ", " + plural(n.Errors, "error", "errors")
	}
	return v
}

// known keeps a word that the style sheet knows; others are "other".
func known(s string, words ...string) string {
	for _, w := range words {
		if s == w {
			return w
		}
	}
	return "other"
}

// fit cuts a label to n characters.
func fit(s string, n int) string {
	if cut := firstRunes(s, n); cut != s {
		return firstRunes(s, n-1) + "…"
	}
	return s
}

func capital(s string) string {
	first := firstRunes(s, 1)
	return strings.ToUpper(first) + s[len(first):]
}

func drawEdge(r route, e Edge, perSecond float64, flip func(a, b float64) (float64, float64), tall bool) edgeView {
	v := edgeView{Class: "flow-" + flowClass(perSecond), Width: coordinate(1.25 + min(3.5, math.Log10(1+max(perSecond, 0))))}
	if r.back {
		v.Class += " loop"
		v.Path = cornered(r.dots, flip)
	} else {
		v.Path = curved(r.dots, flip, tall)
	}
	if e.Fill > queueFillMax {
		v.Class += " full"
	}
	tx, ty := flip(labelAt(r, tall))
	v.TX, v.TY = coordinate(tx), coordinate(ty-5)
	switch {
	case tall && !r.back:
		v.TY = coordinate(ty + 4)
	case r.back && !tall: // below its lane: above it stand the boxes
		v.TY = coordinate(ty + 14)
	}
	if perSecond > 0 {
		v.Rate = rate(perSecond)
	}
	v.Title = fmt.Sprintf("%s → %s: %s %s, %s in all", e.From, e.To, cmp.Or(e.Label, "events"), rate(perSecond), number(e.Total))
	return v
}

// labelAt is where an edge's rate stands: in the middle of its first stretch, for a
// loop of the wide picture in the middle of its lane.
func labelAt(r route, tall bool) (main, cross float64) {
	if r.back && !tall {
		for i := 1; i < len(r.dots)-1; i++ { // the stretch along the lane
			if r.dots[i].cross == r.dots[i+1].cross && r.dots[i].main != r.dots[i+1].main && r.dots[i].cross >= r.dots[0].cross {
				return (r.dots[i].main + r.dots[i+1].main) / 2, r.dots[i].cross
			}
		}
	}
	return (r.dots[0].main + r.dots[1].main) / 2, (r.dots[0].cross + r.dots[1].cross) / 2
}

// flowClass is how fast the dashes of an edge move: 0 stands still.
func flowClass(perSecond float64) string {
	switch {
	case !(perSecond > 0):
		return "0"
	case perSecond < 1:
		return "1"
	case perSecond < 100:
		return "2"
	}
	return "3"
}

// curved draws each stretch as a cubic curve that leaves and enters along the main axis.
func curved(dots []dot, flip func(a, b float64) (float64, float64), tall bool) string {
	var b strings.Builder
	for i, d := range dots {
		x, y := flip(d.main, d.cross)
		if i == 0 {
			b.WriteString("M" + coordinate(x) + " " + coordinate(y))
			continue
		}
		px, py := flip(dots[i-1].main, dots[i-1].cross)
		c1x, c1y, c2x, c2y := (px+x)/2, py, (px+x)/2, y
		if tall {
			c1x, c1y, c2x, c2y = px, (py+y)/2, x, (py+y)/2
		}
		fmt.Fprintf(&b, "C%s %s %s %s %s %s", coordinate(c1x), coordinate(c1y), coordinate(c2x), coordinate(c2y), coordinate(x), coordinate(y))
	}
	return b.String()
}

// cornered draws straight stretches with round corners.
func cornered(dots []dot, flip func(a, b float64) (float64, float64)) string {
	const radius = 10
	var b strings.Builder
	for i, d := range dots {
		x, y := flip(d.main, d.cross)
		if i == 0 || i == len(dots)-1 {
			b.WriteString(map[bool]string{true: "M", false: "L"}[i == 0] + coordinate(x) + " " + coordinate(y))
			continue
		}
		px, py := flip(dots[i-1].main, dots[i-1].cross)
		nx, ny := flip(dots[i+1].main, dots[i+1].cross)
		ax, ay := toward(x, y, px, py, radius)
		bx, by := toward(x, y, nx, ny, radius)
		fmt.Fprintf(&b, "L%s %sQ%s %s %s %s", coordinate(ax), coordinate(ay), coordinate(x), coordinate(y), coordinate(bx), coordinate(by))
	}
	return b.String()
}

// toward is the point at most r from (x, y) on the way to (tx, ty), and at most half way.
func toward(x, y, tx, ty, r float64) (float64, float64) {
	length := math.Hypot(tx-x, ty-y)
	if length == 0 {
		return x, y
	}
	f := min(r/length, 0.5)
	return x + (tx-x)*f, y + (ty-y)*f
}
