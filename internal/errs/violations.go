package errs

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Violations collects the faults of a request, so that the error names all of them. Its checks
// use the reasons and the words that the rules of proto/ have at the edge.
type Violations []Violation

// Addf appends a fault with a formatted description.
func (v *Violations) Addf(field, reason, format string, args ...any) {
	*v = append(*v, Violation{Field: field, Reason: reason, Description: fmt.Sprintf(format, args...)})
}

// Err returns Invalid with all faults, or nil where there are none.
func (v *Violations) Err() error {
	if len(*v) == 0 {
		return nil
	}
	return InvalidFields(*v)
}

// Encoding checks that a text is UTF-8 without a NUL, which not every database stores.
func (v *Violations) Encoding(field, text string) {
	*v = append(*v, checkEncoding(field, text)...)
}

// Text checks a text of at most limit characters, and that it has no control characters but tabs
// and line ends.
func (v *Violations) Text(field, text string, limit int) {
	found := checkEncoding(field, text)
	*v = append(*v, found...)
	if len(found) > 0 && found[0].Reason == ReasonInvalidUTF8 {
		return // it has no characters to count
	}
	v.Length(field, text, limit)
	if i := strings.IndexFunc(text, isControl); i >= 0 {
		r, _ := utf8.DecodeRuneInString(text[i:])
		v.Addf(field, ReasonControlCharacter, "must not contain the control character %U", r)
	}
}

// Title is Text without characters that nobody sees and that change how the others read: marks of the
// direction of writing, and those without width. Joiners and variation selectors, which emoji and Persian
// need, may be in it.
func (v *Violations) Title(field, text string, limit int) {
	v.Text(field, text, limit)
	if i := strings.IndexFunc(text, isHidden); i >= 0 {
		r, _ := utf8.DecodeRuneInString(text[i:])
		v.Addf(field, ReasonControlCharacter, "must not contain the invisible character %U", r)
	}
}

// isHidden reports whether a character is one that no title has. U+FEFF is one of isControl's.
func isHidden(r rune) bool {
	return r >= '\u202A' && r <= '\u202E' || r >= '\u2066' && r <= '\u2069' || r == '\u200B' || r == '\u2060' || r == '\u00AD'
}

// Line is Title without tabs and line ends.
func (v *Violations) Line(field, text string, limit int) {
	before := len(*v)
	v.Title(field, text, limit)
	if len(*v) == before && strings.ContainsAny(text, "\t\r\n") {
		v.Addf(field, ReasonControlCharacter, "must not contain tabs or line ends")
	}
}

// Length checks that a text has at most limit characters.
func (v *Violations) Length(field, text string, limit int) {
	if n := utf8.RuneCountInString(text); n > limit {
		v.Addf(field, ReasonTooLong, "must have at most %d characters, not %d", limit, n)
	}
}

// Count checks that a list has at most limit items.
func (v *Violations) Count(field string, n, limit int) {
	if n > limit {
		v.Addf(field, ReasonTooMany, "must have at most %d items, not %d", limit, n)
	}
}

// OneOf checks that a value is one of those allowed, or empty, which is to say nothing.
func OneOf[E ~string](v *Violations, field string, value E, allowed ...E) {
	if value == "" {
		return
	}
	names := make([]string, len(allowed))
	for i, a := range allowed {
		if a == value {
			return
		}
		names[i] = string(a)
	}
	v.Addf(field, ReasonUnknownValue, "must be one of %s", strings.Join(names, ", "))
}

// checkEncoding returns what makes a text unfit to be stored.
func checkEncoding(field, text string) []Violation {
	switch {
	case !utf8.ValidString(text):
		return []Violation{{Field: field, Reason: ReasonInvalidUTF8, Description: "must be UTF-8 text"}}
	case strings.IndexByte(text, 0) >= 0:
		return []Violation{{Field: field, Reason: ReasonNULCharacter, Description: "must not contain the character NUL"}}
	}
	return nil
}

// isControl reports whether a character is one that no YAML text can hold as it is, tabs and line
// ends aside; NUL has a reason of its own.
func isControl(r rune) bool {
	switch r {
	case 0, '\t', '\n', '\r':
		return false
	case '\uFEFF', '\uFFFE', '\uFFFF':
		return true
	}
	return unicode.Is(unicode.Cc, r)
}
