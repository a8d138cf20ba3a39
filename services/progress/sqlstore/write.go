package sqlstore

import (
	"context"
	"errors"

	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// Write applies a set behind its fence: in one transaction, and with Postgres, where the set has nothing
// but events, in one statement.
func (s *Store) Write(ctx context.Context, set *progress.WriteSet) error {
	if len(set.Heads) == 0 {
		return nil // it is about nobody
	}
	mark, err := s.markOf(ctx)
	if err != nil {
		return err
	}
	if s.db.Dialect() == sqldb.Postgres && !set.HasRare() {
		var call []any
		if call, err = batchCall(&s.lines, set); err == nil {
			err = sqldb.Classify(refusal(s.db.WriteStatement(ctx, callBatch(mark), call...)))
		}
	} else {
		err = s.db.Write(ctx, func(ctx context.Context, tx sqldb.Tx) error {
			c := &commitTx{tx: tx, lines: &s.lines, mark: mark, summaries: map[progress.FactsKey]progress.Summary{}}
			return c.Write(ctx, set)
		})
	}
	if errors.Is(err, errUnknownLine) {
		if err := s.settle(ctx); err != nil {
			return err
		}
		return &progress.StaleError{Learners: set.Learners()}
	}
	return err
}

// Write is Store.Write inside the transaction.
func (c *commitTx) Write(ctx context.Context, set *progress.WriteSet) error {
	write := c.writeRows
	if c.tx.Dialect() == sqldb.Postgres {
		write = c.writeBatch
	}
	if err := write(ctx, set); err != nil {
		return err
	}
	return c.writeRare(ctx, set)
}

// writeRows moves the heads and writes log entries and facts, by statements of their own.
func (c *commitTx) writeRows(ctx context.Context, set *progress.WriteSet) error {
	if err := c.fence(ctx, set); err != nil {
		return err
	}
	if len(set.Records) > 0 {
		err := c.Append(ctx, set.Records)
		if sqldb.IsUnique(err) { // only an id of an event can be there already, behind the fence
			return &progress.StaleError{Events: true}
		}
		if err != nil {
			return err
		}
	}
	if len(set.Facts) == 0 {
		return nil
	}
	facts := make(map[progress.FactsKey]*progress.Facts, len(set.Facts))
	for _, f := range set.Facts {
		facts[f.FactsKey] = f.Is
		if f.Was != nil {
			c.summaries[f.FactsKey] = f.Was.Summary()
		}
	}
	return c.PutFacts(ctx, facts)
}

// writeRare writes what few sets have.
func (c *commitTx) writeRare(ctx context.Context, set *progress.WriteSet) error {
	if len(set.Enrollments) > 0 {
		if err := c.PutEnrollments(ctx, set.Enrollments); err != nil {
			return err
		}
	}
	if len(set.Awards) > 0 {
		if err := c.PutAwards(ctx, set.Awards); err != nil {
			return err
		}
	}
	for _, a := range set.Answers {
		if err := c.SaveIdempotent(ctx, a.Key, a.Body, a.Time); err != nil {
			return err
		}
	}
	if len(set.Audit) > 0 {
		return c.Audit(ctx, set.Audit) // last, because its head is one row, which others wait for
	}
	return nil
}

// fence makes sure that all is as the set believes, and moves the heads. It takes them in the order of
// their ids, as lock does.
func (c *commitTx) fence(ctx context.Context, set *progress.WriteSet) error {
	var revision int64
	var mark string
	if err := c.tx.QueryRowContext(ctx, `SELECT revision, `+c.mark+` FROM catalog_head WHERE id = 1`).Scan(&revision, &mark); err != nil {
		return err
	}
	line, known := c.lines.of(mark)
	if !known {
		return errUnknownLine
	}
	if revision > set.Catalog {
		return &progress.StaleError{Catalog: revision}
	}
	var stale []string
	args := make([]any, 0, 5*len(set.Heads))
	for i := range set.Heads {
		h := &set.Heads[i]
		args = append(args, key(h.Was.LearnerID), h.Was.Sequence, h.Was.Version, h.Is.Sequence, h.Is.Version)
		if h.Was.Timeline != line {
			stale = append(stale, h.Was.LearnerID)
		}
	}
	unmoved, err := sqldb.ExecRows(ctx, c.tx,
		`UPDATE learner_head SET sequence = $4, version = $5 WHERE learner_id = $1 AND sequence = $2 AND version = $3`, 5, args)
	if err != nil {
		return err
	}
	for _, i := range unmoved {
		stale = append(stale, set.Heads[i].Was.LearnerID)
	}
	if len(stale) > 0 {
		return &progress.StaleError{Learners: stale}
	}
	return nil
}
