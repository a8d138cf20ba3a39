package progress

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
)

// DriftKind is what of a learner's differs.
type DriftKind string

// The kinds of drift.
const (
	DriftFacts      DriftKind = "FACTS"
	DriftEnrollment DriftKind = "ENROLLMENT"
	DriftAward      DriftKind = "AWARD"
)

// Drift is something stored that is not what the log gives.
type Drift struct {
	LearnerID string
	Kind      DriftKind
	// ID is the module's, the enrollment's or the award's.
	ID string
	// Stored and Replayed are it as JSON; "null": there is none.
	Stored, Replayed string
}

// replayed is what a learner's log alone gives.
type replayed struct {
	facts       map[string]*Facts
	enrollments map[string]Enrollment
	awards      map[string]Award
}

// replay folds a learner's whole log, given in order of sequence. Modules that the catalog lacks
// (it was restored from an older backup) are left out.
func replay(c *Catalog, log []Record, z zone) *replayed {
	out := &replayed{facts: map[string]*Facts{}, enrollments: map[string]Enrollment{}, awards: map[string]Award{}}
	modules := map[string][]Record{}
	for i := range log {
		r := &log[i]
		if r.Type == RecordEvent {
			modules[r.Event.ModuleID] = append(modules[r.Event.ModuleID], *r)
		}
		if r.Effects == nil {
			continue
		}
		for _, e := range r.Effects.Enrollments {
			out.enrollments[e.ID] = e
		}
		for _, a := range r.Effects.Awards {
			out.awards[a.ID] = a
		}
	}
	for id, events := range modules {
		if m := c.Modules[id]; m != nil {
			out.facts[id] = foldLog(m, events, z)
		}
	}
	return out
}

// drifts answers where what is stored of a learner is not what their log gives. Facts of modules
// that the catalog lacks are not compared.
func (r *replayed) drifts(c *Catalog, l *Learner) ([]Drift, error) {
	d := drifting{learnerID: l.Head.LearnerID}
	stored := maps.Clone(l.Facts)
	maps.DeleteFunc(stored, func(id string, _ *Facts) bool { return c.Modules[id] == nil })
	compare(&d, DriftFacts, stored, r.facts)
	compare(&d, DriftEnrollment, byID(l.Enrollments, func(e Enrollment) string { return e.ID }), r.enrollments)
	compare(&d, DriftAward, byID(l.Awards, func(a Award) string { return a.ID }), r.awards)
	slices.SortFunc(d.found, func(a, b Drift) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.ID, b.ID)) })
	return d.found, d.err
}

type drifting struct {
	learnerID string
	found     []Drift
	err       error
}

func byID[T any](items []T, id func(T) string) map[string]T {
	out := make(map[string]T, len(items))
	for _, item := range items {
		out[id(item)] = item
	}
	return out
}

// compare notes what differs between two maps, as JSON.
func compare[T any](d *drifting, kind DriftKind, stored, replayed map[string]T) {
	ids := slices.Concat(slices.Collect(maps.Keys(stored)), slices.Collect(maps.Keys(replayed)))
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		was, is := jsonOf(d, stored, id), jsonOf(d, replayed, id)
		if was != is {
			d.found = append(d.found, Drift{LearnerID: d.learnerID, Kind: kind, ID: id, Stored: was, Replayed: is})
		}
	}
}

// jsonOf is what the map has of an id, as JSON; "null" where that is nothing.
func jsonOf[T any](d *drifting, of map[string]T, id string) string {
	v, ok := of[id]
	if !ok {
		return "null"
	}
	text, err := json.Marshal(v)
	if err != nil && d.err == nil {
		d.err = err
	}
	return string(text)
}

// logPage is how many log entries are read at a time.
const logPage = 1000

// wholeLog reads a learner's log up to a head.
func (s *Service) wholeLog(ctx context.Context, head Head) ([]Record, error) {
	var log []Record
	for after := int64(0); after < head.Sequence; after = log[len(log)-1].Sequence {
		page, _, err := s.store.Log(ctx, head.LearnerID, after, int(min(logPage, head.Sequence-after)))
		if err != nil {
			return nil, err
		}
		if len(page) == 0 {
			break // the log was restored from a backup meanwhile
		}
		log = append(log, page...)
	}
	return log, nil
}

// Verify folds a learner's whole log again, and answers where what is stored differs. Facts that
// the catalog or a new time zone has made stale are compared as a reader sees them. It writes nothing.
func (s *Service) Verify(ctx context.Context, learnerID string) ([]Drift, error) {
	catalog := s.catalog.Current()
	l, err := s.store.Load(ctx, learnerID)
	if err != nil {
		return nil, err
	}
	log, err := s.wholeLog(ctx, l.Head)
	if err != nil {
		return nil, err
	}
	z, now := s.zones.of(l.Head.TimeZone), s.now()
	r := replay(catalog, log, z)
	for id, f := range l.Facts {
		m := catalog.Modules[id]
		if m == nil {
			continue
		}
		if f.stale(m, z) {
			l.Facts[id] = r.facts[id]
		}
		// A sweep may have stored what time alone did: it is compared as of now.
		l.Facts[id] = l.Facts[id].settled(m, now, z.loc)
		r.facts[id] = r.facts[id].settled(m, now, z.loc)
	}
	return r.drifts(catalog, l)
}
