package engine

import (
	"context"

	"github.com/preceptor-dev/preceptor/services/progress"
)

// History returns at most limit log entries after a sequence, with the learner's head. No entry
// is ever skipped: sequences are given under the lock that their commit holds. It returns NotFound
// when there is no such learner.
func (s *Service) History(ctx context.Context, learnerID string, after int64, limit int) ([]progress.Record, progress.Head, error) {
	head, err := s.headOf(ctx, learnerID)
	if err != nil || after >= head.Sequence {
		return nil, head, err // as almost always: one who asks again has all that there is
	}
	return s.store.Log(ctx, learnerID, after, limit)
}

// watchPage is how many entries a watcher reads at a time.
const watchPage = 200

// Notice is what a watcher is sent.
type Notice struct {
	// Reset reports whether the stream cannot go on from where the reader was.
	Reset bool
	// Sequence is the last one that the reader now knows.
	Sequence int64
	// LogID identifies the log that sequences are of.
	LogID string
	// Record is nil for a reset.
	Record *progress.Record
	// Awards are those that the entry's delivery earned, sent with its last entry.
	Awards []progress.Award
}

// Watching is what a reader of a learner's log asks for.
type Watching struct {
	LearnerID string
	// Reader identifies who reads; "" for nobody whose watches are counted.
	Reader string
	// After is the last sequence that the reader knows; nil means from now on. One that the log does not
	// reach (it was restored from a backup, or the reader is mistaken) gives a reset, and goes on from now.
	After *int64
	// Ending ends the watch, once it waits, when it is closed; nil never does.
	Ending <-chan struct{}
}

// Watch sends each log entry after a sequence as it is written, until ctx ends or send fails. open is
// called once now is fixed: whatever is written after it returns is sent. ResourceExhausted with
// TOO_MANY_STREAMS where the learner has 20 watches in this process, or the reader 200.
func (s *Service) Watch(ctx context.Context, asked Watching, open func() error, send func(Notice) error) error {
	w, err := s.feed.join(asked.LearnerID, asked.Reader) // first join, then read: nothing falls between
	if err != nil {
		return err
	}
	defer s.feed.leave(w)
	at, behind, err := s.begin(ctx, asked, open, send)
	for err == nil {
		if behind {
			if at, err = s.sendFrom(ctx, asked.LearnerID, at, send); err != nil {
				break
			}
		}
		w.seen.Store(at)
		select {
		case <-ctx.Done():
			return nil
		case <-asked.Ending:
			return nil
		case <-w.look:
			at, err = s.sendFresh(w.take(), at, send)
			behind = w.due(at)
		}
	}
	return err
}

// begin opens a watch, and returns after which sequence it goes on, and whether the log has more already.
func (s *Service) begin(ctx context.Context, asked Watching, open func() error, send func(Notice) error) (at int64, behind bool, err error) {
	head, err := s.headOf(ctx, asked.LearnerID)
	if err != nil {
		return 0, false, err
	}
	if err := open(); err != nil {
		return 0, false, err
	}
	if asked.After == nil {
		return head.Sequence, false, nil
	}
	if at = *asked.After; at < 0 || at > head.Sequence {
		at = head.Sequence
		return at, false, send(Notice{Reset: true, Sequence: at, LogID: s.LogID(head.Timeline)})
	}
	return at, at < head.Sequence, nil
}

// sendFrom sends everything after at, and returns the last sequence sent.
func (s *Service) sendFrom(ctx context.Context, learnerID string, at int64, send func(Notice) error) (int64, error) {
	for {
		records, head, err := s.store.Log(ctx, learnerID, at, watchPage)
		if err != nil {
			return at, err
		}
		if head.Sequence < at { // restored from a backup, under the stream
			return head.Sequence, send(Notice{Reset: true, Sequence: head.Sequence, LogID: s.LogID(head.Timeline)})
		}
		for i := range records {
			if err := send(s.notice(head.Timeline, &records[i])); err != nil {
				return at, err
			}
			at = records[i].Sequence
		}
		if len(records) < watchPage {
			return at, nil
		}
	}
}

// sendFresh sends those of some entries that follow at without a gap, and returns the last sequence sent.
func (s *Service) sendFresh(fresh []freshEntry, at int64, send func(Notice) error) (int64, error) {
	for _, e := range fresh {
		if e.record.Sequence != at+1 {
			continue
		}
		r, err := asRead(e.record)
		if err == nil {
			err = send(s.notice(e.timeline, r))
		}
		if err != nil {
			return at, err
		}
		at++
	}
	return at, nil
}

// asRead returns an entry as the log has it, where times are in microseconds.
func asRead(r *progress.Record) (*progress.Record, error) {
	out := &progress.Record{
		LearnerID: r.LearnerID, Sequence: r.Sequence, ReceivedAt: r.ReceivedAt,
		Event: progress.Event{ID: r.Event.ID, ModuleID: r.Event.ModuleID, VoidsEventID: r.Event.VoidsEventID},
	}
	return out, progress.DecodeEntry(string(progress.AppendEntry(nil, r)), out)
}

func (s *Service) notice(timeline string, r *progress.Record) Notice {
	return Notice{Sequence: r.Sequence, LogID: s.LogID(timeline), Record: r, Awards: r.Earned()}
}
