package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// exchange is bytes sent over one connection, and what they must not lead to.
type exchange struct {
	name, text string
	// refused is whether every response has to be 400 or more.
	refused bool
	// keep is whether the client leaves its half of the connection open, as one that waits does.
	keep bool
}

// attackOdd sends what no client library sends.
func attackOdd(ctx context.Context, w *world) error {
	base := w.exchanges()
	var all []exchange
	for n := range w.dose(1, 12) {
		for _, e := range base {
			if n > 0 {
				e.name, e.text, e.refused = "changed: "+e.name, w.garbled(e.text), false
			}
			all = append(all, e)
		}
	}
	held := w.holdHeaders(ctx, w.dose(50, 300))
	queue := make(chan exchange)
	var sending sync.WaitGroup
	for range 24 {
		sending.Go(func() {
			for e := range queue {
				w.exchange(ctx, e)
			}
		})
	}
	for _, e := range all {
		queue <- e
	}
	close(queue)
	sending.Wait()
	return held(w.short)
}

// exchange sends the bytes, and reads responses until there are no more.
func (w *world) exchange(ctx context.Context, e exchange) {
	conn, err := dial(ctx, attackerAddr, w.httpAddr())
	if err != nil {
		w.tally.faultf("%s: %s", e.name, withoutPorts(err))
		return
	}
	defer conn.Close()
	go func() {
		_, _ = io.WriteString(conn, e.text) // the server may hang up before all of it is sent
		if half, ok := conn.(*net.TCPConn); ok && !e.keep {
			_ = half.CloseWrite()
		}
	}()
	in := bufio.NewReader(conn)
	for n := 0; ; n++ {
		wait := patience
		if n > 0 || e.keep {
			wait = 500 * time.Millisecond
		}
		_ = conn.SetReadDeadline(deadline(wait))
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			w.noResponse(e, n, err)
			return
		}
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		resp.Body.Close()
		w.tally.add(fmt.Sprint(resp.StatusCode))
		if resp.StatusCode >= http.StatusInternalServerError && resp.StatusCode != http.StatusNotImplemented && resp.StatusCode != http.StatusHTTPVersionNotSupported {
			w.tally.serverFaultf("%s: %d %.100q", e.name, resp.StatusCode, body)
		}
		if e.refused && resp.StatusCode < http.StatusBadRequest && resp.StatusCode >= http.StatusOK {
			w.tally.faultf("%s: %d %.100q", e.name, resp.StatusCode, body)
		}
		if resp.Close {
			return
		}
	}
}

// noResponse counts how a connection ended without a further response.
func (w *world) noResponse(e exchange, responses int, err error) {
	var timeout net.Error
	switch {
	case responses > 0:
	case errors.As(err, &timeout) && timeout.Timeout() && e.keep:
		w.tally.add("waited for more")
	case errors.As(err, &timeout) && timeout.Timeout():
		w.tally.add("no answer")
		w.tally.faultf("%s: neither a response nor an end", e.name)
	default:
		w.tally.add("closed")
	}
}

// holdHeaders opens connections whose headers come one byte a second. What it returns closes them, and
// reports whether the server did so before: it has a minute for it, unless there is none.
func (w *world) holdHeaders(ctx context.Context, n int) func(short bool) error {
	ctx, cancel := context.WithCancel(ctx)
	var holding sync.WaitGroup
	var open atomic.Int64
	for range n {
		conn, err := dial(ctx, attackerAddr, w.httpAddr())
		if err != nil {
			w.tally.faultf("slow headers: %s", withoutPorts(err))
			continue
		}
		w.tally.add("slow headers")
		open.Add(1)
		holding.Go(func() {
			defer conn.Close()
			_, _ = io.WriteString(conn, "GET /v1/topics HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
			for ctx.Err() == nil {
				_ = conn.SetReadDeadline(deadline(time.Second))
				var timeout net.Error
				if _, err := conn.Read(make([]byte, 1)); err != nil && (!errors.As(err, &timeout) || !timeout.Timeout()) {
					open.Add(-1)
					return
				}
				_, _ = io.WriteString(conn, "a")
			}
		})
	}
	return func(short bool) error {
		defer holding.Wait()
		defer cancel()
		if short {
			return nil
		}
		return eventually(ctx, "the end of headers that take for ever", func() bool { return open.Load() == 0 })
	}
}

// garbled changes some bytes of a text.
func (w *world) garbled(text string) string {
	out := []byte(text)
	for range 1 + w.dice.IntN(6) {
		i := w.dice.IntN(len(out))
		switch w.dice.IntN(4) {
		case 0:
			out[i] = byte(w.dice.IntN(256))
		case 1:
			out = append(out[:i:i], out[i+1:]...)
		case 2:
			out = append(out[:i:i], append([]byte{"\r\n\x00 :;/%\t\x0b"[w.dice.IntN(10)]}, out[i:]...)...)
		default:
			out[i] ^= 1 << w.dice.IntN(8)
		}
		if len(out) < 2 {
			return text
		}
	}
	return string(out)
}

// exchanges are the bytes of each connection, unchanged.
func (w *world) exchanges() []exchange {
	token := w.issuer.token("odd", "learner", "admin")
	head := func(line string, headers ...string) string {
		return line + "\r\nHost: localhost\r\nAuthorization: Bearer " + token + "\r\n" + strings.Join(append(headers, "\r\n"), "\r\n")
	}
	stranger := func(line string, headers ...string) string {
		return line + "\r\nHost: localhost\r\n" + strings.Join(append(headers, "\r\n"), "\r\n")
	}
	return slices.Concat(oddLengths(head, stranger), oddLines(head, stranger), oddPaths(head, stranger), oddMethods(head))
}

const batchLine = "POST /v1/learners/me/events:batch HTTP/1.1"

// oddLengths are one request for one program, and two for another.
func oddLengths(head, stranger func(line string, headers ...string) string) []exchange {
	hidden := "GET /v1/audit?service=progress HTTP/1.1\r\nHost: localhost\r\nX: "
	return []exchange{
		{name: "Content-Length and Transfer-Encoding", text: head(batchLine, "Content-Type: application/json", "Content-Length: 6", "Transfer-Encoding: chunked") + "0\r\n\r\nG", keep: true},
		{name: "Transfer-Encoding and Content-Length, a request hidden", text: stranger(batchLine, "Transfer-Encoding: chunked", "Content-Length: 4") + "1\r\nZ\r\n0\r\n\r\n" + hidden + "\r\n\r\n", refused: true},
		{name: "two Content-Lengths", text: head(batchLine, "Content-Length: 2", "Content-Length: 3") + "{} ", refused: true},
		{name: "two Content-Lengths in one", text: head(batchLine, "Content-Length: 2, 3") + "{} ", refused: true},
		{name: "a negative Content-Length", text: head(batchLine, "Content-Length: -1") + "{}", refused: true},
		{name: "a Content-Length with a sign", text: head(batchLine, "Content-Length: +2") + "{}", refused: true},
		{name: "a Content-Length in hexadecimal", text: head(batchLine, "Content-Length: 0x2") + "{}", refused: true},
		{name: "a huge Content-Length", text: head(batchLine, "Content-Length: 9223372036854775808") + "{}", refused: true},
		{name: "a Content-Length with a space before the colon", text: head(batchLine, "Content-Length : 2") + "{}", refused: true},
		{name: "Transfer-Encoding twice", text: head(batchLine, "Transfer-Encoding: chunked", "Transfer-Encoding: identity") + "0\r\n\r\n", refused: true},
		{name: "Transfer-Encoding of another kind", text: head(batchLine, "Transfer-Encoding: xchunked") + "0\r\n\r\n", refused: true},
		{name: "Transfer-Encoding with a tab", text: head(batchLine, "Transfer-Encoding:\tchunked") + "0\r\n\r\n"},
		{name: "Transfer-Encoding with a vertical tab", text: head(batchLine, "Transfer-Encoding: \x0bchunked") + "0\r\n\r\n", refused: true},
		{name: "chunks of no size", text: head(batchLine, "Transfer-Encoding: chunked") + "x\r\n", refused: true},
		{name: "a chunk of a huge size", text: head(batchLine, "Transfer-Encoding: chunked") + "ffffffffffffffff1\r\n", refused: true},
		{name: "a chunk with a long extension", text: head(batchLine, "Transfer-Encoding: chunked") + "2;" + strings.Repeat("e", 8000) + "\r\n{}\r\n0\r\n\r\n", refused: true},
		{name: "a chunk cut short", text: head(batchLine, "Transfer-Encoding: chunked") + "20\r\n{}", refused: true},
		{name: "a GET with a body", text: head("GET /v1/topics HTTP/1.1", "Content-Length: 2") + "{}", refused: true},
		{name: "a trailer", text: head(batchLine, "Content-Type: application/json", "Transfer-Encoding: chunked", "Trailer: Authorization") + "2\r\n{}\r\n0\r\nAuthorization: Bearer x\r\n\r\n"},
		{name: "a body cut short", text: head(batchLine, "Content-Length: 2000") + "{", refused: true},
	}
}

// oddLines are no requests, or ones that nobody would send.
func oddLines(head, stranger func(line string, headers ...string) string) []exchange {
	return []exchange{
		{name: "nothing", text: "\r\n\r\n", refused: true},
		{name: "a NUL", text: "\x00", refused: true},
		{name: "half a line", text: "GET /v1/to"},
		{name: "HTTP/0.9", text: "GET /\r\n", refused: true},
		{name: "HTTP/9.9", text: stranger("GET / HTTP/9.9"), refused: true},
		{name: "HTTP/1.0", text: stranger("GET /v1/topics HTTP/1.0"), refused: true},
		{name: "the preface of HTTP/2", text: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", refused: true, keep: true},
		{name: "a TLS hello", text: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("\x00", 500), refused: true},
		{name: "an upgrade to h2c", text: stranger("GET /v1/topics HTTP/1.1", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"), refused: true},
		{name: "an upgrade to a websocket", text: stranger("GET /v1/topics HTTP/1.1", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"), refused: true},
		{name: "no host", text: "GET /v1/topics HTTP/1.1\r\n\r\n", refused: true},
		{name: "two hosts", text: stranger("GET /v1/topics HTTP/1.1", "Host: other"), refused: true},
		{name: "a line folded", text: stranger("GET /v1/topics HTTP/1.1", "X: a", " b"), refused: true},
		{name: "a header without a name", text: stranger("GET /v1/topics HTTP/1.1", ": a"), refused: true},
		{name: "a header without a colon", text: stranger("GET /v1/topics HTTP/1.1", "abc"), refused: true},
		{name: "a header with NUL", text: stranger("GET /v1/topics HTTP/1.1", "X: a\x00b"), refused: true},
		{name: "a header with a bare CR", text: stranger("GET /v1/topics HTTP/1.1", "X: a\rb"), refused: true},
		{name: "bare line feeds", text: "GET /v1/topics HTTP/1.1\nHost: localhost\n\n", refused: true},
		{name: "headers of 100 KB", text: stranger("GET /v1/topics HTTP/1.1", "X: "+strings.Repeat("a", 100<<10)), refused: true},
		{name: "10,000 headers", text: stranger("GET /v1/topics HTTP/1.1", strings.Repeat("X: a\r\n", 9999)+"X: a"), refused: true},
		{name: "a line of 100 KB", text: stranger("GET /" + strings.Repeat("a", 100<<10) + " HTTP/1.1"), refused: true},
		{name: "Expect", text: head(batchLine, "Expect: 100-continue", "Content-Type: application/json", "Content-Length: 2") + "{}"},
		{name: "another Expect", text: head(batchLine, "Expect: 200-ok", "Content-Length: 2") + "{}", refused: true},
		{name: "Expect without a token", text: stranger(batchLine, "Expect: 100-continue", "Content-Length: 2") + "{}", refused: true},
		{name: "a range", text: head("GET /v1/topics HTTP/1.1", "Range: bytes=0-1")},
		{name: "1,000 ranges", text: head("GET /openapi.json HTTP/1.1", "Range: bytes="+strings.Repeat("0-1,", 1000)+"0-1")},
		{name: "100 requests at once", text: strings.Repeat(head("GET /v1/topics HTTP/1.1"), 100)},
		{name: "100 requests without a token at once", text: strings.Repeat(stranger("GET /v1/topics HTTP/1.1"), 100), refused: true},
	}
}

func oddPaths(head, stranger func(line string, headers ...string) string) []exchange {
	var all []exchange
	for _, path := range []string{
		"/v1/../../etc/passwd", "/v1/%2e%2e/%2e%2e/etc/passwd", "//v1/topics", "/v1//topics", "/v1/topics/", "/v1/topics%2f", "/v1/topics%00", "/v1/topics%", "/v1/topics%zz",
		"/v1/topics;a=b", "/v1/topics?%zz", "/v1/topics?" + strings.Repeat("a=b&", 5000), "/v1/topics?a[]=b", "/v1/topics?;", "/v1/topics#x", "*", "v1/topics", "",
		"http://evil.example/v1/topics", "http://localhost/v1/topics", "https://localhost:1/v1/topics", "file:///etc/passwd", "//evil.example/v1/topics", "\\v1\\topics",
		"/v1/modules/\xff\xfe", "/v1/modules/%ff%fe", "/v1/modules/" + strings.Repeat("a", 5000), "/v1/modules/" + strings.Repeat("%61", 64), "/v1/modules/x:publish:publish", "/v1/modules/:publish",
		"/v1/modules/x:", "/v1/modules/%3apublish", "/v1/modules/x%3apublish", "/v1/modules/x/versions/99999999999999999999", "/v1/modules/x/versions/-1", "/v1/modules/x/versions/1e3",
		"/v1/learners/me%00/progress", "/v1/learners/ME", "/v1/learners/me/../me", "/v1/learners/%6de", "/V1/TOPICS", "/v2/topics", "/v1", "/v1/", "/v1/\u202e", "/docs/../v1/topics", "/docs/%2e%2e/x",
		"/metrics", "/debug/pprof/", "/debug/vars", "/.git/config", "/preceptor.catalog.v1.CatalogService/ListTopics", "/grpc.health.v1.Health/Check",
	} {
		all = append(all,
			exchange{name: "the path " + short(path), text: head("GET " + path + " HTTP/1.1")},
			exchange{name: "the path " + short(path) + " without a token", text: stranger("GET " + path + " HTTP/1.1"), refused: strings.Contains(path, "/v1/")})
	}
	return all
}

func short(path string) string {
	if len(path) > 40 {
		return path[:40] + "…"
	}
	return path
}

func oddMethods(head func(line string, headers ...string) string) []exchange {
	var all []exchange
	for _, method := range []string{
		"TRACE", "CONNECT", "PUT", "PROPFIND", "PRI", "get", "GET\x00", "G E T", "", "OPTIONS", "HEAD", "QUERY", "SEARCH", "*", strings.Repeat("A", 9000), "\xff", "POST", "DELETE", "PATCH",
	} {
		for _, path := range []string{"/v1/topics", "/", "/healthz"} {
			all = append(all, exchange{
				name: "the method " + short(method) + " of " + path, text: head(method + " " + path + " HTTP/1.1"),
				refused: path == "/v1/topics" && method != "OPTIONS" && method != "HEAD",
			})
		}
	}
	for _, override := range []string{"X-HTTP-Method-Override: DELETE", "X-Method-Override: DELETE", "X-HTTP-Method: DELETE"} {
		all = append(all, exchange{name: override, text: head("GET /v1/topics HTTP/1.1", override)})
	}
	return all
}
