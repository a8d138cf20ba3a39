package grpcapi

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"

	"google.golang.org/protobuf/proto"

	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/internal/page"
	"github.com/preceptor-dev/preceptor/internal/rpc"
	"github.com/preceptor-dev/preceptor/services/progress"
	"github.com/preceptor-dev/preceptor/services/progress/engine"
)

// asOfSequence is the metadata that says as of which log entry an answer is, where its body does not.
const asOfSequence = "preceptor-as-of-sequence"

// GetModuleProgress returns how far a learner is in a module. Its ETag is of the answer alone, so that
// an event of another module, which makes a new version of the learner, leaves it valid.
func (g *Server) GetModuleProgress(ctx context.Context, r *progressv1.GetModuleProgressRequest) (*progressv1.GetModuleProgressResponse, error) {
	out := new(progressv1.GetModuleProgressResponse)
	a, err := g.read(ctx, r.GetLearnerId(), "module/"+r.GetModuleId(), out, func(w *progress.View) (proto.Message, error) {
		m, err := w.Module(r.GetModuleId())
		if err != nil {
			return nil, err
		}
		return &progressv1.GetModuleProgressResponse{Progress: moduleDetailProto(m)}, nil
	})
	if err != nil {
		return nil, err
	}
	more := []string{asOfSequence, strconv.FormatInt(a.Sequence, 10)}
	etag := etagOf(a.Body)
	if name := rpc.BareEtag(etag); a.Unchanged == "" && slices.Contains(rpc.Known(ctx), name) {
		return new(progressv1.GetModuleProgressResponse), rpc.Unchanged(ctx, name, more...)
	}
	return out, setHeaders(ctx, a, etag, more...)
}

// etagOf is the ETag of what consists of some parts.
func etagOf(parts ...[]byte) string {
	h := sha256.New()
	for _, p := range parts {
		_, _ = fmt.Fprintf(h, "%d:%s", len(p), p) // a hash never fails
	}
	return `"` + base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:15]) + `"`
}

// ListModuleProgress returns how far a learner is in many modules.
func (g *Server) ListModuleProgress(ctx context.Context, r *progressv1.ListModuleProgressRequest) (*progressv1.ListModuleProgressResponse, error) {
	q := engine.ModuleQuery{LearnerID: r.GetLearnerId(), PathID: r.GetPath(), ChangedAfter: r.GetChangedAfterSequence()}
	q.Size = page.Size(int(r.GetPageSize()))
	token, err := page.NewToken("modules", q.LearnerID, q.PathID, q.ChangedAfter)
	if err != nil {
		return nil, err
	}
	last, err := token.Read(r.GetPageToken(), 1)
	if err != nil {
		return nil, err
	}
	if last != nil {
		q.After = last[0]
	}
	out := new(progressv1.ListModuleProgressResponse)
	route := fmt.Sprintf("modules/%s/%d/%d/%s", q.PathID, q.ChangedAfter, q.Size, q.After)
	a, err := g.read(ctx, q.LearnerID, route, out, func(w *progress.View) (proto.Message, error) {
		modules, more, err := g.service.Modules(context.WithoutCancel(ctx), w, q)
		if err != nil {
			return nil, err
		}
		m := new(progressv1.ListModuleProgressResponse)
		for _, status := range modules {
			m.Modules = append(m.Modules, moduleStatusProto(status))
		}
		if more {
			m.NextPageToken = token.After(modules[len(modules)-1].ModuleID)
		}
		return m, nil
	})
	if err != nil {
		return nil, err
	}
	if a.Unchanged == "" {
		out.AsOfSequence, out.LogId = a.Sequence, a.LogID
	}
	return out, setHeaders(ctx, a, a.ETag)
}

func moduleStatusProto(m *progress.ModuleStatus) *progressv1.ModuleStatus {
	out := &progressv1.ModuleStatus{
		ModuleId: m.ModuleID, Version: count(m.Version), State: moduleState(m.State), Percent: countPtr(m.Percent), Cycle: count(m.Cycle),
		Resume: resumeProto(m.Resume), Currency: currencyProto(m.Currency), BlockedBy: m.BlockedBy, Credit: creditKind(m.Credit),
		CompleteTime: stamp(m.CompleteTime), PreviousPercent: countPtr(m.PreviousPercent), PercentChangeReason: changeProto(m.PercentChange),
		RestsOn: restProtos(m.RestsOn), Excused: excusedProto(m.Excused),
	}
	for i := range m.Units {
		u := &m.Units[i]
		out.Units = append(out.Units, &progressv1.UnitStatus{
			UnitId: u.Unit.ID, Done: !u.DoneTime.IsZero(), DoneTime: stamp(u.DoneTime), Waived: u.Waived, Progress: u.Progress, Score: u.Score,
			Attempts: count(u.Attempts),
		})
	}
	return out
}

func touchedProto(t *progress.Touched) *progressv1.BatchProgress {
	if t == nil {
		return nil
	}
	out := new(progressv1.BatchProgress)
	for i := range t.Paths {
		p := &t.Paths[i]
		out.Paths = append(out.Paths, &progressv1.PathStanding{
			PathId: p.Enrollment.PathID, State: enrollmentState(p.State), Percent: countPtr(p.Percent()), CompletedCount: count(p.Completed),
		})
	}
	for i := range t.Modules {
		m := &t.Modules[i]
		out.Modules = append(out.Modules, &progressv1.ModuleStanding{
			ModuleId: m.ModuleID, State: moduleState(m.State), Percent: countPtr(m.Percent), Cycle: count(m.Cycle),
		})
	}
	return out
}
