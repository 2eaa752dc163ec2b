package console

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

var testMeasure = measure{mainSize: 100, crossSize: 40, mainGap: 50, crossGap: 20, laneGap: 16}

// drawGraph draws any graph: cycles, loops to oneself, parallel and feedback links.
func drawGraph(t *rapid.T) (int, []link) {
	n := rapid.IntRange(0, 24).Draw(t, "nodes")
	if n == 0 {
		return 0, nil
	}
	node := rapid.IntRange(0, n-1)
	return n, rapid.SliceOfN(rapid.Custom(func(t *rapid.T) link {
		return link{node.Draw(t, "from"), node.Draw(t, "to"), rapid.IntRange(0, 4).Draw(t, "feedback") == 0}
	}), 0, 40).Draw(t, "links")
}

func TestLayout(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, links := drawGraph(t)
		d := layOut(n, links, testMeasure)
		if len(d.boxes) != n || len(d.routes) != len(links) {
			t.Fatalf("%d boxes of %d, %d routes of %d", len(d.boxes), n, len(d.routes), len(links))
		}
		checkBoxes(t, d)
		for i, r := range d.routes {
			checkRoute(t, d, links[i], r)
		}
		if again := layOut(n, links, testMeasure); fmt.Sprint(again) != fmt.Sprint(d) {
			t.Fatal("the same graph is laid out in two ways")
		}
	})
}

// checkBoxes: no two overlap, those of a layer keep the gap, all lie in the picture.
func checkBoxes(t *rapid.T, d drawing) {
	for i, a := range d.boxes {
		if a.main < 0 || a.cross < -1e-9 || a.main+a.mainSize > d.mainExtent+1e-9 || a.cross+a.crossSize > d.crossSpan+1e-9 || math.IsNaN(a.cross) {
			t.Fatalf("box %d is outside: %+v in %g x %g", i, a, d.mainExtent, d.crossSpan)
		}
		for j, b := range d.boxes[:i] {
			if a.main < b.main+b.mainSize && b.main < a.main+a.mainSize &&
				a.cross < b.cross+b.crossSize+testMeasure.crossGap-1e-6 && b.cross < a.cross+a.crossSize+testMeasure.crossGap-1e-6 {
				t.Fatalf("boxes %d and %d overlap or touch: %+v %+v", i, j, a, b)
			}
		}
	}
}

// checkRoute: it joins its two boxes; forward it never goes back; its stretches do
// not run through other boxes.
func checkRoute(t *rapid.T, d drawing, l link, r route) {
	from, to := d.boxes[l.from], d.boxes[l.to]
	if l.back && !r.back {
		t.Fatalf("feedback %v is drawn forward", l)
	}
	if !onBorder(from, r.dots[0]) || !onBorder(to, r.dots[len(r.dots)-1]) {
		t.Fatalf("route %v does not join its boxes: %v", l, r.dots)
	}
	if !r.back && from.layer >= to.layer {
		t.Fatalf("edge %v goes from layer %d to %d", l, from.layer, to.layer)
	}
	for k := 1; k < len(r.dots); k++ {
		a, b := r.dots[k-1], r.dots[k]
		if !r.back && b.main < a.main {
			t.Fatalf("edge %v turns back: %v", l, r.dots)
		}
		if !r.back && a.cross != b.cross {
			if b.main-a.main > testMeasure.mainGap+1e-9 {
				t.Fatalf("edge %v slants across a layer: %v", l, r.dots)
			}
			continue // slants only in the gap, where no box is
		}
		for v, box := range d.boxes {
			if v != l.from && v != l.to && through(box, a, b) {
				t.Fatalf("route %v runs through box %d: %v %+v", l, v, r.dots, box)
			}
		}
	}
}

func onBorder(b box, p dot) bool {
	return p.main >= b.main-1e-9 && p.main <= b.main+b.mainSize+1e-9 && p.cross >= b.cross-1e-9 && p.cross <= b.cross+b.crossSize+1e-9 &&
		(p.main == b.main || p.main == b.main+b.mainSize || math.Abs(p.cross-b.cross-b.crossSize) < 1e-9)
}

// through tells whether a straight stretch along an axis crosses the inside of b.
func through(b box, p, q dot) bool {
	return max(p.main, q.main) > b.main+1e-6 && min(p.main, q.main) < b.main+b.mainSize-1e-6 &&
		max(p.cross, q.cross) > b.cross+1e-6 && min(p.cross, q.cross) < b.cross+b.crossSize-1e-6
}

// TestCrossings compares the count with that of a naive one over all pairs of links,
// and checks that ordering a graph that can be drawn without crossings finds none.
func TestCrossings(t *testing.T) {
	f := func(n int, links []link, want int) {
		t.Helper()
		layer := layersOf(n, links)
		rows, place := slotsOf(n, links, layer, testMeasure)
		connect(rows, links, layer, place)
		order(rows)
		if got := crossings(rows); got != want {
			t.Errorf("%v: %d crossings, want %d", links, got, want)
		}
	}
	// Two ways that are given crossed.
	f(4, []link{{0, 3, false}, {1, 2, false}}, 0)
	// A diamond with a long way beside it.
	f(5, []link{{0, 1, false}, {0, 2, false}, {1, 3, false}, {2, 3, false}, {3, 4, false}, {0, 4, false}}, 0)
	// Two by two, all joined: one crossing cannot be avoided.
	f(4, []link{{0, 2, false}, {0, 3, false}, {1, 2, false}, {1, 3, false}}, 1)
}

// TestDemoLayout: the shipped graph is a straight picture with its loop at the edge.
func TestDemoLayout(t *testing.T) {
	nodes, edges := newDemo(0).Graph()
	var l layouts
	wide, _, kept := l.of(nodes, edges)
	if len(kept) != len(edges) || wide.lanes != 1 {
		t.Fatalf("%d edges, %d lanes", len(kept), wide.lanes)
	}
	layerOf := func(id string) int {
		return wide.boxes[slices.IndexFunc(nodes, func(n Node) bool { return n.ID == id })].layer
	}
	if layerOf("log") != 0 || layerOf("send") != 6 || layerOf("trigger") != layerOf("exchange") {
		t.Error("the stages do not stand in their order")
	}
	y := func(id string) float64 {
		return wide.boxes[slices.IndexFunc(nodes, func(n Node) bool { return n.ID == id })].center()
	}
	for _, id := range []string{"identity", "profile", "content", "send"} {
		if math.Abs(y(id)-y("log")) > 1 {
			t.Errorf("%s stands %.1f beside the line of the log", id, y(id)-y("log"))
		}
	}
}

func BenchmarkLayout(b *testing.B) {
	nodes, edges := newDemo(0).Graph()
	b.ReportAllocs()
	for b.Loop() {
		var l layouts
		l.of(nodes, edges)
	}
}
