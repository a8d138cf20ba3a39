package profile

import (
	"context"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// Update is an edit of a learner.
type Update struct {
	LearnerID string
	// Changes holds the new values of the fields that Paths names; an empty one clears.
	Changes Learner
	// Paths are field names as profile.proto spells them: "weekly_goal.minutes".
	Paths []string
	// Preconditions are etags as an If-Match header holds them; each must name the learner
	// as it stands. None: unconditional.
	Preconditions []string
	// Admin says that the caller may set the subjects.
	Admin bool
}

// Update changes the fields that the paths name. Fields that only the service sets are
// ignored when they are sent back. A change to nothing new leaves the etag as it is.
//
// Returns NotFound LEARNER_NOT_FOUND; Invalid with every violation of the learner as it
// would be, or of the paths; FailedPrecondition ETAG_MISMATCH; PermissionDenied
// ROLE_REQUIRED when the subjects would change and the caller is no admin; and
// AlreadyExists SUBJECT_TAKEN.
func (s *Service) Update(ctx context.Context, u Update) (Learner, error) {
	if !isID(u.LearnerID) {
		return Learner{}, NotFound(u.LearnerID)
	}
	if err := u.checkPaths(); err != nil {
		return Learner{}, err
	}
	now := s.micros()
	return s.store.Update(ctx, u.LearnerID, func(l *Learner) (bool, error) {
		if err := checkPreconditions(u.Preconditions, l.Etag()); err != nil {
			return false, err
		}
		merged := *l
		// Who sends back what they read changes no subject.
		if slices.Contains(u.Paths, "subjects") && !u.Admin && !slices.Equal(u.Changes.Subjects, l.Subjects) {
			return false, errs.New(errs.PermissionDenied, ReasonRoleRequired, "subjects: only an admin may change them")
		}
		for _, path := range u.Paths {
			setField(&merged, u.Changes, path)
		}
		merged = normalized(merged)
		if err := validate(merged); err != nil {
			return false, err
		}
		if reflect.DeepEqual(merged, normalized(*l)) {
			return false, nil
		}
		merged.Version++
		if now.After(merged.UpdateTime) { // Replicas' clocks differ; this one only moves forward.
			merged.UpdateTime = now
		}
		*l = merged
		return true, nil
	})
}

func (u Update) checkPaths() error {
	var v violations
	for i, path := range u.Paths {
		if !setField(&Learner{}, Learner{}, path) && !outputOnly(path) {
			v.check("updateMask.paths["+strconv.Itoa(i)+"]", fault{reasonUnknown, strconv.Quote(path) + " is no field that can change"})
		}
	}
	return v.err()
}

// setField copies one field; false when no field that can change has the path.
func setField(to *Learner, from Learner, path string) bool {
	switch path {
	case "subjects":
		to.Subjects = from.Subjects
	case "display_name":
		to.DisplayName = from.DisplayName
	case "email":
		to.Email = from.Email
	case "locale":
		to.Locale = from.Locale
	case "time_zone":
		to.TimeZone = from.TimeZone
	case "background":
		to.Background = from.Background
	case "target_role":
		to.TargetRole = from.TargetRole
	case "weekly_goal":
		to.WeeklyGoal = from.WeeklyGoal
	case "weekly_goal.minutes":
		to.WeeklyGoal.Minutes = from.WeeklyGoal.Minutes
	case "weekly_goal.units":
		to.WeeklyGoal.Units = from.WeeklyGoal.Units
	default:
		return false
	}
	return true
}

func outputOnly(path string) bool {
	field, _, _ := strings.Cut(path, ".")
	switch field {
	case "id", "etag", "create_time", "update_time":
		return true
	}
	return false
}

func checkPreconditions(preconditions []string, etag string) error {
	for _, p := range preconditions {
		if !etagMatches(p, etag) {
			return errs.New(errs.FailedPrecondition, ReasonEtagMismatch,
				"the learner has changed since it was read; read it again, then edit that")
		}
	}
	return nil
}

// etagMatches reads a list as in If-Match, and a bare etag. A W/ counts for nothing:
// proxies that compress add it, and our etags name what was read, not its bytes.
func etagMatches(list, etag string) bool {
	for item := range strings.SplitSeq(list, ",") {
		item = strings.TrimPrefix(strings.TrimSpace(item), "W/")
		if item == "*" || strings.Trim(item, `"`) == etag {
			return true
		}
	}
	return false
}
