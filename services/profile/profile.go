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
	"github.com/preceptor-dev/preceptor/internal/page"
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
	// Version is 1 when made and rises by one with each change.
	Version int64
	// CreateTime and UpdateTime are UTC, in microseconds.
	CreateTime, UpdateTime time.Time
	// Revision is the learner's newest place in the feed of changes. The store
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

// Change is a learner in the feed: all that other services depend on.
type Change struct {
	// Revision is the learner's newest place in the feed.
	Revision  int64
	LearnerID string
	// TimeZone is an IANA name; "" is UTC.
	TimeZone string
	// TimeZoneTime is when the time zone was set.
	TimeZoneTime time.Time
}

// Store is all that a Service needs of its storage. Times are stored to the microsecond;
// texts as given.
type Store interface {
	Learners
	Directory
	Changes
}

// Learners reads and writes learners one by one.
type Learners interface {
	// BySubject returns the learner that the identity belongs to, by one indexed read.
	// Returns NotFound SUBJECT_UNKNOWN when it belongs to no learner.
	BySubject(ctx context.Context, subject Subject) (Resolved, error)

	// Learner returns the learner with its subjects, as one commit left them.
	// Returns NotFound LEARNER_NOT_FOUND when no learner has the id.
	Learner(ctx context.Context, id string) (Learner, error)

	// Create stores a learner with its subjects and, when key is not zero, the response
	// under the key: all of it or nothing. When the key was used for the same request within
	// idem.TTL before now, it stores nothing and returns the response of then; else it
	// returns response itself. A learner who is stored takes the feed's next revision, which is
	// returned too; else 0. Returns AlreadyExists SUBJECT_TAKEN, with a
	// violation for each subject that belongs to another learner; and the errors of sqldb
	// for keys that are reused or in flight.
	Create(ctx context.Context, learner Learner, key idem.Key, response []byte, now time.Time) (stored []byte, revision int64, err error)

	// Update lets edit change the learner as it is, and stores it with its subjects when
	// edit reports that it changed; no other update comes between. A learner whose time zone
	// changed takes the feed's next revision. It returns the learner as edit left it, with
	// its revision, and edit's error as it came, storing nothing. Edit may run more than
	// once. Returns NotFound LEARNER_NOT_FOUND when no learner has the id, and AlreadyExists
	// SUBJECT_TAKEN as Create does.
	Update(ctx context.Context, id string, edit func(*Learner) (changed bool, err error)) (Learner, error)
}

// Directory searches learners.
type Directory interface {
	// List returns at most limit learners whose display name or email hold each of the words,
	// which are folded, in the order of the ListOrders, that come after the place in it. Texts
	// are in byte order, names by their NameKey. Equals are by id, in the same direction.
	List(ctx context.Context, words []string, order page.Order, after Place, limit int) ([]Learner, error)

	// Count returns how many learners List would find without limit.
	Count(ctx context.Context, words []string) (int, error)
}

// Changes reads the feed of changes.
type Changes interface {
	// Changes returns at most limit learners whose revisions come after the given one, by
	// revision, as they are now, and the newest revision of all, 0 when there is none; both
	// as one commit left them. Revisions are 1, 2, 3, … in the order of commits, so that a
	// reader of all up to the newest one has missed nothing.
	Changes(ctx context.Context, after int64, limit int) (changes []Change, newest int64, err error)
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

// Options are what a Service needs beside its store and catalog.
type Options struct {
	// Now is the clock.
	Now func() time.Time
	// Created, unless nil, is called with the id of each learner made at a first sign-in.
	Created func(ctx context.Context, learnerID string)
}

// Service does what the profile service offers. It is safe for concurrent use.
type Service struct {
	learners  Learners
	directory Directory
	changes   Changes
	catalog   Catalog
	now       func() time.Time
	created   func(ctx context.Context, learnerID string)
	creates   idem.Guard
}

// New makes a Service on a store and a catalog.
func New(store Store, catalog Catalog, opts Options) *Service {
	if opts.Created == nil {
		opts.Created = func(context.Context, string) {}
	}
	return &Service{learners: store, directory: store, changes: store, catalog: catalog, now: opts.Now, created: opts.Created}
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
	l.ID, l.Version = id.String(), 1
	l.CreateTime = s.micros()
	l.UpdateTime, l.TimeZoneTime = l.CreateTime, l.CreateTime
	return l, nil
}

// micros is now as a store has it.
func (s *Service) micros() time.Time { return s.now().UTC().Truncate(time.Microsecond) }
