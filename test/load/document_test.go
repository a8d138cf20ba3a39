package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestSectionsAreReplaced writes a section twice, and leaves all else as it is.
func TestSectionsAreReplaced(t *testing.T) {
	const document = "# One\n\n<!-- a: begin -->\n<!-- a: end -->\n\ntext\n\n<!-- b: begin -->\nold\n<!-- b: end -->\n"
	first, err := replaceSection(document, "b", "| new |\n\n")
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Replace(document, "\nold\n", "\n\n| new |\n\n", 1); first != want {
		t.Errorf("got %q", first)
	}
	if again, err := replaceSection(first, "b", "| new |"); err != nil || again != first {
		t.Errorf("written again: %q, %v", again, err)
	}
	if _, err := replaceSection(document, "c", "x"); err == nil {
		t.Error("a section without marks is no error")
	}
}

// TestDocumentsHaveTheirMarks looks for every section that a command writes.
func TestDocumentsHaveTheirMarks(t *testing.T) {
	for file, sections := range map[string][]string{
		performanceFile: {"bench", "scale", "growth", "watchers", "soak", "replicas", "rebuild"},
		scaleFile:       {"days", "pods", "stores"},
	} {
		text, err := os.ReadFile("../../" + file)
		if err != nil {
			t.Fatal(err)
		}
		for _, section := range sections {
			if _, err := replaceSection(string(text), section, ""); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
}

func TestBars(t *testing.T) {
	table := barTable([]bar{
		{"a", "ms", 10, 10, true}, {"b", "", 9.994, 10, false}, {"c", "×", 1234.5, 1000, false},
	})
	for _, row := range []string{"| a | ≤ 10 ms | 10 ms | met |", "| b | ≥ 10 | 9.99 | **missed** |", "| c | ≥ 1000 × | 1234 × | met |"} {
		if !strings.Contains(table, row+"\n") {
			t.Errorf("lacks %q:\n%s", row, table)
		}
	}
}

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		most float64
		want []float64
	}{
		{0, []float64{0, 0.2, 0.4, 0.6, 0.8, 1}},
		{0.25, []float64{0, 0.05, 0.1, 0.15, 0.2, 0.25}},
		{9, []float64{0, 2, 4, 6, 8, 10}},
		{450, []float64{0, 100, 200, 300, 400, 500}},
	} {
		got := ticks(c.most)
		if !slices.EqualFunc(got, c.want, func(a, b float64) bool { return short(a) == short(b) }) {
			t.Errorf("ticks of %g are %v, want %v", c.most, got, c.want)
		}
	}
}

// TestPlotIsSVG draws a plot, every part of which must be inside of the picture.
func TestPlotIsSVG(t *testing.T) {
	p := &plot{title: "a < b & c", x: "x", y: "y", logarithmic: true, lines: []series{
		{"one", []float64{10, 100, 1000}, []float64{1, 2, 3}}, {"two", []float64{10, 100, 1000}, []float64{7, 0, 7}},
	}}
	decoder, points := xml.NewDecoder(strings.NewReader(p.svg())), 0
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if element, ok := token.(xml.StartElement); ok && element.Name.Local == "circle" {
			points++
		}
	}
	if points != 6 {
		t.Errorf("%d points, want 6", points)
	}
	for _, line := range p.lines {
		for i := range line.x {
			x, y := p.place(line.x[i], line.y[i])
			if x < leftOf || x > plotWidth-rightOf || y < above || y > plotHeight-below {
				t.Errorf("%g, %g is at %g, %g", line.x[i], line.y[i], x, y)
			}
		}
	}
	if left, low := p.place(10, 0); left != leftOf || low != plotHeight-below {
		t.Errorf("the first point is at %g, %g", left, low)
	}
	p.logarithmic, p.lines = false, []series{{"one", []float64{2, 5}, []float64{1, 2}}}
	if left, _ := p.place(0, 0); left != leftOf {
		t.Errorf("0 is at %g", left)
	}
	if marks := p.marks(); !slices.Equal(marks, []float64{0, 1, 2, 3, 4, 5}) {
		t.Errorf("the marks are %v", marks)
	}
}
