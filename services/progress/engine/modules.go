package engine

import (
	"context"
	"encoding/json"
	"reflect"
	"slices"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// ModuleQuery asks for a page of a learner's modules.
type ModuleQuery struct {
	LearnerID string
	// PathID is the path whose modules are meant; "": all that the learner has events of.
	PathID string
	// ChangedAfter leaves out the modules whose progress no log entry after it has changed; 0: none.
	ChangedAfter int64
	// After is the last module of the page before; Size is how many a page has at most.
	After string
	Size  int
}

// Modules returns a page of how far a learner is in their modules, by id, and whether more follow. The view
// is of the learner.
func (s *Service) Modules(ctx context.Context, w *progress.View, q ModuleQuery) (page []*progress.ModuleStatus, more bool, err error) {
	ids, err := w.ModuleIDs(q.PathID)
	if err != nil {
		return nil, false, err
	}
	ids = slices.DeleteFunc(ids, func(id string) bool { return id <= q.After })
	if q.ChangedAfter > 0 {
		if ids, err = s.changed(ctx, w, q, ids); err != nil {
			return nil, false, err
		}
	}
	more = len(ids) > q.Size
	for _, id := range ids[:min(len(ids), q.Size)] {
		status, err := w.Status(id)
		if err != nil {
			return nil, false, err
		}
		page = append(page, status)
	}
	return page, more, nil
}

// changed returns those of the modules whose progress, compared with what it would be without them, log
// entries after the query's sequence have changed; no more than show whether there is a next page.
func (s *Service) changed(ctx context.Context, w *progress.View, q ModuleQuery, ids []string) ([]string, error) {
	touched, err := s.store.ModulesAfter(ctx, q.LearnerID, q.ChangedAfter)
	if err != nil {
		return nil, err
	}
	if ids = w.Affected(ids, touched); len(ids) == 0 {
		return nil, nil
	}
	read := slices.Concat(ids, touched)
	slices.Sort(read)
	if err := s.readAhead(ctx, w, q.LearnerID, slices.Compact(read)); err != nil {
		return nil, err
	}
	before, err := w.Before(q.ChangedAfter, touched)
	if err != nil {
		return nil, err
	}
	defer w.Until(before)
	var out []string
	for _, id := range ids {
		is, err := w.Module(id)
		if err != nil {
			return nil, err
		}
		was, err := before.Module(id)
		if err != nil {
			return nil, err
		}
		if !reflect.DeepEqual(is, was) {
			out = append(out, id)
		}
		if len(out) > q.Size {
			break
		}
	}
	return out, nil
}

// readAhead reads in one query the logs that the view will ask for.
func (s *Service) readAhead(ctx context.Context, w *progress.View, learnerID string, moduleIDs []string) error {
	logs, err := s.store.ModuleLogs(ctx, learnerID, moduleIDs)
	if err != nil {
		return err
	}
	for _, id := range moduleIDs {
		if _, ok := logs[id]; !ok {
			logs[id] = nil // there is nothing to read
		}
	}
	w.ReadAhead(logs)
	return nil
}

// Content returns what a learner learns on a path, with the Answer that has its Validator, unless the caller has it.
// Which versions that are is computed and cached as other answers are; the versions themselves are those of the
// catalog in memory, so that it need not be there.
func (s *Service) Content(ctx context.Context, learnerID, pathID string, seen AtLeast) (*progress.PathContent, Answer, error) {
	a, err := s.Read(ctx, learnerID, "content/"+pathID, seen, func(w *progress.View) ([]byte, error) {
		pins, err := w.Pins(pathID)
		if err != nil {
			return nil, err
		}
		return json.Marshal(pins)
	})
	if err != nil || a.Unchanged != "" {
		return nil, a, err
	}
	pins := new(progress.PathPins)
	if err := json.Unmarshal(a.Body, pins); err != nil {
		return nil, a, errs.Wrap(err, errs.Internal, errs.ReasonInternal, "a computed answer cannot be read")
	}
	c, err := s.catalog.Current().Content(pathID, pins)
	return c, a, err
}
