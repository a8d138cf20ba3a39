package rpc_test

import (
	"context"
	"io"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"

	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/rpc"
	"github.com/preceptor-dev/preceptor/internal/rpc/rpctest"
	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// heldGzip is gzip, under a name of its own, whose unpacking waits until it may go on.
type heldGzip struct {
	encoding.Compressor

	unpacking, on chan struct{}
}

func (heldGzip) Name() string { return "held-gzip" }

// held is registered before any test, since that is not safe beside calls.
var held = func() heldGzip {
	gz := heldGzip{encoding.GetCompressor("gzip"), make(chan struct{}), make(chan struct{})}
	encoding.RegisterCompressor(gz)
	return gz
}()

// Decompress waits before the last byte.
func (h heldGzip) Decompress(r io.Reader) (io.Reader, error) {
	plain, err := h.Compressor.Decompress(r)
	return io.MultiReader(plain, &heldReader{gzip: h}), err
}

// heldReader is the end of what is unpacked.
type heldReader struct {
	gzip heldGzip
	once sync.Once
}

func (r *heldReader) Read([]byte) (int, error) {
	r.once.Do(func() {
		r.gzip.unpacking <- struct{}{}
		<-r.gzip.on
	})
	return 0, io.EOF
}

// TestCompressedMessagesHoldTheirQuota counts what a message may become while it is unpacked, and then what it
// is, until it is served.
func TestCompressedMessagesHoldTheirQuota(t *testing.T) {
	const limit, size = 16 << 20, 1 << 20
	dir := t.TempDir()
	h := newHarnessAt(t, dir, must(auth.OpenLocalIssuer(dir, testenv.Now)), "127.0.0.1:0", func(_ *harness, o *rpc.Options) { o.MaxRecv = limit })
	served, goOn := make(chan int64), make(chan struct{})
	h.Unary = func(_ context.Context, req *rpctest.Echo) (*rpctest.Echo, error) {
		if req.Text("text") == "held" {
			served <- h.server.Receiving()
			<-goOn
		}
		return h.New(), nil
	}
	send := func(subject, text string, bytes int, compressor string) error {
		req := h.With("me", text)
		req.SetBlob(make([]byte, bytes)) // of which little is left by gzip
		_, err := h.Call(bearer(t, h.token(subject)), h.person(t), rpctest.Own, req, grpc.UseCompressor(compressor))
		return err
	}
	ended := make(chan error)
	go func() { ended <- send("ada", "held", size, held.Name()) }()
	<-held.unpacking
	if n := h.server.Receiving(); n != limit {
		t.Errorf("a message that is being unpacked holds %d bytes, want what it may become", n)
	}
	wantCode(t, send("ada", "", size, "gzip"), codes.ResourceExhausted, errs.ReasonRateLimited)
	if err := send("ada", "", 100, "identity"); err != nil {
		t.Errorf("a small message beside it: %v", err)
	}
	if err := send("ben", "", size, "gzip"); err != nil {
		t.Errorf("another caller's: %v", err)
	}
	held.on <- struct{}{}
	if n := <-served; n < size || n > size+100 {
		t.Errorf("a message that is being served holds %d bytes, want its own", n)
	}
	if err := send("ada", "", size, "gzip"); err != nil {
		t.Errorf("when it is unpacked: %v", err)
	}
	goOn <- struct{}{}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	eventually(t, "all is given back", func() bool { return h.server.Receiving() == 0 })
	for range 3 { // more than a caller may hold, if a bomb's were not given back
		wantCode(t, send("ada", "", limit+1, "gzip"), codes.ResourceExhausted, errs.ReasonMessageTooLarge)
	}
	eventually(t, "what bombs took is given back", func() bool { return h.server.Receiving() == 0 })
	if err := send("ada", "", size, "gzip"); err != nil {
		t.Errorf("after the bombs: %v", err)
	}
	h.noErrors(t)
}
