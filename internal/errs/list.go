package errs

import "strings"

const (
	// MaxViolations bounds how many violations one response names.
	MaxViolations = 100
	// maxField and maxDescription bound, in bytes, what a violation repeats of a request.
	maxField       = 512
	maxDescription = 1024
)

// List collects violations for a response: the first MaxViolations with their texts, and how
// many more there are. Its size is bounded, whatever a request holds.
type List struct {
	Named []Violation
	More  int
}

// Add appends violations.
func (l *List) Add(violations ...Violation) {
	for i, v := range violations {
		if l.Full() {
			l.More += len(violations) - i
			return
		}
		l.Named = append(l.Named, v.shortened())
	}
}

// Full reports whether what is added from now on is only counted.
func (l *List) Full() bool { return len(l.Named) >= MaxViolations }

// Len is how many violations were added.
func (l *List) Len() int { return len(l.Named) + l.More }

// shortened returns the violation with texts of a bounded length.
func (v Violation) shortened() Violation {
	v.Field, v.Description = shorten(v.Field, maxField), shorten(v.Description, maxDescription)
	return v
}

func shorten(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	// A copy: the rest of the text is not kept for the sake of its beginning.
	return strings.Clone(strings.ToValidUTF8(text[:limit], "")) + "…"
}
