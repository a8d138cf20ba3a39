package starter_test

import (
	"bytes"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/sqldb/sqldbtest"
	"github.com/preceptor-dev/preceptor/services/catalog"
	"github.com/preceptor-dev/preceptor/services/catalog/document"
	"github.com/preceptor-dev/preceptor/services/catalog/sqlstore"
	"github.com/preceptor-dev/preceptor/services/catalog/starter"
)

func newService(tb testing.TB) *catalog.Service {
	tb.Helper()
	return catalog.New(sqlstore.New(sqldbtest.SQLite(tb, sqlstore.Migrations())), document.Codec{}, catalog.Options{
		Now: func() time.Time { return time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC) },
	})
}

// TestLoad proves that the starter catalog breaks no rule, and is loaded once.
func TestLoad(t *testing.T) {
	s := newService(t)
	loaded, err := starter.Load(t.Context(), s)
	if err != nil || !loaded {
		t.Fatalf("loaded %t: %v\n%s", loaded, err, listed(err))
	}
	snapshot, err := s.Sync(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(snapshot.Modules) < 20 || len(snapshot.Paths) < 4 {
		t.Errorf("%d modules and %d paths are no catalog", len(snapshot.Modules), len(snapshot.Paths))
	}
	if want := int64(len(snapshot.Modules) + len(snapshot.Paths)); snapshot.Revision != want {
		t.Errorf("revision %d, want one for each of %d", snapshot.Revision, want)
	}
	if loaded, err := starter.Load(t.Context(), s); loaded || err != nil {
		t.Errorf("a second time: loaded %t, %v", loaded, err)
	}
}

// TestRoundTrip proves that an export holds all of what was published: into its own
// catalog it brings nothing, and into an empty one the same contents.
func TestRoundTrip(t *testing.T) {
	from := newService(t)
	if _, err := starter.Load(t.Context(), from); err != nil {
		t.Fatal(err)
	}
	for _, format := range []catalog.Format{catalog.FormatYAML, catalog.FormatJSON} {
		text, err := from.Export(t.Context(), format)
		if err != nil {
			t.Fatal(err)
		}
		files := []catalog.File{{Name: "catalog", Content: string(text)}}
		done, err := from.Import(t.Context(), files, catalog.ImportOptions{})
		if err != nil || len(done.Changes) > 0 {
			t.Errorf("%s into its own: %d changes, %v\n%s", format, len(done.Changes), err, listed(err))
		}
		to := newService(t)
		done, err = to.Import(t.Context(), files, catalog.ImportOptions{})
		if err != nil {
			t.Errorf("%s into an empty one: %v\n%s", format, err, listed(err))
		}
		for _, w := range done.Warnings { // the starter catalog is an example to follow
			t.Errorf("%s into an empty one warns: %s: %s", format, w.Field, w.Description)
		}
		if !maps.Equal(hashes(t, from), hashes(t, to)) {
			t.Errorf("%s: the contents differ", format)
		}
		if again, err := to.Export(t.Context(), format); err != nil || !bytes.Equal(again, text) {
			t.Errorf("%s: exported again, it differs: %v", format, err)
		}
	}
}

func hashes(t *testing.T, s *catalog.Service) map[string]string {
	t.Helper()
	all, err := s.Sync(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, m := range all.Modules {
		found["module "+m.ID] = m.Versions[0].ContentHash
	}
	for _, p := range all.Paths {
		found["path "+p.ID] = p.Versions[0].ContentHash
	}
	return found
}

func listed(err error) string {
	e, ok := errors.AsType[*errs.Error](err)
	if !ok {
		return ""
	}
	var lines []string
	for _, v := range e.Violations {
		lines = append(lines, v.Field+": "+v.Description)
	}
	return strings.Join(lines, "\n")
}

// BenchmarkLoad is what a first start waits for.
func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		s := newService(b)
		b.StartTimer()
		if _, err := starter.Load(b.Context(), s); err != nil {
			b.Fatal(err)
		}
	}
}
