package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path"
	"regexp"
	"slices"
	"strconv"

	"github.com/pressly/goose/v3"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// infoTable says what programs must be like to run on the schema.
const infoTable = "schema_info"

// minBinaryLine is how a migration says which one programs must know to live with it.
var minBinaryLine = regexp.MustCompile(`(?m)^-- min_binary: ([0-9]+)\s*$`)

// steps are the migrations that a program knows.
type steps struct {
	versions  []int64 // ascending
	minBinary int64
}

// state is what a database has of them.
type state struct {
	applied map[int64]bool
	// minBinary is what was recorded; recorded tells whether anything was.
	minBinary int64
	recorded  bool
}

func (s steps) newest() int64 {
	if len(s.versions) == 0 {
		return 0
	}
	return s.versions[len(s.versions)-1]
}

// missing are the known migrations that the database lacks.
func (s steps) missing(found state) []int64 {
	return slices.DeleteFunc(slices.Clone(s.versions), func(v int64) bool { return found.applied[v] })
}

func (s state) newest() int64 { return s.newestBefore(math.MaxInt64) }

// newestBefore is the newest applied migration below another; numbers may have gaps.
func (s state) newestBefore(limit int64) (newest int64) {
	for v := range s.applied {
		if v < limit {
			newest = max(newest, v)
		}
	}
	return newest
}

// readSteps reads the migrations of a dialect's folder.
func readSteps(folder fs.FS) (steps, error) {
	names, err := fs.Glob(folder, "*.sql")
	if err != nil {
		return steps{}, err
	}
	if len(names) == 0 {
		return steps{}, errors.New("there are none")
	}
	var known steps
	for _, name := range names {
		version, err := goose.NumericComponent(name)
		if err != nil {
			return steps{}, err
		}
		text, err := fs.ReadFile(folder, path.Clean(name))
		if err != nil {
			return steps{}, err
		}
		known.versions = append(known.versions, version)
		if line := minBinaryLine.FindSubmatch(text); line != nil {
			n, err := strconv.ParseInt(string(line[1]), 10, 64)
			if err != nil {
				return steps{}, err
			}
			known.minBinary = max(known.minBinary, n)
		}
	}
	slices.Sort(known.versions)
	return known, nil
}

// Version is the newest migration that the database has; 0 for none.
func (db *DB) Version(ctx context.Context) (int64, error) {
	found, err := db.readState(ctx, db.read)
	if err != nil {
		return 0, Classify(err)
	}
	return found.newest(), nil
}

// Check tells whether a program with the migrations of fsys can work on the database as it
// is, and changes nothing. It returns Unavailable SCHEMA_OLD when migrations are missing,
// Unavailable SEARCH_PATH when the role's sessions begin in another schema, both of which
// a Migrate and a Settle mend while the program waits; and FailedPrecondition SCHEMA_NEWER
// as Migrate does.
func (db *DB) Check(ctx context.Context, fsys fs.FS) error {
	folder, err := fs.Sub(fsys, db.dialect.String())
	if err != nil {
		return internal(err)
	}
	known, err := readSteps(folder)
	if err != nil {
		return errs.Wrap(err, errs.Internal, ReasonInternal, "the migrations in %s cannot be read", db.dialect)
	}
	found, err := db.readState(ctx, db.read)
	if err != nil {
		return Classify(err)
	}
	if err := db.judge(known, found); err != nil {
		return err
	}
	return db.checkSearchPath(ctx)
}

// judge compares what a program knows with what a database has.
func (db *DB) judge(known steps, found state) error {
	name := db.schemaName()
	missing := known.missing(found)
	switch {
	case len(found.applied) == 0:
		return errs.New(errs.Unavailable, ReasonSchemaOld, "%s is missing, this program needs it at %d", name, known.newest())
	case len(missing) > 0:
		return errs.New(errs.Unavailable, ReasonSchemaOld, "%s is at %d, this program needs %d", name, found.newestBefore(missing[0]), known.newest())
	case found.newest() <= known.newest(), found.recorded && found.minBinary <= known.newest():
		return nil
	}
	oldest := "programs that know it"
	if found.recorded {
		oldest = fmt.Sprintf("programs that know %d", found.minBinary)
	}
	return errs.New(errs.FailedPrecondition, ReasonSchemaNewer,
		"%s is at %d and admits only %s, this one knows %d: run a newer program", name, found.newest(), oldest, known.newest())
}

func (db *DB) schemaName() string {
	if db.opts.Schema != "" {
		return "the schema of " + db.opts.Schema
	}
	return "the schema"
}

// readState reads the tables of Migrate, which may not be there.
func (db *DB) readState(ctx context.Context, pool *sql.DB) (state, error) {
	found, err := db.queryState(ctx, pool)
	if isPostgres(err, "42501") {
		return found, errs.Wrap(err, errs.FailedPrecondition, ReasonRefused, "the role may not use the schema %s; is it another service's?", db.opts.Schema)
	}
	return found, err
}

func (db *DB) queryState(ctx context.Context, pool *sql.DB) (state, error) {
	found := state{applied: map[int64]bool{}}
	exists, err := db.tableExists(ctx, pool, migrationTable)
	if err != nil || !exists {
		return found, err
	}
	// goose's own first row is version 0.
	query := "SELECT version_id FROM " + db.qualified(migrationTable) + " WHERE is_applied AND version_id > 0" //nolint:gosec // a quoted name of ours
	rows, err := pool.QueryContext(ctx, query)
	if err != nil {
		return found, err
	}
	defer rows.Close()
	for rows.Next() {
		var v int64
		if err := rows.Scan(&v); err != nil {
			return found, err
		}
		found.applied[v] = true
	}
	if err := rows.Err(); err != nil {
		return found, err
	}
	exists, err = db.tableExists(ctx, pool, infoTable)
	if err != nil || !exists {
		return found, err
	}
	err = pool.QueryRowContext(ctx, "SELECT min_binary FROM "+db.qualified(infoTable)+" WHERE id = 1").Scan(&found.minBinary)
	if errors.Is(err, sql.ErrNoRows) {
		return found, nil
	}
	found.recorded = err == nil
	return found, err
}

func (db *DB) tableExists(ctx context.Context, pool *sql.DB, name string) (exists bool, err error) {
	query, arg := "SELECT count(*) > 0 FROM sqlite_master WHERE type = 'table' AND name = $1", name
	if db.dialect == Postgres {
		query, arg = "SELECT to_regclass($1) IS NOT NULL", db.qualified(name)
	}
	err = pool.QueryRowContext(ctx, query, arg).Scan(&exists)
	return exists, err
}

// qualified names a table of ours wherever the session looks.
func (db *DB) qualified(table string) string {
	if db.dialect == Postgres && db.opts.Schema != "" {
		return quoteIdentifier(db.opts.Schema) + "." + quoteIdentifier(table)
	}
	return quoteIdentifier(table)
}

// recordMinBinary raises what is recorded, and never lowers it.
func recordMinBinary(ctx context.Context, pool *sql.DB, n int64) error {
	_, err := pool.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS "+infoTable+" (id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1), min_binary BIGINT NOT NULL)")
	if err != nil && !alreadyMade(err) {
		return err
	}
	_, err = pool.ExecContext(ctx, "INSERT INTO "+infoTable+" (id, min_binary) VALUES (1, $1) ON CONFLICT (id) "+
		"DO UPDATE SET min_binary = excluded.min_binary WHERE "+infoTable+".min_binary < excluded.min_binary", n)
	return err
}

// alreadyMade tells whether another replica made a table or a schema at the same moment: IF NOT
// EXISTS looks, and Postgres finds out later, at its row or at its type.
func alreadyMade(err error) bool {
	return isPostgres(err, "23505", "42P06", "42P07", "42710")
}
