package errs_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

func TestTexts(t *testing.T) {
	t.Parallel()
	check := func(with func(v *errs.Violations, field, text string, limit int), text string) []string {
		var v errs.Violations
		with(&v, "f", text, 5)
		var got []string
		for _, found := range v {
			got = append(got, found.Reason)
		}
		return got
	}
	for text, want := range map[string]struct{ text, title, line string }{
		"":           {},
		"abcd\u00e9": {},
		"a\tb\n":     {line: errs.ReasonControlCharacter},
		"abcdef":     {errs.ReasonTooLong, errs.ReasonTooLong, errs.ReasonTooLong},
		"\xff":       {errs.ReasonInvalidUTF8, errs.ReasonInvalidUTF8, errs.ReasonInvalidUTF8},
		"a\x00":      {errs.ReasonNULCharacter, errs.ReasonNULCharacter, errs.ReasonNULCharacter},
		"a\x1bb":     {errs.ReasonControlCharacter, errs.ReasonControlCharacter, errs.ReasonControlCharacter},
		"a\ufeff":    {errs.ReasonControlCharacter, errs.ReasonControlCharacter, errs.ReasonControlCharacter},
		"a\u202eb":   {title: errs.ReasonControlCharacter, line: errs.ReasonControlCharacter},
		"a\u2066b":   {title: errs.ReasonControlCharacter, line: errs.ReasonControlCharacter},
		"a\u200bb":   {title: errs.ReasonControlCharacter, line: errs.ReasonControlCharacter},
		"a\u2060b":   {title: errs.ReasonControlCharacter, line: errs.ReasonControlCharacter},
		"a\u00adb":   {title: errs.ReasonControlCharacter, line: errs.ReasonControlCharacter},
		"a\u200db":   {},
		"a\ufe0fb":   {},
	} {
		for name, c := range map[string]struct {
			with func(v *errs.Violations, field, text string, limit int)
			want string
		}{"Text": {(*errs.Violations).Text, want.text}, "Title": {(*errs.Violations).Title, want.title}, "Line": {(*errs.Violations).Line, want.line}} {
			if got := check(c.with, text); !slices.Equal(got, strings.Fields(c.want)) {
				t.Errorf("%s of %q: %q, want %q", name, text, got, c.want)
			}
		}
	}
}
