package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/idem"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// Enrolling is an enrollment to be made.
type Enrolling struct {
	LearnerID string
	PathID    string
	Actor     progress.Actor
	// Seen is what the caller has seen of other services.
	Seen AtLeast
	// Key is the caller's Idempotency-Key; zero for none.
	Key idem.Key
}

// Enrolled is an enrollment that was made.
type Enrolled struct {
	progress.Enrollment

	// Replayed reports whether it was made by an earlier request with the same key.
	Replayed bool
}

// Enroll enrolls a learner in the newest version of a path, and returns the enrollment. A repeated key
// gets the enrollment again as it was when it was made, whatever has become of it or the path.
// It returns NotFound for an unknown learner or path, FailedPrecondition for an archived one, and
// AlreadyExists when an enrollment that is not withdrawn exists.
func (s *Service) Enroll(ctx context.Context, r Enrolling) (Enrolled, error) {
	var none Enrolled
	leave, err := s.creating.Enter(r.Key)
	if err != nil {
		return none, err
	}
	defer leave()
	if err := s.exists(ctx, r.LearnerID); err != nil {
		return none, err
	}
	p, pathErr := s.newestPath(ctx, r.PathID, r.Seen)
	if pathErr != nil && r.Key.IsZero() {
		return none, pathErr
	}
	id, err := uuid.NewV7()
	if err != nil {
		return none, errs.Wrap(err, errs.Internal, errs.ReasonInternal, "no random numbers")
	}
	e, err := do(ctx, s.committer, r.LearnerID, func(ctx context.Context, b *batch) (Enrolled, error) {
		e, found, err := b.enrolledBefore(ctx, r)
		if err != nil || found || pathErr != nil {
			return Enrolled{e, found && e.ID != id.String()}, err // found by itself, when it runs again
		}
		e, err = b.enroll(ctx, r, id.String(), p)
		return Enrolled{Enrollment: e}, err
	})
	if err == nil && e.ID == "" { // nothing was made with this key before
		err = pathErr
	}
	return e, err
}

// enrolledBefore returns the enrollment that the key was stored with.
func (b *batch) enrolledBefore(ctx context.Context, r Enrolling) (e progress.Enrollment, found bool, err error) {
	stored, found, err := b.from.FindIdempotent(ctx, r.Key, b.now)
	if err != nil || !found {
		return e, false, err
	}
	if err := json.Unmarshal(stored, &e); err != nil {
		return e, false, errs.Wrap(err, errs.Internal, errs.ReasonInternal, "a stored enrollment cannot be read")
	}
	e.LearnerID = r.LearnerID
	return e, true, nil
}

// enroll makes the enrollment, and stores it with the key.
func (b *batch) enroll(ctx context.Context, r Enrolling, id string, p *progress.Path) (progress.Enrollment, error) {
	e, written, err := b.newEnrollment(ctx, r.LearnerID, id, p)
	if err != nil || written {
		return e, err
	}
	body, err := json.Marshal(e)
	if err != nil {
		return e, errs.Wrap(err, errs.Internal, errs.ReasonInternal, "an enrollment cannot be encoded")
	}
	if !r.Key.IsZero() {
		b.answers = append(b.answers, progress.KeyedAnswer{Key: r.Key, Body: body, Time: b.now})
	}
	return e, b.changeEnrollment(ctx, progress.RecordEnrolled, r.Actor, e)
}

// maxEnrollments bounds what every read and write of a learner looks at.
const maxEnrollments = 1000

// newEnrollment returns the enrollment to make. written reports whether this very one was stored
// already, by a commit whose outcome was unknown.
func (b *batch) newEnrollment(ctx context.Context, learnerID, id string, p *progress.Path) (e progress.Enrollment, written bool, err error) {
	if p.State == progress.ModuleArchived {
		return e, false, errs.New(errs.FailedPrecondition, errs.ReasonPathArchived, "path %s is archived and takes no new enrollments", p.ID)
	}
	l, err := b.learner(ctx, learnerID)
	if err != nil {
		return e, false, err
	}
	for _, had := range l.Enrollments {
		if had.ID == id {
			return had, true, nil
		}
		if had.PathID == p.ID && had.State != progress.EnrollmentWithdrawn {
			return e, false, errs.New(errs.AlreadyExists, errs.ReasonAlreadyEnrolled, "already enrolled in path %s by enrollment %s", p.ID, had.ID)
		}
	}
	if len(l.Enrollments) >= maxEnrollments {
		return e, false, errs.New(errs.FailedPrecondition, errs.ReasonTooManyEnrollments,
			"a learner can have at most %d enrollments that are not withdrawn", maxEnrollments)
	}
	e = progress.Enrollment{
		ID: id, LearnerID: learnerID, PathID: p.ID, PathVersion: p.Newest().Number, State: progress.EnrollmentActive, EnrollTime: b.now, UpdateTime: b.now,
	}
	return e, false, nil
}

// newestPath returns a path from a catalog that is fresh enough to pin its newest version.
func (s *Service) newestPath(ctx context.Context, pathID string, seen AtLeast) (*progress.Path, error) {
	fresh := s.catalog.Refresh(ctx)
	c := s.catchUp(ctx, seen)
	if p := c.Paths[pathID]; p != nil {
		return p, nil
	}
	if fresh != nil {
		return nil, errs.Wrap(
			fresh,
			errs.Unavailable,
			errs.ReasonUpstreamUnavailable,
			"path %s is not known here, and the catalog cannot be reached to look it up",
			pathID,
		)
	}
	return nil, errs.New(errs.NotFound, errs.ReasonPathNotFound, "there is no path %s", pathID)
}

// changeEnrollment stores an enrollment with its log entry, and judges the awards that it gives.
func (b *batch) changeEnrollment(ctx context.Context, kind progress.RecordType, actor progress.Actor, e progress.Enrollment) error {
	if _, err := b.learner(ctx, e.LearnerID); err != nil {
		return err
	}
	b.logEnrollment(kind, actor.ID, "", e)
	sequence := b.heads[e.LearnerID].Sequence
	_, err := b.judgeAwards(ctx, e.LearnerID, sequence, sequence)
	return err
}

// EnrollmentChange is what PATCH may change of an enrollment; nil leaves it.
type EnrollmentChange struct {
	// Match reports whether the enrollment that has the etag may be changed; nil: any.
	Match func(etag string) bool
	State *progress.EnrollmentState
	// PathID, where it is not "", must be the enrollment's own.
	PathID string
	// PathVersion accepts an upgrade to a newer version.
	PathVersion *int
}

// UpdateEnrollment pauses, resumes, withdraws or upgrades. It returns NotFound, Invalid for
// states that cannot be set, and FailedPrecondition for a withdrawn enrollment, an older version
// or an etag that is not the enrollment's.
func (s *Service) UpdateEnrollment(
	ctx context.Context, learnerID, enrollmentID string, actor progress.Actor, change EnrollmentChange,
) (progress.Enrollment, error) {
	if change.PathVersion != nil && s.catalog.Refresh(ctx) != nil {
		s.log.WarnContext(ctx, "accepting an upgrade on the catalog as last known")
	}
	if err := s.exists(ctx, learnerID); err != nil {
		return progress.Enrollment{}, err
	}
	return do(ctx, s.committer, learnerID, func(ctx context.Context, b *batch) (progress.Enrollment, error) {
		l, err := b.learner(ctx, learnerID)
		if err != nil {
			return progress.Enrollment{}, err
		}
		e, err := b.enrollment(ctx, l, enrollmentID)
		if err != nil {
			return e, err
		}
		// A mandate that is too young to be stored is what the caller has seen.
		shown := b.view(ctx, l).Shown(e)
		if change.Match != nil && !change.Match(shown.ETag()) {
			return e, errs.New(errs.FailedPrecondition, errs.ReasonEtagMismatch, "the enrollment has changed since it was read; read it again")
		}
		left, err := change.from(shown)
		if err != nil {
			return e, err
		}
		if err := b.updateEnrollment(ctx, actor, left, &e, &shown); err != nil {
			return e, err
		}
		return b.view(ctx, l).Shown(e), nil
	})
}

// enrollment returns one of the learner's enrollments, a withdrawn one too.
func (b *batch) enrollment(ctx context.Context, l *progress.Learner, id string) (progress.Enrollment, error) {
	for _, e := range l.Enrollments {
		if e.ID == id {
			return e, nil
		}
	}
	return b.from.Enrollment(ctx, l.Head.LearnerID, id)
}

// EnrollmentRows returns at most limit of a learner's enrollments after a place, oldest first, as they
// are stored.
func (s *Service) EnrollmentRows(ctx context.Context, learnerID string, after progress.EnrollmentPlace, limit int) ([]progress.Enrollment, error) {
	return s.store.Enrollments(ctx, learnerID, after, limit)
}

// EnrollmentRow returns one of a learner's enrollments as it is stored. It returns NotFound where there
// is none.
func (s *Service) EnrollmentRow(ctx context.Context, learnerID, enrollmentID string) (progress.Enrollment, error) {
	return s.store.Enrollment(ctx, learnerID, enrollmentID)
}

// from returns the change without what is so already: a client may send back what it read. It
// returns Invalid for another path, and for states that cannot be set.
func (c EnrollmentChange) from(e progress.Enrollment) (EnrollmentChange, error) {
	var bad []errs.Violation
	if c.PathID != "" && c.PathID != e.PathID {
		bad = append(bad, errs.Violation{Field: "pathId", Reason: errs.ReasonNotSettable, Description: "cannot be changed: enroll in the other path"})
	}
	switch {
	case c.State == nil:
	case *c.State == e.State:
		c.State = nil
	case *c.State != progress.EnrollmentActive && *c.State != progress.EnrollmentPaused && *c.State != progress.EnrollmentWithdrawn:
		bad = append(bad, errs.Violation{
			Field: "state", Reason: errs.ReasonStateNotSettable,
			Description: "must be ACTIVE, PAUSED or WITHDRAWN; COMPLETED and NOT_APPLICABLE are derived from progress",
		})
	}
	if c.PathVersion != nil && *c.PathVersion == e.PathVersion {
		c.PathVersion = nil
	}
	if len(bad) > 0 {
		return c, errs.InvalidFields(bad)
	}
	return c, nil
}

// updateEnrollment changes an enrollment, which the caller was shown as another perhaps.
func (b *batch) updateEnrollment(ctx context.Context, actor progress.Actor, change EnrollmentChange, e, shown *progress.Enrollment) error {
	if e.State == progress.EnrollmentWithdrawn && (change.PathVersion != nil || (change.State != nil && *change.State != progress.EnrollmentWithdrawn)) {
		return errs.New(errs.FailedPrecondition, errs.ReasonWithdrawn, "enrollment %s is withdrawn; enroll again", e.ID)
	}
	kind, was := progress.RecordEnrollmentChanged, *e
	if change.PathVersion != nil {
		if err := b.checkUpgrade(shown, *change.PathVersion); err != nil {
			return err
		}
		kind, e.PathVersion = progress.RecordUpgraded, *change.PathVersion
	}
	if change.State != nil {
		e.State = *change.State
	}
	if e.State == was.State && e.PathVersion == was.PathVersion {
		return nil
	}
	before, err := b.percents(ctx, e.LearnerID)
	if err != nil {
		return err
	}
	// Each change has a time of its own, by which the etag differs.
	if e.UpdateTime = b.now; !b.now.After(was.UpdateTime) {
		e.UpdateTime = was.UpdateTime.Add(time.Microsecond)
	}
	if err := b.changeEnrollment(ctx, kind, actor, *e); err != nil {
		return err
	}
	if kind != progress.RecordUpgraded {
		return nil
	}
	if err := b.noteFall(ctx, e.LearnerID, before, progress.PercentChange{Code: progress.ChangeUpgraded, PathVersion: e.PathVersion}); err != nil {
		return err
	}
	if noted, ok := b.enrollments[e.ID]; ok {
		*e = noted
	}
	return nil
}

// checkUpgrade lets an enrollment move to a newer published version only.
func (b *batch) checkUpgrade(e *progress.Enrollment, to int) error {
	p := b.catalog.Paths[e.PathID]
	switch {
	case to < e.PathVersion:
		return errs.New(errs.FailedPrecondition, errs.ReasonUpgradeToOlder, "enrollment %s is on version %d already", e.ID, e.PathVersion)
	case p == nil || p.Version(to) == nil:
		return errs.InvalidFields([]errs.Violation{{
			Field: "pathVersion", Reason: errs.ReasonUnknownVersion,
			Description: fmt.Sprintf("path %s has no version %d", e.PathID, to),
		}})
	}
	return nil
}
