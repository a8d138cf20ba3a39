package sqldbtest

import (
	"context"
	"strings"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/internal/tracing"
)

// Traced opens a migrated database, and gives a function that names the statements, by their first word, and the
// transactions that f makes with its context, each when it ends: "INSERT, transaction".
func Traced(t testing.TB, url string) (db *sqldb.DB, asked func(f func(ctx context.Context)) string) {
	t.Helper()
	seen := tracetest.NewInMemoryExporter()
	tracer := tracing.New(sdktrace.NewTracerProvider(sdktrace.WithSyncer(seen)))
	db = OpenWith(t, url, sqldb.Options{Tracer: tracer})
	return db, func(f func(ctx context.Context)) string {
		seen.Reset()
		ctx, root := tracer.Start(context.Background(), "root", tracing.Server)
		f(ctx)
		var names []string
		for _, span := range seen.GetSpans() {
			names = append(names, strings.TrimPrefix(span.Name, "sql "))
		}
		root.End()
		return strings.Join(names, ", ")
	}
}
