package stream

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// source is a service's stream that plays what a test says.
type source struct {
	grpc.ClientStream

	canceled <-chan struct{}
	messages chan string
	end      error
}

func (s *source) Header() (metadata.MD, error) { return metadata.MD{}, nil }

// Recv returns the messages and then the end; without one, it waits for the call's.
func (s *source) Recv() (*wrapperspb.StringValue, error) {
	select {
	case text, ok := <-s.messages:
		if !ok {
			return nil, s.end
		}
		return wrapperspb.String(text), nil
	case <-s.canceled:
		return nil, context.Canceled
	}
}

// serve opens one stream of a source, and returns its body line by line.
func serve(t *testing.T, form Form, from *source) (s *Server, next func() string) {
	t.Helper()
	s = NewServer(Config{
		Heartbeat: time.Hour, SlowReader: time.Minute,
		Marshal: func(m any) ([]byte, error) {
			message, ok := m.(proto.Message)
			if !ok {
				return nil, errors.New("not a message")
			}
			return protojson.Marshal(message)
		},
		Fail: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, "failed: "+err.Error(), http.StatusTeapot)
		},
		Problem: func(_ *http.Request, err error) []byte { return []byte(`"` + err.Error() + `"`) },
	})
	t.Cleanup(s.Close)
	form.Event = func(m proto.Message) (name, id string) {
		if text, _ := m.(*wrapperspb.StringValue); strings.HasPrefix(text.GetValue(), "!") {
			name = "loud"
		}
		return name, "7"
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		Serve(s, w, r, form, func(ctx context.Context) (grpc.ServerStreamingClient[wrapperspb.StringValue], error) {
			from.canceled = ctx.Done()
			return from, nil
		})
	}))
	t.Cleanup(server.Close)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	body := bufio.NewReader(res.Body)
	return s, func() string {
		var text strings.Builder
		for {
			line, err := body.ReadString('\n')
			text.WriteString(line)
			if err != nil || form.Lines || line == "\n" {
				return text.String()
			}
		}
	}
}

func expect(t *testing.T, next func() string, want ...string) {
	t.Helper()
	for _, w := range want {
		if got := next(); got != w && (w != "retry" || !strings.HasPrefix(got, "retry: ")) {
			t.Errorf("got %q, want %q", got, w)
		}
	}
}

func messages(texts ...string) chan string {
	c := make(chan string, len(texts))
	for _, text := range texts {
		c <- text
	}
	return c
}

func TestEvents(t *testing.T) {
	from := &source{messages: messages("a", "!b"), end: io.EOF}
	close(from.messages)
	_, next := serve(t, Form{Endless: true}, from)
	expect(t, next, "retry: 3000\n: open\n\n", "id: 7\ndata: \"a\"\n\n", "id: 7\nevent: loud\ndata: \"!b\"\n\n", "retry", "")
}

func TestLines(t *testing.T) {
	from := &source{messages: messages("a"), end: errors.New("broken")}
	close(from.messages)
	_, next := serve(t, Form{Lines: true}, from)
	expect(t, next, "{\"result\":\"a\"}\n", "{\"error\":\"broken\"}\n", "")
}

func TestErrorBeforeTheStreamIsOpen(t *testing.T) {
	from := &source{messages: messages(), end: errors.New("refused")}
	close(from.messages)
	s, next := serve(t, Form{Lines: true}, from)
	expect(t, next, "failed: refused\n", "")
	if s.Open() != 0 {
		t.Errorf("%d streams are open", s.Open())
	}
}

// TestClose ends an endless stream as if it had ended by itself, and cuts any other one off.
func TestClose(t *testing.T) {
	for _, tc := range []struct {
		form Form
		want []string
	}{
		{Form{Endless: true}, []string{"retry: 3000\n: open\n\n", "id: 7\ndata: \"a\"\n\n", "retry", ""}},
		{Form{Endless: true, Lines: true}, []string{"{\"result\":\"a\"}\n", ""}},
		{Form{Lines: true}, []string{"{\"result\":\"a\"}\n", "{\"error\":\"" + errClosing.Error() + "\"}\n", ""}},
	} {
		s, next := serve(t, tc.form, &source{messages: messages("a")})
		for i, want := range tc.want {
			if i > 0 && strings.Contains(tc.want[i-1], `"a"`) {
				if s.Open() != 1 || s.Closed() {
					t.Errorf("%+v: %d open, closed %t", tc.form, s.Open(), s.Closed())
				}
				s.Close()
				s.Close()
			}
			expect(t, next, want)
		}
	}
}

// TestHeart sends a heartbeat to every stream, and none to one that has not taken the last.
func TestHeart(t *testing.T) {
	h := newHeart(time.Hour)
	a, leave := h.join()
	b, _ := h.join()
	h.beat()
	<-b
	h.beat()
	if len(a) != 1 || len(b) != 1 || h.count() != 2 {
		t.Errorf("%d and %d heartbeats wait, %d streams", len(a), len(b), h.count())
	}
	leave()
	<-a
	h.beat()
	if len(a) != 0 || h.count() != 1 {
		t.Errorf("a stream that has left gets %d heartbeats, %d streams", len(a), h.count())
	}
}
