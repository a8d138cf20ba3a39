package grpcapi_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/timestamppb"

	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// headers keeps the headers of a call that comes over no network.
type headers struct {
	grpc.ServerTransportStream

	md metadata.MD
}

func (h *headers) SetHeader(md metadata.MD) error {
	h.md = metadata.Join(h.md, md)
	return nil
}

// answering returns a context whose headers are kept.
func (h *headers) answering(ctx context.Context) context.Context {
	h.md = nil
	return grpc.NewContextWithServerTransportStream(ctx, h)
}

func (h *headers) get(name string) string { return strings.Join(h.md.Get(name), " ") }

// course is a rig with modules that depend on each other, all in path p: b needs a, c is given for a, and
// d stands alone.
func course(t *testing.T) *rig {
	t.Helper()
	a, b, c, d := module1("a", unit("u"), unit("v")), module1("b", unit("u")), module1("c", unit("u")), module1("d", unit("u"))
	b.Versions[0].Prerequisites = []string{"a"}
	c.Versions[0].Credits = [][]string{{"a"}}
	r := newRig(t, []progress.Module{a, b, c, d, module1("outside", unit("u"))}, []progress.Path{path1("p", milestone("m", all("a", "b", "c", "d")))})
	r.Refresh()
	return r
}

// moduleTag asks for a module's progress, and returns its ETag and the sequence that it is as of.
func moduleTag(t *testing.T, r *rig, learner, module string) (etag, sequence string) {
	t.Helper()
	h := new(headers)
	if _, err := r.Service.Server().GetModuleProgress(h.answering(r.Ctx), &progressv1.GetModuleProgressRequest{LearnerId: learner, ModuleId: module}); err != nil {
		t.Fatal(err)
	}
	return h.get("etag"), h.get("preceptor-as-of-sequence")
}

// A module's ETag changes with its answer: by its own events, by what locks it, by what is given for it, by
// time and by the catalog; and not by events of another module, which the header says are counted.
func TestModuleETagIsOfTheModule(t *testing.T) {
	t.Parallel()
	r := course(t)
	learner := r.Learner()
	tags := map[string]string{}
	step := func(what string, changed ...string) {
		t.Helper()
		for _, id := range []string{"a", "b", "c", "d"} {
			etag, _ := moduleTag(t, r, learner, id)
			if is := tags[id] != etag; is != slices.Contains(changed, id) {
				t.Errorf("%s: the answer of %s changed: %v", what, id, is)
			}
			tags[id] = etag
		}
	}
	step("at first", "a", "b", "c", "d")
	r.Enroll(learner, "p")
	step("enrolled")
	r.Accept(learner, self(learner), event("d", "u", progress.Progressed, day0))
	step("an event of d", "d")
	r.Accept(learner, self(learner), event("a", "u", progress.Completed, day0))
	step("half of a", "a")
	r.Accept(learner, self(learner), event("a", "v", progress.Completed, day0))
	step("all of a", "a", "b", "c")
	if _, sequence := moduleTag(t, r, learner, "d"); sequence != "4" {
		t.Errorf("d is as of %s, want 4", sequence)
	}
	d := module1("d", unit("u"), unit("new"))
	d.Versions[0].Units[1].Required = false
	r.Catalog.Publish([]progress.Module{d}, nil)
	r.Refresh()
	step("another d", "d")
}

// listed asks for modules, and returns their ids.
func listed(t *testing.T, r *rig, req *progressv1.ListModuleProgressRequest) ([]string, *progressv1.ListModuleProgressResponse) {
	t.Helper()
	out, err := r.Service.Server().ListModuleProgress(new(headers).answering(r.Ctx), req)
	if err != nil {
		t.Fatal(err)
	}
	ids := []string{}
	for _, m := range out.GetModules() {
		ids = append(ids, m.GetModuleId())
	}
	return ids, out
}

func TestListModuleProgress(t *testing.T) {
	t.Parallel()
	r := course(t)
	learner := r.Learner()
	server := r.Service.Server()
	_, err := server.ListModuleProgress(r.Ctx, &progressv1.ListModuleProgressRequest{LearnerId: learner, Path: "p"})
	if reasonOf(err) != errs.ReasonNotEnrolled {
		t.Errorf("without an enrollment: %v", err)
	}
	r.Enroll(learner, "p")                                                                                                     // 1
	r.Accept(learner, self(learner), event("d", "u", progress.Progressed, day0), event("outside", "u", progress.Passed, day0)) // 2, 3
	r.Accept(learner, self(learner), event("a", "u", progress.Completed, day0))                                                // 4
	last := event("a", "v", progress.Completed, day0)
	r.Accept(learner, self(learner), last) // 5
	again := event("a", "v", progress.Completed, day0)
	r.Accept(learner, self(learner), again)                                                                                                    // 6, which changes nothing
	r.Accept(learner, admin(), progress.Event{ID: newLearner(), Verb: progress.Voided, VoidsEventID: last.ID, Reason: "r", OccurredAt: day0})  // 7, nor does this
	r.Accept(learner, admin(), progress.Event{ID: newLearner(), Verb: progress.Voided, VoidsEventID: again.ID, Reason: "r", OccurredAt: day0}) // 8
	for _, c := range []struct {
		path  string
		after int64
		want  []string
	}{
		{"p", 0, []string{"a", "b", "c", "d"}},
		{"", 0, []string{"a", "d", "outside"}},
		{"p", 1, []string{"a", "d"}}, // b was locked before, and is again
		{"", 1, []string{"a", "d", "outside"}},
		{"p", 3, []string{"a"}},
		{"p", 5, []string{"a", "b", "c"}},
		{"", 6, []string{"a"}},
		{"p", 8, []string{}},
		{"p", 99, []string{}},
	} {
		got, out := listed(t, r, &progressv1.ListModuleProgressRequest{LearnerId: learner, Path: c.path, ChangedAfterSequence: c.after})
		if !slices.Equal(got, c.want) || out.GetAsOfSequence() != 8 || out.GetNextPageToken() != "" {
			t.Errorf("of path %q after %d: %v as of %d, want %v", c.path, c.after, got, out.GetAsOfSequence(), c.want)
		}
	}
	_, out := listed(t, r, &progressv1.ListModuleProgressRequest{LearnerId: learner, Path: "p"})
	if a, c := out.GetModules()[0], out.GetModules()[2]; len(a.GetUnits()) != 1 || a.GetUnits()[0].GetUnitId() != "u" || !a.GetUnits()[0].GetDone() || len(c.GetUnits()) != 0 {
		t.Errorf("of a, u is done, and of c, nothing: %v, %v", a, c)
	}
}

func TestModuleProgressPages(t *testing.T) {
	t.Parallel()
	r := course(t)
	learner := r.Learner()
	r.Enroll(learner, "p")
	server := r.Service.Server()
	for _, after := range []int64{0, 1} {
		r.Accept(learner, self(learner), event("d", "u", progress.Completed, day0), event("a", "u", progress.Completed, day0),
			event("a", "v", progress.Completed, day0))
		req := &progressv1.ListModuleProgressRequest{LearnerId: learner, Path: "p", PageSize: 2, ChangedAfterSequence: after}
		first, page := listed(t, r, req)
		req.PageToken = page.GetNextPageToken()
		second, end := listed(t, r, req)
		if fmt.Sprint(first, second) != "[a b] [c d]" || end.GetNextPageToken() != "" {
			t.Errorf("after %d: pages %v, %v, then %q", after, first, second, end.GetNextPageToken())
		}
		for name, other := range map[string]*progressv1.ListModuleProgressRequest{
			"another path":     {LearnerId: learner, PageToken: req.GetPageToken(), ChangedAfterSequence: after},
			"another sequence": {LearnerId: learner, PageToken: req.GetPageToken(), Path: "p", ChangedAfterSequence: 7},
			"another learner":  {LearnerId: r.Learner(), PageToken: req.GetPageToken(), Path: "p", ChangedAfterSequence: after},
			"no token":         {LearnerId: learner, PageToken: "x!", Path: "p"},
		} {
			if _, err := server.ListModuleProgress(r.Ctx, other); reasonOf(err) != errs.ReasonBadPageToken {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// batch sends events over the API, and returns what it touched as text.
func batch(t *testing.T, r *rig, learner string, by progress.Actor, events ...*progressv1.ProgressEvent) (string, *progressv1.BatchRecordEventsResponse) {
	t.Helper()
	roles := []auth.Role{auth.RoleLearner}
	if by.Admin {
		roles = append(roles, auth.RoleAdmin)
	}
	ctx := auth.NewContext(r.Ctx, auth.Principal{Issuer: "test", Subject: by.ID, LearnerID: by.LearnerID, Roles: roles})
	out, err := r.Service.Server().BatchRecordEvents(ctx, &progressv1.BatchRecordEventsRequest{
		LearnerId: learner, Events: events, Include: progressv1.BatchRecordEventsRequest_PROGRESS,
	})
	if err != nil {
		t.Fatal(err)
	}
	var text []string
	for _, p := range out.GetProgress().GetPaths() {
		text = append(text, fmt.Sprintf("%s: %s %d%% of %d;", p.GetPathId(), p.GetState(), p.GetPercent(), p.GetCompletedCount()))
	}
	for _, m := range out.GetProgress().GetModules() {
		text = append(text, fmt.Sprintf("%s: %s %d%% in %d;", m.GetModuleId(), m.GetState(), m.GetPercent(), m.GetCycle()))
	}
	return strings.Join(text, " "), out
}

// A batch that asks for it gets how far the learner is in what it touches: what is stored, stored before, taken
// back, unlocked by it and given for it; and nothing of the rest.
func TestBatchWithProgress(t *testing.T) {
	t.Parallel()
	r := course(t)
	learner := r.Learner()
	sent := func(module, unit string, verb progressv1.ProgressEvent_Verb) *progressv1.ProgressEvent {
		return &progressv1.ProgressEvent{EventId: newLearner(), ModuleId: module, UnitId: unit, Verb: verb, OccurredAt: timestamppb.New(day0)}
	}
	u, v := sent("a", "u", progressv1.ProgressEvent_COMPLETED), sent("a", "v", progressv1.ProgressEvent_COMPLETED)
	void := &progressv1.ProgressEvent{
		EventId: newLearner(), Verb: progressv1.ProgressEvent_VOIDED, VoidsEventId: v.GetEventId(), Reason: "r", OccurredAt: timestamppb.New(day0),
	}
	begun := sent("d", "u", progressv1.ProgressEvent_INITIALIZED)
	step := func(what, want string, by progress.Actor, events ...*progressv1.ProgressEvent) {
		t.Helper()
		got, out := batch(t, r, learner, by, events...)
		if got != want {
			t.Errorf("%s: %s\nwant %s", what, got, want)
		}
		_, head, err := r.Service.History(r.Ctx, learner, 0, 1)
		if err != nil || out.GetAsOfSequence() != head.Sequence || out.GetProgress() == nil {
			t.Errorf("%s: as of %d, and the log ends at %d: %v, %v", what, out.GetAsOfSequence(), head.Sequence, out, err)
		}
	}
	step("without an enrollment", "d: IN_PROGRESS 0% in 1;", self(learner), begun)
	r.Enroll(learner, "p")
	step("a part", "p: ACTIVE 0% of 0; a: IN_PROGRESS 50% in 1;", self(learner), u)
	whole := "p: ACTIVE 50% of 2; a: COMPLETED 100% in 1; b: AVAILABLE 0% in 0; c: COMPLETED 100% in 0;"
	step("the whole", whole, self(learner), v)
	step("again", whole, self(learner), u, v)
	step("with one that is refused", "p: ACTIVE 50% of 2; d: IN_PROGRESS 0% in 1;", self(learner), begun, sent("d", "no such unit", progressv1.ProgressEvent_COMPLETED))
	step("taken back", "p: ACTIVE 0% of 0; a: IN_PROGRESS 50% in 1; b: LOCKED 0% in 0; c: AVAILABLE 0% in 0;", admin(), void)
	step("nothing stored", "", self(learner), sent("d", "no such unit", progressv1.ProgressEvent_COMPLETED))
	step("nothing sent", "", self(learner))
	many := make([]*progressv1.ProgressEvent, 0, 200) // more than goes into one transaction
	for range 199 {
		many = append(many, sent("outside", "u", progressv1.ProgressEvent_PROGRESSED))
	}
	step("many", "p: ACTIVE 25% of 1; d: COMPLETED 100% in 1; outside: IN_PROGRESS 0% in 1;", self(learner),
		append(many, sent("d", "u", progressv1.ProgressEvent_COMPLETED))...)
}

// The log's id is one and the same wherever it is said, and after a restart; another database has another, and so
// has the same one after a restore.
func TestLogID(t *testing.T) {
	t.Parallel()
	r := course(t)
	learner := r.Learner()
	said := func(r *rig) string {
		t.Helper()
		r.Know(learner)
		e := &progressv1.ProgressEvent{
			EventId: newLearner(), ModuleId: "d", UnitId: "u", Verb: progressv1.ProgressEvent_PROGRESSED, OccurredAt: timestamppb.New(day0),
		}
		ids := map[string]string{}
		_, recorded := batch(t, r, learner, self(learner), e)
		ids["a batch"] = recorded.GetLogId()
		_, refused := batch(t, r, learner, self(learner), &progressv1.ProgressEvent{EventId: newLearner()})
		ids["a batch that is refused"] = refused.GetLogId()
		page, err := r.Service.Server().ListEvents(r.Ctx, &progressv1.ListEventsRequest{LearnerId: learner})
		ids["history"] = page.GetLogId()
		_, modules := listed(t, r, &progressv1.ListModuleProgressRequest{LearnerId: learner})
		_, cached := listed(t, r, &progressv1.ListModuleProgressRequest{LearnerId: learner})
		ids["modules"], ids["modules from the cache"] = modules.GetLogId(), cached.GetLogId()
		for _, after := range []int64{0, 99} {
			s := &watcher{ctx: r.Ctx}
			err := r.Service.Server().WatchProgress(&progressv1.WatchProgressRequest{LearnerId: learner, AfterSequence: &after}, s)
			if !errors.Is(err, errEnough) {
				t.Error(err)
			}
			ids[s.first.GetKind().String()] = s.first.GetLogId()
		}
		for what, id := range ids {
			if id != recorded.GetLogId() || uuid.Validate(id) != nil || err != nil {
				t.Errorf("%s is of log %q, %q elsewhere; %v", what, id, recorded.GetLogId(), err)
			}
		}
		if len(ids) != 7 {
			t.Errorf("asked: %v", ids)
		}
		return recorded.GetLogId()
	}
	first := said(r)
	r.Service = r.Replica()
	if again := said(r); again != first {
		t.Errorf("another process says %s, the first %s", again, first)
	}
	if other := said(course(t)); other == first {
		t.Error("another database has the same")
	}
	store, ok := r.Store.(interface {
		Renew(ctx context.Context) error
	})
	if !ok {
		t.Fatal("the store cannot be renewed")
	}
	if err := store.Renew(r.Ctx); err != nil {
		t.Fatal(err)
	}
	r.Service = r.Replica()
	if after := said(r); after == first {
		t.Error("it has not changed with the restore")
	}
}

// watcher is a stream that ends with its first message.
type watcher struct {
	grpc.ServerStreamingServer[progressv1.WatchProgressResponse]

	ctx   context.Context //nolint:containedctx // a stream has one
	first *progressv1.WatchProgressResponse
}

var errEnough = errors.New("enough")

func (s *watcher) Context() context.Context     { return s.ctx }
func (s *watcher) SendHeader(metadata.MD) error { return nil }

func (s *watcher) Send(m *progressv1.WatchProgressResponse) error {
	s.first = m
	return errEnough
}
