package auth_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoregistry"

	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	profilev1 "github.com/preceptor-dev/preceptor/gen/preceptor/profile/v1"
	_ "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1" // for Rules
	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/rpc/rpctest"
	"github.com/preceptor-dev/preceptor/internal/testenv"
)

const (
	adaID = "01900000-0000-7000-8000-00000000ada1"
	bobID = "01900000-0000-7000-8000-00000000b0b1"
)

// resolve is a Resolver.
type resolve func(ctx context.Context, issuer, subject string, hints auth.Hints) (string, error)

func (f resolve) ResolveSubject(ctx context.Context, issuer, subject string, hints auth.Hints) (string, error) {
	return f(ctx, issuer, subject, hints)
}

func known(_ context.Context, _, subject string, _ auth.Hints) (string, error) {
	switch subject {
	case "ada":
		return adaID, nil
	case "bob":
		return bobID, nil
	case "erased":
		return "", errs.New(errs.PermissionDenied, "ERASED", "this person was erased")
	}
	return "", errs.New(errs.Unavailable, "PROFILE_DOWN", "try again")
}

// guarded is a guard over the test service, and whom it knows.
type guarded struct {
	*auth.Guard
	service *rpctest.Service
	issuer  *auth.LocalIssuer
	clock   *clock
	log     *bytes.Buffer
}

func newGuarded(tb testing.TB, change func(*auth.GuardOptions)) *guarded {
	tb.Helper()
	c := newClock()
	g := &guarded{service: must(rpctest.New()), issuer: must(auth.OpenLocalIssuer(tb.TempDir(), c.now)), clock: c, log: &bytes.Buffer{}}
	o := auth.GuardOptions{
		Verifier: localVerifier(c, g.issuer), Resolver: resolve(known), Files: g.service.Files(),
		Logger: slog.New(slog.NewTextHandler(g.log, nil)), Now: c.now,
	}
	if change != nil {
		change(&o)
	}
	g.Guard = must(auth.NewGuard(o))
	return g
}

// as is the context of a call with the subject's token.
func (g *guarded) as(subject string, roles ...auth.Role) context.Context {
	if subject == "" {
		return context.Background()
	}
	token := must(g.issuer.Mint(subject, roles, "Name of "+subject, time.Hour))
	return metadata.NewIncomingContext(context.Background(), metadata.Pairs("authorization", "Bearer "+token))
}

// call makes a unary call; the handler returns what it saw.
func (g *guarded) call(ctx context.Context, method, service, learnerID string) (auth.Principal, *rpctest.Echo, error) {
	req := g.service.With(learnerID, "")
	var seen auth.Principal
	err := g.unary(ctx, method, service, req.Message, func(ctx context.Context) error {
		seen, _ = auth.FromContext(ctx)
		return nil
	})
	return seen, req, err
}

// unary makes a call as a server does.
func (g *guarded) unary(ctx context.Context, method, service string, req any, handler func(context.Context) error) error {
	ctx, check, err := g.Admit(ctx, method, service)
	if err != nil {
		return err
	}
	if err := check(ctx, req); err != nil {
		return err
	}
	return handler(ctx)
}

func TestGuardAdmitsByRule(t *testing.T) {
	g := newGuarded(t, nil)
	type caller struct {
		subject string
		role    auth.Role
		service string
	}
	nobody, progress, gateway := caller{}, caller{service: "progress"}, caller{service: "gateway"}
	ada, author, admin := caller{"ada", auth.RoleLearner, ""}, caller{"ada", auth.RoleAuthor, ""}, caller{"ada", auth.RoleAdmin, ""}
	manager, behind := caller{"ada", auth.RoleManager, ""}, caller{"ada", auth.RoleLearner, "progress"}
	const ok = "OK"
	for _, test := range []struct {
		method, learner string
		want            map[caller]string
	}{
		{rpctest.NoRule, "", map[caller]string{
			nobody: errs.ReasonNoAccessRule, ada: errs.ReasonNoAccessRule, admin: errs.ReasonNoAccessRule, progress: errs.ReasonNoAccessRule,
		}},
		{"/preceptor.test.v1.EchoService/Absent", "", map[caller]string{admin: errs.ReasonNoAccessRule}},
		{rpctest.Everyone, "", map[caller]string{
			nobody: errs.ReasonTokenMissing, progress: errs.ReasonTokenMissing, ada: ok, admin: ok, behind: ok,
			author: errs.ReasonRoleRequired, manager: errs.ReasonRoleRequired, // no role implies another
		}},
		{rpctest.Author, "", map[caller]string{
			nobody: errs.ReasonTokenMissing, ada: errs.ReasonRoleRequired, author: ok, admin: ok, behind: errs.ReasonRoleRequired,
		}},
		{rpctest.Internal, "", map[caller]string{
			nobody: errs.ReasonTokenMissing, progress: ok, behind: ok, gateway: errs.ReasonTokenMissing,
			ada: errs.ReasonRoleRequired, admin: errs.ReasonRoleRequired,
		}},
		{rpctest.Own, adaID, map[caller]string{
			nobody: errs.ReasonTokenMissing, progress: errs.ReasonTokenMissing, ada: ok, author: ok, manager: ok, admin: ok, behind: ok,
		}},
		{rpctest.Own, bobID, map[caller]string{
			nobody: errs.ReasonTokenMissing, ada: errs.ReasonNotYourData, author: errs.ReasonNotYourData,
			manager: errs.ReasonNotYourData, admin: ok, behind: errs.ReasonNotYourData,
		}},
	} {
		for who, want := range test.want {
			_, _, err := g.call(g.as(who.subject, who.role), test.method, who.service, test.learner)
			got := ok
			if err != nil {
				got = errs.ReasonOf(err)
			}
			if got != want {
				t.Errorf("%s of %q by %+v: %s, want %s", test.method, test.learner, who, got, want)
			}
		}
	}
	if !strings.Contains(g.log.String(), rpctest.NoRule) {
		t.Error("an RPC without rule is not in the log")
	}
}

func TestGuardSaysWhatIsNeeded(t *testing.T) {
	g := newGuarded(t, nil)
	_, _, err := g.call(g.as("ada"), rpctest.Author, "", "")
	wantReason(t, err, errs.PermissionDenied, errs.ReasonRoleRequired)
	if !strings.Contains(err.Error(), "author or admin") {
		t.Errorf("got %v", err)
	}
}

func TestGuardResolvesTheLearner(t *testing.T) {
	g := newGuarded(t, nil)
	for given, want := range map[string]string{"me": adaID, adaID: adaID, strings.ToUpper(adaID): adaID} {
		p, req, err := g.call(g.as("ada"), rpctest.Own, "gateway", given)
		if err != nil || req.Text("learner_id") != want || p.LearnerID != adaID || p.Service != "gateway" || p.Name != "Name of ada" {
			t.Errorf("%s: %v, %s, %+v", given, err, req.Text("learner_id"), p)
		}
	}
	p, req, err := g.call(g.as("bob", auth.RoleAdmin), rpctest.Own, "", strings.ToUpper(adaID))
	if err != nil || req.Text("learner_id") != adaID || p.LearnerID != "" {
		t.Errorf("admin: %v, %s, %+v", err, req.Text("learner_id"), p)
	}
	if _, req, err := g.call(g.as("bob"), rpctest.Everyone, "", ""); err != nil || req.Text("learner_id") != "" {
		t.Errorf("an empty filter: %v, %q", err, req.Text("learner_id"))
	}
	_, _, err = g.call(g.as("erased"), rpctest.Own, "", "me")
	wantReason(t, err, errs.PermissionDenied, "ERASED")
	_, _, err = g.call(g.as("new"), rpctest.Own, "", "me")
	wantReason(t, err, errs.Unavailable, "PROFILE_DOWN")
	if _, _, err := g.call(g.as("new", auth.RoleAdmin), rpctest.Own, "", adaID); err != nil {
		t.Errorf("an admin who only reads is resolved: %v", err)
	}
	_, _, err = g.call(context.Background(), rpctest.Internal, "progress", "me")
	wantReason(t, err, errs.PermissionDenied, errs.ReasonNotYourData)
}

// TestGuardLetsTheUnregisteredRead: whom a database refuses to store may read that they have no records,
// where the RPC's rule says so, and gets the database's error elsewhere.
func TestGuardLetsTheUnregisteredRead(t *testing.T) {
	full := errs.New(errs.Unavailable, errs.ReasonDatabaseFull, "the disk is full")
	const read, write = profilev1.ProfileService_ListRecommendedPaths_FullMethodName, profilev1.ProfileService_GetLearner_FullMethodName
	for _, test := range []struct {
		name, made, asked, method string
		err                       error
		want                      string // the reason of a refusal
	}{
		{name: "new", asked: "me", method: read, err: &auth.UnregisteredError{Err: full}},
		{name: "made elsewhere", made: adaID, asked: "me", method: read, err: &auth.UnregisteredError{LearnerID: adaID, Err: full}},
		{name: "made elsewhere, by id", made: adaID, asked: adaID, method: read, err: &auth.UnregisteredError{LearnerID: adaID, Err: full}},
		{name: "another's", asked: bobID, method: read, err: &auth.UnregisteredError{LearnerID: adaID, Err: full}, want: errs.ReasonDatabaseFull},
		{name: "somebody's", asked: bobID, method: read, err: &auth.UnregisteredError{Err: full}, want: errs.ReasonDatabaseFull},
		{name: "what has no such rule", asked: "me", method: write, err: &auth.UnregisteredError{Err: full}, want: errs.ReasonDatabaseFull},
		{name: "another error", asked: "me", method: read, err: full, want: errs.ReasonDatabaseFull},
	} {
		g := newGuarded(t, func(o *auth.GuardOptions) {
			o.Files = nil
			o.Resolver = resolve(func(context.Context, string, string, auth.Hints) (string, error) { return "", test.err })
		})
		req := &profilev1.ListRecommendedPathsRequest{LearnerId: test.asked}
		var seen auth.Principal
		err := g.unary(g.as("ada"), test.method, "", req, func(ctx context.Context) error {
			seen, _ = auth.FromContext(ctx)
			return nil
		})
		if test.want != "" {
			if wantReason(t, err, errs.Unavailable, test.want); seen.Subject != "" {
				t.Errorf("%s: called as %+v", test.name, seen)
			}
			continue
		}
		if err != nil || !seen.Unregistered || seen.LearnerID != req.GetLearnerId() || test.made != "" && seen.LearnerID != test.made || uuid.Validate(seen.LearnerID) != nil {
			t.Errorf("%s: %v, %+v, about %s", test.name, err, seen, req.GetLearnerId())
		}
	}
}

func TestGuardRefusesWhatIsNoLearnerIDFirst(t *testing.T) {
	asked := false
	g := newGuarded(t, func(o *auth.GuardOptions) {
		o.Resolver = resolve(func(context.Context, string, string, auth.Hints) (string, error) { asked = true; return adaID, nil })
	})
	for _, id := range []string{"", "ada", "ME", "{" + adaID + "}", "urn:uuid:" + adaID, strings.ReplaceAll(adaID, "-", ""), adaID[:35] + "z"} {
		_, _, err := g.call(g.as("ada"), rpctest.Own, "", id)
		var e *errs.Error
		if !errors.As(err, &e) || e.Kind != errs.Invalid || len(e.Violations) != 1 || e.Violations[0].Field != "learnerId" {
			t.Errorf("%q: %v", id, err)
		}
	}
	if asked {
		t.Error("resolved for a request that is not valid")
	}
}

func TestGuardResolvesOnlyWhereNeeded(t *testing.T) {
	resolver := resolve(func(context.Context, string, string, auth.Hints) (string, error) {
		return "", errs.New(errs.Unavailable, "PROFILE_DOWN", "try again")
	})
	ok := func(context.Context) error { return nil }
	g := newGuarded(t, func(o *auth.GuardOptions) { o.Resolver, o.Files = resolver, nil })
	if err := g.unary(g.as("ada"), catalogv1.CatalogService_ListTopics_FullMethodName, "", &catalogv1.ListTopicsRequest{}, ok); err != nil {
		t.Errorf("a request without learner: %v", err)
	}
	if err := g.unary(context.Background(), "/grpc.health.v1.Health/Check", "", nil, ok); err != nil {
		t.Errorf("health is open to all: %v", err)
	}
	none := newGuarded(t, func(o *auth.GuardOptions) { o.Resolver = nil })
	if p, _, err := none.call(none.as("ada"), rpctest.Everyone, "", bobID); err != nil || p.LearnerID != "" {
		t.Errorf("without resolver: %v %+v", err, p)
	}
	_, _, err := none.call(none.as("ada"), rpctest.Own, "", adaID)
	wantReason(t, err, errs.PermissionDenied, errs.ReasonNotYourData)
}

// TestLearnerID holds the learner of a call to being resolved when the RPC acts as one, and a command to having none.
func TestLearnerID(t *testing.T) {
	g := newGuarded(t, nil)
	as := func(token string) (id string, err error) {
		ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", "Bearer "+token))
		req := g.service.With(adaID, "")
		err = g.unary(ctx, rpctest.Own, "", req.Message, func(ctx context.Context) error {
			var err error
			id, err = auth.LearnerID(ctx)
			return err
		})
		return id, err
	}
	admins := []auth.Role{auth.RoleAdmin}
	if id, err := as(must(g.issuer.Mint("bob", admins, "", time.Hour))); err != nil || id != bobID {
		t.Errorf("a person: %q, %v", id, err)
	}
	_, err := as(must(g.issuer.Mint("new", admins, "", time.Hour)))
	wantReason(t, err, errs.Unavailable, "PROFILE_DOWN")
	if id, err := as(must(g.issuer.MintCommand("bob", auth.RoleAdmin, time.Hour))); err != nil || id != "" {
		t.Errorf("a command: %q, %v", id, err)
	}
	if id, err := auth.LearnerID(auth.NewContext(t.Context(), auth.Principal{LearnerID: adaID})); err != nil || id != adaID {
		t.Errorf("without a guard: %q, %v", id, err)
	}
	ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", "Bearer "+must(g.issuer.MintCommand("bob", auth.RoleAdmin, time.Hour))))
	_, _, err = g.call(ctx, rpctest.Own, "", "me")
	wantReason(t, err, errs.PermissionDenied, errs.ReasonNotYourData)
}

func TestGuardReadsTheToken(t *testing.T) {
	g := newGuarded(t, nil)
	token := must(g.issuer.Mint("ada", nil, "", time.Hour))
	for _, test := range []struct {
		values []string
		reason string
	}{
		{[]string{"Bearer " + token}, ""},
		{[]string{"bearer " + token}, ""},
		{[]string{token}, errs.ReasonTokenInvalid},
		{[]string{"Bearer "}, errs.ReasonTokenInvalid},
		{[]string{"Basic YTpi"}, errs.ReasonTokenInvalid},
		{[]string{"Bearer " + token + "x"}, errs.ReasonTokenInvalid},
		{[]string{"Bearer " + token, "Bearer " + token}, errs.ReasonTokenInvalid},
	} {
		md := metadata.MD{"authorization": test.values}
		for _, method := range []string{rpctest.Everyone, rpctest.Internal} { // a service's call, too, brings no bad token
			if method == rpctest.Internal && test.reason == "" {
				continue
			}
			_, _, err := g.call(metadata.NewIncomingContext(context.Background(), md), method, "progress", "")
			if errs.ReasonOf(err) != test.reason {
				t.Errorf("%d values: %v, want %s", len(test.values), err, test.reason)
			}
		}
	}
	if strings.Contains(g.log.String(), token) {
		t.Error("the log holds a token")
	}
	g.clock.advance(2 * time.Hour)
	_, _, err := g.call(metadata.NewIncomingContext(context.Background(), metadata.Pairs("authorization", "Bearer "+token)), rpctest.Everyone, "", "")
	wantReason(t, err, errs.Unauthenticated, errs.ReasonTokenExpired)
}

// fakeStream is the server's side of a stream whose requests are at hand.
type fakeStream struct {
	grpc.ServerStream

	ctx      context.Context //nolint:containedctx // a stream returns its context
	requests []proto.Message
	sent     int
}

func (s *fakeStream) Context() context.Context { return s.ctx }
func (s *fakeStream) SendMsg(any) error        { s.sent++; return nil }
func (s *fakeStream) RecvMsg(m any) error {
	if len(s.requests) == 0 {
		return io.EOF
	}
	if to, ok := m.(proto.Message); ok {
		proto.Merge(to, s.requests[0])
	}
	s.requests = s.requests[1:]
	return nil
}

func (g *guarded) stream(ctx context.Context, method string, handler func(grpc.ServerStream) error, learners ...string) (*fakeStream, error) {
	ss := &fakeStream{ctx: ctx}
	for _, id := range learners {
		ss.requests = append(ss.requests, g.service.With(id, "").Message)
	}
	err := g.Stream(func(context.Context) string { return "" })(nil, ss, &grpc.StreamServerInfo{FullMethod: method},
		func(_ any, ss grpc.ServerStream) error { return handler(ss) })
	return ss, err
}

func TestGuardChecksEachMessageOfAStream(t *testing.T) {
	g := newGuarded(t, nil)
	var seen []string
	all := func(ss grpc.ServerStream) error {
		for m := g.service.New(); ss.RecvMsg(m.Message) == nil; m = g.service.New() {
			p, _ := auth.FromContext(ss.Context())
			seen = append(seen, m.Text("learner_id")+" for "+p.LearnerID)
		}
		return nil // passing over the error
	}
	if _, err := g.stream(g.as("ada"), rpctest.Upload, all, "me", adaID); err != nil {
		t.Fatal(err)
	}
	if want := []string{adaID + " for " + adaID, adaID + " for " + adaID}; !slices.Equal(seen, want) {
		t.Errorf("saw %v", seen)
	}
	seen = nil
	_, err := g.stream(g.as("ada"), rpctest.Upload, all, adaID, bobID, adaID)
	wantReason(t, err, errs.PermissionDenied, errs.ReasonNotYourData)
	if len(seen) != 1 {
		t.Errorf("saw %v", seen)
	}
	never := func(grpc.ServerStream) error { t.Error("the handler was called"); return nil }
	_, err = g.stream(context.Background(), rpctest.Watch, never, "me")
	wantReason(t, err, errs.Unauthenticated, errs.ReasonTokenMissing)
	_, err = g.stream(g.as("ada", auth.RoleAuthor), rpctest.Chat, never)
	wantReason(t, err, errs.PermissionDenied, errs.ReasonRoleRequired)
}

func TestGuardSendsNothingBeforeTheCheck(t *testing.T) {
	g := newGuarded(t, nil)
	ss, err := g.stream(g.as("ada"), rpctest.Watch, func(ss grpc.ServerStream) error { return ss.SendMsg(nil) }, bobID)
	if err == nil || ss.sent != 0 {
		t.Errorf("sent %d, %v", ss.sent, err)
	}
	ss, err = g.stream(g.as("ada", auth.RoleAdmin), rpctest.Watch, func(ss grpc.ServerStream) error { return ss.SendMsg(nil) }, bobID)
	if err != nil || ss.sent != 1 {
		t.Errorf("an admin: sent %d, %v", ss.sent, err)
	}
}

func TestStreamsEndWithTheirToken(t *testing.T) {
	g := newGuarded(t, nil)
	token := must(g.issuer.Mint("ada", nil, "", time.Second))
	ctx := metadata.NewIncomingContext(context.Background(), metadata.Pairs("authorization", "Bearer "+token))
	for name, handler := range map[string]func(grpc.ServerStream) error{
		"that watches its context": func(ss grpc.ServerStream) error { <-ss.Context().Done(); return nil },
		"that goes on sending": func(ss grpc.ServerStream) error {
			if err := ss.RecvMsg(g.service.New().Message); err != nil {
				return err
			}
			for {
				if err := ss.SendMsg(nil); err != nil {
					return err
				}
				time.Sleep(10 * time.Millisecond)
			}
		},
	} {
		start := testenv.Now()
		_, err := g.stream(ctx, rpctest.Watch, handler, "me")
		wantReason(t, err, errs.Unauthenticated, errs.ReasonTokenExpired)
		if took := testenv.Since(start); took < 500*time.Millisecond || took > 5*time.Second {
			t.Errorf("a stream %s took %s", name, took)
		}
	}
}

func TestRulesListOurRPCs(t *testing.T) {
	rules := auth.Rules(protoregistry.GlobalFiles)
	if len(rules) < 20 {
		t.Fatalf("found %d", len(rules))
	}
	for _, rule := range rules {
		if rule.Access == nil || !strings.HasPrefix(rule.Method, "/preceptor.") {
			t.Errorf("%s: %v", rule.Method, rule.Access)
		}
		if rule.Access.GetSelf() && !rule.NamesLearner {
			t.Errorf("%s admits self without learner_id", rule.Method)
		}
	}
}

func TestPrincipalOfAContext(t *testing.T) {
	if _, ok := auth.FromContext(context.Background()); ok {
		t.Error("somebody is calling")
	}
	if _, ok := auth.FromContext(auth.Prepare(context.Background())); ok {
		t.Error("there is a caller before the guard has found one")
	}
	p, ok := auth.FromContext(auth.NewContext(context.Background(), auth.Principal{Service: "progress"}))
	if !ok || p.ActorID() != "service:progress" {
		t.Errorf("got %+v", p)
	}
	if (auth.Principal{}).ActorID() != "" {
		t.Error("nobody has a name")
	}
}
