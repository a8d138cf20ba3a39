package engine

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"time"

	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/services/progress"
)

const (
	// ticketLife is how long a ticket waits for its use.
	ticketLife = time.Minute
	// ticketBytes is how many random bytes a ticket has.
	ticketBytes = 32
)

var _ auth.Tickets = (*Service)(nil)

// IssueTicket returns a ticket for one watch of a learner's log in the name of holder, and until when it
// is accepted. It returns NotFound when there is no such learner, ResourceExhausted with RATE_LIMITED
// while they have progress.MaxWatchTickets, and Unauthenticated with TOKEN_EXPIRED when the holder's
// token has expired, though clocks are allowed to differ.
func (s *Service) IssueTicket(ctx context.Context, learnerID string, holder auth.Principal) (secret string, expires time.Time, err error) {
	if err := s.exists(ctx, learnerID); err != nil {
		return "", expires, err
	}
	now := s.now()
	if !now.Before(holder.Expires) {
		return "", expires, errs.New(errs.Unauthenticated, errs.ReasonTokenExpired, "the bearer token has expired; sign in again")
	}
	random := make([]byte, ticketBytes)
	_, _ = rand.Read(random) // never fails
	secret = base64.RawURLEncoding.EncodeToString(random)
	expires = now.Add(ticketLife)
	if holder.Expires.Before(expires) {
		expires = holder.Expires
	}
	t := progress.WatchTicket{
		Hash: sha256.Sum256([]byte(secret)), LearnerID: learnerID, Issuer: holder.Issuer, Subject: holder.Subject, Command: holder.Command,
		TokenExpires: holder.Expires, Expires: expires,
	}
	for _, role := range holder.Roles {
		t.Roles = append(t.Roles, string(role))
	}
	free, err := s.store.AddTicket(ctx, t, now)
	if err != nil {
		return "", time.Time{}, err
	}
	if !free.IsZero() {
		full := errs.New(errs.ResourceExhausted, errs.ReasonRateLimited, "the learner has %d tickets that are not used; use one, or wait until one expires",
			progress.MaxWatchTickets)
		full.RetryAfter = free.Sub(now)
		return "", time.Time{}, full
	}
	return secret, expires, nil
}

// RedeemTicket uses a ticket up, and returns whom it speaks for, and about whom. It returns
// Unauthenticated with TICKET_INVALID for one that is not known, was used before or has expired.
func (s *Service) RedeemTicket(ctx context.Context, secret string) (auth.Pass, error) {
	invalid := errs.New(errs.Unauthenticated, errs.ReasonTicketInvalid, "the ticket was used before, has expired, or never was one; get a new one")
	t, err := s.store.TakeTicket(ctx, sha256.Sum256([]byte(secret)))
	switch {
	case errs.KindOf(err) == errs.NotFound:
		return auth.Pass{}, invalid
	case err != nil:
		return auth.Pass{}, err
	case !s.now().Before(t.Expires):
		return auth.Pass{}, invalid
	}
	p := auth.Principal{Issuer: t.Issuer, Subject: t.Subject, Command: t.Command, Expires: t.TokenExpires}
	for _, role := range t.Roles {
		p.Roles = append(p.Roles, auth.Role(role))
	}
	return auth.Pass{Principal: p, LearnerID: t.LearnerID}, nil
}
