// Package migrationlint looks through migrations for what stops a service that runs meanwhile, or takes
// from an older program what it needs. It knows what is safe, and refuses everything else.
package migrationlint

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Lint returns a line for each fault of the migrations after number released, in the folders "sqlite"
// and "postgres" of fsys: none when they are right. The ones up to released made the tables of the first
// release, and are not looked at but for that.
func Lint(fsys fs.FS, released int64) ([]string, error) {
	var faults []string
	all := map[string][]migration{}
	for _, folder := range []string{"sqlite", "postgres"} {
		found, err := read(fsys, folder)
		if err != nil {
			return nil, err
		}
		all[folder] = found
		l := &linter{postgres: folder == "postgres", tables: map[string]int64{}, checks: map[string]check{}}
		for _, m := range found {
			l.now = m
			if m.number <= released {
				l.remember()
				continue
			}
			for _, fault := range l.lint() {
				faults = append(faults, m.name+": "+fault)
			}
		}
	}
	return append(faults, twins(all["sqlite"], all["postgres"])...), nil
}

// migration is a file.
type migration struct {
	name       string
	number     int64
	raw        []byte
	statements []statement
	// alone is for one that runs outside of a transaction.
	alone bool
}

// read reads a folder's migrations, by number.
func read(fsys fs.FS, folder string) ([]migration, error) {
	names, err := fs.Glob(fsys, folder+"/*.sql")
	if err != nil {
		return nil, err
	}
	var all []migration
	for _, name := range names {
		raw, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, err
		}
		digits, _, _ := strings.Cut(path.Base(name), "_")
		number, err := strconv.ParseInt(digits, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		statements, err := split(string(raw))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, migration{name, number, raw, statements, annotation(raw, "NO TRANSACTION")})
	}
	slices.SortFunc(all, func(a, b migration) int { return int(a.number - b.number) })
	return all, nil
}

// annotation reports whether a migration has a line of goose's.
func annotation(raw []byte, name string) bool {
	return regexp.MustCompile(`(?mi)^\s*--\s*\+goose\s+` + name + `\b`).Match(raw)
}

// twins compares the migrations of both databases.
func twins(sqlite, postgres []migration) (faults []string) {
	files := map[string][]migration{}
	for _, m := range slices.Concat(sqlite, postgres) {
		files[path.Base(m.name)] = append(files[path.Base(m.name)], m)
	}
	needs := regexp.MustCompile(`(?m)^-- min_binary: .*$`)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		both := files[name]
		if len(both) != 2 {
			faults = append(faults, both[0].name+": there is no such migration for the other database; SELECT 1 does nothing")
		} else if !bytes.Equal(needs.Find(both[0].raw), needs.Find(both[1].raw)) {
			faults = append(faults, name+": min_binary differs between the two databases")
		}
	}
	return faults
}

// check is a constraint that a column is not null.
type check struct {
	table, column string
	// validated is the migration that found all rows to be right; 0 for none.
	validated int64
}

// linter looks at the migrations of one database, in order.
type linter struct {
	postgres bool
	now      migration
	// tables are those of the migrations so far, with the number of the one that made them.
	tables map[string]int64
	checks map[string]check
}

// remember notes the tables of a migration.
func (l *linter) remember() {
	for _, s := range l.now.statements {
		if words, _, ok := s.begins("CREATE TABLE $name"); ok {
			l.tables[words[0]] = l.now.number
		}
	}
}

// lint returns what is wrong with the migration.
func (l *linter) lint() (faults []string) {
	if annotation(l.now.raw, "Down") {
		faults = append(faults, "it has a part Down: nothing runs it, and an older program accepts the newer schema")
	}
	if regexp.MustCompile(`(?m)^-- format:`).Match(l.now.raw) {
		faults = append(faults, "it raises the format: from the first release on, databases are converted by migrations")
	}
	statements := l.now.statements
	for i, s := range statements {
		var fault string
		switch {
		case l.now.alone && l.postgres:
			fault = l.indexes(statements, i)
		case l.now.alone:
			fault = "SQLite needs nothing outside of a transaction"
		default:
			fault = l.inTransaction(s)
		}
		if fault != "" {
			faults = append(faults, fmt.Sprintf("%s: %s", fault, strings.Join(s, " ")))
		}
	}
	return faults
}

// inTransaction judges a statement of a migration that is one transaction.
func (l *linter) inTransaction(s statement) (fault string) {
	if _, ok := s.is("SELECT 1"); ok {
		return ""
	}
	if words, rest, ok := s.begins("CREATE TABLE $name ("); ok {
		l.tables[words[0]] = l.now.number
		if rest.has("REFERENCES", "SELECT") {
			return "a table that refers to another locks that one"
		}
		return ""
	}
	if words, _, ok := s.begins("CREATE TABLE $name PARTITION OF $parent FOR VALUES"); ok && l.fresh(words[1]) {
		l.tables[words[0]] = l.now.number
		return ""
	}
	if words, rest, ok := s.begins("ALTER TABLE $name"); ok {
		for _, part := range rest.parts() {
			if fault := l.alter(words[0], part); fault != "" {
				return fault
			}
		}
		return ""
	}
	if _, ok := s.is("ALTER INDEX $name ATTACH PARTITION $part"); ok && l.postgres {
		return ""
	}
	if _, _, ok := s.begins("CREATE FUNCTION $name"); ok && l.postgres {
		return ""
	}
	return l.onFresh(s)
}

// fresh reports whether this migration has made the table, so that nobody uses it.
func (l *linter) fresh(table string) bool { return l.tables[table] == l.now.number }

// onFresh judges a statement that is right on a table that nobody uses yet. On SQLite an index is right on
// every table: the one process that uses them is about to start.
func (l *linter) onFresh(s statement) string {
	for _, pattern := range []string{
		"INSERT INTO $table", "UPDATE $table SET", "CREATE INDEX $name ON $table (", "CREATE UNIQUE INDEX $name ON $table (",
		"CREATE TRIGGER $name BEFORE INSERT ON $table", "CREATE TRIGGER $name BEFORE UPDATE OR DELETE OR TRUNCATE ON $table",
	} {
		words, _, ok := s.begins(pattern)
		if !ok {
			continue
		}
		index := strings.Contains(pattern, "INDEX")
		switch table := words[len(words)-1]; {
		case l.fresh(table), index && !l.postgres:
			return ""
		case index:
			return "it stops all writes to a table that is in use while it runs: CONCURRENTLY, in a migration with NO TRANSACTION"
		default:
			return "it changes a table that is in use: a leased job does that in batches"
		}
	}
	if s.has("DROP") {
		return "older programs may need what it drops: stop using it, and leave it"
	}
	return "it is not known to be safe beside a service that runs"
}

// alter judges one change of an ALTER TABLE.
func (l *linter) alter(table string, s statement) string {
	if words, rest, ok := s.begins("ADD COLUMN $name $type"); ok {
		return addColumn(words[1], rest)
	}
	if l.fresh(table) && !s.has("DROP") {
		return ""
	}
	if words, rest, ok := s.begins("ADD CONSTRAINT $name CHECK ("); ok && l.postgres {
		if len(rest) < 2 || !slices.Equal(rest[len(rest)-2:], statement{"NOT", "VALID"}) {
			return "it looks at all rows while nobody may use the table: NOT VALID, and VALIDATE in a later migration"
		}
		if column, ok := rest.is("$column IS NOT NULL ) NOT VALID"); ok {
			l.checks[words[0]] = check{table: table, column: column[0]}
		}
		return ""
	}
	if words, ok := s.is("VALIDATE CONSTRAINT $name"); ok && l.postgres {
		return l.validate(table, words[0])
	}
	if words, ok := s.is("ALTER COLUMN $name SET NOT NULL"); ok && l.postgres {
		return l.notNull(table, words[0])
	}
	switch {
	case s.has("DROP"):
		return "older programs may need what it drops: stop using it, and leave it"
	case s.has("TYPE"):
		return "it writes the whole table anew: add a column"
	}
	return "it is not known to be safe beside a service that runs"
}

// validate judges a VALIDATE CONSTRAINT.
func (l *linter) validate(table, name string) string {
	if len(l.now.statements) > 1 {
		return "it looks at all rows, while other statements of its transaction hold their locks: it needs a migration of its own"
	}
	if c, ok := l.checks[name]; ok && c.table == table {
		c.validated = l.now.number
		l.checks[name] = c
	}
	return ""
}

// notNull judges a SET NOT NULL, for which Postgres looks at no row where a valid constraint says the same.
func (l *linter) notNull(table, column string) string {
	for _, c := range l.checks {
		if c.table == table && c.column == column && c.validated > 0 && c.validated < l.now.number {
			return ""
		}
	}
	return "it looks at all rows while nobody may use the table, unless a constraint CHECK (column IS NOT NULL) was validated before"
}

// addColumn judges what comes after a new column's type. A constant default is stored once, anything else
// would be computed for every row.
func addColumn(kind string, rest statement) string {
	if strings.HasSuffix(kind, "SERIAL") {
		return "its default is computed for each row, which writes the whole table anew"
	}
	notNull, byDefault := false, false
	for len(rest) > 0 {
		switch {
		case matches(&rest, "PRECISION"), matches(&rest, "COLLATE C"), matches(&rest, "NULL"):
		case matches(&rest, "NOT NULL"):
			notNull = true
		case matches(&rest, "DEFAULT"):
			if len(rest) > 0 && rest[0] == "-" {
				rest = rest[1:]
			}
			if len(rest) == 0 || !constant(rest[0]) || len(rest) > 1 && rest[1] == "(" {
				return "its default is computed for each row, which writes the whole table anew"
			}
			byDefault, rest = rest[0] != "NULL", rest[1:]
		default:
			return "of a new column, a type, COLLATE, NOT NULL and a constant DEFAULT are known to be safe"
		}
	}
	if notNull && !byDefault {
		return "older programs write rows without the column: it needs a constant DEFAULT, or no NOT NULL"
	}
	return ""
}

// matches cuts a pattern off the beginning, where it is.
func matches(s *statement, pattern string) bool {
	_, rest, ok := s.begins(pattern)
	if ok {
		*s = rest
	}
	return ok
}

// constant reports whether a token is a constant.
func constant(token string) bool {
	switch {
	case strings.HasPrefix(token, text), token == "TRUE", token == "FALSE", token == "NULL":
		return true
	}
	return regexp.MustCompile(`^[0-9]+(\.[0-9]+)?$`).MatchString(token)
}

// indexes judges a statement of a migration without a transaction, which may make indexes of tables in use.
// Such a migration runs from its beginning again after it was ended, and Postgres leaves the index
// that was not finished, INVALID: so each one is dropped first.
func (l *linter) indexes(all []statement, i int) string {
	s := all[i]
	for _, pattern := range []string{"SET LOCK_TIMEOUT = 0", "RESET LOCK_TIMEOUT", "CREATE INDEX IF NOT EXISTS $name ON ONLY $table"} {
		if _, _, ok := s.begins(pattern); ok {
			return ""
		}
	}
	if words, ok := s.is("DROP INDEX CONCURRENTLY IF EXISTS $name"); ok {
		if i+1 < len(all) && concurrent(all[i+1]) == words[0] {
			return ""
		}
		return "older programs may need what it drops: it is right directly before the CREATE INDEX CONCURRENTLY of the same name"
	}
	if name := concurrent(s); name != "" {
		if i > 0 {
			if words, ok := all[i-1].is("DROP INDEX CONCURRENTLY IF EXISTS $name"); ok && words[0] == name {
				return ""
			}
		}
		return "DROP INDEX CONCURRENTLY IF EXISTS of the same name is missing before it: when it runs again, an INVALID index is in its way"
	}
	return "without a transaction, only indexes are made: what is done half stays so"
}

// concurrent is the name of the index that a statement makes beside writers, or "".
func concurrent(s statement) string {
	for _, pattern := range []string{"CREATE INDEX CONCURRENTLY $name ON $table", "CREATE UNIQUE INDEX CONCURRENTLY $name ON $table"} {
		if words, _, ok := s.begins(pattern); ok {
			return words[0]
		}
	}
	return ""
}
