package grpcapi_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/services/catalog"
	"github.com/preceptor-dev/preceptor/services/catalog/catalogtest"
)

// counting is progress as far as the catalog knows it. It can fail, and be slow.
type counting struct {
	progressv1.UnimplementedProgressServiceServer

	module func(context.Context, *progressv1.CountModuleImpactRequest) (*catalogv1.ModuleImpact, error)
	path   func(context.Context, *progressv1.CountPathImpactRequest) (*catalogv1.PathImpact, error)
}

func (c *counting) CountModuleImpact(ctx context.Context, req *progressv1.CountModuleImpactRequest) (*progressv1.CountModuleImpactResponse, error) {
	impact, err := c.module(ctx, req)
	return &progressv1.CountModuleImpactResponse{Impact: impact}, err
}

func (c *counting) CountPathImpact(ctx context.Context, req *progressv1.CountPathImpactRequest) (*progressv1.CountPathImpactResponse, error) {
	impact, err := c.path(ctx, req)
	return &progressv1.CountPathImpactResponse{Impact: impact}, err
}

// counted returns always the same, and keeps what it was asked.
func counted() (progress *counting, modules *[]*progressv1.CountModuleImpactRequest, paths *[]*progressv1.CountPathImpactRequest) {
	modules, paths = &[]*progressv1.CountModuleImpactRequest{}, &[]*progressv1.CountPathImpactRequest{}
	return &counting{
		module: func(_ context.Context, req *progressv1.CountModuleImpactRequest) (*catalogv1.ModuleImpact, error) {
			*modules = append(*modules, req)
			return aModuleImpact(), nil
		},
		path: func(_ context.Context, req *progressv1.CountPathImpactRequest) (*catalogv1.PathImpact, error) {
			*paths = append(*paths, req)
			return aPathImpact(), nil
		},
	}, modules, paths
}

func aModuleImpact() *catalogv1.ModuleImpact {
	return &catalogv1.ModuleImpact{
		LearnersCompleted: 7, LearnersInProgress: 6, LearnersToRetrain: 5, LearnersLosingCredit: 4,
		Paths: []*catalogv1.ImpactedPath{{PathId: "way", Title: "Way", MilestoneIds: []string{"first", "last"}, Enrollments: 3}},
	}
}

func aPathImpact() *catalogv1.PathImpact {
	return &catalogv1.PathImpact{
		UpgradeOffers: 9, ChangedMilestoneIds: []string{"first"}, AwardsHeld: 2,
		Enrollments: []*catalogv1.PinnedEnrollments{{PathVersion: 1, Enrollments: 8}, {PathVersion: 2, Enrollments: 1}},
	}
}

// TestModuleImpact proves that progress is asked about the version that the draft would
// become, whether it can be published or not, and that its answer comes through whole.
func TestModuleImpact(t *testing.T) {
	progress, asked, _ := counted()
	h := newHarnessWith(t, progress)
	author := h.as(t, auth.RoleAuthor)
	preview := func(req *catalogv1.PreviewModuleRequest) *catalogv1.PreviewModuleResponse {
		t.Helper()
		req.ModuleId = "a"
		resp, err := h.PreviewModule(author, req)
		must(t, err)
		return resp
	}
	h.create(t, "a", moduleV1())
	if first := preview(&catalogv1.PreviewModuleRequest{ChangeClass: catalogv1.ModuleVersion_MINOR}); !proto.Equal(first.GetImpact(), aModuleImpact()) {
		t.Errorf("impact %v", first.GetImpact())
	}
	published, err := h.PublishModule(author, &catalogv1.PublishModuleRequest{ModuleId: "a"})
	must(t, err)
	if got, want := (*asked)[0].GetDraft(), published.GetModule().GetVersion(); !proto.Equal(got, want) {
		t.Errorf("asked about\n%v, published\n%v", got, want)
	}

	if none := preview(&catalogv1.PreviewModuleRequest{}); none.GetImpact() != nil || len(*asked) != 1 {
		t.Errorf("without a draft: %v, asked %v", none, *asked)
	}
	_, err = h.UpdateModule(author, &catalogv1.UpdateModuleRequest{ModuleId: "a", Content: &catalogv1.ModuleVersion{
		Prerequisites: []string{"nobody"}, Units: []*catalogv1.Unit{{Id: "phi", Title: "Other PHI"}},
	}})
	must(t, err)
	h.clock.add(time.Hour)
	later := timestamppb.New(h.clock.now().Add(time.Hour))
	faulty := preview(&catalogv1.PreviewModuleRequest{
		ChangeClass: catalogv1.ModuleVersion_MATERIAL, Retake: catalogv1.ModuleVersion_ALL_UNITS, EffectiveTime: later,
	})
	if len(faulty.GetViolations()) != 1 || !proto.Equal(faulty.GetImpact(), aModuleImpact()) {
		t.Errorf("with a violation: %v", faulty)
	}
	second := (*asked)[1]
	if v := second.GetDraft(); second.GetModuleId() != "a" || v.GetNumber() != 2 || v.GetChangeClass() != catalogv1.ModuleVersion_MATERIAL ||
		v.GetRetake() != catalogv1.ModuleVersion_ALL_UNITS || !proto.Equal(v.GetEffectiveTime(), later) ||
		!proto.Equal(v.GetPublishTime(), timestamppb.New(h.clock.now())) || v.GetUnits()[0].GetMoveOn() != catalogv1.Unit_COMPLETED {
		t.Errorf("asked about %v", second)
	}
	preview(&catalogv1.PreviewModuleRequest{})
	if v := (*asked)[2].GetDraft(); v.ChangeClass != nil || !proto.Equal(v.GetEffectiveTime(), timestamppb.New(h.clock.now())) {
		t.Errorf("asked about %v", v)
	}

	_, err = h.UpdateModule(author, &catalogv1.UpdateModuleRequest{ModuleId: "a", Content: &catalogv1.ModuleVersion{
		CurrencyPolicy: &catalogv1.CurrencyPolicy{Period: "P1Y", Basis: catalogv1.CurrencyPolicy_FIXED_DATE}, // without its date
	}})
	must(t, err)
	if undated := preview(&catalogv1.PreviewModuleRequest{}); len(undated.GetViolations()) == 0 || undated.GetImpact() != nil || len(*asked) != 3 {
		t.Errorf("with a currency policy that says nothing: %v, asked %v", undated, *asked)
	}
}

func TestPathImpact(t *testing.T) {
	progress, _, asked := counted()
	h := newHarnessWith(t, progress)
	catalogtest.PublishVersions(t, h.service, 1, func() { h.clock.add(time.Hour) })
	author := h.as(t, auth.RoleAuthor)
	none, err := h.PreviewPath(author, &catalogv1.PreviewPathRequest{PathId: "way"})
	if err != nil || none.GetImpact() != nil || len(*asked) > 0 {
		t.Errorf("without a draft: %v, %v, asked %v", none, err, *asked)
	}
	_, err = h.UpdatePath(author, &catalogv1.UpdatePathRequest{PathId: "way", Content: &catalogv1.PathVersion{Title: "Another way"}})
	must(t, err)
	preview, err := h.PreviewPath(author, &catalogv1.PreviewPathRequest{PathId: "way"})
	if err != nil || !proto.Equal(preview.GetImpact(), aPathImpact()) {
		t.Errorf("preview %v, %v", preview, err)
	}
	published, err := h.PublishPath(author, &catalogv1.PublishPathRequest{PathId: "way"})
	must(t, err)
	if got, want := (*asked)[0], published.GetPath().GetVersion(); got.GetPathId() != "way" || !proto.Equal(got.GetDraft(), want) {
		t.Errorf("asked about\n%v, published\n%v", got, want)
	}
}

// TestNoImpact proves that a preview answers all else, in time, when progress does not.
func TestNoImpact(t *testing.T) {
	t.Parallel()
	for name, progress := range map[string]*counting{
		"failing": {
			module: func(context.Context, *progressv1.CountModuleImpactRequest) (*catalogv1.ModuleImpact, error) {
				return nil, errors.New("out of order")
			},
			path: func(context.Context, *progressv1.CountPathImpactRequest) (*catalogv1.PathImpact, error) {
				return nil, errors.New("out of order")
			},
		},
		"saying nothing": {
			module: func(context.Context, *progressv1.CountModuleImpactRequest) (*catalogv1.ModuleImpact, error) {
				return nil, nil //nolint:nilnil // an answer that lacks its impact
			},
			path: func(context.Context, *progressv1.CountPathImpactRequest) (*catalogv1.PathImpact, error) {
				return nil, nil //nolint:nilnil // an answer that lacks its impact
			},
		},
		"slow": {
			module: func(ctx context.Context, _ *progressv1.CountModuleImpactRequest) (*catalogv1.ModuleImpact, error) {
				<-ctx.Done()
				return aModuleImpact(), nil
			},
			path: func(ctx context.Context, _ *progressv1.CountPathImpactRequest) (*catalogv1.PathImpact, error) {
				<-ctx.Done()
				return aPathImpact(), nil
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantNoImpact(t, newHarnessWith(t, progress))
		})
	}
	t.Run("nobody to ask", func(t *testing.T) {
		t.Parallel()
		wantNoImpact(t, newHarness(t))
	})
}

func wantNoImpact(t *testing.T, h *harness) {
	t.Helper()
	catalogtest.Publish(t, h.service.Modules, "other", catalogtest.Module(), catalog.Publication{})
	h.create(t, "a", moduleV1())
	catalogtest.Draft(t, h.service.Paths, "way", catalogtest.Path("other", "nobody"))
	m, err := h.PreviewModule(h.as(t, auth.RoleAuthor), &catalogv1.PreviewModuleRequest{ModuleId: "a"})
	if err != nil || m.GetImpact() != nil || len(m.GetChangedUnitIds()) != 2 {
		t.Errorf("module: %v, %v", m, err)
	}
	p, err := h.PreviewPath(h.as(t, auth.RoleAuthor), &catalogv1.PreviewPathRequest{PathId: "way"})
	if err != nil || p.GetImpact() != nil || len(p.GetViolations()) != 1 || len(p.GetAddedModuleIds()) != 2 {
		t.Errorf("path: %v, %v", p, err)
	}
}
