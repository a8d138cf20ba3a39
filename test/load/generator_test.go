package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// serve starts a server and returns its address.
func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// TestLineReads reads each form of a body, on one connection.
func TestLineReads(t *testing.T) {
	long := strings.Repeat("0123456789", 10_000)
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/length":
			w.Header().Set("Content-Length", fmt.Sprint(len(long)))
			fmt.Fprint(w, long)
		case "/chunks":
			for range 3 {
				fmt.Fprint(w, long)
				_ = http.NewResponseController(w).Flush()
			}
		case "/gzip":
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			fmt.Fprint(z, `{"status":"REJECTED"}`)
			_ = z.Close()
		case "/same":
			w.Header().Set("ETag", `"abc"`)
			w.WriteHeader(http.StatusNotModified)
		default:
			http.NotFound(w, r)
		}
	})
	l, err := dial(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.conn.Close()
	for _, want := range []struct {
		path, body, etag, fault string
		status                  int
	}{
		{"/length", long, "", "", 200},
		{"/chunks", long + long + long, "", "", 200},
		{"/same", "", `"abc"`, "", 304},
		{"/gzip", "", "", "REJECTED", 200},
		{"/nothing", "404 page not found\n", "", "404", 404},
		{"/length", long, "", "", 200},
	} {
		a, err := l.ask(httpRequest(http.MethodGet, want.path, "token", "", "Accept", "text/plain"))
		if (err == nil) != (want.fault == "") || err != nil && !strings.Contains(err.Error(), want.fault) {
			t.Errorf("%s: %v, want %q", want.path, err, want.fault)
		}
		if a.status != want.status || a.etag != want.etag || !a.gzip && !bytes.Equal(a.body, []byte(want.body)) {
			t.Errorf("%s: %d, %q and %d bytes", want.path, a.status, a.etag, len(a.body))
		}
	}
}

// TestOpenLoopKeepsItsPace has a server that answers nothing for a while: the requests that wait count from when
// they should have begun, at the same distance from each other as ever.
func TestOpenLoopKeepsItsPace(t *testing.T) {
	release := make(chan struct{})
	var asked atomic.Int64
	address := serve(t, func(http.ResponseWriter, *http.Request) {
		if asked.Add(1) == 1 {
			<-release
		}
	})
	const every, count = 5 * time.Millisecond, 20
	var mu sync.Mutex
	starts := map[int]time.Time{}
	j := &job{
		name: "slow", address: address, connections: 1,
		begun: func(n int, at time.Time) {
			mu.Lock()
			defer mu.Unlock()
			starts[n] = at
		},
		next: func(int) request { return httpRequest(http.MethodGet, "/", "", "") },
	}
	time.AfterFunc(10*every, func() { close(release) })
	got, err := j.open(t.Context(), float64(time.Second/every), count*every)
	if err != nil {
		t.Fatal(err)
	}
	if got.requests() != count {
		t.Fatalf("%d requests, want %d", got.requests(), count)
	}
	for n := range count {
		if at := starts[n].Sub(starts[0]); at != time.Duration(n)*every {
			t.Errorf("request %d should have begun after %s, and counts from %s", n, time.Duration(n)*every, at)
		}
	}
}

// TestClosedLoopEnds ends when there are no more requests, and fails by an answer that is no success.
func TestClosedLoopEnds(t *testing.T) {
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/7" {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	j := &job{name: "some", address: address, connections: 4, next: func(n int) request {
		if n >= 5 {
			return nil
		}
		return httpRequest(http.MethodGet, fmt.Sprintf("/%d", n), "", "")
	}}
	got, err := j.closed(t.Context(), time.Hour)
	if err != nil || got.requests() != 5 || got.sent == 0 || got.received == 0 {
		t.Errorf("%d requests, %d bytes sent and %d received: %v", got.requests(), got.sent, got.received, err)
	}
	j.next = func(n int) request { return httpRequest(http.MethodGet, fmt.Sprintf("/%d", n), "", "") }
	if _, err := j.closed(t.Context(), time.Hour); err == nil || !strings.Contains(err.Error(), "some: 500") {
		t.Errorf("a run with a 500 ends with %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := j.closed(ctx, time.Hour); err == nil {
		t.Error("a run that is cancelled is no error")
	}
}

// TestListenersUseSeveralAddresses holds streams from more than one loopback address.
func TestListenersUseSeveralAddresses(t *testing.T) {
	seen := make(chan string, 1)
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		seen <- host
		_ = http.NewResponseController(w).Flush()
		fmt.Fprint(w, "data: one\n")
	})
	heard := make(chan string, 10)
	l := &listeners{address: address, conns: make([]net.Conn, fromOneAddress), heard: func(line []byte) { heard <- string(line) }}
	l.open(t.Context(), httpRequest(http.MethodGet, "/", "", ""))
	if got := <-seen; got != "127.0.0.2" {
		t.Errorf("stream %d comes from %s", fromOneAddress, got)
	}
	for line := range heard {
		if line == "data: one\n" {
			break
		}
	}
	_ = l.conns[fromOneAddress].Close()
}
