package catalog

import (
	"context"
	"fmt"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// What the audit calls a mandate and its withdrawal.
const (
	actionUpgradeMandated         = "UPGRADE_MANDATED"
	actionUpgradeMandateWithdrawn = "UPGRADE_MANDATE_WITHDRAWN"
)

// mandateFinal is how long after its time a mandate can no longer be withdrawn: from then on
// progress gives awards that rest on it, and those stay.
const mandateFinal = time.Hour

// Mandate is an order that an upgrade is mandatory: from its time on, a
// learner enrolled on an older version of the path is on this one.
type Mandate struct {
	// Number is the version's.
	Number int
	// EffectiveTime is from when; at once when zero.
	EffectiveTime time.Time
	// Reason is why, for the audit; it may be empty.
	Reason string
	// Actor is the subject that orders it.
	Actor string
}

// check returns the violations of the order by itself.
func (m Mandate) check(now time.Time) faults {
	var f faults
	f.effectiveTime(m.EffectiveTime, now)
	f.text("reason", m.Reason, maxReason)
	return f
}

// Mandate makes the upgrade to a version of the path mandatory. Its content and hash
// stay as they are. Where it is mandatory already and no later than asked for,
// nothing changes, so that a retry is harmless; else its time moves to the earlier one.
// A time that has just gone by, by a slow clock, is now: no learner is moved in retrospect.
//
// Returns Invalid BAD_EFFECTIVE_TIME, or with the violations of the reason's shape;
// NotFound PATH_NOT_FOUND or VERSION_NOT_FOUND; FailedPrecondition ETAG_MISMATCH,
// NOT_ACTIVE, NOTHING_TO_MANDATE for the first version, or MANDATE_TO_OLDER when a newer
// version is mandatory by then.
func (s *Service) Mandate(ctx context.Context, id string, m Mandate, match Match) (Path, error) {
	now := s.micros()
	if f := m.check(now); f.len() > 0 {
		return Path{}, f.err()
	}
	var after Path
	err := s.editor.Edit(ctx, func(ctx context.Context, tx Tx) error {
		path, err := s.Paths.get(ctx, tx, id, match)
		if err != nil {
			return err
		}
		if err := m.fits(path); err != nil {
			return err
		}
		mandates, err := tx.Paths().Mandates(ctx, id)
		if err != nil {
			return err
		}
		after = path
		from := m.from(path, now)
		if earlier, mandatory := mandates[m.Number]; mandatory && !earlier.After(from) {
			return nil
		}
		for number, earlier := range mandates {
			if number > m.Number && !earlier.After(from) {
				return errs.New(errs.FailedPrecondition, errs.ReasonMandateToOlder,
					"version %d of %q is newer, and mandatory by then", number, id)
			}
		}
		after, err = s.setMandate(ctx, tx, path, mandateChange{
			number: m.Number, from: from, action: ActionMandated, audit: actionUpgradeMandated, reason: m.Reason, actor: m.Actor,
		}, now)
		return err
	})
	return after, err
}

// fits reports whether the path has a version that can be made mandatory.
func (m Mandate) fits(path Path) error {
	switch {
	case path.State != StateActive:
		return errs.New(errs.FailedPrecondition, errs.ReasonNotActive, "%q is %s, and only what is ACTIVE has upgrades", path.ID, path.State)
	case m.Number < 1 || m.Number > path.Latest():
		return VersionNotFound(path.ID, m.Number)
	case m.Number == 1:
		return errs.New(errs.FailedPrecondition, errs.ReasonNothingToMandate, "version 1 of %q is the first: nobody is on an older one", path.ID)
	}
	return nil
}

// from is the time of the mandate: not before now, and not before the version was there,
// though the clocks of replicas differ.
func (m Mandate) from(path Path, now time.Time) time.Time {
	from := m.EffectiveTime.UTC().Truncate(time.Microsecond)
	for _, least := range []time.Time{now, path.Version.PublishTime} {
		if from.Before(least) {
			from = least
		}
	}
	return from
}

// Withdrawal is an order that a mandate counts as never made.
type Withdrawal struct {
	// Number is the version's that was mandated.
	Number int
	// Reason is why, for the audit.
	Reason string
	// Actor is the subject that orders it.
	Actor string
}

// check returns the violations of the order by itself.
func (w Withdrawal) check() faults {
	var f faults
	if blank(w.Reason) {
		f.addf("reason", errs.ReasonRequired, "must not be empty: say why the mandate is withdrawn, for the audit")
	}
	f.text("reason", w.Reason, maxReason)
	return f
}

// WithdrawMandate makes the mandate of a version of the path count as never made: before
// its time, or less than an hour after it. Mandates of other versions stay as they are.
// The path may be archived: its learners continue, and the slip is theirs too.
//
// Returns Invalid with the violations of the reason; NotFound PATH_NOT_FOUND or
// VERSION_NOT_FOUND; FailedPrecondition ETAG_MISMATCH, NOT_MANDATED, or
// MANDATE_IN_EFFECT when it is too late.
func (s *Service) WithdrawMandate(ctx context.Context, id string, w Withdrawal, match Match) (Path, error) {
	if f := w.check(); f.len() > 0 {
		return Path{}, f.err()
	}
	now := s.micros()
	var after Path
	err := s.editor.Edit(ctx, func(ctx context.Context, tx Tx) error {
		path, err := s.Paths.get(ctx, tx, id, match)
		if err != nil {
			return err
		}
		if w.Number < 1 || w.Number > path.Latest() {
			return VersionNotFound(id, w.Number)
		}
		mandates, err := tx.Paths().Mandates(ctx, id)
		if err != nil {
			return err
		}
		from, mandatory := mandates[w.Number]
		switch {
		case !mandatory:
			return errs.New(errs.FailedPrecondition, errs.ReasonNotMandated, "version %d of %q is not mandatory", w.Number, id)
		case now.Sub(from) >= mandateFinal:
			return errs.New(errs.FailedPrecondition, errs.ReasonMandateInEffect,
				"version %d of %q has been mandatory since %s, and learners were moved to it; publish a version that asks for the right things, and mandate that",
				w.Number, id, from.Format(time.RFC3339))
		}
		after, err = s.setMandate(ctx, tx, path, mandateChange{
			number: w.Number, action: ActionMandateWithdrawn, audit: actionUpgradeMandateWithdrawn, reason: w.Reason, actor: w.Actor,
		}, now)
		return err
	})
	return after, err
}

// mandateChange is what a mandate or its withdrawal does.
type mandateChange struct {
	number int
	// from is the version's MandateTime; zero for a withdrawal.
	from   time.Time
	action Action
	// audit is what the audit calls it.
	audit, reason, actor string
}

// setMandate stores and announces what was decided.
func (s *Service) setMandate(ctx context.Context, tx Tx, path Path, m mandateChange, now time.Time) (Path, error) {
	path = path.touched(now)
	var err error
	path.Revision, err = tx.Announce(ctx, Change{
		Kind: KindPath, ID: path.ID, Action: m.action, Version: m.number, Time: now, Actor: m.actor,
	})
	if err != nil {
		return Path{}, err
	}
	if m.number == path.Latest() {
		newest := *path.Version
		newest.MandateTime = m.from
		path.Version = &newest
	}
	if err := tx.Paths().Put(ctx, path); err != nil {
		return Path{}, err
	}
	if err := tx.Paths().Mandate(ctx, path.ID, m.number, m.from); err != nil {
		return Path{}, err
	}
	return path, tx.Audit(ctx, []AuditEntry{{
		Time: now, Actor: m.actor, Action: m.audit, Reason: m.reason,
		Resource: fmt.Sprintf("paths/%s/versions/%d", path.ID, m.number),
	}})
}
