package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/gateway"
	"github.com/preceptor-dev/preceptor/internal/bounds"
	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// unread sends the head of a request, which announces 16 MiB and waits for nothing, and returns the
// response and whether the connection ends after it.
func (h *harness) unread(t *testing.T, path string, headers ...string) response {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n%s\r\n", path, 16<<20, strings.Join(append(headers, ""), "\r\n"))
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if !res.Close {
		t.Errorf("%s: the connection stays, with a body on it that nobody reads", path)
	}
	return response{res.StatusCode, res.Header, string(text)}
}

// TestNoBodyIsReadOfStrangers: each of these is refused although no byte of its body ever comes.
func TestNoBodyIsReadOfStrangers(t *testing.T) {
	h := open(t)
	h.unread(t, importPath).wantProblem(t, 401, "TOKEN_MISSING")
	for shown, reason := range map[string]string{
		"Bearer junk": "TOKEN_INVALID", "Bearer expired": "TOKEN_EXPIRED", "Basic YTpi": "TOKEN_INVALID", "Bearer": "TOKEN_INVALID",
		"": "TOKEN_INVALID", "Ticket abc": "TICKET_INVALID", "Bearer \u00e9": "TOKEN_INVALID",
	} {
		a := h.unread(t, importPath, "Authorization: "+shown)
		a.wantProblem(t, 401, reason)
		if challenge := a.header.Get("WWW-Authenticate"); challenge != map[bool]string{true: "Bearer", false: `Bearer error="invalid_token"`}[shown == "Ticket abc"] {
			t.Errorf("%s: WWW-Authenticate: %s", shown, challenge)
		}
	}
	h.unread(t, importPath, "Authorization: Bearer a", "Authorization: Bearer b").wantProblem(t, 401, "TOKEN_INVALID")
	h.unread(t, importPath, "Authorization: Bearer unknowable").wantProblem(t, 503, "ISSUER_UNREACHABLE")
	h.unread(t, importPath, "Expect: 100-continue").wantProblem(t, 401, "TOKEN_MISSING")
	h.unread(t, watchPath).wantProblem(t, 405, "METHOD_NOT_ALLOWED")
	h.unread(t, "/v1/nothing").wantProblem(t, 404, "ROUTE_NOT_FOUND")
	h.unread(t, "/docs").wantProblem(t, 405, "METHOD_NOT_ALLOWED")
	h.unread(t, "/healthz").wantProblem(t, 405, "METHOD_NOT_ALLOWED")
	if h.count() != 0 {
		t.Errorf("%d calls reached the services", h.count())
	}
}

// TestConnectionsStay: a body that was read to its end leaves the connection to the next request, also where it was refused.
func TestConnectionsStay(t *testing.T) {
	h := open(t)
	conn, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	from := bufio.NewReader(conn)
	for _, each := range []struct {
		media  string
		size   int
		status int
	}{{"application/json", 2, 200}, {"text/plain", 2, 415}, {"application/json", 1<<20 + 1, 413}, {"application/json", 2, 200}} {
		fmt.Fprintf(conn, "POST /v1/modules?moduleId=a HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n{%s}",
			token, each.media, each.size, strings.Repeat(" ", each.size-2))
		res, err := http.ReadResponse(from, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := readAll(res); err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != each.status || res.Close != (each.status == 413) {
			t.Fatalf("%+v: status %d, closes %t", each, res.StatusCode, res.Close)
		}
		if res.Close {
			if conn, err = net.Dial("tcp", strings.TrimPrefix(h.url, "http://")); err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			from = bufio.NewReader(conn)
		}
	}
}

// TestAFloodOfJunkTokens: nearly all are refused unverified, and who is signed in is served, at the same
// address or at another.
func TestAFloodOfJunkTokens(t *testing.T) {
	at := testenv.Now() // all comes at one moment
	h := open(t, func(c *gateway.Config) {
		c.Limiter = bounds.NewLimiter(bounds.RateLimit{PerSecond: 5, Burst: 10})
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		c.Now = func() time.Time { return at }
	})
	ask := func(token, from string) response {
		t.Helper()
		return h.get(t, "/v1/topics", "Authorization", "Bearer "+token, "X-Forwarded-For", from)
	}
	for _, user := range []string{"ada", "grace"} {
		if a := ask(user, "198.51.100.1"); a.status != 200 {
			t.Fatalf("%s: %+v", user, a)
		}
	}
	statuses := map[int]int{}
	for i := range 300 {
		a := ask(fmt.Sprint("junk-", i), "198.51.100.1")
		statuses[a.status]++
		if a.status == 429 {
			a.wantProblem(t, 429, "RATE_LIMITED")
			if got := a.header.Get("Ratelimit-Policy"); got != `"address";q=10;w=2` || a.header.Get("Retry-After") == "" {
				t.Fatalf("%v", a.header)
			}
		}
		if i%100 == 0 {
			for _, user := range []string{"ada", "grace"} {
				if a := ask(user, "198.51.100.1"); a.status != 200 {
					t.Errorf("%s, who is signed in, gets %+v", user, a)
				}
			}
		}
	}
	if statuses[401] != 1 || statuses[429] != 299 {
		t.Errorf("%v", statuses)
	}
	if a := ask("junk-elsewhere", "198.51.100.2"); a.status != 401 {
		t.Errorf("another address behind the proxy gets %+v", a)
	}
	if got := strings.Count(h.log.String(), `"level":"INFO","msg":"request"`); got != 10 {
		t.Errorf("%d lines of the log at INFO: a flood fills it", got)
	}
}

// TestForgedAddresses: nobody but a trusted proxy says where a request comes from.
func TestForgedAddresses(t *testing.T) {
	h := open(t, func(c *gateway.Config) {
		c.Limiter = bounds.NewLimiter(bounds.RateLimit{PerSecond: 0.001, Burst: 10})
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	})
	statuses := map[int]int{}
	for i := range 50 {
		statuses[h.get(t, "/v1/topics", "Authorization", "Bearer junk", "X-Forwarded-For", fmt.Sprint("198.51.100.", i)).status]++
	}
	if statuses[401] != 1 || statuses[429] != 49 {
		t.Errorf("%v", statuses)
	}
}

// TestAnUnreachableIssuerCostsNothing: who cannot be judged does not pay for it, and does not fill the log.
func TestAnUnreachableIssuerCostsNothing(t *testing.T) {
	at := testenv.Now() // all comes at one moment
	h := open(t, func(c *gateway.Config) {
		c.Limiter = bounds.NewLimiter(bounds.RateLimit{PerSecond: 0.001, Burst: 2})
		c.Now = func() time.Time { return at }
	})
	for range 300 {
		h.get(t, "/v1/topics", "Authorization", "Bearer unknowable").wantProblem(t, 503, "ISSUER_UNREACHABLE")
	}
	if a := h.get(t, "/v1/topics"); a.status != 200 {
		t.Errorf("%+v", a)
	}
	if got := strings.Count(h.log.String(), `"level":"WARN","msg":"request"`); got != 100 || !strings.Contains(h.log.String(), `"reason":"ISSUER_UNREACHABLE"`) {
		t.Errorf("300 requests write %d lines of the log", got)
	}
}

// TestRefusalsAreLogged: the log says why a token was refused, and where it came from, and not the token.
func TestRefusalsAreLogged(t *testing.T) {
	h := open(t)
	h.get(t, "/v1/topics", "Authorization", "Bearer junk-canary")
	h.do(t, strings.Repeat("M", 5000), "/v1/topics", "")
	log := h.log.String()
	if !strings.Contains(log, `"reason":"TOKEN_INVALID"`) || !strings.Contains(log, `"address":"127.0.0.1"`) || strings.Contains(log, "canary") {
		t.Error(log)
	}
	for line := range strings.Lines(log) {
		if len(line) > 1000 {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
}
