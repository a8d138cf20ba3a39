package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	enrollmentText = `{"id":"01930000-0000-7000-8000-000000000000","pathId":"p","pathVersion":1,"state":"ACTIVE",` +
		`"enrollTime":"2026-11-20T08:00:00Z","updateTime":"2026-11-20T08:00:00Z","etag":"e"}`
	problemText = `{"type":"about:blank","title":"T","status":404,"code":"NOT_FOUND","reason":"R","requestId":"r"}`
)

// enrolled is an exchange without a fault.
func enrolled() *exchange {
	return &exchange{
		Method: "POST", URL: "/v1/learners/me/enrollments", Request: []byte(`{"pathId":"p"}`), Status: http.StatusCreated,
		RequestHeader: http.Header{"Content-Type": {"application/json"}},
		ResponseHeader: http.Header{
			"Content-Type": {"application/json"}, "X-Request-Id": {"r"}, "Etag": {`"e"`}, "Location": {"/v1/learners/me/enrollments/e"}, "Date": {"now"},
		},
		Response: []byte(enrollmentText), Whole: true,
	}
}

// problemAt is a problem in response to a request.
func problemAt(status int, method, at string) *exchange {
	return &exchange{
		Method: method, URL: at, Status: status, Response: []byte(problemText), Whole: true,
		ResponseHeader: http.Header{"Content-Type": {"application/problem+json"}, "X-Request-Id": {"r"}},
	}
}

// stream is a response of many parts.
func stream(method, at, kind, text string) *exchange {
	return &exchange{
		Method: method, URL: at, Status: http.StatusOK, Response: []byte(text),
		ResponseHeader: http.Header{"Content-Type": {kind}, "X-Request-Id": {"r"}},
	}
}

// events is a batch of two events, the second of which lacks its verb, with what became of that.
func events(second string) *exchange {
	const event = `{"eventId":"01930000-0000-7000-8000-000000000000","occurredAt":"2026-11-20T08:00:00Z"`
	return &exchange{
		Method: "POST", URL: "/v1/learners/me/events:batch", Status: http.StatusOK, Whole: true,
		Request:        []byte(`{"events":[` + event + `,"verb":"PASSED"},` + event + `}]}`),
		RequestHeader:  http.Header{"Content-Type": {"application/json"}},
		ResponseHeader: http.Header{"Content-Type": {"application/json"}, "X-Request-Id": {"r"}},
		Response: []byte(`{"results":[{"eventId":"a","status":"ACCEPTED"},{"eventId":"b","status":"` + second + `"}],` +
			`"awards":[],"asOfSequence":"1","logId":"l"}`),
	}
}

func changed(x *exchange, change func(*exchange)) *exchange {
	change(x)
	return x
}

func newTestChecker(t *testing.T) *checker {
	t.Helper()
	text, err := os.ReadFile("../../../gateway/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	c, err := newChecker(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const watchURL, entryText = "/v1/learners/me/progress:watch", `{"kind":"RESET","sequence":"4","awards":[],"logId":"l"}`

// TestDeviations has each kind of deviation once; "" is none.
func TestDeviations(t *testing.T) {
	c := newTestChecker(t)
	for name, test := range map[string]struct {
		x    *exchange
		want string
	}{
		"fits":              {enrolled(), ""},
		"no member":         {changed(enrolled(), func(x *exchange) { x.Response = []byte(`{}`) }), "missing properties"},
		"wrong type":        {changed(enrolled(), func(x *exchange) { x.Response = []byte(strings.Replace(enrollmentText, `"e"`, "7", 1)) }), "/etag"},
		"new member":        {changed(enrolled(), func(x *exchange) { x.Response = []byte(`{"new":1,` + enrollmentText[1:]) }), ""},
		"not JSON":          {changed(enrolled(), func(x *exchange) { x.Response = []byte(`{`) }), "EOF"},
		"cut off":           {changed(enrolled(), func(x *exchange) { x.Response, x.Whole = []byte(`{`), false }), ""},
		"status":            {changed(enrolled(), func(x *exchange) { x.Status = http.StatusAccepted }), "no such status"},
		"media type":        {changed(enrolled(), func(x *exchange) { x.ResponseHeader.Set("Content-Type", "text/html") }), "text/html is not declared"},
		"no header":         {changed(enrolled(), func(x *exchange) { x.ResponseHeader.Del("Location") }), "no Location"},
		"new header":        {changed(enrolled(), func(x *exchange) { x.ResponseHeader.Set("X-New", "1") }), "X-New is not declared"},
		"unknown member":    {changed(enrolled(), func(x *exchange) { x.Request = []byte(`{"pathId":"p","new":1}`) }), "additional properties 'new'"},
		"no required one":   {changed(enrolled(), func(x *exchange) { x.Request = []byte(`{}`) }), "missing property 'pathId'"},
		"no body":           {changed(enrolled(), func(x *exchange) { x.Request = nil }), "without a body"},
		"sent as":           {changed(enrolled(), func(x *exchange) { x.RequestHeader.Set("Content-Type", "text/xml") }), `media type "text/xml"`},
		"unknown parameter": {changed(enrolled(), func(x *exchange) { x.URL += "?page=2" }), "with parameter page"},
		"loose":             {changed(enrolled(), func(x *exchange) { x.URL, x.Loose = x.URL+"?page=2", true }), ""},
		"long header":       {changed(enrolled(), func(x *exchange) { x.RequestHeader.Set("Idempotency-Key", strings.Repeat("k", 256)) }), "Idempotency-Key"},
		"missing":           {problemAt(http.StatusNotFound, "GET", "/v1/modules/x"), ""},
		"parameter refused": {problemAt(http.StatusNotFound, "GET", "/v1/modules/x?page=2"), ""},
		"no route":          {problemAt(http.StatusNotFound, "GET", "/v1/nothing"), ""},
		"route":             {problemAt(http.StatusBadRequest, "GET", "/v1/nothing"), "no operation"},
		"no Allow":          {problemAt(http.StatusMethodNotAllowed, "PUT", "/v1/modules/x"), "no Allow"},
		"no problem":        {changed(problemAt(http.StatusNotFound, "GET", "/v1/modules/x"), func(x *exchange) { x.Response = []byte("{}") }), "missing properties"},
		"body of 304":       {changed(problemAt(http.StatusNotModified, "GET", "/v1/modules/x"), func(x *exchange) { x.ResponseHeader.Set("ETag", "e") }), "no body"},
		"lines":             {stream("POST", "/v1/progress:verify", "application/x-ndjson", "{\"result\":{}}\n\n{\"res"), ""},
		"bad line":          {stream("POST", "/v1/progress:verify", "application/x-ndjson", "{\"result\":7}\n"), "/result"},
		"events":            {stream("GET", watchURL, "text/event-stream", ": open\n\nid: 4\ndata: "+entryText+"\n\ndata: {"), ""},
		"bad event":         {stream("GET", watchURL, "text/event-stream", "data: {}\n\n"), "missing properties"},
		"error event":       {stream("GET", watchURL, "text/event-stream", "event: error\ndata: "+problemText+"\n\n"), ""},
		"bad error event":   {stream("GET", watchURL, "text/event-stream", "event: error\ndata: "+entryText+"\n\n"), "missing properties"},
		"rejected event":    {events("REJECTED"), ""},
		"accepted event":    {events("ACCEPTED"), "missing property 'verb'"},
		"page":              {problemAt(http.StatusNotFound, "GET", "/docs"), ""},
	} {
		c.deviations = nil
		c.check(test.x)
		found := strings.Join(c.deviations, "\n")
		if test.want == "" && found != "" || !strings.Contains(found, test.want) {
			t.Errorf("%s: found %q, want %q", name, found, test.want)
		}
	}
}

// TestReport compares a file, and asks that it holds every operation.
func TestReport(t *testing.T) {
	line, err := json.Marshal(enrolled())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "traffic")
	if err := os.WriteFile(file, append(line, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if n, err := compare(&out, "../../../gateway/openapi.json", file, false); n != 0 || err != nil || !strings.Contains(out.String(), "1 exchanges, 0 of them not of the API; 1 of ") {
		t.Errorf("%d, %v: %s", n, err, out.String())
	}
	if n, err := compare(&out, "../../../gateway/openapi.json", file, true); n < 40 || err != nil || !strings.Contains(out.String(), "getModule never succeeded") {
		t.Errorf("%d, %v: %s", n, err, out.String())
	}
}
