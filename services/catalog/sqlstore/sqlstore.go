// Package sqlstore stores the catalog in SQLite or Postgres.
package sqlstore

import (
	"context"
	"embed"
	"io/fs"
	"time"

	"github.com/preceptor-dev/preceptor/internal/audit"
	"github.com/preceptor-dev/preceptor/internal/gather"
	"github.com/preceptor-dev/preceptor/internal/idem"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/services/catalog"
)

//go:embed migrations
var migrations embed.FS

// Migrations are the schema's steps, in the folders that sqldb.DB.Migrate wants.
func Migrations() fs.FS {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // The name is a constant and valid.
	}
	return sub
}

// Store is a catalog.Store on a migrated database.
type Store struct {
	db *sqldb.DB

	history history
	state   *gather.Gatherer[struct{}, string] // nil on SQLite
}

var (
	_ catalog.Store = (*Store)(nil)
	_ catalog.Tx    = txn{}
)

// New makes a Store on a database that has the Migrations.
func New(db *sqldb.DB) *Store {
	s := &Store{db: db}
	if db.Dialect() == sqldb.Postgres {
		s.state = gather.New(s.gatherState)
	}
	return s
}

// Modules implements catalog.Store.
func (s *Store) Modules() catalog.Items[catalog.ModuleContent] {
	return items[catalog.ModuleContent]{db: s.db, kind: catalog.KindModule}
}

// Paths implements catalog.Store.
func (s *Store) Paths() catalog.Items[catalog.PathContent] {
	return items[catalog.PathContent]{db: s.db, kind: catalog.KindPath}
}

// Topics implements catalog.Store.
func (s *Store) Topics(ctx context.Context) ([]catalog.Topic, error) {
	return query(ctx, s.db.Reader(), func(row scanner) (t catalog.Topic, err error) {
		err = row.Scan(&t.ID, &t.Modules)
		return t, err
	}, `SELECT f.topic, count(*) FROM facets f JOIN items i ON i.kind = f.kind AND i.id = f.id
WHERE f.kind = 'MODULE' AND f.draft = 0 AND i.state = 'ACTIVE' GROUP BY f.topic ORDER BY f.topic`)
}

// PathsNaming implements catalog.Store.
func (s *Store) PathsNaming(ctx context.Context, moduleID string) ([]string, error) {
	return pathsNaming(ctx, s.db.Reader(), moduleID)
}

func pathsNaming(ctx context.Context, tx sqldb.Tx, moduleID string) ([]string, error) {
	return query(ctx, tx, func(row scanner) (id string, err error) {
		err = row.Scan(&id)
		return id, err
	}, `SELECT i.id FROM module_references r JOIN items i ON i.kind = r.kind AND i.id = r.id
WHERE r.module_id = $1 AND r.kind = 'PATH' AND i.state = 'ACTIVE' ORDER BY i.id`, moduleID)
}

// Nodes implements catalog.Store.
func (s *Store) Nodes(ctx context.Context) (map[string]catalog.Node, error) {
	return nodes(ctx, s.db.Reader())
}

func nodes(ctx context.Context, tx sqldb.Tx) (map[string]catalog.Node, error) {
	type edge struct {
		id, state    string
		prerequisite *string
	}
	edges, err := query(ctx, tx, func(row scanner) (e edge, err error) {
		err = row.Scan(&e.id, &e.state, &e.prerequisite)
		return e, err
	}, `SELECT i.id, i.state, r.module_id FROM items i LEFT JOIN module_references r ON r.kind = i.kind AND r.id = i.id
WHERE i.kind = 'MODULE' ORDER BY i.id, r.position`)
	found := make(map[string]catalog.Node, len(edges))
	for _, e := range edges {
		node := found[e.id]
		node.State = catalog.State(e.state)
		if e.prerequisite != nil {
			node.Prerequisites = append(node.Prerequisites, *e.prerequisite)
		}
		found[e.id] = node
	}
	return found, err
}

// Revision implements catalog.Store.
func (s *Store) Revision(ctx context.Context) (int64, error) {
	n, err := revision(ctx, s.db.Reader())
	return n, sqldb.Classify(err)
}

func revision(ctx context.Context, tx sqldb.Tx) (n int64, err error) {
	err = tx.QueryRowContext(ctx, `SELECT revision FROM catalog_head WHERE id = 1`).Scan(&n)
	return n, err
}

// Changes implements catalog.Store.
func (s *Store) Changes(ctx context.Context, after int64, limit int) (found []catalog.Change, head int64, err error) {
	err = s.db.Read(ctx, func(ctx context.Context, tx sqldb.Tx) error {
		if head, err = revision(ctx, tx); err != nil {
			return err
		}
		found, err = query(ctx, tx, scanChange, `SELECT revision, kind, id, action, version, change_time, actor
FROM changes WHERE revision > $1 ORDER BY revision LIMIT $2`, after, limit)
		return err
	})
	return found, head, err
}

func scanChange(row scanner) (c catalog.Change, err error) {
	var at int64
	err = row.Scan(&c.Revision, &c.Kind, &c.ID, &c.Action, &c.Version, &at, &c.Actor)
	c.Time = sqldb.Time(at)
	return c, err
}

// Snapshot implements catalog.Store.
func (s *Store) Snapshot(ctx context.Context, after int64) (found catalog.Snapshot, err error) {
	// Mostly nothing has changed, and that takes one statement.
	if found.Revision, err = s.Revision(ctx); err != nil || found.Revision <= after {
		return found, err
	}
	err = s.db.Read(ctx, func(ctx context.Context, tx sqldb.Tx) error {
		if found.Revision, err = revision(ctx, tx); err != nil {
			return err
		}
		if found.Modules, err = records[catalog.ModuleContent](ctx, tx, catalog.KindModule, after); err != nil {
			return err
		}
		found.Paths, err = records[catalog.PathContent](ctx, tx, catalog.KindPath, after)
		return err
	})
	return found, err
}

// Edit implements catalog.Store. The head's row is written first: then the transaction sees all that others
// have committed, and no other begins before it ends.
func (s *Store) Edit(ctx context.Context, f func(ctx context.Context, tx catalog.Tx) error) error {
	return s.db.Write(ctx, func(ctx context.Context, tx sqldb.Tx) error {
		if _, err := tx.ExecContext(ctx, `UPDATE catalog_head SET edits = edits + 1 WHERE id = 1`); err != nil {
			return err
		}
		return f(ctx, txn{tx})
	})
}

// txn is the catalog inside of Edit.
type txn struct{ sqldb.Tx }

// Modules implements catalog.Tx.
func (t txn) Modules() catalog.ItemsTx[catalog.ModuleContent] {
	return itemsTx[catalog.ModuleContent]{tx: t.Tx, kind: catalog.KindModule}
}

// Paths implements catalog.Tx.
func (t txn) Paths() catalog.ItemsTx[catalog.PathContent] {
	return itemsTx[catalog.PathContent]{tx: t.Tx, kind: catalog.KindPath}
}

// Nodes implements catalog.Tx.
func (t txn) Nodes(ctx context.Context) (map[string]catalog.Node, error) { return nodes(ctx, t.Tx) }

// PathsNaming implements catalog.Tx.
func (t txn) PathsNaming(ctx context.Context, moduleID string) ([]string, error) {
	return pathsNaming(ctx, t.Tx, moduleID)
}

// Revision implements catalog.Tx.
func (t txn) Revision(ctx context.Context) (int64, error) { return revision(ctx, t.Tx) }

// Announce implements catalog.Tx.
func (t txn) Announce(ctx context.Context, c catalog.Change) (n int64, err error) {
	err = t.QueryRowContext(ctx, `UPDATE catalog_head SET revision = revision + 1 WHERE id = 1 RETURNING revision`).Scan(&n)
	if err != nil {
		return 0, err
	}
	_, err = t.ExecContext(ctx, `INSERT INTO changes (revision, kind, id, action, version, change_time, actor)
VALUES ($1, $2, $3, $4, $5, $6, $7)`, n, string(c.Kind), c.ID, string(c.Action), c.Version, sqldb.Micros(c.Time), c.Actor)
	return n, err
}

// Audit implements catalog.Tx.
func (t txn) Audit(ctx context.Context, entries []catalog.AuditEntry) error {
	chained := make([]audit.Entry, len(entries))
	for i, e := range entries {
		chained[i] = audit.Entry{Time: e.Time, Actor: e.Actor, Action: e.Action, Resource: e.Resource, Reason: e.Reason}
	}
	return audit.Append(ctx, t.Tx, chained)
}

// FindResponse implements catalog.Tx.
func (t txn) FindResponse(ctx context.Context, key idem.Key, now time.Time) (response []byte, found bool, err error) {
	return sqldb.FindIdempotent(ctx, t.Tx, key, now)
}

// SaveResponse implements catalog.Tx.
func (t txn) SaveResponse(ctx context.Context, key idem.Key, response []byte, now time.Time) error {
	return sqldb.SaveIdempotent(ctx, t.Tx, key, response, now)
}

// scanner is a row.
type scanner interface{ Scan(into ...any) error }

// query reads all rows of a statement.
func query[T any](ctx context.Context, tx sqldb.Tx, scan func(scanner) (T, error), text string, args ...any) ([]T, error) {
	rows, err := tx.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, sqldb.Classify(err)
	}
	defer func() { _ = rows.Close() }()
	var all []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, sqldb.Classify(err)
		}
		all = append(all, one)
	}
	return all, sqldb.Classify(rows.Err())
}
