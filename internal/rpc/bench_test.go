package rpc_test

import (
	"context"
	"testing"

	"google.golang.org/grpc"

	"github.com/preceptor-dev/preceptor/internal/rpc/rpctest"
)

// BenchmarkCall is one small call through the whole chain, with a verified
// token, on each of the two roads, and over the network by a person too.
func BenchmarkCall(b *testing.B) {
	h := newHarness(b)
	ctx := context.WithoutCancel(h.as(b))
	for _, conn := range []struct {
		name string
		conn grpc.ClientConnInterface
	}{{"in-process", h.server.InProcess("gateway")}, {"loopback", h.network(b, "gateway")}, {"person", h.person(b)}} {
		b.Run(conn.name, func(b *testing.B) {
			req := h.With("me", "hello")
			b.ReportAllocs()
			for b.Loop() {
				if _, err := h.Call(ctx, conn.conn, rpctest.Own, req); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(conn.name+"-parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				req := h.With("me", "hello")
				for pb.Next() {
					if _, err := h.Call(ctx, conn.conn, rpctest.Own, req); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
