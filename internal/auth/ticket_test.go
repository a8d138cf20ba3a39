package auth_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/rpc/rpctest"
)

// tickets are what a service gave: each is taken once.
type tickets map[string]auth.Pass

func (t tickets) RedeemTicket(_ context.Context, secret string) (auth.Pass, error) {
	pass, ok := t[secret]
	if !ok {
		return auth.Pass{}, errs.New(errs.Unauthenticated, errs.ReasonTicketInvalid, "no such ticket")
	}
	delete(t, secret)
	return pass, nil
}

// ticketed is a context with values of the metadata authorization.
func ticketed(values ...string) context.Context {
	return metadata.NewIncomingContext(context.Background(), metadata.MD{"authorization": values})
}

// watched opens a stream, and returns who the handler saw.
func (g *guarded) watched(ctx context.Context, method, learner string) (seen auth.Principal, err error) {
	_, err = g.stream(ctx, method, func(ss grpc.ServerStream) error {
		err := ss.RecvMsg(g.service.New().Message)
		seen, _ = auth.FromContext(ss.Context())
		return err
	}, learner)
	return seen, err
}

func TestTicketsStandForTheirTokens(t *testing.T) {
	given := tickets{}
	g := newGuarded(t, func(o *auth.GuardOptions) { o.Tickets = given })
	end := g.clock.now().Add(time.Hour)
	ada := auth.Principal{Issuer: "i", Subject: "ada", Roles: []auth.Role{auth.RoleLearner}, Expires: end}
	admin := auth.Principal{Issuer: "i", Subject: "bob", Roles: []auth.Role{auth.RoleAdmin}, Expires: end}
	for name, test := range map[string]struct {
		pass           auth.Pass
		learner        string
		kind           errs.Kind
		reason, wantID string
	}{
		"one's own":                      {pass: auth.Pass{Principal: ada, LearnerID: adaID}, learner: adaID, wantID: adaID},
		"one's own, in capitals":         {pass: auth.Pass{Principal: ada, LearnerID: adaID}, learner: strings.ToUpper(adaID), wantID: adaID},
		"me":                             {pass: auth.Pass{Principal: ada, LearnerID: adaID}, learner: "me", wantID: adaID},
		"an admin's":                     {pass: auth.Pass{Principal: admin, LearnerID: adaID}, learner: adaID},
		"an admin's for another learner": {pass: auth.Pass{Principal: admin, LearnerID: adaID}, learner: bobID, kind: errs.Unauthenticated, reason: errs.ReasonTicketInvalid},
		"an admin's, used as me":         {pass: auth.Pass{Principal: admin, LearnerID: adaID}, learner: "me", kind: errs.Unauthenticated, reason: errs.ReasonTicketInvalid},
		"a learner's for another":        {pass: auth.Pass{Principal: ada, LearnerID: bobID}, learner: bobID, kind: errs.PermissionDenied, reason: errs.ReasonNotYourData},
	} {
		given["secret"] = test.pass
		p, err := g.watched(ticketed("Ticket secret"), rpctest.Watch, test.learner)
		if test.reason != "" {
			wantReason(t, err, test.kind, test.reason)
		} else if err != nil || p.Subject != test.pass.Principal.Subject || p.LearnerID != test.wantID || !p.Expires.Equal(end) {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
		_, err = g.watched(ticketed("Ticket secret"), rpctest.Watch, test.learner)
		wantReason(t, err, errs.Unauthenticated, errs.ReasonTicketInvalid)
	}
}

// TestTicketsAreForWatchesOnly holds that a ticket is refused, and left as it is, wherever no rule takes it.
func TestTicketsAreForWatchesOnly(t *testing.T) {
	given := tickets{}
	g := newGuarded(t, func(o *auth.GuardOptions) { o.Tickets = given })
	admin := auth.Principal{Issuer: "i", Subject: "bob", Roles: []auth.Role{auth.RoleAdmin, auth.RoleLearner}, Expires: g.clock.now().Add(time.Hour)}
	given["secret"] = auth.Pass{Principal: admin, LearnerID: adaID}
	for _, method := range []string{rpctest.Own, rpctest.Everyone, rpctest.Internal, rpctest.NoRule} {
		if _, _, err := g.call(ticketed("Ticket secret"), method, "", adaID); err == nil || len(given) != 1 {
			t.Errorf("%s: %v, and %d tickets are left", method, err, len(given))
		}
	}
	if _, err := g.watched(ticketed("Ticket secret"), rpctest.Upload, adaID); errs.ReasonOf(err) != errs.ReasonTicketInvalid || len(given) != 1 {
		t.Errorf("another stream: %v, and %d tickets are left", err, len(given))
	}
	for _, values := range [][]string{{"Ticket secret", "Ticket secret"}, {"Bearer x", "Ticket secret"}, {"Ticket "}, {"Bearer secret"}, {"secret"}} {
		_, err := g.watched(ticketed(values...), rpctest.Watch, adaID)
		wantReason(t, err, errs.Unauthenticated, errs.ReasonTokenInvalid)
	}
	if len(given) != 1 {
		t.Error("the ticket is gone")
	}
	if strings.Contains(g.log.String(), "secret") {
		t.Error("the log holds a ticket")
	}
	none := newGuarded(t, nil)
	_, err := none.watched(ticketed("Ticket secret"), rpctest.Watch, adaID)
	wantReason(t, err, errs.Unauthenticated, errs.ReasonTicketInvalid)
}

func TestTicketsEndWithTheirTokens(t *testing.T) {
	given := tickets{}
	g := newGuarded(t, func(o *auth.GuardOptions) { o.Tickets = given })
	pass := auth.Pass{Principal: auth.Principal{Issuer: "i", Subject: "ada", Expires: g.clock.now().Add(200 * time.Millisecond)}, LearnerID: adaID}
	given["secret"] = pass
	_, err := g.stream(ticketed("Ticket secret"), rpctest.Watch, func(ss grpc.ServerStream) error {
		<-ss.Context().Done()
		return nil
	}, adaID)
	wantReason(t, err, errs.Unauthenticated, errs.ReasonTokenExpired)
	g.clock.advance(time.Second)
	given["secret"] = pass
	_, err = g.watched(ticketed("Ticket secret"), rpctest.Watch, adaID)
	wantReason(t, err, errs.Unauthenticated, errs.ReasonTokenExpired)
}

func TestOnlyTokensAreSentOn(t *testing.T) {
	for _, test := range []struct {
		values []string
		want   int
	}{{nil, 0}, {[]string{"Bearer x"}, 1}, {[]string{"Ticket x"}, 0}, {[]string{"ticket x"}, 0}, {[]string{"Bearer x", "Ticket x"}, 0}} {
		if got := auth.UserToken(ticketed(test.values...)); len(got) != test.want {
			t.Errorf("%q: %q", test.values, got)
		}
	}
}
