package gateway_test

import (
	"testing"
)

// TestParametersOfNothingVisible sends what a query can hold and no field, and no header, can.
func TestParametersOfNothingVisible(t *testing.T) {
	h := open(t)
	for _, value := range []string{"+", "%09", "+%20+", "%C2%A0"} {
		h.do(t, "GET", "/v1/topics?pageSize="+value, "").wantProblem(t, 400, "INVALID_ARGUMENT").violates(t, "pageSize INVALID_TYPE")
	}
	for _, value := range []string{"%E2%80%8B", "%EF%BB%BF", "%C3%A9", "a%7F", "a%09"} {
		h.do(t, "DELETE", "/v1/paths/a?etag="+value, "").wantProblem(t, 400, "INVALID_ARGUMENT").violates(t, "etag MALFORMED")
		h.do(t, "POST", "/v1/paths/a:publish?etag="+value, "{}").wantProblem(t, 400, "INVALID_ARGUMENT").violates(t, "etag MALFORMED")
	}
}
