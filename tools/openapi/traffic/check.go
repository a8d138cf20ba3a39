package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// exchange is a request with its response, as test/e2e writes it.
type exchange struct {
	Method         string      `json:"method"`
	URL            string      `json:"url"`
	RequestHeader  http.Header `json:"requestHeader"`
	Request        []byte      `json:"request"`
	Status         int         `json:"status"`
	ResponseHeader http.Header `json:"responseHeader"`
	Response       []byte      `json:"response"`
	// Whole reports whether the response was read to its end.
	Whole bool `json:"whole"`
	// Loose is a request that is written on purpose in other forms than the document's, all of which the
	// server reads: names as in proto/, numbers as texts. Only its response is compared.
	Loose bool `json:"loose"`
}

// checker compares exchanges with a document.
type checker struct {
	operations []*operation
	document   *document

	exchanges, elsewhere, bodies, requests int

	deviations []string
}

func newChecker(text []byte) (*checker, error) {
	operations, document, err := readDocument(text)
	return &checker{operations: operations, document: document}, err
}

// check notes what in an exchange deviates. What is not of the API, as the pages and the health of the
// server, and a browser's question before a request, are not described.
func (c *checker) check(x *exchange) {
	c.exchanges++
	u, err := url.ParseRequestURI(x.URL)
	if err != nil || !strings.HasPrefix(u.Path, "/v1/") || x.Method == http.MethodOptions {
		c.elsewhere++
		return
	}
	v := &verdict{checker: c, x: x}
	op, params, allowed := c.find(x.Method, u.EscapedPath())
	switch {
	case op != nil:
		v.response(op.Responses[strconv.Itoa(x.Status)])
		op.succeeded = op.succeeded || x.Status < http.StatusMultipleChoices
		if x.Status < http.StatusMultipleChoices && !x.Loose {
			v.request(op, params, u.Query())
		}
	case allowed != nil && x.Status == http.StatusMethodNotAllowed:
		v.response(allowed.Responses["405"])
	case allowed == nil && x.Status == http.StatusNotFound:
		v.response(c.document.Components.Responses["NotFound"])
	default:
		v.notef("no operation of that path and method")
	}
}

// find returns the operation of a request with its path's parameters, or else one of the same path
// with another method.
func (c *checker) find(method, path string) (op *operation, params map[string]string, other *operation) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	for _, op := range c.operations {
		match := op.match.FindStringSubmatch(path)
		if match == nil {
			continue
		}
		if op.method != method {
			other = op
			continue
		}
		params := map[string]string{}
		for i, name := range op.match.SubexpNames() {
			if value, err := url.PathUnescape(match[i]); name != "" && err == nil {
				params[name] = value
			}
		}
		return op, params, nil
	}
	return nil, nil, other
}

// report prints what was found, and returns how much deviates.
func (c *checker) report(out io.Writer, complete bool) (int, error) {
	succeeded := 0
	for _, op := range c.operations {
		if op.succeeded {
			succeeded++
		} else if complete {
			c.deviations = append(c.deviations, fmt.Sprintf("%s never succeeded: the traffic does not show what it returns", op.ID))
		}
	}
	for _, d := range c.deviations[:min(len(c.deviations), shown)] {
		if _, err := fmt.Fprintln(out, d); err != nil {
			return 0, err
		}
	}
	_, err := fmt.Fprintf(out, "%d exchanges, %d of them not of the API; %d of %d operations succeeded; %d responses and %d requests compared: %d deviations\n",
		c.exchanges, c.elsewhere, succeeded, len(c.operations), c.bodies, c.requests, len(c.deviations))
	return len(c.deviations), err
}

// verdict is what is found about one exchange.
type verdict struct {
	*checker

	x *exchange
}

func (v *verdict) notef(format string, args ...any) {
	v.deviations = append(v.deviations, fmt.Sprintf("%s %s: %d: %s", v.x.Method, v.x.URL, v.x.Status, fmt.Sprintf(format, args...)))
}

// fits notes a deviation unless the text is JSON of that schema.
func (v *verdict) fits(what string, schema *jsonschema.Schema, text []byte) {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err == nil && schema != nil {
		err = schema.Validate(value)
	}
	if err != nil {
		v.notef("%s: %s\n%s", what, strings.TrimSpace(err.Error()), text[:min(len(text), 400)])
	}
}

func mediaType(h http.Header) string {
	media, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return media
}

// ordinary are headers that every HTTP server sends, and those that browsers ask for.
func ordinary(name string) bool {
	switch name {
	case "Cache-Control", "Connection", "Content-Encoding", "Content-Length", "Content-Type", "Date", "Vary", "X-Accel-Buffering",
		"X-Content-Type-Options":
		return true
	}
	return strings.HasPrefix(name, "Access-Control-")
}

// response compares what came back.
func (v *verdict) response(r *response) {
	if r == nil {
		v.notef("the document has no such status")
		return
	}
	known := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		known[http.CanonicalHeaderKey(name)] = true
		h, values := r.Headers[name], v.x.ResponseHeader.Values(name)
		if len(values) == 0 && h.Required {
			v.notef("the response has no %s", name)
		}
		for _, value := range values {
			v.fits("header "+name, h.check, asJSON(h.Schema, []string{value}))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v.x.ResponseHeader)) {
		if !known[name] && !ordinary(name) {
			v.notef("header %s is not declared", name)
		}
	}
	v.content(r)
}

// content compares the body that came back.
func (v *verdict) content(r *response) {
	if v.x.Method == http.MethodHead {
		return
	}
	if len(r.Content) == 0 {
		if len(v.x.Response) > 0 {
			v.notef("there should be no body: %s", v.x.Response)
		}
		return
	}
	kind := mediaType(v.x.ResponseHeader)
	m := r.Content[kind]
	if m == nil {
		v.notef("media type %s is not declared", kind)
		return
	}
	text, ok := v.plain(v.x.ResponseHeader, v.x.Response)
	if !ok {
		return
	}
	v.bodies++
	switch {
	case m.line != nil:
		for line := range bytes.Lines(text) {
			if line = bytes.TrimSpace(line); len(line) > 0 && v.ended(text, line) {
				v.fits("line", m.line, line)
			}
		}
	case m.data != nil:
		v.events(m, text)
	case strings.HasSuffix(kind, "json") && v.x.Whole:
		v.fits("response", m.schema, text)
	}
}

// ended reports whether a line of a stream was read to its end.
func (v *verdict) ended(text, line []byte) bool {
	return v.x.Whole || !bytes.HasSuffix(text, line)
}

// events compares the data of server-sent events. The last one may be cut off.
func (v *verdict) events(m *media, text []byte) {
	blocks := bytes.Split(text, []byte("\n\n"))
	for _, block := range blocks[:len(blocks)-1] {
		schema := m.data
		for line := range bytes.Lines(block) {
			line = bytes.TrimSpace(line)
			if name, ok := bytes.CutPrefix(line, []byte("event: ")); ok && string(name) == "error" {
				schema = v.document.Components.Responses["InternalServerError"].Content["application/problem+json"].schema
			}
			if data, ok := bytes.CutPrefix(line, []byte("data: ")); ok && len(data) > 0 {
				v.fits("event", schema, data)
			}
		}
	}
}

// plain is a body as it was before it was compressed, and whether that is known.
func (v *verdict) plain(h http.Header, body []byte) ([]byte, bool) {
	switch h.Get("Content-Encoding") {
	case "":
		return body, true
	case "gzip":
		unzipped, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			v.notef("not gzip: %v", err)
			return nil, false
		}
		text, err := io.ReadAll(unzipped)
		if err != nil {
			v.notef("not gzip: %v", err)
		}
		return text, err == nil
	default:
		return nil, false
	}
}

// request compares a request that was accepted.
func (v *verdict) request(op *operation, path map[string]string, query url.Values) {
	v.requests++
	known := map[string]bool{}
	for _, p := range op.Parameters {
		var values []string
		switch p.In {
		case "path":
			values = []string{path[p.Name]}
		case "query":
			known[p.Name], values = true, query[p.Name]
		case "header":
			values = v.x.RequestHeader.Values(p.Name)
		}
		if len(values) == 0 {
			if p.Required {
				v.notef("was accepted without %s", p.Name)
			}
			continue
		}
		v.fits(p.In+" parameter "+p.Name, p.check, asJSON(p.Schema, values))
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if !known[name] {
			v.notef("was accepted with parameter %s", name)
		}
	}
	v.requestBody(op)
}

func (v *verdict) requestBody(op *operation) {
	body, ok := v.plain(v.x.RequestHeader, v.x.Request)
	if !ok {
		return
	}
	if len(body) == 0 {
		if op.RequestBody != nil && op.RequestBody.Required {
			v.notef("was accepted without a body")
		}
		return
	}
	if op.RequestBody == nil {
		v.notef("was accepted with a body")
		return
	}
	kind := mediaType(v.x.RequestHeader)
	m := op.RequestBody.Content[kind]
	switch {
	case m == nil:
		v.notef("was accepted with media type %q", kind)
	case strings.HasSuffix(kind, "json"):
		if op.ID == "batchRecordEvents" {
			body = v.acceptedEvents(body)
		}
		v.fits("request", m.schema, body)
	}
}

// acceptedEvents is a batch without the events that were rejected: each is judged by itself.
func (v *verdict) acceptedEvents(body []byte) []byte {
	var sent map[string]json.RawMessage
	var events []json.RawMessage
	var results struct {
		Results []struct {
			Status string `json:"status"`
		} `json:"results"`
	}
	response, _ := v.plain(v.x.ResponseHeader, v.x.Response)
	if json.Unmarshal(body, &sent) != nil || json.Unmarshal(sent["events"], &events) != nil ||
		json.Unmarshal(response, &results) != nil || len(results.Results) != len(events) {
		return body
	}
	accepted := []json.RawMessage{}
	for i, event := range events {
		if results.Results[i].Status != "REJECTED" {
			accepted = append(accepted, event)
		}
	}
	var err error
	if sent["events"], err = json.Marshal(accepted); err != nil {
		return body
	}
	if left, err := json.Marshal(sent); err == nil {
		return left
	}
	return body
}

// asJSON is a parameter's text as a value of its type.
func asJSON(schema json.RawMessage, values []string) []byte {
	var s struct {
		Type  string          `json:"type"`
		Items json.RawMessage `json:"items"`
	}
	_ = json.Unmarshal(schema, &s) // a schema without a type is of a text
	if s.Type == "array" {
		items := make([]string, 0, len(values))
		for _, value := range values {
			items = append(items, string(asJSON(s.Items, []string{value})))
		}
		return []byte("[" + strings.Join(items, ",") + "]")
	}
	if (s.Type == "integer" || s.Type == "number" || s.Type == "boolean") && len(values) == 1 && json.Valid([]byte(values[0])) {
		return []byte(values[0])
	}
	var value any = values[0]
	if len(values) > 1 {
		value = values
	}
	text, err := json.Marshal(value)
	if err != nil { // a text is always JSON
		return nil
	}
	return text
}
