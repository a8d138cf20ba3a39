package server

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
)

const watchRPC = "/preceptor.progress.v1.ProgressService/WatchProgress"

// FuzzRequests sends whatever there is to every route: nothing that a client sends is a fault of the
// server, and whatever is refused is refused with a reason.
func FuzzRequests(f *testing.F) {
	m := openMistakes(f)
	routes := slices.DeleteFunc(m.routes, func(r restRoute) bool { return r.rpc == watchRPC }) // which does not end
	for i, r := range routes {
		base := m.base(r)
		f.Add(i, base.query, base.body, "application/json", "", "")
		f.Add(i, base.query+"&updateMask=*&etag=%00", `{"events":[{}],"reason":null,"units":[{"id":"\ud83d\ude00"}],"x":[[{`, "", "W/\"e\", *", "k")
	}
	f.Fuzz(func(t *testing.T, route int, query, body, contentType, ifMatch, key string) {
		r := routes[uint(route)%uint(len(routes))]
		base := m.base(r)
		target, err := url.Parse(m.url + base.path)
		if err != nil {
			t.Fatal(err)
		}
		target.RawQuery = query
		req := httptest.NewRequestWithContext(t.Context(), r.method, m.url, strings.NewReader(body))
		req.URL, req.RequestURI = target, ""
		req.Header = http.Header{"Authorization": {"Bearer " + m.tokens[""]}, "Content-Type": {contentType}, "If-Match": {ifMatch}, "Idempotency-Key": {key}}
		answer := httptest.NewRecorder()
		m.handler.ServeHTTP(answer, req)
		var p problem
		if answer.Code >= http.StatusInternalServerError {
			t.Errorf("%s %s?%q %q: %d %s", r.method, base.path, query, body, answer.Code, answer.Body)
		}
		if answer.Code >= http.StatusBadRequest && (json.Unmarshal(answer.Body.Bytes(), &p) != nil || p.Reason == "") {
			t.Errorf("%s %s?%q %q: no reason in %d %s", r.method, base.path, query, body, answer.Code, answer.Body)
		}
	})
}
