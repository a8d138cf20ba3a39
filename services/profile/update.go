package profile

import (
	"context"
	"reflect"
	"slices"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// Update is an edit of a learner.
type Update struct {
	LearnerID string
	// Edit returns the learner with its new values. Only what a client may set counts: the
	// subjects, and the learner's own data. Edit may run more than once.
	Edit func(Learner) (Learner, error)
	// Match reports whether the learner that has the etag may be edited; nil: any.
	Match func(etag string) bool
	// Admin is whether the caller may set the subjects.
	Admin bool
}

// Update edits a learner. A change to nothing new leaves the etag as it is.
//
// Returns NotFound LEARNER_NOT_FOUND; FailedPrecondition ETAG_MISMATCH; Edit's error as it
// came; PermissionDenied ROLE_REQUIRED when the subjects would change and the caller is no
// admin; Invalid with every violation of the learner as it would be; and AlreadyExists
// SUBJECT_TAKEN.
func (s *Service) Update(ctx context.Context, u Update) (Learner, error) {
	if !isID(u.LearnerID) {
		return Learner{}, NotFound(u.LearnerID)
	}
	now := s.micros()
	return s.learners.Update(ctx, u.LearnerID, func(l *Learner) (bool, error) {
		edited, err := u.apply(*l)
		if err != nil || reflect.DeepEqual(edited, normalized(*l)) {
			return false, err
		}
		edited.Version++
		if now.After(edited.UpdateTime) { // Replicas' clocks differ; this one only moves forward.
			edited.UpdateTime = now
		}
		if edited.TimeZone != l.TimeZone {
			edited.TimeZoneTime = edited.UpdateTime
		}
		*l = edited
		return true, nil
	})
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
	// A client that sends back what it read changes no subject.
	if !u.Admin && !slices.Equal(edited.Subjects, l.Subjects) {
		return Learner{}, errs.New(errs.PermissionDenied, errs.ReasonRoleRequired, "subjects: only an admin may change them")
	}
	edited = normalized(edited)
	edited.ID, edited.Version, edited.Revision = l.ID, l.Version, l.Revision
	edited.CreateTime, edited.UpdateTime, edited.TimeZoneTime = l.CreateTime, l.UpdateTime, l.TimeZoneTime
	return edited, validate(edited)
}
