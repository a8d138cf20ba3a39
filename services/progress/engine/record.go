package engine

import (
	"context"
	"slices"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// Recorded is the answer to a batch of events.
type Recorded struct {
	// Results are in the order of the events.
	Results []progress.Result
	// Awards are those that the events earned, also in an earlier delivery.
	Awards []progress.Award
	// AsOfSequence is the learner's last sequence.
	AsOfSequence int64
}

// Record stores a batch of events of one learner, and answers for each. Events that are
// stored stay stored even when the call as a whole fails: sending the batch again is safe.
// It returns ResourceExhausted when too much is waiting, Unavailable when the store is.
func (s *Service) Record(ctx context.Context, learnerID string, actor progress.Actor, events []progress.Event, seen AtLeast) (*Recorded, error) {
	received := s.now().UTC().Truncate(time.Microsecond)
	out := &Recorded{Results: make([]progress.Result, len(events))}
	judged := s.judgeAll(ctx, s.catchUp(ctx, seen), learnerID, actor, events, received, out.Results)

	jobs, places, err := s.submitAll(ctx, learnerID, judged)
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
			out.Results[place] = progress.Result{
				EventID:     events[place].ID,
				Status:      progress.StatusRetry,
				Reason:      progress.ReasonLearnerBusy,
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

func (r *Recorded) addAwards(awards []progress.Award) {
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
// fetched after they arrived: only that may say UNKNOWN. Those that are final are nil, and in results.
func (s *Service) judgeAll(
	ctx context.Context, catalog *progress.Catalog, learnerID string, actor progress.Actor, events []progress.Event, received time.Time, results []progress.Result,
) []*progress.Judged {
	out := make([]*progress.Judged, len(events))
	fetched, fetchErr := false, error(nil)
	for i := range events {
		j := progress.Judge(catalog, learnerID, actor, &events[i], received)
		if j.Unknown() && !fetched {
			fetchErr = s.catalog.Refresh(ctx)
			fetched, catalog = true, s.catalog.Current()
			j = progress.Judge(catalog, learnerID, actor, &events[i], received)
		}
		if j.Unknown() && fetchErr != nil {
			j.Refusal = &progress.Result{
				EventID: events[i].ID, Status: progress.StatusRetry, Reason: progress.ReasonCatalogBehind,
				Description: "the catalog cannot be reached to look this up; keep the event and send it again",
			}
		}
		if j.Final() {
			results[i] = *j.Refusal
			continue
		}
		out[i] = &j // though it is refused: where it is in the log already, it is a DUPLICATE
	}
	return out
}

// submitAll queues the events in pieces; places says where each piece's events stand in the
// request. A piece that finds the queue full after an earlier one was taken stays nil; when
// it is the first, the whole call fails.
func (s *Service) submitAll(ctx context.Context, learnerID string, judged []*progress.Judged) (jobs []*job, places [][]int, err error) {
	var stored []int
	for i, e := range judged {
		if e != nil {
			stored = append(stored, i)
		}
	}
	full := false
	for piece := range slices.Chunk(stored, maxJobEvents) {
		j := &job{learnerID: learnerID}
		for _, place := range piece {
			j.events = append(j.events, judged[place])
		}
		if !full {
			err := s.committer.submit(ctx, j)
			full = errs.KindOf(err) == errs.ResourceExhausted && (len(jobs) > 0 || errs.ReasonOf(err) == progress.ReasonLearnerBusy)
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
