package sqldb

import (
	"context"
	"database/sql"
	"strings"

	"github.com/preceptor-dev/preceptor/internal/tracing"
)

// maxTracedText bounds the text of a statement in its span; that of many rows is long.
const maxTracedText = 1000

// traced is a querier that makes a span of each statement; the same one where nobody traces.
func (db *DB) traced(q querier) querier {
	if db.opts.Tracer == nil {
		return q
	}
	return tracedQuerier{q, db.opts.Tracer, db.dialect}
}

type tracedQuerier struct {
	querier
	tracer  *tracing.Tracer
	dialect Dialect
}

// ExecContext runs a statement in its span.
func (t tracedQuerier) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	ctx, span := t.start(ctx, query)
	result, err := t.querier.ExecContext(ctx, query, args...)
	endSpan(span, t.dialect, err)
	return result, err
}

// QueryContext runs a statement in its span, which ends before the rows are read.
func (t tracedQuerier) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	ctx, span := t.start(ctx, query)
	rows, err := t.querier.QueryContext(ctx, query, args...)
	endSpan(span, t.dialect, err)
	return rows, err
}

// QueryRowContext runs a statement in its span.
func (t tracedQuerier) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	ctx, span := t.start(ctx, query)
	row := t.querier.QueryRowContext(ctx, query, args...)
	endSpan(span, t.dialect, row.Err())
	return row
}

// start begins a statement's span. Its text holds no values: they are all placeholders.
func (t tracedQuerier) start(ctx context.Context, query string) (context.Context, tracing.Span) {
	verb, _, _ := strings.Cut(strings.TrimSpace(query), " ")
	ctx, span := t.tracer.Continue(ctx, "sql "+strings.TrimSpace(verb), tracing.Client)
	if span.Recording() {
		text := strings.Join(strings.Fields(query), " ")
		span.Text("db.query.text", strings.ToValidUTF8(text[:min(len(text), maxTracedText)], ""))
	}
	return ctx, span
}

func transactionName(opts *sql.TxOptions) string {
	if opts.ReadOnly {
		return "sql snapshot"
	}
	return "sql transaction"
}

// endSpan ends a span by how it went. The driver's error may quote values, so it is left out.
func endSpan(span tracing.Span, dialect Dialect, err error) {
	if span.Recording() {
		span.Text("db.system.name", map[Dialect]string{SQLite: "sqlite", Postgres: "postgresql"}[dialect])
		if err != nil {
			span.Fail("the database, or what was done with its rows, failed")
		}
	}
	span.End()
}
