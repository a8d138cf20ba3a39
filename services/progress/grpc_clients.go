package progress

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	profilev1 "github.com/preceptor-dev/preceptor/gen/preceptor/profile/v1"
	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/period"
)

// CatalogClient is a CatalogSource over the catalog's API.
type CatalogClient struct {
	client catalogv1.CatalogServiceClient
}

var _ CatalogSource = (*CatalogClient)(nil)

// NewCatalogClient makes a source of a client.
func NewCatalogClient(client catalogv1.CatalogServiceClient) *CatalogClient {
	return &CatalogClient{client: client}
}

// Sync answers everything that changed after a revision.
func (c *CatalogClient) Sync(ctx context.Context, afterRevision int64) (CatalogDelta, error) {
	d := CatalogDelta{Revision: afterRevision}
	stream, err := c.client.SyncCatalog(ctx, &catalogv1.SyncCatalogRequest{AfterRevision: afterRevision})
	if err != nil {
		return d, unreachable(err)
	}
	reached := false
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return d, unreachable(err)
		}
		switch item := m.GetItem().(type) {
		case *catalogv1.SyncCatalogResponse_Module:
			mod, err := moduleOf(item.Module)
			if err != nil {
				return d, err
			}
			d.Modules = append(d.Modules, mod)
		case *catalogv1.SyncCatalogResponse_Path:
			d.Paths = append(d.Paths, pathOf(item.Path))
		case *catalogv1.SyncCatalogResponse_Revision:
			d.Revision, reached = item.Revision, true
		}
	}
	if !reached {
		return d, errs.New(errs.Unavailable, "CATALOG_UNAVAILABLE", "the catalog's answer ended early")
	}
	return d, nil
}

func unreachable(err error) error {
	return errs.Wrap(err, errs.Unavailable, "CATALOG_UNAVAILABLE", "the catalog cannot be reached")
}

func moduleOf(m *catalogv1.ModuleRecord) (Module, error) {
	out := Module{ID: m.GetId(), State: ModuleState(m.GetState().String()), Revision: m.GetRevision()}
	for _, p := range m.GetArchivePeriods() {
		out.Archives = append(
			out.Archives,
			ArchivePeriod{
				ArchiveTime: timeOfStamp(p.GetArchiveTime()),
				SunsetTime:  timeOfStamp(p.GetSunsetTime()),
				RestoreTime: timeOfStamp(p.GetRestoreTime()),
			},
		)
	}
	var before *ModuleVersion
	for _, v := range m.GetVersions() {
		version, err := versionOf(v, before)
		if err != nil {
			return out, err
		}
		out.Versions = append(out.Versions, version)
		before = &version
	}
	return out, nil
}

// versionOf reads a version; before is the one that it follows, nil for the first.
func versionOf(v *catalogv1.ModuleVersion, before *ModuleVersion) (ModuleVersion, error) {
	out := ModuleVersion{
		Number: int(v.GetNumber()), Title: v.GetTitle(), Prerequisites: v.GetPrerequisites(),
		Material:    v.GetChangeClass() == catalogv1.ModuleVersion_MATERIAL,
		RetakeAll:   v.GetRetake() == catalogv1.ModuleVersion_ALL_UNITS,
		PublishTime: timeOfStamp(v.GetPublishTime()), EffectiveTime: timeOfStamp(v.GetEffectiveTime()),
	}
	for _, c := range v.GetCredits() {
		out.Credits = append(out.Credits, c.GetModuleIds())
	}
	for _, u := range v.GetUnits() {
		unit, err := unitOf(u)
		if err != nil {
			return out, err
		}
		unit.Changed = before.differs(&unit)
		out.Units = append(out.Units, unit)
	}
	var err error
	out.Currency, err = policyOf(v.GetCurrencyPolicy())
	return out, err
}

func unitOf(u *catalogv1.Unit) (Unit, error) {
	whole, err := proto.MarshalOptions{Deterministic: true}.Marshal(u)
	if err != nil {
		return Unit{}, errs.Wrap(err, errs.Internal, "", "a unit cannot be encoded")
	}
	digest := sha256.Sum256(whole)
	return Unit{
		ID: u.GetId(), Title: u.GetTitle(), Required: u.GetRequired(), Weight: u.GetWeight(), MoveOn: MoveOn(u.GetMoveOn().String()),
		MasteryScore: u.MasteryScore, Digest: hex.EncodeToString(digest[:16]),
	}, nil
}

func policyOf(p *catalogv1.CurrencyPolicy) (*CurrencyPolicy, error) {
	if p == nil {
		return nil, nil //nolint:nilnil // no policy is an answer
	}
	out := &CurrencyPolicy{Basis: Basis(p.GetBasis().String())}
	for _, field := range []struct {
		text string
		to   *period.Period
	}{{p.GetPeriod(), &out.Period}, {p.GetWindow(), &out.Window}, {p.GetGrace(), &out.Grace}} {
		if field.text == "" {
			continue
		}
		parsed, err := period.Parse(field.text)
		if err != nil {
			return nil, errs.Wrap(err, errs.Internal, "", "the catalog sent a currency policy that cannot be read")
		}
		*field.to = parsed
	}
	if out.Basis == BasisFixedDate {
		date, err := time.Parse("01-02", p.GetFixedDate())
		if err != nil {
			return nil, errs.Wrap(err, errs.Internal, "", "the catalog sent a fixed date that cannot be read")
		}
		out.FixedMonth, out.FixedDay = date.Month(), date.Day()
	}
	return out, nil
}

func pathOf(p *catalogv1.PathRecord) Path {
	out := Path{ID: p.GetId(), State: ModuleState(p.GetState().String()), Revision: p.GetRevision()}
	for _, v := range p.GetVersions() {
		out.Versions = append(out.Versions, pathVersionOf(v))
	}
	return out
}

func pathVersionOf(v *catalogv1.PathVersion) PathVersion {
	out := PathVersion{Number: int(v.GetNumber()), Title: v.GetTitle(), MandateTime: timeOfStamp(v.GetMandateTime())}
	for _, m := range v.GetMilestones() {
		ms := Milestone{ID: m.GetId(), Title: m.GetTitle()}
		for _, g := range m.GetGroups() {
			group := Group{ModuleIDs: g.GetModuleIds()}
			if g.RequiredCount != nil {
				k := int(g.GetRequiredCount())
				group.RequiredCount = &k
			}
			ms.Groups = append(ms.Groups, group)
		}
		out.Milestones = append(out.Milestones, ms)
	}
	return out
}

func timeOfStamp(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

// ProfileZones is a ZoneSource over profile's API.
type ProfileZones struct {
	client profilev1.ProfileServiceClient
}

var _ ZoneSource = (*ProfileZones)(nil)

// NewProfileZones makes a source of a client.
func NewProfileZones(client profilev1.ProfileServiceClient) *ProfileZones {
	return &ProfileZones{client: client}
}

// Sync answers the time zones that changed after a revision.
func (p *ProfileZones) Sync(ctx context.Context, afterRevision int64) (zones []LearnerZone, revision int64, err error) {
	stream, err := p.client.SyncLearners(ctx, &profilev1.SyncLearnersRequest{AfterRevision: afterRevision})
	if err != nil {
		return nil, 0, profileUnreachable(err)
	}
	reached := false
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, 0, profileUnreachable(err)
		}
		switch item := m.GetItem().(type) {
		case *profilev1.SyncLearnersResponse_Learner:
			zones = append(zones, LearnerZone{LearnerID: item.Learner.GetId(), TimeZone: item.Learner.GetTimeZone()})
		case *profilev1.SyncLearnersResponse_Revision:
			revision, reached = item.Revision, true
		}
	}
	if !reached {
		return nil, 0, errs.New(errs.Unavailable, "UPSTREAM_UNAVAILABLE", "profile's answer ended early")
	}
	return zones, revision, nil
}

func profileUnreachable(err error) error {
	return errs.Wrap(err, errs.Unavailable, "UPSTREAM_UNAVAILABLE", "profile cannot be reached")
}

// Subjects resolves identities to learners: from memory, from our own store, else by asking
// profile, which makes a learner at first sight. So known learners are served while profile is down.
type Subjects struct {
	store   Store
	profile profilev1.ProfileServiceClient
	now     func() time.Time

	mu    sync.Mutex
	known map[subject]knownSubject
}

type subject struct{ issuer, subject string }

type knownSubject struct {
	learnerID string
	until     time.Time
}

// The bounds of what Subjects keeps in memory.
const (
	maxKnownSubjects = 50_000
	subjectTTL       = time.Minute
)

var _ auth.Resolver = (*Subjects)(nil)

// NewSubjects makes a resolver.
func NewSubjects(store Store, profile profilev1.ProfileServiceClient, now func() time.Time) *Subjects {
	return &Subjects{store: store, profile: profile, now: now, known: map[subject]knownSubject{}}
}

// ResolveSubject answers the learner id of an identity.
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

func (s *Subjects) ask(ctx context.Context, issuer, sub string, hints auth.Hints) (Link, error) {
	r, err := s.profile.ResolveSubject(ctx, &profilev1.ResolveSubjectRequest{
		Subject: &profilev1.Subject{
			Issuer:  issuer,
			Subject: sub,
		}, DisplayName: hints.Name, Email: hints.Email, Locale: hints.Locale, TimeZone: hints.ZoneInfo,
	})
	if err != nil {
		return Link{}, err
	}
	link := Link{LearnerID: r.GetLearnerId(), TimeZone: r.GetTimeZone()}
	return link, s.store.SaveLink(ctx, issuer, sub, link)
}
