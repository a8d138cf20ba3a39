// Package catalog holds what there is to learn: modules and learning paths, from
// an author's draft to immutable published versions. Every change that readers
// can see takes the next number of one gapless line of revisions, by which other
// services follow the catalog.
package catalog

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/idem"
)

// Kind is whether an item is a module or a path.
type Kind string

// The kinds.
const (
	KindModule Kind = "MODULE"
	KindPath   Kind = "PATH"
)

// State is the state of a module or path.
type State string

// The states, in the order in which they are reached.
const (
	StateDraft    State = "DRAFT"
	StateActive   State = "ACTIVE"
	StateArchived State = "ARCHIVED"
)

// ChangeClass is what publishing a version means for people who have begun or finished.
type ChangeClass string

// The change classes; "" is a first version, or a path's.
const (
	ClassEditorial ChangeClass = "EDITORIAL"
	ClassMinor     ChangeClass = "MINOR"
	ClassMaterial  ChangeClass = "MATERIAL"
)

// Retake is what must be learned again for a MATERIAL version.
type Retake string

// The retakes; "" is any version that is not MATERIAL.
const (
	RetakeChangedUnits Retake = "CHANGED_UNITS"
	RetakeAllUnits     Retake = "ALL_UNITS"
)

// ArchivePeriod is one stay in the archive; zero times are open ends.
type ArchivePeriod struct {
	ArchiveTime time.Time `json:"archiveTime"`
	SunsetTime  time.Time `json:"sunsetTime,omitzero"`
	RestoreTime time.Time `json:"restoreTime,omitzero"`
}

// Version is published content. Whether it is mandatory may still be decided; nothing
// else of it ever changes.
type Version[C Content[C]] struct {
	// Number is 1, 2, 3, … without gaps.
	Number int
	// Content has its defaults spelled out.
	Content C
	// ContentHash is the SHA-256, in hex, of the content as RFC 8785 JSON.
	ContentHash string
	ChangeClass ChangeClass
	Retake      Retake
	// PublishTime never falls from one version to the next.
	PublishTime, EffectiveTime time.Time
	// MandateTime is from when an upgrade to it is mandatory; zero: it is not. Only a path
	// has upgrades.
	MandateTime time.Time
}

// Item is a module or a path, by the type of its content.
type Item[C Content[C]] struct {
	ID    string
	State State
	// Version is the newest one; nil before the first publication.
	Version *Version[C]
	// Draft is the content being edited, as it was written; nil for none.
	Draft *C
	// Archives are all stays in the archive, oldest first.
	Archives []ArchivePeriod
	// Edits is 1 when made and rises by one with each change of any kind.
	Edits      int64
	UpdateTime time.Time
	// Revision is the catalog's, of the last change that readers could see.
	Revision int64
}

// Module is a thing to learn.
type Module = Item[ModuleContent]

// Path is a way through modules to a role.
type Path = Item[PathContent]

// Latest is the newest version's number; 0 before the first publication.
func (i Item[C]) Latest() int {
	if i.Version == nil {
		return 0
	}
	return i.Version.Number
}

// Etag names this state of the item. The update time is part of it, so that an
// edit counted anew after a restore from a backup is another etag.
func (i Item[C]) Etag() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%d/%d", i.ID, i.Edits, i.UpdateTime.UnixMicro()))
	return hex.EncodeToString(sum[:8])
}

// Archive is the present stay in the archive; ok is false when it is not there.
func (i Item[C]) Archive() (stay ArchivePeriod, ok bool) {
	if i.State != StateArchived || len(i.Archives) == 0 {
		return ArchivePeriod{}, false
	}
	return i.Archives[len(i.Archives)-1], true
}

// touched is the item as one more edit leaves it. The time only moves forward,
// though the clocks of replicas differ.
func (i Item[C]) touched(now time.Time) Item[C] {
	i.Edits++
	if now.After(i.UpdateTime) {
		i.UpdateTime = now
	}
	return i
}

// Topic is a topic with the number of its active modules.
type Topic struct {
	ID      string
	Modules int
}

// Action is what was done to a module or path.
type Action string

// The actions that readers can see.
const (
	ActionPublished Action = "PUBLISHED"
	ActionArchived  Action = "ARCHIVED"
	ActionRestored  Action = "RESTORED"
	ActionMandated  Action = "MANDATED"
	// ActionMandateWithdrawn makes a MANDATED one count as never made.
	ActionMandateWithdrawn Action = "MANDATE_WITHDRAWN"
)

// Change is one thing that readers of the catalog can see happen.
type Change struct {
	Revision int64
	Kind     Kind
	ID       string
	Action   Action
	// Version is the newest one's number then; with MANDATED and MANDATE_WITHDRAWN, that of
	// the version that was mandated.
	Version int
	Time    time.Time
	// Actor is the subject that did it.
	Actor string
}

// Options are what a Service needs beside its store and documents.
type Options struct {
	// Now is the clock.
	Now func() time.Time
	// Impact counts for previews; they go without when nil.
	Impact Impact
}

// Service does what the catalog offers. It is safe for concurrent use.
type Service struct {
	// Modules and Paths hold what the two have in common.
	Modules *Collection[ModuleContent]
	Paths   *Collection[PathContent]

	index     Index
	feed      Feed
	editor    Editor
	documents Documents
	impact    Impact
	now       func() time.Time
}

// Collection does what is done alike to modules and to paths.
type Collection[C Content[C]] struct {
	service *Service
	kind    Kind
	items   Items[C]
	in      func(Tx) ItemsTx[C]
	creates idem.Guard
}

// New makes a Service on a store; documents reads and writes the catalog as code.
func New(store Store, documents Documents, opts Options) *Service {
	s := &Service{index: store, feed: store, editor: store, documents: documents, impact: opts.Impact, now: opts.Now}
	s.Modules = &Collection[ModuleContent]{service: s, kind: KindModule, items: store.Modules(), in: Tx.Modules}
	s.Paths = &Collection[PathContent]{service: s, kind: KindPath, items: store.Paths(), in: Tx.Paths}
	return s
}

// State names the state that the catalog is in: what is read depends on it, on what is asked for, and on whether
// the caller is an editor, and on nothing else.
func (s *Service) State(ctx context.Context) (string, error) { return s.feed.State(ctx) }

// micros is now as a store has it.
func (s *Service) micros() time.Time { return s.now().UTC().Truncate(time.Microsecond) }

// NotFound is the error for an id that no module or path has.
func NotFound(kind Kind, id string) error {
	if kind == KindPath {
		return errs.New(errs.NotFound, errs.ReasonPathNotFound, "there is no path %q", id)
	}
	return errs.New(errs.NotFound, errs.ReasonModuleNotFound, "there is no module %q", id)
}

// VersionNotFound is the error for a version that was never published.
func VersionNotFound(id string, number int) error {
	return errs.New(errs.NotFound, errs.ReasonVersionNotFound, "%q has no version %d", id, number)
}

// Exists is the error for a new id that is taken.
func Exists(kind Kind, id string) error {
	if kind == KindPath {
		return errs.New(errs.AlreadyExists, errs.ReasonPathExists, "there is a path %q already", id)
	}
	return errs.New(errs.AlreadyExists, errs.ReasonModuleExists, "there is a module %q already", id)
}
