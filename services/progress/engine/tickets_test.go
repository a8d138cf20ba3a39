package engine_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// TestTicketsWorkOnAnyReplica holds a ticket to one use, whichever replica gave it and takes it.
func TestTicketsWorkOnAnyReplica(t *testing.T) {
	r := newRig(t, nil, nil)
	other, learner, now := r.Replica(), r.Learner(), r.Clock.Now()
	holder := auth.Principal{Issuer: "i", Subject: "ada", Roles: []auth.Role{auth.RoleLearner, auth.RoleAdmin}, Expires: now.Add(time.Hour)}
	ticket, expires, err := r.Service.IssueTicket(r.Ctx, learner, holder)
	if err != nil || len(ticket) != 43 || !expires.Equal(now.Add(time.Minute)) {
		t.Fatalf("%d characters until %s: %v", len(ticket), expires, err)
	}
	r.Clock.Set(now.Add(time.Minute - time.Microsecond))
	pass, err := other.RedeemTicket(r.Ctx, ticket)
	if err != nil || pass.LearnerID != learner || pass.Principal.Issuer != "i" || pass.Principal.Subject != "ada" ||
		!slices.Equal(pass.Principal.Roles, holder.Roles) || !pass.Principal.Expires.Equal(holder.Expires) {
		t.Fatalf("%+v, %v", pass, err)
	}
	for _, gone := range []string{ticket, "never", ""} {
		if _, err := r.Service.RedeemTicket(r.Ctx, gone); errs.ReasonOf(err) != errs.ReasonTicketInvalid || errs.KindOf(err) != errs.Unauthenticated {
			t.Errorf("%q: %v", gone, err)
		}
	}
}

func TestTicketsExpire(t *testing.T) {
	r := newRig(t, nil, nil)
	learner, now := r.Learner(), r.Clock.Now()
	holder := auth.Principal{Issuer: "i", Subject: "ada", Expires: now.Add(time.Hour)}
	ticket, _, err := r.Service.IssueTicket(r.Ctx, learner, holder)
	if err != nil {
		t.Fatal(err)
	}
	r.Clock.Set(now.Add(time.Minute))
	if _, err := r.Service.RedeemTicket(r.Ctx, ticket); errs.ReasonOf(err) != errs.ReasonTicketInvalid {
		t.Errorf("after a minute: %v", err)
	}
	holder.Expires = r.Clock.Now().Add(time.Second) // a ticket does not outlive its token
	if _, expires, err := r.Service.IssueTicket(r.Ctx, learner, holder); err != nil || !expires.Equal(holder.Expires) {
		t.Errorf("until %s, %v", expires, err)
	}
	holder.Expires = r.Clock.Now()
	if _, _, err := r.Service.IssueTicket(r.Ctx, learner, holder); errs.ReasonOf(err) != errs.ReasonTokenExpired {
		t.Errorf("of an expired token: %v", err)
	}
}

func TestTicketsAreBounded(t *testing.T) {
	r := newRig(t, nil, nil)
	learner := r.Learner()
	holder := auth.Principal{Issuer: "i", Subject: "ada", Expires: r.Clock.Now().Add(time.Hour)}
	for range progress.MaxWatchTickets {
		if _, _, err := r.Service.IssueTicket(r.Ctx, learner, holder); err != nil {
			t.Fatal(err)
		}
	}
	r.Clock.Set(r.Clock.Now().Add(20 * time.Second))
	ticket, _, err := r.Service.IssueTicket(r.Ctx, learner, holder)
	var full *errs.Error
	if !errors.As(err, &full) || full.Reason != errs.ReasonRateLimited || full.RetryAfter != 40*time.Second || ticket != "" {
		t.Errorf("%q, %+v", ticket, err)
	}
	r.Clock.Set(r.Clock.Now().Add(full.RetryAfter))
	if _, _, err := r.Service.IssueTicket(r.Ctx, learner, holder); err != nil {
		t.Errorf("after Retry-After: %v", err)
	}
	unknown := strings.Repeat("0", 8) + "-0000-7000-8000-" + strings.Repeat("0", 12)
	if _, _, err := r.Service.IssueTicket(r.Ctx, unknown, holder); errs.ReasonOf(err) != errs.ReasonLearnerNotFound {
		t.Errorf("about nobody: %v", err)
	}
}
