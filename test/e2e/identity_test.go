package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	auditv1 "github.com/preceptor-dev/preceptor/gen/preceptor/audit/v1"
	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	profilev1 "github.com/preceptor-dev/preceptor/gen/preceptor/profile/v1"
	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// TestGRPC speaks to one process by gRPC.
func TestGRPC(t *testing.T) {
	t.Parallel()
	addr := freeAddrs(t, 1)[0]
	w := oneProcess(t, "--grpc", addr)
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	me := metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+w.token(t, "grpc-learner"))

	learner, err := profilev1.NewProfileServiceClient(conn).GetLearner(me, &profilev1.GetLearnerRequest{LearnerId: "me"})
	if err != nil || learner.GetLearner().GetId() != w.as(t, "grpc-learner").id() {
		t.Errorf("by gRPC the learner is %v, %v", learner, err)
	}
	if _, err := catalogv1.NewCatalogServiceClient(conn).ListTopics(me, &catalogv1.ListTopicsRequest{}); err != nil {
		t.Error(err)
	}
	progress := progressv1.NewProgressServiceClient(conn)
	_, err = progress.CreateEnrollment(me, &progressv1.CreateEnrollmentRequest{LearnerId: "me", PathId: "No Path"})
	var reason, field string
	for _, detail := range status.Convert(err).Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			reason = d.GetReason()
		case *errdetails.BadRequest:
			field = d.GetFieldViolations()[0].GetField()
		}
	}
	if status.Code(err) != codes.InvalidArgument || reason != "INVALID_ARGUMENT" || field != "pathId" {
		t.Errorf("%v, reason %s, field %s", err, reason, field)
	}
	// One address for all services: each chain is still its own.
	admin := metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+w.token(t, "grpc-admin", "admin"))
	for service, want := range map[string]codes.Code{"catalog": codes.OK, "progress": codes.OK, "profile": codes.OK, "gateway": codes.InvalidArgument} {
		_, err := auditv1.NewAuditServiceClient(conn).ListAuditEntries(admin, &auditv1.ListAuditEntriesRequest{Service: service})
		if status.Code(err) != want {
			t.Errorf("the chain of %s: %v, want %s", service, err, want)
		}
	}
	// No client outside is a service of ours.
	_, err = catalogv1.NewCatalogServiceClient(conn).SyncCatalog(ctx, &catalogv1.SyncCatalogRequest{})
	if err == nil {
		var stream grpc.ServerStreamingClient[catalogv1.SyncCatalogResponse]
		if stream, err = catalogv1.NewCatalogServiceClient(conn).SyncCatalog(ctx, &catalogv1.SyncCatalogRequest{}); err == nil {
			_, err = stream.Recv()
		}
	}
	if status.Code(err) != codes.Unauthenticated {
		t.Errorf("SyncCatalog serves unauthenticated callers: %v", err)
	}
}

// authority writes certificates as a certificate manager would.
type authority struct {
	*testenv.Authority

	t *testing.T
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	return &authority{testenv.NewAuthority(t), t}
}

// flags issues a service's certificate, and returns the flags that name it.
func (a *authority) flags(service string) []string {
	return a.flagsUntil(service, testenv.Now().Add(time.Hour))
}

// flagsUntil is flags with a certificate that ends at a time.
func (a *authority) flagsUntil(service string, end time.Time) []string {
	certificate, key := a.Service(a.t, service, end)
	return []string{"--tls-cert", certificate, "--tls-key", key, "--tls-ca", a.File}
}

// TestTheGatewayVerifiesByItself asks one that reaches no service, of an issuer that gives no keys at first.
func TestTheGatewayVerifiesByItself(t *testing.T) {
	t.Parallel()
	provider := newProvider(t)
	away := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "away", http.StatusBadGateway) })
	provider.instead.Store(&away)
	addr := freeAddrs(t, 1)[0]
	gateway := start(t, "serve", "gateway", "--http", "127.0.0.1:0", "--data", t.TempDir(), "--drain-delay", "0s", "--profile-addr", addr,
		"--catalog-addr", addr, "--progress-addr", addr, "--oidc-issuer", provider.url, "--oidc-audience", "preceptor-test")
	base := "http://" + gateway.addr
	anyone, me := &client{t: t, base: base}, &client{t: t, base: base, token: provider.token("ada", "learner")}
	names := "the token issuer " + provider.url + " gives no keys"
	operator := &client{t: t, base: "http://" + gateway.health}
	eventually(t, names, func() bool { return strings.Contains(string(operator.get("/readyz").want(http.StatusOK).body), names) })
	me.get("/v1/topics").problem(http.StatusServiceUnavailable, "ISSUER_UNREACHABLE")
	anyone.get("/v1/topics").problem(http.StatusUnauthorized, "TOKEN_MISSING")
	(&client{t: t, base: base, token: "junk"}).get("/v1/topics").problem(http.StatusUnauthorized, "TOKEN_INVALID")
	provider.instead.Store(nil)
	eventually(t, "the token is valid", func() bool { return me.get("/v1/topics").get("reason") == "UPSTREAM_UNAVAILABLE" })
	eventually(t, "the issuer is back", func() bool { return !strings.Contains(string(operator.get("/readyz").body), names) })
}

// TestCertificatesFromFiles runs four processes that share no folder.
func TestCertificatesFromFiles(t *testing.T) {
	t.Parallel()
	ca, provider := newAuthority(t), newProvider(t)
	addrs := freeAddrs(t, 4)
	run := func(service string, more ...string) *process {
		args := append([]string{"serve", service, "--profile-addr", addrs[0], "--catalog-addr", addrs[1], "--progress-addr", addrs[2]}, ca.flags(service)...)
		return start(t, append(args, more...)...)
	}
	tokens := []string{"--oidc-issuer", provider.url, "--oidc-audience", "preceptor-test", "--oidc-roles-claim", "realm.roles"}
	for i, service := range []string{"profile", "catalog", "progress"} {
		run(service, append(tokens, "--data", t.TempDir(), "--listen", addrs[i], "--health-addr", map[bool]string{true: addrs[3]}[service == "progress"])...)
	}
	gateway := run("gateway", append(tokens, "--http", "127.0.0.1:0", "--data", "/proc/none")...)
	w := &world{base: "http://" + gateway.addr, front: gateway}
	w.awaitReady(t)

	health := &client{t: t, base: "http://" + addrs[3]}
	health.get("/healthz").want(http.StatusOK).has("status", "alive")
	eventually(t, "progress is ready", func() bool { return health.get("/readyz").status == http.StatusOK })

	me := &client{t: t, base: w.base, token: provider.token("oidc-learner", "learner")}
	me.get("/v1/learners/me").want(http.StatusOK).has("subjects.0.issuer", provider.url, "displayName", "Ada from elsewhere")
	me.post("/v1/learners/me/enrollments", map[string]any{"pathId": "clinical-ai-engineer"}).want(http.StatusCreated)
	me.get("/v1/catalog:export").problem(http.StatusForbidden, "ROLE_REQUIRED")
	author := &client{t: t, base: w.base, token: provider.token("oidc-author", "author")}
	author.get("/v1/catalog:export").want(http.StatusOK)
	local := oneProcess(t).as(t, "local")
	local.base = w.base
	local.get("/v1/learners/me").problem(http.StatusUnauthorized, "TOKEN_INVALID")

	// What is wrong with changed files is logged once, and meanwhile the old ones are used.
	good := ca.flags("gateway")[1]
	copied, err := os.ReadFile(ca.flags("profile")[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(good, copied, 0o600); err != nil {
		t.Fatal(err)
	}
	const refused, taken = "the files of the certificate changed and cannot be used", "the certificate is a new one"
	eventually(t, refused, func() bool { return len(gateway.lines(refused)) > 0 })
	me.get("/v1/modules").want(http.StatusOK)
	ca.flagsUntil("gateway", testenv.Now().Add(2*time.Hour))
	eventually(t, taken, func() bool { return len(gateway.lines(taken)) > 0 })
	if logged := gateway.lines(refused); len(logged) != 1 || !strings.Contains(logged[0], good) {
		t.Errorf("it logs %q", logged)
	}
	me.get("/v1/modules").want(http.StatusOK)
}

// provider is an OpenID Connect provider, as far as servers look at one.
type provider struct {
	t      *testing.T
	url    string
	signer jose.Signer
	// instead serves in its place while it is not nil.
	instead atomic.Pointer[http.HandlerFunc]
	// grant is what it responds where clients ask for tokens; nil: it has no clients.
	grant func(http.ResponseWriter, *http.Request) string
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{t: t}
	pages := http.NewServeMux()
	answer := func(path string, v any) {
		pages.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if err := json.NewEncoder(w).Encode(v); err != nil {
				t.Error(err)
			}
		})
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if instead := p.instead.Load(); instead != nil {
			(*instead)(w, r)
			return
		}
		pages.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	p.url = server.URL
	answer("/.well-known/openid-configuration", map[string]any{
		"issuer": p.url, "jwks_uri": p.url + "/keys", "authorization_endpoint": p.url + "/auth", "token_endpoint": p.url + "/token",
		"id_token_signing_alg_values_supported": []string{"ES256"},
	})
	answer("/keys", jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "1", Algorithm: "ES256", Use: "sig"}}})
	pages.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, p.grant(w, r))
	})
	p.signer = signerOf(t, key, "1")
	return p
}

func signerOf(t *testing.T, key *ecdsa.PrivateKey, id string) jose.Signer {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: id}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func (p *provider) token(subject, role string) string {
	p.t.Helper()
	return p.signed(p.signer, subject, role)
}

// signed is token with a key that the issuer need not have.
func (p *provider) signed(signer jose.Signer, subject, role string) string {
	p.t.Helper()
	now := testenv.Now()
	token, err := jwt.Signed(signer).Claims(jwt.Claims{
		Issuer: p.url, Subject: subject, Audience: jwt.Audience{"preceptor-test"}, IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(time.Hour)),
	}).Claims(map[string]any{"name": "Ada from elsewhere", "realm": map[string]any{"roles": []string{role}}}).Serialize()
	if err != nil {
		p.t.Fatal(err)
	}
	return token
}

// TestVariables sets flags by the environment, also some that mean nothing to this process.
func TestVariables(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	env := []string{
		"PRECEPTOR_HTTP=127.0.0.1:0", "PRECEPTOR_DATA=" + data, "PRECEPTOR_STARTER=false", "PRECEPTOR_LOG_FORMAT=json",
		"PRECEPTOR_CATALOG_ADDR=127.0.0.1:1", "PRECEPTOR_CORS_ORIGIN=https://a.example.org,https://b.example.org",
	}
	p, ready := launchWith(t, env, "serve")
	select {
	case line := <-ready:
		p.addr = line.HTTP
	case <-time.After(patience):
		t.Fatalf("not ready\n%s", p.output())
	}
	w := &world{base: "http://" + p.addr, data: data, front: p, tokens: map[string]string{}}
	me := w.as(t, "variables")
	me.get("/v1/modules").want(http.StatusOK).has("modules", "[]")
	if got := me.get("/v1/modules", "Origin", "https://b.example.org").header.Get("Access-Control-Allow-Origin"); got != "https://b.example.org" {
		t.Errorf("the second origin gets %q", got)
	}
}
