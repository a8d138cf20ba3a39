// Package profile knows the learners: who they are, what they bring, and where
// they are going. Personal data lives here and nowhere else; other services know
// learners by their ids.
package profile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/idem"
)

// Background is what a learner brings; "" is not said.
type Background string

// The backgrounds.
const (
	BackgroundAI       Background = "AI"
	BackgroundClinical Background = "CLINICAL"
	BackgroundResearch Background = "RESEARCH"
	BackgroundProduct  Background = "PRODUCT"
	BackgroundOther    Background = "OTHER"
)

// Subject is one identity: who issued it, and its name there. Both are compared
// byte by byte.
type Subject struct {
	Issuer, Subject string
}

// WeeklyGoal is how much a learner means to learn each week; zeros are no goal.
type WeeklyGoal struct {
	Minutes, Units int32
}

// Learner is a person who learns. Empty fields were never said.
type Learner struct {
	// ID is a UUIDv7, so that ids sort in the order learners were made.
	ID string
	// Subjects are the identities that sign in as this learner, in the order given.
	Subjects    []Subject
	DisplayName string
	Email       string
	// Locale is a BCP 47 tag.
	Locale string
	// TimeZone is an IANA name.
	TimeZone string
	// TimeZoneTime is when the time zone was set, UTC, in microseconds: by an edit, or when the
	// learner was made. The learner's days before it are of the zone before.
	TimeZoneTime time.Time
	Background   Background
	// TargetRole is a slug: "clinical-ai-engineer".
	TargetRole string
	WeeklyGoal WeeklyGoal
	// State and Attributes are set by admins alone. No attribute is "": that is as not having it.
	State      State
	Attributes map[string]string
	// Version is 1 when made and rises by one with each change.
	Version int64
	// CreateTime and UpdateTime are UTC, in microseconds.
	CreateTime, UpdateTime time.Time
	// Revision is the newest one in the feed of what changed of the learner, or of their memberships. The store
	// gives it, whatever a caller sets.
	Revision int64
}

// Etag names this state of the learner. The update time is part of it, so that a
// version number used anew after a restore from a backup is another etag.
func (l Learner) Etag() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%d/%d", l.ID, l.Version, l.UpdateTime.UnixMicro()))
	return hex.EncodeToString(sum[:8])
}

// Resolved is what an identity resolves to.
type Resolved struct {
	LearnerID string
	// TimeZone is an IANA name; "" is UTC.
	TimeZone string
	// TimeZoneTime is when the time zone was set.
	TimeZoneTime time.Time
}

// Change is something that happened, in the feed. One of Learner, Cohort and Membership is set.
type Change struct {
	Revision   int64
	Time       time.Time
	Learner    *LearnerChange
	Cohort     *CohortChange
	Membership *MembershipChange
}

// LearnerChange is all that other services depend on of a learner, as it was after a change.
type LearnerChange struct {
	ID string
	// TimeZone is an IANA name; "" is UTC.
	TimeZone string
	// TimeZoneTime is when the time zone was set.
	TimeZoneTime time.Time
	State        State
	// HireDate is a date, "2026-03-01"; "" where it is not known.
	HireDate string
}

// CohortChange is all that other services depend on of a cohort, as it was after a change.
type CohortChange struct {
	ID, Title  string
	ManagerIDs []string
	Deleted    bool
}

// MembershipChange is a learner's membership in a cohort, as it was after a change.
type MembershipChange struct {
	CohortID, LearnerID string
	Member              bool
	// JoinTime is since when periods after joining count.
	JoinTime time.Time
}

// change is what other services depend on.
func (l Learner) change() *LearnerChange {
	return &LearnerChange{ID: l.ID, TimeZone: l.TimeZone, TimeZoneTime: l.TimeZoneTime, State: l.State, HireDate: l.Attributes[HireDate]}
}

// Path is what profile needs to know of a learning path.
type Path struct {
	ID, Title string
	// Roles are the target roles that it leads to, as slugs.
	Roles []string
	// Backgrounds are those that it is the way in for; mostly none.
	Backgrounds []Background
}

// Catalog knows the learning paths.
type Catalog interface {
	// ActivePaths returns the paths that are open to newcomers, in the catalog's order.
	// Returns Unavailable when the catalog is.
	ActivePaths(ctx context.Context) ([]Path, error)
}

// Rules compiles the rules of cohorts. It is safe for concurrent use.
type Rules interface {
	// Compile returns a rule. Returns Invalid with a violation on the field rule for each fault, with its place.
	Compile(text string) (Rule, error)

	// Set returns the rules of the source, compiled: those that it returned before, unless they are to be fresh.
	Set(ctx context.Context, source RuleSource, fresh bool) (RuleSet, error)
}

// RuleSource has the texts of rules.
type RuleSource interface {
	// Rules returns the rules of all cohorts, as one commit left them.
	Rules(ctx context.Context) (RuleSet, error)
}

// Options are what a Service needs beside its store and catalog.
type Options struct {
	// Now is the clock.
	Now func() time.Time
	// Rules compiles the rules of cohorts.
	Rules Rules
	// Created, unless nil, is called with the id of each learner made at a first sign-in.
	Created func(ctx context.Context, learnerID string)
	// RuleChanged, unless nil, is called when a cohort is to be evaluated.
	RuleChanged func()
}

// Service does what the profile service offers. It is safe for concurrent use.
type Service struct {
	learners    Learners
	directory   Directory
	changes     Changes
	cohorts     Cohorts
	editor      Editor
	catalog     Catalog
	rules       Rules
	now         func() time.Time
	created     func(ctx context.Context, learnerID string)
	ruleChanged func()
	creates     idem.Guard
}

// New makes a Service on a store and a catalog.
func New(store Store, catalog Catalog, opts Options) *Service {
	if opts.Created == nil {
		opts.Created = func(context.Context, string) {}
	}
	if opts.RuleChanged == nil {
		opts.RuleChanged = func() {}
	}
	return &Service{
		learners: store, directory: store, changes: store, cohorts: store, editor: store, catalog: catalog,
		rules: opts.Rules, now: opts.Now, created: opts.Created, ruleChanged: opts.RuleChanged,
	}
}

// Learner returns a learner.
// Returns NotFound LEARNER_NOT_FOUND when no learner has the id.
func (s *Service) Learner(ctx context.Context, id string) (Learner, error) {
	if !isID(id) {
		return Learner{}, NotFound(id)
	}
	return s.learners.Learner(ctx, id)
}

// NotFound is the error for an id that no learner has.
func NotFound(id string) error {
	return errs.New(errs.NotFound, errs.ReasonLearnerNotFound, "there is no learner %q", id)
}

// SubjectUnknown is the error for an identity that belongs to no learner.
func SubjectUnknown() error {
	return errs.New(errs.NotFound, errs.ReasonSubjectUnknown, "the subject belongs to no learner")
}

// SubjectsTaken is the error for a learner's subjects, by their positions, that belong
// to another learner.
func SubjectsTaken(positions []int) error {
	err := errs.New(errs.AlreadyExists, errs.ReasonSubjectTaken, "a subject belongs to another learner already")
	for _, i := range positions {
		err.Violations = append(err.Violations, errs.Violation{
			Field:       fmt.Sprintf("subjects[%d]", i),
			Description: "belongs to another learner already",
			Reason:      errs.ReasonSubjectTaken,
		})
	}
	return err
}

// isID reports whether a text can be an id: the store need not be asked about others.
func isID(id string) bool {
	parsed, err := uuid.Parse(id)
	return err == nil && parsed.String() == id
}

// made returns the learner with what the service itself sets of a new one.
func (s *Service) made(l Learner) (Learner, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Learner{}, errs.Wrap(err, errs.Internal, errs.ReasonRandom, "no id could be made")
	}
	l.ID, l.Version, l.State = id.String(), 1, StateActive
	l.CreateTime = s.micros()
	l.UpdateTime, l.TimeZoneTime = l.CreateTime, l.CreateTime
	return l, nil
}

// micros is now as a store has it.
func (s *Service) micros() time.Time { return s.now().UTC().Truncate(time.Microsecond) }
