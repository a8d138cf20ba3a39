package sqldb

import (
	"database/sql/driver"
	"fmt"
	"strconv"
	"strings"
)

// positional is a statement with each $n turned into SQLite's bare ?.
//
// SQLite takes $n for a name and looks names up one by one, both when it compiles and when
// values are bound: 256 rows of 12 columns then take 44 ms instead of 1 ms. A bare ? costs
// nothing, but goes by its place, so the arguments are put in the order of the places.
type positional struct {
	text string
	// order has, for each ?, the index of its argument; nil when that is its own place.
	order []int
	// args is how many arguments there must be, or -1 when the text stays as it was.
	args int
}

// toPositional turns the text of one statement. One with placeholders of another kind, and
// a text of several statements, is left alone.
func toPositional(query string) positional {
	asIs := positional{text: query, args: -1}
	var b strings.Builder
	b.Grow(len(query))
	p := positional{}
	inOrder := true
	for i := 0; i < len(query); {
		end := i + 1
		switch c := query[i]; {
		case c == '$':
			end = i + 1 + span(query[i+1:], isDigit)
			n, err := strconv.Atoi(query[i+1 : end])
			if err != nil || n < 1 || n > MaxVars || end < len(query) && isWord(query[end]) {
				return asIs
			}
			inOrder = inOrder && n == len(p.order)+1
			p.order = append(p.order, n-1)
			p.args = max(p.args, n)
			b.WriteByte('?')
			i = end
			continue
		case c == '?' || c == ':' || c == '@' || c == '#':
			return asIs
		case c == ';' && strings.TrimSpace(query[end:]) != "":
			return asIs
		case isWord(c):
			end = i + span(query[i:], func(c byte) bool { return isWord(c) || c == '$' })
		default:
			end = i + quoted(query[i:])
		}
		b.WriteString(query[i:end])
		i = end
	}
	if inOrder {
		p.order = nil
	}
	p.text = b.String()
	return p
}

// quoted is the length of the literal, quoted name or comment that s begins with, else 1.
// A doubled quote within a literal reads as two literals, which comes to the same.
func quoted(s string) int {
	for _, q := range [...]struct{ begin, end string }{{"'", "'"}, {`"`, `"`}, {"`", "`"}, {"[", "]"}, {"--", "\n"}, {"/*", "*/"}} {
		if rest, ok := strings.CutPrefix(s, q.begin); ok {
			if at := strings.Index(rest, q.end); at >= 0 {
				return len(q.begin) + at + len(q.end)
			}
			return len(s)
		}
	}
	return 1
}

func span(s string, in func(byte) bool) int {
	for i := range len(s) {
		if !in(s[i]) {
			return i
		}
	}
	return len(s)
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isWord(c byte) bool {
	return c == '_' || isDigit(c) || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// arrange returns the arguments in the order of the places.
func (p positional) arrange(args []driver.NamedValue) ([]driver.NamedValue, error) {
	if p.args < 0 {
		return args, nil
	}
	if len(args) != p.args {
		// Postgres refuses this too; SQLite would not notice one too many.
		return nil, fmt.Errorf("the statement has %d placeholders and %d arguments: %.80s", p.args, len(args), p.text)
	}
	if p.order == nil {
		return args, nil
	}
	arranged := make([]driver.NamedValue, len(p.order))
	for i, from := range p.order {
		arranged[i] = driver.NamedValue{Ordinal: i + 1, Value: args[from].Value}
	}
	return arranged, nil
}
