package profile

import (
	"strings"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Fold maps texts that differ only in case, or in how Unicode composes their letters,
// to the same text. A store folds what it searches in with it.
func Fold(text string) string {
	// Folding can take composed letters apart, hence the second time.
	return norm.NFKC.String(cases.Fold().String(norm.NFKC.String(text)))
}

// searchWords are the folded words of a query.
func searchWords(q string) []string { return strings.Fields(Fold(q)) }
