package e2e

import (
	"net/http"
	"testing"
)

// testExplain asks why a percent is what it is, after a void and a waiver.
func testExplain(t *testing.T, w *world) {
	c := publishCourse(t, w.as(t, "author", "author"), "golden-explain")
	me, admin := w.as(t, "explain-learner"), w.as(t, "explain-admin", "admin")
	id := me.id()
	at := "/v1/learners/me/paths/" + c.path + "/progress"
	me.get(at+":explain").problem(http.StatusNotFound, "NOT_ENROLLED")
	me.post("/v1/learners/me/enrollments", map[string]any{"pathId": c.path}).want(http.StatusCreated)
	me.get(at+":explain").want(http.StatusOK).has(
		"percent", 0, "milestones.1.groups.0.modules.0.rule", "MODULE_LOCKED", "milestones.1.groups.0.modules.0.moduleIds.0", c.basics)

	wrong := event(c.basics, "phi", "COMPLETED")
	me.record(wrong, event(c.basics, "rules", "COMPLETED"), event(c.quiz, "quiz", "FAILED", "score", 0.7)).has("awards.0.milestoneId", "begin")
	void := voidOf(wrong, "Recorded for the wrong person.")
	waiver := event(c.quiz, "read", "WAIVED", "reason", "Has read it elsewhere.")
	admin.post("/v1/learners/"+id+"/events:batch", map[string]any{"events": []any{void, waiver}}).want(http.StatusOK).
		has("results.0.status", "ACCEPTED", "results.1.status", "ACCEPTED")

	why := me.get(at + ":explain").want(http.StatusOK).golden("explanation")
	is := me.get(at).want(http.StatusOK)
	why.has("percent", is.get("percent"), "asOfSequence", is.get("asOfSequence"), "previousPercent", is.get("previousPercent"),
		"milestones.0.groups.0.modules.0.uncounted.0.eventId", wrong["eventId"])
	eventually(t, "the explanation is as before", func() bool { // others publish meanwhile, and it names the catalog's revision
		etag := me.get(at + ":explain").want(http.StatusOK).header.Get("ETag")
		return etag != "" && me.get(at+":explain", "If-None-Match", etag).status == http.StatusNotModified
	})
	admin.get("/v1/learners/"+id+"/paths/"+c.path+"/progress:explain").want(http.StatusOK).has("percent", is.get("percent"))
	w.as(t, "explain-other").get("/v1/learners/"+id+"/paths/"+c.path+"/progress:explain").problem(http.StatusForbidden, "NOT_YOUR_DATA")
}
