package sqldb_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/internal/tracing"
)

func TestSpansOfStatements(t *testing.T) {
	seen := tracetest.NewInMemoryExporter()
	tracer := tracing.New(sdktrace.NewTracerProvider(sdktrace.WithSyncer(seen)))
	db, err := sqldb.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "x.db"), sqldb.Options{Tracer: tracer})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	write := func(ctx context.Context, query string, args ...any) error {
		return db.Write(ctx, func(ctx context.Context, tx sqldb.Tx) error {
			_, err := tx.ExecContext(ctx, query, args...)
			return err
		})
	}
	if err := write(t.Context(), "CREATE TABLE t (name TEXT PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	if n := len(seen.GetSpans()); n != 0 {
		t.Errorf("%d spans outside of a trace", n)
	}
	ctx, root := tracer.Start(t.Context(), "root", tracing.Server)
	for range 2 {
		_ = write(ctx, "INSERT INTO t\n (name) VALUES ($1)", "ada") // the second time it is there
	}
	var name string
	if err := db.Reader().QueryRowContext(ctx, "SELECT name FROM t").Scan(&name); err != nil {
		t.Fatal(err)
	}
	root.End()
	var got []string
	for _, span := range seen.GetSpans() {
		got = append(got, span.Name+" "+span.Status.Code.String())
		if strings.Contains(fmt.Sprint(span.Attributes, span.Status), "ada") {
			t.Errorf("%s holds a value", span.Name)
		}
	}
	want := "sql INSERT Unset, sql transaction Unset, sql INSERT Error, sql transaction Error, sql SELECT Unset, root Unset"
	if text := strings.Join(got, ", "); text != want {
		t.Errorf("got %s\nwant %s", text, want)
	}
	if text := fmt.Sprint(seen.GetSpans()[0].Attributes); !strings.Contains(text, "INSERT INTO t (name) VALUES ($1)") {
		t.Error(text)
	}
	pools := db.Pools()
	if len(pools) != 2 || pools[0].Name != "read" || pools[1].MaxOpenConnections != 1 {
		t.Errorf("%+v", pools)
	}
}
