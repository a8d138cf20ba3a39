package rpc_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	auditv1 "github.com/preceptor-dev/preceptor/gen/preceptor/audit/v1"
	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/rpc"
	"github.com/preceptor-dev/preceptor/internal/rpc/rpctest"
)

func fieldsOf(err error) []string {
	var e *errs.Error
	if !errors.As(err, &e) || e.Kind != errs.Invalid {
		return nil
	}
	var out []string
	for _, v := range e.Violations {
		out = append(out, v.Field+" "+v.Reason)
	}
	slices.Sort(out)
	return out
}

func TestValidatorNamesEveryFault(t *testing.T) {
	s, v := must(rpctest.New()), rpc.NewValidator()
	bad := func() *rpctest.Echo {
		m := s.With("\x00", strings.Repeat("é", 100_001))
		m.SetText("module_id", "\xff")
		return m
	}
	m := bad()
	m.Append("items", s.New())
	m.Append("items", bad())
	m.SetLabel("bad\x00key", "\xff")
	m.SetLabel("good", "text with\nlines and \t tabs")
	want := []string{
		`items[1].learnerId NUL_CHARACTER`, `items[1].moduleId INVALID_UTF8`, `items[1].text TOO_LONG`,
		`labels NUL_CHARACTER`, `labels["bad\x00key"] INVALID_UTF8`,
		`learnerId NUL_CHARACTER`, `moduleId INVALID_UTF8`, `text TOO_LONG`,
	}
	if got := fieldsOf(v.Check(m.Message, "")); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	got := fieldsOf(v.Check(bad().Message, "events[3]"))
	if !slices.Contains(got, "events[3].learnerId NUL_CHARACTER") || !slices.Contains(got, "events[3].text TOO_LONG") {
		t.Errorf("with a prefix: %q", got)
	}
	if err := v.Check(s.With("ada", "plain").Message, ""); err != nil {
		t.Error(err)
	}
}

func TestValidatorLeavesIgnoredFieldsToTheService(t *testing.T) {
	s, v := must(rpctest.New()), rpc.NewValidator()
	bad := s.New()
	bad.SetText("module_id", "NOT A SLUG\x00")
	m := s.New()
	m.SetPatch(bad)
	m.Append("events", bad)
	if err := v.Check(m.Message, ""); err != nil {
		t.Errorf("looked into ignored fields: %v", err)
	}
	if got := fieldsOf(v.Check(bad.Message, "patch")); !slices.Equal(got, []string{"patch.moduleId NUL_CHARACTER"}) {
		t.Errorf("got %q", got)
	}
}

func TestValidatorTakesGeneratedMessages(t *testing.T) {
	v := rpc.NewValidator()
	req := &catalogv1.ImportCatalogRequest{Files: []*catalogv1.ImportCatalogRequest_File{{Name: "a"}, {Name: "b\x00"}}}
	if got := fieldsOf(v.Check(req, "")); !slices.Contains(got, "files[1].name NUL_CHARACTER") {
		t.Errorf("got %q", got)
	}
}

func TestValidatorIsForManyAtOnce(t *testing.T) {
	s, v := must(rpctest.New()), rpc.NewValidator()
	done := make(chan error)
	for range 8 {
		go func() { done <- v.Check(s.With("ada", "x").Message, "") }()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func BenchmarkValidator(b *testing.B) {
	s, v := must(rpctest.New()), rpc.NewValidator()
	m := s.With("ada", "hello")
	for range 100 {
		m.Append("items", s.With("ada", "hello"))
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := v.Check(m.Message, ""); err != nil {
			b.Fatal(err)
		}
	}
}

// The rules have the words that services have.
func TestValidatorWords(t *testing.T) {
	v := rpc.NewValidator()
	for want, message := range map[string]proto.Message{
		"service: must be one of profile, catalog, progress": &auditv1.ListAuditEntriesRequest{Service: "x"},
		"awardId: must be a UUID":                            &progressv1.RevokeAwardRequest{AwardId: "x", Reason: "r"},
		"moduleId: must be 1 to 63 lower-case letters, digits and inner hyphens, such as hipaa-foundations": &catalogv1.GetModuleRequest{ModuleId: "No_Slug"},
		"pathId: must not be empty": &progressv1.GetPathProgressRequest{},
	} {
		if err := v.Check(message, ""); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// TestValidatorCountsBeyondTheFirst proves that a message that is wrong in thousands of places is
// refused with a bounded error.
func TestValidatorCountsBeyondTheFirst(t *testing.T) {
	s := must(rpctest.New())
	m := s.With("ada", "plain")
	for range 300 {
		m.Append("items", s.With("\x00", strings.Repeat("x", 100_001)))
	}
	err := rpc.NewValidator().Check(m.Message, "")
	if n := len(fieldsOf(err)); n != errs.MaxViolations || !strings.Contains(err.Error(), "500 more are not") {
		t.Errorf("%d violations: %.300v", n, err)
	}
}
