package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// FindLink returns the learner of an identity.
func (s *Store) FindLink(ctx context.Context, issuer, subject string) (progress.Link, error) {
	var l progress.Link
	var since int64
	err := s.db.Reader().
		QueryRowContext(ctx, `SELECT learner_id, time_zone, zone_since FROM subject_link WHERE issuer = $1 AND subject = $2`, issuer, subject).
		Scan((*id)(&l.LearnerID), &l.TimeZone, &since)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return l, errs.New(errs.NotFound, errs.ReasonLinkNotFound, "the identity is not known here")
	case err != nil:
		return l, sqldb.Classify(err)
	}
	l.Since = timeOf(since)
	return l, nil
}

// SaveLink stores an identity's learner.
func (s *Store) SaveLink(ctx context.Context, issuer, subject string, link progress.Link) error {
	return s.db.Write(ctx, func(ctx context.Context, tx sqldb.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO subject_link (issuer, subject, learner_id, time_zone, zone_since) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (issuer, subject) DO UPDATE SET learner_id = excluded.learner_id, time_zone = excluded.time_zone, zone_since = excluded.zone_since`,
			issuer, subject, key(link.LearnerID), link.TimeZone, microsOf(link.Since))
		if err != nil {
			return err
		}
		if link.TimeZone == "" { // the feed says it where profile has forgotten one
			return saveKnown(ctx, tx, link.LearnerID)
		}
		return saveZones(ctx, tx, []progress.LearnerZone{progress.LearnerZone(link)})
	})
}

// ZoneRevision returns profile's revision that the learners' time zones are known up to.
func (s *Store) ZoneRevision(ctx context.Context) (int64, error) {
	var revision int64
	err := s.db.Reader().QueryRowContext(ctx, `SELECT revision FROM zone_head WHERE id = 1`).Scan(&revision)
	if err != nil {
		return 0, sqldb.Classify(err)
	}
	return revision, nil
}

// SaveProfile stores what happened in profile.
func (s *Store) SaveProfile(ctx context.Context, revision int64, stored time.Time, changes []progress.ProfileChange) error {
	var zones []progress.LearnerZone
	for _, c := range changes {
		if c.Learner != nil {
			zones = append(zones, c.Learner.Zone)
		}
	}
	// In id order, as Commit locks heads; what is said of one learner twice, as it was said.
	slices.SortStableFunc(zones, func(a, b progress.LearnerZone) int { return cmp.Compare(a.LearnerID, b.LearnerID) })
	return s.db.Write(ctx, func(ctx context.Context, tx sqldb.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE zone_head SET revision = $1 WHERE id = 1 AND revision < $1`, revision)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return err
		}
		if err := saveZones(ctx, tx, zones); err != nil {
			return err
		}
		return savePeople(ctx, tx, stored, changes)
	})
}

// saveKnown makes a learner known of whose time zone nothing is said.
func saveKnown(ctx context.Context, tx sqldb.Tx, learnerID string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO learner_head (learner_id, sequence, version, rules, known) VALUES ($1, 0, 0, $2, TRUE)
		ON CONFLICT (learner_id) DO UPDATE SET known = TRUE WHERE NOT learner_head.known`, key(learnerID), progress.RulesVersion)
	return err
}

// saveZones takes over the learners' time zones, which come in id order. The first one of a learner is
// as if it had always been: while there is none, "" says nothing but that the learner exists. Another
// one begins when it was set, and after the one before: where that is not said, the order in which
// they are received decides. The head's version rises where the zone changes: answers that were
// computed in the one before are old.
func saveZones(ctx context.Context, tx sqldb.Tx, zones []progress.LearnerZone) error {
	ids := make([]string, len(zones))
	for i := range zones {
		ids[i] = zones[i].LearnerID
	}
	ids = slices.Compact(ids)
	c := &commitTx{tx: tx}
	if err := c.lockOrMake(ctx, ids); err != nil {
		return err
	}
	newest, err := newestZones(ctx, tx, ids)
	if err != nil {
		return err
	}
	var rows []any
	for _, z := range zones {
		h := c.heads[z.LearnerID]
		since, has := newest[z.LearnerID]
		h.Known = true
		switch {
		case !has && z.TimeZone == "":
			continue
		case !has:
			since = 0
		case z.TimeZone == h.TimeZone:
			continue
		default:
			since = max(since+1, microsOf(z.Since))
		}
		if z.TimeZone != h.TimeZone {
			h.Version++
		}
		h.TimeZone, h.ZoneSince, newest[z.LearnerID] = z.TimeZone, timeOf(since), since
		rows = append(rows, key(z.LearnerID), since, z.TimeZone)
	}
	if err := c.insert(ctx, `INSERT INTO learner_zone (learner_id, since, time_zone) VALUES `, 3, rows, ``); err != nil {
		return err
	}
	return c.saveZoned(ctx, ids)
}

// newestZones returns since when learners are in the last zone of their history; those without any are absent.
func newestZones(ctx context.Context, tx sqldb.Tx, ids []string) (map[string]int64, error) {
	out := make(map[string]int64, len(ids))
	for piece := range slices.Chunk(ids, maxRows) {
		rows, err := tx.QueryContext(ctx, `SELECT learner_id, max(since) FROM learner_zone WHERE learner_id IN `+sqldb.In(len(piece), 1)+` GROUP BY learner_id`,
			keys(piece)...)
		err = each(rows, err, func(rows *sql.Rows) error {
			var learner id
			var since int64
			err := rows.Scan(&learner, &since)
			out[string(learner)] = since
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// saveZoned writes what saveZones changes of heads.
func (c *commitTx) saveZoned(ctx context.Context, ids []string) error {
	var args []any
	for _, id := range ids {
		if h := c.heads[id]; *h != c.was[id] {
			args = append(args, key(id), h.Sequence, h.Version, h.Rules, h.Known, h.TimeZone, microsOf(h.ZoneSince))
		}
	}
	return c.insert(ctx, `INSERT INTO learner_head (learner_id, sequence, version, rules, known, time_zone, zone_since) VALUES `, 7, args,
		` ON CONFLICT (learner_id) DO UPDATE SET version = excluded.version, known = excluded.known, time_zone = excluded.time_zone,
		zone_since = excluded.zone_since`)
}

// ZoneHistory returns the learner's time zones, oldest first.
func (c *commitTx) ZoneHistory(ctx context.Context, learnerID string) ([]progress.LearnerZone, error) {
	var out []progress.LearnerZone
	rows, err := c.tx.QueryContext(ctx, `SELECT since, time_zone FROM learner_zone WHERE learner_id = $1 ORDER BY since`, key(learnerID))
	err = each(rows, err, func(rows *sql.Rows) error {
		z := progress.LearnerZone{LearnerID: learnerID}
		var since int64
		err := rows.Scan(&since, &z.TimeZone)
		z.Since = timeOf(since)
		out = append(out, z)
		return err
	})
	return out, err
}
