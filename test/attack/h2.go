package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"net"
	"sync"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
)

// h2 is one connection of HTTP/2 whose every frame is the harness's own choice.
type h2 struct {
	conn   net.Conn
	frames *http2.Framer

	writing sync.Mutex
	packer  *hpack.Encoder
	packed  bytes.Buffer
	stream  uint32

	mu     sync.Mutex
	open   map[uint32]bool
	began  int            // streams whose call was admitted
	ended  map[string]int // how many streams ended, by how
	closed chan struct{}
}

// dialH2 opens a connection to the gRPC API. window is what each stream may receive before the client allows more.
func (w *world) dialH2(ctx context.Context, window uint32) (*h2, error) {
	conn, err := dial(ctx, attackerAddr, w.grpcAddr())
	if err != nil {
		return nil, err
	}
	c := &h2{conn: conn, frames: http2.NewFramer(conn, conn), open: map[uint32]bool{}, ended: map[string]int{}, closed: make(chan struct{}), stream: 1}
	c.packer = hpack.NewEncoder(&c.packed)
	c.frames.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if _, err := conn.Write([]byte(http2.ClientPreface)); err != nil {
		return nil, err
	}
	if err := c.frames.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: window}); err != nil {
		return nil, err
	}
	if window > 0 {
		if err := c.frames.WriteWindowUpdate(0, 1<<30); err != nil {
			return nil, err
		}
	}
	go c.read()
	return c, nil
}

// close ends the connection, and with it every stream.
func (c *h2) close() {
	_ = c.conn.Close()
	<-c.closed
}

// read follows what becomes of each stream, until the connection ends.
func (c *h2) read() {
	defer close(c.closed)
	for {
		frame, err := c.frames.ReadFrame()
		if err != nil {
			return
		}
		c.mu.Lock()
		switch f := frame.(type) {
		case *http2.MetaHeadersFrame:
			if s := grpcStatus(f); s != "" {
				c.end(f.StreamID, s)
			} else {
				c.began++
			}
		case *http2.RSTStreamFrame:
			c.end(f.StreamID, f.ErrCode.String())
		case *http2.GoAwayFrame:
			c.ended["GOAWAY "+f.ErrCode.String()]++
		case *http2.SettingsFrame:
			if !f.IsAck() {
				go func() {
					c.writing.Lock()
					defer c.writing.Unlock()
					_ = c.frames.WriteSettingsAck()
				}()
			}
		}
		c.mu.Unlock()
	}
}

// end counts the end of a stream, once.
func (c *h2) end(stream uint32, how string) {
	if c.open[stream] {
		delete(c.open, stream)
		c.ended[how]++
	}
}

func grpcStatus(f *http2.MetaHeadersFrame) string {
	for _, h := range f.Fields {
		if h.Name != "grpc-status" {
			continue
		}
		var n uint32
		if _, err := fmt.Sscan(h.Value, &n); err == nil {
			return codes.Code(n).String()
		}
		return h.Value
	}
	return ""
}

// headers packs those of a call.
func (c *h2) headers(method, token string) []byte {
	c.packed.Reset()
	fields := []hpack.HeaderField{
		{Name: ":method", Value: "POST"},
		{Name: ":scheme", Value: "http"},
		{Name: ":path", Value: method},
		{Name: ":authority", Value: "localhost"},
		{Name: "content-type", Value: "application/grpc"},
		{Name: "te", Value: "trailers"},
	}
	if token != "" {
		fields = append(fields, hpack.HeaderField{Name: "authorization", Value: "Bearer " + token})
	}
	for _, f := range fields {
		_ = c.packer.WriteField(f) // into memory
	}
	return c.packed.Bytes()
}

// call opens a stream with one request, and does not wait for what comes back.
func (c *h2) call(method, token string, req proto.Message) error {
	text, err := proto.Marshal(req)
	if err != nil {
		return err
	}
	message := make([]byte, 5, 5+len(text))
	binary.BigEndian.PutUint32(message[1:], uint32(len(text)))
	c.writing.Lock()
	defer c.writing.Unlock()
	stream, err := c.begin(method, token)
	if err == nil {
		err = c.frames.WriteData(stream, true, append(message, text...))
	}
	return err
}

// announce opens a stream and sends no request.
func (c *h2) announce(method, token string) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	_, err := c.begin(method, token)
	return err
}

// begin opens a stream.
func (c *h2) begin(method, token string) (stream uint32, err error) {
	stream = c.stream
	c.stream += 2
	c.mu.Lock()
	c.open[stream] = true
	c.mu.Unlock()
	return stream, c.frames.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: c.headers(method, token), EndHeaders: true})
}

// held returns how many streams are open, admitted or not yet, and what became of the others.
func (c *h2) held() (open, began int, ended map[string]int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open), c.began, maps.Clone(c.ended)
}

// gone reports whether the connection has ended.
func (c *h2) gone() bool {
	select {
	case <-c.closed:
		return true
	default:
		return false
	}
}
