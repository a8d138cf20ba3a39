package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

// mutated is one request of which something is wrong, or not.
type mutated struct {
	rpc rpc
	request
}

// attackBodies sends bodies to every route that are made from its descriptor and then changed at random.
// All of it repeats with the seed, but for the order in which requests that run side by side arrive.
func attackBodies(ctx context.Context, w *world) error {
	var routes []rpc
	for _, r := range rpcs() {
		if r.method != "" && r.short() != "WatchProgress" { // which does not end
			routes = append(routes, r)
		}
	}
	m, err := w.newMutator(ctx)
	if err != nil {
		return err
	}
	const workers = 8
	queue := make(chan mutated, workers)
	var sending sync.WaitGroup
	for range workers {
		sending.Go(func() {
			for r := range queue {
				w.sendMutated(ctx, r)
			}
		})
	}
	for n := range w.dose(2000, 48000) {
		if !w.alive() {
			break
		}
		r := routes[n%len(routes)]
		if (r.short() == "RebuildProgress" || r.short() == "VerifyProgress") && n%(10*len(routes)) >= len(routes) {
			continue // they read all there is, which grows
		}
		queue <- m.mutate(r)
	}
	close(queue)
	sending.Wait()
	return nil
}

func (w *world) sendMutated(ctx context.Context, r mutated) {
	a, err := send(ctx, w.client, w.httpAddr(), r.request)
	if err != nil && r.rpc.short() == "ExportCatalog" && r.header.Get("Grpc-Timeout") != "" {
		w.tally.add("broken off as asked") // in the middle of the document, where nothing else can show it
		return
	}
	if err != nil {
		w.tally.add("no answer")
		w.tally.faultf("%s with %.120q: %s", r.rpc.short(), r.body, withoutPorts(err))
		return
	}
	if a.status == http.StatusGatewayTimeout && r.header.Get("Grpc-Timeout") != "" {
		w.tally.add("504 as asked")
		return
	}
	w.tally.http(fmt.Sprintf("%s %s with %.200q %v", r.method, r.path, r.body, r.header), a)
}

// mutator makes requests of everything that exists for it.
type mutator struct {
	dice  *rand.Rand
	g     *generator
	token string
	ids   map[string]string
	// bomb is one mebibyte of gzip that is a gibibyte of spaces.
	bomb []byte
}

// newMutator makes a module, a path and an enrollment for the requests to be about.
func (w *world) newMutator(ctx context.Context) (*mutator, error) {
	m := &mutator{
		dice: w.dice, token: w.issuer.token("mutator", "learner", "manager", "author", "admin"),
		g:   &generator{dice: w.dice, module: "mutant", path: "mutant"},
		ids: map[string]string{"learner_id": "me", "module_id": "mutant", "path_id": "mutant", "number": "1", "award_id": noID},
	}
	for _, r := range []request{
		request{method: http.MethodPost, path: "/v1/modules?moduleId=mutant"}.asJSON(map[string]any{
			"topic": "attack", "title": "M", "units": []any{map[string]any{"id": "u0", "title": "U", "kind": "READING"}},
		}),
		request{method: http.MethodPost, path: "/v1/modules/mutant:publish"}.asJSON(map[string]any{}),
		request{method: http.MethodPost, path: "/v1/paths?pathId=mutant"}.asJSON(map[string]any{
			"title": "P", "milestones": []any{map[string]any{"id": "m", "title": "M", "groups": []any{map[string]any{"moduleIds": []string{"mutant"}}}}},
		}),
		request{method: http.MethodPost, path: "/v1/paths/mutant:publish"}.asJSON(map[string]any{}),
		request{method: http.MethodPost, path: "/v1/learners/me/enrollments"}.asJSON(map[string]any{"pathId": "mutant"}),
	} {
		r.token = m.token
		a, err := send(ctx, w.client, w.httpAddr(), r)
		if err != nil {
			return nil, err
		}
		if a.status >= http.StatusBadRequest {
			return nil, fmt.Errorf("%s %s: %d %s", r.method, r.path, a.status, a.body)
		}
		var made struct {
			ID string `json:"id"`
		}
		if json.Unmarshal(a.body, &made) == nil {
			m.ids["enrollment_id"] = made.ID
		}
	}
	m.bomb = zipped(bytes.Repeat([]byte(" "), 1<<20), 1024)
	return m, nil
}

// zipped compresses a text that is repeated.
func zipped(text []byte, times int) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	for range times {
		_, _ = z.Write(text) // into memory
	}
	_ = z.Close()
	return b.Bytes()
}

// mutate makes a request for a route, and changes it; one of twelve stays as it is.
func (m *mutator) mutate(r rpc) mutated {
	req := mutated{r, request{method: r.method, path: r.at(m.ids), token: m.token, header: http.Header{}}}
	if r.body != "" {
		tree := m.g.bodyOf(r)
		if m.dice.IntN(12) > 0 {
			for range 1 + m.dice.IntN(3) {
				tree = m.changed(tree, 0)
			}
		}
		text, err := json.Marshal(tree)
		if err != nil {
			text = []byte("{}")
		}
		req.body = m.rewritten(text)
		m.encode(&req)
	}
	m.ask(&req)
	return req
}

// odd are values that a field is not made for.
func (m *mutator) odd() any {
	deep := func(open, end string) json.RawMessage {
		n := 1 + m.dice.IntN(3000)
		return json.RawMessage(strings.Repeat(open, n) + "1" + strings.Repeat(end, n))
	}
	all := []any{
		nil, true, false, 0, -1, 1, 1e308, json.RawMessage("1e400"), json.RawMessage("-0"), json.RawMessage("9223372036854775808"), json.RawMessage("-9223372036854775809"),
		json.RawMessage(strings.Repeat("9", 400)), json.RawMessage("1e-400"), 0.1, "", " ", "\x00", "\u202e", "\u200b", "\ufeff", "\U0001F600", "NaN", "Infinity", "-Infinity",
		json.RawMessage(`"\ud800"`), json.RawMessage(`"\udc00\ud800"`), json.RawMessage("\"\xff\xfe\""), json.RawMessage("\"\n\""), json.RawMessage(`"\x"`),
		strings.Repeat("a", 64), strings.Repeat("a", 1+m.dice.IntN(70000)), strings.Repeat("e\u0301", 300), "../../etc/passwd", "%00", "' OR 1=1 --", "${jndi:x}", "<script>",
		[]any{},
		map[string]any{},
		[]any{nil},
		[]any{[]any{}},
		map[string]any{"": nil},
		map[string]any{"__proto__": 1},
		deep("[", "]"), deep(`{"a":`, "}"),
		"0000-00-00T00:00:00Z", "9999-12-31T23:59:60Z", "2026-02-30T00:00:00Z", "-262144-01-01T00:00:00Z", "P1Y1Y", "P-1D", "PT1e9S", "P999999999999Y", "PT0.0000000001S",
		noID, "{" + noID + "}", "urn:uuid:" + noID, "me", "mutant", "UNSPECIFIED", "COMPLETED", "completed", 2147483648, -2147483649, "1", "01", "+1", "0x1",
	}
	return all[m.dice.IntN(len(all))]
}

// changed changes one place of a tree.
func (m *mutator) changed(tree any, depth int) any {
	if m.dice.IntN(4) == 0 && depth > 0 {
		return m.odd()
	}
	switch node := tree.(type) {
	case map[string]any:
		return m.changedObject(node, depth)
	case []any:
		switch {
		case len(node) == 0 || m.dice.IntN(5) == 0:
			return append(node, m.odd())
		case m.dice.IntN(8) == 0:
			many := make([]any, 0, 1200)
			for range 1 + m.dice.IntN(1200) {
				many = append(many, node[m.dice.IntN(len(node))])
			}
			return many
		}
		i := m.dice.IntN(len(node))
		node[i] = m.changed(node[i], depth+1)
		return node
	}
	return m.odd()
}

func (m *mutator) changedObject(node map[string]any, depth int) any {
	names := sortedKeys(node)
	if len(names) == 0 || m.dice.IntN(8) == 0 {
		node[[]string{"x", "id", "etag", "learnerId", "\x00", "", "reason", "updateMask", "@type"}[m.dice.IntN(9)]] = m.odd()
		return node
	}
	name := names[m.dice.IntN(len(names))]
	switch m.dice.IntN(8) {
	case 0:
		delete(node, name)
	case 1:
		node[strings.ToUpper(name)] = node[name]
	default:
		node[name] = m.changed(node[name], depth+1)
	}
	return node
}

// rewritten changes the text of a body, mostly not at all.
func (m *mutator) rewritten(text []byte) []byte {
	at := m.dice.IntN(len(text) + 1)
	switch m.dice.IntN(24) {
	case 0:
		return text[:at]
	case 1:
		return append(text[:at:at], append([]byte{byte(m.dice.IntN(256))}, text[at:]...)...)
	case 2:
		if out := bytes.Clone(text); at < len(out) {
			out[at] ^= byte(1 << m.dice.IntN(8))
			return out
		}
	case 3:
		return append(text, text...)
	case 4:
		return append([]byte("\xef\xbb\xbf"), text...)
	case 5: // a member twice
		if i := bytes.IndexByte(text, ':'); i > 0 && text[0] == '{' {
			return append([]byte("{"+string(text[1:i])+":null,"), text[1:]...)
		}
	case 6:
		return append(text, " // no comment"...)
	case 7:
		return []byte{}
	case 8:
		out := make([]byte, m.dice.IntN(400))
		for i := range out {
			out[i] = byte(m.dice.IntN(256))
		}
		return out
	case 9:
		return append(bytes.Repeat([]byte(" "), m.dice.IntN(1<<18)), text...)
	}
	return text
}

// encode compresses some bodies, and lies about the type of others.
func (m *mutator) encode(r *mutated) {
	switch m.dice.IntN(40) {
	case 0:
		r.header.Set("Content-Encoding", "gzip")
		r.body = zipped(r.body, 1)
	case 1:
		r.header.Set("Content-Encoding", "gzip")
	case 2:
		r.header.Set("Content-Encoding", "gzip")
		r.body = zipped(r.body, 1)
		r.body = r.body[:m.dice.IntN(len(r.body))]
	case 3:
		r.header.Set("Content-Encoding", "gzip")
		r.body = zipped(zipped(r.body, 1), 1)
	case 4:
		r.header.Set("Content-Encoding", []string{"br", "deflate", "gzip, gzip", "identity", "x", ""}[m.dice.IntN(6)])
	case 5, 6:
		r.header.Set("Content-Type", []string{
			"text/plain", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json; charset=utf-16",
			"application/yaml", "application/", "*/*", "application/json, text/plain", strings.Repeat("a", 5000), "application/grpc", "\x7f",
		}[m.dice.IntN(11)])
	case 7:
		if m.dice.IntN(20) == 0 {
			r.header.Set("Content-Encoding", "gzip")
			r.body = m.bomb
		}
	}
}

// ask adds parameters and headers, mostly none.
func (m *mutator) ask(r *mutated) {
	query := url.Values{}
	fields := r.rpc.input.Fields()
	for range m.dice.IntN(3) {
		fd := fields.Get(m.dice.IntN(fields.Len()))
		value := fmt.Sprint(m.odd())
		if m.dice.IntN(2) == 0 {
			value = fmt.Sprint(m.g.value(fd, 4))
		}
		if len(value) < 8000 {
			query.Add(fd.JSONName(), value)
		}
	}
	if r.rpc.short() == "CreateModule" || r.rpc.short() == "CreatePath" {
		query.Set(map[string]string{"CreateModule": "moduleId", "CreatePath": "pathId"}[r.rpc.short()], fmt.Sprintf("made-%d", m.dice.IntN(1e9)))
	}
	if len(query) > 0 {
		r.path += "?" + query.Encode()
	}
	switch m.dice.IntN(16) {
	case 0:
		r.header.Set("If-Match", []string{"*", `"x"`, "", "W/\"x\"", strings.Repeat("e", 200)}[m.dice.IntN(5)])
	case 1:
		r.header.Set("Idempotency-Key", []string{"", "k", strings.Repeat("k", 300), "\t", "key " + fmt.Sprint(m.dice.IntN(50))}[m.dice.IntN(5)])
	case 2:
		r.header.Set("If-None-Match", []string{"*", `"x"`, "", strings.Repeat(`"e",`, 500)}[m.dice.IntN(4)])
	case 3:
		r.header.Set("Accept", []string{"text/html", "*/*;q=0", "application/yaml", "application/x-ndjson", ";;;", ""}[m.dice.IntN(6)])
	case 4:
		r.header.Set("Grpc-Timeout", []string{"1n", "0S", "-1S", "99999999H", "x", "10m"}[m.dice.IntN(6)])
	}
}
