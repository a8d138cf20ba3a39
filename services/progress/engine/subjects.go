package engine

import (
	"context"
	"sync"
	"time"

	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// SubjectSource resolves identities where learners are made.
type SubjectSource interface {
	// ResolveSubject returns the learner of an identity, made at first sight of it. Unavailable when
	// profile cannot be reached, and an auth.UnregisteredError when its database refuses to store it.
	ResolveSubject(ctx context.Context, issuer, subject string, hints auth.Hints) (progress.Link, error)
}

// Subjects resolves identities to learners: from memory, from our own store, else by asking
// profile, which makes a learner at first sight. So known learners are served while profile is down.
type Subjects struct {
	store   LinkStore
	profile SubjectSource
	now     func() time.Time

	mu    sync.Mutex
	known map[subject]knownSubject
}

type subject struct{ issuer, subject string }

type knownSubject struct {
	learnerID string
	until     time.Time
}

// The bounds of what Subjects holds in memory.
const (
	maxKnownSubjects = 50_000
	subjectTTL       = time.Minute
)

var _ auth.Resolver = (*Subjects)(nil)

// NewSubjects makes a resolver.
func NewSubjects(store LinkStore, profile SubjectSource, now func() time.Time) *Subjects {
	return &Subjects{store: store, profile: profile, now: now, known: map[subject]knownSubject{}}
}

// ResolveSubject returns the learner id of an identity.
func (s *Subjects) ResolveSubject(ctx context.Context, issuer, sub string, hints auth.Hints) (string, error) {
	key := subject{issuer, sub}
	s.mu.Lock()
	k, ok := s.known[key]
	s.mu.Unlock()
	if ok && s.now().Before(k.until) {
		return k.learnerID, nil
	}
	link, err := s.store.FindLink(ctx, issuer, sub)
	if errs.KindOf(err) == errs.NotFound {
		link, err = s.ask(ctx, issuer, sub, hints)
	}
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) >= maxKnownSubjects {
		clear(s.known)
	}
	s.known[key] = knownSubject{link.LearnerID, s.now().Add(subjectTTL)}
	return link.LearnerID, nil
}

// Forget gives up what is held in memory.
func (s *Subjects) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known = map[subject]knownSubject{}
}

func (s *Subjects) ask(ctx context.Context, issuer, sub string, hints auth.Hints) (progress.Link, error) {
	link, err := s.profile.ResolveSubject(ctx, issuer, sub, hints)
	if err != nil {
		return progress.Link{}, err
	}
	err = s.store.SaveLink(ctx, issuer, sub, link)
	if errs.RefusesWrites(errs.ReasonOf(err)) {
		err = &auth.UnregisteredError{LearnerID: link.LearnerID, Err: err}
	}
	return link, err
}
