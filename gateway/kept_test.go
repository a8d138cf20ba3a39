package gateway_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"pgregory.net/rapid"

	"github.com/preceptor-dev/preceptor/gateway"
	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	profilev1 "github.com/preceptor-dev/preceptor/gen/preceptor/profile/v1"
	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/rpc"
	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// answering is a method of a service that answers a message under an ETag, and says so to one who has it. With
// a validator, that is what it knows the answer by. forgetful has it never say so.
type answering struct {
	message         proto.Message
	etag, validator string
	forgetful       bool
}

func (a *answering) serve(ctx context.Context, _ proto.Message) (proto.Message, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	headers := metadata.Pairs("preceptor-as-of-sequence", "7", "preceptor-catalog-revision", "3", "internal", "x")
	for _, name := range md.Get(rpc.KnownKey) {
		if !a.forgetful && (name == a.etag || a.validator != "" && name == a.validator) {
			headers.Append(rpc.UnchangedKey, name)
			return a.message.ProtoReflect().New().Interface(), grpc.SetHeader(ctx, headers)
		}
	}
	headers.Append("etag", strconv.Quote(a.etag))
	if a.validator != "" {
		headers.Append(rpc.ValidatorKey, a.validator)
	}
	return a.message, grpc.SetHeader(ctx, headers)
}

// filled is a message that has every field, some of them long.
func filled(md protoreflect.MessageDescriptor, depth int) protoreflect.Message {
	kind, err := protoregistry.GlobalTypes.FindMessageByName(md.FullName())
	if err != nil {
		panic(err)
	}
	m := kind.New()
	for i := range md.Fields().Len() {
		fd := md.Fields().Get(i)
		one := func() protoreflect.Value {
			switch fd.Kind() {
			case protoreflect.MessageKind:
				return protoreflect.ValueOfMessage(filled(fd.Message(), depth-1))
			case protoreflect.StringKind:
				return protoreflect.ValueOfString(strings.Repeat(string(fd.Name())+" ", 40))
			default:
				return fd.Default()
			}
		}
		switch {
		case fd.Message() != nil && (depth == 0 || fd.IsMap()):
		case fd.IsList():
			m.Mutable(fd).List().Append(one())
		default:
			m.Set(fd, one())
		}
	}
	return m
}

// reads returns a path for each route that reads one message, by RPC, with the message that it responds with.
func reads() map[string]readRoute {
	out := map[string]readRoute{}
	for _, file := range []protoreflect.FileDescriptor{
		profilev1.File_preceptor_profile_v1_profile_proto, profilev1.File_preceptor_profile_v1_cohorts_proto, catalogv1.File_preceptor_catalog_v1_catalog_proto,
		progressv1.File_preceptor_progress_v1_progress_proto,
	} {
		service := file.Services().Get(0)
		for i := range service.Methods().Len() {
			m := service.Methods().Get(i)
			rule, ok := proto.GetExtension(m.Options(), annotations.E_Http).(*annotations.HttpRule)
			if !ok || rule.GetGet() == "" || m.IsStreamingServer() {
				continue
			}
			path := rule.GetGet()
			for _, name := range []string{"learner_id", "module_id", "path_id", "enrollment_id"} {
				path = strings.ReplaceAll(path, "{"+name+"}", "it")
			}
			path = strings.ReplaceAll(path, "{number}", "2")
			out[fmt.Sprintf("/%s/%s", service.FullName(), m.Name())] = readRoute{path, filled(m.Output(), 3).Interface()}
		}
	}
	return out
}

type readRoute struct {
	path    string
	message proto.Message
}

// TestKeptResponsesAreAsOthers: whatever a client asks with, and whether the gateway has kept the answer or not,
// the response of every route that reads is the same, with all its headers.
func TestKeptResponsesAreAsOthers(t *testing.T) {
	routes := reads()
	if len(routes) < 20 {
		t.Fatalf("there are only %d routes", len(routes))
	}
	encodings := []string{"", "gzip", "zstd", "gzip, zstd;q=0.5", "gzip;q=0", "br"}
	known := []string{"", `"e1"`, `W/"e1"`, `"e1-gzip"`, `"e1-zstd"`, "*", `"other", "e1"`, `"other"`, `"v1"`, "e1"}
	for method, r := range routes {
		service := &answering{message: r.message, etag: "e1", validator: "v1.5"}
		plain := open(t)
		never := *service
		never.forgetful = true
		plain.on(method, never.serve)
		keeps := open(t)
		keeps.on(method, service.serve)
		for _, encoding := range encodings {
			for _, tags := range known {
				headers := []string{"X-Request-ID", "r", "Accept-Encoding", encoding}
				if tags != "" {
					headers = append(headers, "If-None-Match", tags)
				}
				want := plain.get(t, r.path, headers...)
				want.header.Del("Date")
				for range 3 { // made, kept as it is, and kept compressed
					got := keeps.get(t, r.path, headers...)
					got.header.Del("Date")
					if got.status != want.status || got.body != want.body || !maps.EqualFunc(got.header, want.header, slices.Equal) {
						t.Fatalf("%s, accepting %q, having %q:\n%d %v %.80q\nwant\n%d %v %.80q", method, encoding, tags,
							got.status, got.header, got.body, want.status, want.header, want.body)
					}
				}
				head := keeps.do(t, http.MethodHead, r.path, "", headers...)
				if head.status != want.status || head.header.Get("ETag") != want.header.Get("ETag") || head.body != "" {
					t.Errorf("%s, HEAD: %+v", method, head)
				}
			}
		}
	}
}

const modulesList = catalogv1.CatalogService_ListModules_FullMethodName

// TestKeptAnswersAreAskedAbout: each request reaches the service, by its own caller, who may be refused; an answer
// is offered to nobody but those who asked the same and may share it.
func TestKeptAnswersAreAskedAbout(t *testing.T) {
	h := open(t, func(c *gateway.Config) { c.Verifier = roles{} })
	const progress, profile = progressv1.ProgressService_GetPathProgress_FullMethodName, profilev1.ProfileService_GetLearner_FullMethodName
	own := &answering{message: &progressv1.GetPathProgressResponse{Progress: &progressv1.PathProgress{PathId: "p"}}, etag: "own", validator: "own.1"}
	h.on(progress, own.serve)
	me := &answering{message: &profilev1.GetLearnerResponse{Learner: &profilev1.Learner{Id: "l"}}, etag: "me"}
	h.on(profile, me.serve)
	list := &answering{message: &catalogv1.ListModulesResponse{NextPageToken: "next"}, etag: "list"}
	h.on(modulesList, list.serve)
	asked := 0
	offered := func(caller, path string) []string {
		t.Helper()
		asked++
		if a := h.get(t, path, "Authorization", "Bearer "+caller); a.status != 200 || h.count() != asked {
			t.Fatalf("%s of %s: %d after %d calls", path, caller, a.status, h.count())
		}
		return h.last(t).md.Get(rpc.KnownKey)
	}
	for i, c := range []struct{ caller, path, want string }{
		{"ann", "/v1/learners/me/paths/p/progress", ""},
		{"ann", "/v1/learners/me/paths/p/progress", "own.1"},
		{"ann", "/v1/learners/me/paths/q/progress", ""},
		{"bob", "/v1/learners/me/paths/p/progress", ""},
		{"ann", "/v1/learners/me", ""},
		{"ann", "/v1/learners/me", "me"},
		{"bob", "/v1/learners/me", ""},
		{"ann", "/v1/modules", ""},
		{"bob", "/v1/modules", "list"},
		{"bob", "/v1/modules?pageSize=3", ""},
		{"bob", "/v1/modules?topic=a", ""},
		{"bob,author", "/v1/modules", ""},
		{"ann,admin", "/v1/modules", "list"},
		{"ann,manager", "/v1/modules", "list"},
	} {
		if got := strings.Join(offered(c.caller, c.path), " "); got != c.want {
			t.Errorf("%d: %s of %s offers %q, want %q", i, c.path, c.caller, got, c.want)
		}
	}
	h.fails(progress, fault(codes.PermissionDenied, "NOT_YOUR_DATA", "this is another learner's data"))
	h.get(t, "/v1/learners/me/paths/p/progress", "Authorization", "Bearer ann").wantProblem(t, 403, "NOT_YOUR_DATA")
	h.fails(progress, fault(codes.Unavailable, "DATABASE_UNREACHABLE", "it is away"))
	h.get(t, "/v1/learners/me/paths/p/progress", "Authorization", "Bearer ann", "If-None-Match", `"own"`).wantProblem(t, 503, "DATABASE_UNREACHABLE")
	// What a service does not name is not kept, and what it takes for known must be.
	h.responds(profile, me.message)
	asked = h.count()
	offered("cid", "/v1/learners/me")
	if got := offered("cid", "/v1/learners/me"); len(got) > 0 {
		t.Errorf("without a name, %q is offered", got)
	}
	h.responds(profile, &profilev1.GetLearnerResponse{}, rpc.UnchangedKey, "made-up")
	h.get(t, "/v1/learners/me", "Authorization", "Bearer ann", "If-None-Match", `"me"`).wantProblem(t, 500, "INTERNAL")
}

// roles accepts a token that is a name, and roles after commas.
type roles struct{}

func (roles) Verify(_ context.Context, token string) (auth.Principal, error) {
	name, rest, _ := strings.Cut(token, ",")
	p := auth.Principal{Issuer: "https://issuer.example", Subject: name}
	if rest != "" {
		p.Roles = []auth.Role{auth.Role(rest)}
	}
	return p, nil
}

// TestClientsTagsReachTheService: as names, without what is no tag, no more than a service looks at, and never as
// the header that they came in.
func TestClientsTagsReachTheService(t *testing.T) {
	h := open(t)
	var many []string
	for i := range 20 {
		many = append(many, fmt.Sprintf(`"t%d"`, i))
	}
	for sent, want := range map[string][]string{
		`W/"a-gzip" , "b", *, "", c`: {"a", "b", "c"},
		strings.Join(many, ","):      {"t0", "t1", "t2", "t3", "t4", "t5", "t6", "t7"},
		"*":                          nil,
	} {
		if a := h.get(t, "/v1/modules/m", "If-None-Match", sent, "Preceptor-Known", "forged", "Grpc-Metadata-Preceptor-Known", "forged"); a.status != 200 && a.status != 304 {
			t.Errorf("%d %s", a.status, a.body)
		}
		md := h.last(t).md
		if got := md.Get(rpc.KnownKey); !slices.Equal(got, want) || md.Get("if-none-match") != nil {
			t.Errorf("%s: %q, want %q", sent, got, want)
		}
	}
}

// TestKeptAnswersAreBounded: whatever is asked for, what is kept is within its bound, compressed forms included; and
// after an hour an answer is not offered any more.
func TestKeptAnswersAreBounded(t *testing.T) {
	const most = 64 << 10
	var late atomic.Int64 // hours
	now := func() time.Time { return testenv.Now().Add(time.Duration(late.Load()) * time.Hour) }
	h := open(t, func(c *gateway.Config) { c.Kept, c.Now = most, now })
	list := &answering{message: filled((&catalogv1.ListModulesResponse{}).ProtoReflect().Descriptor(), 3).Interface(), etag: "list"}
	h.on(modulesList, list.serve)
	for i := range 100 {
		h.get(t, fmt.Sprintf("/v1/modules?q=%d", i), "Accept-Encoding", []string{"", "gzip", "zstd"}[i%3])
		if s := h.gateway.Kept(); s.Bytes > most || s.Entries == 0 {
			t.Fatalf("after %d: %+v", i+1, s)
		}
	}
	if s := h.gateway.Kept(); s.Evictions == 0 {
		t.Errorf("nothing had to go: %+v", s)
	}
	h.get(t, "/v1/modules?q=99")
	if got := h.last(t).md.Get(rpc.KnownKey); len(got) != 1 {
		t.Errorf("offered %q", got)
	}
	late.Store(1)
	h.get(t, "/v1/modules?q=99")
	if got := h.last(t).md.Get(rpc.KnownKey); len(got) != 0 {
		t.Errorf("an hour later offered %q", got)
	}
}

// TestKeptAgainstModel: in whatever order callers read and answers change, in a gateway that has room for few, every
// response is the one that the service has at that moment.
func TestKeptAgainstModel(t *testing.T) {
	h := open(t, func(c *gateway.Config) { c.Kept, c.Verifier = 8<<10, roles{} })
	rapid.Check(t, func(r *rapid.T) {
		versions := map[string]int{}
		tags := map[string]string{}
		answer := func(path string) *answering {
			title := fmt.Sprintf("%s in version %d %s", path, versions[path], strings.Repeat("long ", 300))
			return &answering{
				message: &catalogv1.GetModuleResponse{Module: &catalogv1.Module{Id: path, Topic: title}},
				etag:    fmt.Sprintf("%s-%d", path, versions[path]), validator: fmt.Sprintf("%s-%d-v", path, versions[path]),
			}
		}
		h.on(getModule, func(ctx context.Context, req proto.Message) (proto.Message, error) {
			m, _ := req.(*catalogv1.GetModuleRequest)
			return answer(m.GetModuleId()).serve(ctx, req)
		})
		path := rapid.SampledFrom([]string{"a", "b", "c", "d", "e"})
		r.Repeat(map[string]func(*rapid.T){
			"change": func(r *rapid.T) { versions[path.Draw(r, "path")] += rapid.IntRange(1, 3).Draw(r, "by") },
			"back":   func(r *rapid.T) { versions[path.Draw(r, "path")] = 0 },
			"read": func(r *rapid.T) {
				id := path.Draw(r, "path")
				headers := []string{"Authorization", "Bearer " + rapid.SampledFrom([]string{"ann", "bob", "eve,author"}).Draw(r, "caller")}
				headers = append(headers, "Accept-Encoding", rapid.SampledFrom([]string{"", "gzip", "zstd"}).Draw(r, "encoding"))
				tag, has := tags[id]
				if has = has && rapid.Bool().Draw(r, "with tag"); has {
					headers = append(headers, "If-None-Match", tag)
				}
				a := h.get(t, "/v1/modules/"+id, headers...)
				want := answer(id)
				if has && rpc.BareEtag(tag) == want.etag {
					if a.status != 304 || a.body != "" || a.header.Get("ETag") != tag {
						r.Fatalf("with %s: %+v", tag, a)
					}
					return
				}
				got, err := a.text()
				if m, _ := want.message.(*catalogv1.GetModuleResponse); err != nil || a.status != 200 || !strings.Contains(got, m.GetModule().GetTopic()) {
					r.Fatalf("%d %v %.60s, want %.60v", a.status, err, got, m)
				}
				if tags[id] = a.header.Get("ETag"); rpc.BareEtag(tags[id]) != want.etag {
					r.Fatalf("its tag is %s, want %s", tags[id], want.etag)
				}
			},
		})
	})
}
