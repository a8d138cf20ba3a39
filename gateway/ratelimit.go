package gateway

import (
	"math"
	"net/http"
	"strconv"

	"github.com/preceptor-dev/preceptor/internal/bounds"
)

// The policies by which responses name the bucket that a request counted for.
const (
	policyCaller  = "caller"
	policyAddress = "address"
)

// announce sets the headers of draft-ietf-httpapi-ratelimit-headers: how many requests a full bucket holds
// and in how many seconds an empty one is full, how many are left and in how many seconds it is full again.
func announce(l bounds.RateLimit, h http.Header, policy string, left float64) {
	left = min(max(left, 0), l.Full())
	seconds := func(requests float64) string { return strconv.FormatFloat(math.Ceil(requests/l.PerSecond), 'f', 0, 64) }
	h.Set("Ratelimit-Policy", `"`+policy+`";q=`+strconv.FormatFloat(l.Full(), 'f', 0, 64)+`;w=`+seconds(l.Full()))
	h.Set("Ratelimit", `"`+policy+`";r=`+strconv.FormatFloat(math.Floor(left), 'f', 0, 64)+`;t=`+seconds(l.Full()-left))
}
