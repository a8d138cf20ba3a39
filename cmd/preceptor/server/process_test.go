package server

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestReadTimeout holds the server to cutting off a body that trickles, and to leaving a
// stream alone that has none.
func TestReadTimeout(t *testing.T) {
	t.Parallel()
	const limit = 100 * time.Millisecond
	hungUp := make(chan bool, 1)
	server := httptest.NewUnstartedServer(nil)
	server.Config = newHTTPServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			_, err := io.ReadAll(r.Body)
			hungUp <- err != nil
			return
		}
		select {
		case <-r.Context().Done():
			hungUp <- true
		case <-time.After(3 * limit):
			hungUp <- false
		}
		w.WriteHeader(http.StatusNoContent)
	}), slog.New(slog.DiscardHandler))
	server.Config.ReadTimeout = limit
	server.Start()
	defer server.Close()

	resp, err := server.Client().Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if <-hungUp {
		t.Error("a stream ended with the time for reading")
	}

	conn, err := net.Dial("tcp", strings.TrimPrefix(server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf"); err != nil {
		t.Fatal(err)
	}
	if !<-hungUp {
		t.Error("a body that never comes was waited for")
	}
}
