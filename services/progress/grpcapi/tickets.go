package grpcapi

import (
	"context"

	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/errs"
)

// CreateWatchTicket returns a ticket for one watch.
func (g *Server) CreateWatchTicket(ctx context.Context, r *progressv1.CreateWatchTicketRequest) (*progressv1.CreateWatchTicketResponse, error) {
	holder, _ := auth.FromContext(ctx)
	ticket, expires, err := g.service.IssueTicket(ctx, r.GetLearnerId(), holder)
	if err != nil {
		return nil, err
	}
	return &progressv1.CreateWatchTicketResponse{Ticket: ticket, ExpireTime: stamp(expires)}, nil
}

// ticketOutside refuses a ticket in a message: it was to be seen before the message was read.
func ticketOutside(r *progressv1.WatchProgressRequest) error {
	if r.GetTicket() == "" {
		return nil
	}
	return errs.InvalidFields([]errs.Violation{{
		Field: "ticket", Reason: errs.ReasonMalformed, Description: `must be the metadata "authorization: Ticket …", and no part of the message`,
	}})
}
