package errs_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// TestManyViolations proves that a response names a hundred, and says how many more there are.
func TestManyViolations(t *testing.T) {
	t.Parallel()
	var many errs.Violations
	for i := range 5000 {
		many.Addf(fmt.Sprintf("f[%d]", i), errs.ReasonRequired, "must not be empty")
	}
	err := errs.InvalidFields(many)
	want := "5000 fields are not valid: f[0], f[1], f[2], … (the first 100 are named, and 4900 more are not)"
	if len(err.Violations) != errs.MaxViolations || err.Message != want || err.Violations[99].Field != "f[99]" {
		t.Errorf("%d violations: %s", len(err.Violations), err.Message)
	}
	exact := errs.InvalidFields(many[:100])
	if len(exact.Violations) != 100 || strings.Contains(exact.Message, "more") {
		t.Errorf("%d violations: %s", len(exact.Violations), exact.Message)
	}
	var list errs.List
	list.Add(many[:60]...)
	list.Add(many[60:130]...)
	if len(list.Named) != 100 || list.More != 30 || list.Len() != 130 {
		t.Errorf("%d named and %d more", len(list.Named), list.More)
	}
}

// TestLongViolations proves that what a violation repeats of a request is short.
func TestLongViolations(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 1<<20)
	err := errs.InvalidFields([]errs.Violation{{Field: long, Description: long, Reason: errs.ReasonMalformed}})
	v := err.Violations[0]
	if len(v.Field) > 600 || len(v.Description) > 1100 || !utf8.ValidString(v.Field) || !strings.HasSuffix(v.Field, "…") || len(err.Message) > 2000 {
		t.Errorf("a field of %d bytes, a description of %d, a message of %d", len(v.Field), len(v.Description), len(err.Message))
	}
}
