package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// awardColumns are all columns of an award, as many as awardWidth.
const (
	awardColumns = `learner_id, award_id, number, path_id, path_version, milestone_id, title, award_at, from_sequence, to_sequence, completions, rule,
	revoke_at, revoke_reason, revocations, revoked_at, rules`
	awardWidth = 17
)

// refuse and leaveOut say what happens to a part of an award that cannot be read.
func refuse(err error) error {
	return errs.Wrap(err, errs.Internal, errs.ReasonInternal, "a stored award cannot be read")
}

func leaveOut(error) error { return nil }

func readAwards(ctx context.Context, tx sqldb.Tx, whose string, harmed func(error) error, args ...any) ([]progress.Award, error) {
	var out []progress.Award
	rows, err := tx.QueryContext(ctx, `SELECT `+awardColumns+` FROM award WHERE `+whose+` ORDER BY learner_id, award_at, award_id`, args...)
	err = each(rows, err, func(rows *sql.Rows) error {
		var a progress.Award
		var at int64
		var completions, rule string
		var revoked sql.NullInt64
		var why sql.NullString
		err := rows.Scan((*id)(&a.LearnerID), (*id)(&a.ID), &a.Number, &a.PathID, &a.PathVersion, &a.MilestoneID, &a.Title, &at, &a.FromSequence, &a.ToSequence,
			&completions, &rule, &revoked, &why, &a.Revocations, &a.RevokedAt, &a.Rules)
		if err != nil {
			return err
		}
		a.AwardTime, a.RevokeTime, a.RevokeReason = sqldb.Time(at), sqldb.NullTime(revoked), why.String
		if err := errors.Join(json.Unmarshal([]byte(completions), &a.Completions), json.Unmarshal([]byte(rule), &a.Rule)); err != nil {
			if err := harmed(err); err != nil {
				return err
			}
		}
		out = append(out, a)
		return nil
	})
	return out, err
}

// PutAwards writes awards by id.
func (c *commitTx) PutAwards(ctx context.Context, awards []progress.Award) error {
	args := make([]any, 0, awardWidth*len(awards))
	for i := range awards {
		a := &awards[i]
		completions, err1 := json.Marshal(a.Completions)
		rule, err2 := json.Marshal(a.Rule)
		if err := errors.Join(err1, err2); err != nil {
			return errs.Wrap(err, errs.Internal, errs.ReasonInternal, "an award cannot be stored")
		}
		args = append(args, key(a.LearnerID), key(a.ID), a.Number, a.PathID, a.PathVersion, a.MilestoneID, a.Title, a.AwardTime.UnixMicro(), a.FromSequence,
			a.ToSequence, string(completions), string(rule), nullIfZero(microsOf(a.RevokeTime)), text(a.RevokeReason), a.Revocations, a.RevokedAt, a.Rules)
	}
	return c.insert(ctx, `INSERT INTO award (`+awardColumns+`) VALUES `, awardWidth, args,
		` ON CONFLICT (learner_id, award_id) DO UPDATE SET number = excluded.number, path_id = excluded.path_id, milestone_id = excluded.milestone_id,
		path_version = excluded.path_version, title = excluded.title, award_at = excluded.award_at,
		from_sequence = excluded.from_sequence, to_sequence = excluded.to_sequence, completions = excluded.completions, rule = excluded.rule,
		revoke_at = excluded.revoke_at, revoke_reason = excluded.revoke_reason, revocations = excluded.revocations,
		revoked_at = excluded.revoked_at, rules = excluded.rules`)
}
