package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// patience is how long a server may take for one answer before the run fails.
const patience = 30 * time.Second

// request is one request as the bytes on the wire.
type request []byte

// httpRequest makes a request with further headers, each a name and a value.
func httpRequest(method, path, token, body string, headers ...string) request {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: learn.example.org\r\n", method, path)
	if token != "" {
		fmt.Fprintf(&b, "Authorization: Bearer %s\r\n", token)
	}
	for i := 0; i < len(headers); i += 2 {
		fmt.Fprintf(&b, "%s: %s\r\n", headers[i], headers[i+1])
	}
	if body != "" {
		fmt.Fprintf(&b, "Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	b.WriteString("\r\n")
	b.WriteString(body)
	return b.Bytes()
}

// deviceRequest is a request with the headers that a phone's HTTP library sends.
func deviceRequest(method, path, token, body string, headers ...string) request {
	return httpRequest(method, path, token, body, append([]string{
		"User-Agent", "Learn/4.2 (phone)", "Accept", "application/json", "Accept-Encoding", "gzip",
	}, headers...)...)
}

// answer is a response. Its body is valid until the next one on the same line.
type answer struct {
	status int
	etag   string
	gzip   bool
	body   []byte
}

// line is a connection that makes one request at a time. It reads responses with less effort than
// net/http, because it takes processor time from the servers that it measures.
type line struct {
	conn           net.Conn
	in             *bufio.Reader
	body           []byte
	sent, received int64
}

func dial(ctx context.Context, address string) (*line, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &line{conn: conn, in: bufio.NewReaderSize(conn, 16<<10)}, nil
}

// ask makes a request and reads its response, which is an error unless it is a success or a 304.
func (l *line) ask(r request) (answer, error) {
	if err := l.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return answer{}, err
	}
	n, err := l.conn.Write(r)
	l.sent += int64(n)
	if err != nil {
		return answer{}, err
	}
	a, err := l.read()
	if err != nil {
		return a, err
	}
	return a, a.fault()
}

// fault is the error of an answer that is no success.
func (a *answer) fault() error {
	text := a.body
	if a.gzip && len(text) > 0 {
		plain, err := gzip.NewReader(bytes.NewReader(text))
		if err != nil {
			return err
		}
		if text, err = io.ReadAll(plain); err != nil {
			return err
		}
	}
	if a.status != http.StatusNotModified && a.status/100 != 2 || bytes.Contains(text, []byte(`"REJECTED"`)) {
		return fmt.Errorf("%d: %s", a.status, text)
	}
	return nil
}

// text is the next line of the response's head, without its end.
func (l *line) text() ([]byte, error) {
	b, err := l.in.ReadSlice('\n')
	l.received += int64(len(b))
	return bytes.TrimRight(b, "\r\n"), err
}

// read reads a response.
func (l *line) read() (answer, error) {
	a, length, err := l.head()
	if err != nil {
		return a, err
	}
	l.body = l.body[:0]
	switch {
	case a.status == http.StatusNotModified || a.status == http.StatusNoContent:
	case length >= 0:
		err = l.take(length)
	default:
		err = l.chunks()
	}
	a.body = l.body
	return a, err
}

// head reads the status and the headers; a length of -1 means that the body comes in chunks.
func (l *line) head() (a answer, length int, err error) {
	status, err := l.text()
	if err != nil {
		return a, 0, err
	}
	if len(status) < len("HTTP/1.1 200") || !bytes.HasPrefix(status, []byte("HTTP/1.1 ")) {
		return a, 0, fmt.Errorf("an answer begins with %q", status)
	}
	if a.status, err = strconv.Atoi(string(status[9:12])); err != nil {
		return a, 0, err
	}
	for {
		header, err := l.text()
		if err != nil || len(header) == 0 {
			return a, length, err
		}
		name, value, _ := bytes.Cut(header, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case equal(name, "Content-Length"):
			if length, err = strconv.Atoi(string(value)); err != nil {
				return a, 0, err
			}
		case equal(name, "Transfer-Encoding"):
			length = -1
		case equal(name, "ETag"):
			a.etag = string(value)
		case equal(name, "Content-Encoding"):
			a.gzip = equal(value, "gzip")
		}
	}
}

// equal compares a header's name, whose case means nothing.
func equal(name []byte, want string) bool {
	return len(name) == len(want) && strings.EqualFold(string(name), want)
}

// take reads n bytes of the body.
func (l *line) take(n int) error {
	at := len(l.body)
	if need := at + n; need > cap(l.body) {
		l.body = append(make([]byte, 0, 2*need), l.body...)
	}
	l.body = l.body[:at+n]
	got, err := io.ReadFull(l.in, l.body[at:])
	l.received += int64(got)
	return err
}

// chunks reads a body that comes in chunks.
func (l *line) chunks() error {
	for {
		size, err := l.text()
		if err != nil {
			return err
		}
		n, err := strconv.ParseUint(string(size), 16, 31)
		if err != nil {
			return err
		}
		if err := l.take(int(n)); err != nil {
			return err
		}
		end, err := l.text()
		if err == nil && len(end) > 0 {
			err = errors.New("a chunk is longer than it says")
		}
		if err != nil || n == 0 {
			return err
		}
	}
}
