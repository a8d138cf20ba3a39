package progress

import (
	"context"
	"time"
)

// Survey counts over all learners at once, from one snapshot.
type Survey interface {
	// FactsGroups returns how many learners have facts of a module, by what their summaries say.
	FactsGroups(ctx context.Context, moduleID string) ([]FactsGroup, error)
	// FactsShapes returns how many learners of a group have facts of the same Shape, with the facts of one of them.
	FactsShapes(ctx context.Context, moduleID string, g FactsGroup) ([]FactsShape, error)
	// FactsOf returns the facts of at most limit learners of a group after one, in order of their ids.
	FactsOf(ctx context.Context, moduleID string, g FactsGroup, after string, limit int) ([]LearnerFacts, error)
	// Head is Store.Head in the snapshot.
	Head(ctx context.Context, learnerID string) (Head, error)
	// ModuleLog is Store.ModuleLog in the snapshot.
	ModuleLog(ctx context.Context, learnerID, moduleID string) ([]Record, error)
	// Enrollments returns how many enrollments in the paths are not withdrawn, by path and version;
	// versions without any are absent.
	Enrollments(ctx context.Context, pathIDs []string) ([]PinnedEnrollments, error)
	// NotBegun returns how many learners the question finds.
	NotBegun(ctx context.Context, q NotBegun) (int64, error)
	// AwardsHeld returns how many awards of a path's milestones are not revoked.
	AwardsHeld(ctx context.Context, pathID string, milestoneIDs []string) (int64, error)
}

// NotBegun asks for the learners with an enrollment, not withdrawn, in a path that names a module, who
// have begun neither the module nor have it by others, as far as stored facts say.
type NotBegun struct {
	ModuleID string
	// On are the path versions that name it, without counts.
	On []PinnedEnrollments
	// Groups are the groups of other modules that give it to whom has completed all of one.
	Groups [][]string
	// LearnerID asks for this learner alone, and not whether they have begun; "" for all.
	LearnerID string
}

// FactsGroup is the learners whose facts of a module say the same in short.
type FactsGroup struct {
	// Key, Materials, CompleteVersion and CycleState are as in their Summary.
	Key             string
	Materials       int
	CompleteVersion int
	CycleState      CycleState
	// Learners is how many they are.
	Learners int64
}

// LearnerFacts are one learner's facts of a module.
type LearnerFacts struct {
	LearnerID string
	Facts     *Facts
}

// FactsShape is the learners of a group whose facts have the same Shape, and one of them.
type FactsShape struct {
	LearnerFacts

	// Learners is how many they are.
	Learners int64
}

// PinnedEnrollments is how many enrollments, not withdrawn, are pinned to a version of a path.
type PinnedEnrollments struct {
	PathID      string
	PathVersion int
	Count       int64
}

// Freshness is what the summary of facts of a module says when they need neither be folded again
// nor be brought up to now: the module's foldKey, and how many of its MATERIAL versions are in effect. Where
// nothing has counted, those have no effect.
type Freshness struct {
	ModuleID  string
	Key       string
	Materials int
}

// Freshness is the module's at a time.
func (m *Module) Freshness(at time.Time) Freshness {
	key := m.foldKey()
	return Freshness{ModuleID: m.ID, Key: key, Materials: materialsBy(key, at.UnixMicro())}
}

// Has reports whether the group's facts are fresh.
func (f *Freshness) Has(g *FactsGroup) bool {
	return g.Key == f.Key && (g.Materials == f.Materials || g.CycleState == CycleNone)
}
