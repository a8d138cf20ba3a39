package gateway

import (
	"context"

	"github.com/preceptor-dev/preceptor/internal/auth"
)

// LearnerOf returns, in the context of a call that a gateway makes, a name of the learner whom the request is
// about; "" for none, and for a stream that was opened with a ticket, whose learner is known to progress alone.
// A learner's own requests have one name and those of others about them, by their id, another: they name the same
// learner, but the gateway cannot know it.
func LearnerOf(ctx context.Context) string {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	switch {
	case x == nil:
		return ""
	case x.learner != auth.Me:
		return x.learner
	case x.principal.Subject == "":
		return ""
	}
	return x.principal.Issuer + "|" + x.principal.Subject
}
