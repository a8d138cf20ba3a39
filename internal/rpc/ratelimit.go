package rpc

import (
	"context"

	"google.golang.org/grpc/metadata"

	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/bounds"
	"github.com/preceptor-dev/preceptor/internal/errs"
)

// visit is a call on its way through the limiter; nil for one that is not limited. It is no part of the stack of a
// stream, which is kept for as long as that lasts.
type visit struct {
	bounds.Visit
	ticket bool
}

// enter counts a call before its token is verified, or returns ResourceExhausted. Calls of our own services,
// and those that need no token, are not limited.
func (s *Server) enter(ctx context.Context, method string) (*visit, error) {
	if !s.limiter.On() || auth.IsOpen(method) || peerOf(ctx) != "" {
		return nil, nil //nolint:nilnil // which count takes
	}
	place := addressOf(ctx)
	if addr, ok := bounds.ReadAddr(place); ok {
		place = bounds.Place(addr)
	}
	v := &visit{}
	token := ""
	shown, err := auth.ReadCredential(metadata.ValueFromIncomingContext(ctx, "authorization"), true)
	if v.ticket = shown.Ticket; err == nil && !v.ticket {
		token = shown.Secret
	}
	v.Visit, err = s.limiter.Enter(place, token, s.now())
	return v, err
}

// count counts a call for whom the guard has found, and returns the guard's error, or ResourceExhausted.
func (s *Server) count(ctx context.Context, v *visit, err error) error {
	if v == nil {
		return err
	}
	at := s.now()
	if errs.KindOf(err) == errs.Unauthenticated {
		v.Failed(at)
		return err
	}
	p, _ := auth.FromContext(ctx)
	v.Passed(p.Subject != "", at)
	if p.Subject == "" || v.ticket { // a ticket is used once, and was paid for when it was made
		return err
	}
	if _, limited := s.limiter.Admit(p.Issuer, p.Subject, at); limited != nil {
		return limited
	}
	return err
}

// admit has the limiter and the guard decide about a unary call what can be decided without its request.
func (s *Server) admit(ctx context.Context, method string) (
	admitted context.Context, check func(ctx context.Context, req any) error, err error,
) {
	v, err := s.enter(ctx, method)
	if err != nil {
		return ctx, nil, err
	}
	ctx, check, err = s.guard.Admit(ctx, method, peerOf(ctx))
	return ctx, check, s.count(ctx, v, err)
}
