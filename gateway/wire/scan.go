package wire

import (
	"encoding/json"
	"iter"
	"strings"
)

// scanner finds where the values of a JSON text end. It leaves their validation to
// encoding/json and protojson.
type scanner struct {
	data []byte
	pos  int
}

// space skips white space and returns the byte after it, or 0 at the end.
func (s *scanner) space() byte {
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; c {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return c
		}
	}
	return 0
}

// done skips white space and reports whether nothing follows.
func (s *scanner) done() bool {
	s.space()
	return s.pos == len(s.data)
}

// take skips c and reports true, if c is next.
func (s *scanner) take(c byte) bool {
	if s.space() != c {
		return false
	}
	s.pos++
	return true
}

// skip skips one value and returns its text, or nil where none can begin or end.
// The text may not be valid JSON.
func (s *scanner) skip() []byte {
	switch s.space() {
	case 0, ',', ':', ']', '}':
		return nil
	case '"':
		return s.skipString()
	case '{', '[':
		return s.skipNested()
	}
	start := s.pos
	for s.pos < len(s.data) && strings.IndexByte(",:]}[{\" \t\r\n", s.data[s.pos]) < 0 {
		s.pos++
	}
	return s.data[start:s.pos]
}

func (s *scanner) skipString() []byte {
	start := s.pos
	for s.pos++; s.pos < len(s.data); s.pos++ {
		switch s.data[s.pos] {
		case '\\':
			s.pos++
		case '"':
			s.pos++
			return s.data[start:s.pos]
		}
	}
	return nil
}

// skipNested counts brackets of either kind alike.
func (s *scanner) skipNested() []byte {
	start := s.pos
	for depth := 0; s.pos < len(s.data); {
		switch s.data[s.pos] {
		case '"':
			if s.skipString() == nil {
				return nil
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		s.pos++
		if depth == 0 {
			return s.data[start:s.pos]
		}
	}
	return nil
}

// Members yields the name and the text of each member of an object, which must be
// valid JSON.
func Members(object []byte) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		s := scanner{data: object}
		if !s.take('{') {
			return
		}
		for s.space() == '"' {
			name := unquote(s.skip())
			s.take(':')
			if !yield(name, s.skip()) || !s.take(',') {
				return
			}
		}
	}
}

// elements yields the index and the text of each value of a list, which must be valid JSON.
func elements(list []byte) iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		s := scanner{data: list}
		if !s.take('[') || s.space() == ']' {
			return
		}
		for i := 0; ; i++ {
			value := s.skip()
			if value == nil || !yield(i, value) || !s.take(',') {
				return
			}
		}
	}
}

// unquote returns a JSON string's value, or "" if text is not a string.
func unquote(text []byte) string {
	var s string
	if json.Unmarshal(text, &s) != nil {
		return ""
	}
	return s
}
