package catalog

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// draftField stands for the whole of a draft in violations.
const draftField = "draft"

// Publish makes the draft the next version, from which on it never changes, and the
// item ACTIVE. The actor is the subject that does it.
//
// Returns Invalid with every violation of publishing; NotFound;
// FailedPrecondition ETAG_MISMATCH, or ARCHIVED when the item must be restored first.
func (c *Collection[C]) Publish(ctx context.Context, id string, p Publication, match Match, actor string) (Item[C], error) {
	now := c.service.micros()
	var after Item[C]
	err := c.service.editor.Edit(ctx, func(ctx context.Context, tx Tx) error {
		before, err := c.get(ctx, tx, id, match)
		if err != nil {
			return err
		}
		if before.State == StateArchived {
			return errs.New(errs.FailedPrecondition, errs.ReasonArchived, "%q is archived; restore it, then publish", id)
		}
		nodes, err := tx.Nodes(ctx)
		if err != nil {
			return err
		}
		violations, err := c.violations(before, p, nodes, now)
		if err != nil {
			return err
		}
		if len(violations) > 0 {
			return errs.InvalidFields(violations)
		}
		content := *before.Draft
		before.Draft = nil
		after, err = c.publish(ctx, tx, before, edition[C]{content, p, now, actor})
		return err
	})
	return after, err
}

// violations returns the violations of publishing the item's draft.
func (c *Collection[C]) violations(item Item[C], p Publication, nodes map[string]Node, now time.Time) ([]errs.Violation, error) {
	var f faults
	if item.Draft == nil {
		f.addf(draftField, errs.ReasonNoChanges, "there is no draft to publish")
		return f, nil
	}
	content := *item.Draft
	if item.Version != nil {
		hash, err := contentHash(content)
		if err != nil {
			return nil, err
		}
		if hash == item.Version.ContentHash {
			f.addf(draftField, errs.ReasonNoChanges, "the draft says what version %d says", item.Latest())
		}
	}
	if c.kind == KindModule {
		f = append(f, p.check(item.Latest(), now)...)
		nodes = maps.Clone(nodes)
		nodes[item.ID] = Node{State: StateActive, Prerequisites: content.References()}
	}
	f = append(f, content.shape()...)
	return append(f, content.check(item.ID, newGraph(nodes))...), nil
}

// edition is what becomes a version.
type edition[C Content[C]] struct {
	content     C
	publication Publication
	now         time.Time
	actor       string
}

// publish makes the edition the item's next version, without checks.
func (c *Collection[C]) publish(ctx context.Context, tx Tx, item Item[C], e edition[C]) (Item[C], error) {
	version, err := c.version(item, e.content, e.publication, e.now)
	if err != nil {
		return Item[C]{}, err
	}
	item = item.touched(e.now)
	item.State, item.Version = StateActive, &version
	item.Revision, err = tx.Announce(ctx, Change{
		Kind: c.kind, ID: item.ID, Action: ActionPublished, Version: version.Number, Time: version.PublishTime, Actor: e.actor,
	})
	if err != nil {
		return Item[C]{}, err
	}
	return item, c.in(tx).Publish(ctx, item)
}

func (c *Collection[C]) version(item Item[C], content C, p Publication, now time.Time) (Version[C], error) {
	hash, err := contentHash(content)
	if err != nil {
		return Version[C]{}, err
	}
	v := Version[C]{Number: item.Latest() + 1, Content: content.Resolved(), ContentHash: hash, PublishTime: now}
	if item.Version != nil {
		// The clocks of replicas differ, and versions are looked up by time.
		if item.Version.PublishTime.After(now) {
			v.PublishTime = item.Version.PublishTime
		}
		v.ChangeClass, v.Retake = p.ChangeClass, p.Retake
	}
	v.EffectiveTime = v.PublishTime
	if !p.EffectiveTime.IsZero() {
		v.EffectiveTime = p.EffectiveTime.UTC().Truncate(time.Microsecond)
	}
	return v, nil
}

// Preview is what publishing a draft would do.
type Preview struct {
	// Violations are those of publishing it; none: it can be published.
	Violations []errs.Violation
	// Warnings are what will surprise, and prevents nothing.
	Warnings []errs.Violation
	// ChangedUnits differ from the newest version, or are new; RemovedUnits are gone.
	// Both are empty for a path.
	ChangedUnits, RemovedUnits []string
	// AddedModules and RemovedModules are what a path's draft and newest version name
	// and the other does not. Both are empty for a module.
	AddedModules, RemovedModules []string
	// Paths are the active paths that name the module.
	Paths []string
	// ModuleImpact is whom it would touch; nil when that could not be counted, and for a
	// path. PathImpact is the same of a path.
	ModuleImpact *ModuleImpact
	PathImpact   *PathImpact
}

// PreviewModule returns what publishing the module's draft would do, and writes nothing.
// Returns NotFound.
func (s *Service) PreviewModule(ctx context.Context, id string, p Publication) (Preview, error) {
	item, preview, err := preview(ctx, s.Modules, id, p)
	if err != nil {
		return Preview{}, err
	}
	var newest []Unit
	if item.Version != nil {
		newest = item.Version.Content.Units
	}
	preview.ChangedUnits, preview.RemovedUnits, err = changedUnits(newest, item.editable().Resolved().Units)
	if err != nil {
		return Preview{}, err
	}
	if preview.Paths, err = s.index.PathsNaming(ctx, id); err != nil {
		return Preview{}, err
	}
	if preview.Warnings, err = s.moduleWarnings(ctx, item); err != nil {
		return Preview{}, err
	}
	preview.ModuleImpact = s.moduleImpact(ctx, item, p)
	return preview, nil
}

// PreviewPath returns what publishing the path's draft would do, and writes nothing.
// Returns NotFound.
func (s *Service) PreviewPath(ctx context.Context, id string) (Preview, error) {
	item, preview, err := preview(ctx, s.Paths, id, Publication{})
	if err != nil {
		return Preview{}, err
	}
	var newest []string
	if item.Version != nil {
		newest = item.Version.Content.References()
	}
	draft := item.editable().References()
	preview.AddedModules, preview.RemovedModules = without(draft, newest), without(newest, draft)
	if preview.Warnings, err = s.pathWarnings(ctx, item); err != nil {
		return Preview{}, err
	}
	preview.PathImpact = s.pathImpact(ctx, item)
	return preview, nil
}

func preview[C Content[C]](ctx context.Context, c *Collection[C], id string, p Publication) (Item[C], Preview, error) {
	item, err := c.items.Get(ctx, id)
	if err != nil {
		return Item[C]{}, Preview{}, err
	}
	nodes, err := c.service.index.Nodes(ctx)
	if err != nil {
		return Item[C]{}, Preview{}, err
	}
	violations, err := c.violations(item, p, nodes, c.service.micros())
	if item.State == StateArchived {
		violations = append(violations, errs.Violation{
			Field: "state", Description: "it is archived; restore it, then publish", Reason: errs.ReasonArchived,
		})
	}
	return item, Preview{Violations: violations}, err
}

// changedUnits compares the units, resolved, of two contents by id: which of the second
// are new or differ in anything, and which of the first are gone; in their order.
func changedUnits(before, after []Unit) (changed, removed []string, err error) {
	old := make(map[string]Unit, len(before))
	for _, u := range before {
		old[u.ID] = u
	}
	stays := make(map[string]bool, len(after))
	for _, u := range after {
		stays[u.ID] = true
		if earlier, was := old[u.ID]; was {
			if equal, err := same(earlier, u); err != nil {
				return nil, nil, err
			} else if equal {
				continue
			}
		}
		changed = append(changed, u.ID)
	}
	for _, u := range before {
		if !stays[u.ID] {
			removed = append(removed, u.ID)
		}
	}
	return changed, removed, nil
}

// without is what of the first the second has not.
func without(ids, others []string) []string {
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return slices.Contains(others, id) })
}
