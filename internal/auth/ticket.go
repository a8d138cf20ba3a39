package auth

import (
	"context"
	"slices"

	"google.golang.org/grpc/metadata"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// TicketScheme is the scheme of a ticket in the metadata authorization: "Ticket …".
const TicketScheme = "Ticket"

// Pass is what a ticket stands for.
type Pass struct {
	// Principal is who got the ticket, as their token said.
	Principal Principal
	// LearnerID is the learner whom the ticket is about; calls about others are refused.
	LearnerID string
}

// Tickets takes the tickets that a service gave.
type Tickets interface {
	// RedeemTicket uses a ticket up. Unauthenticated with TICKET_INVALID when there is no such ticket,
	// or no more; Unavailable when that cannot be known now.
	RedeemTicket(ctx context.Context, secret string) (Pass, error)
}

// redeem identifies the caller by a ticket, and uses it up.
func (g *Guard) redeem(ctx context.Context, secret string) (Pass, error) {
	pass, err := g.o.Tickets.RedeemTicket(ctx, secret)
	if err != nil {
		return Pass{}, err
	}
	if pass.LearnerID == "" || pass.Principal.Subject == "" || pass.Principal.Expires.IsZero() {
		return Pass{}, errs.New(errs.Internal, errs.ReasonInternal, "a ticket without a learner, a caller or an end")
	}
	if !g.o.Now().Before(pass.Principal.Expires) {
		return Pass{}, expiredToken()
	}
	return pass, nil
}

// UserToken returns the metadata authorization of the call being served, to be sent on with the calls
// that it makes. A ticket is none: it is used up.
func UserToken(ctx context.Context) []string {
	values := metadata.ValueFromIncomingContext(ctx, authorization)
	if slices.ContainsFunc(values, func(value string) bool {
		_, ok := credential(value, TicketScheme)
		return ok
	}) {
		return nil
	}
	return values
}
