package server

import (
	"context"
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	profilev1 "github.com/preceptor-dev/preceptor/gen/preceptor/profile/v1"
	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/internal/auth"
)

// newcomers are people whom a process has never seen.
type newcomers struct {
	*process

	issuer   *auth.LocalIssuer
	profile  profilev1.ProfileServiceClient
	progress progressv1.ProgressServiceClient
	seen     int
}

// next returns the context of a call by one more.
func (n *newcomers) next(t *testing.T) context.Context {
	t.Helper()
	n.seen++
	token, err := n.issuer.Mint(fmt.Sprint("newcomer-", n.seen), nil, "Somebody New", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token)
}

func (n *newcomers) join(ctx context.Context) error {
	_, err := n.profile.GetLearner(ctx, &profilev1.GetLearnerRequest{LearnerId: auth.Me})
	return err
}

func (n *newcomers) write(ctx context.Context) error {
	_, err := n.progress.CreateWatchTicket(ctx, &progressv1.CreateWatchTicketRequest{LearnerId: auth.Me})
	return err
}

// fill lets others come until a database has no room for one more.
func (n *newcomers) fill(t *testing.T, service string, come func(context.Context) error) {
	t.Helper()
	limitPages(t, n.find(service).db, 1) // which is to say: as many as there are
	for range 2000 {
		if err := come(n.next(t)); status.Code(err) == codes.Unavailable {
			return
		}
	}
	t.Fatalf("%s is never full", service)
}

// TestNewcomersReadWhileADatabaseIsFull has people come whom profile, or progress, or both cannot store.
// What they read is what a learner without records reads, and nothing of it is stored.
func TestNewcomersReadWhileADatabaseIsFull(t *testing.T) {
	t.Parallel()
	for name, full := range map[string]struct{ profile, progress bool }{"profile": {profile: true}, "progress": {progress: true}, "both": {true, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := openAll(t)
			issuer, err := auth.OpenLocalIssuer(p.cfg.Data, p.now)
			if err != nil {
				t.Fatal(err)
			}
			n := &newcomers{
				process: p, issuer: issuer,
				profile:  profilev1.NewProfileServiceClient(p.find(Profile).server.InProcess(Gateway)),
				progress: progressv1.NewProgressServiceClient(p.find(Progress).server.InProcess(Gateway)),
			}
			if full.progress {
				n.fill(t, Progress, n.write)
			}
			if full.profile {
				n.fill(t, Profile, n.join)
			}
			before := n.learners(t)
			n.readAll(t, full.profile)
			if after := n.learners(t); full.profile && after != before {
				t.Errorf("there were %d learners, and are %d", before, after)
			}
			ctx := n.next(t)
			if err := n.write(ctx); status.Code(err) != codes.Unavailable {
				t.Errorf("a write: %v", err)
			}
			limitPages(t, p.find(Profile).db, 1<<30)
			limitPages(t, p.find(Progress).db, 1<<30)
			if err := n.write(ctx); err != nil {
				t.Errorf("a write when there is room again: %v", err)
			}
		})
	}
}

// learners is how many are stored.
func (n *newcomers) learners(t *testing.T) int {
	t.Helper()
	token, err := n.issuer.MintCommand("counter", auth.RoleAdmin, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token)
	list, err := n.profile.ListLearners(ctx, &profilev1.ListLearnersRequest{IncludeTotal: true, PageSize: 1})
	if err != nil {
		t.Fatal(err)
	}
	return int(list.GetTotalSize())
}

// readAll makes each call about own data, each as somebody new.
func (n *newcomers) readAll(t *testing.T, profileIsFull bool) {
	t.Helper()
	reads := 0
	for _, rule := range auth.Rules(protoregistry.GlobalFiles) {
		if !rule.Access.GetSelf() || rule.Descriptor.IsStreamingServer() {
			continue
		}
		req, resp := message(t, rule.Descriptor.Input()), message(t, rule.Descriptor.Output())
		for field, value := range map[protoreflect.Name]string{
			"learner_id": auth.Me, "path_id": "clinician-to-healthcare-ai", "module_id": "hipaa-foundations", "enrollment_id": "0193a1b2-7c3d-7e4f-8a5b-000000000001",
		} {
			if f := req.ProtoReflect().Descriptor().Fields().ByName(field); f != nil && (field != "path_id" || rule.Descriptor.Name() != "ListModuleProgress") {
				req.ProtoReflect().Set(f, protoreflect.ValueOfString(value))
			}
		}
		err := n.find(serviceOf(rule)).server.InProcess(Gateway).Invoke(n.next(t), rule.Method, req, resp)
		if !rule.Access.GetUnregistered() {
			if inProfile := serviceOf(rule) == Profile; inProfile && profileIsFull != (status.Code(err) == codes.Unavailable) {
				t.Errorf("%s: %v", rule.Method, err)
			}
			continue
		}
		reads++
		want := codes.OK
		switch rule.Descriptor.Name() {
		case "GetPathProgress", "GetPathContent", "ExplainPathProgress", "GetEnrollment":
			want = codes.NotFound // as for a learner who is enrolled in nothing
		}
		if status.Code(err) != want {
			t.Errorf("%s: %v, want %s", rule.Method, err, want)
		}
		if r, ok := resp.(*profilev1.ListRecommendedPathsResponse); ok && len(r.GetRecommendedPaths()) == 0 {
			t.Error("nothing is recommended")
		}
	}
	if reads < 11 {
		t.Errorf("%d reads", reads)
	}
}
