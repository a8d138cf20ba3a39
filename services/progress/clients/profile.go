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

// ProfileClient reads what happens to learners and cohorts, and resolves identities, over profile's API.
type ProfileClient struct {
	client profilev1.ProfileServiceClient
}

// NewProfileClient returns a ProfileClient that calls client.
func NewProfileClient(client profilev1.ProfileServiceClient) *ProfileClient {
	return &ProfileClient{client: client}
}

// Sync returns what happened after a revision.
func (p *ProfileClient) Sync(ctx context.Context, afterRevision int64) (changes []progress.ProfileChange, revision int64, err error) {
	from := feed.Origin("profile")
	req := &profilev1.SyncChangesRequest{AfterRevision: afterRevision}
	err = feed.Receive(ctx, from, p.client.SyncChanges, req, func(m *profilev1.SyncChangesResponse) (marker bool, err error) {
		switch item := m.GetItem().(type) {
		case *profilev1.SyncChangesResponse_Change:
			changes = append(changes, changeOf(item.Change))
		case *profilev1.SyncChangesResponse_Revision:
			revision, marker = item.Revision, true
		}
		return marker, nil
	})
	return changes, revision, err
}

func changeOf(c *profilev1.Change) progress.ProfileChange {
	change := progress.ProfileChange{Revision: c.GetRevision(), Time: timeOfStamp(c.GetTime())}
	switch subject := c.GetSubject().(type) {
	case *profilev1.Change_Learner:
		l := subject.Learner
		change.Learner = &progress.PersonRecord{
			Zone:      progress.LearnerZone{LearnerID: l.GetId(), TimeZone: l.GetTimeZone(), Since: timeOfStamp(l.GetTimeZoneTime())},
			Suspended: l.GetState() == profilev1.Learner_SUSPENDED, HireDate: l.GetHireDate(),
		}
	case *profilev1.Change_Cohort:
		o := subject.Cohort
		change.Cohort = &progress.CohortRecord{ID: o.GetId(), Title: o.GetTitle(), ManagerIDs: o.GetManagerIds(), Deleted: o.GetDeleted()}
	case *profilev1.Change_Membership:
		m := subject.Membership
		change.Membership = &progress.MembershipRecord{
			CohortID: m.GetCohortId(), LearnerID: m.GetLearnerId(), Member: m.GetMember(), JoinTime: timeOfStamp(m.GetJoinTime()),
		}
	}
	return change
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
