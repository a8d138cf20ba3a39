package sqldb

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// roleSettings are what every session of a role begins with, beside the search_path. They
// bound what a statement, a wait for a row, or a program that died within a transaction
// may cost others; the callers' own deadlines come first. A pooler would refuse them at a
// session's start, so they are the role's.
func roleSettings() [][2]string {
	return [][2]string{
		{"statement_timeout", "'30s'"},
		{"lock_timeout", "'10s'"},
		{"idle_in_transaction_session_timeout", "'30s'"},
	}
}

// ConfigureRole sets for the role, in this Postgres database, what its sessions begin with: the
// search_path that leads to the schema, and bounds for statements and waits. What an
// operator has set already stays. It returns lines of advice: what is left for the operator to
// run, where the role may not, or where its search_path leads to another schema.
func (db *DB) ConfigureRole(ctx context.Context) (advice []string, err error) {
	if db.dialect != Postgres || db.opts.Schema == "" {
		return nil, nil
	}
	pool := db.freshDB()
	defer func() { _ = pool.Close() }()
	s := roleSetup{pool: pool, schema: db.opts.Schema}
	if err := s.look(ctx); err != nil {
		return nil, Classify(err)
	}
	switch {
	case s.current == s.schema:
	case s.set["search_path"]:
		advice = append(advice, fmt.Sprintf("the role %s has a search_path that leads elsewhere; give %s a role of its own, or run: %s",
			s.role, s.schema, s.statement("search_path", quoteIdentifier(s.schema))))
	default:
		advice = s.apply(ctx, advice, "search_path", quoteIdentifier(s.schema))
	}
	for _, setting := range roleSettings() {
		if !s.set[setting[0]] {
			advice = s.apply(ctx, advice, setting[0], setting[1])
		}
	}
	return advice, nil
}

// roleSetup is a role in a database, as a fresh session of it finds it.
type roleSetup struct {
	pool                            *sql.DB
	schema, role, database, current string
	// set are the settings that the role, or the database, has.
	set map[string]bool
}

func (s *roleSetup) look(ctx context.Context) error {
	err := s.pool.QueryRowContext(ctx, "SELECT current_user, current_database(), coalesce(current_schema(), '')").Scan(&s.role, &s.database, &s.current)
	if err != nil {
		return err
	}
	rows, err := s.pool.QueryContext(ctx, `SELECT split_part(c, '=', 1) FROM pg_db_role_setting s, unnest(s.setconfig) AS c
WHERE s.setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = current_user))
AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))`)
	if err != nil {
		return err
	}
	defer rows.Close()
	s.set = map[string]bool{}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return err
		}
		s.set[name] = true
	}
	return rows.Err()
}

func (s *roleSetup) statement(name, value string) string {
	return fmt.Sprintf("ALTER ROLE %s IN DATABASE %s SET %s = %s", quoteIdentifier(s.role), quoteIdentifier(s.database), name, value)
}

func (s *roleSetup) apply(ctx context.Context, advice []string, name, value string) []string {
	if _, err := s.pool.ExecContext(ctx, s.statement(name, value)); err != nil {
		return append(advice, fmt.Sprintf("the role %s may not set its own %s (%s); run: %s", s.role, name, strings.TrimSpace(err.Error()), s.statement(name, value)))
	}
	return advice
}

// checkSearchPath reports whether the statements of a service, which name no schema, would
// find its tables. A pooler that connected before ConfigureRole still has sessions that do not.
func (db *DB) checkSearchPath(ctx context.Context) error {
	if db.dialect != Postgres || db.opts.Schema == "" {
		return nil
	}
	var current, role, path string
	err := db.read.QueryRowContext(ctx, "SELECT coalesce(current_schema(), ''), current_user, current_setting('search_path')").Scan(&current, &role, &path)
	if err != nil {
		return Classify(err)
	}
	if current == db.opts.Schema {
		return nil
	}
	return errs.New(errs.Unavailable, errs.ReasonSearchPath, "the role %s does not work in the schema %s: its search_path is %s",
		role, db.opts.Schema, path)
}
