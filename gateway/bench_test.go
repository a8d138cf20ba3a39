package gateway

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/internal/testenv"
)

func BenchmarkMarshal(b *testing.B) {
	p := samplePathProgress()
	m := newMarshaler(answers())
	b.Run("gateway", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			text, err := m.Marshal(p)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(text)))
		}
	})
	b.Run("protojson", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			text, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(p)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(text)))
		}
	})
}

func BenchmarkReadBatch(b *testing.B) {
	one, fifty := []byte(`{"events":[`+oneEvent+`]}`), []byte(`{"events":[`+strings.Repeat(oneEvent+",", 49)+oneEvent+`]}`)
	for name, body := range map[string][]byte{"1 event": one, "50 events": fifty} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				if _, err := readBatch(body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("1 event by protojson", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(one)))
		for b.Loop() {
			if err := protojson.Unmarshal(one, &progressv1.BatchRecordEventsRequest{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// stillConn answers at once, so that only the gateway is measured.
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

func BenchmarkGateway(b *testing.B) {
	conn := stillConn{path: samplePathProgress()}
	g, err := New(Config{Profile: conn, Catalog: conn, Progress: conn, Now: testenv.Now})
	if err != nil {
		b.Fatal(err)
	}
	defer g.Close()
	run := func(name, method, path, body string, headers ...string) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequestWithContext(context.Background(), method, path, strings.NewReader(body))
				r.Header.Set("Authorization", "Bearer x")
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
