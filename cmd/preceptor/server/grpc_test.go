package server

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/preceptor-dev/preceptor/gateway"
	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	profilev1 "github.com/preceptor-dev/preceptor/gen/preceptor/profile/v1"
	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/rpc"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// both is one process that serves REST, and gRPC to the same callers.
type both struct {
	rest   *gateway.Gateway
	conn   *grpc.ClientConn
	issuer *auth.LocalIssuer
}

func openBoth(t *testing.T) *both {
	t.Helper()
	p := openAll(t)
	p.cfg.Reflection = true
	return p.both(t)
}

// both serves both APIs.
func (p *process) both(t *testing.T) *both {
	t.Helper()
	p.cfg.GRPC = "127.0.0.1:0"
	if err := p.offerGRPC(t.Context()); err != nil {
		t.Fatal(err)
	}
	rest, err := p.openGateway(t.Context(), p.inProcess(Gateway, p.table.Names()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rest.Close() })
	conn, err := grpc.NewClient(p.at.GRPC.String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	issuer, err := auth.OpenLocalIssuer(p.cfg.Data, p.now)
	if err != nil {
		t.Fatal(err)
	}
	return &both{rest, conn, issuer}
}

// TestReflectionListsAll holds reflection to all services of the API, with all that their files import.
func TestReflectionListsAll(t *testing.T) {
	t.Parallel()
	b := openBoth(t)
	stream, err := reflectionv1.NewServerReflectionClient(b.conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ask := func(req *reflectionv1.ServerReflectionRequest) *reflectionv1.ServerReflectionResponse {
		if err := stream.Send(req); err != nil {
			t.Fatal(err)
		}
		resp, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	var names []string
	listed := ask(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}})
	for _, s := range listed.GetListServicesResponse().GetService() {
		names = append(names, s.GetName())
	}
	for _, want := range []string{
		"preceptor.audit.v1.AuditService", "preceptor.catalog.v1.CatalogService", "preceptor.profile.v1.ProfileService",
		"preceptor.progress.v1.ProgressService", "grpc.health.v1.Health",
	} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is not listed: %q", want, names)
			continue
		}
		resp := ask(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: want}})
		if len(resp.GetFileDescriptorResponse().GetFileDescriptorProto()) == 0 {
			t.Errorf("%s: %v", want, resp.GetErrorResponse())
		}
	}
}

// failing is a call that fails, as REST and as gRPC.
type failing struct {
	method, path, body string
	rpc                string
	req                proto.Message
	role               auth.Role // "" for nobody
}

func bothWays() map[string]failing {
	const nobody = "01900000-0000-7000-8000-000000000000"
	return map[string]failing{
		"no token": {method: "GET", path: "/v1/topics", rpc: catalogv1.CatalogService_ListTopics_FullMethodName, req: &catalogv1.ListTopicsRequest{}},
		"the wrong role": {
			method: "POST", path: "/v1/modules?moduleId=x", body: `{}`, role: auth.RoleLearner,
			rpc: catalogv1.CatalogService_CreateModule_FullMethodName, req: &catalogv1.CreateModuleRequest{ModuleId: "x"},
		},
		"another learner": {
			method: "GET", path: "/v1/learners/" + nobody + "/progress", role: auth.RoleLearner,
			rpc: progressv1.ProgressService_GetProgress_FullMethodName, req: &progressv1.GetProgressRequest{LearnerId: nobody},
		},
		"nobody's data": {
			method: "GET", path: "/v1/learners/" + nobody + "/progress", role: auth.RoleAdmin,
			rpc: progressv1.ProgressService_GetProgress_FullMethodName, req: &progressv1.GetProgressRequest{LearnerId: nobody},
		},
		"several fields": {
			method: "PATCH", path: "/v1/learners/me?updateMask=email,time_zone", body: `{"email":"x","timeZone":"Mars/North"}`, role: auth.RoleLearner,
			rpc: profilev1.ProfileService_UpdateLearner_FullMethodName, req: &profilev1.UpdateLearnerRequest{
				LearnerId: "me", Learner: &profilev1.Learner{Email: "x", TimeZone: "Mars/North"}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"email", "time_zone"}},
			},
		},
		"an old etag": {
			method: "PATCH", path: "/v1/learners/me?etag=old", body: `{"displayName":"x"}`, role: auth.RoleLearner,
			rpc: profilev1.ProfileService_UpdateLearner_FullMethodName, req: &profilev1.UpdateLearnerRequest{
				LearnerId: "me", Learner: &profilev1.Learner{DisplayName: "x"}, Etag: "old", UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"display_name"}},
			},
		},
		"a missing module": {
			method: "GET", path: "/v1/modules/none", role: auth.RoleLearner,
			rpc: catalogv1.CatalogService_GetModule_FullMethodName, req: &catalogv1.GetModuleRequest{ModuleId: "none"},
		},
		"too many tickets": {
			method: "POST", path: "/v1/learners/me/progress:watchTicket", body: `{}`, role: auth.RoleAuthor,
			rpc: progressv1.ProgressService_CreateWatchTicket_FullMethodName, req: &progressv1.CreateWatchTicketRequest{LearnerId: "me"},
		},
	}
}

// TestGRPCErrorsSayWhatRESTSays makes the same mistakes both ways, and compares what comes back.
func TestGRPCErrorsSayWhatRESTSays(t *testing.T) {
	t.Parallel()
	b := openBoth(t)
	for name, m := range bothWays() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			token := ""
			if m.role != "" {
				minted, err := b.issuer.Mint("grpc-"+string(m.role), []auth.Role{m.role}, "", time.Hour)
				if err != nil {
					t.Fatal(err)
				}
				token = "Bearer " + minted
			}
			if name == "too many tickets" {
				for range progress.MaxWatchTickets {
					b.viaREST(t, m, token)
				}
			}
			rest := b.viaREST(t, m, token)
			got := b.viaGRPC(t, m, token)
			// Time passes between the two.
			if rest.retryAfter > 0 && got.retryAfter > 0 && got.retryAfter <= rest.retryAfter+1 && got.retryAfter > rest.retryAfter-10 {
				got.retryAfter = rest.retryAfter
			}
			if rest.reason == "" || rest.code != got.code || rest.reason != got.reason || rest.detail != got.detail || rest.retryAfter != got.retryAfter ||
				!slices.Equal(rest.violations, got.violations) || rest.requestID != got.requestID {
				t.Errorf("REST %+v\ngRPC %+v", rest, got)
			}
			if (name == "several fields") != (len(rest.violations) == 2) || (name == "too many tickets") != (rest.retryAfter > 0) {
				t.Errorf("it is another mistake: %+v", rest)
			}
		})
	}
}

// said is what an error says, however it came.
type said struct {
	code, reason, detail, requestID string
	violations                      []string
	retryAfter                      int // seconds, rounded up
}

func (b *both) viaREST(t *testing.T, m failing, token string) said {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), m.method, m.path, strings.NewReader(m.body))
	r.Header.Set("X-Request-ID", "request-1")
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", token)
	}
	w := httptest.NewRecorder()
	b.rest.ServeHTTP(w, r)
	var problem struct {
		Code, Reason, Detail, RequestID string
		Violations                      []struct{ Field, Description, Reason string }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &problem); err != nil && w.Code != http.StatusOK {
		t.Fatal(err)
	}
	s := said{code: problem.Code, reason: problem.Reason, detail: problem.Detail, requestID: problem.RequestID}
	for _, v := range problem.Violations {
		s.violations = append(s.violations, v.Field+"|"+v.Description+"|"+v.Reason)
	}
	s.retryAfter, _ = strconv.Atoi(w.Header().Get("Retry-After"))
	return s
}

func (b *both) viaGRPC(t *testing.T, m failing, token string) said {
	t.Helper()
	ctx := metadata.AppendToOutgoingContext(context.WithoutCancel(t.Context()), "x-request-id", "request-1")
	if token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", token)
	}
	st := status.Convert(b.conn.Invoke(ctx, m.rpc, m.req, &progressv1.GetProgressResponse{}))
	s := said{code: rpc.CodeName(st.Code()), detail: st.Message()}
	for _, detail := range st.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			s.reason = d.GetReason()
			if d.GetDomain() != "preceptor.dev" || "/"+d.GetMetadata()["method"] != m.rpc {
				t.Errorf("domain %q, metadata %v", d.GetDomain(), d.GetMetadata())
			}
		case *errdetails.RequestInfo:
			s.requestID = d.GetRequestId()
		case *errdetails.RetryInfo:
			s.retryAfter = int((d.GetRetryDelay().AsDuration() + time.Second - 1) / time.Second)
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				s.violations = append(s.violations, v.GetField()+"|"+v.GetDescription()+"|"+v.GetReason())
			}
		}
	}
	return s
}
