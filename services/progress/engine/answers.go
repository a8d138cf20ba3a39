package engine

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// Answer is a computed answer in its encoded form, with its ETag.
type Answer struct {
	Body []byte
	ETag string
	// Validator is the ETag, without quotes, with the time from when the answer holds. Whether either still holds
	// is known from the learner's head and the clock.
	Validator string
	// Unchanged is the one of the names in AtLeast.Answers that holds; the answer has only Sequence and LogID
	// then. "" for none.
	Unchanged string
	// Sequence is the last log entry that is counted, LogID the log that it is of.
	Sequence int64
	LogID    string
}

// answerTTL is how long the cache holds an answer.
const answerTTL = time.Hour

// Read computes an answer from one snapshot of a learner, or takes it from the cache, or finds that the caller
// has it.
//
// The learner's version is read from the store each time, and is part of the cache's key with
// the catalog's revision: a value is never changed and never invalidated, so no lost command
// of a cache can serve an old answer. What depends on the clock says until when it holds.
// route names the question; compute's errors are returned and not cached. It returns NotFound when
// there is no such learner.
func (s *Service) Read(ctx context.Context, learnerID, route string, seen AtLeast, compute func(*progress.View) ([]byte, error)) (Answer, error) {
	catalog := s.catchUp(ctx, seen)
	head, err := s.headOf(ctx, learnerID)
	if err != nil {
		return Answer{}, err
	}
	if catalog, err = s.noOlder(ctx, catalog, head); err != nil {
		return Answer{}, err
	}
	key := s.answerKey(route, head, catalog.Revision)
	if name := s.holding(key, seen.Answers); name != "" {
		return s.of(head, Answer{Unchanged: name}), nil
	}
	if a, ok := s.cached(ctx, key); ok {
		return s.of(head, a), nil
	}
	return s.flights.do(ctx, key, func() (Answer, error) {
		// The flight is shared: it must not end because the caller who began it went away.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
		defer cancel()
		return s.compute(ctx, head, route, catalog, compute)
	})
}

// noOlder returns a catalog that is no older than what any replica had acted on when a head was
// read: the learner may be enrolled, or have events, in a version that this one has yet to learn of.
func (s *Service) noOlder(ctx context.Context, catalog *progress.Catalog, head progress.Head) (*progress.Catalog, error) {
	if catalog.Revision >= head.Catalog {
		return catalog, nil
	}
	return s.catalog.Stored(ctx, head.Catalog)
}

func (s *Service) compute(
	ctx context.Context, head progress.Head, route string, catalog *progress.Catalog, compute func(*progress.View) ([]byte, error),
) (Answer, error) {
	l := s.memory.learner(head)
	if l != nil {
		l.Head = head
	} else {
		var err error
		if l, err = s.load(ctx, head.LearnerID); err != nil {
			return Answer{}, err
		}
	}
	now := s.now()
	w, revision, err := s.view(ctx, l, catalog, now)
	if err != nil {
		return Answer{}, err
	}
	body, err := compute(w)
	if err != nil {
		return Answer{}, err
	}
	// What was loaded may be newer than the head that was asked for: file it under its own.
	key := s.answerKey(route, l.Head, revision)
	valid := validity{from: now.UnixMicro()}
	if t := w.ValidUntil(); !t.IsZero() {
		valid.until = t.UnixMicro()
	}
	s.cache.Set(ctx, key, append(valid.append(make([]byte, 0, timesSize+len(body))), body...), answerTTL)
	return s.of(l.Head, valid.answer(key, body)), nil
}

// of completes an answer with what it is of.
func (s *Service) of(head progress.Head, a Answer) Answer {
	a.Sequence, a.LogID = head.Sequence, s.LogID(head.Timeline)
	return a
}

// load reads a learner from one snapshot, and remembers them: they may be asked for again, or do something.
func (s *Service) load(ctx context.Context, learnerID string) (*progress.Learner, error) {
	l, err := s.store.Load(ctx, learnerID)
	if err == nil {
		s.memory.put(recalledOf(l))
	}
	return l, err
}

// view returns a learner as a reader sees them at a time, with the revision of the catalog that they are looked
// at by. The learner is the view's.
func (s *Service) view(ctx context.Context, l *progress.Learner, catalog *progress.Catalog, now time.Time) (*progress.View, int64, error) {
	catalog, err := s.noOlder(ctx, catalog, l.Head)
	if err != nil {
		return nil, 0, err
	}
	if err := s.freshen(ctx, l, catalog); err != nil {
		return nil, 0, err
	}
	w := progress.NewView(catalog, l, now, func(moduleID string) ([]progress.Record, error) {
		return s.moduleLog(ctx, l.Head, moduleID)
	})
	w.Advance()
	w.Lapse()
	return w, catalog.Revision, nil
}

// freshen folds again what was folded under another catalog. Reads never write, so this is
// done in memory until the next event of the module stores it.
func (s *Service) freshen(ctx context.Context, l *progress.Learner, catalog *progress.Catalog) error {
	for id, f := range l.Facts {
		m := catalog.Modules[id]
		if m == nil || !f.Stale(m) {
			continue
		}
		log, err := s.moduleLog(ctx, l.Head, id)
		if err != nil {
			return err
		}
		l.Facts[id] = progress.FoldLog(m, log)
	}
	return nil
}

// moduleLog reads a module's log as of a head: entries written since are not part of it.
func (s *Service) moduleLog(ctx context.Context, head progress.Head, moduleID string) ([]progress.Record, error) {
	log, err := s.store.ModuleLog(ctx, head.LearnerID, moduleID)
	return upTo(log, head.Sequence), err
}

// answerKey names an answer by all that it depends on but the clock. The timeline
// stands for what a restore or a failover of the database may take back: versions that were given
// already are given again after those, for something else.
func (s *Service) answerKey(route string, head progress.Head, revision int64) string {
	b := make([]byte, 0, 192)
	b = append(b, '{')
	b = append(b, head.LearnerID...)
	b = append(b, "}:"...)
	b = append(b, route...)
	b = append(b, ':')
	b = append(b, head.Timeline...)
	b = strconv.AppendInt(append(b, ':'), head.Version, 10)
	b = strconv.AppendInt(append(b, ':'), revision, 10)
	return string(b)
}

// cached returns what the cache has, where that is valid now.
func (s *Service) cached(ctx context.Context, key string) (Answer, bool) {
	value, ok := s.cache.Get(ctx, key)
	if !ok || len(value) < timesSize {
		return Answer{}, false
	}
	valid := readValidity(value)
	if !valid.at(s.now()) {
		return Answer{}, false
	}
	return valid.answer(key, value[timesSize:]), true
}

// flights lets callers who miss the cache for the same key share one computation.
type flights struct {
	mu sync.Mutex
	by map[string]*flight
}

type flight struct {
	done   chan struct{}
	answer Answer
	err    error
}

func (f *flights) do(ctx context.Context, key string, compute func() (Answer, error)) (Answer, error) {
	f.mu.Lock()
	fl, joined := f.by[key]
	if !joined {
		if f.by == nil {
			f.by = map[string]*flight{}
		}
		fl = &flight{done: make(chan struct{})}
		f.by[key] = fl
	}
	f.mu.Unlock()
	if !joined {
		defer func() {
			f.mu.Lock()
			delete(f.by, key)
			f.mu.Unlock()
			close(fl.done)
		}()
		fl.err = errs.New(errs.Internal, errs.ReasonInternal, "computing an answer did not finish")
		fl.answer, fl.err = compute()
		return fl.answer, fl.err
	}
	select {
	case <-fl.done:
		return fl.answer, fl.err
	case <-ctx.Done():
		return Answer{}, errs.Wrap(ctx.Err(), errs.DeadlineExceeded, errs.ReasonDeadlineExceeded, "timed out waiting for the answer")
	}
}
