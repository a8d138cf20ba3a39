package page_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/page"
)

func TestParseOrder(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]page.Order{
		"":                 {Field: "id"},
		"id":               {Field: "id"},
		"id desc":          {Field: "id", Desc: true},
		"title":            {Field: "title"},
		"title asc":        {Field: "title"},
		"  title   desc ":  {Field: "title", Desc: true},
		"publishTime desc": {Field: "publishTime", Desc: true},
		"publish_time":     {Field: "publishTime"},
	} {
		got, err := page.ParseOrder(text, "id", "title", "publishTime")
		if err != nil || got != want {
			t.Errorf("%q is %+v, %v, want %+v", text, got, err, want)
		}
	}
	for text, reason := range map[string]string{
		"topic":          errs.ReasonUnknownValue,
		"Title":          errs.ReasonUnknownValue,
		"publishtime":    errs.ReasonUnknownValue,
		"title DESC":     errs.ReasonUnknownValue,
		"title desc asc": errs.ReasonUnknownValue,
		"desc":           errs.ReasonUnknownValue,
		" ":              errs.ReasonUnknownValue,
		"title,id":       errs.ReasonTooMany,
		"title desc, id": errs.ReasonTooMany,
		"-title":         errs.ReasonUnknownValue,
		"title; drop":    errs.ReasonUnknownValue,
	} {
		_, err := page.ParseOrder(text, "id", "title", "publishTime")
		var e *errs.Error
		if !errors.As(err, &e) || e.Kind != errs.Invalid || len(e.Violations) != 1 || e.Violations[0].Field != "orderBy" ||
			e.Violations[0].Reason != reason || !strings.Contains(e.Violations[0].Description, "id, title, publishTime") {
			t.Errorf("%q: %v, want %s with the fields that there are", text, err, reason)
		}
	}
}

func TestKey(t *testing.T) {
	t.Parallel()
	sixty := strings.Repeat("é", page.KeyLength)
	for text, want := range map[string]string{"": "", "ab": "ab", sixty: sixty, sixty + "x": sixty} {
		if got := page.Key(text); got != want {
			t.Errorf("Key(%q) = %q, want %q", text, got, want)
		}
	}
}
