package clients

import (
	"context"

	profilev1 "github.com/preceptor-dev/preceptor/gen/preceptor/profile/v1"
	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/feed"
	"github.com/preceptor-dev/preceptor/internal/rpc"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// ProfileClient reads learners' time zones, and resolves identities, over profile's API.
type ProfileClient struct {
	client profilev1.ProfileServiceClient
}

// NewProfileClient returns a ProfileClient that calls client.
func NewProfileClient(client profilev1.ProfileServiceClient) *ProfileClient {
	return &ProfileClient{client: client}
}

// Sync returns the time zones that changed after a revision.
func (p *ProfileClient) Sync(ctx context.Context, afterRevision int64) (zones []progress.LearnerZone, revision int64, err error) {
	from := feed.Origin("profile")
	req := &profilev1.SyncChangesRequest{AfterRevision: afterRevision}
	err = feed.Receive(ctx, from, p.client.SyncChanges, req, func(m *profilev1.SyncChangesResponse) (marker bool, err error) {
		switch item := m.GetItem().(type) {
		case *profilev1.SyncChangesResponse_Change:
			if l := item.Change.GetLearner(); l != nil {
				zones = append(zones, progress.LearnerZone{LearnerID: l.GetId(), TimeZone: l.GetTimeZone(), Since: timeOfStamp(l.GetTimeZoneTime())})
			}
		case *profilev1.SyncChangesResponse_Revision:
			revision, marker = item.Revision, true
		}
		return marker, nil
	})
	return zones, revision, err
}

// ResolveSubject returns the learner of an identity, which profile makes at first sight. It returns an
// auth.UnregisteredError where profile's database refuses to store it.
func (p *ProfileClient) ResolveSubject(ctx context.Context, issuer, subject string, hints auth.Hints) (progress.Link, error) {
	r, err := p.client.ResolveSubject(ctx, &profilev1.ResolveSubjectRequest{
		Subject:     &profilev1.Subject{Issuer: issuer, Subject: subject},
		DisplayName: hints.Name, Email: hints.Email, Locale: hints.Locale, TimeZone: hints.ZoneInfo,
	})
	if err != nil && errs.RefusesWrites(rpc.ReasonOf(err)) {
		return progress.Link{}, &auth.UnregisteredError{Err: err}
	}
	if err != nil {
		return progress.Link{}, err
	}
	return progress.Link{LearnerID: r.GetLearnerId(), TimeZone: r.GetTimeZone(), Since: timeOfStamp(r.GetTimeZoneTime())}, nil
}
