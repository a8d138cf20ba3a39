package e2e

import (
	"bytes"
	"encoding/json"
	"net/http"
	"testing"
)

// testArchivedPath archives a path, which new learners then cannot enroll in, and restores it.
func testArchivedPath(t *testing.T, w *world) {
	author, me := w.as(t, "author", "author"), w.as(t, "old-path-learner")
	c := publishCourse(t, author, "old-path")
	archived := author.post("/v1/paths/"+c.path+":archive", map[string]any{}).want(http.StatusOK).has("state", "ARCHIVED")
	author.post("/v1/paths/"+c.path+":restore", map[string]any{"etag": "other"}).problem(http.StatusPreconditionFailed, "ETAG_MISMATCH")
	me.post("/v1/learners/me/enrollments", map[string]any{"pathId": c.path}).problem(http.StatusBadRequest, "PATH_ARCHIVED")
	author.post("/v1/paths/"+c.path+":restore", map[string]any{"etag": archived.text("etag")}).want(http.StatusOK).has("state", "ACTIVE")
	made := me.post("/v1/learners/me/enrollments", map[string]any{"pathId": c.path}).want(http.StatusCreated)
	if etag := made.header.Get("ETag"); etag != `"`+made.text("etag")+`"` {
		t.Errorf("the enrollment's ETag is %s, its etag %s", etag, made.text("etag"))
	}
	at := made.header.Get("Location")
	paused := me.patch(at, map[string]any{"state": "PAUSED"}, "If-Match", made.header.Get("ETag")).want(http.StatusOK).has("state", "PAUSED")
	if etag := paused.header.Get("ETag"); etag != `"`+paused.text("etag")+`"` || etag == made.header.Get("ETag") {
		t.Errorf("the paused enrollment's ETag is %s, its etag %s", etag, paused.text("etag"))
	}
}

// testLines reads the replays of one learner's log, each a stream of lines of JSON.
func testLines(t *testing.T, w *world) {
	admin, me := w.as(t, "lines-admin", "admin"), w.as(t, "lines-learner")
	c := publishCourse(t, w.as(t, "author", "author"), "lines")
	enroll(me, c)
	me.record(c.basicsDone()...)
	for _, path := range []string{"/v1/progress:verify", "/v1/progress:rebuild"} {
		a := admin.post(path, map[string]any{"learnerId": me.id()}).want(http.StatusOK)
		if kind := a.header.Get("Content-Type"); kind != "application/x-ndjson" {
			t.Errorf("%s: content type %s", path, kind)
		}
		finished := false
		for line := range bytes.Lines(a.body) {
			var l any
			if err := json.Unmarshal(line, &l); err != nil && len(bytes.TrimSpace(line)) > 0 {
				t.Fatalf("%s: %v: %s", path, err, line)
			}
			finished = finished || dig(l, "result.status.finished") == true
		}
		if !finished {
			t.Errorf("%s does not finish: %s", path, a.body)
		}
	}
}
