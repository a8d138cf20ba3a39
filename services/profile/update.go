package profile

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// Update is an edit of a learner.
type Update struct {
	LearnerID string
	// Edit returns the learner with its new values. Only what a client may set counts: the
	// subjects, the attributes, and the learner's own data. Edit may run more than once.
	Edit func(Learner) (Learner, error)
	// Match reports whether the learner that has the etag may be edited; nil: any.
	Match func(etag string) bool
	// Admin is whether the caller may set the subjects and the attributes.
	Admin bool
	Actor string
}

// Update edits a learner. A change to nothing new leaves the etag as it is.
//
// Returns NotFound LEARNER_NOT_FOUND; FailedPrecondition ETAG_MISMATCH; Edit's error as it
// came; PermissionDenied ROLE_REQUIRED when the subjects or attributes would change and the caller is no
// admin; Invalid with every violation of the learner as it would be; and AlreadyExists
// SUBJECT_TAKEN.
func (s *Service) Update(ctx context.Context, u Update) (Learner, error) {
	return s.change(ctx, u.LearnerID, func(e *learnerEdit) error {
		edited, err := u.apply(e.before)
		if err != nil || reflect.DeepEqual(edited, normalized(e.before)) {
			return err
		}
		e.after = edited
		e.audit = e.attributes(u.Actor)
		return nil
	})
}

// change lets do edit a learner, and stores it, unless do leaves it as it was.
func (s *Service) change(ctx context.Context, id string, do func(*learnerEdit) error) (Learner, error) {
	if !isID(id) {
		return Learner{}, NotFound(id)
	}
	now := s.micros()
	var after Learner
	err := s.edit(ctx, func(ctx context.Context, tx Tx, rules RuleSet) (current bool, err error) {
		before, err := tx.LockLearner(ctx, id)
		if err != nil {
			return true, err
		}
		e := learnerEdit{before: before, after: before, now: now}
		if err := do(&e); err != nil {
			return true, err
		}
		if after = before; !reflect.DeepEqual(e.after, before) {
			e.touch()
			after = e.after
			if err := tx.PutLearner(ctx, e.before, e.after); err != nil {
				return true, err
			}
			after.Revision, current, err = e.finish(ctx, tx, rules)
			return current, err
		}
		return true, nil
	})
	if err != nil {
		return Learner{}, err
	}
	return after, nil
}

// touch sets what the service itself sets of a learner who changed.
func (e *learnerEdit) touch() {
	e.after.Version++
	e.after.UpdateTime = later(e.after.UpdateTime, e.now)
	if e.after.TimeZone != e.before.TimeZone {
		e.after.TimeZoneTime = e.after.UpdateTime
	}
}

// later returns now, unless it comes before then: replicas' clocks differ, and a time only moves forward.
func later(then, now time.Time) time.Time {
	if now.After(then) {
		return now
	}
	return then
}

// attributes returns the audit of the attributes that changed, by their names alone.
func (e learnerEdit) attributes(actor string) []AuditEntry {
	var names []string
	for name := range e.after.Attributes {
		if e.before.Attributes[name] != e.after.Attributes[name] {
			names = append(names, name)
		}
	}
	for name := range e.before.Attributes {
		if _, kept := e.after.Attributes[name]; !kept {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return []AuditEntry{{
		Time: e.now, Actor: actor, Action: ActionAttributesChanged, Resource: "learners/" + e.after.ID,
		Reason: strings.Join(sortedIDs(names), ", "),
	}}
}

// apply returns the learner as the edit leaves it, unless it must not be made.
func (u Update) apply(l Learner) (Learner, error) {
	if u.Match != nil && !u.Match(l.Etag()) {
		return Learner{}, errs.New(errs.FailedPrecondition, errs.ReasonEtagMismatch,
			"the learner has changed since it was read; read it again, then edit that")
	}
	edited, err := u.Edit(l)
	if err != nil {
		return Learner{}, err
	}
	// A client that sends back what it read changes neither.
	if !u.Admin && !slices.Equal(edited.Subjects, l.Subjects) {
		return Learner{}, errs.New(errs.PermissionDenied, errs.ReasonRoleRequired, "subjects: only an admin may change them")
	}
	if !u.Admin && !maps.Equal(edited.Attributes, l.Attributes) {
		return Learner{}, errs.New(errs.PermissionDenied, errs.ReasonRoleRequired, "attributes: only an admin may change them")
	}
	edited = normalized(edited)
	edited.ID, edited.Version, edited.Revision, edited.State = l.ID, l.Version, l.Revision, l.State
	edited.CreateTime, edited.UpdateTime, edited.TimeZoneTime = l.CreateTime, l.UpdateTime, l.TimeZoneTime
	return edited, validate(edited)
}
