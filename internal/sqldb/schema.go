package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pressly/goose/v3"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// infoTable records the schema's format, and which migration a program must know to run on it.
const infoTable = "schema_info"

// steps are the migrations that a program knows.
type steps struct {
	versions []int64 // ascending
	// minBinary and format are the highest numbers that a migration names in lines of its own,
	// "-- min_binary: 4" and "-- format: 2"; 0 for none.
	minBinary, format int64
}

// state is what a database has of them.
type state struct {
	// begun reports whether a Migrate has ever written to the database.
	begun   bool
	applied map[int64]bool
	// minBinary and format are what was recorded; recorded reports whether anything was.
	minBinary, format int64
	recorded          bool
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
		minBinary, err1 := numberIn(text, "min_binary")
		format, err2 := numberIn(text, "format")
		if err := errors.Join(err1, err2); err != nil {
			return steps{}, fmt.Errorf("%s: %w", name, err)
		}
		known.minBinary, known.format = max(known.minBinary, minBinary), max(known.format, format)
	}
	slices.Sort(known.versions)
	return known, nil
}

// numberIn returns the number of a migration's line "-- name: 2", or 0 when there is none.
func numberIn(text []byte, name string) (int64, error) {
	line := regexp.MustCompile(`(?m)^-- ` + name + `: ([0-9]+)\s*$`).FindSubmatch(text)
	if line == nil {
		return 0, nil
	}
	return strconv.ParseInt(string(line[1]), 10, 64)
}

// stepsOf reads the migrations of the database's dialect.
func (db *DB) stepsOf(fsys fs.FS) (steps, fs.FS, error) {
	folder, err := fs.Sub(fsys, db.dialect.String())
	if err != nil {
		return steps{}, nil, internal(err)
	}
	known, err := readSteps(folder)
	if err != nil {
		return steps{}, nil, errs.Wrap(err, errs.Internal, errs.ReasonInternal, "the migrations in %s cannot be read", db.dialect)
	}
	return known, folder, nil
}

// Version returns the newest migration that the database has, or 0 for none.
func (db *DB) Version(ctx context.Context) (int64, error) {
	found, err := db.readState(ctx, db.read)
	if err != nil {
		return 0, Classify(err)
	}
	return found.newest(), nil
}

// Check returns nil when a program with the migrations of fsys can work on the database as it
// is. It changes nothing. It returns Unavailable SCHEMA_OLD when migrations are missing, and
// Unavailable SEARCH_PATH when the role's sessions begin in another schema, both of which a
// Migrate and a ConfigureRole can fix while the program waits; and FailedPrecondition
// SCHEMA_FORMAT or SCHEMA_NEWER as Migrate does.
func (db *DB) Check(ctx context.Context, fsys fs.FS) error {
	known, _, err := db.stepsOf(fsys)
	if err != nil {
		return err
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
	if err := db.checkFormat(known, found); err != nil {
		return err
	}
	name := db.schemaName()
	missing := known.missing(found)
	switch {
	case len(found.applied) == 0:
		return errs.New(errs.Unavailable, errs.ReasonSchemaOld, "%s is missing, this program needs it at %d", name, known.newest())
	case len(missing) > 0:
		return errs.New(errs.Unavailable, errs.ReasonSchemaOld, "%s is at %d, this program needs %d", name, found.newestBefore(missing[0]), known.newest())
	case found.newest() <= known.newest(), found.recorded && found.minBinary <= known.newest():
		return nil
	}
	oldest := "programs that know it"
	if found.recorded {
		oldest = fmt.Sprintf("programs that know %d", found.minBinary)
	}
	return errs.New(errs.FailedPrecondition, errs.ReasonSchemaNewer,
		"%s is at %d and admits only %s, this one knows %d: run a newer program", name, found.newest(), oldest, known.newest())
}

// checkFormat refuses a database of another format than the program reads.
func (db *DB) checkFormat(known steps, found state) error {
	if !found.begun || found.format == known.format {
		return nil
	}
	place, advice := db.schemaName(), "drop the schema and migrate anew"
	if db.dialect == SQLite {
		place, advice = db.path, "move the folder away and start with an empty one"
	}
	has := fmt.Sprintf("has format %d", found.format)
	if found.format == 0 {
		has = "has no format number, as older programs left it,"
	}
	return errs.New(errs.FailedPrecondition, errs.ReasonSchemaFormat,
		"%s %s and this program reads format %d: before the first release formats are not converted; %s, or run the program that made it",
		place, has, known.format, advice)
}

// CheckFile returns FailedPrecondition SCHEMA_FORMAT when the SQLite database in file has another
// format than the migrations of fsys, and nil when there is no file. It writes nothing.
func CheckFile(ctx context.Context, file string, fsys fs.FS) error {
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	log, err := os.Stat(file + "-wal")
	db, err := readSQLite(file, err != nil || log.Size() == 0)
	if err != nil {
		return err
	}
	defer db.Close()
	known, _, err := db.stepsOf(fsys)
	if err != nil {
		return err
	}
	found, err := db.readState(ctx, db.read)
	if err != nil {
		return explainOpen(err, file)
	}
	return db.checkFormat(known, found)
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
		return found, errs.Wrap(err, errs.FailedPrecondition, errs.ReasonDatabaseRefused,
			"the role may not use the schema %s; is it another service's?", db.opts.Schema)
	}
	return found, err
}

func (db *DB) queryState(ctx context.Context, pool *sql.DB) (state, error) {
	found := state{applied: map[int64]bool{}}
	if err := db.queryInfo(ctx, pool, &found); err != nil {
		return found, err
	}
	exists, err := db.tableExists(ctx, pool, migrationTable)
	if err != nil || !exists {
		return found, err
	}
	found.begun = true
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
	return found, rows.Err()
}

// queryInfo reads what is recorded. The table of an older program has no format.
func (db *DB) queryInfo(ctx context.Context, pool *sql.DB, found *state) error {
	exists, err := db.tableExists(ctx, pool, infoTable)
	if err != nil || !exists {
		return err
	}
	column := "SELECT count(*) > 0 FROM pragma_table_info($1) WHERE name = 'format'"
	arg := infoTable
	if db.dialect == Postgres {
		column, arg = "SELECT count(*) > 0 FROM pg_attribute WHERE attrelid = to_regclass($1) AND attname = 'format'", db.qualified(infoTable)
	}
	if err := pool.QueryRowContext(ctx, column, arg).Scan(&exists); err != nil {
		return err
	}
	format := "format"
	if !exists {
		format, found.begun = "0", true
	}
	row := pool.QueryRowContext(ctx, "SELECT min_binary, "+format+" FROM "+db.qualified(infoTable)+" WHERE id = 1") //nolint:gosec // names of ours
	err = row.Scan(&found.minBinary, &found.format)
	if errors.Is(err, sql.ErrNoRows) {
		return nil // a Migrate that was killed after it made the table has written nothing else
	}
	found.recorded = err == nil
	found.begun = found.begun || found.recorded
	return err
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

// record writes the format into a database that has none yet. What its min_binary is each migration
// records for itself.
func record(ctx context.Context, pool *sql.DB, format int64) error {
	_, err := pool.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS "+infoTable+
		" (id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1), min_binary BIGINT NOT NULL, format BIGINT NOT NULL)")
	if err != nil && !alreadyMade(err) {
		return err
	}
	_, err = pool.ExecContext(ctx, "INSERT INTO "+infoTable+" (id, min_binary, format) VALUES (1, 0, $1) ON CONFLICT (id) DO NOTHING", format)
	return err
}

// recording are migrations that each record their min_binary as their last statement: in the transaction
// of the migration, so that it counts exactly when the migration does.
type recording struct{ fs.FS }

// Open opens a migration.
func (r recording) Open(name string) (fs.File, error) {
	file, err := r.FS.Open(name)
	if err != nil || path.Ext(name) != ".sql" {
		return file, err
	}
	text, err := fs.ReadFile(r.FS, name)
	if err == nil {
		var needs int64
		if needs, err = numberIn(text, "min_binary"); err == nil && needs > 0 {
			last := fmt.Sprintf("\n-- +goose StatementBegin\nUPDATE %s SET min_binary = %d WHERE id = 1 AND min_binary < %d;\n-- +goose StatementEnd\n",
				infoTable, needs, needs)
			return longer{file, io.MultiReader(file, strings.NewReader(last))}, nil
		}
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

// longer is a file with more at its end.
type longer struct {
	fs.File

	all io.Reader
}

func (l longer) Read(p []byte) (int, error) { return l.all.Read(p) }

// alreadyMade reports whether another replica made a table or a schema at the same moment: IF NOT
// EXISTS looks, and Postgres finds out later, at its row or at its type.
func alreadyMade(err error) bool {
	return isPostgres(err, "23505", "42P06", "42P07", "42710")
}
