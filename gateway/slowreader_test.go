package gateway_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/gateway"
)

// document is a page whose response is large.
const document = "/openapi.json"

// served is a gateway of its own, whose connections the test sees close.
func served(t *testing.T, patience time.Duration) (address string, closed <-chan struct{}, slow func() int64) {
	t.Helper()
	h := open(t, func(c *gateway.Config) { c.SlowReader = patience })
	ended := make(chan struct{}, 100)
	server := httptest.NewUnstartedServer(h.gateway)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			ended <- struct{}{}
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://"), ended, h.gateway.SlowReaders
}

// ask sends n requests on one connection.
func ask(t *testing.T, address string, n int) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		t.Fatalf("%T", conn)
	}
	go func() { _, _ = io.WriteString(conn, strings.Repeat("GET "+document+" HTTP/1.1\r\nHost: x\r\n\r\n", n)) }()
	return tcp
}

// TestResponsesMustBeRead closes the connections of clients that ask and do not read.
func TestResponsesMustBeRead(t *testing.T) {
	t.Parallel()
	address, closed, slow := served(t, 100*time.Millisecond)
	const readers = 8
	for range readers {
		if err := ask(t, address, 200).SetReadBuffer(4 << 10); err != nil { // the system takes little for it
			t.Fatal(err)
		}
	}
	for i := range readers {
		select {
		case <-closed:
		case <-time.After(time.Minute):
			t.Fatalf("%d of %d readers that do not read hold their connections", readers-i, readers)
		}
	}
	if slow() == 0 {
		t.Error("slow readers are not counted")
	}
}

// TestSlowResponsesAreWhole leaves a client alone that reads slowly, but reads.
func TestSlowResponsesAreWhole(t *testing.T) {
	t.Parallel()
	address, _, slow := served(t, time.Minute)
	const documents = 40
	in := bufio.NewReaderSize(ask(t, address, documents), 512)
	for i := range documents {
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatalf("response %d: %v", i, err)
		}
		if i%10 == 0 {
			time.Sleep(20 * time.Millisecond) // the server waits meanwhile
		}
		if n, err := io.Copy(io.Discard, res.Body); err != nil || n != res.ContentLength {
			t.Errorf("response %d: %d bytes of %d: %v", i, n, res.ContentLength, err)
		}
		_ = res.Body.Close()
	}
	if slow() != 0 {
		t.Errorf("%d readers were slow", slow())
	}
}
