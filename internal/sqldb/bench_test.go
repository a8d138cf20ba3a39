package sqldb_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/preceptor-dev/preceptor/internal/sqldb"
)

const benchCols = 12

func BenchmarkSQLite(b *testing.B) {
	db, _ := openFile(b)
	benchmarks(b, db)
}

func benchmarks(b *testing.B, db *sqldb.DB) {
	b.Helper()
	if err := db.Migrate(b.Context(), migrations(`CREATE TABLE e (a BIGINT NOT NULL, b BIGINT NOT NULL, c TEXT, d TEXT, e TEXT, f TEXT, g TEXT,
h BIGINT, i BIGINT, j BIGINT, k BIGINT, l TEXT, PRIMARY KEY (a, b))`)); err != nil {
		b.Fatal(err)
	}
	text := func(rows int) string {
		return "INSERT INTO e (a, b, c, d, e, f, g, h, i, j, k, l) VALUES " + sqldb.Values(rows, benchCols) + " ON CONFLICT DO NOTHING"
	}
	next := 0
	row := func(args []any) []any {
		next++
		return append(args, next%100, next, "module-id", "unit-id", "COMPLETED", "0190f3c2-7d1e-7000-8000-000000000001", "phone-1",
			int64(1), int64(2), int64(3), nil, "actor")
	}
	for _, n := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("write/one-text-of-%d-rows", n), func(b *testing.B) {
			perRow(b, n, db, func(ctx context.Context, tx sqldb.Tx) error {
				args := make([]any, 0, n*benchCols)
				for range n {
					args = row(args)
				}
				_, err := tx.ExecContext(ctx, text(n), args...)
				return err
			})
		})
	}
	b.Run("write/256-texts-of-1-row", func(b *testing.B) {
		perRow(b, 256, db, func(ctx context.Context, tx sqldb.Tx) error {
			for range 256 {
				if _, err := tx.ExecContext(ctx, text(1), row(nil)...); err != nil {
					return err
				}
			}
			return nil
		})
	})
	point := func(ctx context.Context, tx sqldb.Tx) error {
		var c string
		return tx.QueryRowContext(ctx, "SELECT c FROM e WHERE a = $1 AND b = $2", 1, 1).Scan(&c)
	}
	b.Run("read/reader", func(b *testing.B) {
		parallel(b, func(ctx context.Context) error { return point(ctx, db.Reader()) })
	})
	b.Run("read/transaction", func(b *testing.B) {
		parallel(b, func(ctx context.Context) error { return db.Read(ctx, point) })
	})
}

func perRow(b *testing.B, n int, db *sqldb.DB, f func(context.Context, sqldb.Tx) error) {
	b.Helper()
	b.ReportAllocs()
	for b.Loop() {
		if err := db.Write(b.Context(), f); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/row")
}

func parallel(b *testing.B, f func(context.Context) error) {
	b.Helper()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := f(b.Context()); err != nil {
				b.Error(err)
			}
		}
	})
}
