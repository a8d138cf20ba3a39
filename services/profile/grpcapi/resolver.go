package grpcapi

import (
	"context"

	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/services/profile"
)

// Resolver lets the guard in front of this service resolve callers without an RPC to
// itself, so that the first GET /v1/learners/me makes the learner.
type Resolver struct{ service *profile.Service }

var _ auth.Resolver = (*Resolver)(nil)

// NewResolver makes a Resolver.
func NewResolver(service *profile.Service) *Resolver { return &Resolver{service: service} }

// ResolveSubject returns the caller's learner id, as Service.Resolve does.
func (r *Resolver) ResolveSubject(ctx context.Context, issuer, subject string, hints auth.Hints) (string, error) {
	found, err := r.service.Resolve(ctx, profile.Subject{Issuer: issuer, Subject: subject}, profile.Hints{
		DisplayName: hints.Name,
		Email:       hints.Email,
		Locale:      hints.Locale,
		TimeZone:    hints.ZoneInfo,
	})
	if errs.RefusesWrites(errs.ReasonOf(err)) {
		err = &auth.UnregisteredError{Err: err}
	}
	return found.LearnerID, err
}

// Managers lets the guard in front of this service ask who manages whom.
type Managers struct{ service *profile.Service }

var _ auth.Managers = (*Managers)(nil)

// NewManagers makes Managers.
func NewManagers(service *profile.Service) *Managers { return &Managers{service: service} }

// ManagesLearner implements auth.Managers.
func (m *Managers) ManagesLearner(ctx context.Context, managerID, learnerID string) (bool, error) {
	return m.service.ManagesLearner(ctx, managerID, learnerID)
}

// ManagesCohort implements auth.Managers.
func (m *Managers) ManagesCohort(ctx context.Context, managerID, cohortID string) (bool, error) {
	return m.service.ManagesCohort(ctx, managerID, cohortID)
}
