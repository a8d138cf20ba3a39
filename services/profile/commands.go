package profile

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/idem"
)

// The limits of cohorts are those of cohorts.proto.
const (
	maxTitle    = 200
	maxRule     = 4000
	maxManagers = 100
)

// CohortCreation is a cohort to be made.
type CohortCreation struct {
	// Cohort has an ID, and what a client may set.
	Cohort Cohort
	Key    idem.Key
	// Encode returns the response, which is stored under the key.
	Encode func(Cohort) ([]byte, error)
	Actor  string
}

// CreateCohort creates a cohort and returns what Encode makes of it, and the feed's revision with it. With a key that
// served the same request before, it creates nothing, and returns the response of then and 0.
//
// Returns Invalid with every violation; AlreadyExists COHORT_EXISTS; and the errors of keys as Create does.
func (s *Service) CreateCohort(ctx context.Context, c CohortCreation) (stored []byte, revision int64, err error) {
	leave, err := s.creates.Enter(c.Key)
	if err != nil {
		return nil, 0, err
	}
	defer leave()
	cohort, err := s.madeCohort(c.Cohort)
	if err != nil {
		return nil, 0, err
	}
	response, err := c.Encode(cohort)
	if err != nil {
		return nil, 0, err
	}
	err = s.editor.Edit(ctx, func(ctx context.Context, tx Tx) (err error) {
		revision = 0
		earlier, replayed, err := tx.FindResponse(ctx, c.Key, cohort.CreateTime)
		if err != nil || replayed {
			stored = earlier
			return err
		}
		stored = response
		if err := tx.SaveResponse(ctx, c.Key, response, cohort.CreateTime); err != nil {
			return err
		}
		if err := checkManagers(ctx, tx, cohort.ManagerIDs); err != nil {
			return err
		}
		if err := tx.InsertCohort(ctx, cohort); err != nil {
			return err
		}
		revision, err = announceCohort(ctx, tx, cohort, cohort.Kind == KindRule, audited(cohort, ActionCohortCreated, c.Actor, ""))
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	if cohort.Evaluating {
		s.ruleChanged()
	}
	return stored, revision, nil
}

// madeCohort returns a new cohort with what the service itself sets of it.
func (s *Service) madeCohort(c Cohort) (Cohort, error) {
	c = normalizedCohort(c)
	if err := s.checkCohort(c); err != nil {
		return Cohort{}, err
	}
	c.Version, c.CreateTime = 1, s.micros()
	c.UpdateTime = c.CreateTime
	if c.Kind == KindRule {
		c.RuleVersion, c.Evaluating = 1, true
	}
	return c, nil
}

// CohortUpdate is an edit of a cohort.
type CohortUpdate struct {
	CohortID string
	// Edit returns the cohort with its new values, of which those count that a client may set.
	Edit func(Cohort) (Cohort, error)
	// Match reports whether the cohort that has the etag may be edited; nil: any.
	Match func(etag string) bool
	Actor string
}

// UpdateCohort edits a cohort, and returns it with the feed's revision with it; 0 where nothing is new.
//
// Returns NotFound COHORT_NOT_FOUND; FailedPrecondition ETAG_MISMATCH; Edit's error as it came; and Invalid with
// every violation of the cohort as it would be.
func (s *Service) UpdateCohort(ctx context.Context, u CohortUpdate) (after Cohort, revision int64, err error) {
	now := s.micros()
	err = s.editor.Edit(ctx, func(ctx context.Context, tx Tx) error {
		revision = 0
		before, err := lockMatching(ctx, tx, u.CohortID, u.Match)
		if err != nil {
			return err
		}
		if after, err = u.apply(s, before); err != nil || reflect.DeepEqual(after, before) {
			return err
		}
		after.Version++
		after.UpdateTime = later(before.UpdateTime, now)
		ruled := after.Rule != before.Rule
		if ruled {
			after.RuleVersion, after.Evaluating, after.Evaluated = before.RuleVersion+1, true, ""
		}
		if err := checkManagers(ctx, tx, after.ManagerIDs); err != nil {
			return err
		}
		if err := tx.PutCohort(ctx, after); err != nil {
			return err
		}
		revision, err = announceCohort(ctx, tx, after, ruled, audited(after, ActionCohortChanged, u.Actor, differences(before, after)))
		return err
	})
	if err != nil {
		return Cohort{}, 0, err
	}
	if after.Evaluating {
		s.ruleChanged()
	}
	after, err = s.cohorts.Cohort(ctx, u.CohortID) // with its counts
	return after, revision, err
}

// apply returns the cohort as the edit leaves it, unless it must not be made.
func (u CohortUpdate) apply(s *Service, before Cohort) (Cohort, error) {
	edited, err := u.Edit(before)
	if err != nil {
		return Cohort{}, err
	}
	if edited.Kind != before.Kind {
		var v errs.Violations
		if errs.OneOf(&v, "kind", edited.Kind, KindStatic, KindRule); len(v) == 0 {
			v.Addf("kind", errs.ReasonNotSettable, "cannot be changed: make another cohort")
		}
		return Cohort{}, v.Err()
	}
	after := before
	after.Title, after.Rule, after.ManagerIDs = edited.Title, edited.Rule, edited.ManagerIDs
	after = normalizedCohort(after)
	if reflect.DeepEqual(after, before) {
		return before, nil // one that was valid once may be invalid by now
	}
	return after, s.checkCohort(after)
}

// differences names what an edit changed, for the audit.
func differences(before, after Cohort) string {
	var names []string
	if before.Title != after.Title {
		names = append(names, "title")
	}
	if before.Rule != after.Rule {
		names = append(names, fmt.Sprintf("rule (version %d)", after.RuleVersion))
	}
	if !slices.Equal(before.ManagerIDs, after.ManagerIDs) {
		names = append(names, "managers: "+strings.Join(after.ManagerIDs, ", "))
	}
	return strings.Join(names, "; ")
}

// DeleteCohort ends a cohort, and returns the feed's revision with that.
//
// Returns NotFound COHORT_NOT_FOUND, and FailedPrecondition ETAG_MISMATCH.
func (s *Service) DeleteCohort(ctx context.Context, id string, match func(etag string) bool, actor string) (revision int64, err error) {
	now := s.micros()
	err = s.editor.Edit(ctx, func(ctx context.Context, tx Tx) error {
		cohort, err := lockMatching(ctx, tx, id, match)
		if err != nil {
			return err
		}
		cohort.Version++
		cohort.UpdateTime = later(cohort.UpdateTime, now)
		cohort.DeleteTime, cohort.Evaluating = cohort.UpdateTime, false
		if err := tx.PutCohort(ctx, cohort); err != nil {
			return err
		}
		revision, err = announceCohort(ctx, tx, cohort, cohort.Kind == KindRule, audited(cohort, ActionCohortDeleted, actor, ""))
		return err
	})
	return revision, err
}

func lockMatching(ctx context.Context, tx Tx, id string, match func(etag string) bool) (Cohort, error) {
	cohort, err := tx.LockCohort(ctx, id)
	if err == nil && match != nil && !match(cohort.Etag()) {
		err = errs.New(errs.FailedPrecondition, errs.ReasonEtagMismatch, "the cohort has changed since it was read; read it again, then edit that")
	}
	return cohort, err
}

// announceCohort announces and audits what was done to a cohort, and raises the rules where they changed.
func announceCohort(ctx context.Context, tx Tx, c Cohort, ruled bool, entry AuditEntry) (int64, error) {
	if ruled {
		if err := tx.RaiseRules(ctx); err != nil {
			return 0, err
		}
	}
	revision, err := tx.Announce(ctx, "", []Change{{Time: c.UpdateTime, Cohort: c.change()}})
	if err != nil {
		return 0, err
	}
	return revision, tx.Audit(ctx, []AuditEntry{entry})
}

func audited(c Cohort, action, actor, reason string) AuditEntry {
	return AuditEntry{Time: c.UpdateTime, Actor: actor, Action: action, Resource: "cohorts/" + c.ID, Reason: reason}
}

// normalizedCohort returns the cohort as it is stored.
func normalizedCohort(c Cohort) Cohort {
	c.Title, c.Rule = strings.TrimSpace(c.Title), strings.TrimSpace(c.Rule)
	if len(c.ManagerIDs) == 0 {
		c.ManagerIDs = nil
	}
	return c
}

// checkCohort returns Invalid with every violation of a cohort, apart from managers who do not exist.
func (s *Service) checkCohort(c Cohort) error {
	var v errs.Violations
	if c.ID == "" {
		v.Addf("cohortId", errs.ReasonRequired, "must not be empty")
	}
	checkSlug(&v, "cohortId", c.ID)
	if c.Title == "" {
		v.Addf("title", errs.ReasonRequired, "must not be blank")
	}
	v.Line("title", c.Title, maxTitle)
	switch c.Kind {
	case KindRule:
		v = append(v, s.ruleFaults(c.Rule)...)
	case KindStatic:
		if sound := len(v); c.Rule != "" {
			if v.Text("rule", c.Rule, maxRule); len(v) == sound {
				v.Addf("rule", errs.ReasonNotSettable, "must be empty: only a cohort of kind RULE has one")
			}
		}
	case "":
		v.Addf("kind", errs.ReasonRequired, "must be STATIC or RULE")
	default:
		errs.OneOf(&v, "kind", c.Kind, KindStatic, KindRule)
	}
	checkManagerIDs(&v, c.ManagerIDs)
	return v.Err()
}

func checkManagerIDs(v *errs.Violations, ids []string) {
	if len(ids) > maxManagers {
		v.Count("managerIds", len(ids), maxManagers)
		return
	}
	for i, id := range ids {
		field := fmt.Sprintf("managerIds[%d]", i)
		switch {
		case !isID(id):
			v.Addf(field, errs.ReasonInvalidUUID, "must be a learner's id (a UUID)")
		case slices.Contains(ids[:i], id):
			v.Addf(field, errs.ReasonDuplicate, "is in the list twice")
		}
	}
}

// ruleFaults are the violations of a rule.
func (s *Service) ruleFaults(text string) errs.Violations {
	var v errs.Violations
	if text == "" {
		v.Addf("rule", errs.ReasonRequired, "must not be empty: which learners are members?")
	}
	v.Text("rule", text, maxRule)
	if len(v) > 0 {
		return v
	}
	_, err := s.rules.Compile(text)
	return violationsOf(err)
}

// checkManagers returns Invalid with a violation for each manager who does not exist.
func checkManagers(ctx context.Context, tx Tx, ids []string) error {
	return checkKnown(ctx, tx, "managerIds", ids)
}

func checkKnown(ctx context.Context, tx Tx, field string, ids []string) error {
	unknown, err := tx.Unknown(ctx, ids)
	if err != nil || len(unknown) == 0 {
		return err
	}
	var v errs.Violations
	for i, id := range ids {
		if slices.Contains(unknown, id) {
			v.Addf(fmt.Sprintf("%s[%d]", field, i), errs.ReasonLearnerNotFound, "there is no learner %q", id)
		}
	}
	return v.Err()
}

// MembersCommand adds learners to a STATIC cohort, or removes them.
type MembersCommand struct {
	CohortID   string
	LearnerIDs []string
	Reason     string
	Actor      string
}

// AddMembers adds learners to a cohort, all or none, and returns how many were no members, and the feed's revision;
// 0 where there were none of these.
//
// Returns Invalid with a violation for each learner who does not exist; NotFound COHORT_NOT_FOUND; and
// FailedPrecondition NOT_STATIC.
func (s *Service) AddMembers(ctx context.Context, c MembersCommand) (count int, revision int64, err error) {
	return s.moveMembers(ctx, c, ActionMembersAdded, func(was Standing, now time.Time) Standing {
		if !was.Open() {
			was.Span = was.joined(now, c.Reason)
		}
		return was
	})
}

// RemoveMembers is AddMembers for those who leave.
func (s *Service) RemoveMembers(ctx context.Context, c MembersCommand) (count int, revision int64, err error) {
	return s.moveMembers(ctx, c, ActionMembersRemoved, func(was Standing, now time.Time) Standing {
		if was.Open() {
			was.Span = was.left(now, c.Reason)
		}
		return was
	})
}

func (s *Service) moveMembers(
	ctx context.Context, c MembersCommand, action string, move func(Standing, time.Time) Standing,
) (count int, revision int64, err error) {
	var v errs.Violations
	if checkGivenReason(&v, c.Reason); len(v) > 0 {
		return 0, 0, v.Err()
	}
	now := s.micros()
	err = s.editor.Edit(ctx, func(ctx context.Context, tx Tx) error {
		count, revision = 0, 0
		cohort, err := tx.LockCohort(ctx, c.CohortID)
		if err != nil {
			return err
		}
		if cohort.Kind != KindStatic {
			return errs.New(errs.FailedPrecondition, errs.ReasonNotStatic, "the members of %q follow from its rule", c.CohortID)
		}
		if err := checkKnown(ctx, tx, "learnerIds", c.LearnerIDs); err != nil {
			return err
		}
		ids := sortedIDs(c.LearnerIDs)
		before, err := tx.StandingsIn(ctx, c.CohortID, ids)
		if err != nil {
			return err
		}
		var after []Standing
		var entries []AuditEntry
		for _, id := range ids {
			was := before[id]
			was.CohortID, was.LearnerID = c.CohortID, id
			if is := move(was, now); is != was {
				after = append(after, is)
				entries = append(entries, AuditEntry{
					Time: now, Actor: c.Actor, Action: action, Resource: "cohorts/" + c.CohortID + "/members/" + id, Reason: c.Reason,
				})
			}
		}
		if count = len(after); count == 0 {
			return nil
		}
		if err := tx.SaveStandings(ctx, after); err != nil {
			return err
		}
		if revision, err = tx.Announce(ctx, "", changesOf(before, after, byLearner)); err != nil {
			return err
		}
		return tx.Audit(ctx, entries)
	})
	return count, revision, err
}
