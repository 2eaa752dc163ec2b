package console

import "strings"

// spark is a small line chart as SVG path data in a box of sparkWidth × sparkHeight.
type spark struct {
	Line string  // the line
	Area string  // the line closed to the ground
	X, Y string  // its last point
	Peak float64 // its highest value
	Now  float64 // its last value
	N    int     // how many points
}

const (
	sparkWidth  = 300
	sparkHeight = 64
)

// sparkOf draws values at even distances, oldest first, from the right edge, so a
// young chart fills from there. The ground is 0.
func sparkOf(values []float64, slots int) spark {
	s := spark{N: len(values)}
	if len(values) < 2 || slots < 2 {
		return s
	}
	for _, v := range values {
		s.Peak = max(s.Peak, v)
	}
	s.Now = values[len(values)-1]
	top := max(s.Peak, 1e-9)
	step := float64(sparkWidth-8) / float64(slots-1)
	left := float64(sparkWidth-4) - step*float64(len(values)-1)
	var b strings.Builder
	for i, v := range values {
		s.X = coordinate(left + step*float64(i))
		s.Y = coordinate(sparkHeight - 3 - (sparkHeight-9)*max(v, 0)/top)
		b.WriteString(map[bool]string{true: "M", false: "L"}[i == 0] + s.X + " " + s.Y)
	}
	s.Line = b.String()
	s.Area = s.Line + "V" + coordinate(sparkHeight) + "H" + coordinate(left) + "Z"
	return s
}

// bar is one row of a bar chart. Width is in hundredths of the widest.
type bar struct {
	Name  string `json:"name"`
	N     uint64 `json:"n"`
	Text  string `json:"-"`
	Share string `json:"share"`
	Width string `json:"-"`
	Tone  string `json:"-"` // class of its colour
}

// barsMax is how many rows a chart has at most; the rest is summed in one.
const barsMax = 12

// barsOf makes rows in the given order, with the rest behind barsMax as one.
func barsOf(counts []Count, tone func(name string) string) []bar {
	var total, top, rest uint64
	for i, c := range counts {
		total += c.N
		if i < barsMax {
			top = max(top, c.N)
		} else {
			rest += c.N
		}
	}
	out := make([]bar, 0, min(len(counts), barsMax)+1)
	add := func(name string, n uint64) {
		b := bar{Name: clean(name), N: n, Text: number(n), Share: percent(n, total), Tone: tone(name)}
		if top > 0 {
			b.Width = coordinate(min(100, 100*float64(n)/float64(top)))
		}
		out = append(out, b)
	}
	for _, c := range counts[:min(len(counts), barsMax)] {
		add(c.Name, c.N)
	}
	if rest > 0 {
		add("others", rest)
	}
	return out
}

// cell is one hour of a week in a heat map; Level is 0 to 4.
type cell struct {
	X, Y  int
	Level int
	Title string
}

var weekdays = [7]string{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}

// weekOf makes a heat map of activity by weekday and hour. It is empty when there
// is no activity.
func weekOf(hours [7][24]float64) []cell {
	top := 0.0
	for _, day := range hours {
		for _, v := range day {
			top = max(top, v)
		}
	}
	if !(top > 0) {
		return nil
	}
	out := make([]cell, 0, 7*24)
	for d, day := range hours {
		for h, v := range day {
			level := 0
			if v > 0 {
				level = 1 + min(3, int(4*v/top))
			}
			out = append(out, cell{X: h, Y: d, Level: level})
		}
	}
	return out
}

// bestHour names the busiest hour: "Thu 20:00".
func bestHour(hours [7][24]float64) string {
	day, hour, top := 0, 0, 0.0
	for d := range hours {
		for h, v := range hours[d] {
			if v > top {
				day, hour, top = d, h, v
			}
		}
	}
	if top == 0 {
		return ""
	}
	return weekdays[day] + " " + twoDigits(hour) + ":00"
}

func twoDigits(n int) string {
	return string([]byte{byte('0' + n/10%10), byte('0' + n%10)})
}
