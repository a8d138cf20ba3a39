package rpc_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/rpc"
	"github.com/preceptor-dev/preceptor/internal/rpc/rpctest"
	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// subject is the context value that a call's key is.
type subject struct{}

// keyedConn is a connection to the servers whose calls have the key in their context.
func keyedConn(tb testing.TB, servers []*harness, routed func(own bool)) *grpc.ClientConn {
	tb.Helper()
	var addrs []string
	for _, h := range servers {
		addrs = append(addrs, h.address)
	}
	conn := must(rpc.Dial(strings.Join(addrs, ","), rpc.DialOptions{
		TLS: must(rpc.LocalPKI(servers[0].dir, "gateway", testenv.Now)).ClientTLS("catalog"), Files: servers[0].Files(), Routed: routed,
		Key: func(ctx context.Context) string {
			key, _ := ctx.Value(subject{}).(string)
			return key
		},
	}))
	tb.Cleanup(func() { _ = conn.Close() })
	return conn
}

// TestCallsFollowTheirKey: calls and streams of one key meet on one server; when it refuses, or drains, they go to
// another, without a call that fails.
func TestCallsFollowTheirKey(t *testing.T) {
	dir := t.TempDir()
	issuer := must(auth.OpenLocalIssuer(dir, testenv.Now))
	servers := []*harness{newHarnessIn(t, dir, issuer), newHarnessIn(t, dir, issuer)}
	var got [2]atomic.Int32
	var refuses atomic.Int32 // the server that does
	refuses.Store(-1)
	for i, h := range servers {
		h.Unary = func(_ context.Context, req *rpctest.Echo) (*rpctest.Echo, error) {
			got[i].Add(1)
			if refuses.Load() == int32(i) {
				return nil, errs.New(errs.Unavailable, "BUSY", "try again")
			}
			req.SetText("text", fmt.Sprint(i))
			return req, nil
		}
		echo := h.Stream
		h.Stream = func(ss grpc.ServerStream) error {
			got[i].Add(1)
			return echo(ss)
		}
	}
	var own, other atomic.Int32
	conn := keyedConn(t, servers, func(mine bool) {
		if mine {
			own.Add(1)
		} else {
			other.Add(1)
		}
	})
	call := func(key string) string {
		t.Helper()
		resp, err := servers[0].Call(context.WithValue(servers[0].as(t), subject{}, key), conn, rpctest.Everyone, servers[0].New())
		if err != nil {
			t.Fatal(err)
		}
		return resp.Text("text")
	}
	for seen := map[string]bool{}; len(seen) < 2; { // both are connected
		seen[call("")] = true
	}
	owners := map[string]string{}
	var mine string // a key of server 0
	for i := range 20 {
		key := fmt.Sprint("learner ", i)
		if owners[key] = call(key); owners[key] == "0" {
			mine = key
		}
		if again := call(key); again != owners[key] {
			t.Errorf("%s went to %s and then to %s", key, owners[key], again)
		}
	}
	before := got[0].Load()
	cs := openWatch(context.WithValue(servers[0].as(t), subject{}, mine), t, servers[0], conn)
	if err := cs.RecvMsg(servers[0].New().Message); err != nil || got[0].Load() != before+1 {
		t.Errorf("a stream of %s: %v, %d calls after %d", mine, err, got[0].Load(), before)
	}
	if other.Load() != 0 || own.Load() != 41 {
		t.Errorf("%d calls went to their key's server, %d to another", own.Load(), other.Load())
	}
	refuses.Store(0)
	if answered := call(mine); answered != "1" || other.Load() != 1 {
		t.Errorf("refused by its server, a call went to %s; %d to others", answered, other.Load())
	}
	refuses.Store(-1)

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := servers[0].server.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	for key := range owners {
		if answered := call(key); answered != "1" {
			t.Errorf("%s went to %s, which is gone", key, answered)
		}
	}
}
