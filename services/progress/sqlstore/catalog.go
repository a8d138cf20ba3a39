package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// The kinds of catalog_entity.
const (
	kindModule = "module"
	kindPath   = "path"
)

// LoadCatalog returns the stored catalog.
func (s *Store) LoadCatalog(ctx context.Context) (progress.CatalogDelta, error) {
	var d progress.CatalogDelta
	err := s.db.Read(ctx, func(ctx context.Context, tx sqldb.Tx) error {
		d = progress.CatalogDelta{}
		var err error
		if d.Revision, err = readRevision(ctx, tx); err != nil {
			return err
		}
		rows, err := tx.QueryContext(ctx, `SELECT kind, body FROM catalog_entity ORDER BY kind, id`)
		return each(rows, err, func(rows *sql.Rows) error {
			var kind, body string
			if err := rows.Scan(&kind, &body); err != nil {
				return err
			}
			return decodeEntity(&d, kind, body)
		})
	})
	return d, err
}

func readRevision(ctx context.Context, tx sqldb.Tx) (int64, error) {
	var revision int64
	err := tx.QueryRowContext(ctx, `SELECT revision FROM catalog_head WHERE id = 1`).Scan(&revision)
	return revision, err
}

func decodeEntity(d *progress.CatalogDelta, kind, body string) error {
	var err error
	if kind == kindModule {
		var m progress.Module
		err = json.Unmarshal([]byte(body), &m)
		d.Modules = append(d.Modules, m)
	} else {
		var p progress.Path
		err = json.Unmarshal([]byte(body), &p)
		d.Paths = append(d.Paths, p)
	}
	if err != nil {
		return errs.Wrap(err, errs.Internal, errs.ReasonInternal, "a stored catalog entity cannot be read")
	}
	return nil
}

// SaveCatalog merges a delta; one that is older than what is stored changes nothing.
func (s *Store) SaveCatalog(ctx context.Context, d progress.CatalogDelta) error {
	return s.db.Write(ctx, func(ctx context.Context, tx sqldb.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE catalog_head SET revision = $1 WHERE id = 1 AND revision < $1`, d.Revision)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return err
		}
		for i := range d.Modules {
			if err := putEntity(ctx, tx, kindModule, d.Modules[i].ID, &d.Modules[i]); err != nil {
				return err
			}
		}
		for i := range d.Paths {
			if err := putEntity(ctx, tx, kindPath, d.Paths[i].ID, &d.Paths[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func putEntity(ctx context.Context, tx sqldb.Tx, kind, id string, entity any) error {
	body, err := json.Marshal(entity)
	if err != nil {
		return errs.Wrap(err, errs.Internal, errs.ReasonInternal, "a catalog entity cannot be stored")
	}
	_, err = tx.ExecContext(
		ctx,
		`INSERT INTO catalog_entity (kind, id, body) VALUES ($1, $2, $3) ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body`,
		kind,
		id,
		string(body),
	)
	return err
}
