package console

import (
	"cmp"
	"slices"
)

// A layered layout after Sugiyama, Tagawa and Toda (1981): layers by longest path,
// order in a layer by barycentres, positions by the mean of the neighbours. The main
// axis runs from layer to layer; the cross axis runs within one. Which of them is
// horizontal is the caller's choice.

// box is a node as placed: its corner and extent along both axes.
type box struct {
	main, cross         float64
	mainSize, crossSize float64
	layer               int
}

func (b box) center() float64 { return b.cross + b.crossSize/2 }

// dot is a point of an edge.
type dot struct{ main, cross float64 }

// route is an edge as placed. Back is set when it runs against the flow: because it
// was declared so, or because it closes a cycle.
type route struct {
	from, to int
	back     bool
	lane     int   // which lane beside the graph, for back routes
	dots     []dot // ends and bends, in order
}

// measure says how big things are.
type measure struct {
	mainSize, crossSize float64 // of a node
	mainGap, crossGap   float64 // between layers, between nodes of a layer
	laneGap             float64 // between back routes
}

// link is an edge between node numbers.
type link struct {
	from, to int
	back     bool
}

// drawing is a finished layout.
type drawing struct {
	boxes                 []box
	routes                []route
	mainExtent, crossSpan float64 // everything lies in [0, mainExtent] × [0, crossSpan]
	lanes                 int
}

// slot is a place in a layer: a node, or a bend of an edge that passes through.
type slot struct {
	node   int // -1 for a bend
	edge   int // of a bend
	size   float64
	center float64
	prev   []int // indices in the layer before
	next   []int // indices in the layer after
}

// layOut places n nodes and their links. It ends for every input, cycles included.
func layOut(n int, links []link, m measure) drawing {
	links = cutCycles(n, links)
	layer := layersOf(n, links)
	rows, place := slotsOf(n, links, layer, m)
	connect(rows, links, layer, place)
	order(rows)
	settle(rows, m)
	return finish(n, links, rows, m)
}

// cutCycles marks what closes a cycle as a back link.
func cutCycles(n int, links []link) []link {
	out := slices.Clone(links)
	next := make([][]int, n)
	for i, l := range out {
		if l.from == l.to {
			out[i].back = true
		}
		if !out[i].back {
			next[l.from] = append(next[l.from], i)
		}
	}
	const fresh, open, done = 0, 1, 2
	state := make([]int, n)
	var visit func(v int)
	visit = func(v int) {
		state[v] = open
		for _, i := range next[v] {
			switch state[out[i].to] {
			case open:
				out[i].back = true
			case fresh:
				visit(out[i].to)
			}
		}
		state[v] = done
	}
	for v := range n {
		if state[v] == fresh {
			visit(v)
		}
	}
	return out
}

// layersOf gives each node the length of the longest way to it.
func layersOf(n int, links []link) []int {
	layer := make([]int, n)
	for range n { // at most n rounds, since the forward links have no cycle
		moved := false
		for _, l := range links {
			if !l.back && layer[l.to] <= layer[l.from] {
				layer[l.to] = layer[l.from] + 1
				moved = true
			}
		}
		if !moved {
			break
		}
	}
	return layer
}

// slotsOf makes the rows of slots. place tells where each node stands in its row.
func slotsOf(n int, links []link, layer []int, m measure) (rows [][]slot, place []int) {
	depth := 0
	for _, l := range layer {
		depth = max(depth, l+1)
	}
	rows = make([][]slot, depth)
	place = make([]int, n)
	for v := range n {
		place[v] = len(rows[layer[v]])
		rows[layer[v]] = append(rows[layer[v]], slot{node: v, edge: -1, size: m.crossSize})
	}
	for i, l := range links {
		if l.back {
			continue
		}
		for d := layer[l.from] + 1; d < layer[l.to]; d++ {
			rows[d] = append(rows[d], slot{node: -1, edge: i, size: m.crossGap})
		}
	}
	return rows, place
}

// connect links each slot with those in the rows beside it.
func connect(rows [][]slot, links []link, layer, place []int) {
	for i, l := range links {
		if l.back {
			continue
		}
		at := place[l.from]
		for d := layer[l.from] + 1; d <= layer[l.to]; d++ {
			to := place[l.to]
			if d < layer[l.to] {
				to = slices.IndexFunc(rows[d], func(s slot) bool { return s.edge == i })
			}
			rows[d-1][at].next = append(rows[d-1][at].next, to)
			rows[d][to].prev = append(rows[d][to].prev, at)
			at = to
		}
	}
}

// sweeps is how often the order is improved. More changed nothing in trials with up
// to 64 nodes.
const sweeps = 8

// pulls is how often the nodes are moved towards their neighbours: enough for a chain
// of ten to become straight to a pixel.
const pulls = 60

// order sorts the rows so that few edges cross, and keeps the best order met.
func order(rows [][]slot) {
	best, bestCrossings := copyRows(rows), crossings(rows)
	for s := range sweeps {
		if s%2 == 0 {
			for d := 1; d < len(rows); d++ {
				sortRow(rows, d, d-1)
			}
		} else {
			for d := len(rows) - 2; d >= 0; d-- {
				sortRow(rows, d, d+1)
			}
		}
		if c := crossings(rows); c < bestCrossings {
			best, bestCrossings = copyRows(rows), c
		}
	}
	copy(rows, best)
}

func copyRows(rows [][]slot) [][]slot {
	out := make([][]slot, len(rows))
	for d, row := range rows {
		out[d] = slices.Clone(row)
		for i := range row {
			out[d][i].prev, out[d][i].next = slices.Clone(row[i].prev), slices.Clone(row[i].next)
		}
	}
	return out
}

// sortRow sorts row d by the mean place of its neighbours in row by, and renumbers
// the links that point into it.
func sortRow(rows [][]slot, d, by int) {
	row := rows[d]
	perm := make([]int, len(row))
	key := make([]float64, len(row))
	for i, s := range row {
		perm[i] = i
		near := s.prev
		if by > d {
			near = s.next
		}
		key[i] = float64(i)
		if len(near) > 0 {
			key[i] = meanOf(near)
		}
	}
	slices.SortStableFunc(perm, func(a, b int) int { return cmp.Compare(key[a], key[b]) })
	moved := make([]slot, len(row))
	where := make([]int, len(row))
	for to, from := range perm {
		moved[to] = row[from]
		where[from] = to
	}
	rows[d] = moved
	renumber := func(list []int) {
		for i, v := range list {
			list[i] = where[v]
		}
	}
	if d > 0 {
		for i := range rows[d-1] {
			renumber(rows[d-1][i].next)
		}
	}
	if d+1 < len(rows) {
		for i := range rows[d+1] {
			renumber(rows[d+1][i].prev)
		}
	}
}

func meanOf(places []int) float64 {
	sum := 0
	for _, p := range places {
		sum += p
	}
	return float64(sum) / float64(len(places))
}

// crossings counts the pairs of edges that cross.
func crossings(rows [][]slot) int {
	n := 0
	for d := 0; d+1 < len(rows); d++ {
		var ends [][2]int
		for i, s := range rows[d] {
			for _, to := range s.next {
				ends = append(ends, [2]int{i, to})
			}
		}
		for i, a := range ends {
			for _, b := range ends[i+1:] {
				if (a[0]-b[0])*(a[1]-b[1]) < 0 {
					n++
				}
			}
		}
	}
	return n
}

// settle gives each slot a centre: near the mean of its neighbours, never closer to
// the one before than the gap.
func settle(rows [][]slot, m measure) {
	for _, row := range rows {
		at := 0.0
		for i := range row {
			row[i].center = at + row[i].size/2
			at += row[i].size + m.crossGap
		}
	}
	for s := range pulls {
		for i := range rows {
			d := i
			if s%2 == 1 {
				d = len(rows) - 1 - i
			}
			pull(rows, d, m)
		}
	}
}

// pull moves row d towards its neighbours on both sides.
func pull(rows [][]slot, d int, m measure) {
	row := rows[d]
	want := make([]float64, len(row))
	for i, s := range row {
		sum, n := 0.0, 0
		for _, p := range s.prev {
			sum, n = sum+rows[d-1][p].center, n+1
		}
		for _, p := range s.next {
			sum, n = sum+rows[d+1][p].center, n+1
		}
		want[i] = s.center
		if n > 0 {
			want[i] = sum / float64(n)
		}
	}
	shift := 0.0
	for i := range row {
		row[i].center = want[i]
		if i > 0 {
			before := row[i-1]
			row[i].center = max(want[i], before.center+before.size/2+m.crossGap+row[i].size/2)
		}
		shift += want[i] - row[i].center
	}
	for i := range row { // the row as a whole stays where its wishes lie
		row[i].center += shift / float64(len(row))
	}
}

// finish turns slots into boxes and routes, moved so that everything starts at 0.
func finish(n int, links []link, rows [][]slot, m measure) drawing {
	low := 0.0
	for d, row := range rows {
		for i, s := range row {
			if (d == 0 && i == 0) || s.center-s.size/2 < low {
				low = s.center - s.size/2
			}
		}
	}
	out := drawing{boxes: make([]box, n), routes: make([]route, len(links))}
	bends := make([]map[int]float64, len(links)) // layer -> centre
	for d, row := range rows {
		for _, s := range row {
			out.crossSpan = max(out.crossSpan, s.center+s.size/2-low)
			if s.node >= 0 {
				out.boxes[s.node] = box{
					main: float64(d) * (m.mainSize + m.mainGap), cross: s.center - s.size/2 - low,
					mainSize: m.mainSize, crossSize: m.crossSize, layer: d,
				}
				continue
			}
			if bends[s.edge] == nil {
				bends[s.edge] = map[int]float64{}
			}
			bends[s.edge][d] = s.center - low
		}
	}
	if len(rows) > 0 {
		out.mainExtent = float64(len(rows))*(m.mainSize+m.mainGap) - m.mainGap
	}
	span := out.crossSpan
	for i, l := range links {
		r := route{from: l.from, to: l.to, back: l.back}
		if l.back {
			r.lane = out.lanes
			out.lanes++
			out.crossSpan = span + float64(out.lanes)*m.laneGap
			r.dots = backDots(out.boxes, l, span+(float64(r.lane)+0.5)*m.laneGap, m)
		} else {
			r.dots = forwardDots(out.boxes[l.from], out.boxes[l.to], bends[i], m)
		}
		out.routes[i] = r
	}
	return out
}

// forwardDots runs from the end of one box to the start of another, through its bends.
func forwardDots(from, to box, bends map[int]float64, m measure) []dot {
	dots := []dot{{from.main + from.mainSize, from.center()}}
	for d := from.layer + 1; d < to.layer; d++ {
		start := float64(d) * (m.mainSize + m.mainGap)
		dots = append(dots, dot{start, bends[d]}, dot{start + m.mainSize, bends[d]})
	}
	return append(dots, dot{to.main, to.center()})
}

// backDots runs along a lane beside the graph. It leaves and enters a box at its
// side when no other box of the layer is in between, and else through the gap
// between the layers, so it never runs behind a box.
func backDots(boxes []box, l link, lane float64, m measure) []dot {
	from, to := boxes[l.from], boxes[l.to]
	var dots []dot
	if outermost(boxes, from) {
		at := from.main + from.mainSize/2
		if l.from == l.to {
			at += from.mainSize / 4
		}
		dots = append(dots, dot{at, from.cross + from.crossSize}, dot{at, lane})
	} else {
		end := from.main + from.mainSize
		dots = append(dots, dot{end, from.center()}, dot{end + m.mainGap/3, from.center()}, dot{end + m.mainGap/3, lane})
	}
	if outermost(boxes, to) {
		at := to.main + to.mainSize/2
		if l.from == l.to {
			at -= to.mainSize / 4
		}
		return append(dots, dot{at, lane}, dot{at, to.cross + to.crossSize})
	}
	start := to.main - m.mainGap/3
	return append(dots, dot{start, lane}, dot{start, to.center()}, dot{to.main, to.center()})
}

// outermost tells whether b is the box of its layer that is nearest to the lanes.
func outermost(boxes []box, b box) bool {
	return !slices.ContainsFunc(boxes, func(o box) bool { return o.layer == b.layer && o.cross > b.cross })
}
