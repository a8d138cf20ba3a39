package sqldb

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"math"
	"slices"
	"strings"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/tagged"
)

// copyRows is how many rows one statement inserts at most.
const copyRows = 500

// Copied is a table that Copy has copied.
type Copied struct {
	// Name is the table's.
	Name string
	// Rows is how many there are.
	Rows int64
	// Hash is the SHA-256 of all that is in them, in the order of the primary key; the same
	// on both databases.
	Hash string
}

// Copy copies every table of from, which is on SQLite, into to, which is on Postgres and
// was opened Direct, and commits when each has as many rows there and the same content. Both
// must have the same migrations, and to must hold nothing that fresh, a SQLite database
// with these migrations alone, does not hold: else it returns FailedPrecondition
// SCHEMA_DIFFERS or NOT_EMPTY, and to stays as it was. Nothing may write to from meanwhile.
func Copy(ctx context.Context, from, to, fresh *DB) (copied []Copied, err error) {
	theirs, err := from.Version(ctx)
	if err != nil {
		return nil, err
	}
	ours, err := to.Version(ctx)
	if err != nil {
		return nil, err
	}
	if theirs != ours {
		return nil, errs.New(errs.FailedPrecondition, errs.ReasonSchemaDiffers, "the folder's schema is at %d and the other at %d", theirs, ours)
	}
	err = from.Read(ctx, func(ctx context.Context, source Tx) error {
		return to.Write(ctx, func(ctx context.Context, target Tx) error {
			c := copying{source: source, target: target, fresh: fresh.Reader()}
			copied, err = c.all(ctx)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return copied, nil
}

// copying is one Copy within its transactions.
type copying struct{ source, target, fresh Tx }

// table is one that is copied.
type table struct {
	name    string
	columns []string
	types   []string // Postgres's names, a column each
	key     []string // the columns of the primary key
}

func (c copying) all(ctx context.Context) ([]Copied, error) {
	tables, err := c.tables(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range tables { // First, so that nobody begins to serve from it.
		if _, err := c.target.ExecContext(ctx, "LOCK TABLE "+quoteIdentifier(t.name)+" IN EXCLUSIVE MODE"); err != nil {
			return nil, err
		}
	}
	for _, t := range slices.Backward(tables) {
		if err := c.empty(ctx, t); err != nil {
			return nil, err
		}
	}
	copied := make([]Copied, 0, len(tables))
	for _, t := range tables {
		sent, err := c.send(ctx, t)
		if err != nil {
			return nil, err
		}
		arrived, err := digest(ctx, c.target, t, nil)
		if err != nil {
			return nil, err
		}
		if arrived != sent {
			return nil, errs.New(errs.Internal, errs.ReasonInternal, "the table %s differs after the copy: %d rows and %d, nothing was changed",
				t.name, sent.Rows, arrived.Rows)
		}
		copied = append(copied, sent)
	}
	return copied, nil
}

// empty removes from a table what its migrations put there, which the source has as well,
// grown older; after a look that there is nothing else.
func (c copying) empty(ctx context.Context, t table) error {
	made, err := digest(ctx, c.fresh, t, nil)
	if err != nil {
		return err
	}
	found, err := digest(ctx, c.target, t, nil)
	if err != nil {
		return err
	}
	if found != made {
		return errs.New(errs.FailedPrecondition, errs.ReasonNotEmpty, "the target's table %s holds data already", t.name)
	}
	if found.Rows == 0 {
		return nil
	}
	_, err = c.target.ExecContext(ctx, "DELETE FROM "+quoteIdentifier(t.name))
	return err
}

// send inserts what the source has.
func (c copying) send(ctx context.Context, t table) (Copied, error) {
	insert := func(rows [][]any) error {
		names := make([]string, len(t.columns))
		for i, column := range t.columns {
			names[i] = quoteIdentifier(column)
		}
		_, err := c.target.ExecContext(ctx, "INSERT INTO "+quoteIdentifier(t.name)+" ("+strings.Join(names, ", ")+") VALUES "+
			Values(len(rows), len(t.columns)), slices.Concat(rows...)...)
		return err
	}
	return digest(ctx, c.source, t, insert)
}

// digest reads a whole table, passes its rows on in pieces, and returns their number and hash.
func digest(ctx context.Context, tx Tx, t table, pass func(rows [][]any) error) (Copied, error) {
	read := Copied{Name: t.name}
	rows, err := tx.QueryContext(ctx, t.selectAll(tx.Dialect()))
	if err != nil {
		return read, err
	}
	defer rows.Close()
	sum := sha256.New()
	most := min(copyRows, MaxVars/len(t.columns))
	var piece [][]any
	for rows.Next() {
		row, err := t.scan(rows)
		if err != nil {
			return read, err
		}
		for _, value := range row {
			hashValue(sum, value)
		}
		read.Rows++
		if pass == nil {
			continue
		}
		if piece = append(piece, row); len(piece) == most {
			if err := pass(piece); err != nil {
				return read, err
			}
			piece = piece[:0]
		}
	}
	if err := rows.Err(); err != nil {
		return read, err
	}
	if len(piece) > 0 {
		if err := pass(piece); err != nil {
			return read, err
		}
	}
	read.Hash = hex.EncodeToString(sum.Sum(nil))
	return read, nil
}

// selectAll orders texts by bytes on both databases, whatever the column's own order is.
func (t table) selectAll(d Dialect) string {
	columns, keys := make([]string, len(t.columns)), make([]string, len(t.key))
	for i, column := range t.columns {
		columns[i] = quoteIdentifier(column)
	}
	for i, column := range t.key {
		keys[i] = quoteIdentifier(column)
		if d == Postgres && t.types[slices.Index(t.columns, column)] == "text" {
			keys[i] += ` COLLATE "C"`
		}
	}
	return "SELECT " + strings.Join(columns, ", ") + " FROM " + quoteIdentifier(t.name) + " ORDER BY " + strings.Join(keys, ", ")
}

// scan reads a row as Postgres types it: SQLite's columns take what they are given.
func (t table) scan(rows *sql.Rows) ([]any, error) {
	row := make([]any, len(t.columns))
	into := make([]any, len(t.columns))
	for i := range row {
		into[i] = &row[i]
	}
	if err := rows.Scan(into...); err != nil {
		return nil, err
	}
	for i, value := range row {
		switch v := value.(type) {
		case int64:
			switch t.types[i] {
			case "boolean":
				row[i] = v != 0
			case "double precision":
				row[i] = float64(v)
			}
		case []byte:
			switch {
			case t.types[i] == "text":
				row[i] = string(v)
			case t.types[i] == "uuid": // 16 bytes on SQLite, text from Postgres
				row[i] = tagged.FormatUUID(v)
			case v == nil: // Empty, as SQLite gives it; a NULL is no []byte at all.
				row[i] = []byte{}
			}
		case string:
			if t.types[i] == "bytea" {
				row[i] = []byte(v)
			}
		}
	}
	return row, nil
}

// hashValue adds a value so that no two rows of different values add the same bytes.
func hashValue(sum hash.Hash, value any) {
	tagged := func(tag byte, n uint64) { sum.Write(binary.BigEndian.AppendUint64([]byte{tag}, n)) }
	switch v := value.(type) {
	case nil:
		tagged('n', 0)
	case int64:
		tagged('i', uint64(v)) //nolint:gosec // the same 64 bits, to be hashed
	case float64:
		tagged('f', math.Float64bits(v))
	case bool:
		if v {
			tagged('b', 1)
		} else {
			tagged('b', 0)
		}
	case string:
		tagged('s', uint64(len(v)))
		sum.Write([]byte(v))
	case []byte:
		tagged('x', uint64(len(v)))
		sum.Write(v)
	default:
		text := fmt.Sprintf("%T %v", v, v)
		tagged('?', uint64(len(text)))
		sum.Write([]byte(text))
	}
}

// tables are the target's, those first that others refer to. The source must have the same.
func (c copying) tables(ctx context.Context) ([]table, error) {
	names, err := texts(ctx, c.target, `SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname NOT IN ($1, $2) ORDER BY 1`,
		migrationTable, infoTable)
	if err != nil {
		return nil, err
	}
	theirs, err := texts(ctx, c.source, `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\'
AND name NOT IN ($1, $2, $3) ORDER BY 1`, migrationTable, infoTable, probeTable)
	if err != nil {
		return nil, err
	}
	if !slices.Equal(slices.Sorted(slices.Values(names)), slices.Sorted(slices.Values(theirs))) {
		return nil, errs.New(errs.FailedPrecondition, errs.ReasonSchemaDiffers, "the folder has the tables %v and the target %v", theirs, names)
	}
	tables := make([]table, 0, len(names))
	for _, name := range names {
		t, err := c.describe(ctx, name)
		if err != nil {
			return nil, err
		}
		tables = append(tables, t)
	}
	return c.inOrder(ctx, tables)
}

func (c copying) describe(ctx context.Context, name string) (t table, err error) {
	t.name = name
	if t.columns, err = texts(ctx, c.target, `SELECT column_name::text FROM information_schema.columns
WHERE table_schema = current_schema() AND table_name = $1 ORDER BY ordinal_position`, name); err != nil {
		return t, err
	}
	if t.types, err = texts(ctx, c.target, `SELECT data_type::text FROM information_schema.columns
WHERE table_schema = current_schema() AND table_name = $1 ORDER BY ordinal_position`, name); err != nil {
		return t, err
	}
	if t.key, err = texts(ctx, c.target, `SELECT a.attname::text FROM pg_index i
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)
WHERE i.indrelid = to_regclass($1) AND i.indisprimary ORDER BY array_position(i.indkey::int2[], a.attnum)`, quoteIdentifier(name)); err != nil {
		return t, err
	}
	theirs, err := texts(ctx, c.source, `SELECT name FROM pragma_table_info($1)`, name)
	if err != nil {
		return t, err
	}
	same := slices.Equal(slices.Sorted(slices.Values(t.columns)), slices.Sorted(slices.Values(theirs)))
	if !same || len(t.key) == 0 {
		return t, errs.New(errs.FailedPrecondition, errs.ReasonSchemaDiffers, "the table %s has the columns %v in the folder and %v, with the key %v, in the target",
			name, theirs, t.columns, t.key)
	}
	return t, nil
}

// inOrder puts a table behind those that its foreign keys name.
func (c copying) inOrder(ctx context.Context, tables []table) ([]table, error) {
	pairs, err := texts(ctx, c.target, `SELECT child.relname || ' ' || parent.relname FROM pg_constraint k
JOIN pg_class child ON child.oid = k.conrelid JOIN pg_class parent ON parent.oid = k.confrelid
JOIN pg_namespace n ON n.oid = child.relnamespace WHERE k.contype = 'f' AND n.nspname = current_schema()`)
	if err != nil {
		return nil, err
	}
	depth := map[string]int{}
	for range tables { // No chain is longer than there are tables.
		for _, pair := range pairs {
			child, parent, _ := strings.Cut(pair, " ")
			if child != parent {
				depth[child] = max(depth[child], depth[parent]+1)
			}
		}
	}
	slices.SortStableFunc(tables, func(a, b table) int { return cmp.Compare(depth[a.name], depth[b.name]) })
	return tables, nil
}

// texts reads one column.
func texts(ctx context.Context, tx Tx, query string, args ...any) ([]string, error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found []string
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		found = append(found, text)
	}
	return found, rows.Err()
}
