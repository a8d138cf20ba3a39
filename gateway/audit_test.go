package gateway_test

import (
	"context"
	"slices"
	"testing"

	"google.golang.org/grpc"

	"github.com/preceptor-dev/preceptor/gateway"
)

// named is a service's connection that notes who was asked.
type named struct {
	grpc.ClientConnInterface

	name  string
	asked *[]string
}

func (n named) Invoke(ctx context.Context, method string, req, reply any, opts ...grpc.CallOption) error {
	*n.asked = append(*n.asked, n.name)
	return n.ClientConnInterface.Invoke(ctx, method, req, reply, opts...)
}

// TestAuditGoesToItsService: one route, and an audit log for each service that has one. A
// request that names none is refused by a service, once it knows who asks.
func TestAuditGoesToItsService(t *testing.T) {
	var asked []string
	h := open(t, func(c *gateway.Config) {
		c.Conns["profile"] = named{c.Conns["profile"], "profile", &asked}
		c.Conns["catalog"] = named{c.Conns["catalog"], "catalog", &asked}
		c.Conns["progress"] = named{c.Conns["progress"], "progress", &asked}
	})
	for _, query := range []string{"service=catalog", "service=progress&afterSequence=7", "service=profile", ""} {
		h.get(t, "/v1/audit?"+query).wantJSON(t, 200, `{"entries":[],"nextAfterSequence":"0","headSequence":"0","headHash":""}`)
	}
	if want := []string{"catalog", "progress", "profile", "progress"}; !slices.Equal(asked, want) {
		t.Errorf("asked %v, want %v", asked, want)
	}
	h.get(t, "/v1/audit?service=catalog&service=progress").wantProblem(t, 400, "INVALID_ARGUMENT")
}
