package rpc_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/rpc"
	"github.com/preceptor-dev/preceptor/internal/rpc/rpctest"
	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// patient is a server whose callers have so long to read.
func patient(t *testing.T, patience time.Duration) *harness {
	t.Helper()
	dir := t.TempDir()
	h := newHarnessAt(t, dir, must(auth.OpenLocalIssuer(dir, testenv.Now)), "127.0.0.1:0", func(_ *harness, o *rpc.Options) {
		o.SlowReader = patience
		o.MaxRecv = 16 << 20
	})
	h.Stream = func(ss grpc.ServerStream) error {
		req := h.New()
		if err := ss.RecvMsg(req.Message); err != nil {
			return err
		}
		if err := ss.SendMsg(h.answer(req).Message); err != nil {
			return err
		}
		<-ss.Context().Done()
		return ss.Context().Err()
	}
	h.Unary = func(_ context.Context, req *rpctest.Echo) (*rpctest.Echo, error) { return h.answer(req), nil }
	return h
}

// answer is as large as the request's text says.
func (h *harness) answer(req *rpctest.Echo) *rpctest.Echo {
	size := map[string]int{"small": 10, "large": 200 << 10, "huge": 7 << 20}[req.Text("text")]
	out := h.New()
	out.SetBlob(make([]byte, size))
	return out
}

// token is one of somebody.
func (h *harness) token(subject string) string {
	return must(h.issuer.Mint(subject, []auth.Role{auth.RoleLearner}, "", time.Hour))
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for !is() {
		if ctx.Err() != nil {
			t.Fatal("never: " + what)
		}
		time.Sleep(time.Millisecond)
	}
}

// settled waits until nothing is to be read and nothing is held.
func (h *harness) settled(t *testing.T) {
	t.Helper()
	eventually(t, "all is read or given up", func() bool {
		streams, due, held := h.server.Unread()
		return streams == 0 && due == 0 && held == 0
	})
}

// TestAnswersMustBeRead closes the connections of clients that ask and do not read, whatever else they do.
func TestAnswersMustBeRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		method, size string
		meanwhile    func(h *harness, t *testing.T, c *rawClient)
	}{
		"a small answer":       {rpctest.Own, "small", (*harness).reads},
		"a large answer":       {rpctest.Own, "large", (*harness).reads},
		"a message":            {rpctest.Watch, "small", (*harness).reads},
		"a large message":      {rpctest.Watch, "large", (*harness).reads},
		"one answer of many":   {rpctest.Own, "small", (*harness).readsOthers},
		"nothing of TCP":       {rpctest.Own, "huge", func(*harness, *testing.T, *rawClient) {}},
		"one message of many":  {rpctest.Watch, "small", (*harness).readsOthers},
		"one byte of a window": {rpctest.Own, "large", (*harness).opensSlowly},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := patient(t, 200*time.Millisecond)
			window := uint32(0)
			if c.size == "huge" {
				window = 1 << 30
			}
			client := h.raw(t, window)
			calls := 1
			if c.size == "huge" { // more than the system takes for it
				calls = 3
			}
			for range calls {
				client.call(t, c.method, h.token("ada"), h.With("me", c.size))
			}
			c.meanwhile(h, t, client)
			eventually(t, "the client is cut off", func() bool { return h.server.SlowReaders() > 0 })
			h.settled(t)
			if n := h.server.SlowReaders(); n != 1 {
				t.Errorf("one slow reader counts as %d", n)
			}
			eventually(t, "a line of the log", func() bool { return strings.Contains(h.log.String(), `"slow_reader":true`) })
			h.noErrors(t)
		})
	}
}

// reads lets what comes be read, and acknowledges pings.
func (h *harness) reads(_ *testing.T, c *rawClient) { c.ended() }

// readsOthers lets the answers of other calls come.
func (h *harness) readsOthers(t *testing.T, c *rawClient) {
	t.Helper()
	token := h.token("ada")
	for h.server.SlowReaders() == 0 {
		other, err := c.tryCall(rpctest.Own, token, h.With("me", "small"))
		if err != nil || c.WriteWindowUpdate(other, 1<<20) != nil || c.status(other) == "" {
			return
		}
	}
}

// opensSlowly gives the first stream a byte at a time.
func (h *harness) opensSlowly(_ *testing.T, c *rawClient) {
	for c.WriteWindowUpdate(1, 1) == nil {
		time.Sleep(5 * time.Millisecond)
	}
}

// TestWhatIsReadOrGivenUpIsForgotten has nobody cut off who reads, cancels or is refused.
func TestWhatIsReadOrGivenUpIsForgotten(t *testing.T) {
	t.Parallel()
	h := patient(t, time.Hour)
	for name, send := range map[string]func(c *rawClient) (stream uint32){
		"a unary answer": func(c *rawClient) uint32 { return c.call(t, rpctest.Own, h.token("ada"), h.With("me", "huge")) },
		"a message":      func(c *rawClient) uint32 { return c.call(t, rpctest.Watch, h.token("ada"), h.With("me", "huge")) },
	} {
		for how, stop := range map[string]func(c *rawClient, stream uint32) error{
			"cancelled": func(c *rawClient, stream uint32) error { return c.WriteRSTStream(stream, http2.ErrCodeCancel) },
			"abandoned": func(c *rawClient, _ uint32) error { return c.conn.Close() },
		} {
			client := h.raw(t, 0)
			stream := send(client)
			eventually(t, name+" is to be read", func() bool {
				streams, due, held := h.server.Unread()
				return streams == 1 && due == 1 && held > 7<<20
			})
			if err := stop(client, stream); err != nil {
				t.Errorf("%s, %s: %v", name, how, err)
			}
			h.settled(t)
		}
	}
	ctx, conn := h.as(t), h.person(t)
	for _, size := range []string{"small", "large", "huge"} {
		for _, options := range [][]grpc.CallOption{nil, {grpc.UseCompressor("gzip")}} {
			if _, err := h.Call(ctx, conn, rpctest.Own, h.With("me", size), options...); err != nil {
				t.Error(err)
			}
			stopped, stop := context.WithCancel(ctx)
			cs := must(h.Open(stopped, conn, rpctest.Watch, options...))
			if err := errors.Join(cs.SendMsg(h.With("me", size).Message), cs.CloseSend(), cs.RecvMsg(h.New().Message)); err != nil {
				t.Error(err)
			}
			eventually(t, "the message is read, and the stream open", func() bool {
				streams, due, held := h.server.Unread()
				return streams == 1 && due == 0 && held == 0
			})
			stop()
			h.settled(t)
		}
	}
	_, err := h.Call(t.Context(), conn, rpctest.Own, h.New())
	wantCode(t, err, codes.Unauthenticated, errs.ReasonTokenMissing)
	h.settled(t)
	if n := h.server.SlowReaders(); n != 0 {
		t.Errorf("%d readers were slow", n)
	}
}

// TestUnreadAnswersAreBounded refuses what one caller, and what all, leave unread beyond a number of bytes.
func TestUnreadAnswersAreBounded(t *testing.T) {
	t.Parallel()
	h := patient(t, time.Hour)
	const each = 3 // answers of 7 MiB, of 24
	holds := func(subject string, n int, method string) *rawClient {
		client := h.raw(t, 0)
		_, _, before := h.server.Unread()
		for range n {
			client.call(t, method, h.token(subject), h.With("me", "huge"))
		}
		eventually(t, "the answers are unread", func() bool {
			_, _, held := h.server.Unread()
			return held >= before+int64(n)*7<<20
		})
		return client
	}
	refused := func(subject, method string) {
		client := h.raw(t, 0)
		if code := client.status(client.call(t, method, h.token(subject), h.With("me", "huge"))); code != "8" {
			t.Errorf("one more answer to %s has status %q, want that of ResourceExhausted", subject, code)
		}
	}
	first := holds("ada", each, rpctest.Own)
	refused("ada", rpctest.Own)
	refused("ada", rpctest.Watch)
	small := h.raw(t, 1<<16)
	if code := small.status(small.call(t, rpctest.Own, h.token("ada"), h.With("me", "small"))); code != "0" {
		t.Errorf("a small answer to who leaves large ones unread: %q", code)
	}
	_ = holds("ben", each, rpctest.Watch)
	_ = holds("cid", each, rpctest.Own)
	refused("dan", rpctest.Own) // 63 MiB of 64 are unread
	_ = first.conn.Close()
	eventually(t, "room for another", func() bool { _, _, held := h.server.Unread(); return held < 50<<20 })
	_ = holds("dan", 1, rpctest.Own)
	if log := h.log.String(); !strings.Contains(log, errs.ReasonRateLimited) {
		t.Errorf("why is not logged: %s", log)
	}
	h.noErrors(t)
}

// TestWhatIsReadIsGivenBack lets a stream send without end to who reads.
func TestWhatIsReadIsGivenBack(t *testing.T) {
	t.Parallel()
	h := patient(t, time.Hour)
	const messages, size = 100, 1 << 20 // four times what a caller may leave unread
	h.Stream = func(ss grpc.ServerStream) error {
		out := h.New()
		out.SetBlob(make([]byte, size))
		if err := ss.RecvMsg(h.New().Message); err != nil {
			return err
		}
		for range messages {
			if err := ss.SendMsg(out.Message); err != nil {
				return err
			}
		}
		return nil
	}
	cs := must(h.Open(h.as(t), h.person(t), rpctest.Watch))
	if err := errors.Join(cs.SendMsg(h.With("me", "").Message), cs.CloseSend()); err != nil {
		t.Fatal(err)
	}
	for i := range messages {
		if err := cs.RecvMsg(h.New().Message); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
	}
	h.settled(t)
}

// TestManySmallAnswersAreBounded counts small answers too, when there are many on one connection.
func TestManySmallAnswersAreBounded(t *testing.T) {
	t.Parallel()
	h := patient(t, time.Hour)
	h.Unary = func(context.Context, *rpctest.Echo) (*rpctest.Echo, error) {
		out := h.New()
		out.SetBlob(make([]byte, 60<<10))
		return out, nil
	}
	client := h.raw(t, 0)
	for range 10 {
		client.call(t, rpctest.Own, h.token("ada"), h.With("me", ""))
	}
	eventually(t, "what is unread is counted", func() bool { _, _, held := h.server.Unread(); return held > 9*60<<10 })
}
