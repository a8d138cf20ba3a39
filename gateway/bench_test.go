package gateway

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/testenv"
)

const oneEvent = `{"eventId":"0190a1b2-0000-7000-8000-000000000001","moduleId":"hipaa-foundations","moduleVersion":2,"unitId":"phi",` +
	`"verb":"COMPLETED","score":0.9,"occurredAt":"2026-11-20T08:00:00Z","deviceId":"phone-1"}`

// samplePathProgress reads a learner's progress on a path as large as real ones are.
func samplePathProgress(tb testing.TB) *progressv1.PathProgress {
	tb.Helper()
	text, err := os.ReadFile("wire/testdata/path-progress.json")
	if err != nil {
		tb.Fatal(err)
	}
	p := &progressv1.PathProgress{}
	if err := protojson.Unmarshal(text, p); err != nil {
		tb.Fatal(err)
	}
	return p
}

// stillConn responds at once, so that only the gateway is measured.
type stillConn struct {
	grpc.ClientConnInterface

	path *progressv1.PathProgress
}

func (c stillConn) Invoke(_ context.Context, _ string, req, reply any, _ ...grpc.CallOption) error {
	switch r := reply.(type) {
	case *progressv1.GetPathProgressResponse:
		r.Progress = c.path
	case *progressv1.BatchRecordEventsResponse:
		if batch, ok := req.(*progressv1.BatchRecordEventsRequest); ok {
			for _, e := range batch.GetEvents() {
				r.Results = append(r.Results, &progressv1.EventResult{EventId: e.GetEventId(), Status: progressv1.EventResult_ACCEPTED, Sequence: proto.Int64(1)})
			}
		}
	}
	return nil
}

// nowhere is a ResponseWriter that costs nothing.
type nowhere struct{ header http.Header }

func (n nowhere) Header() http.Header         { return n.header }
func (n nowhere) WriteHeader(int)             {}
func (n nowhere) Write(b []byte) (int, error) { return len(b), nil }

// localToken returns a verifier as the program has one, and a token that it accepts.
func localToken(tb testing.TB) (verifier *auth.Verifier, token string) {
	tb.Helper()
	issuer, err := auth.NewLocalIssuer(testenv.Now)
	if err != nil {
		tb.Fatal(err)
	}
	if verifier, err = auth.NewVerifier(auth.VerifierOptions{Local: issuer, Now: testenv.Now}); err != nil {
		tb.Fatal(err)
	}
	if token, err = issuer.Mint("ada", nil, "Ada", time.Hour); err != nil {
		tb.Fatal(err)
	}
	return verifier, token
}

func BenchmarkGateway(b *testing.B) {
	conn := stillConn{path: samplePathProgress(b)}
	verifier, token := localToken(b)
	g, err := New(Config{
		Conns: map[string]grpc.ClientConnInterface{"profile": conn, "catalog": conn, "progress": conn}, Now: testenv.Now, Verifier: verifier,
	})
	if err != nil {
		b.Fatal(err)
	}
	defer g.Close()
	run := func(name, method, path, body string, headers ...string) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequestWithContext(context.Background(), method, path, strings.NewReader(body))
				r.Header.Set("Authorization", "Bearer "+token)
				for i := 0; i < len(headers); i += 2 {
					r.Header.Set(headers[i], headers[i+1])
				}
				g.ServeHTTP(nowhere{http.Header{}}, r)
			}
		})
	}
	run("GET path progress", http.MethodGet, "/v1/learners/me/paths/clinical-ai-engineer/progress", "")
	run("GET path progress gzip", http.MethodGet, "/v1/learners/me/paths/clinical-ai-engineer/progress", "", "Accept-Encoding", "gzip")
	run("POST one event", http.MethodPost, "/v1/learners/me/events:batch", `{"events":[`+oneEvent+`]}`, "Content-Type", "application/json")
}
