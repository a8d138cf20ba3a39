package sqlstore

import (
	"context"
	"slices"
	"time"

	"github.com/preceptor-dev/preceptor/internal/idem"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// What a writer reads before it writes, each by a statement of its own from the newest commit. The fence
// of Write says whether all of it was of one moment.

// latest reads from the newest commit.
func (s *Store) latest() *commitTx {
	return &commitTx{tx: s.db.Reader(), summaries: map[progress.FactsKey]progress.Summary{}}
}

// HeadsOf returns the learners' heads, by id; those that are missing are absent.
func (s *Store) HeadsOf(ctx context.Context, learnerIDs []string) (map[string]progress.Head, error) {
	out := make(map[string]progress.Head, len(learnerIDs))
	for piece := range slices.Chunk(learnerIDs, maxRows) {
		var line string
		var heads []progress.Head
		err := s.onLine(ctx, &line, func(mark string) (err error) {
			heads, err = queryHeadsOn(ctx, s.db.Reader(), mark, `learner_id IN `+sqldb.In(len(piece), 1), keys(piece)...)
			if len(heads) > 0 {
				line = heads[0].Timeline
			} else if err == nil { // there is nothing to be on another line
				err = s.db.Reader().QueryRowContext(ctx, `SELECT `+mark).Scan(&line)
			}
			return sqldb.Classify(err)
		})
		if err != nil {
			return nil, err
		}
		for _, h := range heads {
			h.Timeline = line
			out[h.LearnerID] = h
		}
	}
	return out, nil
}

// HeadsOf returns the heads of those of the learners that are locked.
func (c *commitTx) HeadsOf(_ context.Context, learnerIDs []string) (map[string]progress.Head, error) {
	out := make(map[string]progress.Head, len(learnerIDs))
	for _, id := range learnerIDs {
		if h := c.heads[id]; h != nil {
			out[id] = *h
		}
	}
	return out, nil
}

// Complete reads the facts, enrollments and awards of learners whose heads are known.
func (s *Store) Complete(ctx context.Context, heads []progress.Head) (map[string]*progress.Learner, error) {
	return s.latest().Complete(ctx, heads)
}

// Complete is Store.Complete inside the transaction.
func (c *commitTx) Complete(ctx context.Context, heads []progress.Head) (map[string]*progress.Learner, error) {
	out := make(map[string]*progress.Learner, len(heads))
	for _, h := range heads {
		out[h.LearnerID] = &progress.Learner{Head: h, Facts: map[string]*progress.Facts{}}
	}
	if err := load(ctx, c.tx, out); err != nil {
		return nil, sqldb.Classify(err)
	}
	return out, nil
}

// Facts returns the stored facts of the keys.
func (s *Store) Facts(ctx context.Context, keys []progress.FactsKey) (map[progress.FactsKey]*progress.Facts, error) {
	return classified(s.latest().Facts(ctx, keys))
}

// KnownEvents returns which of the events are in the log.
func (s *Store) KnownEvents(ctx context.Context, keys []progress.EventKey) ([]progress.KnownEvent, error) {
	return classified(s.latest().KnownEvents(ctx, keys))
}

// EventByID returns one stored event.
func (s *Store) EventByID(ctx context.Context, learnerID, eventID string) (progress.Record, error) {
	return classified(s.latest().EventByID(ctx, learnerID, eventID))
}

// IsVoided reports whether the log has a void of the event.
func (s *Store) IsVoided(ctx context.Context, learnerID, eventID string) (bool, error) {
	return classified(s.latest().IsVoided(ctx, learnerID, eventID))
}

// ZoneHistory returns the learner's time zones, oldest first.
func (s *Store) ZoneHistory(ctx context.Context, learnerID string) ([]progress.LearnerZone, error) {
	return classified(s.latest().ZoneHistory(ctx, learnerID))
}

// FindIdempotent returns the stored answer of a create.
func (s *Store) FindIdempotent(ctx context.Context, key idem.Key, now time.Time) (answer []byte, found bool, err error) {
	answer, found, err = s.latest().FindIdempotent(ctx, key, now)
	return answer, found, sqldb.Classify(err)
}

// Enrollment is Store.Enrollment inside the transaction.
func (c *commitTx) Enrollment(ctx context.Context, learnerID, enrollmentID string) (progress.Enrollment, error) {
	return readEnrollment(ctx, c.tx, learnerID, enrollmentID)
}

// classified is what was read, with its error for those outside of the store.
func classified[T any](value T, err error) (T, error) { return value, sqldb.Classify(err) }
