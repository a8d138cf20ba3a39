package stream

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// source is a service's stream that plays what a test says: the messages and then the end; without one, it
// waits for the call's.
type source struct {
	messages chan string
	end      error
	refused  error // instead of opening
}

func (s *source) play(ctx context.Context, open func(), each func(proto.Message) error) error {
	if s.refused != nil {
		return s.refused
	}
	open()
	for {
		select {
		case text, ok := <-s.messages:
			if !ok {
				return s.end
			}
			if err := each(wrapperspb.String(text)); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// under is how a server's connections are made.
type under func(*httptest.Server)

func overHTTP1(s *httptest.Server) { s.Start() }

// overHTTP2 is where a stream cannot take its connection over.
func overHTTP2(s *httptest.Server) {
	s.EnableHTTP2 = true
	s.StartTLS()
}

// serve opens one stream of a source, and returns its body line by line.
func serve(t *testing.T, start under, form Form, from *source) (s *Server, next func() string) {
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
	})
	t.Cleanup(s.Close)
	form.Problem = func(err error) []byte { return []byte(`"` + err.Error() + `"`) }
	form.Ended = func(written int64, slow bool) {
		if written == 0 || slow {
			t.Errorf("%d bytes were written, the reader was slow: %t", written, slow)
		}
	}
	form.Event = func(m proto.Message) (name, id string) {
		if text, _ := m.(*wrapperspb.StringValue); strings.HasPrefix(text.GetValue(), "!") {
			name = "loud"
		}
		return name, "7"
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		goesOn, err := s.Serve(r.Context(), w, r, form, from.play)
		if err != nil {
			http.Error(w, "failed: "+err.Error(), http.StatusTeapot)
		} else if want := form.Endless && r.ProtoMajor == 1; goesOn != want {
			t.Errorf("%s: the stream goes on: %t", r.Proto, goesOn)
		}
	}))
	start(server)
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
			if err != nil && !errors.Is(err, io.EOF) {
				return err.Error()
			}
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

// overBoth runs a test where a stream takes its connection over, and where it cannot.
func overBoth(t *testing.T, test func(*testing.T, under)) {
	t.Helper()
	t.Run("HTTP/1.1", func(t *testing.T) { test(t, overHTTP1) })
	t.Run("HTTP/2", func(t *testing.T) { test(t, overHTTP2) })
}

func TestEvents(t *testing.T) {
	overBoth(t, func(t *testing.T, start under) {
		t.Helper()
		from := &source{messages: messages("a", "!b")}
		close(from.messages)
		_, next := serve(t, start, Form{Endless: true}, from)
		expect(t, next, "retry: 3000\n: open\n\n", "id: 7\ndata: \"a\"\n\n", "id: 7\nevent: loud\ndata: \"!b\"\n\n", "retry", "")
	})
}

func TestLines(t *testing.T) {
	overBoth(t, func(t *testing.T, start under) {
		t.Helper()
		from := &source{messages: messages("a"), end: errors.New("broken")}
		close(from.messages)
		_, next := serve(t, start, Form{Lines: true}, from)
		expect(t, next, "{\"result\":\"a\"}\n", "{\"error\":\"broken\"}\n", "")
	})
}

func TestErrorBeforeTheStreamIsOpen(t *testing.T) {
	for _, endless := range []bool{false, true} {
		s, next := serve(t, overHTTP1, Form{Endless: endless, Lines: true}, &source{refused: errors.New("refused")})
		expect(t, next, "failed: refused\n", "")
		if s.Open() != 0 {
			t.Errorf("%d streams are open", s.Open())
		}
	}
}

// TestClose ends an endless stream as if it had ended by itself, and cuts any other one off.
func TestClose(t *testing.T) {
	overBoth(t, func(t *testing.T, start under) {
		t.Helper()
		for _, tc := range []struct {
			form Form
			want []string
		}{
			{Form{Endless: true}, []string{"retry: 3000\n: open\n\n", "id: 7\ndata: \"a\"\n\n", "retry", ""}},
			{Form{Endless: true, Lines: true}, []string{"{\"result\":\"a\"}\n", ""}},
			{Form{Lines: true}, []string{"{\"result\":\"a\"}\n", "{\"error\":\"" + errClosing.Error() + "\"}\n", ""}},
		} {
			s, next := serve(t, start, tc.form, &source{messages: messages("a")})
			for i, want := range tc.want {
				if i > 0 && strings.Contains(tc.want[i-1], `"a"`) {
					if s.Open() != 1 || s.Closed() {
						t.Errorf("%+v: %d open, closed %t", tc.form, s.Open(), s.Closed())
					}
					s.Close()
					s.Close()
					if s.Open() != 0 {
						t.Errorf("%+v: %d open after the server has closed", tc.form, s.Open())
					}
				}
				expect(t, next, want)
			}
		}
	})
}

// raw opens an endless stream by the text of a request.
func raw(t *testing.T, config Config, request string) (s *Server, conn net.Conn, in *bufio.Reader) {
	t.Helper()
	config.Marshal = func(any) ([]byte, error) { return []byte("0"), nil }
	s = NewServer(config)
	t.Cleanup(s.Close)
	form := Form{Endless: true, Ended: func(int64, bool) {}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if goesOn, err := s.Serve(r.Context(), w, r, form, (&source{}).play); !goesOn || err != nil {
			t.Errorf("%v %v", goesOn, err)
		}
	}))
	t.Cleanup(server.Close)
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	return s, conn, bufio.NewReader(conn)
}

// header reads a response's header.
func header(t *testing.T, in *bufio.Reader) string {
	t.Helper()
	var text strings.Builder
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line == "\r\n" {
			return text.String()
		}
		text.WriteString(line)
	}
}

// TestOldClients get what HTTP/1.0 has: a body until the connection closes.
func TestOldClients(t *testing.T) {
	s, _, in := raw(t, Config{Heartbeat: time.Hour, SlowReader: time.Minute}, "GET / HTTP/1.0\r\nHost: x\r\n\r\n")
	if h := header(t, in); strings.Contains(h, "chunked") || !strings.Contains(h, "Connection: close") {
		t.Error(h)
	}
	s.Close()
	body, err := io.ReadAll(in)
	if err != nil || !strings.HasPrefix(string(body), "retry: 3000\n: open\n\nretry: ") {
		t.Errorf("%q %v", body, err)
	}
}

// TestHeartbeats come while a stream is silent.
func TestHeartbeats(t *testing.T) {
	_, _, in := raw(t, Config{Heartbeat: time.Millisecond, SlowReader: time.Minute}, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	header(t, in)
	for pings := 0; pings < 3; {
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line == ": ping\n" {
			pings++
		}
	}
}

// TestUnaskedBytes end a stream: nothing can be meant by them.
func TestUnaskedBytes(t *testing.T) {
	s, conn, in := raw(t, Config{Heartbeat: time.Hour, SlowReader: time.Minute}, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	header(t, in)
	if s.Open() != 1 {
		t.Fatalf("%d streams are open", s.Open())
	}
	_, _ = conn.Write(make([]byte, 2*maxUnasked)) // the server may close in the middle of it
	_, _ = io.Copy(io.Discard, in)                // until the connection is closed
}
