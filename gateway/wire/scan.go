package wire

import (
	"encoding/json"
	"iter"
	"strings"
)

// scanner walks over JSON text. It finds where values end and leaves the judging
// of what is in between to encoding/json and protojson.
type scanner struct {
	data []byte
	pos  int
}

// space goes past white space and tells the byte after it; 0 at the end.
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

// done goes past white space and tells whether nothing follows. A NUL is something.
func (s *scanner) done() bool {
	s.space()
	return s.pos == len(s.data)
}

// take goes past c, when c is next.
func (s *scanner) take(c byte) bool {
	if s.space() != c {
		return false
	}
	s.pos++
	return true
}

// skip goes past one value and gives its text, nil where none can begin or end.
// The text of a value that is not valid JSON is not valid either.
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

// skipNested counts brackets without telling their kinds apart.
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

// Members are the names and the texts of the values of an object, which must be
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

// elements are the texts of the values of a list, which must be valid JSON.
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

// unquote reads a JSON string; what is none reads as "".
func unquote(text []byte) string {
	var s string
	if json.Unmarshal(text, &s) != nil {
		return ""
	}
	return s
}
