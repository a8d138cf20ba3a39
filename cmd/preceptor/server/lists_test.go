package server

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/preceptor-dev/preceptor/internal/auth"
)

// TestListsHavePages holds for every list, also those to come: it has a page size, and either a page token
// or a number to continue after. A bad page token is refused alike by all of them.
func TestListsHavePages(t *testing.T) {
	t.Parallel()
	p := openAll(t)
	issuer, err := auth.OpenLocalIssuer(p.cfg.Data, p.now)
	if err != nil {
		t.Fatal(err)
	}
	token, err := issuer.Mint("the-admin", []auth.Role{auth.RoleAdmin}, "", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	tokens := 0
	for _, rule := range auth.Rules(protoregistry.GlobalFiles) {
		name := rule.Method[strings.LastIndex(rule.Method, "/")+1:]
		if !strings.HasPrefix(name, "List") || rule.Descriptor.IsStreamingServer() {
			continue
		}
		in, out := rule.Descriptor.Input().Fields(), rule.Descriptor.Output().Fields()
		numbered := in.ByName("after_revision") != nil || in.ByName("after_sequence") != nil
		if paged := in.ByName("page_token") != nil && out.ByName("next_page_token") != nil; in.ByName("page_size") == nil || paged == numbered {
			t.Errorf("%s: a list wants a page_size, and a page_token or a number to continue after", rule.Method)
			continue
		}
		if !numbered {
			tokens++
			wantBadPageToken(t, p, rule, token)
		}
	}
	if tokens < 9 {
		t.Errorf("%d lists with page tokens were found", tokens)
	}
}

func wantBadPageToken(t *testing.T, p *process, rule auth.Rule, bearer string) {
	t.Helper()
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+bearer)
	req, resp := message(t, rule.Descriptor.Input()), message(t, rule.Descriptor.Output())
	set := func(field protoreflect.Name, value string) {
		if fd := rule.Descriptor.Input().Fields().ByName(field); fd != nil {
			req.ProtoReflect().Set(fd, protoreflect.ValueOfString(value))
		}
	}
	set("learner_id", auth.Me)
	set("module_id", "hipaa-foundations")
	set("path_id", "ai-to-healthcare")
	set("cohort_id", "radiology")
	set("page_token", "AAAA")
	st := status.Convert(p.find(serviceOf(rule)).server.InProcess(Gateway).Invoke(ctx, rule.Method, req, resp))
	var reason string
	var violations []string
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			reason = d.GetReason()
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				violations = append(violations, v.GetField()+" "+v.GetReason()+" "+v.GetDescription())
			}
		}
	}
	if st.Code() != codes.InvalidArgument || reason != "BAD_PAGE_TOKEN" ||
		strings.Join(violations, "; ") != "pageToken BAD_PAGE_TOKEN must be the nextPageToken of an answer to the same filters and order" {
		t.Errorf("%s: %s %s, %q", rule.Method, st.Code(), reason, violations)
	}
}
