package catalog

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// draftField stands for the whole of a draft in violations.
const draftField = "draft"

// Publish makes the draft the next version, from which on it never changes, and the
// item ACTIVE. The actor is the subject that does it. What the draft builds on is judged before
// the transaction, which only writes.
//
// Returns Invalid with every violation of publishing; NotFound;
// FailedPrecondition ETAG_MISMATCH, or ARCHIVED when the item must be restored first; Aborted
// DATABASE_BUSY when the catalog changes all the time.
func (c *Collection[C]) Publish(ctx context.Context, id string, p Publication, match Match, actor string) (Item[C], error) {
	now := c.service.micros()
	var judged, after Item[C]
	var hash string
	judge := func(ctx context.Context, from reading[C]) (err error) {
		if judged, err = from.item(ctx, id); err == nil {
			err = judged.mustMatch(match)
		}
		if err == nil {
			err = c.publishable(ctx, judged, p, from.nodes, now)
		}
		if err == nil {
			hash, err = contentHash(*judged.Draft)
		}
		return err
	}
	write := func(ctx context.Context, tx Tx) (err error) {
		item := judged
		item.Draft = nil
		after, err = c.publish(ctx, tx, item, edition[C]{*judged.Draft, p, now, actor, hash})
		return err
	}
	err := c.service.settled(ctx, settling{
		judge: func(ctx context.Context, _ int64) error {
			return judge(ctx, reading[C]{c.items.Get, c.service.index.Nodes})
		},
		write: func(ctx context.Context, tx Tx) error {
			if now, err := c.in(tx).Get(ctx, id); err != nil || now.Etag() != judged.Etag() {
				return cmp.Or(err, errMoved) // its draft is another
			}
			return write(ctx, tx)
		},
		atOnce: func(ctx context.Context, tx Tx) error {
			if err := judge(ctx, reading[C]{c.in(tx).Get, tx.Nodes}); err != nil {
				return err
			}
			return write(ctx, tx)
		},
	})
	return after, err
}

// reading reads what a publication depends on, in an edit or outside of one.
type reading[C Content[C]] struct {
	item  func(ctx context.Context, id string) (Item[C], error)
	nodes func(ctx context.Context) (map[string]Node, error)
}

// publishable returns why the item's draft cannot be published, or nil.
func (c *Collection[C]) publishable(
	ctx context.Context, item Item[C], p Publication, nodesOf func(context.Context) (map[string]Node, error), now time.Time,
) error {
	if item.State == StateArchived {
		return errs.New(errs.FailedPrecondition, errs.ReasonArchived, "%q is archived; restore it, then publish", item.ID)
	}
	nodes, err := nodesOf(ctx)
	if err != nil {
		return err
	}
	f, err := c.violations(item, p, nodes, now)
	if err != nil {
		return err
	}
	return f.err()
}

// violations returns the violations of publishing the item's draft.
func (c *Collection[C]) violations(item Item[C], p Publication, nodes map[string]Node, now time.Time) (faults, error) {
	var f faults
	if item.Draft == nil {
		f.addf(draftField, errs.ReasonNoChanges, "there is no draft to publish")
		return f, nil
	}
	content := *item.Draft
	if item.Version != nil {
		hash, err := contentHash(content)
		if err != nil {
			return faults{}, err
		}
		if hash == item.Version.ContentHash {
			f.addf(draftField, errs.ReasonNoChanges, "the draft says what version %d says", item.Latest())
		}
	}
	if c.kind == KindModule {
		f.add(p.check(item.Latest(), now))
		nodes = maps.Clone(nodes)
		nodes[item.ID] = Node{State: StateActive, Prerequisites: content.References()}
	}
	f.add(content.shape())
	f.add(content.check(item.ID, newGraph(nodes)))
	return f, nil
}

// edition is what becomes a version.
type edition[C Content[C]] struct {
	content     C
	publication Publication
	now         time.Time
	actor       string
	// hash is contentHash of the content.
	hash string
}

// publish makes the edition the item's next version, without checks.
func (c *Collection[C]) publish(ctx context.Context, tx Tx, item Item[C], e edition[C]) (Item[C], error) {
	version := c.version(item, e)
	item = item.touched(e.now)
	item.State, item.Version = StateActive, &version
	var err error
	item.Revision, err = tx.Announce(ctx, Change{
		Kind: c.kind, ID: item.ID, Action: ActionPublished, Version: version.Number, Time: version.PublishTime, Actor: e.actor,
	})
	if err != nil {
		return Item[C]{}, err
	}
	return item, c.in(tx).Publish(ctx, item)
}

func (c *Collection[C]) version(item Item[C], e edition[C]) Version[C] {
	p := e.publication
	v := Version[C]{Number: item.Latest() + 1, Content: e.content.Resolved(), ContentHash: e.hash, PublishTime: e.now}
	if item.Version != nil {
		// The clocks of replicas differ, and versions are looked up by time.
		if item.Version.PublishTime.After(e.now) {
			v.PublishTime = item.Version.PublishTime
		}
		v.ChangeClass, v.Retake = p.ChangeClass, p.Retake
	}
	v.EffectiveTime = v.PublishTime
	if !p.EffectiveTime.IsZero() {
		v.EffectiveTime = p.EffectiveTime.UTC().Truncate(time.Microsecond)
	}
	return v
}

// Preview is what publishing a draft would do.
type Preview struct {
	// Violations are those of publishing it; none: it can be published. Warnings are what will
	// surprise, and prevents nothing. Of many they are the first, and how many more there are.
	Violations, Warnings         []errs.Violation
	MoreViolations, MoreWarnings int
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
	warnings, err := s.moduleWarnings(ctx, item)
	if err != nil {
		return Preview{}, err
	}
	preview.Warnings, preview.MoreWarnings = warnings.Named, warnings.More
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
	warnings, err := s.pathWarnings(ctx, item)
	if err != nil {
		return Preview{}, err
	}
	preview.Warnings, preview.MoreWarnings = warnings.Named, warnings.More
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
		violations.addf("state", errs.ReasonArchived, "it is archived; restore it, then publish")
	}
	return item, Preview{Violations: violations.Named, MoreViolations: violations.More}, err
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
	gone := make(map[string]bool, len(others))
	for _, id := range others {
		gone[id] = true
	}
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return gone[id] })
}
