package migrationlint

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// statement is one statement: words in upper case, "identifiers" without their quotes in lower case,
// numbers and signs as they are, and texts with a quote before them.
type statement []string

// text begins the token of a text in quotes.
const text = "'"

// split splits a migration into statements, without its comments.
func split(sql string) ([]statement, error) {
	var all []statement
	var tokens statement
	from := 0 // the first token of the statement
	for sql != "" {
		token, rest, err := next(sql)
		if err != nil {
			return nil, err
		}
		sql = rest
		switch {
		case token == "":
		case token != ";":
			tokens = append(tokens, token)
		case len(tokens) > from:
			all = append(all, tokens[from:])
			from = len(tokens)
		}
	}
	if len(tokens) > from {
		return nil, fmt.Errorf("the last statement does not end: %s", tokens[from:])
	}
	return all, nil
}

// next cuts the first token off; "" for a space or a comment.
func next(sql string) (token, rest string, err error) {
	first := rune(sql[0])
	switch {
	case unicode.IsSpace(first):
		return "", sql[1:], nil
	case strings.HasPrefix(sql, "--"):
		_, rest, _ = strings.Cut(sql, "\n")
		return "", rest, nil
	case strings.HasPrefix(sql, "/*"):
		_, rest, err = upTo(sql[2:], "*/")
		return "", rest, err
	case first == '\'':
		return quoted(sql, "'", text)
	case first == '"':
		return quoted(sql, `"`, "")
	case first == '$':
		tag, _, found := strings.Cut(sql[1:], "$")
		if !found || strings.ContainsFunc(tag, func(r rune) bool { return !isWord(r) }) {
			return "", "", fmt.Errorf("a $ that begins no text: %.20q", sql)
		}
		tag = "$" + tag + "$"
		_, rest, err = upTo(sql[len(tag):], tag)
		return text + "…", rest, err
	case isWord(first):
		end := strings.IndexFunc(sql, func(r rune) bool { return !isWord(r) && r != '.' })
		if end < 0 {
			end = len(sql)
		}
		return strings.ToUpper(sql[:end]), sql[end:], nil
	case first >= unicode.MaxASCII || first == '\\':
		return "", "", fmt.Errorf("a sign that is not known: %.20q", sql)
	}
	return sql[:1], sql[1:], nil
}

// quoted cuts a text or a name in quotes off, in which two quotes stand for one.
func quoted(sql, quote, prefix string) (token, rest string, err error) {
	inside, rest, err := upTo(sql[1:], quote)
	all := []string{inside}
	for err == nil && strings.HasPrefix(rest, quote) {
		inside, rest, err = upTo(rest[1:], quote)
		all = append(all, inside)
	}
	inside = strings.Join(all, quote)
	if prefix == "" {
		inside = strings.ToUpper(inside)
	}
	return prefix + inside, rest, err
}

func upTo(sql, end string) (before, after string, err error) {
	before, after, found := strings.Cut(sql, end)
	if !found {
		return "", "", fmt.Errorf("%s is missing after %.20q", end, sql)
	}
	return before, after, nil
}

func isWord(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }

// begins matches the first tokens with a pattern, whose words that begin with $ stand for any word and are
// returned in order.
func (s statement) begins(pattern string) (words []string, rest statement, ok bool) {
	parts := strings.Fields(pattern)
	if len(s) < len(parts) {
		return nil, nil, false
	}
	for i, part := range parts {
		switch {
		case strings.HasPrefix(part, "$"):
			if !isWord([]rune(s[i] + " ")[0]) {
				return nil, nil, false
			}
			words = append(words, s[i])
		case s[i] != part:
			return nil, nil, false
		}
	}
	return words, s[len(parts):], true
}

// is reports whether all of the statement matches a pattern, and returns its words.
func (s statement) is(pattern string) (words []string, ok bool) {
	words, rest, ok := s.begins(pattern)
	return words, ok && len(rest) == 0
}

// has reports whether a token is among the statement's.
func (s statement) has(tokens ...string) bool {
	return slices.ContainsFunc(s, func(one string) bool { return slices.Contains(tokens, one) })
}

// parts splits what has no brackets around it at commas.
func (s statement) parts() []statement {
	var all []statement
	depth, from := 0, 0
	for i, token := range s {
		switch token {
		case "(":
			depth++
		case ")":
			depth--
		case ",":
			if depth == 0 {
				all = append(all, s[from:i])
				from = i + 1
			}
		}
	}
	return append(all, s[from:])
}
