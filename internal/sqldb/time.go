package sqldb

import (
	"database/sql"
	"time"
)

// Micros is how a time is stored: microseconds since 1970 UTC; what is finer is dropped.
func Micros(t time.Time) int64 { return t.UnixMicro() }

// Time is the time of stored microseconds, in UTC.
func Time(micros int64) time.Time { return time.UnixMicro(micros).UTC() }

// NullTime is Time for an optional time: NULL is the zero time.
func NullTime(micros sql.NullInt64) time.Time {
	if !micros.Valid {
		return time.Time{}
	}
	return Time(micros.Int64)
}
