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
	// AsOfSequence is the learner's last sequence, LogID identifies the log that it is of.
	AsOfSequence int64
	LogID        string
	// Touched is how far the learner is in what the events touched, as of AsOfSequence; nil unless asked for.
	Touched *progress.Touched

	// written is the last job that was done; nil for none.
	written *job
}

// Recording is a batch of events of one learner, as it was sent.
type Recording struct {
	LearnerID string
	Actor     progress.Actor
	Events    []progress.Event
	// SentAt is what the device's clock showed when it sent them; zero: it did not say.
	SentAt time.Time
	// Seen is what the caller has seen of other services.
	Seen AtLeast
	// Touched asks for how far the learner is, after all of that, in what the events touch.
	Touched bool
}

// Record stores a batch of events of one learner, and returns a result for each. Events that are
// stored stay stored even when the call as a whole fails: sending the batch again is safe.
// It returns NotFound when there is no such learner, ResourceExhausted when too much is waiting,
// Unavailable when the store is, or when profile cannot be asked about a learner who is not known.
func (s *Service) Record(ctx context.Context, r Recording) (*Recorded, error) {
	arrived := s.now().UTC().Truncate(time.Microsecond)
	catalog := s.catchUp(ctx, r.Seen)
	if err := s.exists(ctx, r.LearnerID); err != nil {
		return nil, err
	}
	learnerID, events := r.LearnerID, r.Events
	out := &Recorded{Results: make([]progress.Result, len(events))}
	by := &progress.Sending{LearnerID: learnerID, Actor: r.Actor, Skew: progress.ClockSkew(r.SentAt, arrived)}
	judged := s.judgeAll(ctx, catalog, events, func(c *progress.Catalog, e *progress.Event) progress.Judged {
		return progress.Judge(c, by, e, arrived)
	})
	for i := range judged {
		if judged[i].Final() {
			out.Results[i] = *judged[i].Refusal
		}
	}
	pieces, err := s.submitAll(ctx, learnerID, judged)
	if err != nil {
		return nil, err
	}
	if err := s.collect(ctx, pieces, events, out); err != nil {
		return nil, err
	}
	switch {
	case r.Touched:
		return out, s.lookAt(ctx, r, out)
	case out.LogID == "":
		head, err := s.store.Head(ctx, learnerID)
		if err != nil {
			return nil, err
		}
		out.AsOfSequence, out.LogID = head.Sequence, s.LogID(head.Timeline)
	}
	return out, nil
}

// collect waits for the pieces, and puts what came of them in its place.
func (s *Service) collect(ctx context.Context, pieces []piece, events []progress.Event, out *Recorded) error {
	for _, p := range pieces {
		if p.job == nil {
			for _, place := range p.places {
				out.Results[place] = progress.Result{
					EventID:     events[place].ID,
					Status:      progress.StatusRetry,
					Reason:      errs.ReasonLearnerBusy,
					Description: "too much is waiting to be written; send it again",
				}
			}
			continue
		}
		if err := p.job.wait(ctx); err != nil {
			return err
		}
		for k, place := range p.places {
			out.Results[place] = p.delivery.results[k]
		}
		out.addAwards(p.delivery.awards)
		out.AsOfSequence, out.LogID, out.written = p.job.sequence, s.LogID(p.job.timeline), p.job
	}
	return nil
}

// lookAt completes the answer with how far the learner is in what the stored events touched. All that it
// says of the log is from the one snapshot that is looked at, which has the events.
func (s *Service) lookAt(ctx context.Context, r Recording, out *Recorded) error {
	var modules []string
	voided := false
	for i := range out.Results {
		if res := &out.Results[i]; res.Status == progress.StatusAccepted || res.Status == progress.StatusDuplicate {
			modules = append(modules, res.ModuleID)
			voided = voided || r.Events[i].Verb == progress.Voided
		}
	}
	var l *progress.Learner
	if w := out.written; w != nil {
		l = s.memory.since(r.LearnerID, w.timeline, w.sequence)
	}
	if l == nil {
		var err error
		if l, err = s.load(ctx, r.LearnerID); err != nil {
			return err
		}
	}
	w, _, err := s.view(ctx, l, s.catalog.Current(), s.now())
	if err != nil {
		return err
	}
	out.AsOfSequence, out.LogID = l.Head.Sequence, s.LogID(l.Head.Timeline)
	out.Touched, err = w.Touched(modules, voided)
	return err
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
// fetched after they arrived: only that may say UNKNOWN.
func (s *Service) judgeAll(
	ctx context.Context, catalog *progress.Catalog, events []progress.Event, judge func(*progress.Catalog, *progress.Event) progress.Judged,
) []progress.Judged {
	out := make([]progress.Judged, len(events))
	fetched, fetchErr := false, error(nil)
	for i := range events {
		out[i] = judge(catalog, &events[i])
		if out[i].Unknown() && !fetched {
			fetchErr = s.catalog.Refresh(ctx)
			fetched, catalog = true, s.catalog.Current()
			out[i] = judge(catalog, &events[i])
		}
		if out[i].Unknown() && fetchErr != nil {
			out[i].Refusal = &progress.Result{
				EventID: events[i].ID, Status: progress.StatusRetry, Reason: errs.ReasonCatalogBehind,
				Description: "the catalog cannot be reached to look this up; keep the event and send it again",
			}
		}
	}
	return out
}

// piece is a part of a request's events that is queued as one job.
type piece struct {
	delivery *delivery
	// places say where the events stand in the request.
	places []int
	// job is nil where the queue had no room.
	job *job
}

// submitAll queues the events that are not refused for good, in pieces. One that is refused by the catalog
// goes along: where it is in the log already, it is a DUPLICATE. The first piece that finds the queue full and those after
// it are not queued; where that is the very first, the whole call fails.
func (s *Service) submitAll(ctx context.Context, learnerID string, judged []progress.Judged) ([]piece, error) {
	var stored []int
	for i := range judged {
		if !judged[i].Final() {
			stored = append(stored, i)
		}
	}
	var pieces []piece
	full := false
	for places := range slices.Chunk(stored, maxJobEvents) {
		p := piece{delivery: new(delivery), places: places}
		for _, place := range places {
			p.delivery.events = append(p.delivery.events, &judged[place])
		}
		if !full {
			j := &job{learnerID: learnerID, work: p.delivery}
			switch err := s.committer.submit(ctx, j); {
			case err == nil:
				p.job = j
			case errs.KindOf(err) == errs.ResourceExhausted && (len(pieces) > 0 || errs.ReasonOf(err) == errs.ReasonLearnerBusy):
				full = true
			default:
				return nil, err
			}
		}
		pieces = append(pieces, p)
	}
	return pieces, nil
}
