package catalog_test

import (
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/services/catalog"
)

// editions publishes versions of the path "way", an hour apart.
func editions(t *testing.T, s *catalog.Service, c *clock, versions int) {
	t.Helper()
	publish(t, s.Modules, "a", module(), catalog.Publication{})
	for i := range versions {
		content := path("a")
		content.Summary = strings.Repeat("x", i)
		publish(t, s.Paths, "way", content, catalog.Publication{})
		c.add(time.Hour)
	}
}

// mandated are the mandate times of the path's versions, by number.
func mandated(t *testing.T, s *catalog.Service) map[int]time.Time {
	t.Helper()
	page, err := s.Paths.Versions(t.Context(), "way", 0, "", true)
	must(t, err)
	times := map[int]time.Time{}
	for _, v := range page.Items {
		if !v.MandateTime.IsZero() {
			times[v.Number] = v.MandateTime
		}
	}
	return times
}

func TestMandate(t *testing.T) {
	s, c := newService(t)
	editions(t, s, c, 3)
	before, err := s.Paths.Get(t.Context(), "way", true)
	must(t, err)
	revision, err := s.Revision(t.Context())
	must(t, err)

	p, err := s.Mandate(t.Context(), "way", catalog.Mandate{Number: 3, Reason: "The law changed.", Actor: "ada"}, []string{before.Etag()})
	must(t, err)
	want := *before.Version
	want.MandateTime = c.now()
	if !reflect.DeepEqual(*p.Version, want) || p.Edits != before.Edits+1 || !p.UpdateTime.Equal(c.now()) ||
		p.Etag() == before.Etag() || p.Revision != revision+1 {
		t.Errorf("mandated %+v of %+v", p, p.Version)
	}
	stored, err := s.Paths.Get(t.Context(), "way", true)
	must(t, err)
	if !reflect.DeepEqual(stored, p) {
		t.Errorf("stored %+v, answered %+v", stored, p)
	}
	changes, _, err := s.Changes(t.Context(), revision, 0)
	must(t, err)
	wantChange := catalog.Change{
		Revision: revision + 1, Kind: catalog.KindPath, ID: "way", Action: catalog.ActionMandated, Version: 3, Time: c.now(), Actor: "ada",
	}
	if len(changes) != 1 || changes[0] != wantChange {
		t.Errorf("changes %+v, want %+v", changes, wantChange)
	}
	snapshot, err := s.Sync(t.Context(), revision)
	must(t, err)
	if len(snapshot.Paths) != 1 || !snapshot.Paths[0].Versions[2].MandateTime.Equal(c.now()) {
		t.Errorf("synced %+v", snapshot)
	}
}

// TestMandateTimes goes with one path through orders of other times.
func TestMandateTimes(t *testing.T) {
	s, c := newService(t)
	editions(t, s, c, 4)
	at := c.now()
	day := func(n int) time.Time { return at.AddDate(0, 0, n) }
	for _, step := range []struct {
		name   string
		number int
		from   time.Time
		reason string
		want   map[int]time.Time
	}{
		{"an older one first", 2, day(30), "", map[int]time.Time{2: day(30)}},
		{"a newer one later", 3, day(40), "", map[int]time.Time{2: day(30), 3: day(40)}},
		{"the same again", 3, day(40), "", map[int]time.Time{2: day(30), 3: day(40)}},
		{"the same later", 3, day(50), "", map[int]time.Time{2: day(30), 3: day(40)}},
		{"the same earlier", 3, day(20), "", map[int]time.Time{2: day(30), 3: day(20)}},
		{"what was answered before", 2, day(30), "", map[int]time.Time{2: day(30), 3: day(20)}},
		{"an older one when a newer one is", 2, day(20), catalog.ReasonMandateToOlder, nil},
		{"an older one before a newer one is", 2, day(10), "", map[int]time.Time{2: day(10), 3: day(20)}},
		{"the newest", 4, day(20), "", map[int]time.Time{2: day(10), 3: day(20), 4: day(20)}},
		{"a slow clock", 4, at.Add(-4 * time.Minute), "", map[int]time.Time{2: day(10), 3: day(20), 4: at}},
		{"the first", 1, time.Time{}, catalog.ReasonNothingToMandate, nil},
		{"none", 5, time.Time{}, catalog.ReasonVersionNotFound, nil},
	} {
		before, revision := mandated(t, s), revisionOf(t, s)
		_, err := s.Mandate(t.Context(), "way", catalog.Mandate{Number: step.number, EffectiveTime: step.from, Actor: "ada"}, nil)
		if step.reason != "" {
			wantReason(t, err, step.reason)
			step.want = before
		} else {
			must(t, err)
		}
		got := mandated(t, s)
		if !maps.Equal(got, step.want) {
			t.Errorf("%s: %v, want %v", step.name, got, step.want)
		}
		if changed := revisionOf(t, s) != revision; changed == maps.Equal(before, got) {
			t.Errorf("%s: announced %t, of %v to %v", step.name, changed, before, got)
		}
	}
	for _, bad := range []time.Time{at.Add(-6 * time.Minute), at.AddDate(6, 0, 0)} {
		_, err := s.Mandate(t.Context(), "way", catalog.Mandate{Number: 2, EffectiveTime: bad, Reason: "a\x00"}, nil)
		wantFaults(t, err, "effectiveTime BAD_EFFECTIVE_TIME", "reason STRING_NUL")
	}
}

func revisionOf(t *testing.T, s *catalog.Service) int64 {
	t.Helper()
	revision, err := s.Revision(t.Context())
	must(t, err)
	return revision
}

func TestMandateOfOthers(t *testing.T) {
	s, c := newService(t)
	editions(t, s, c, 2)
	draft(t, s.Paths, "unborn", path("a"))
	order := catalog.Mandate{Number: 2, Actor: "ada"}
	_, err := s.Mandate(t.Context(), "nobody", order, nil)
	wantReason(t, err, catalog.ReasonPathNotFound)
	_, err = s.Mandate(t.Context(), "unborn", order, nil)
	wantReason(t, err, catalog.ReasonNotActive)
	_, err = s.Mandate(t.Context(), "way", order, []string{"old"})
	wantReason(t, err, catalog.ReasonEtagMismatch)
	_, err = s.Paths.Archive(t.Context(), "way", time.Time{}, nil, "ada")
	must(t, err)
	_, err = s.Mandate(t.Context(), "way", order, nil)
	wantReason(t, err, catalog.ReasonNotActive)
	if got := mandated(t, s); len(got) > 0 {
		t.Errorf("mandatory is %v", got)
	}
}

// TestMandateLasts proves that editing, publishing and archiving leave a mandate alone.
func TestMandateLasts(t *testing.T) {
	s, c := newService(t)
	editions(t, s, c, 2)
	_, err := s.Mandate(t.Context(), "way", catalog.Mandate{Number: 2}, nil)
	must(t, err)
	want := mandated(t, s)
	c.add(time.Hour)
	content := path("a")
	content.Title = "Third"
	third := publish(t, s.Paths, "way", content, catalog.Publication{})
	_, err = s.Paths.Archive(t.Context(), "way", time.Time{}, nil, "ada")
	must(t, err)
	_, err = s.Paths.Restore(t.Context(), "way", nil, "ada")
	must(t, err)
	if got := mandated(t, s); !maps.Equal(got, want) || !third.Version.MandateTime.IsZero() {
		t.Errorf("mandatory is %v, want %v", got, want)
	}
}

func TestMandatePathVersion(t *testing.T) {
	h := newHouse(t)
	editions(t, h.service, h.clock, 2)
	admin, learner := h.as(t, auth.RoleAdmin), h.as(t, auth.RoleLearner)
	get := func() *catalogv1.PathVersion {
		got, err := h.GetPath(learner, &catalogv1.GetPathRequest{PathId: "way"})
		must(t, err)
		return got.GetPath().GetVersion()
	}
	want := get()
	if want.GetMandateTime() != nil {
		t.Errorf("version %v", want)
	}
	in := timestamppb.New(h.clock.now().Add(time.Hour))
	req := &catalogv1.MandatePathVersionRequest{PathId: "way", Number: 2, EffectiveTime: in, Reason: "The law changed."}
	for _, role := range []auth.Role{auth.RoleLearner, auth.RoleManager, auth.RoleAuthor} {
		_, err := h.MandatePathVersion(h.as(t, role), req)
		wantStatus(t, err, codes.PermissionDenied, "ROLE_REQUIRED")
	}
	var header metadata.MD
	done, err := h.MandatePathVersion(admin, req, grpc.Header(&header))
	must(t, err)
	want.MandateTime = in
	if got := done.GetPath(); !proto.Equal(got.GetVersion(), want) || first(header, "preceptor-catalog-revision") != "4" ||
		first(header, "etag") != `"`+got.GetEtag()+`"` {
		t.Errorf("mandated %v, %v", done, header)
	}
	again, err := h.MandatePathVersion(admin, req, grpc.Header(&header))
	if err != nil || !proto.Equal(again, done) || first(header, "preceptor-catalog-revision") != "4" {
		t.Errorf("again: %v, %v, %v", again, header, err)
	}
	if got := get(); !proto.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	one, err := h.GetPathVersion(learner, &catalogv1.GetPathVersionRequest{PathId: "way", Number: 2})
	if err != nil || !proto.Equal(one.GetVersion(), want) {
		t.Errorf("version %v, %v", one, err)
	}
	all, err := h.ListPathVersions(learner, &catalogv1.ListPathVersionsRequest{PathId: "way"})
	if err != nil || !proto.Equal(all.GetVersions()[0], want) || all.GetVersions()[1].GetMandateTime() != nil {
		t.Errorf("versions %v, %v", all, err)
	}
	changes, err := h.ListCatalogChanges(admin, &catalogv1.ListCatalogChangesRequest{AfterRevision: 3})
	if err != nil || len(changes.GetChanges()) != 1 || changes.GetChanges()[0].GetAction() != catalogv1.CatalogChange_MANDATED ||
		changes.GetChanges()[0].GetVersion() != 2 || changes.GetChanges()[0].GetActor() != "the-admin" {
		t.Errorf("changes %v, %v", changes, err)
	}
	stream, err := catalogv1.NewCatalogServiceClient(h.server.InProcess("progress")).
		SyncCatalog(t.Context(), &catalogv1.SyncCatalogRequest{AfterRevision: 3})
	must(t, err)
	synced, err := stream.Recv()
	if err != nil || !proto.Equal(synced.GetPath().GetVersions()[1], want) {
		t.Errorf("synced %v, %v", synced, err)
	}
}

func TestMandatePathVersionRefused(t *testing.T) {
	h := newHouse(t)
	editions(t, h.service, h.clock, 2)
	order := func(number int32, change func(*catalogv1.MandatePathVersionRequest), pairs ...string) error {
		req := &catalogv1.MandatePathVersionRequest{PathId: "way", Number: number}
		if change != nil {
			change(req)
		}
		_, err := h.MandatePathVersion(h.as(t, auth.RoleAdmin, pairs...), req)
		return err
	}
	wantStatus(t, order(3, nil), codes.NotFound, "VERSION_NOT_FOUND")
	wantStatus(t, order(1, nil), codes.FailedPrecondition, "NOTHING_TO_MANDATE")
	wantStatus(t, order(2, nil, "if-match", `"old"`), codes.FailedPrecondition, "ETAG_MISMATCH")
	wantStatus(t, order(2, func(r *catalogv1.MandatePathVersionRequest) { r.Etag = "old" }), codes.FailedPrecondition, "ETAG_MISMATCH")
	wantStatus(t, order(2, func(r *catalogv1.MandatePathVersionRequest) { r.PathId = "nobody" }), codes.NotFound, "PATH_NOT_FOUND")
	wantStatus(t, order(2, func(r *catalogv1.MandatePathVersionRequest) {
		r.EffectiveTime = timestamppb.New(start.AddDate(-1, 0, 0))
	}),
		codes.InvalidArgument, "", "effectiveTime BAD_EFFECTIVE_TIME")
	wantStatus(t, order(2, func(r *catalogv1.MandatePathVersionRequest) {
		r.EffectiveTime = &timestamppb.Timestamp{Seconds: 1 << 60}
	}),
		codes.InvalidArgument, "", "effectiveTime TIMESTAMP")
	wantStatus(t, order(2, func(r *catalogv1.MandatePathVersionRequest) { r.Reason = "\x1b[2J" }),
		codes.InvalidArgument, "", "reason CONTROL_CHARACTER")
	wantStatus(t, order(0, func(r *catalogv1.MandatePathVersionRequest) { r.Reason = strings.Repeat("x", 2001) }),
		codes.InvalidArgument, "", "number INT32_GTE", "reason STRING_MAX_LEN")
	if got := mandated(t, h.service); len(got) > 0 {
		t.Errorf("mandatory is %v", got)
	}
}
