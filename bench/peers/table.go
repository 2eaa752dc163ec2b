package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// table writes the results as a Markdown table, so that they can be put into a document.
func table(w io.Writer, o *options, all []result) {
	fmt.Fprintf(w, "%d single-event messages, %d persons, median of %d rounds, server included\n\n", o.events, o.users, o.rounds)
	fmt.Fprintln(w, "| peer | durability | CPU-s per million | events/s | RSS MiB | state MiB | carts left | same answer | what it lacks |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|---|---|")
	for _, r := range all {
		fmt.Fprintf(w, "| %s | %s | %.1f | %.0f | %.0f | %.1f | %d | %s | %s |\n",
			r.Peer, r.Durability, r.CPU, r.PerSecond, r.RSS, r.StateMB, r.Answer.Left, r.Equal, r.Lacks)
	}
}

// plot draws CPU-seconds per million events as bars. A bar that is far longer than the
// others is cut, and says so.
func plot(o *options, all []result) []byte {
	const (
		row, left, width, right = 26, 170, 460, 110
		top                     = 44
	)
	cut := scale(all)
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="13">`+"\n",
		left+width+right, top+row*len(all)+10)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="white"/>`+"\n")
	fmt.Fprintf(&b, `<text x="10" y="24" font-size="15">CPU-seconds per million events (%d events, shorter is better)</text>`+"\n", o.events)
	for i, r := range all {
		y := top + i*row
		color, note := "#8a8f98", ""
		if strings.HasPrefix(r.Peer, "millrace") {
			color = "#2f6fde"
		}
		length := r.CPU / cut * width
		if length > width {
			length, note = width, " (cut)"
		}
		var name strings.Builder
		_ = xml.EscapeText(&name, []byte(r.Peer)) // a builder never fails
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`, left-8, y+16, name.String())
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`, left, y+3, length, row-8, color)
		fmt.Fprintf(&b, `<text x="%.1f" y="%d">%.1f%s</text>`+"\n", left+length+6, y+16, r.CPU, note)
	}
	fmt.Fprintln(&b, "</svg>")
	return b.Bytes()
}

// scale is where the longest bar ends: at the greatest value that is at most four times
// the median.
func scale(all []result) float64 {
	var values []float64
	for _, r := range all {
		values = append(values, r.CPU)
	}
	if len(values) == 0 {
		return 1
	}
	middle := median(values)
	most := middle
	for _, v := range values {
		if v <= 4*middle {
			most = max(most, v)
		}
	}
	return max(most, 0.1)
}
