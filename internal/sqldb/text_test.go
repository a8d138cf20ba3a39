package sqldb_test

import (
	"database/sql"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/sqldb"
)

func TestTexts(t *testing.T) {
	for got, want := range map[string]string{
		sqldb.Values(1, 1):                        "($1)",
		sqldb.Values(2, 2):                        "($1,$2),($3,$4)",
		sqldb.Values(4, 3):                        "($1,$2,$3),($4,$5,$6),($7,$8,$9),($10,$11,$12)",
		sqldb.In(1, 1):                            "($1)",
		sqldb.In(3, 9):                            "($9,$10,$11)",
		sqldb.In(0, 1):                            "(NULL)",
		sqldb.SQLite.String():                     "sqlite",
		sqldb.Postgres.String():                   "postgres",
		sqldb.Dialect(0).String():                 "unknown",
		"SELECT 1" + sqldb.Postgres.ForUpdate():   "SELECT 1 FOR UPDATE",
		"SELECT 1 one" + sqldb.SQLite.ForUpdate(): "SELECT 1 one",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestTimes(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.FixedZone("x", 3600))
	if got := sqldb.Time(sqldb.Micros(at)); !got.Equal(at.Truncate(time.Microsecond)) || got.Location() != time.UTC {
		t.Errorf("%v", got)
	}
	early := time.Date(1901, 1, 1, 0, 0, 0, 1000, time.UTC)
	if got := sqldb.Time(sqldb.Micros(early)); !got.Equal(early) {
		t.Errorf("%v", got)
	}
	if got := sqldb.NullTime(sql.NullInt64{}); !got.IsZero() {
		t.Errorf("%v", got)
	}
	if got := sqldb.NullTime(sql.NullInt64{Valid: true}); !got.Equal(time.Unix(0, 0)) {
		t.Errorf("%v", got)
	}
}
