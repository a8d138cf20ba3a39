package e2e

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"os"
	"sync"
)

// trafficFile is where what went over the wire is written, for tools/openapi to compare with the
// OpenAPI document: a line of JSON for each exchange.
var trafficFile = flag.String("traffic", "", "the file to write each request with its response to; empty: none")

// traffic is the file, open.
var traffic struct {
	sync.Mutex

	file *os.File
}

// exchange is a request with its response, as tools/openapi/traffic reads it.
type exchange struct {
	Method         string      `json:"method"`
	URL            string      `json:"url"` // the path with the query
	RequestHeader  http.Header `json:"requestHeader"`
	Request        []byte      `json:"request,omitempty"`
	Status         int         `json:"status"`
	ResponseHeader http.Header `json:"responseHeader"`
	Response       []byte      `json:"response,omitempty"`
	// Whole reports whether the response was read to its end.
	Whole bool `json:"whole"`
	// Loose is a request that is written on purpose in other forms than the document's.
	Loose bool `json:"loose,omitempty"`
}

// recording returns a transport that writes down what goes over another one, when the flag asks for it.
func recording(next http.RoundTripper) http.RoundTripper { return recordingTransport{next: next} }

// recordingLoosely is recording for clients that write JSON in every form that the server reads.
func recordingLoosely(next http.RoundTripper) http.RoundTripper {
	return recordingTransport{next: next, loose: true}
}

// recordingTransport asks for the flag with each request: clients are made before flags are read.
type recordingTransport struct {
	next  http.RoundTripper
	loose bool
}

func (t recordingTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if *trafficFile == "" {
		return t.next.RoundTrip(req)
	}
	x := &exchange{Method: req.Method, URL: req.URL.RequestURI(), RequestHeader: req.Header.Clone(), Loose: t.loose}
	x.RequestHeader.Del("Authorization")
	if req.Body != nil {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		x.Request = body
		req = req.Clone(req.Context()) // a transport must not change the request that it is given
		req.Body = io.NopCloser(bytes.NewReader(body))
	}
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	x.Status, x.ResponseHeader = resp.StatusCode, resp.Header.Clone()
	if resp.ContentLength == 0 || req.Method == http.MethodHead {
		x.Whole = true
	}
	resp.Body = &recordedBody{ReadCloser: resp.Body, x: x}
	return resp, nil
}

// recordedBody writes the exchange down when the body is closed.
type recordedBody struct {
	io.ReadCloser

	x    *exchange
	read bytes.Buffer
	once sync.Once
}

func (b *recordedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read.Write(p[:n])
	b.x.Whole = b.x.Whole || err == io.EOF
	return n, err
}

func (b *recordedBody) Close() error {
	b.once.Do(func() {
		b.x.Response = bytes.Clone(b.read.Bytes())
		writeTraffic(b.x)
	})
	return b.ReadCloser.Close()
}

// writeTraffic panics when it cannot write: a part of the traffic would prove nothing.
func writeTraffic(x *exchange) {
	line, err := json.Marshal(x)
	if err != nil {
		panic(err)
	}
	traffic.Lock()
	defer traffic.Unlock()
	if traffic.file == nil {
		if traffic.file, err = os.Create(*trafficFile); err != nil {
			panic(err)
		}
	}
	if _, err := traffic.file.Write(append(line, '\n')); err != nil {
		panic(err)
	}
}
