package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/uuid"
)

// secret is in all that the victim has, and must be in nothing that another sees.
const secret = "SECRET-OF-THE-VICTIM"

// victim is somebody whom others want to read.
type victim struct {
	token, id, enrollment, eventID, page, etag, ticket, key string
}

// attackRoles has a learner, a manager and an author try to read and change what is another's, and to do what
// is an admin's, by every way that a request has.
func attackRoles(ctx context.Context, w *world) error {
	v, err := w.newVictim(ctx)
	if err != nil {
		return err
	}
	for _, role := range []string{"learner", "manager", "author"} {
		token := w.issuer.token("attacker-"+role, role)
		if a := w.sendAndCount(ctx, request{method: http.MethodGet, path: "/v1/learners/me", token: token}); a == nil || a.status != http.StatusOK {
			return fmt.Errorf("no attacker: %v", a)
		}
		w.everyRouteAbout(ctx, role, token, v)
		w.forbidden(ctx, role, token, v)
		w.sideways(ctx, role, token, v)
		w.keys(ctx, role, token, v)
	}
	w.drafts(ctx)
	return w.unharmed(ctx, v)
}

// field is a text of a JSON body.
func field(a *answer, name string) string {
	if a == nil {
		return ""
	}
	var tree map[string]any
	if json.Unmarshal(a.body, &tree) != nil {
		return ""
	}
	text, _ := tree[name].(string)
	return text
}

// newVictim makes a learner with a profile, an enrollment, events and a ticket.
func (w *world) newVictim(ctx context.Context) (*victim, error) {
	v := &victim{token: w.issuer.token("victim-"+secret, "learner"), eventID: uuid.NewString(), key: uuid.NewString()}
	step := func(method, path string, body any, headers ...string) *answer {
		r := request{method: method, path: path, token: v.token}
		if body != nil {
			r = r.asJSON(body)
		}
		for i := 0; i < len(headers); i += 2 {
			r = r.with(headers[i], headers[i+1])
		}
		return w.sendAndCount(ctx, r)
	}
	v.id = field(step(http.MethodGet, "/v1/learners/me", nil), "id")
	step(http.MethodPatch, "/v1/learners/me", map[string]any{"displayName": secret, "email": "secret@example.org"})
	v.enrollment = field(step(http.MethodPost, "/v1/learners/me/enrollments", map[string]any{"pathId": honestPath}, "Idempotency-Key", v.key), "id")
	var events []any
	for i := range 5 {
		e := w.progressed(uuid.NewString(), 0)
		if i == 0 {
			e["eventId"] = v.eventID
		}
		e["deviceId"] = secret
		events = append(events, e)
	}
	recorded := step(http.MethodPost, "/v1/learners/me/events:batch", map[string]any{"events": events})
	step(http.MethodPost, "/v1/learners/me/enrollments", map[string]any{"pathId": "clinical-ai-engineer"})
	list := step(http.MethodGet, "/v1/learners/me/enrollments?pageSize=1", nil)
	v.page = field(list, "nextPageToken")
	if got := step(http.MethodGet, "/v1/learners/me", nil); got != nil {
		v.etag = got.header.Get("ETag")
	}
	v.ticket = field(step(http.MethodPost, "/v1/learners/me/progress:watchTicket", map[string]any{}), "ticket")
	if v.id == "" || v.enrollment == "" || v.page == "" || v.etag == "" || v.ticket == "" || recorded == nil || strings.Count(string(recorded.body), "ACCEPTED") != 5 {
		return nil, fmt.Errorf("no whole victim: %+v, %v", v, recorded)
	}
	return v, nil
}

// leaks is at fault when a response has something of the victim's that the request had not.
func (w *world) leaks(role string, r request, a *answer, v *victim) {
	if a == nil {
		return
	}
	var headers strings.Builder
	_ = a.header.Write(&headers) // into memory
	all := string(a.body) + headers.String()
	sent := r.path + string(r.body)
	for _, part := range []string{secret, v.enrollment, v.eventID, "secret@example.org"} {
		if strings.Contains(all, part) && !strings.Contains(sent, part) {
			w.tally.faultf("%s %s as %s shows %q: %.200q", r.method, r.path, role, part, all)
		}
	}
}

// everyRouteAbout asks every route about the victim, whose id is spelled in several ways.
func (w *world) everyRouteAbout(ctx context.Context, role, token string, v *victim) {
	g := &generator{dice: w.dice, module: honestModule, path: honestPath}
	for _, r := range rpcs() {
		if r.method == "" || !r.aboutWhom || !strings.Contains(r.path, "{learner_id}") {
			continue
		}
		for _, id := range []string{v.id, strings.ToUpper(v.id), "%20" + v.id, v.id + "%00", "me%2f..%2f" + v.id, "me/../" + v.id, strings.ReplaceAll(v.id, "-", "%2d")} {
			req := request{method: r.method, token: token, path: r.at(map[string]string{
				"learner_id": id, "module_id": honestModule, "path_id": honestPath, "enrollment_id": v.enrollment, "award_id": noID,
			})}
			if r.body != "" {
				req = req.asJSON(g.bodyOf(r))
			}
			a := w.sendHeadAndCount(ctx, req)
			if a != nil && a.status < http.StatusBadRequest && a.status != http.StatusMovedPermanently && a.status != http.StatusTemporaryRedirect {
				w.tally.faultf("a %s, %s %s: %d", role, r.method, req.path, a.status)
			}
			w.leaks(role, req, a, v)
		}
	}
}

// forbidden are requests that a role refuses whatever they are about.
func (w *world) forbidden(ctx context.Context, role, token string, v *victim) {
	requests := []request{
		{method: http.MethodGet, path: "/v1/learners"},
		{method: http.MethodGet, path: "/v1/learners?q=" + secret},
		{method: http.MethodGet, path: "/v1/learners?orderBy=displayName"},
		{method: http.MethodGet, path: "/v1/audit?service=progress"},
		{method: http.MethodGet, path: "/v1/audit?service=catalog&learner=" + v.id},
		request{method: http.MethodPost, path: "/v1/learners"}.asJSON(map[string]any{"displayName": "x"}),
		request{method: http.MethodPost, path: "/v1/progress:verify"}.asJSON(map[string]any{"learnerId": v.id}),
		request{method: http.MethodPost, path: "/v1/progress:rebuild"}.asJSON(map[string]any{"learnerId": v.id}),
		request{method: http.MethodPost, path: "/v1/paths/" + honestPath + "/versions/1:mandate"}.asJSON(map[string]any{"reason": "x"}),
		request{method: http.MethodPost, path: "/v1/paths/" + honestPath + "/versions/1:withdrawMandate"}.asJSON(map[string]any{"reason": "x"}),
	}
	if role != "author" {
		requests = append(requests,
			request{method: http.MethodGet, path: "/v1/catalog:export"},
			request{method: http.MethodPost, path: "/v1/catalog:import"}.asJSON(map[string]any{"modules": []any{}}),
			request{method: http.MethodPatch, path: "/v1/modules/" + honestModule}.asJSON(map[string]any{"title": "x"}),
			request{method: http.MethodPost, path: "/v1/modules/" + honestModule + ":archive"}.asJSON(map[string]any{}),
			request{method: http.MethodDelete, path: "/v1/paths/" + honestPath},
		)
	}
	for _, r := range requests {
		r.token = token
		a := w.sendHeadAndCount(ctx, r)
		if a != nil && a.status != http.StatusForbidden && a.status != http.StatusBadRequest {
			w.tally.faultf("a %s, %s %s: %d", role, r.method, r.path, a.status)
		}
		w.leaks(role, r, a, v)
	}
}

// sideways uses what belongs to the victim's requests in the attacker's own.
func (w *world) sideways(ctx context.Context, role, token string, v *victim) {
	for _, r := range []request{
		{method: http.MethodGet, path: "/v1/learners/me/enrollments?pageSize=1&pageToken=" + v.page},
		{method: http.MethodGet, path: "/v1/learners/me/enrollments/" + v.enrollment},
		{method: http.MethodGet, path: "/v1/learners/me?learnerId=" + v.id},
		{method: http.MethodGet, path: "/v1/learners/me/events?learner_id=" + v.id},
		request{method: http.MethodGet, path: "/v1/learners/me"}.with("If-None-Match", v.etag),
		request{method: http.MethodGet, path: "/v1/learners/me"}.with("X-Learner-Id", v.id),
		request{method: http.MethodGet, path: "/v1/learners/me"}.with("Grpc-Metadata-Learner-Id", v.id),
		request{method: http.MethodGet, path: "/v1/learners/me"}.with("X-Forwarded-User", "victim"),
		request{method: http.MethodPatch, path: "/v1/learners/me"}.asJSON(map[string]any{"id": v.id, "email": "mine@example.org"}),
		request{method: http.MethodPatch, path: "/v1/learners/me"}.asJSON(map[string]any{"subjects": []any{map[string]any{"issuer": localName, "subject": "victim-" + secret}}}),
		request{method: http.MethodPost, path: "/v1/learners/me/events:batch"}.asJSON(map[string]any{"learnerId": v.id, "events": []any{}}),
		request{method: http.MethodPost, path: "/v1/learners/me/events:batch"}.asJSON(map[string]any{"events": []any{w.progressed(v.eventID, 0)}}),
		request{method: http.MethodPost, path: "/v1/learners/me/events:batch"}.asJSON(map[string]any{"events": []any{map[string]any{
			"eventId": uuid.NewString(), "verb": "VOIDED", "voidsEventId": v.eventID, "reason": "x", "occurredAt": "2026-01-01T00:00:00Z", "deviceId": "d",
		}}}),
		request{method: http.MethodPost, path: "/v1/learners/me/enrollments"}.asJSON(map[string]any{"pathId": honestPath, "learnerId": v.id}),
		// A ticket is about the victim alone.
		{method: http.MethodGet, path: "/v1/learners/me/events?ticket=" + v.ticket},
	} {
		r.token = token
		a := w.sendAndCount(ctx, r)
		if a == nil {
			continue
		}
		w.leaks(role, r, a, v)
		if a.status == http.StatusNotModified {
			w.tally.faultf("a %s has the etag of another", role)
		}
	}
}

// keys sends the key of the victim's request with the same body.
func (w *world) keys(ctx context.Context, role, token string, v *victim) {
	r := request{method: http.MethodPost, path: "/v1/learners/me/enrollments", token: token}.asJSON(map[string]any{"pathId": honestPath}).with("Idempotency-Key", v.key)
	a := w.sendAndCount(ctx, r)
	if a == nil {
		return
	}
	if a.header.Get("Idempotency-Replayed") != "" || a.status != http.StatusCreated {
		w.tally.faultf("a %s uses the key of another: %d %s", role, a.status, a.body)
	}
	w.leaks(role, r, a, v)
}

// drafts looks for what an author has not published yet in all that a learner reads of the catalog.
func (w *world) drafts(ctx context.Context) {
	author, learner := w.issuer.token("draft-author", "author"), w.issuer.token("draft-learner", "learner", "manager")
	const draft = "draft-of-nobody"
	for _, r := range []request{
		request{method: http.MethodPost, path: "/v1/modules?moduleId=" + draft}.asJSON(map[string]any{"topic": "draft-topic", "title": draft, "units": []any{map[string]any{"id": "u", "title": draft, "kind": "READING"}}}),
		request{method: http.MethodPost, path: "/v1/paths?pathId=" + draft}.asJSON(map[string]any{"title": draft}),
	} {
		r.token = author
		if a := w.sendAndCount(ctx, r); a == nil || a.status != http.StatusCreated {
			w.tally.faultf("no draft: %v", a)
		}
	}
	for _, path := range []string{
		"/v1/modules?pageSize=200", "/v1/modules?q=draft", "/v1/modules?ids=" + draft, "/v1/modules?state=DRAFT", "/v1/modules?topic=draft-topic", "/v1/modules?orderBy=title&includeTotal=true", "/v1/topics",
		"/v1/modules/" + draft, "/v1/modules/" + draft + "/versions", "/v1/modules/" + draft + "/versions/1", "/v1/paths?pageSize=200", "/v1/paths?ids=" + draft, "/v1/paths?q=draft", "/v1/paths/" + draft,
		"/v1/paths/" + draft + "/versions", "/v1/catalog/changes?pageSize=500", "/v1/catalog:export", "/v1/learners/me/modules/" + draft + "/progress", "/v1/learners/me/recommendedPaths",
	} {
		a := w.sendAndCount(ctx, request{method: http.MethodGet, path: path, token: learner})
		if a == nil {
			continue
		}
		if a.status < http.StatusBadRequest && (strings.Contains(string(a.body), draft) || strings.Contains(string(a.body), "draft-topic") || strings.Contains(string(a.body), "Honest work ")) {
			w.tally.faultf("a learner sees a draft at %s: %.200q", path, a.body)
		}
	}
}

// unharmed looks whether the victim has all that it had.
func (w *world) unharmed(ctx context.Context, v *victim) error {
	get := func(path string) string {
		a := w.sendAndCount(ctx, request{method: http.MethodGet, path: path, token: v.token})
		if a == nil || a.status != http.StatusOK {
			w.tally.faultf("the victim's %s: %v", path, a)
			return ""
		}
		return string(a.body)
	}
	if me := get("/v1/learners/me"); !strings.Contains(me, secret) || !strings.Contains(me, "secret@example.org") {
		w.tally.faultf("the victim's profile was changed: %s", me)
	}
	if log := get("/v1/learners/me/events?pageSize=500"); strings.Count(log, `"eventId"`) != 5 {
		w.tally.faultf("the victim's log was changed: %s", log)
	}
	if enrollment := get("/v1/learners/me/enrollments/" + v.enrollment); !strings.Contains(enrollment, `"ACTIVE"`) {
		w.tally.faultf("the victim's enrollment was changed: %s", enrollment)
	}
	// The ticket is still good: nobody else has used it.
	if a := w.sendHeadAndCount(ctx, request{method: http.MethodGet, path: "/v1/learners/" + v.id + "/progress:watch?ticket=" + v.ticket}); a != nil && a.status != http.StatusOK {
		w.tally.faultf("the victim's ticket: %d", a.status)
	}
	return nil
}
