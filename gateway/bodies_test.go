package gateway

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// anybody takes every token for its subject.
type anybody struct{}

func (anybody) Verify(_ context.Context, token string) (auth.Principal, error) {
	return auth.Principal{Issuer: "https://issuer.example", Subject: token}, nil
}

// holdingConn responds with nothing, and notes what bodies hold while a call is served.
type holdingConn struct {
	stillConn

	g    *Gateway
	held chan int64
}

func (c *holdingConn) Invoke(context.Context, string, any, any, ...grpc.CallOption) error {
	c.held <- c.g.bodies.held.Used()
	return nil
}

// serveBodies serves a gateway with a small budget, and returns its address.
func serveBodies(t *testing.T, change func(*bodies)) (g *Gateway, conn *holdingConn, addr string) {
	t.Helper()
	conn = &holdingConn{held: make(chan int64, 100)}
	g, err := New(Config{
		Conns: map[string]grpc.ClientConnInterface{"profile": conn, "catalog": conn, "progress": conn}, Now: testenv.Now, Verifier: anybody{},
	})
	if err != nil {
		t.Fatal(err)
	}
	conn.g = g
	change(g.bodies)
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	t.Cleanup(func() { _ = g.Close() })
	return g, conn, strings.TrimPrefix(server.URL, "http://")
}

// sender sends one body bit by bit.
type sender struct {
	net.Conn

	t *testing.T
}

// begin sends the head of a request with a body of size bytes.
func begin(t *testing.T, addr, path, subject string, size int) *sender {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	s := &sender{conn, t}
	fmt.Fprintf(s, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n", path, subject, size)
	return s
}

func (s *sender) blanks(n int) { _, _ = io.WriteString(s, strings.Repeat(" ", n)) }

// response returns the status and the reason of the response.
func (s *sender) response() string {
	s.t.Helper()
	res, err := http.ReadResponse(bufio.NewReader(s), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var p problem
	_ = json.NewDecoder(res.Body).Decode(&p)
	return strings.TrimSpace(fmt.Sprint(res.StatusCode, " ", p.Reason, " ", res.Header.Get("Retry-After")))
}

const modulePath, catalogPath = "/v1/modules?moduleId=a", "/v1/catalog:import"

// waitHeld waits until bodies hold so much.
func (g *Gateway) waitHeld(t *testing.T, want int64) {
	t.Helper()
	for range 1000 {
		if g.bodies.held.Used() == want {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("bodies hold %d bytes, want %d", g.bodies.held.Used(), want)
}

// TestAnAnnouncedLengthReservesNothing: what a body holds grows with what is there.
func TestAnAnnouncedLengthReservesNothing(t *testing.T) {
	g, _, addr := serveBodies(t, func(*bodies) {})
	var all []*sender
	for range 20 {
		all = append(all, begin(t, addr, catalogPath, "ada", 16<<20))
	}
	g.waitHeld(t, 20*firstBuffer)
	all[0].blanks(40 << 10)
	g.waitHeld(t, 19*firstBuffer+64<<10)
	for _, s := range all {
		_ = s.Close()
	}
	g.waitHeld(t, 0)
}

// TestBodiesHaveABudget: what is too much for all is 503, what is too much of one caller's is 429, and both
// are served when the others have been.
func TestBodiesHaveABudget(t *testing.T) {
	g, _, addr := serveBodies(t, func(b *bodies) { b.limit(80<<10, 72<<10) })
	first := begin(t, addr, modulePath, "ada", 64<<10)
	first.blanks(60 << 10)
	g.waitHeld(t, 64<<10)
	other, own := begin(t, addr, modulePath, "grace", 40<<10), begin(t, addr, modulePath, "ada", 40<<10)
	g.waitHeld(t, 64<<10+2*firstBuffer)
	for s, want := range map[*sender]string{other: "503 OVERLOADED 1", own: "429 QUEUE_FULL 1"} {
		s.blanks(40 << 10)
		if got := s.response(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	first.blanks(4 << 10)
	if got := first.response(); !strings.HasPrefix(got, "200") {
		t.Error(got)
	}
	g.waitHeld(t, 0)
	again := begin(t, addr, modulePath, "grace", 40<<10)
	again.blanks(40 << 10)
	if got := again.response(); !strings.HasPrefix(got, "200") {
		t.Error(got)
	}
}

// TestRefusedBodiesEnd: a client that goes on sending nothing does not keep the connection of a body that was refused.
func TestRefusedBodiesEnd(t *testing.T) {
	_, _, addr := serveBodies(t, func(*bodies) {})
	s := begin(t, addr, modulePath, "ada", maxBody+100)
	s.blanks(maxBody) // what is read on after the refusal
	_ = s.SetReadDeadline(testenv.Now().Add(time.Minute))
	whole, err := io.ReadAll(s)
	if err != nil || !strings.HasPrefix(string(whole), "HTTP/1.1 413 ") {
		t.Errorf("%v after %.60q", err, whole)
	}
}

// TestUncompressedBytesCount: a body is held until its request has been served, and as large as it then is.
func TestUncompressedBytesCount(t *testing.T) {
	_, conn, addr := serveBodies(t, func(b *bodies) { b.limit(8<<20, 5<<20) })
	zipped := func(size int) []byte {
		var out bytes.Buffer
		w := gzip.NewWriter(&out)
		_, _ = w.Write(bytes.Repeat([]byte("#"), size))
		_ = w.Close()
		return out.Bytes()
	}
	send := func(size int) string {
		body := zipped(size)
		s := begin(t, addr, catalogPath, "ada", len(body))
		_, _ = s.Write(body)
		return s.response()
	}
	// The head of these has no Content-Encoding: they are YAML that cannot be, and counted as they came.
	if got := send(3 << 20); !strings.HasPrefix(got, "400") {
		t.Error(got)
	}
	post := func(size int) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+addr+catalogPath, bytes.NewReader(zipped(size)))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer ada")
		r.Header.Set("Content-Encoding", "gzip")
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		return res.StatusCode
	}
	if got := post(3 << 20); got != http.StatusOK {
		t.Error(got)
	}
	select {
	case held := <-conn.held:
		if held < 3<<20 || held > 5<<20 {
			t.Errorf("%d bytes are held of a body of %d", held, 3<<20)
		}
	default:
		t.Error("the service is not called")
	}
	if got := post(7 << 20); got != http.StatusTooManyRequests {
		t.Errorf("a small body that is large when it is uncompressed gets %d", got)
	}
}

func TestSlowBodies(t *testing.T) {
	b := newBodies()
	for size, seconds := range map[int64]int{0: 20, 30 << 10: 35, 1 << 20: 532} {
		if got := b.due(size); got != time.Duration(seconds)*time.Second {
			t.Errorf("%d bytes have %s, want %d s", size, got, seconds)
		}
	}
	_, _, addr := serveBodies(t, func(b *bodies) { b.grace, b.rate = 10*time.Millisecond, 1<<20 })
	for _, each := range []struct {
		path string
		sent int
	}{{modulePath, 0}, {modulePath, 1}, {catalogPath, 100 << 10}, {"/v1/modules/a:nothing", 0}} {
		s := begin(t, addr, each.path, "ada", 1<<20)
		s.blanks(each.sent)
		want := "408 BODY_TOO_SLOW"
		if strings.HasSuffix(each.path, "nothing") {
			want = "404 ROUTE_NOT_FOUND" // at once
		}
		if got := s.response(); got != want {
			t.Errorf("%+v: %s, want %s", each, got, want)
		}
	}
	late := begin(t, addr, catalogPath, "ada", 17<<20) // too large, and never there
	if got := late.response(); got != "413 BODY_TOO_LARGE" {
		t.Error(got)
	}
}

// TestReadAll holds what is read to what was sent, however it comes and whatever its length is said to be.
func TestReadAll(t *testing.T) {
	errLarge := io.ErrShortBuffer
	const limit = 100_000
	for range 300 {
		size := rand.N(limit + 10)
		body := make([]byte, size)
		for i := range body {
			body[i] = byte(rand.N(256))
		}
		for _, said := range []int64{-1, int64(size), int64(size) / 2, 0, limit} {
			h := &holding{bodies: newBodies()}
			var from io.Reader = bytes.NewReader(body)
			if rand.N(2) == 0 {
				from = iotestHalf{from}
			}
			got, err := h.readAll(from, said, limit, errLarge)
			if size > limit {
				if err != errLarge { //nolint:errorlint // as it was given
					t.Fatalf("%d bytes, said to be %d: %v", size, said, err)
				}
				continue
			}
			if err != nil || !bytes.Equal(got, body) {
				t.Fatalf("%d bytes, said to be %d: %d bytes, %v", size, said, len(got), err)
			}
			if h.bytes != int64(cap(got)) || h.bytes > max(int64(2*size+firstBuffer), firstBuffer) || h.bytes > limit+1 {
				t.Fatalf("%d bytes, said to be %d: hold %d, allocated %d", size, said, h.bytes, cap(got))
			}
		}
	}
}

// iotestHalf reads half of what is asked for.
type iotestHalf struct{ io.Reader }

func (r iotestHalf) Read(p []byte) (int, error) { return r.Reader.Read(p[:(len(p)+1)/2]) }
