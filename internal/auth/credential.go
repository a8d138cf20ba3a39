package auth

import (
	"strings"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// authorization is the metadata that holds a token or a ticket, bearerScheme the scheme of a token.
const (
	authorization = "authorization"
	bearerScheme  = "Bearer"
)

// Credential is what a caller shows: a bearer token, or a ticket.
type Credential struct {
	Secret string
	Ticket bool
}

// ReadCredential returns the credential in the values of authorization, as gRPC's metadata or an HTTP
// header has them. takesTickets is whether the call takes a ticket. Returns Unauthenticated for none, for
// several, and for one of another kind.
func ReadCredential(values []string, takesTickets bool) (Credential, error) {
	switch len(values) {
	case 0:
		return Credential{}, errs.New(errs.Unauthenticated, errs.ReasonTokenMissing, "this call needs a bearer token")
	case 1:
	default:
		return Credential{}, errs.New(errs.Unauthenticated, errs.ReasonTokenInvalid, "authorization must be one bearer token, or one ticket")
	}
	if secret, ok := credential(values[0], TicketScheme); ok {
		if !takesTickets {
			return Credential{}, errs.New(errs.Unauthenticated, errs.ReasonTicketInvalid, "this call takes a bearer token, and no ticket")
		}
		return Credential{Secret: secret, Ticket: true}, nil
	}
	token, ok := credential(values[0], bearerScheme)
	if !ok {
		return Credential{}, errs.New(errs.Unauthenticated, errs.ReasonTokenInvalid, "authorization must be one bearer token")
	}
	return Credential{Secret: token}, nil
}

// credential returns what a value of the metadata authorization has after a scheme, and whether it has that scheme.
func credential(value, scheme string) (secret string, ok bool) {
	has, secret, _ := strings.Cut(value, " ")
	return secret, strings.EqualFold(has, scheme) && secret != ""
}
