package gateway_test

import (
	"bufio"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/preceptor-dev/preceptor/gateway"
	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
)

const (
	verifyRPC  = progressv1.ProgressService_VerifyProgress_FullMethodName
	rebuildRPC = progressv1.ProgressService_RebuildProgress_FullMethodName
)

// verified is one open stream of progress:verify.
func (h *harness) verified(tb testing.TB) (res *http.Response, next func() string) {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, h.url+"/v1/progress:verify", strings.NewReader(`{"learnerId":"ada"}`))
	if err != nil {
		tb.Fatal(err)
	}
	req.Header.Set("Authorization", token)
	res, err = h.server.Client().Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = res.Body.Close() })
	lines := bufio.NewScanner(res.Body)
	return res, func() string {
		for lines.Scan() {
			if lines.Text() != "" {
				return lines.Text()
			}
		}
		return "closed"
	}
}

// Each message is a line that goes out at once, however long the next one takes.
func TestReplayIsLines(t *testing.T) {
	h := open(t)
	more := make(chan *progressv1.VerifyProgressResponse)
	asked := make(chan string, 1)
	h.streams(verifyRPC, func(req proto.Message, s grpc.ServerStream) error {
		r, _ := req.(*progressv1.VerifyProgressRequest)
		asked <- r.GetLearnerId()
		for m := range more {
			if err := s.SendMsg(m); err != nil {
				return err
			}
		}
		return fault(codes.Unavailable, "SHUTTING_DOWN", "the server is stopping")
	})
	go func() { more <- &progressv1.VerifyProgressResponse{Status: &progressv1.ReplayStatus{LearnersTotal: 2}} }()
	res, next := h.verified(t) //nolint:bodyclose // verified closes it
	if ct := res.Header.Get("Content-Type"); ct != "application/x-ndjson" || res.Header.Get("Content-Encoding") != "" || <-asked != "ada" {
		t.Errorf("%v", res.Header)
	}
	want := `{"result":{"status":{"learnersDone":"0","learnersTotal":"2","entriesRead":"0","learnersDrifted":"0","resumed":false,"finished":false}}}`
	if got := next(); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	more <- &progressv1.VerifyProgressResponse{Drift: &progressv1.Drift{LearnerId: "ada", Kind: progressv1.Drift_FACTS, Id: "m", Stored: "null", Replayed: "{}"}}
	want = `{"result":{"drift":{"learnerId":"ada","kind":"FACTS","id":"m","stored":"null","replayed":"{}"}}}`
	if got := next(); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	close(more)
	if got := next(); !strings.HasPrefix(got, `{"error":{`) || !strings.Contains(got, `"reason":"SHUTTING_DOWN"`) {
		t.Errorf("%s", got)
	}
	if got := next(); got != "closed" {
		t.Errorf("after the error: %s", got)
	}
}

func TestReplayFailsAsAnyCall(t *testing.T) {
	h := open(t)
	h.streams(rebuildRPC, func(proto.Message, grpc.ServerStream) error {
		return fault(codes.FailedPrecondition, "REBUILD_RUNNING", "a rebuild runs already")
	})
	for _, body := range []string{"", "{}", `{"restart":true}`} {
		h.do(t, http.MethodPost, "/v1/progress:rebuild", body).wantProblem(t, http.StatusBadRequest, "REBUILD_RUNNING")
	}
	p := h.do(t, http.MethodPost, "/v1/progress:rebuild", `{"restart":"soon","who":1}`).wantProblem(t, http.StatusBadRequest, "INVALID_ARGUMENT")
	if got := strings.Join(p.fields(), " "); got != "restart who" {
		t.Errorf("violations of %s", got)
	}
	h.streams(rebuildRPC, func(proto.Message, grpc.ServerStream) error { return nil })
	if a := h.do(t, http.MethodPost, "/v1/progress:rebuild", "{}"); a.status != http.StatusOK || a.body != "" || a.header.Get("Content-Type") != "application/x-ndjson" {
		t.Errorf("%d %v %q", a.status, a.header, a.body)
	}
}

// A silent stream has heartbeats; closing the gateway is an error, and the reader's going away ends the call.
func TestReplayEnds(t *testing.T) {
	h := open(t, func(c *gateway.Config) { c.Heartbeat = 5 * time.Millisecond })
	ended := make(chan struct{})
	h.streams(verifyRPC, func(_ proto.Message, s grpc.ServerStream) error {
		if err := s.SendMsg(&progressv1.VerifyProgressResponse{}); err != nil {
			return err
		}
		<-s.Context().Done()
		ended <- struct{}{}
		return s.Context().Err()
	})
	res, next := h.verified(t)
	if got := next(); got != `{"result":{}}` {
		t.Errorf("%s", got)
	}
	b := make([]byte, 1)
	if n, err := res.Body.Read(b); n != 1 || b[0] != '\n' {
		t.Errorf("no sign of life: %q %v", b, err)
	}
	_ = res.Body.Close()
	<-ended

	_, next = h.verified(t) //nolint:bodyclose // verified closes it
	next()
	_ = h.gateway.Close()
	if got := next(); !strings.Contains(got, `"reason":"SHUTTING_DOWN"`) {
		t.Errorf("%s", got)
	}
	<-ended
	h.do(t, http.MethodPost, "/v1/progress:verify", "{}").wantProblem(t, http.StatusServiceUnavailable, "SHUTTING_DOWN")
}
