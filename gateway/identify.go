package gateway

import (
	"context"
	"net/http"
	"slices"

	"github.com/preceptor-dev/preceptor/internal/auth"
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
	x, at := exchangeOf(r), g.config.Now()
	shown, err := credentialOf(r)
	if err == nil && shown.Ticket {
		return g.identifyTicket(w, r)
	}
	var token caller
	valid := false
	if err == nil && g.limiter.on() {
		token = callerOf("token", shown.Secret)
		valid = g.limiter.wasValid(token)
	}
	if !valid {
		if err := g.enter(w, r); err != nil {
			return err
		}
	}
	if err == nil {
		x.principal, err = g.config.Verifier.Verify(r.Context(), shown.Secret)
		if g.limiter.on() && (err == nil || errs.KindOf(err) == errs.Unauthenticated) {
			g.limiter.judged(token, err == nil)
		}
	}
	switch {
	case errs.KindOf(err) == errs.Unauthenticated:
		g.refused(w, r, err, !valid)
		return err
	case !valid:
		g.limiter.accepted(g.addressOf(r), at)
	}
	if err != nil {
		return err
	}
	return g.limiter.admit(w.Header(), x.subject(), at)
}

// identifyTicket counts a request with a ticket. The status of its response says what became of the ticket.
func (g *Gateway) identifyTicket(w http.ResponseWriter, r *http.Request) error {
	if err := g.enter(w, r); err != nil {
		return err
	}
	if r.ContentLength != 0 {
		return bodyNotTaken()
	}
	exchangeOf(r).answered = func(status int) {
		if status == http.StatusUnauthorized {
			g.refused(w, r, nil, true)
		} else {
			g.limiter.accepted(g.addressOf(r), g.config.Now())
		}
	}
	return nil
}

// enter takes a request from its address's bucket.
func (g *Gateway) enter(w http.ResponseWriter, r *http.Request) error {
	if !g.limiter.on() {
		return nil
	}
	err := g.limiter.enter(w.Header(), g.addressOf(r), g.config.Now())
	exchangeOf(r).flood = err != nil
	return err
}

// refused records a failed authentication. paid is whether its address has paid for the request.
func (g *Gateway) refused(w http.ResponseWriter, r *http.Request, why error, paid bool) {
	x := exchangeOf(r)
	x.refused, x.address = why, g.proxies.addressOf(r)
	already := 0.0
	if paid {
		already = 1
	}
	g.limiter.failed(w.Header(), g.addressOf(r), already, g.config.Now())
}

// addressOf returns whose bucket a request without a valid token counts for.
func (g *Gateway) addressOf(r *http.Request) caller {
	if !g.limiter.on() {
		return caller{}
	}
	return callerOf("address", g.proxies.addressOf(r))
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
func (x *exchange) subject() caller {
	return callerOf("subject", x.principal.Issuer+"\x00"+x.principal.Subject)
}
