package rpc

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/bounds"
	"github.com/preceptor-dev/preceptor/internal/errs"
)

const (
	// maxOpenMessage is the largest request, in bytes, of a call that needs no token.
	maxOpenMessage = 4 << 10
	// smallMessage is what a client may send before anybody reads: HTTP/2 gives each stream that
	// much. Larger messages count.
	smallMessage = 64 << 10
	// messageBytes bounds what is being read of larger messages at once, of all calls and of one caller.
	messageBytes, callerBytes = 64 << 20, 24 << 20
	// messageTime is how long a message may take to begin, and to arrive beyond what messageRate, in
	// bytes a second, gives it.
	messageTime = 20 * time.Second
	messageRate = 16 << 10
)

// transport is a call's stream over the network, beneath gRPC's reading of messages.
type transport interface {
	ReadMessageHeader(header []byte) error
	Read(n int) (mem.BufferSlice, error)
	RecvCompress() string
	WriteStatus(st *status.Status) error
}

// receiver reads the messages of one call over the network in place of gRPC, which has one limit for all
// messages and none for all of them together, or for their time.
type receiver struct {
	transport

	limit    int
	patience time.Duration
	late     func()
	end      func(error) // ends the call
	again    bool        // a message has come: the next one may take its time
	quota    *bounds.Quota[string]
	from     string // the caller
	held     int64
}

// receiverOf returns a receiver for a call of which little is known, nil for one of our own services' or in process.
func (s *Server) receiverOf(ctx context.Context, method string) *receiver {
	if peerOf(ctx) != "" {
		return nil
	}
	on := grpc.ServerTransportStreamFromContext(ctx)
	if checked, ok := on.(checkedHeaders); ok {
		on = checked.ServerTransportStream
	}
	t, ok := on.(transport)
	if !ok {
		return nil
	}
	r := &receiver{transport: t, limit: s.maxRecv, patience: messageTime, quota: s.receiving, from: callerOf(ctx)}
	if auth.IsOpen(method) {
		r.limit = maxOpenMessage
	}
	id := RequestID(ctx)
	r.end = func(why error) {
		// Ends the stream, and so the read that waits.
		_ = t.WriteStatus(statusOf(ctx, why, origin{method, id}))
	}
	r.late = func() {
		r.end(errs.New(errs.DeadlineExceeded, errs.ReasonDeadlineExceeded, "the request did not arrive in time"))
	}
	return r
}

// receive reads the next message into m; io.EOF at the end.
func (r *receiver) receive(m any) error {
	r.give()
	message, ok := m.(proto.Message)
	if !ok {
		return errors.New("rpc: a request is no message")
	}
	var header [5]byte // whether it is compressed, and its length
	if err := r.inTime(0, r.again, func() error { return r.ReadMessageHeader(header[:]) }); err != nil {
		return err
	}
	r.again = true
	compressed, length := header[0] != 0, binary.BigEndian.Uint32(header[1:])
	if int64(length) > int64(r.limit) {
		return r.tooLarge()
	}
	if err := r.take(int64(length)); err != nil {
		return err
	}
	var data mem.BufferSlice
	err := r.inTime(int(length), false, func() (err error) {
		data, err = r.Read(int(length))
		return err
	})
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	if err != nil {
		return err
	}
	defer data.Free()
	plain := data.Materialize()
	if compressed {
		if err := r.take(min(int64(r.limit), callerBytes-r.held)); err != nil { // what it may become
			return err
		}
		if plain, err = r.unpack(plain); err != nil {
			return err
		}
		r.keep(int64(len(plain)))
	}
	return proto.Unmarshal(plain, message)
}

// inTime reads n bytes within their time, unless it may wait.
func (r *receiver) inTime(n int, waits bool, read func() error) error {
	if !waits {
		limit := time.AfterFunc(r.patience+time.Duration(n)*time.Second/messageRate, r.late)
		defer limit.Stop()
	}
	return read()
}

func (r *receiver) unpack(data []byte) ([]byte, error) {
	gz := encoding.GetCompressor(r.RecvCompress())
	if gz == nil || r.limit == maxOpenMessage {
		return nil, errs.New(errs.Unimplemented, errs.ReasonUnimplemented, "a message is compressed in a way that is not taken here")
	}
	plain, err := gz.Decompress(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	out, err := io.ReadAll(io.LimitReader(plain, int64(r.limit)+1))
	if err == nil && len(out) > r.limit {
		err = r.tooLarge()
	}
	return out, err
}

func (r *receiver) tooLarge() error {
	return errs.New(errs.ResourceExhausted, errs.ReasonMessageTooLarge, "a message is larger than the %d bytes that are taken here", r.limit)
}

// take counts the bytes of a message that is more than small.
func (r *receiver) take(n int64) error {
	if n <= smallMessage {
		return nil
	}
	if !r.quota.Take(r.from, n) {
		return errs.New(errs.ResourceExhausted, errs.ReasonRateLimited, "too many large messages are on their way at once; send them one after the other")
	}
	r.held += n
	return nil
}

// keep gives back what the message took beyond n bytes.
func (r *receiver) keep(n int64) {
	if n <= smallMessage {
		n = 0
	}
	if r.held > n {
		r.quota.Give(r.from, r.held-n)
		r.held = n
	}
}

// give gives back what the last message took.
func (r *receiver) give() {
	if r.held > 0 {
		r.quota.Give(r.from, r.held)
		r.held = 0
	}
}

// done is called at the end of the call.
func (r *receiver) done() { r.give() }
