package rpc_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/proto"

	"github.com/preceptor-dev/preceptor/internal/rpc/rpctest"
)

// rawClient is a client of HTTP/2 that reads what it likes.
type rawClient struct {
	*http2.Framer
	conn   net.Conn
	packer *hpack.Encoder
	packed bytes.Buffer
	stream uint32
}

// raw connects as a client each of whose streams has a window at first.
func (h *harness) raw(t *testing.T, window uint32) *rawClient {
	t.Helper()
	tcp := must(net.Dial("tcp", h.address))
	t.Cleanup(func() { _ = tcp.Close() })
	limit := time.AfterFunc(time.Minute, func() { _ = tcp.Close() }) // a test that hangs fails by it
	t.Cleanup(func() { limit.Stop() })
	if small, ok := tcp.(*net.TCPConn); ok {
		_ = small.SetReadBuffer(4 << 10)
	}
	conn := tls.Client(tcp, anybody())
	c := &rawClient{Framer: http2.NewFramer(conn, conn), conn: conn, stream: 1}
	c.packer = hpack.NewEncoder(&c.packed)
	c.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if err := c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: window}); err != nil {
		t.Fatal(err)
	}
	if err := c.WriteWindowUpdate(0, 1<<30); err != nil { // of the connection
		t.Fatal(err)
	}
	return c
}

// begin opens a stream. Its error is that the connection has ended.
func (c *rawClient) begin(method, token string) (stream uint32, err error) {
	c.packed.Reset()
	fields := []string{
		":method", "POST", ":scheme", "https", ":path", method, ":authority", "x", "content-type", "application/grpc", "te", "trailers",
	}
	if token != "" {
		fields = append(fields, "authorization", "Bearer "+token)
	}
	for i := 0; i < len(fields); i += 2 {
		_ = c.packer.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}) // into memory
	}
	stream = c.stream
	c.stream += 2
	return stream, c.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: c.packed.Bytes(), EndHeaders: true})
}

// tryCall opens a stream and sends its request.
func (c *rawClient) tryCall(method, token string, req *rpctest.Echo) (stream uint32, err error) {
	stream, err = c.begin(method, token)
	if err != nil {
		return stream, err
	}
	text := must(proto.Marshal(req))
	head := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(text)))
	return stream, c.WriteData(stream, true, append(head, text...))
}

// call is tryCall on a connection that has not ended.
func (c *rawClient) call(t *testing.T, method, token string, req *rpctest.Echo) (stream uint32) {
	t.Helper()
	stream, err := c.tryCall(method, token, req)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// until reads frames, and acknowledges pings, until it is the one, or the connection ends.
func (c *rawClient) until(it func(http2.Frame) bool) {
	for {
		frame, err := c.ReadFrame()
		if err != nil {
			return
		}
		switch f := frame.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				_ = c.WriteSettingsAck() // fails with the connection
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				_ = c.WritePing(true, f.Data)
			}
		}
		if it(frame) {
			return
		}
	}
}

// status waits for a stream's status; "" if the connection ends before.
func (c *rawClient) status(stream uint32) string {
	code := ""
	c.until(func(frame http2.Frame) bool {
		headers, ok := frame.(*http2.MetaHeadersFrame)
		if !ok || headers.StreamID != stream {
			return false
		}
		for _, f := range headers.RegularFields() {
			if f.Name == "grpc-status" {
				code = f.Value
			}
		}
		return code != ""
	})
	return code
}

// ended reads until the server closes the connection.
func (c *rawClient) ended() { c.until(func(http2.Frame) bool { return false }) }
