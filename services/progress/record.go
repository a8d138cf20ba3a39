package progress

import (
	"context"
	"slices"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// Recorded is the answer to a batch of events.
type Recorded struct {
	// Results are in the order of the events.
	Results []Result
	// Awards are those that the events earned, also in an earlier delivery.
	Awards []Award
	// AsOfSequence is the learner's last sequence.
	AsOfSequence int64
}

// Record stores a batch of events of one learner, and answers for each. Events that are
// stored stay stored even when the call as a whole fails: sending the batch again is safe.
// It returns ResourceExhausted when too much is waiting, Unavailable when the store is.
func (s *Service) Record(ctx context.Context, learnerID string, actor Actor, events []Event, seen AtLeast) (*Recorded, error) {
	received := s.now().UTC().Truncate(time.Microsecond)
	out := &Recorded{Results: make([]Result, len(events))}
	records := s.judgeAll(ctx, s.catchUp(ctx, seen), learnerID, actor, events, received, out.Results)

	jobs, places, err := s.submitAll(ctx, learnerID, records)
	if err != nil {
		return nil, err
	}
	for i, j := range jobs {
		if j == nil {
			continue
		}
		if err := j.wait(ctx); err != nil {
			return nil, err
		}
		for k, place := range places[i] {
			out.Results[place] = j.results[k]
		}
		out.addAwards(j.awards)
		out.AsOfSequence = j.sequence
	}
	for i, j := range jobs {
		if j != nil {
			continue
		}
		for _, place := range places[i] {
			out.Results[place] = Result{
				EventID:     events[place].ID,
				Status:      StatusRetry,
				Reason:      ReasonLearnerBusy,
				Description: "too much is waiting to be written; send it again",
			}
		}
	}
	if out.AsOfSequence == 0 {
		head, err := s.store.Head(ctx, learnerID)
		if err != nil {
			return nil, err
		}
		out.AsOfSequence = head.Sequence
	}
	return out, nil
}

func (r *Recorded) addAwards(awards []Award) {
next:
	for _, a := range awards {
		for _, had := range r.Awards {
			if had.ID == a.ID {
				continue next
			}
		}
		r.Awards = append(r.Awards, a)
	}
}

// judgeAll judges each event, and those that name something unknown once more on a catalog
// fetched after they arrived: only that may say UNKNOWN. Records that are nil have their
// verdict in results; those with a verdict are to be stored no more, if they were not before.
func (s *Service) judgeAll(
	ctx context.Context, catalog *Catalog, learnerID string, actor Actor, events []Event, received time.Time, results []Result,
) []*Record {
	records := make([]*Record, len(events))
	fetched, fetchErr := false, error(nil)
	for i := range events {
		r, bad := judge(catalog, learnerID, actor, &events[i], received)
		if bad.isUnknown() && !fetched {
			fetchErr = s.catalog.Refresh(ctx)
			fetched, catalog = true, s.catalog.Current()
			r, bad = judge(catalog, learnerID, actor, &events[i], received)
		}
		if bad.isUnknown() && fetchErr != nil {
			bad = &Result{
				EventID: events[i].ID, Status: StatusRetry, Reason: ReasonCatalogBehind,
				Description: "the catalog cannot be reached to look this up; keep the event and send it again",
			}
		}
		switch {
		case bad == nil:
			records[i] = r
		case bad.Reason == ReasonMalformed || bad.Reason == ReasonForbiddenVerb:
			results[i] = *bad
		default:
			// The catalog has changed since this event was stored, perhaps: then it is a DUPLICATE.
			records[i] = &Record{
				LearnerID: learnerID, Type: RecordEvent, Event: events[i], PayloadHash: payloadHash(&events[i]), verdict: bad,
			}
		}
	}
	return records
}

// submitAll queues the records in pieces; places says where each piece's events stand in the
// request. A piece that finds the queue full after an earlier one was taken stays nil; when
// it is the first, the whole call fails.
func (s *Service) submitAll(ctx context.Context, learnerID string, records []*Record) (jobs []*job, places [][]int, err error) {
	var stored []int
	for i, r := range records {
		if r != nil {
			stored = append(stored, i)
		}
	}
	full := false
	for piece := range slices.Chunk(stored, maxJobEvents) {
		j := &job{learnerID: learnerID}
		for _, place := range piece {
			j.records = append(j.records, records[place])
		}
		if !full {
			err := s.committer.submit(ctx, j)
			full = errs.KindOf(err) == errs.ResourceExhausted && (len(jobs) > 0 || errs.ReasonOf(err) == ReasonLearnerBusy)
			if err != nil && !full {
				return nil, nil, err
			}
		}
		if full {
			j = nil
		}
		jobs, places = append(jobs, j), append(places, piece)
	}
	return jobs, places, nil
}
