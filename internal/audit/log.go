package audit

import (
	"context"
	"slices"
	"strings"

	"github.com/preceptor-dev/preceptor/internal/sqldb"
)

// columns are audit_entry's.
const columns = "sequence, entry_time, actor, action, resource, reason, previous_hash, hash"

const (
	// columnCount is how many columns are.
	columnCount = 8
	// maxRows bounds the rows of one statement, far below what any driver takes.
	maxRows = 256
)

// Append puts entries at the end of the chain, in a transaction that it shares with the
// commands that they record: either all are committed or none is. It sets the chain's own
// fields (Sequence, PreviousHash and Hash), and brings the rest into the form that is stored.
// The head stays locked until the transaction ends, so entries number without gaps in the
// order of commits; append last, then others wait the shortest.
//
// The tables, audit_head and audit_entry, are made by the migrations of the services that
// keep a chain, which a test holds to one text.
func Append(ctx context.Context, tx sqldb.Tx, entries []Entry) error {
	if len(entries) == 0 {
		return nil
	}
	head, err := readHead(ctx, tx, tx.Dialect().ForUpdate())
	if err != nil {
		return err
	}
	args := make([]any, 0, columnCount*len(entries))
	for i := range entries {
		e := &entries[i]
		e.normalize()
		e.Sequence, e.PreviousHash = head.Sequence+1, head.Hash
		if e.Hash, err = e.sum(); err != nil {
			return err
		}
		head = Head{Sequence: e.Sequence, Hash: e.Hash}
		args = append(args, e.Sequence, sqldb.Micros(e.Time), e.Actor, e.Action, e.Resource, e.Reason, e.PreviousHash, e.Hash)
	}
	for piece := range slices.Chunk(args, maxRows*columnCount) {
		values := sqldb.Values(len(piece)/columnCount, columnCount)
		if _, err := tx.ExecContext(ctx, `INSERT INTO audit_entry (`+columns+`) VALUES `+values, piece...); err != nil {
			return err
		}
	}
	_, err = tx.ExecContext(ctx, `UPDATE audit_head SET sequence = $1, hash = $2 WHERE id = 1`, head.Sequence, head.Hash)
	return err
}

// normalize makes of the entry what every store and every client gives back unchanged: a
// text that is none must neither stop a command nor break the chain.
func (e *Entry) normalize() {
	e.Time = sqldb.Time(sqldb.Micros(e.Time))
	for _, text := range []*string{&e.Actor, &e.Action, &e.Resource, &e.Reason} {
		*text = strings.ReplaceAll(strings.ToValidUTF8(*text, "\uFFFD"), "\x00", "\uFFFD")
	}
}

func readHead(ctx context.Context, tx sqldb.Tx, lock string) (h Head, err error) {
	err = tx.QueryRowContext(ctx, `SELECT sequence, hash FROM audit_head WHERE id = 1`+lock).Scan(&h.Sequence, &h.Hash)
	return h, err
}

// Log reads a chain.
type Log struct{ db *sqldb.DB }

// NewLog is the chain of a database whose schema has one.
func NewLog(db *sqldb.DB) *Log { return &Log{db: db} }

// Page returns at most limit entries after a sequence, oldest first, and the chain's head,
// both as one commit left them. Errors are *errs.Error.
func (l *Log) Page(ctx context.Context, after int64, limit int) (entries []Entry, head Head, err error) {
	err = l.db.Read(ctx, func(ctx context.Context, tx sqldb.Tx) error {
		if head, err = readHead(ctx, tx, ""); err != nil {
			return err
		}
		entries, err = readEntries(ctx, tx, after, limit)
		return err
	})
	return entries, head, err
}

func readEntries(ctx context.Context, tx sqldb.Tx, after int64, limit int) ([]Entry, error) {
	rows, err := tx.QueryContext(ctx, `SELECT `+columns+` FROM audit_entry WHERE sequence > $1 ORDER BY sequence LIMIT $2`, after, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var entries []Entry
	for rows.Next() {
		var e Entry
		var at int64
		if err := rows.Scan(&e.Sequence, &at, &e.Actor, &e.Action, &e.Resource, &e.Reason, &e.PreviousHash, &e.Hash); err != nil {
			return nil, err
		}
		e.Time = sqldb.Time(at)
		entries = append(entries, e)
	}
	return entries, rows.Err()
}
