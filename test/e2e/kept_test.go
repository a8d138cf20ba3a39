package e2e

import (
	"net/http"
	"testing"
)

// kept reads twice, so that the gateway keeps the answer and writes it again, and returns the second response. Other
// tests publish in the meantime, which makes another answer, so it may take more than one go.
func (c *client) kept(path string) (again *response) {
	c.t.Helper()
	eventually(c.t, path+" is unchanged", func() bool {
		first := c.get(path).want(http.StatusOK)
		again = c.get(path).want(http.StatusOK)
		same := again.header.Get("ETag") == first.header.Get("ETag")
		if same && string(again.body) != string(first.body) {
			c.t.Errorf("%s: %s, and then %s", path, first.body, again.body)
		}
		return same
	})
	return again
}

// testKept: an answer that the gateway has kept is not written any more after a write, a void, a publication, an
// archive, or an edit; and to nobody whose answer is another.
func testKept(t *testing.T, w *world) {
	author, admin := w.as(t, "author", "author"), w.as(t, "kept-admin", "admin")
	c := publishCourse(t, author, "kept")
	me, other := w.as(t, "kept-learner"), w.as(t, "kept-other")
	enroll(me, c)
	at := "/v1/learners/me/paths/" + c.path + "/progress"
	me.kept(at).has("percent", 0)
	done := c.basicsDone()
	me.record(done...)
	me.kept(at).has("percent", 50)
	mistake, _ := done[1].(map[string]any)
	admin.post("/v1/learners/"+me.id()+"/events:batch", map[string]any{"events": []any{voidOf(mistake, "somebody else did it")}}).want(http.StatusOK)
	if a := me.get(at).want(http.StatusOK); a.get("percent") == 50.0 {
		t.Errorf("after a void: %s", a.body)
	}
	other.get(at).problem(http.StatusNotFound, "NOT_ENROLLED")
	admin.get("/v1/learners/"+other.id()+"/paths/"+c.path+"/progress").problem(http.StatusNotFound, "NOT_ENROLLED")
	other.get("/v1/learners/"+me.id()+"/paths/"+c.path+"/progress").problem(http.StatusForbidden, "NOT_YOUR_DATA")

	me.kept("/v1/learners/me").has("displayName", "")
	me.patch("/v1/learners/me", map[string]any{"displayName": "Kim"}).want(http.StatusOK)
	me.kept("/v1/learners/me").has("displayName", "Kim")
	if a := other.kept("/v1/learners/me"); a.text("displayName") == "Kim" {
		t.Errorf("to another: %s", a.body)
	}

	module, list := "/v1/modules/"+c.basics, "/v1/modules?ids="+c.basics
	me.kept(module)
	author.kept(module)
	author.patch(module, map[string]any{"title": "The basics, anew"}).want(http.StatusOK)
	author.kept(module).has("draft.title", "The basics, anew")
	w.as(t, "kept-learner", "author").kept(module).has("draft.title", "The basics, anew") // the same person, with a role
	if a := me.kept(module); a.get("draft") != nil || a.text("version.title") != "The basics" {
		t.Errorf("a reader sees a draft: %s", a.body)
	}
	if n := len(me.kept(list).list("modules")); n != 1 {
		t.Errorf("%d modules", n)
	}
	author.post(module+":publish", map[string]any{"changeClass": "EDITORIAL"}).want(http.StatusOK)
	me.kept(module).has("version.title", "The basics, anew")
	me.kept(list).has("modules.0.version.title", "The basics, anew")
	other.get(list).has("modules.0.version.title", "The basics, anew")
	author.post(module+":archive", map[string]any{}).want(http.StatusOK)
	me.get(module).has("state", "ARCHIVED")
	if n := len(me.get(list).want(http.StatusOK).list("modules")); n != 0 {
		t.Errorf("after the archive: %d modules", n)
	}
}
