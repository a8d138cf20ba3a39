// Package clients calls the services that progress reads from, the catalog and profile, and
// translates what they send into the domain's types.
package clients

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/feed"
	"github.com/preceptor-dev/preceptor/internal/period"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// CatalogClient is a CatalogSource over the catalog's API.
type CatalogClient struct {
	client catalogv1.CatalogServiceClient
}

// NewCatalogClient makes a source of a client.
func NewCatalogClient(client catalogv1.CatalogServiceClient) *CatalogClient {
	return &CatalogClient{client: client}
}

// Sync returns everything that changed after a revision.
func (c *CatalogClient) Sync(ctx context.Context, afterRevision int64) (d progress.CatalogDelta, err error) {
	from := feed.Origin("the catalog")
	req := &catalogv1.SyncCatalogRequest{AfterRevision: afterRevision}
	err = feed.Receive(ctx, from, c.client.SyncCatalog, req, func(m *catalogv1.SyncCatalogResponse) (marker bool, err error) {
		switch item := m.GetItem().(type) {
		case *catalogv1.SyncCatalogResponse_Module:
			mod, err := moduleOf(item.Module)
			if err != nil {
				return false, err
			}
			d.Modules = append(d.Modules, mod)
		case *catalogv1.SyncCatalogResponse_Path:
			p, err := pathOf(item.Path)
			if err != nil {
				return false, err
			}
			d.Paths = append(d.Paths, p)
		case *catalogv1.SyncCatalogResponse_Revision:
			d.Revision, marker = item.Revision, true
		}
		return marker, nil
	})
	return d, err
}

func moduleOf(m *catalogv1.ModuleRecord) (progress.Module, error) {
	out := progress.Module{ID: m.GetId(), State: progress.ModuleState(m.GetState().String()), Revision: m.GetRevision()}
	for _, p := range m.GetArchivePeriods() {
		out.Archives = append(
			out.Archives,
			progress.ArchivePeriod{
				ArchiveTime: timeOfStamp(p.GetArchiveTime()),
				SunsetTime:  timeOfStamp(p.GetSunsetTime()),
				RestoreTime: timeOfStamp(p.GetRestoreTime()),
			},
		)
	}
	var before *progress.ModuleVersion
	for _, v := range m.GetVersions() {
		version, err := ModuleVersionOf(v)
		if err != nil {
			return out, err
		}
		version.MarkChanged(before)
		if version.Published, err = published(v); err != nil {
			return out, err
		}
		out.Versions = append(out.Versions, version)
		before = &version
	}
	return out, nil
}

// published encodes a version as it is passed on.
func published(version proto.Message) (progress.Published, error) {
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(version)
	if err != nil {
		return progress.Published{}, errs.Wrap(err, errs.Internal, errs.ReasonInternal, "a version cannot be encoded")
	}
	digest := sha256.Sum256(body)
	return progress.Published{Body: body, Digest: hex.EncodeToString(digest[:])}, nil
}

// ModuleVersionOf translates a version, without what of it is changed: that is a matter of the version before.
func ModuleVersionOf(v *catalogv1.ModuleVersion) (progress.ModuleVersion, error) {
	out := progress.ModuleVersion{
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
		out.Units = append(out.Units, unit)
	}
	var err error
	out.Currency, err = policyOf(v.GetCurrencyPolicy())
	return out, err
}

func unitOf(u *catalogv1.Unit) (progress.Unit, error) {
	whole, err := proto.MarshalOptions{Deterministic: true}.Marshal(u)
	if err != nil {
		return progress.Unit{}, errs.Wrap(err, errs.Internal, errs.ReasonInternal, "a unit cannot be encoded")
	}
	digest := sha256.Sum256(whole)
	return progress.Unit{
		ID: u.GetId(), Title: u.GetTitle(), Required: u.GetRequired(), Weight: u.GetWeight(), MoveOn: progress.MoveOn(u.GetMoveOn().String()),
		MasteryScore: u.MasteryScore, Digest: hex.EncodeToString(digest[:16]),
	}, nil
}

func policyOf(p *catalogv1.CurrencyPolicy) (*progress.CurrencyPolicy, error) {
	if p == nil {
		return nil, nil //nolint:nilnil // no policy is an answer
	}
	out := &progress.CurrencyPolicy{Basis: progress.Basis(p.GetBasis().String())}
	for _, field := range []struct {
		text string
		to   *period.Period
	}{{p.GetPeriod(), &out.Period}, {p.GetWindow(), &out.Window}, {p.GetGrace(), &out.Grace}} {
		if field.text == "" {
			continue
		}
		parsed, err := period.Parse(field.text)
		if err != nil {
			return nil, errs.Wrap(err, errs.Internal, errs.ReasonInternal, "the catalog sent a currency policy that cannot be read")
		}
		*field.to = parsed
	}
	if out.Basis == progress.BasisFixedDate {
		date, err := time.Parse("01-02", p.GetFixedDate())
		if err != nil {
			return nil, errs.Wrap(err, errs.Internal, errs.ReasonInternal, "the catalog sent a fixed date that cannot be read")
		}
		out.FixedMonth, out.FixedDay = date.Month(), date.Day()
	}
	return out, nil
}

func pathOf(p *catalogv1.PathRecord) (progress.Path, error) {
	out := progress.Path{ID: p.GetId(), State: progress.ModuleState(p.GetState().String()), Revision: p.GetRevision()}
	for _, v := range p.GetVersions() {
		version := PathVersionOf(v)
		var err error
		if version.Published, err = published(v); err != nil {
			return out, err
		}
		out.Versions = append(out.Versions, version)
	}
	return out, nil
}

// PathVersionOf translates a path version.
func PathVersionOf(v *catalogv1.PathVersion) progress.PathVersion {
	out := progress.PathVersion{
		Number: int(v.GetNumber()), Title: v.GetTitle(),
		PublishTime: timeOfStamp(v.GetPublishTime()), MandateTime: timeOfStamp(v.GetMandateTime()),
	}
	for _, m := range v.GetMilestones() {
		ms := progress.Milestone{ID: m.GetId(), Title: m.GetTitle()}
		for _, g := range m.GetGroups() {
			group := progress.Group{ModuleIDs: g.GetModuleIds()}
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
