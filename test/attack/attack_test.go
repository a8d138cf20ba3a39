package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// TestNothingButLoopback tries to have the harness attack somebody else.
func TestNothingButLoopback(t *testing.T) {
	for _, addr := range []string{"192.0.2.1:80", "[2001:db8::1]:80", "0.0.0.0:80", "localhost:80", "example.org:80", "127.0.0.1.example.org:80", ":80"} {
		if conn, err := dial(t.Context(), attackerAddr, addr); !errors.Is(err, errNotLoopback) {
			t.Errorf("%s: %v, %v", addr, conn, err)
		}
		_, err := send(t.Context(), newHTTPClient(attackerAddr), addr, request{method: http.MethodGet, path: "/"})
		if !errors.Is(err, errNotLoopback) {
			t.Errorf("a request to %s: %v", addr, err)
		}
	}
}

func TestFlags(t *testing.T) {
	o, err := parse([]string{"-attacks", "tokens,disk", "-dose", "short", "-seed", "7"}, io.Discard)
	if err != nil || fmt.Sprint(o) != "{[tokens disk] true 7 }" {
		t.Errorf("%v, %v", o, err)
	}
	for _, args := range [][]string{{"-attacks", "token"}, {"-dose", "huge"}, {"http://example.org"}, {"-target", "x"}} {
		if o, err := parse(args, io.Discard); err == nil {
			t.Errorf("%v: %v", args, o)
		}
	}
	if w := (&world{}); w.dose(1, 2) != 2 {
		t.Error("the whole dose is the small one")
	}
}

// TestFaultsAreCounted holds the tally to what is a fault and what is not.
func TestFaultsAreCounted(t *testing.T) {
	problem := http.Header{"Content-Type": {"application/problem+json"}}
	later := problem.Clone()
	later.Set("Retry-After", "1")
	body := []byte(`{"reason":"X"}`)
	for _, test := range []struct {
		busy   bool
		a      answer
		faults int
		broken int
	}{
		{false, answer{200, nil, nil}, 0, 0},
		{false, answer{400, problem, body}, 0, 0},
		{false, answer{400, problem, []byte("{}")}, 1, 0},
		{false, answer{400, http.Header{"Content-Type": {"text/plain"}}, body}, 1, 0},
		{false, answer{500, problem, body}, 1, 1},
		{true, answer{500, problem, body}, 1, 1},
		{false, answer{503, later, body}, 1, 1},
		{true, answer{503, problem, body}, 1, 1},
		{true, answer{503, later, body}, 0, 0},
	} {
		tally := &tally{busy: test.busy, outcomes: map[string]int{}}
		tally.http("x", &test.a)
		if tally.faults != test.faults || tally.broken != test.broken || tally.sent != 1 {
			t.Errorf("%v, busy %t: %d faults, %d broken", test.a, test.busy, tally.faults, tally.broken)
		}
	}
	for code, faults := range map[codes.Code]int{codes.OK: 0, codes.InvalidArgument: 0, codes.Unauthenticated: 0, codes.Internal: 1, codes.Unknown: 1, codes.Unavailable: 1, codes.DeadlineExceeded: 1} {
		tally := &tally{outcomes: map[string]int{}}
		tally.grpc("x", status.Error(code, "x"))
		if tally.faults != faults {
			t.Errorf("%s: %d faults", code, tally.faults)
		}
	}
}

// TestFaultsFail holds the command to failing where an attack found something.
func TestFaultsFail(t *testing.T) {
	r := &row{name: "x", tally: &tally{outcomes: map[string]int{"200": 3, "401": 4}, sent: 7}, peak: 60 << 10, honest: []time.Duration{time.Millisecond, 3 * time.Millisecond}}
	var out bytes.Buffer
	if err := printed(&out, []*row{r}, options{seed: 7}); err != nil {
		t.Error(err)
	}
	if want := "| x | 7 | 3 × 200, 4 × 401 | 0 | 60 MiB | – | 2 | 3.0 ms | 3.0 ms | 0 |"; !strings.Contains(out.String(), want) {
		t.Errorf("no line %s in:\n%s", want, &out)
	}
	for i := range 2 * maxFaults {
		r.tally.faultf("fault %d", i)
	}
	r.tally.summaryf("all of it")
	out.Reset()
	err := printed(&out, []*row{r}, options{seed: 7})
	if err == nil || !strings.Contains(err.Error(), "-seed 7") || !strings.Contains(out.String(), "\n- x: all of it\n- x: fault 0\n") || !strings.Contains(out.String(), "and 12 more") {
		t.Errorf("%v\n%s", err, &out)
	}
}

// newMade is a world without a program.
func newMade(t *testing.T, seed uint64) *world {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	oidc, err := newProvider()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(oidc.close)
	return &world{tally: &tally{outcomes: map[string]int{}}, dice: mathrand.New(mathrand.NewPCG(seed, 1)), issuer: &issuer{key, "key"}, oidc: oidc}
}

// TestForgeries looks whether there are as many as there should be, each another one, and none the token that
// they are made from.
func TestForgeries(t *testing.T) {
	w := newMade(t, 1)
	names, tokens := map[string]bool{}, map[string]string{w.issuer.token("forger", "admin"): "the valid token"}
	for _, f := range w.forgeries() {
		if other := tokens[f.token]; names[f.name] || other != "" {
			t.Errorf("%s is there twice, or is %s", f.name, other)
		}
		names[f.name], tokens[f.token] = true, f.name
	}
	if len(names) < 59 {
		t.Errorf("%d forgeries", len(names))
	}
}

// TestBodiesFitTheirMessages has protojson read what the generator makes: a body that no route could
// read would test the reader alone.
func TestBodiesFitTheirMessages(t *testing.T) {
	g := &generator{dice: newMade(t, 1).dice, module: "m", path: "p"}
	bodies := 0
	for _, r := range rpcs() {
		if r.body == "" {
			continue
		}
		of := r.input
		if r.body != "*" {
			of = r.input.Fields().ByName(protoreflect.Name(r.body)).Message()
		}
		for range 20 {
			message, err := empty(of)
			if err != nil {
				t.Fatal(err)
			}
			text := request{}.asJSON(g.bodyOf(r)).body
			if err := protojson.Unmarshal(text, message); err != nil {
				t.Errorf("%s: %v: %s", r.name, err, text)
			}
		}
		bodies++
	}
	if bodies < 25 {
		t.Errorf("%d routes with a body", bodies)
	}
}

// TestMutationsRepeat holds the seed to giving the same requests again, and another seed to giving others.
func TestMutationsRepeat(t *testing.T) {
	made := func(seed uint64) string {
		w := newMade(t, seed)
		m := &mutator{dice: w.dice, g: &generator{dice: w.dice, module: "m", path: "p"}, ids: map[string]string{"learner_id": "me"}}
		var all strings.Builder
		for _, r := range rpcs() {
			for range 10 {
				req := m.mutate(r)
				fmt.Fprintf(&all, "%s %s %q %v\n", req.method, req.path, req.body, req.header)
			}
		}
		return all.String()
	}
	if a, b := made(7), made(7); a != b {
		t.Error("the same seed gives other requests")
	}
	if made(7) == made(8) {
		t.Error("another seed gives the same requests")
	}
}

// TestEveryRPCIsKnown holds the harness to the number of RPCs that it attacks.
func TestEveryRPCIsKnown(t *testing.T) {
	routes := 0
	for _, r := range rpcs() {
		if r.access == nil {
			t.Errorf("%s has no access option", r.name)
		}
		if r.method != "" {
			routes++
		}
	}
	if routes < 44 {
		t.Errorf("%d routes", routes)
	}
	r := rpc{}
	for _, each := range rpcs() {
		if each.short() == "UpdateLearner" {
			r = each
		}
	}
	if !r.admits("admin", false) || !r.admits("learner", true) || r.admits("learner", false) || r.admits("author", false) {
		t.Errorf("who updates a learner: %v", r.access)
	}
}

// TestTolerantClientsTryAgain has an honest client meet a server that is away, and that is busy.
func TestTolerantClientsTryAgain(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	lis := newListener(t)
	tries := 0
	server := &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if tries++; tries < 3 {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})}
	go func() { _ = server.Serve(lis) }()
	t.Cleanup(func() { _ = server.Close() })
	w := &world{target: &target{}, tally: &tally{outcomes: map[string]int{}}}
	w.life.Store(&life{http: lis.Addr().String()})
	h := &honest{w: w}
	a, err := h.ask(ctx, newHTTPClient(attackerAddr), request{method: http.MethodGet, path: "/"})
	if err != nil || a.status != http.StatusOK || h.retried != 2 {
		t.Errorf("%v, %v, %d times again", a, err, h.retried)
	}
	_ = server.Close()
	if _, err := h.ask(ctx, newHTTPClient(attackerAddr), request{method: http.MethodGet, path: "/"}); err == nil {
		t.Error("a server that is gone was not noticed")
	}
}

func newListener(t *testing.T) net.Listener {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return lis
}
