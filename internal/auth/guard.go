package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// Me is what a request may say instead of the caller's own learner id.
const Me = "me"

// Hints are a token's words about its bearer, for a profile made at first sight.
type Hints struct{ Name, Email, Locale, ZoneInfo string }

// Resolver finds which learner a token's subject is.
type Resolver interface {
	// ResolveSubject returns the learner's id, making the learner at first sight.
	// PermissionDenied when that person was erased; Unavailable when it cannot be
	// resolved now, which is an UnregisteredError where a database refuses to store it.
	ResolveSubject(ctx context.Context, issuer, subject string, hints Hints) (learnerID string, err error)
}

// Managers knows who manages whom.
type Managers interface {
	// ManagesLearner reports whether a person manages a cohort of which a learner is a member, and ManagesCohort
	// whether they manage the cohort. Who was suspended manages nothing. Unavailable when that is not known now.
	ManagesLearner(ctx context.Context, managerID, learnerID string) (bool, error)
	ManagesCohort(ctx context.Context, managerID, cohortID string) (bool, error)
}

// UnregisteredError is Resolver's for a person who is new where a database refuses writes. Nothing is
// stored; the next request finds out whether it can be.
type UnregisteredError struct {
	// LearnerID is the person's, where the learner was made and another database is the one that refuses.
	LearnerID string
	// Err is what the database returned.
	Err error
}

// Error is that of the database.
func (e *UnregisteredError) Error() string { return e.Err.Error() }

// Unwrap returns what the database returned.
func (e *UnregisteredError) Unwrap() error { return e.Err }

// GuardOptions are what a Guard is made of.
type GuardOptions struct {
	Verifier *Verifier
	// Resolver is nil in a service that stores nothing per learner.
	Resolver Resolver
	// Managers is nil in a service that has nothing for managers.
	Managers Managers
	// Tickets is nil in a service that gives none.
	Tickets Tickets
	Logger  *slog.Logger
	Now     func() time.Time
	// Files hold the RPCs; nil for all that are linked in.
	Files *protoregistry.Files
}

// Guard admits calls by the rules written on the RPCs, and refuses all others.
//
// A call is admitted when its bearer token holds one of the rule's roles, or
// when the calling service is one of the rule's services, or, where the rule
// has self, when the request's learner_id is the caller's own, or, where the rule
// has manager, when the caller's token holds that role and they manage the
// learner and the cohort that the request names. No role implies
// another: an admin is admitted where the roles list ADMIN. A token that is
// there must be valid, also where a service calls.
type Guard struct {
	o     GuardOptions
	rules map[string]Rule
}

// NewGuard reads the rule of every RPC of ours. Invalid when one has self or
// ticket and its request has no learner_id, or unregistered and is a stream.
func NewGuard(o GuardOptions) (*Guard, error) {
	if o.Verifier == nil || o.Logger == nil || o.Now == nil {
		return nil, errs.New(errs.Invalid, errs.ReasonBadGuard, "a guard needs a verifier, a logger and a clock")
	}
	if o.Files == nil {
		o.Files = protoregistry.GlobalFiles
	}
	g := &Guard{o: o, rules: map[string]Rule{}}
	for _, rule := range Rules(o.Files) {
		if rule.Access.GetSelf() && !rule.NamesLearner {
			return nil, errs.New(errs.Invalid, errs.ReasonBadAccessRule, "%s admits self, but its request has no learner_id", rule.Method)
		}
		if rule.Access.GetTicket() && !rule.NamesLearner {
			return nil, errs.New(errs.Invalid, errs.ReasonBadAccessRule, "%s takes tickets, but its request has no learner_id", rule.Method)
		}
		if rule.Access.GetUnregistered() && (!rule.Access.GetSelf() || rule.Descriptor.IsStreamingServer() || rule.Descriptor.IsStreamingClient()) {
			return nil, errs.New(errs.Invalid, errs.ReasonBadAccessRule, "%s has unregistered, and is no single read of the caller's own data", rule.Method)
		}
		g.rules[rule.Method] = rule
	}
	return g, nil
}

// Admit decides about a unary call what can be decided without its request, so that a call which is refused
// costs no more than its headers. check decides the rest, and is to be called with the returned context.
func (g *Guard) Admit(ctx context.Context, method, service string) (
	admitted context.Context, check func(ctx context.Context, req any) error, err error,
) {
	ctx, c, err := g.open(ctx, method, service)
	if err != nil {
		return ctx, nil, err
	}
	if c == nil {
		return ctx, func(context.Context, any) error { return nil }, nil
	}
	return ctx, c.check, nil
}

// Stream guards streams: each request message is checked as it arrives, nothing
// is sent before the first was, and the stream ends when the token expires.
func (g *Guard) Stream(peer func(context.Context) string) grpc.StreamServerInterceptor {
	return func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		ctx, c, err := g.open(ss.Context(), info.FullMethod, peer(ss.Context()))
		if err != nil {
			return err
		}
		if c == nil {
			return handler(srv, &guardedStream{ServerStream: ss, ctx: ctx})
		}
		if p := *c.slot.principal.Load(); !p.Expires.IsZero() {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeoutCause(ctx, p.Expires.Sub(g.o.Now()), errStreamExpired)
			defer cancel()
		}
		gs := &guardedStream{ServerStream: ss, ctx: ctx, call: c}
		err = handler(srv, gs)
		if expiry := gs.expired(); expiry != nil {
			return expiry
		}
		if refused := gs.refused.Load(); refused != nil {
			return *refused
		}
		return err
	}
}

// errStreamExpired is why a stream's context ended.
var errStreamExpired = errors.New("the stream's token expired")

// call is one call on its way through the guard.
type call struct {
	guard *Guard
	rule  Rule
	slot  *slot
	// admitted reports that a role or a service let the call in; otherwise only its
	// learner_id can.
	admitted bool
	// manages reports that the caller may be admitted as a manager.
	manages bool
	// about is the learner whom the caller's ticket is about; "" without a ticket.
	about string
}

// open identifies the caller and decides what can be decided without the
// request. The call is nil for the methods that are open to anybody.
func (g *Guard) open(ctx context.Context, method, service string) (context.Context, *call, error) {
	ctx, slot := slotOf(ctx)
	if IsOpen(method) {
		slot.principal.Store(&Principal{Service: service})
		return ctx, nil, nil
	}
	rule, known := g.rules[method]
	if !known || rule.Access == nil {
		g.o.Logger.LogAttrs(ctx, slog.LevelError, "an RPC without an access rule was called", slog.String("method", method))
		return ctx, nil, errs.New(errs.PermissionDenied, errs.ReasonNoAccessRule, "nobody may call this")
	}
	pass, err := g.identify(ctx, rule, service)
	if err != nil {
		return ctx, nil, err
	}
	p := pass.Principal
	slot.principal.Store(&p)
	c := &call{
		guard: g, rule: rule, slot: slot, admitted: rule.admitsService(service) || rule.admitsRole(p), about: pass.LearnerID,
		manages: rule.Access.GetManager() && g.o.Managers != nil && p.Subject != "" && p.HasRole(RoleManager),
	}
	resolve := c.resolve
	slot.resolve.Store(&resolve)
	if !c.admitted && !c.manages && !(rule.Access.GetSelf() && p.Subject != "") {
		return ctx, nil, errs.New(errs.PermissionDenied, errs.ReasonRoleRequired, "this call %s", rule.needs())
	}
	return ctx, c, nil
}

// IsOpen reports whether a method needs no rule, and so no token: health checks and reflection do not.
func IsOpen(method string) bool {
	switch method {
	case "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch", "/grpc.health.v1.Health/List",
		"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
		"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo":
		return true
	}
	return false
}

// identify verifies the token, or uses a ticket up; only the latter gives a Pass with a learner.
// Only a service that the rule names needs neither.
func (g *Guard) identify(ctx context.Context, rule Rule, service string) (Pass, error) {
	values := metadata.ValueFromIncomingContext(ctx, authorization)
	if len(values) == 0 && rule.admitsService(service) {
		return Pass{Principal: Principal{Service: service}}, nil
	}
	shown, err := ReadCredential(values, rule.Access.GetTicket() && g.o.Tickets != nil)
	if err != nil {
		return Pass{}, err
	}
	if shown.Ticket {
		pass, err := g.redeem(ctx, shown.Secret)
		pass.Principal.Service = service
		return pass, err
	}
	p, err := g.o.Verifier.Verify(ctx, shown.Secret)
	p.Service = service
	return Pass{Principal: p}, err
}

// check decides about a request, and puts the learner's id where it has "me".
func (c *call) check(ctx context.Context, req any) error {
	if !c.rule.NamesLearner && c.admitted {
		return nil
	}
	message, ok := req.(proto.Message)
	if !ok {
		return fmt.Errorf("%s: request %T is no message", c.rule.Method, req)
	}
	m := message.ProtoReflect()
	if c.rule.NamesLearner {
		if err := c.checkLearner(ctx, m); err != nil {
			return err
		}
	}
	return c.checkCohort(ctx, m)
}

// checkLearner is check for the learner that a request names.
func (c *call) checkLearner(ctx context.Context, m protoreflect.Message) error {
	field := m.Descriptor().Fields().ByName(learnerField)
	id := m.Get(field).String()
	if id != Me && (id != "" || !c.admitted) { // an empty filter is for callers that may see all
		canonical, ok := canonicalID(id)
		if !ok {
			return errs.InvalidFields([]errs.Violation{{
				Field: field.JSONName(), Reason: errs.ReasonInvalidUUID, Description: `must be a learner's id (a UUID) or "me"`,
			}})
		}
		id = canonical
	}
	if id == Me || !c.admitted {
		if err := c.resolve(ctx); err != nil {
			if id, err = c.unregistered(id, err); err != nil {
				return err
			}
		}
	}
	own := c.slot.principal.Load().LearnerID
	if id == Me {
		if own == "" {
			return errs.New(errs.PermissionDenied, errs.ReasonNotYourData, `"me" needs a signed-in person`)
		}
		id = own
	}
	if !c.admitted && !(c.rule.Access.GetSelf() && id == own) {
		if err := c.manager(ctx, own, id, Managers.ManagesLearner); err != nil {
			return err
		}
	}
	if c.about != "" && id != c.about {
		return errs.New(errs.Unauthenticated, errs.ReasonTicketInvalid, "the ticket is for another learner's data")
	}
	if id != "" {
		m.Set(field, protoreflect.ValueOfString(id))
	}
	return nil
}

// checkCohort is check for the cohort that the request of a manager names. One that names none is for the service.
func (c *call) checkCohort(ctx context.Context, m protoreflect.Message) error {
	field := m.Descriptor().Fields().ByName(cohortField)
	if c.admitted || !c.manages || field == nil || m.Get(field).String() == "" {
		return nil
	}
	if err := c.resolve(ctx); err != nil {
		return err
	}
	return c.manager(ctx, c.slot.principal.Load().LearnerID, m.Get(field).String(), Managers.ManagesCohort)
}

// manager returns PermissionDenied unless the caller, whose learner id is own, manages a learner or cohort.
func (c *call) manager(ctx context.Context, own, id string, manages func(Managers, context.Context, string, string) (bool, error)) error {
	if c.manages && own != "" {
		if theirs, err := manages(c.guard.o.Managers, ctx, own, id); err != nil || theirs {
			return err
		}
	}
	if c.manages {
		return errs.New(errs.PermissionDenied, errs.ReasonNotYourData, "this is not of a cohort that you manage")
	}
	return errs.New(errs.PermissionDenied, errs.ReasonNotYourData, "this is another learner's data")
}

// canonicalID spells a UUID in the one way that ids are stored.
func canonicalID(id string) (string, bool) {
	if len(id) != 36 { // the parser takes URNs and braces too
		return "", false
	}
	parsed, err := uuid.Parse(id)
	return parsed.String(), err == nil
}

// resolve fills the principal's learner id, where there is a person and a
// resolver and it was not done before.
func (c *call) resolve(ctx context.Context) error {
	p := *c.slot.principal.Load()
	if p.Subject == "" || p.Command || p.LearnerID != "" || c.guard.o.Resolver == nil {
		return nil
	}
	hints := Hints{Name: p.Name, Email: p.Email, Locale: p.Locale, ZoneInfo: p.ZoneInfo}
	id, err := c.guard.o.Resolver.ResolveSubject(ctx, p.Issuer, p.Subject, hints)
	if err != nil {
		return err
	}
	p.LearnerID = id
	c.slot.principal.Store(&p)
	return nil
}

// unregistered lets a person whom a database refuses to store read their own data where the RPC has an
// answer about them, and returns the id to read by: that of nobody, unless they have one already. It returns
// err otherwise.
func (c *call) unregistered(id string, err error) (string, error) {
	why, ok := errors.AsType[*UnregisteredError](err)
	if !ok || !c.rule.Access.GetUnregistered() || id != Me && id != why.LearnerID {
		return "", err
	}
	own := why.LearnerID
	if own == "" {
		nobody, rerr := uuid.NewV7()
		if rerr != nil {
			return "", errs.Wrap(rerr, errs.Internal, errs.ReasonRandom, "no id could be made")
		}
		own = nobody.String()
	}
	p := *c.slot.principal.Load()
	p.LearnerID, p.Unregistered = own, true
	c.slot.principal.Store(&p)
	return own, nil
}

// guardedStream checks what comes in. call is nil on methods open to anybody.
type guardedStream struct {
	grpc.ServerStream

	ctx     context.Context //nolint:containedctx // a stream returns its context
	call    *call
	checked atomic.Bool
	refused atomic.Pointer[error] // sticks, should the handler pass over it
}

func (s *guardedStream) Context() context.Context { return s.ctx }

func (s *guardedStream) RecvMsg(m any) error {
	if err := s.expired(); err != nil {
		return err
	}
	if err := s.ServerStream.RecvMsg(m); err != nil || s.call == nil {
		return err
	}
	if err := s.call.check(s.ctx, m); err != nil {
		s.refused.CompareAndSwap(nil, &err)
		return err
	}
	s.checked.Store(true)
	return nil
}

func (s *guardedStream) SendMsg(m any) error {
	if err := s.expired(); err != nil {
		return err
	}
	if s.call != nil && !s.call.admitted && !s.checked.Load() {
		return fmt.Errorf("%s: a response before the request was checked", s.call.rule.Method)
	}
	return s.ServerStream.SendMsg(m)
}

// expired is the error to end the stream with once its token expired.
func (s *guardedStream) expired() error {
	if errors.Is(context.Cause(s.ctx), errStreamExpired) {
		return expiredToken()
	}
	return nil
}
