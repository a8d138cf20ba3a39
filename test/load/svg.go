package main

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
)

// series is one line of a plot.
type series struct {
	name string
	x, y []float64
}

// plot is a picture of lines, whose first axis may be logarithmic. The second begins at 0.
type plot struct {
	title, x, y string
	logarithmic bool
	lines       []series
}

// The size of a plot, and of its margins, in pixels.
const (
	plotWidth, plotHeight                = 760.0, 380.0
	leftOf, rightOf, above, below, pitch = 64.0, 230.0, 64.0, 48.0, 22.0
)

// colours are told apart by people who see red and green alike, and on light and on dark.
func colours() []string { return []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8c7a00"} }

const plotStyle = `<style>text{font:13px system-ui,sans-serif;fill:#1f2328}.title{font-weight:600;font-size:15px}` +
	`.grid{stroke:#d0d7de;stroke-width:1}.paper{fill:#ffffff}` +
	`@media (prefers-color-scheme:dark){text{fill:#e6edf3}.grid{stroke:#3d444d}.paper{fill:#0d1117}}</style>`

// write writes the plot as SVG.
func (p *plot) write(file string) error { return os.WriteFile(file, []byte(p.svg()), 0o600) }

func (p *plot) svg() string {
	var w strings.Builder
	fmt.Fprintf(&w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" role="img" aria-label="%s">`+"\n", plotWidth, plotHeight, escape(p.title))
	w.WriteString(plotStyle + "\n")
	fmt.Fprintf(&w, `<rect class="paper" width="%.0f" height="%.0f"/>`+"\n", plotWidth, plotHeight)
	p.text(&w, 8, 22, `class="title"`, p.title)
	p.text(&w, (leftOf+plotWidth-rightOf)/2, plotHeight-8, `text-anchor="middle"`, p.x)
	p.text(&w, 8, above-18, "", p.y)
	for _, y := range ticks(p.top()) {
		_, at := p.place(p.first(), y)
		fmt.Fprintf(&w, `<line class="grid" x1="%.0f" x2="%.0f" y1="%.1f" y2="%.1f"/>`+"\n", leftOf, plotWidth-rightOf, at, at)
		p.text(&w, leftOf-8, at+4, `text-anchor="end"`, short(y))
	}
	for _, x := range p.marks() {
		at, _ := p.place(x, 0)
		p.text(&w, at, plotHeight-below+20, `text-anchor="middle"`, short(x))
	}
	for i, line := range p.lines {
		p.draw(&w, i, line)
	}
	w.WriteString("</svg>\n")
	return w.String()
}

func (p *plot) text(w *strings.Builder, x, y float64, attributes, text string) {
	fmt.Fprintf(w, `<text x="%.1f" y="%.1f" %s>%s</text>`+"\n", x, y, attributes, escape(text))
}

// draw draws a line, its points, and its name beside the plot.
func (p *plot) draw(w *strings.Builder, i int, line series) {
	colour := colours()[i%len(colours())]
	var points []string
	for j := range line.x {
		x, y := p.place(line.x[j], line.y[j])
		points = append(points, fmt.Sprintf("%.1f,%.1f", x, y))
		if len(line.x) <= 20 {
			fmt.Fprintf(w, `<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"/>`+"\n", x, y, colour)
		}
	}
	fmt.Fprintf(w, `<polyline fill="none" stroke="%s" stroke-width="2" points="%s"/>`+"\n", colour, strings.Join(points, " "))
	at := above + pitch*float64(i) + 8
	fmt.Fprintf(w, `<rect x="%.0f" y="%.1f" width="14" height="4" fill="%s"/>`+"\n", plotWidth-rightOf+12, at-6, colour)
	p.text(w, plotWidth-rightOf+32, at, "", line.name)
}

// extent is where the first axis begins and ends: it begins at 0 unless it is logarithmic.
func (p *plot) extent() (least, most float64) {
	if p.logarithmic {
		least = math.Inf(1)
	}
	for _, line := range p.lines {
		for _, x := range line.x {
			least, most = min(least, x), max(most, x)
		}
	}
	return least, most
}

func (p *plot) first() float64 { least, _ := p.extent(); return least }

// top is the greatest of the second axis.
func (p *plot) top() float64 {
	most := 0.0
	for _, line := range p.lines {
		for _, y := range line.y {
			most = max(most, y)
		}
	}
	return most
}

// place is where a point is in the picture.
func (p *plot) place(x, y float64) (atX, atY float64) {
	least, most := p.extent()
	if p.logarithmic {
		x, least, most = math.Log(x), math.Log(least), math.Log(most)
	}
	share := 0.5
	if most > least {
		share = (x - least) / (most - least)
	}
	all := ticks(p.top())
	height := plotHeight - above - below
	return leftOf + share*(plotWidth-rightOf-leftOf), above + height*(1-y/all[len(all)-1])
}

// marks are what is written below the first axis.
func (p *plot) marks() []float64 {
	if p.logarithmic { // the points themselves
		return p.lines[0].x
	}
	_, most := p.extent()
	return slices.DeleteFunc(ticks(most), func(x float64) bool { return x > most*(1+1e-9) })
}

// ticks are round numbers from 0 to at least most, four to eight of them.
func ticks(most float64) []float64 {
	if most <= 0 {
		most = 1
	}
	step := math.Pow(10, math.Floor(math.Log10(most)))
	switch {
	case most/step < 1.5:
		step /= 5
	case most/step < 3:
		step /= 2
	case most/step > 7:
		step *= 2
	}
	var out []float64
	for n := 0; ; n++ {
		out = append(out, float64(n)*step)
		if float64(n)*step >= most*(1-1e-9) {
			return out
		}
	}
}

// short is a number without many zeros.
func short(x float64) string {
	switch {
	case x >= 1e6:
		return fmt.Sprintf("%g M", math.Round(x/1e4)/100)
	case x >= 1e4:
		return fmt.Sprintf("%g k", math.Round(x/10)/100)
	default:
		return fmt.Sprintf("%g", math.Round(x*100)/100)
	}
}

func escape(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").Replace(text)
}
