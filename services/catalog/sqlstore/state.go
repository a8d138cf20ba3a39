package sqlstore

import (
	"context"
	"sync"

	"github.com/preceptor-dev/preceptor/internal/sqldb"
)

// The head's row counts the transactions that have changed the catalog. The same number may be another state where a
// database was restored, or a standby has taken over without the last of them. So beside it goes what the server
// says of its line of history, and which transaction wrote the row: a row that a dump brought has another. A database
// of SQLite is this process's alone for as long as that lasts.

// mark is the expression for the line of history, "" until the database was asked for it.
type mark struct {
	mu   sync.Mutex
	text string
}

// of returns the expression, which names the row as h.
func (m *mark) of(ctx context.Context, db *sqldb.DB) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.text != "" {
		return m.text, nil
	}
	h, err := db.History(ctx)
	if err != nil {
		return "", err
	}
	m.text = `''`
	if db.Dialect() == sqldb.Postgres {
		m.text = h.Server + ` || '/' || h.tableoid::text || '/' || h.xmin::text`
	}
	return m.text, nil
}

// State implements catalog.Store. On Postgres, those who ask while others are being answered ask together.
func (s *Store) State(ctx context.Context) (string, error) {
	if s.state != nil {
		state, _, err := s.state.Get(ctx, struct{}{})
		return state, err
	}
	return s.readState(ctx)
}

func (s *Store) gatherState(ctx context.Context, _ []struct{}) (map[struct{}]string, error) {
	state, err := s.readState(ctx)
	return map[struct{}]string{{}: state}, err
}

func (s *Store) readState(ctx context.Context) (state string, err error) {
	mark, err := s.mark.of(ctx, s.db)
	if err != nil {
		return "", err
	}
	err = s.db.Reader().QueryRowContext(ctx, `SELECT CAST(h.edits AS TEXT) || '/' || `+mark+` FROM catalog_head h WHERE h.id = 1`).Scan(&state)
	return state, sqldb.Classify(err)
}
