package server

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	accessv1 "github.com/preceptor-dev/preceptor/gen/preceptor/access/v1"
	profilev1 "github.com/preceptor-dev/preceptor/gen/preceptor/profile/v1"
	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/feed"
	"github.com/preceptor-dev/preceptor/internal/testenv"
)

var update = flag.Bool("update", false, "write testdata anew")

// openAll opens all services on a folder of their own.
func openAll(t testing.TB) *process {
	t.Helper()
	return openAllAt(t, testenv.Now)
}

// openAllAt is openAll with a clock.
func openAllAt(t testing.TB, now func() time.Time) *process {
	t.Helper()
	return openAllWith(t, now, func(*process) {})
}

// openAllWith is openAllAt for a process that is changed before it opens anything.
func openAllWith(t testing.TB, now func() time.Time, change func(*process)) *process {
	t.Helper()
	p := newProcess(Options{
		Config: &Config{Data: t.TempDir(), Starter: true, LocalIssuer: true}, Services: Services(),
		Logger: slog.New(slog.DiscardHandler), Now: now, Version: "test",
	})
	t.Cleanup(func() {
		if err := p.stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	change(p)
	if err := p.openVerifier(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.openAll(t.Context(), p.table); err != nil {
		t.Fatal(err)
	}
	p.report(p.ownState)
	if err := p.awaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p
}

// aboutAnother ends the names of attempts at another learner's data.
const aboutAnother = " about another"

// attempt is one call: the RPC, the caller, and the learner it is about.
type attempt struct {
	name    string
	service string // the calling service of ours
	token   string
	role    auth.Role // "" for none
	learner string    // whose data, where the request has a learner
	cohort  string    // which, where the request has a cohort
	// manages is, of a manager, which of the two are theirs; nil for other callers.
	manages *managed
}

type managed struct{ learner, cohort bool }

// TestAccess calls every RPC as everybody, and compares what happens with the RPC's rule
// and with the list in testdata, so that no rule changes unnoticed.
func TestAccess(t *testing.T) {
	t.Parallel()
	p := openAll(t)
	attempts := append(attemptsOn(t, p), managersOn(t, p)...)
	var table strings.Builder
	for _, rule := range auth.Rules(protoregistry.GlobalFiles) {
		var admitted []string
		for _, a := range attempts {
			if !rule.NamesLearner && (strings.HasSuffix(a.name, aboutAnother) || a.manages != nil && cohortOf(rule) == nil) {
				continue // the request is about nobody
			}
			code := try(t, p, rule, a)
			got := code != codes.Unauthenticated && code != codes.PermissionDenied
			if want := expected(rule, a); got != want {
				t.Errorf("%s as %s: %s", rule.Method, a.name, code)
			}
			if a.token == "" && !slices.Contains(rule.Access.GetServices(), a.service) && code != codes.Unauthenticated {
				t.Errorf("%s without a token as %s: %s, want Unauthenticated", rule.Method, a.name, code)
			}
			if got {
				admitted = append(admitted, a.name)
			}
		}
		fmt.Fprintf(&table, "%s\n    %s\n", strings.TrimPrefix(rule.Method, "/"), strings.Join(admitted, ", "))
	}
	golden(t, "access.txt", table.String())
}

func attemptsOn(t *testing.T, p *process) []attempt {
	t.Helper()
	issuer, err := auth.OpenLocalIssuer(p.cfg.Data, p.now)
	if err != nil {
		t.Fatal(err)
	}
	mint := func(subject string, roles ...auth.Role) string {
		if slices.Contains(roles, "") {
			return rolelessToken(t, p, subject)
		}
		token, err := issuer.Mint(subject, roles, "", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	somebody := profilev1.NewProfileServiceClient(p.find(Profile).server.InProcess(Gateway))
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+mint("somebody"))
	other, err := somebody.GetLearner(ctx, &profilev1.GetLearnerRequest{LearnerId: auth.Me})
	if err != nil {
		t.Fatal(err)
	}
	attempts := []attempt{{name: "nobody", learner: auth.Me}, {name: "gateway alone", service: Gateway, learner: auth.Me}}
	for _, service := range p.table.Names() {
		attempts = append(attempts, attempt{name: service + " alone", service: service, learner: other.GetLearner().GetId()})
	}
	for _, role := range []auth.Role{"", auth.RoleLearner, auth.RoleManager, auth.RoleAuthor, auth.RoleAdmin} {
		name := cmp.Or(string(role), "no role")
		token := mint("the-"+name, role)
		attempts = append(attempts,
			attempt{name: name, service: Gateway, token: token, role: role, learner: auth.Me},
			attempt{name: name + aboutAnother, service: Gateway, token: token, role: role, learner: other.GetLearner().GetId()})
	}
	return attempts
}

// rolelessToken is a token of the local issuer whose roles are another program's; the issuer itself mints
// none such, as others do.
func rolelessToken(t *testing.T, p *process, subject string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(p.cfg.Data, auth.LocalKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	signer, ok := key.(ed25519.PrivateKey)
	if !ok {
		t.Fatalf("the key is a %T", key)
	}
	claims, err := json.Marshal(map[string]any{
		"iss": auth.LocalIssuerName, "aud": auth.LocalAudience, "sub": subject, "roles": []string{"of another program"},
		"iat": p.now().Unix(), "exp": p.now().Add(time.Hour).Unix(),
	})
	if err != nil {
		t.Fatal(err)
	}
	signed := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"EdDSA","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString(claims)
	return signed + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(signer, []byte(signed)))
}

// expected reads the rule as the design means it.
func expected(rule auth.Rule, a attempt) bool {
	if a.token == "" {
		return slices.Contains(rule.Access.GetServices(), a.service)
	}
	byRole := slices.ContainsFunc(rule.Access.GetRoles(), func(r accessv1.Access_Role) bool {
		return strings.EqualFold(r.String(), string(a.role))
	})
	return byRole || rule.Access.GetManager() && a.role == auth.RoleManager && theirs(rule, a) || rule.Access.GetSelf() && a.learner == auth.Me
}

// theirs reports whether all that the request of a manager names is of a cohort that they manage.
func theirs(rule auth.Rule, a attempt) bool {
	if a.manages == nil {
		return !rule.NamesLearner // it names no cohort either
	}
	return (!rule.NamesLearner || a.manages.learner) && (cohortOf(rule) == nil || a.manages.cohort)
}

// cohortOf is the field of the request that names a cohort, or nil.
func cohortOf(rule auth.Rule) protoreflect.FieldDescriptor {
	return rule.Descriptor.Input().Fields().ByName("cohort_id")
}

// managersOn are the attempts of managers: about a member of their cohort, about another's, about a member who left, and
// while they are suspended.
func managersOn(t *testing.T, p *process) []attempt {
	t.Helper()
	issuer, err := auth.OpenLocalIssuer(p.cfg.Data, p.now)
	if err != nil {
		t.Fatal(err)
	}
	mint := func(subject string, role auth.Role) string {
		token, err := issuer.Mint(subject, []auth.Role{role}, "", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	as := func(token string) context.Context {
		return metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token)
	}
	conn := p.find(Profile).server.InProcess(Gateway)
	people, cohorts, root := profilev1.NewProfileServiceClient(conn), profilev1.NewCohortServiceClient(conn), as(mint("the-organizer", auth.RoleAdmin))
	id := func(token string) string {
		l, err := people.GetLearner(as(token), &profilev1.GetLearnerRequest{LearnerId: auth.Me})
		if err != nil {
			t.Fatal(err)
		}
		return l.GetLearner().GetId()
	}
	boss, suspended := mint("the-boss", auth.RoleManager), mint("the-former-boss", auth.RoleManager)
	member, left, other := id(mint("a-member", auth.RoleLearner)), id(mint("who-left", auth.RoleLearner)), id(mint("another", auth.RoleLearner))
	var reached metadata.MD
	do := func(_ proto.Message, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	header := grpc.Header(&reached)
	for cohort, of := range map[string][]string{"own": {member, left}, "other": {other}} {
		made := &profilev1.Cohort{Title: cohort, Kind: profilev1.Cohort_STATIC}
		if cohort == "own" {
			made.ManagerIds = []string{id(boss), id(suspended)}
		}
		do(cohorts.CreateCohort(root, &profilev1.CreateCohortRequest{CohortId: cohort, Cohort: made}))
		do(cohorts.AddCohortMembers(root, &profilev1.AddCohortMembersRequest{CohortId: cohort, LearnerIds: of}))
	}
	do(cohorts.RemoveCohortMembers(root, &profilev1.RemoveCohortMembersRequest{CohortId: "own", LearnerIds: []string{left}}))
	do(people.SuspendLearner(root, &profilev1.SuspendLearnerRequest{LearnerId: id(suspended), Reason: "left"}, header))
	// Progress follows what was done until then.
	revision := strings.Join(reached.Get(feed.ProfileRevision), "")
	progress := progressv1.NewProgressServiceClient(p.find(Progress).server.InProcess(Gateway))
	do(progress.GetProgress(metadata.AppendToOutgoingContext(root, feed.MinProfileRevision, revision), &progressv1.GetProgressRequest{LearnerId: member}))
	of := func(name, token, learner, cohort string, manages managed) attempt {
		return attempt{name: name, service: Gateway, token: token, role: auth.RoleManager, learner: learner, cohort: cohort, manages: &manages}
	}
	return []attempt{
		of("manager of the cohort", boss, member, "own", managed{true, true}),
		of("manager of another cohort", boss, other, "other", managed{}),
		of("manager of a member who left", boss, left, "own", managed{false, true}),
		of("manager who is suspended", suspended, member, "own", managed{}),
	}
}

// try calls the RPC with an empty request, but for the learner.
func try(t *testing.T, p *process, rule auth.Rule, a attempt) codes.Code {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if a.token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+a.token)
	}
	// One chain stands for all: the guard is the same on every server.
	name := serviceOf(rule)
	if name == "audit" {
		name = Progress
	}
	server := p.find(name)
	if server == nil {
		t.Fatalf("%s belongs to no service", rule.Method)
	}
	conn := server.server.InProcess(a.service)
	req, resp := message(t, rule.Descriptor.Input()), message(t, rule.Descriptor.Output())
	if field := cohortOf(rule); field != nil && a.cohort != "" {
		req.ProtoReflect().Set(field, protoreflect.ValueOfString(a.cohort))
	}
	if rule.NamesLearner {
		req.ProtoReflect().Set(rule.Descriptor.Input().Fields().ByName("learner_id"), protoreflect.ValueOfString(a.learner))
	}
	if !rule.Descriptor.IsStreamingServer() {
		return status.Code(conn.Invoke(ctx, rule.Method, req, resp))
	}
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, rule.Method)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.SendMsg(req); err != nil {
		return status.Code(err)
	}
	if err := stream.CloseSend(); err != nil {
		return status.Code(err)
	}
	if header, err := stream.Header(); err == nil && header != nil {
		return codes.OK // let in: a watch would say nothing more by itself
	}
	return status.Code(stream.RecvMsg(resp))
}

// message is an empty message of the type that the generated code has for it.
func message(t *testing.T, of protoreflect.MessageDescriptor) proto.Message {
	t.Helper()
	found, err := protoregistry.GlobalTypes.FindMessageByName(of.FullName())
	if err != nil {
		t.Fatal(err)
	}
	return found.New().Interface()
}

// serviceOf is "progress" of "/preceptor.progress.v1.ProgressService/ListEvents".
func serviceOf(rule auth.Rule) string { return strings.Split(rule.Method, ".")[1] }

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, []byte(got)) {
		t.Errorf("not as in %s (go test ./cmd/preceptor/server -update writes it anew):\n%s", path, got)
	}
}
