package gateway

import (
	"context"
	"net/http"
	"slices"

	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/bounds"
	"github.com/preceptor-dev/preceptor/internal/errs"
)

// Verifier verifies bearer tokens; auth.Verifier is one.
type Verifier interface {
	// Verify returns the principal of a token. Unauthenticated when it is not to be believed, Unavailable
	// when that cannot be known now.
	Verify(ctx context.Context, token string) (auth.Principal, error)
}

// identify finds out who makes a request, before anything of its body is read, and counts it for the
// caller's rate limit. It returns what the service would return for such a token, or ResourceExhausted.
//
// A ticket is the service's to judge: a request with one has no caller here, and its address pays for it as
// for a token that is not valid unless the service accepts it.
func (g *Gateway) identify(w http.ResponseWriter, r *http.Request) error {
	x := exchangeOf(r)
	shown, err := credentialOf(r)
	if err == nil && shown.Ticket {
		return g.identifyTicket(w, r)
	}
	visit, flood := g.enter(w, r, shown.Secret)
	if flood != nil {
		return flood
	}
	if err == nil {
		x.principal, err = g.config.Verifier.Verify(r.Context(), shown.Secret)
	}
	if errs.KindOf(err) == errs.Unauthenticated {
		g.refused(w, r, &visit, err)
		return err
	}
	at := g.config.Now()
	visit.Passed(err == nil, at)
	if err != nil || !visit.Limited() {
		return err
	}
	left, err := g.limiter.Admit(x.principal.Issuer, x.principal.Subject, at)
	announce(g.limiter.Limit(), w.Header(), policyCaller, left)
	return err
}

// identifyTicket counts a request with a ticket. The status of its response says what became of the ticket.
func (g *Gateway) identifyTicket(w http.ResponseWriter, r *http.Request) error {
	visit, err := g.enter(w, r, "")
	if err != nil {
		return err
	}
	if r.ContentLength != 0 {
		return bodyNotTaken()
	}
	exchangeOf(r).answered = func(status int) {
		if status == http.StatusUnauthorized {
			g.refused(w, r, &visit, nil)
		} else {
			visit.Passed(false, g.config.Now())
		}
	}
	return nil
}

// enter takes a request from its address's bucket, unless its token was valid before.
func (g *Gateway) enter(w http.ResponseWriter, r *http.Request, token string) (bounds.Visit, error) {
	if !g.limiter.On() {
		return bounds.Visit{}, nil
	}
	visit, err := g.limiter.Enter(g.proxies.addressOf(r), token, g.config.Now())
	if visit.Paid {
		announce(g.limiter.Limit(), w.Header(), policyAddress, visit.Left)
	}
	exchangeOf(r).flood = err != nil
	return visit, err
}

// refused records a failed authentication.
func (g *Gateway) refused(w http.ResponseWriter, r *http.Request, visit *bounds.Visit, why error) {
	x := exchangeOf(r)
	x.refused, x.address = why, g.proxies.addressOf(r)
	if visit.Limited() {
		visit.Failed(g.config.Now())
		announce(g.limiter.Limit(), w.Header(), policyAddress, visit.Left)
	}
}

// credentialOf returns a request's token or ticket, or the error that the service has for it.
func credentialOf(r *http.Request) (auth.Credential, error) {
	values := r.Header.Values("Authorization")
	if slices.ContainsFunc(values, func(v string) bool { return !isVisible(v) }) {
		return auth.Credential{}, errs.New(errs.Unauthenticated, errs.ReasonTokenInvalid, "the bearer token has characters that no token has")
	}
	ticket, given := ticketOf(r)
	if given && len(values) == 0 {
		return auth.Credential{Secret: ticket, Ticket: true}, nil
	}
	if ticket != "" { // one that is none is refused as what it is, later
		values = append(slices.Clone(values), auth.TicketScheme+" "+ticket)
	}
	return auth.ReadCredential(values, exchangeOf(r).route.tickets)
}

// subject identifies a request's caller among the callers that are limited.
func (x *exchange) subject() bounds.Caller {
	return bounds.CallerOf("subject", x.principal.Issuer+"\x00"+x.principal.Subject)
}
