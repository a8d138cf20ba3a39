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

// history is the expression for what the server says of its line of history, "" until the database was asked for it.
type history struct {
	mu     sync.Mutex
	server string
}

// of returns the expression.
func (h *history) of(ctx context.Context, db *sqldb.DB) (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.server != "" {
		return h.server, nil
	}
	found, err := db.History(ctx)
	h.server = found.Server
	return h.server, err
}

// State implements catalog.Store. On Postgres, those who ask while others are being answered ask together.
func (s *Store) State(ctx context.Context) (state string, err error) {
	if s.state != nil {
		state, _, err = s.state.Get(ctx, struct{}{})
		return state, err
	}
	err = s.db.Reader().QueryRowContext(ctx, `SELECT CAST(edits AS TEXT) FROM catalog_head WHERE id = 1`).Scan(&state)
	return state, sqldb.Classify(err)
}

func (s *Store) gatherState(ctx context.Context, _ []struct{}) (map[struct{}]string, error) {
	server, err := s.history.of(ctx, s.db)
	if err != nil {
		return nil, err
	}
	var state string
	err = s.db.Reader().QueryRowContext(ctx, `SELECT catalog_state(`+server+`)`).Scan(&state)
	return map[struct{}]string{{}: state}, sqldb.Classify(err)
}
