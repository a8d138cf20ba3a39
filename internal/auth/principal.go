// Package auth finds out who is calling and what they may do. It verifies bearer
// tokens (of a local issuer or of any OpenID Connect issuer), reads the access
// rule that each RPC carries in its proto, and admits a call or refuses it in
// one interceptor. Nothing is allowed that a rule does not allow.
package auth

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// Role is what a token lets its bearer do. No role implies another: an RPC
// that admits admins lists ADMIN.
type Role string

// The roles, spelled as a token's roles claim spells them.
const (
	RoleLearner Role = "learner"
	RoleManager Role = "manager"
	RoleAuthor  Role = "author"
	RoleAdmin   Role = "admin"
)

// ParseRole reads a role's name, in any case. Invalid when there is no such role.
func ParseRole(name string) (Role, error) {
	role := Role(strings.ToLower(name))
	switch role {
	case RoleLearner, RoleManager, RoleAuthor, RoleAdmin:
		return role, nil
	}
	return "", errs.New(errs.Invalid, errs.ReasonUnknownRole, "%q is no role: there are learner, manager, author and admin", name)
}

// Principal is the caller of an RPC: a person, known by a token, or a service of
// ours, known by its certificate, or a service on behalf of a person.
type Principal struct {
	// Issuer and Subject name the person; both are empty for a service alone.
	Issuer, Subject string
	// Command is set for a command of the program. It is no person, and no learner is made of it.
	Command bool
	// LearnerID is the person's learner id; empty where the RPC did not need it (see the function LearnerID).
	LearnerID string
	// Unregistered is set for a person whom a database refuses to store, in RPCs that have an answer about
	// them. LearnerID is then of no learner whom this service knows.
	Unregistered bool
	Roles        []Role
	// Name, Email, Locale and ZoneInfo are the token's words, not verified by us.
	Name, Email, Locale, ZoneInfo string
	// Expires is when the token does; zero without a token.
	Expires time.Time
	// Service is the calling service ("progress"); empty for anyone else.
	Service string
}

// HasRole reports whether the token carries the role.
func (p Principal) HasRole(role Role) bool { return slices.Contains(p.Roles, role) }

// ActorID names the caller the same way in every service and on every call:
// "issuer|subject" for a person, "service:name" for a service on its own.
func (p Principal) ActorID() string {
	switch {
	case p.Subject != "":
		return p.Issuer + "|" + p.Subject
	case p.Service != "":
		return "service:" + p.Service
	}
	return ""
}

// slot holds a call's principal. It is put into the context before the caller
// is known, so that the access log, which stands outside the guard, can read
// afterwards what the guard found; and a stream's context need not change when
// its first message resolves the learner.
type slot struct {
	principal atomic.Pointer[Principal]
	// resolve fills the principal's learner id.
	resolve atomic.Pointer[func(context.Context) error]
}

type slotKey struct{}

// Prepare makes room for the principal, so that FromContext on the returned
// context sees what a guard further in finds out.
func Prepare(ctx context.Context) context.Context {
	return context.WithValue(ctx, slotKey{}, &slot{})
}

// NewContext is the context of a call made by p. It is for tests that call a
// service without a server.
func NewContext(ctx context.Context, p Principal) context.Context {
	s := &slot{}
	s.principal.Store(&p)
	return context.WithValue(ctx, slotKey{}, s)
}

// FromContext is the caller; false when none is known.
func FromContext(ctx context.Context) (Principal, bool) {
	if s, ok := ctx.Value(slotKey{}).(*slot); ok {
		if p := s.principal.Load(); p != nil {
			return *p, true
		}
	}
	return Principal{}, false
}

// LearnerID returns the learner id of the person who makes the call, and makes the learner at first
// sight; "" for a command or a service. It is for RPCs that act as a learner: a caller that
// only reads another's data needs none of its own. Returns the errors of Resolver.
func LearnerID(ctx context.Context) (string, error) {
	s, ok := ctx.Value(slotKey{}).(*slot)
	if !ok {
		return "", nil
	}
	if resolve := s.resolve.Load(); resolve != nil {
		if err := (*resolve)(ctx); err != nil {
			return "", err
		}
	}
	p, _ := FromContext(ctx)
	return p.LearnerID, nil
}

// slotOf is the context's slot, added where there is none.
func slotOf(ctx context.Context) (context.Context, *slot) {
	if s, ok := ctx.Value(slotKey{}).(*slot); ok {
		return ctx, s
	}
	s := &slot{}
	return context.WithValue(ctx, slotKey{}, s), s
}
