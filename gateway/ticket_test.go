package gateway_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/preceptor-dev/preceptor/gateway"
	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/internal/bounds"
)

// noToken has the harness send no token; browsers send none with an EventSource.
var noToken = []string{"Authorization", "", "Origin", "https://app.example", "Accept", "text/event-stream"}

// TestTicketsGoOnAsMetadata: a ticket leaves the address at the gateway, and is no part of any message.
func TestTicketsGoOnAsMetadata(t *testing.T) {
	h := open(t, func(c *gateway.Config) { c.AllowedOrigins = []string{"https://app.example"} })
	h.plays(func(req *progressv1.WatchProgressRequest, s grpc.ServerStream) error {
		if req.GetTicket() != "" {
			t.Errorf("the message has the ticket %q", req.GetTicket())
		}
		return s.SendMsg(entry(req.GetAfterSequence() + 1))
	})
	a := h.get(t, watchPath+"?afterSequence=6&ticket=c2VjcmV0", noToken...)
	if a.status != http.StatusOK || !strings.Contains(a.body, "id: 7\n") || a.header.Get("Access-Control-Allow-Origin") != "https://app.example" {
		t.Fatalf("%d %v %s", a.status, a.header, a.body)
	}
	if got := h.last(t).md.Get("authorization"); !slices.Equal(got, []string{"Ticket c2VjcmV0"}) {
		t.Errorf("authorization went on as %q", got)
	}
	calls := h.count()
	h.get(t, watchPath+"?ticket=c2VjcmV0").wantProblem(t, http.StatusUnauthorized, "TOKEN_INVALID") // beside a token
	h.get(t, "/v1/learners/me/progress", "Authorization", "Ticket c2VjcmV0").wantProblem(t, http.StatusUnauthorized, "TICKET_INVALID")
	h.get(t, "/v1/learners/me/progress?ticket=c2VjcmV0").wantProblem(t, http.StatusBadRequest, "INVALID_ARGUMENT")
	h.get(t, "/v1/learners/me/progress?ticket=c2VjcmV0", noToken...).wantProblem(t, http.StatusUnauthorized, "TOKEN_MISSING")
	if h.count() != calls {
		t.Error("another route takes tickets")
	}
}

func TestWhatIsNoTicketGoesNowhere(t *testing.T) {
	h := open(t)
	for _, query := range []string{"ticket=", "ticket", "ticket=a%0Ab", "ticket=%C3%A9", "ticket=a%20b", "ticket=" + strings.Repeat("x", 65)} {
		h.get(t, watchPath+"?"+query, noToken...).wantProblem(t, http.StatusUnauthorized, "TICKET_INVALID")
	}
	h.get(t, watchPath+"?ticket=a&ticket=b", noToken...).wantProblem(t, http.StatusBadRequest, "INVALID_ARGUMENT")
	if h.count() != 0 {
		t.Errorf("%d calls reached the service", h.count())
	}
}

// TestTicketsAreNotLogged: neither the log nor a problem holds the ticket, whatever becomes of it.
func TestTicketsAreNotLogged(t *testing.T) {
	h := open(t, func(c *gateway.Config) { c.Limiter = bounds.NewLimiter(bounds.RateLimit{PerSecond: 0.001, Burst: 1}) })
	for _, err := range []error{
		fault(codes.Unauthenticated, "TICKET_INVALID", "used"), fault(codes.Unavailable, "DATABASE_UNREACHABLE", "down"),
		fault(codes.Internal, "INTERNAL", "a fault"),
	} {
		h.plays(func(*progressv1.WatchProgressRequest, grpc.ServerStream) error { return err })
		for _, query := range []string{"?ticket=canary-1", "?afterSequence=x&ticket=canary-2", "?ticket=canary%2", "?ticket=canary-3%00"} {
			a := h.get(t, watchPath+query, noToken...)
			if strings.Contains(a.body, "canary") || len(a.header.Values("Location")) > 0 {
				t.Errorf("%s: %d %s", query, a.status, a.body)
			}
		}
	}
	if strings.Contains(h.log.String(), "canary") {
		t.Errorf("the log holds a ticket: %s", h.log.String())
	}
}

// TestTicketsCountUntilAccepted: browsers behind one address do not wait for each other's watches, unless
// one of them sends tickets that are none.
func TestTicketsCountUntilAccepted(t *testing.T) {
	h := open(t, func(c *gateway.Config) { c.Limiter = bounds.NewLimiter(bounds.RateLimit{PerSecond: 0.001, Burst: 1}) })
	h.plays(func(*progressv1.WatchProgressRequest, grpc.ServerStream) error { return nil })
	for _, ticket := range []string{"one", "two", "three"} {
		if a := h.get(t, watchPath+"?ticket="+ticket, noToken...); a.status != http.StatusOK {
			t.Errorf("%s: %d %s", ticket, a.status, a.body)
		}
	}
	h.streams(watchRPC, func(proto.Message, grpc.ServerStream) error {
		return fault(codes.Unauthenticated, "TICKET_INVALID", "there is no such ticket")
	})
	h.get(t, watchPath+"?ticket=guess", noToken...).wantProblem(t, http.StatusUnauthorized, "TICKET_INVALID")
	calls := h.count()
	a := h.get(t, watchPath+"?ticket=another", noToken...)
	a.wantProblem(t, http.StatusTooManyRequests, "RATE_LIMITED")
	if got := a.header.Get("Ratelimit"); got != `"address";r=0;t=1000` {
		t.Errorf("RateLimit: %s", got)
	}
	if h.count() != calls {
		t.Error("the service was asked")
	}
}

// TestATicketComesWithoutABody: the caller is not known until the service has accepted the ticket.
func TestATicketComesWithoutABody(t *testing.T) {
	h := open(t)
	h.do(t, http.MethodGet, watchPath+"?ticket=one", "{}", noToken...).wantProblem(t, http.StatusBadRequest, "INVALID_ARGUMENT").
		violates(t, "body UNKNOWN_FIELD")
	if h.count() != 0 {
		t.Error("the service was asked")
	}
}
