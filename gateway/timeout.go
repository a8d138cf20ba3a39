package gateway

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

const timeoutHeader = "Grpc-Timeout"

// The bounds of a client's own time limit: what is less is raised, since no request can be served in it, and
// what is more is lowered.
const (
	leastTimeout = 10 * time.Millisecond
	mostTimeout  = 24 * time.Hour
)

// takeTimeout reads the time limit that a client sets by Grpc-Timeout, and puts one within the bounds where
// the mux reads it.
func (x *exchange) takeTimeout(h http.Header) []errs.Violation {
	values, has := h[timeoutHeader]
	if !has {
		return nil
	}
	var found errs.Violations
	if len(values) > 1 {
		found.Addf(timeoutHeader, errs.ReasonDuplicateField, "is given more than once")
		return found
	}
	given, ok := readTimeout(values[0])
	if !ok {
		found.Addf(timeoutHeader, errs.ReasonMalformed, "must be at most eight digits and a unit, one of H, M, S, m, u and n: 500m is half a second")
		return found
	}
	x.timeout = min(max(given, leastTimeout), mostTimeout)
	if x.timeout != given {
		h.Set(timeoutHeader, strconv.FormatInt(x.timeout.Milliseconds(), 10)+"m")
	}
	return nil
}

// readTimeout reads a time limit as gRPC spells it.
func readTimeout(text string) (time.Duration, bool) {
	digits := strings.TrimRight(text, "HMSmun")
	if len(digits) != len(text)-1 || len(digits) > 8 || strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	unit := map[byte]time.Duration{
		'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond,
	}[text[len(text)-1]]
	if n > int64(mostTimeout/unit) {
		return mostTimeout + 1, err == nil // which would overflow
	}
	return time.Duration(n) * unit, err == nil
}

// overOwnTimeout reports whether a request has taken as long as its client allowed.
func (g *Gateway) overOwnTimeout(x *exchange) bool {
	return x.timeout > 0 && g.config.Now().Sub(x.begun) >= x.timeout
}

// timedOutAsAsked reports whether a response says that a request took as long as its client allowed.
func (g *Gateway) timedOutAsAsked(x *exchange) bool {
	return x.outcome.status == http.StatusGatewayTimeout && g.overOwnTimeout(x)
}
