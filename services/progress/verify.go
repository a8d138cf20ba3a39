package progress

import (
	"context"
	"encoding/json"
)

// Drift is a module whose stored facts are not what folding the log gives.
type Drift struct {
	LearnerID, ModuleID string
	// Stored and Folded are the facts as JSON; "null" where there are none.
	Stored, Folded string
}

// Verify folds a learner's log again and answers where the stored facts differ. Facts that the
// catalog has made stale are compared as a reader sees them. It writes nothing.
func (s *Service) Verify(ctx context.Context, learnerID string) ([]Drift, error) {
	catalog := s.catalog.Current()
	l, err := s.store.Load(ctx, learnerID)
	if err != nil {
		return nil, err
	}
	if err := s.freshen(ctx, l, catalog); err != nil {
		return nil, err
	}
	var out []Drift
	for id, m := range catalog.Modules {
		folded, err := s.refold(ctx, l.Head, m)
		if err != nil {
			return nil, err
		}
		stored := l.Facts[id]
		if stored != nil && folded == nil && stored.FirstAt == 0 {
			continue // everything was voided
		}
		was, err := json.Marshal(stored)
		if err != nil {
			return nil, err
		}
		is, err := json.Marshal(folded)
		if err != nil {
			return nil, err
		}
		if string(was) != string(is) {
			out = append(out, Drift{learnerID, id, string(was), string(is)})
		}
	}
	return out, nil
}
