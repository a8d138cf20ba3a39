package server

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/metrics"
	"github.com/preceptor-dev/preceptor/internal/rpc"
	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// streamsMeasured is how many streams are opened, of learners with watchesEach, and streamBytes what one may cost
// a process, with all that its test holds for it.
const (
	streamsMeasured = 600
	watchesEach     = 20
	streamBytes     = streamCost
)

// school is a server with learners, whose tokens these are.
func school(t *testing.T) (p *process, tokens []string) {
	t.Helper()
	p = openAll(t)
	issuer, err := auth.OpenLocalIssuer(p.cfg.Data, p.now)
	if err != nil {
		t.Fatal(err)
	}
	for i := range streamsMeasured / watchesEach {
		token, err := issuer.Mint(fmt.Sprint("learner ", i), []auth.Role{auth.RoleLearner}, "", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, token)
	}
	return p, tokens
}

// memory is what the heap and the stacks hold.
func memory() int64 {
	for range 4 { // each halves the stacks that were needed once
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// openStream opens stream n and waits until the service has begun it; what the test holds for it is little.
type openStream func(t *testing.T, n int, token string)

// cost is what one of the streams costs that open opens.
func cost(t *testing.T, tokens []string, open openStream) int64 {
	t.Helper()
	const first = 40 // what the first ones make is there for all
	for n := range first {
		open(t, n, tokens[n/watchesEach])
	}
	before := memory()
	for n := first; n < streamsMeasured; n++ {
		open(t, n, tokens[n/watchesEach])
	}
	each := (memory() - before) / (streamsMeasured - first)
	t.Logf("a stream costs %d bytes; %d goroutines", each, runtime.NumGoroutine())
	return each
}

// dialed is a connection that is open until the test ends.
func dialed(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// overHTTP opens streams of server-sent events, each on a connection of its own.
func overHTTP(address string) openStream {
	return func(t *testing.T, _ int, token string) {
		t.Helper()
		conn := dialed(t, address)
		if _, err := fmt.Fprintf(conn, "GET /v1/learners/me/progress:watch HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nAccept: text/event-stream\r\n\r\n", token); err != nil {
			t.Fatal(err)
		}
		var begun [512]byte
		if n, err := conn.Read(begun[:]); err != nil || !strings.HasPrefix(string(begun[:n]), "HTTP/1.1 200 ") {
			t.Fatalf("%q %v", begun[:n], err)
		}
	}
}

// rawHTTP2 is a client of HTTP/2 without any state but its connections'.
type rawHTTP2 struct {
	address string
	each    int // streams on one connection
	conn    net.Conn
	in      *bufio.Reader
	streams int
}

// frame writes one frame.
func (c *rawHTTP2) frame(t *testing.T, kind, flags byte, stream int, payload []byte) {
	t.Helper()
	head := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
	head = binary.BigEndian.AppendUint32(append(head, flags), uint32(stream))
	if _, err := c.conn.Write(append(head, payload...)); err != nil {
		t.Fatal(err)
	}
}

// literal is a header field that neither side remembers.
func literal(name, value string) []byte {
	length := func(s string) []byte {
		if n := len(s); n >= 127 {
			return binary.AppendUvarint([]byte{127}, uint64(n-127))
		}
		return []byte{byte(len(s))}
	}
	return fmt.Append(nil, "\x10", string(length(name)), name, string(length(value)), value)
}

// open opens one watch and waits for its header.
func (c *rawHTTP2) open(t *testing.T, _ int, token string) {
	t.Helper()
	if c.streams%c.each == 0 {
		c.conn = dialed(t, c.address)
		c.in = bufio.NewReader(c.conn)
		if _, err := io.WriteString(c.conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		c.frame(t, 4, 0, 0, nil)
	}
	id := 2*(c.streams%c.each) + 1
	c.streams++
	var fields []byte
	for _, f := range [][2]string{
		{":method", "POST"},
		{":scheme", "http"},
		{":path", progressv1.ProgressService_WatchProgress_FullMethodName},
		{":authority", "x"},
		{"content-type", "application/grpc"},
		{"te", "trailers"},
		{"authorization", "Bearer " + token},
	} {
		fields = append(fields, literal(f[0], f[1])...)
	}
	c.frame(t, 1, 4, id, fields)
	c.frame(t, 0, 1, id, []byte{0, 0, 0, 0, 4, 10, 2, 'm', 'e'})
	for {
		var head [9]byte
		if _, err := io.ReadFull(c.in, head[:]); err != nil {
			t.Fatal(err)
		}
		if _, err := c.in.Discard(int(head[0])<<16 | int(head[1])<<8 | int(head[2])); err != nil {
			t.Fatal(err)
		}
		if head[3] == 4 && head[4]&1 == 0 {
			c.frame(t, 4, 1, 0, nil)
		}
		if head[3] == 1 && int(binary.BigEndian.Uint32(head[5:])) == id {
			if head[4]&1 != 0 {
				t.Fatalf("stream %d has ended at once", id)
			}
			return
		}
	}
}

// TestStreamsAreCheap holds streams to what they may cost.
func TestStreamsAreCheap(t *testing.T) {
	t.Run("gRPC", func(t *testing.T) {
		p, tokens := school(t)
		p.cfg.GRPC = "127.0.0.1:0"
		if err := p.offerGRPC(t.Context()); err != nil {
			t.Fatal(err)
		}
		client := &rawHTTP2{address: p.at.GRPC.String(), each: 100}
		if each := cost(t, tokens, client.open); each > streamBytes {
			t.Errorf("a gRPC stream costs %d bytes", each)
		}
	})
	t.Run("events in one process", func(t *testing.T) {
		p, tokens := school(t)
		address := p.front(t, p.inProcess(Gateway, p.table.Names()))
		if each := cost(t, tokens, overHTTP(address)); each > streamBytes {
			t.Errorf("a stream of events costs %d bytes", each)
		}
	})
	t.Run("events of a gateway by itself", func(t *testing.T) {
		p, tokens := school(t)
		conns := p.inProcess(Gateway, p.table.Names())
		conns[Progress] = p.across(t, Progress)
		address := p.front(t, conns)
		if each := cost(t, tokens, overHTTP(address)); each > 2*streamBytes { // of the gateway and of progress
			t.Errorf("a stream of events costs %d bytes", each)
		}
	})
}

// TestStreamsOfALearnerAreBounded refuses the 21st, by either API.
func TestStreamsOfALearnerAreBounded(t *testing.T) {
	t.Parallel()
	p, tokens := school(t)
	p.cfg.GRPC = "127.0.0.1:0"
	if err := p.offerGRPC(t.Context()); err != nil {
		t.Fatal(err)
	}
	address := p.front(t, p.inProcess(Gateway, p.table.Names()))
	for n := range watchesEach {
		overHTTP(address)(t, n, tokens[0])
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/v1/learners/me/progress:watch", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+tokens[0])
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil || res.StatusCode != http.StatusTooManyRequests || !strings.Contains(string(body), errs.ReasonTooManyStreams) || res.Header.Get("Retry-After") != "15" {
		t.Errorf("the 21st stream of events: %d %v %s %v", res.StatusCode, res.Header, body, err)
	}
	conn, err := grpc.NewClient(p.at.GRPC.String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+tokens[0])
	watch, err := progressv1.NewProgressServiceClient(conn).WatchProgress(ctx, &progressv1.WatchProgressRequest{LearnerId: "me"})
	if err == nil {
		_, err = watch.Recv()
	}
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("the 21st stream over gRPC: %v", err)
	}
	overHTTP(address)(t, 0, tokens[1]) // another learner's is opened
}

// TestStreamsFitIntoMemory refuses a stream beyond --max-streams, and shows both numbers.
func TestStreamsFitIntoMemory(t *testing.T) {
	t.Parallel()
	p, tokens := school(t)
	p.cfg.MaxStreams = 3
	p.metrics = metrics.New("test")
	address := p.front(t, p.inProcess(Gateway, p.table.Names()))
	watch := func(n int) *bufio.Reader {
		conn := dialed(t, address)
		const request = "GET /v1/learners/me/progress:watch HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n"
		if _, err := fmt.Fprintf(conn, request, tokens[n]); err != nil {
			t.Fatal(err)
		}
		return bufio.NewReader(conn)
	}
	for n := range 3 {
		in := watch(n)
		for line := ""; line != ": open\n"; { // it is counted before it says so
			var err error
			if line, err = in.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
	}
	res, err := http.ReadResponse(watch(4), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil || res.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), errs.ReasonOverloaded) {
		t.Errorf("the fourth stream: %d %s %v", res.StatusCode, body, err)
	}
	page := httptest.NewRecorder()
	p.metrics.Handler().ServeHTTP(page, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	for _, line := range []string{"preceptor_gateway_streams 3\n", "preceptor_gateway_streams_limit 3\n"} {
		if !strings.Contains(page.Body.String(), "\n"+line) {
			t.Errorf("/metrics lacks %q", line)
		}
	}
}

// TestHealthOfOneProcess asks for the documented names, which services by themselves have too.
func TestHealthOfOneProcess(t *testing.T) {
	t.Parallel()
	b := openBoth(t)
	client := healthv1.NewHealthClient(b.conn)
	for _, name := range []string{
		"", rpc.HealthWhole, "preceptor.profile.v1.ProfileService", "preceptor.catalog.v1.CatalogService",
		"preceptor.progress.v1.ProgressService", "preceptor.audit.v1.AuditService",
	} {
		got, err := client.Check(t.Context(), &healthv1.HealthCheckRequest{Service: name})
		if err != nil || got.GetStatus() != healthv1.HealthCheckResponse_SERVING {
			t.Errorf("%q: %v %v", name, got, err)
		}
	}
	if _, err := client.Check(t.Context(), &healthv1.HealthCheckRequest{Service: "nobody"}); status.Code(err) != codes.NotFound {
		t.Errorf("a name of nobody: %v", err)
	}
}

// front serves the gateway.
func (p *process) front(t *testing.T, conns map[string]grpc.ClientConnInterface) (address string) {
	t.Helper()
	g, err := p.openGateway(t.Context(), conns)
	if err != nil {
		t.Fatal(err)
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := newHTTPServer(http.Handler(g), slog.New(slog.DiscardHandler))
	go func() { _ = server.Serve(lis) }()
	t.Cleanup(func() {
		_ = g.Close()
		_ = server.Close()
	})
	return lis.Addr().String()
}

// across is the gateway's connection to a service of the process over the network, with certificates.
func (p *process) across(t *testing.T, name string) grpc.ClientConnInterface {
	t.Helper()
	dir := t.TempDir()
	identity := func(name string) rpc.Identity {
		id, err := rpc.LocalPKI(dir, name, testenv.Now)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	s := p.find(name)
	p.identity = identity(name)
	server, err := p.newServer(t.Context(), s.Opened, 0)
	if err != nil {
		t.Fatal(err)
	}
	s.Register(server, server.Draining())
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(lis) }()
	conn, err := rpc.Dial(lis.Addr().String(), rpc.DialOptions{TLS: identity(Gateway).ClientTLS(name)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}
