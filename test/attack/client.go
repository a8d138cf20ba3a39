package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"time"
)

// maxAnswer bounds what is read of one response.
const maxAnswer = 64 << 20

var errNotLoopback = errors.New("nothing but loopback is attacked")

// dial connects to loopback, and to nothing else. from is the address on loopback that it comes from.
func dial(ctx context.Context, from, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("%w: %s", errNotLoopback, addr)
	}
	d := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	return d.DialContext(ctx, "tcp", addr)
}

// attackerAddr is where attacks come from; honest clients have addresses of their own.
const attackerAddr = "127.0.0.1"

// newHTTPClient returns a client whose requests come from one address.
func newHTTPClient(from string) *http.Client {
	return &http.Client{
		Timeout:       patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DisableCompression: true, MaxIdleConnsPerHost: 64,
			DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) { return dial(ctx, from, addr) },
		},
	}
}

// request is what is sent over REST.
type request struct {
	method, path string
	// token is a bearer token; "" for none.
	token  string
	body   []byte
	header http.Header
}

// asJSON returns the request with a value as its body.
func (r request) asJSON(v any) request {
	r.body, _ = json.Marshal(v) //nolint:errchkjson // maps, lists and texts alone
	return r
}

// with returns the request with one header more.
func (r request) with(name, value string) request {
	r.header = r.header.Clone()
	if r.header == nil {
		r.header = http.Header{}
	}
	r.header.Set(name, value)
	return r
}

// send sends a request to base, and reads what comes back.
func send(ctx context.Context, client *http.Client, base string, r request) (*answer, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, "http://"+base+r.path, bytes.NewReader(r.body))
	if err != nil {
		return nil, err
	}
	if r.body == nil {
		req.Body, req.ContentLength = http.NoBody, 0
	} else {
		req.Header.Set("Content-Type", "application/json")
	}
	maps.Copy(req.Header, r.header)
	if r.token != "" {
		req.Header.Set("Authorization", "Bearer "+r.token)
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return &answer{resp.StatusCode, resp.Header, body}, err
}

// pause waits, unless ctx ends before.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// bodyReader is nil where there is no body.
func bodyReader(body []byte) io.Reader {
	if body == nil {
		return nil
	}
	return bytes.NewReader(body)
}

// readAll reads what there is, up to a limit.
func readAll(r io.Reader) []byte {
	body, err := io.ReadAll(io.LimitReader(r, maxAnswer))
	if err != nil {
		return nil
	}
	return body
}

// deadline is a time from now by the machine's clock, as connections ask for.
func deadline(d time.Duration) time.Time {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	at, _ := ctx.Deadline()
	return at
}
