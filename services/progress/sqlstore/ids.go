package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/internal/tagged"
)

// The ids of learners, events, enrollments and awards are UUIDs, in lower case wherever they come from: a
// uuid in Postgres and a BLOB of 16 bytes in SQLite, which order them as their texts are ordered. Both take
// 16 bytes as the argument of a statement.

// key is an id as the argument of a statement, which another text than that of a UUID has fail.
func key(id string) any {
	if b, ok := tagged.ParseUUID(id); ok {
		return b[:]
	}
	return notAnID{id}
}

// notAnID fails the statement that it is an argument of.
type notAnID struct{ text string }

// Value returns Internal.
func (n notAnID) Value() (driver.Value, error) {
	return nil, errs.New(errs.Internal, errs.ReasonInternal, "%q is not stored as an id: it is no UUID in lower case", n.text)
}

// optionalKey is key, and NULL for "".
func optionalKey(id string) any {
	if id == "" {
		return nil
	}
	return key(id)
}

// noID is before every id that something has: UUIDs that are made are never all zeros.
const noID = "00000000-0000-0000-0000-000000000000"

// keyAfter is the argument for what comes after an id; "": for all.
func keyAfter(id string) any {
	if id == "" {
		id = noID
	}
	return key(id)
}

func keys(ids []string) []any {
	out := make([]any, len(ids))
	for i := range ids {
		out[i] = key(ids[i])
	}
	return out
}

// id scans a UUID as text; NULL is "".
type id string

// Scan takes what the drivers give: text from Postgres, 16 bytes from SQLite.
func (i *id) Scan(value any) error {
	*i = id(idOf(value))
	return nil
}

// idOf is id for a value as the driver gives it.
func idOf(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case []byte:
		return tagged.FormatUUID(v)
	}
	return ""
}

// column returns the texts or, scanned as such, ids that a query gives.
func column[T ~string](ctx context.Context, tx sqldb.Tx, query string, args ...any) ([]string, error) {
	var out []string
	rows, err := tx.QueryContext(ctx, query, args...)
	err = each(rows, err, func(rows *sql.Rows) error {
		var value T
		err := rows.Scan(&value)
		out = append(out, string(value))
		return err
	})
	if err != nil {
		return nil, sqldb.Classify(err)
	}
	return out, nil
}
