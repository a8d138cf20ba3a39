package gateway_test

import (
	"context"
	"net/http"
	"testing"

	"google.golang.org/grpc"

	"github.com/preceptor-dev/preceptor/gateway"
)

// naming is a connection that notes how the gateway names the learner of each call.
type naming struct {
	grpc.ClientConnInterface

	names *[]string
}

func (n naming) Invoke(ctx context.Context, method string, req, reply any, opts ...grpc.CallOption) error {
	*n.names = append(*n.names, gateway.LearnerOf(ctx))
	return n.ClientConnInterface.Invoke(ctx, method, req, reply, opts...)
}

func (n naming) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	*n.names = append(*n.names, gateway.LearnerOf(ctx))
	return n.ClientConnInterface.NewStream(ctx, desc, method, opts...)
}

// TestCallsNameTheirLearner: a learner's own reads, writes and streams have one name, and those about another the id.
func TestCallsNameTheirLearner(t *testing.T) {
	var names []string
	h := open(t, func(c *gateway.Config) { c.Conns["progress"] = naming{c.Conns["progress"], &names} })
	const own, id = "https://issuer.example|x", "01900000-0000-7000-8000-00000000ada1"
	for _, c := range []struct{ method, path, body, want string }{
		{http.MethodGet, "/v1/learners/me/progress", "", own},
		{http.MethodPost, "/v1/learners/me/events:batch", `{"events":[]}`, own},
		{http.MethodGet, "/v1/learners/me/progress:watch", "", own},
		{http.MethodGet, "/v1/learners/" + id + "/progress", "", id},
		{http.MethodGet, "/v1/learners/" + id + "/progress:watch", "", id},
		{http.MethodGet, "/v1/learners/me/progress:watch?ticket=t", "", ""},
	} {
		names = nil
		authorization := "Bearer x"
		if c.want == "" {
			authorization = ""
		}
		h.do(t, c.method, c.path, c.body, "Authorization", authorization)
		if len(names) != 1 || names[0] != c.want {
			t.Errorf("%s %s: %q, want %q", c.method, c.path, names, c.want)
		}
	}
	if name := gateway.LearnerOf(t.Context()); name != "" {
		t.Errorf("outside of a request: %q", name)
	}
}
