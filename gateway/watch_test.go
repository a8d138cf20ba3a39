package gateway_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/preceptor-dev/preceptor/gateway"
	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
)

const (
	watchRPC  = progressv1.ProgressService_WatchProgress_FullMethodName
	watchPath = "/v1/learners/me/progress:watch"
)

func readAll(res *http.Response) (string, error) {
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return string(text), err
}

// watching is one open stream.
type watching struct {
	res    *http.Response
	lines  chan string
	cancel context.CancelFunc
}

func (h *harness) watch(tb testing.TB, headers ...string) *watching {
	tb.Helper()
	ctx, cancel := context.WithCancel(tb.Context())
	tb.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.url+watchPath, nil)
	if err != nil {
		tb.Fatal(err)
	}
	req.Header.Set("Authorization", token)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := h.server.Client().Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = res.Body.Close() })
	w := &watching{res: res, lines: make(chan string, 100), cancel: cancel}
	go func() {
		defer close(w.lines)
		for s := bufio.NewScanner(res.Body); s.Scan(); {
			w.lines <- s.Text()
		}
	}()
	return w
}

// next gives the lines up to the next empty one, without comments.
func (w *watching) next(tb testing.TB) string {
	tb.Helper()
	var block []string
	for {
		select {
		case line, ok := <-w.lines:
			switch {
			case !ok:
				return "closed"
			case strings.HasPrefix(line, ":"):
			case line != "":
				block = append(block, line)
			case len(block) > 0:
				return strings.Join(block, "\n")
			}
		case <-time.After(5 * time.Second):
			tb.Fatal("nothing comes")
		}
	}
}

// plays makes the backend open the stream and then do what the test says.
func (h *harness) plays(f func(req *progressv1.WatchProgressRequest, s grpc.ServerStream) error) {
	h.streams(watchRPC, func(req proto.Message, s grpc.ServerStream) error {
		if err := s.SendHeader(metadata.MD{}); err != nil {
			return err
		}
		watch, _ := req.(*progressv1.WatchProgressRequest)
		return f(watch, s)
	})
}

func entry(sequence int64) *progressv1.WatchProgressResponse {
	return &progressv1.WatchProgressResponse{Kind: progressv1.WatchProgressResponse_ENTRY, Sequence: sequence, Entry: &progressv1.LogEntry{Sequence: sequence}}
}

func TestWatch(t *testing.T) {
	h := open(t)
	for _, accept := range []string{"text/event-stream", "*/*", "", "text/html", "application/json, text/event-stream"} {
		more := make(chan *progressv1.WatchProgressResponse)
		h.plays(func(_ *progressv1.WatchProgressRequest, s grpc.ServerStream) error {
			for m := range more {
				if err := s.SendMsg(m); err != nil {
					return err
				}
			}
			<-s.Context().Done()
			return nil
		})
		w := h.watch(t, "Accept", accept, "Authorization", token, "Accept-Encoding", "gzip")
		for name, want := range map[string]string{
			"Content-Type": "text/event-stream", "Cache-Control": "no-cache", "X-Accel-Buffering": "no", "Content-Encoding": "", "Etag": "",
		} {
			if got := w.res.Header.Get(name); got != want || w.res.StatusCode != http.StatusOK {
				t.Errorf("%q: %d %s %q", accept, w.res.StatusCode, name, got)
			}
		}
		if got := w.next(t); got != "retry: 3000" {
			t.Errorf("%q", got)
		}
		more <- entry(41)
		want := "id: 41\n" + `data: {"kind":"ENTRY","sequence":"41","entry":{"sequence":"41","type":"TYPE_UNSPECIFIED",` +
			`"effectiveAtAdjusted":false,"actor":"","awards":[],"timeZone":""},"awards":[],"logId":""}`
		if got := w.next(t); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
		more <- &progressv1.WatchProgressResponse{Kind: progressv1.WatchProgressResponse_RESET, Sequence: 50}
		if got := w.next(t); got != "id: 50\nevent: reset\n"+`data: {"kind":"RESET","sequence":"50","awards":[],"logId":""}` {
			t.Errorf("%s", got)
		}
		close(more)
		w.cancel()
	}
}

func TestWatchAsLines(t *testing.T) {
	h := open(t)
	h.plays(func(_ *progressv1.WatchProgressRequest, s grpc.ServerStream) error {
		if err := s.SendMsg(&progressv1.WatchProgressResponse{Sequence: 1}); err != nil {
			return err
		}
		return fault(codes.Unavailable, "BUSY", "gone")
	})
	a := h.get(t, watchPath, "Accept", "application/json")
	lines := strings.Split(a.body, "\n")
	if len(lines) != 3 || lines[0] != `{"result":{"kind":"KIND_UNSPECIFIED","sequence":"1","awards":[],"logId":""}}` ||
		!strings.HasPrefix(lines[1], `{"error":{"type":"/docs#reason-BUSY"`) {
		t.Errorf("%s", a.body)
	}
	if a.header.Get("Content-Type") != "application/x-ndjson" {
		t.Errorf("%v", a.header)
	}
}

func TestWatchFromWhere(t *testing.T) {
	h := open(t)
	h.plays(func(*progressv1.WatchProgressRequest, grpc.ServerStream) error { return nil })
	for _, c := range []struct {
		query, last string
		after       *int64
	}{
		{"", "", nil},
		{"?afterSequence=7", "", proto.Int64(7)},
		{"?after_sequence=7", "", proto.Int64(7)},
		{"?afterSequence=7", "9", proto.Int64(9)},
		{"?afterSequence=7", "garbage", nil},
		{"", "-1", nil},
		{"", "99999999999999999999", nil},
	} {
		a := h.get(t, watchPath+c.query, "Last-Event-ID", c.last)
		want := &progressv1.WatchProgressRequest{LearnerId: "me", AfterSequence: c.after}
		got := h.last(t)
		if !proto.Equal(got.req, want) {
			t.Errorf("%q %q: %v, want %v", c.query, c.last, got.req, want)
		}
		// The service resets who has lost their place: it knows where the stream goes on.
		if header := strings.Join(got.md.Get("last-event-id"), " "); header != c.last {
			t.Errorf("%q %q: the service sees Last-Event-ID %q", c.query, c.last, header)
		}
		if a.status != 200 || strings.Contains(a.body, "reset") {
			t.Errorf("%q %q: %d %s", c.query, c.last, a.status, a.body)
		}
	}
	p := h.get(t, watchPath+"?afterSequence=x").wantProblem(t, 400, "INVALID_ARGUMENT")
	if f := p.fields(); len(f) != 1 || f[0] != "afterSequence" {
		t.Errorf("%v", f)
	}
}

func TestWatchErrors(t *testing.T) {
	h := open(t)
	h.streams(watchRPC, func(proto.Message, grpc.ServerStream) error {
		return fault(codes.PermissionDenied, "NOT_YOUR_DATA", "this is another learner's")
	})
	a := h.get(t, watchPath, "Accept", "text/event-stream")
	a.wantProblem(t, 403, "NOT_YOUR_DATA")

	h.plays(func(_ *progressv1.WatchProgressRequest, s grpc.ServerStream) error {
		if err := s.SendMsg(entry(1)); err != nil {
			return err
		}
		return fault(codes.Unauthenticated, "TOKEN_EXPIRED", "the token has expired")
	})
	w := h.watch(t)
	w.next(t)
	if got := w.next(t); !strings.HasPrefix(got, "id: 1\n") {
		t.Error(got)
	}
	if got := w.next(t); !strings.HasPrefix(got, "event: error\ndata: {") || !strings.Contains(got, `"status":401`) || !strings.Contains(got, `"requestId":"`) {
		t.Error(got)
	}
	if got := w.next(t); got != "closed" {
		t.Error(got)
	}
}

func TestWatchHead(t *testing.T) {
	h := open(t)
	h.plays(func(_ *progressv1.WatchProgressRequest, s grpc.ServerStream) error {
		<-s.Context().Done()
		return s.Context().Err()
	})
	if a := h.do(t, http.MethodHead, watchPath, ""); a.status != 200 || a.header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("%+v", a)
	}
	before := h.count()
	if a := h.do(t, http.MethodHead, watchPath+"?ticket=c2VjcmV0", "", noToken...); a.status != 405 || a.header.Get("Allow") != "GET" || h.count() != before {
		t.Errorf("a HEAD uses a ticket up: %+v", a)
	}
}

func TestHeartbeat(t *testing.T) {
	h := open(t, func(c *gateway.Config) { c.Heartbeat = 20 * time.Millisecond })
	ended := make(chan struct{}, 2)
	h.plays(func(_ *progressv1.WatchProgressRequest, s grpc.ServerStream) error {
		<-s.Context().Done()
		ended <- struct{}{}
		return s.Context().Err()
	})
	w := h.watch(t)
	pings := 0
	for line := range w.lines {
		if line == ": ping" {
			pings++
		}
		if pings == 3 {
			break
		}
	}
	w.cancel()
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Error("the service's stream outlives its reader")
	}
	// A stream that the service is slow to open is open to the reader all the same.
	h.streams(watchRPC, func(_ proto.Message, s grpc.ServerStream) error {
		<-s.Context().Done()
		return s.Context().Err()
	})
	late := h.watch(t, "Accept", "application/json")
	if line := <-late.lines; line != "" || late.res.StatusCode != http.StatusOK {
		t.Errorf("%d %q", late.res.StatusCode, line)
	}
}

func TestCloseEndsStreams(t *testing.T) {
	h := open(t)
	h.plays(func(_ *progressv1.WatchProgressRequest, s grpc.ServerStream) error {
		<-s.Context().Done()
		return s.Context().Err()
	})
	var streams []*watching
	for range 5 {
		w := h.watch(t)
		w.next(t)
		streams = append(streams, w)
	}
	if err := h.gateway.Close(); err != nil {
		t.Fatal(err)
	}
	retries := map[string]bool{}
	for _, w := range streams {
		got := w.next(t)
		var ms int
		if _, err := fmt.Sscanf(got, "retry: %d", &ms); err != nil || ms < 1000 || ms >= 5000 {
			t.Errorf("%q", got)
		}
		retries[got] = true
		if got := w.next(t); got != "closed" {
			t.Error(got)
		}
	}
	if len(retries) == 1 {
		t.Error("all readers come back at the same moment")
	}
	h.get(t, watchPath).wantProblem(t, 503, "SHUTTING_DOWN")
	a := h.get(t, "/readyz")
	if a.status != 503 || a.body != `{"status":"unready"}` {
		t.Errorf("%+v", a)
	}
	_ = h.gateway.Close()
	if a := h.get(t, "/v1/topics"); a.status != 200 {
		t.Errorf("a request that is not a stream fails: %+v", a)
	}
}

// TestStreamsAreBounded refuses a watch when the gateway has as many as it may, and takes one when another has
// ended; whatever is no watch is served.
func TestStreamsAreBounded(t *testing.T) {
	h := open(t, func(c *gateway.Config) { c.MaxStreams = 2 })
	end := make(chan struct{})
	h.plays(func(_ *progressv1.WatchProgressRequest, s grpc.ServerStream) error {
		select {
		case <-end:
			return nil
		case <-s.Context().Done():
			return s.Context().Err()
		}
	})
	for _, accept := range []string{"text/event-stream", "application/x-ndjson"} {
		if w := h.watch(t, "Accept", accept); w.res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d", accept, w.res.StatusCode)
		}
	}
	calls := h.count()
	for _, accept := range []string{"text/event-stream", "application/x-ndjson"} {
		refused := h.get(t, watchPath, "Accept", accept)
		refused.wantProblem(t, http.StatusServiceUnavailable, "OVERLOADED")
		if got := refused.header.Get("Retry-After"); got != "5" {
			t.Errorf("Retry-After: %q", got)
		}
	}
	if h.count() != calls {
		t.Error("a refused stream was opened at the service")
	}
	if a := h.get(t, "/v1/topics"); a.status != http.StatusOK {
		t.Errorf("a request that is not a stream fails: %+v", a)
	}
	if got := h.gateway.Streams(); got != 2 {
		t.Errorf("%d streams are open", got)
	}
	end <- struct{}{}
	// Its place is free a moment after its reader has seen the end.
	for opened := false; !opened; {
		opened = h.watch(t).res.StatusCode == http.StatusOK
	}
	h.get(t, watchPath).wantProblem(t, http.StatusServiceUnavailable, "OVERLOADED")
}

// TestWatchersTogether is for the race detector.
func TestWatchersTogether(t *testing.T) {
	h := open(t, func(c *gateway.Config) { c.Heartbeat = time.Millisecond })
	h.plays(func(_ *progressv1.WatchProgressRequest, s grpc.ServerStream) error {
		for i := range int64(50) {
			if err := s.SendMsg(entry(i)); err != nil {
				return err
			}
		}
		return nil
	})
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			a := h.get(t, watchPath)
			if got := strings.Count(a.body, "\ndata: "); got != 50 {
				t.Errorf("%d entries", got)
			}
		})
	}
	all.Wait()
}

func TestSlowReaderIsGivenUp(t *testing.T) {
	h := open(t, func(c *gateway.Config) { c.SlowReader = 200 * time.Millisecond })
	ended := make(chan struct{}, 1)
	h.plays(func(_ *progressv1.WatchProgressRequest, s grpc.ServerStream) error {
		large := entry(1)
		large.Entry.Actor = strings.Repeat("x", 1<<20)
		for {
			if err := s.SendMsg(large); err != nil {
				ended <- struct{}{}
				return err
			}
		}
	})
	conn, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\n\r\n", watchPath, token); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		t.Error("a reader that does not read holds its stream for ever")
	}
}

// TestWatchLosesItsService checks that readers are asked to reconnect, each at another moment.
func TestWatchLosesItsService(t *testing.T) {
	h := open(t)
	h.plays(func(*progressv1.WatchProgressRequest, grpc.ServerStream) error {
		return fault(codes.Unavailable, "BUSY", "gone")
	})
	w := h.watch(t)
	w.next(t)
	var ms int
	if got := w.next(t); !strings.HasPrefix(got, "retry: ") {
		t.Errorf("%q", got)
	} else if _, err := fmt.Sscanf(got, "retry: %d", &ms); err != nil || ms < 1000 || ms >= 5000 {
		t.Errorf("%q", got)
	}
	if got := w.next(t); !strings.HasPrefix(got, "event: error\n") || !strings.Contains(got, `"reason":"BUSY"`) {
		t.Errorf("%q", got)
	}
}
