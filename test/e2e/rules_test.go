package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// daysAgo is a time of the past, as a device writes it.
func daysAgo(days int) string {
	return testenv.Now().Add(-time.Duration(days) * 24 * time.Hour).UTC().Format(time.RFC3339)
}

// testNotes sends events that are stored and do not count, each answered with why.
func testNotes(t *testing.T, w *world) {
	author, me, admin := w.as(t, "author", "author"), w.as(t, "notes-learner"), w.as(t, "notes-admin", "admin")
	c := publishCourse(t, author, "notes")
	var past []any
	for _, unit := range []string{"phi", "rules"} {
		past = append(past, event(c.basics, unit, "COMPLETED", "occurredAt", daysAgo(30), "reason", "seen in class"))
	}
	admin.post("/v1/learners/"+me.id()+"/events:batch", map[string]any{"events": past}).want(http.StatusOK).
		has("results.0.status", "ACCEPTED", "results.1.status", "ACCEPTED", "results.1.note", "<none>")
	current := me.get("/v1/learners/me/modules/"+c.basics+"/progress").want(http.StatusOK).has("state", "COMPLETED", "credit", "LEARNED")
	again := event(c.basics, "phi", "COMPLETED")
	for _, status := range []string{"ACCEPTED", "DUPLICATE"} {
		me.record(again).has("results.0.status", status, "results.0.note.code", "RENEWAL_EARLY",
			"results.0.note.time", current.text("currency.windowOpenTime"))
	}
	if late := me.get("/v1/learners/me/events").want(http.StatusOK).has("events.2.lateBy", "<none>").text("events.0.lateBy"); !strings.HasPrefix(late, "P30D") {
		t.Errorf("what was 30 days ago is late by %q", late)
	}
	// Done again in full, it is a renewal, though an early one.
	me.record(event(c.basics, "rules", "COMPLETED")).has("results.0.status", "ACCEPTED", "results.0.note", "<none>")
	me.record(again).has("results.0.status", "DUPLICATE", "results.0.note", "<none>")
	me.get("/v1/learners/me/modules/"+c.basics+"/progress").want(http.StatusOK).has("cycles.1.opening", "RENEWAL", "cycles.2", "<none>")

	archived := author.post("/v1/modules/"+c.quiz+":archive", map[string]any{}).want(http.StatusOK).text("archiveTime")
	me.record(event(c.quiz, "read", "COMPLETED")).has("results.0.status", "ACCEPTED", "results.0.note.code", "ARCHIVED", "results.0.note.time", archived)
}

// testDeviceClock sends events of a device whose clock is two days ahead, and says so.
func testDeviceClock(t *testing.T, w *world) {
	c := publishCourse(t, w.as(t, "author", "author"), "device-clock")
	me := w.as(t, "device-clock-learner")
	ahead := testenv.Now().Add(48 * time.Hour).UTC()
	read := event(c.basics, "phi", "COMPLETED", "occurredAt", ahead.Add(-time.Hour).Format(time.RFC3339))
	batch := map[string]any{"events": []any{read}, "sentAt": ahead.Format(time.RFC3339)}
	me.post("/v1/learners/me/events:batch", batch).want(http.StatusOK).has("results.0.status", "ACCEPTED")
	// It was an hour ago, and the module has been published since.
	published := me.get("/v1/modules/" + c.basics).want(http.StatusOK).text("version.publishTime")
	me.get("/v1/learners/me/events").want(http.StatusOK).
		has("events.0.effectiveAt", published, "events.0.effectiveAtAdjusted", true, "events.0.event.occurredAt", read["occurredAt"])
	batch["sentAt"] = ahead.Add(time.Hour).Format(time.RFC3339)
	me.post("/v1/learners/me/events:batch", batch).want(http.StatusOK).has("results.0.status", "DUPLICATE")
	for sent, reason := range map[any]string{"noon": "MALFORMED", 12: "INVALID_TYPE", "1969-12-31T23:59:59Z": "OUT_OF_RANGE"} {
		batch["sentAt"] = sent
		me.post("/v1/learners/me/events:batch", batch).problem(http.StatusBadRequest, "INVALID_ARGUMENT").violates("sentAt", reason)
	}
}

// testZones keeps the zone that each event happened in, whatever the learner's is later.
func testZones(t *testing.T, w *world) {
	c := publishCourse(t, w.as(t, "author", "author"), "zones")
	me := w.as(t, "zones-learner")
	me.patch("/v1/learners/me", map[string]any{"timeZone": "America/New_York"}).want(http.StatusOK)
	me.record(
		event(c.basics, "phi", "COMPLETED"),
		event(c.basics, "rules", "COMPLETED", "timeZone", "Asia/Tokyo"),
		event(c.basics, "extra", "COMPLETED", "timeZone", "Mars/Olympus"),
	).has("results.0.status", "ACCEPTED", "results.1.status", "ACCEPTED", "results.2.reason", "MALFORMED")
	me.patch("/v1/learners/me", map[string]any{"timeZone": "Europe/Berlin"}).want(http.StatusOK)
	me.get("/v1/learners/me/events").want(http.StatusOK).has(
		"events.0.timeZone", "America/New_York", "events.0.event.timeZone", "", "events.1.timeZone", "Asia/Tokyo", "events.1.event.timeZone", "Asia/Tokyo")
	me.get("/v1/learners/me/progress").want(http.StatusOK).has("streak.timeZone", "Europe/Berlin")
}

// testExcused archives a module of a path, which then is asked for no more, and restores it.
func testExcused(t *testing.T, w *world) {
	author, me := w.as(t, "author", "author"), w.as(t, "excused-learner")
	c := publishCourse(t, author, "excused")
	both := course{path: "excused-both"}
	author.post("/v1/paths?pathId="+both.path, map[string]any{"title": "Both", "milestones": []any{
		map[string]any{"id": "both", "title": "Both", "groups": []any{map[string]any{"moduleIds": []string{c.basics, c.quiz}}}},
	}}).want(http.StatusCreated)
	author.post("/v1/paths/"+both.path+":publish", map[string]any{}).want(http.StatusOK)
	enroll(me, c)
	enroll(me, both)
	me.record(c.basicsDone()...)
	archived := author.post("/v1/modules/"+c.quiz+":archive", map[string]any{}).want(http.StatusOK).text("archiveTime")

	at := "/v1/learners/me/paths/" + c.path + "/progress"
	me.get(at).want(http.StatusOK).has("state", "COMPLETED", "percent", 100, "requiredCount", 1, "next", "[]", "milestones.1.percent", "<none>").
		has("milestones.1.modules.0.excused.reason", "ARCHIVED", "milestones.1.modules.0.excused.since", archived)
	me.get(at+":explain").want(http.StatusOK).
		has("milestones.1.groups.0.modules.0.rule", "EXCUSED", "milestones.1.groups.0.modules.0.excused.reason", "ARCHIVED")
	me.get("/v1/learners/me/modules/"+c.quiz+"/progress").want(http.StatusOK).has("excused.reason", "ARCHIVED", "state", "AVAILABLE", "credit", "<none>")
	// The award of the other path rests on an archiving that may be taken back within the hour.
	at = "/v1/learners/me/paths/" + both.path + "/progress"
	me.get(at).want(http.StatusOK).has("percent", 100, "milestones.0.award.provisional", true)
	me.get("/v1/learners/me/awards").want(http.StatusOK).has("awards.0.milestoneId", "begin", "awards.1", "<none>")
	author.post("/v1/modules/"+c.quiz+":restore", map[string]any{}).want(http.StatusOK)
	me.get(at).want(http.StatusOK).has("percent", 50, "previousPercent", "<none>", "milestones.0.award", "<none>", "milestones.0.modules.1.excused", "<none>")

	author.post("/v1/modules/"+c.basics+":archive", map[string]any{}).want(http.StatusOK)
	author.post("/v1/modules/"+c.quiz+":archive", map[string]any{}).want(http.StatusOK)
	late := w.as(t, "excused-late")
	enroll(late, c)
	late.get("/v1/learners/me/paths/"+c.path+"/progress").want(http.StatusOK).has("state", "NOT_APPLICABLE", "percent", "<none>", "requiredCount", 0)
	late.get("/v1/learners/me/enrollments").want(http.StatusOK).has("enrollments.0.state", "NOT_APPLICABLE", "nextPageToken", "")
}

// testCredit completes a module by what stands for it; the path names what is outside of it and opens it.
func testCredit(t *testing.T, w *world) {
	author, me := w.as(t, "author", "author"), w.as(t, "credit-learner")
	c := publishCourse(t, author, "credit")
	successor := course{basics: "credit-successor", path: "credit-after"}
	content := basicsContent("The basics, anew")
	content["credits"] = []any{map[string]any{"moduleIds": []string{c.basics}}}
	author.post("/v1/modules?moduleId="+successor.basics, content).want(http.StatusCreated)
	author.post("/v1/modules/"+successor.basics+":publish", map[string]any{}).want(http.StatusOK)
	author.post("/v1/paths?pathId="+successor.path, map[string]any{"title": "After", "milestones": []any{
		map[string]any{"id": "after", "title": "After", "groups": []any{map[string]any{"moduleIds": []string{c.quiz, successor.basics}}}},
	}}).want(http.StatusCreated)
	author.post("/v1/paths/"+successor.path+":publish", map[string]any{}).want(http.StatusOK)
	enroll(me, successor)
	at := "/v1/learners/me/paths/" + successor.path + "/progress"
	me.get(at).want(http.StatusOK).has("next.1.reason", "PREREQUISITE", "next.1.moduleId", c.basics, "next.1.unitId", "phi")

	me.record(c.basicsDone()...)
	me.get("/v1/learners/me/modules/"+c.basics+"/progress").want(http.StatusOK).has("credit", "LEARNED", "restsOn", "[]")
	me.get(at).want(http.StatusOK).has("percent", 50, "next.1", "<none>", "milestones.0.modules.1.credit", "EQUIVALENCE",
		"milestones.0.modules.1.restsOn.0.moduleId", c.basics, "milestones.0.modules.1.restsOn.0.cycle", 1)
}

// mistyped is an id with another last digit.
func mistyped(id string) string {
	last := "0"
	if strings.HasSuffix(id, last) {
		last = "1"
	}
	return id[:len(id)-1] + last
}

// TestUnknownLearnerWithoutProfile stops the service that knows all learners: the others go on with those whom
// they have met, and take nothing for anybody else.
func TestUnknownLearnerWithoutProfile(t *testing.T) {
	t.Parallel()
	w := fourProcesses(t)
	c := publishCourse(t, w.as(t, "author", "author"), "away")
	me, admin := w.as(t, "away-learner"), w.as(t, "away-admin", "admin")
	waiver := map[string]any{"events": []any{event(c.basics, "", "WAIVED", "reason", "has done the like elsewhere")}}
	known := "/v1/learners/" + me.id()
	unknown := mistyped(known)
	me.record()
	admin.post(unknown+"/events:batch", waiver).problem(http.StatusNotFound, "LEARNER_NOT_FOUND")
	w.all[2].kill()
	admin.post(unknown+"/events:batch", waiver).problem(http.StatusServiceUnavailable, "UPSTREAM_UNAVAILABLE")
	admin.post(unknown+"/enrollments", map[string]any{"pathId": c.path}).problem(http.StatusServiceUnavailable, "UPSTREAM_UNAVAILABLE")
	admin.get(unknown+"/progress").problem(http.StatusServiceUnavailable, "UPSTREAM_UNAVAILABLE")
	admin.post(known+"/events:batch", waiver).want(http.StatusOK).has("results.0.status", "ACCEPTED")
	admin.get(known+"/modules/"+c.basics+"/progress").want(http.StatusOK).has("credit", "WAIVER")
}

// testUnknownLearner mistypes a learner's id: nothing is filed under the wrong one.
func testUnknownLearner(t *testing.T, w *world) {
	c := publishCourse(t, w.as(t, "author", "author"), "nobody")
	me, admin := w.as(t, "nobody-learner"), w.as(t, "nobody-admin", "admin")
	of := "/v1/learners/" + mistyped(me.id())
	waiver := event(c.basics, "", "WAIVED", "reason", "has done the like elsewhere")
	for path, body := range map[string]any{
		"/events:batch":                     map[string]any{"events": []any{waiver}},
		"/enrollments":                      map[string]any{"pathId": c.path},
		"/awards/" + newID() + ":revoke":    map[string]any{"reason": "forged"},
		"/awards/" + newID() + ":reinstate": map[string]any{"reason": "genuine"},
	} {
		admin.post(of+path, body).problem(http.StatusNotFound, "LEARNER_NOT_FOUND")
	}
	admin.post(of+"/events:batch", map[string]any{"events": []any{}}).problem(http.StatusNotFound, "LEARNER_NOT_FOUND")
	admin.patch(of+"/enrollments/"+newID(), map[string]any{"state": "PAUSED"}).problem(http.StatusNotFound, "LEARNER_NOT_FOUND")
	for _, path := range []string{
		"/progress", "/events", "/enrollments", "/enrollments/" + newID(), "/awards", "/paths/" + c.path + "/progress",
		"/paths/" + c.path + "/progress:explain", "/modules/" + c.basics + "/progress", "/progress:watch",
	} {
		admin.get(of+path).problem(http.StatusNotFound, "LEARNER_NOT_FOUND")
	}
	// The right one has not signed in to progress before, and is known all the same.
	admin.post("/v1/learners/"+me.id()+"/events:batch", map[string]any{"events": []any{waiver}}).want(http.StatusOK).has("results.0.status", "ACCEPTED")
}
