package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// audited returns the reasons of the entries in a service's chain whose resource is the given one, by action.
func audited(admin *client, service, resource string) map[string]string {
	admin.t.Helper()
	found := map[string]string{}
	for after := "0"; ; {
		page := admin.get("/v1/audit?service=" + service + "&pageSize=500&afterSequence=" + after).want(http.StatusOK)
		for _, e := range page.list("entries") {
			if plain(dig(e, "resource")) == resource {
				found[plain(dig(e, "action"))] = plain(dig(e, "reason"))
			}
		}
		if after = page.text("nextAfterSequence"); after == page.text("headSequence") {
			return found
		}
	}
}

// testRevoke takes an award back, which leaves it in the log, the audit and the list of awards and
// nowhere else, and gives it back again.
func testRevoke(t *testing.T, w *world) {
	c := publishCourse(t, w.as(t, "author", "author"), "revoke")
	me, admin := w.as(t, "revoke-learner"), w.as(t, "revoke-admin", "admin")
	enroll(me, c)
	award := me.record(c.basicsDone()...).has("awards.0.number", 1, "awards.0.state", "ACTIVE").text("awards.0.id")
	awards, path := "/v1/learners/"+me.id()+"/awards/", "/v1/learners/me/paths/"+c.path+"/progress"
	revoke, reinstate := awards+award+":revoke", awards+award+":reinstate"
	why := map[string]any{"reason": "the certificate was forged"}
	me.post(revoke, why).problem(http.StatusForbidden, "ROLE_REQUIRED")
	me.post(reinstate, why).problem(http.StatusForbidden, "ROLE_REQUIRED")
	for _, verb := range []string{":revoke", ":reinstate"} {
		admin.post(awards+award+verb, map[string]any{}).problem(http.StatusBadRequest, "INVALID_ARGUMENT").violates("reason", "REQUIRED")
		admin.post(awards+newID()+verb, why).problem(http.StatusNotFound, "AWARD_NOT_FOUND")
	}
	admin.post(reinstate, why).problem(http.StatusConflict, "AWARD_NOT_REVOKED")
	admin.post(revoke, why).want(http.StatusOK).has("id", award, "state", "REVOKED", "reason", why["reason"])
	admin.post(revoke, why).problem(http.StatusBadRequest, "AWARD_REVOKED")
	me.get("/v1/learners/me/awards").want(http.StatusOK).has("awards.0.id", award, "awards.0.state", "REVOKED", "awards.0.reason", why["reason"], "awards.1", "<none>")
	me.get(path).want(http.StatusOK).has("milestones.0.percent", 100, "milestones.0.award", "<none>")

	because := map[string]any{"reason": "it was genuine"}
	admin.post(reinstate, because).want(http.StatusOK).has("id", award, "state", "ACTIVE", "reason", "<none>", "revokeTime", "<none>")
	me.get(path).want(http.StatusOK).has("milestones.0.award.id", award)
	me.get("/v1/learners/me/events?afterSequence=3").want(http.StatusOK).
		has("events.0.type", "REVOKED", "events.0.reason", why["reason"], "events.0.actor", admin.id(), "events.0.awards.0.id", award).
		has("events.1.type", "REINSTATED", "events.1.reason", because["reason"], "events.1.awards.0.state", "ACTIVE")
	if got := audited(admin, "progress", "learners/"+me.id()+"/awards/"+award); got["AWARD_REVOKED"] != why["reason"] || got["AWARD_REINSTATED"] != because["reason"] {
		t.Errorf("the audit has %v", got)
	}

	enroll(admin, c)
	own := "/v1/learners/" + admin.id() + "/awards/" + admin.record(c.basicsDone()...).text("awards.0.id")
	admin.post(own+":revoke", why).problem(http.StatusForbidden, "ABOUT_ONESELF")
	w.as(t, "revoke-other", "admin").post(own+":revoke", why).want(http.StatusOK)
	admin.post(own+":reinstate", why).problem(http.StatusForbidden, "ABOUT_ONESELF")
}

// testEarnedAnew revokes an award that rested on a mistake, and lets the learner earn it in earnest.
func testEarnedAnew(t *testing.T, w *world) {
	c := publishCourse(t, w.as(t, "author", "author"), "anew")
	me, admin := w.as(t, "anew-learner"), w.as(t, "anew-admin", "admin")
	enroll(me, c)
	mistake := event(c.basics, "phi", "COMPLETED")
	first := me.record(mistake, event(c.basics, "rules", "COMPLETED")).text("awards.0.id")
	awards, why := "/v1/learners/"+me.id()+"/awards/", map[string]any{"reason": "somebody else did it"}
	admin.post(awards+first+":revoke", why).want(http.StatusOK)
	admin.post("/v1/learners/"+me.id()+"/events:batch", map[string]any{"events": []any{voidOf(mistake, "somebody else did it")}}).
		want(http.StatusOK).has("results.0.status", "ACCEPTED")
	second := me.record(event(c.basics, "phi", "COMPLETED")).has("awards.0.number", 2, "awards.0.state", "ACTIVE").text("awards.0.id")
	if second == first {
		t.Errorf("award %s is its own successor", first)
	}
	me.get("/v1/learners/me/paths/"+c.path+"/progress").want(http.StatusOK).has("milestones.0.award.id", second)
	admin.post(awards+first+":reinstate", why).problem(http.StatusConflict, "LATER_AWARD")
	admin.post(awards+second+":revoke", why).want(http.StatusOK)
	admin.post(awards+first+":reinstate", why).want(http.StatusOK).has("number", 1, "state", "ACTIVE")
	me.get("/v1/learners/me/paths/"+c.path+"/progress").want(http.StatusOK).has("milestones.0.award.id", first)
	me.get("/v1/learners/me/awards").want(http.StatusOK).has("awards.0.state", "ACTIVE", "awards.1.state", "REVOKED", "awards.2", "<none>")
}

// testAudited waives, voids and records for another learner, each with an audit entry.
func testAudited(t *testing.T, w *world) {
	c := publishCourse(t, w.as(t, "author", "author"), "admin-events")
	me, admin := w.as(t, "admin-events-learner"), w.as(t, "admin-events-admin", "admin")
	own := event(c.basics, "phi", "COMPLETED")
	me.record(own).has("results.0.status", "ACCEPTED")
	for _, sent := range []struct {
		action string
		event  map[string]any
	}{
		{"EVENT_RECORDED_FOR_LEARNER", event(c.basics, "rules", "COMPLETED", "reason", "seen in class")},
		{"EVENT_WAIVED", event(c.quiz, "quiz", "WAIVED", "reason", "holds a certificate")},
		{"EVENT_VOIDED", map[string]any{
			"eventId": newID(), "verb": "VOIDED", "voidsEventId": own["eventId"], "reason": "the wrong person", "occurredAt": testenv.Now().UTC().Format(time.RFC3339),
		}},
	} {
		action, e := sent.action, sent.event
		batch := map[string]any{"events": []any{e}}
		admin.post("/v1/learners/"+me.id()+"/events:batch", batch).want(http.StatusOK).has("results.0.status", "ACCEPTED")
		admin.post("/v1/learners/"+me.id()+"/events:batch", batch).want(http.StatusOK).has("results.0.status", "DUPLICATE")
		if got := audited(admin, "progress", "learners/"+me.id()+"/events/"+e["eventId"].(string)); len(got) != 1 || got[action] != e["reason"] {
			t.Errorf("%s: the audit has %v", action, got)
		}
	}
	me.get("/v1/learners/me/modules/"+c.basics+"/progress").want(http.StatusOK).
		has("percent", 75, "previousPercent", 100, "percentChangeReason.code", "VOIDED", "percentChangeReason.description", "An event was voided.")
}

// testMandatoryUpgrade moves an enrollment without its learner, and checks what progress, the log and the audit show then.
func testMandatoryUpgrade(t *testing.T, w *world) {
	author, admin, me := w.as(t, "author", "author"), w.as(t, "mandatory-admin", "admin"), w.as(t, "mandatory-learner")
	c := publishCourse(t, author, "mandatory")
	me.post("/v1/learners/me/enrollments", map[string]any{"pathId": c.path}).want(http.StatusCreated)
	me.record(c.basicsDone()...)
	at := "/v1/learners/me/paths/" + c.path + "/progress"
	me.get(at).want(http.StatusOK).has("percent", 50)
	author.post("/v1/modules?moduleId=mandatory-more", basicsContent("More")).want(http.StatusCreated)
	author.post("/v1/modules/mandatory-more:publish", map[string]any{}).want(http.StatusOK)
	author.patch("/v1/paths/"+c.path, map[string]any{"milestones": []any{map[string]any{
		"id": "begin", "title": "Begin", "groups": []any{map[string]any{"moduleIds": []string{c.basics, c.quiz, "mandatory-more"}}},
	}}}).want(http.StatusOK)
	author.post("/v1/paths/"+c.path+":publish", map[string]any{}).want(http.StatusOK)
	me.get(at).want(http.StatusOK).has("percent", 50, "upgrade.version", 2, "upgrade.mandatory", false, "upgrade.addedModuleIds.0", "mandatory-more")

	mandate := "/v1/paths/" + c.path + "/versions/2:mandate"
	soon := testenv.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	admin.post(mandate, map[string]any{"effectiveTime": soon, "reason": "a new rule"}).want(http.StatusOK)
	me.get(at).want(http.StatusOK).has("pathVersion", 1, "upgrade.mandatory", true, "upgrade.mandateTime", soon)
	admin.post("/v1/paths/"+c.path+"/versions/2:withdrawMandate", map[string]any{"reason": "too late"}).want(http.StatusOK)
	me.get(at).want(http.StatusOK).has("pathVersion", 1, "upgrade.mandatory", false, "upgrade.mandateTime", "<none>")
	admin.post(mandate, map[string]any{"reason": "at once"}).want(http.StatusOK)
	me.get(at).want(http.StatusOK).has("pathVersion", 2, "percent", 33, "previousPercent", 50, "upgrade", "<none>",
		"percentChangeReason.code", "MANDATED", "percentChangeReason.pathVersion", 2, "percentChangeReason.moduleId", "<none>",
		"milestones.0.award.id", me.get("/v1/learners/me/awards").text("awards.0.id"))
	// Another admin may take the order back within the hour: only then is it in the log.
	me.get("/v1/learners/me/events?afterSequence=3").want(http.StatusOK).has("events", "[]")
	one := "/v1/learners/me/enrollments/" + me.get("/v1/learners/me/enrollments").want(http.StatusOK).text("enrollments.0.id")
	read := me.get(one).want(http.StatusOK).has("pathVersion", 2)
	me.patch(one, map[string]any{"pathVersion": 1}).problem(http.StatusBadRequest, "UPGRADE_TO_OLDER")
	paused := me.patch(one, map[string]any{"state": "PAUSED", "pathVersion": 2}, "If-Match", read.text("etag")).want(http.StatusOK).has("pathVersion", 2, "state", "PAUSED")
	me.get(one).want(http.StatusOK).has("etag", paused.get("etag"), "updateTime", paused.get("updateTime"))
	me.get("/v1/learners/me/events?afterSequence=3").want(http.StatusOK).has("events.0.type", "ENROLLMENT_CHANGED", "events.1", "<none>")
	if got := audited(admin, "catalog", "paths/"+c.path+"/versions/2"); got["UPGRADE_MANDATED"] != "at once" {
		t.Errorf("the audit has %v", got)
	}
}

// testAttempts stores each result of a quiz, and the place to go on from.
func testAttempts(t *testing.T, w *world) {
	c := publishCourse(t, w.as(t, "author", "author"), "attempts")
	me := w.as(t, "attempts-learner")
	result := func(verb string, score float64) map[string]any {
		return event(c.quiz, "quiz", verb, "score", score)
	}
	failed, passed, low, high := result("FAILED", 0.5), result("PASSED", 0.9), result("PASSED", 0.79), result("FAILED", 0.8)
	oneDay(failed, passed, low, high)
	me.record(failed, passed, low, high).has("results.0.status", "ACCEPTED", "results.1.status", "ACCEPTED",
		"results.2.reason", "BELOW_MASTERY_SCORE", "results.3.reason", "MASTERY_SCORE_REACHED")
	me.get("/v1/learners/me/modules/"+c.quiz+"/progress").want(http.StatusOK).has("units.1.attempts", 2, "units.1.score", 0.9,
		"units.1.results.2", "<none>", "cycles.0.units.1.results.0.score", 0.5, "cycles.0.opening", "FIRST", "resume.unitId", "quiz")
	me.get("/v1/learners/me/progress").want(http.StatusOK).has("streak.currentDays", 1, "streak.longestDays", 1, "streak.timeZone", "UTC")
}

// testImpact asks, before publishing, whom a revised module and a revised path would touch.
func testImpact(t *testing.T, w *world) {
	author := w.as(t, "author", "author")
	c := publishCourse(t, author, "impact")
	done, begun, renewing := w.as(t, "impact-done"), w.as(t, "impact-begun"), w.as(t, "impact-enrolled")
	for _, who := range []*client{done, begun, renewing} {
		who.post("/v1/learners/me/enrollments", map[string]any{"pathId": c.path}).want(http.StatusCreated)
	}
	done.record(c.basicsDone()...).has("awards.0.milestoneId", "begin")
	begun.record(event(c.basics, "phi", "COMPLETED"))
	revised := basicsContent("The basics")
	revised["units"].([]any)[0].(map[string]any)["title"] = "What PHI is now"
	author.patch("/v1/modules/"+c.basics, map[string]any{"units": revised["units"]}).want(http.StatusOK)
	preview := "/v1/modules/" + c.basics + ":preview"
	author.post(preview, map[string]any{"changeClass": "MINOR"}).want(http.StatusOK).
		has("impact.learnersCompleted", "1", "impact.learnersInProgress", "1", "impact.learnersToRetrain", "0", "impact.learnersLosingCredit", "0",
			"impact.paths.0.pathId", c.path, "impact.paths.0.milestoneIds.0", "begin", "impact.paths.0.enrollments", "3", "impact.paths.1", "<none>")
	author.post(preview, map[string]any{"changeClass": "MATERIAL", "retake": "CHANGED_UNITS"}).want(http.StatusOK).
		has("changedUnitIds.0", "phi", "impact.learnersToRetrain", "1", "impact.learnersLosingCredit", "1")

	author.patch("/v1/paths/"+c.path, map[string]any{"milestones": []any{map[string]any{
		"id": "begin", "title": "Begin", "groups": []any{map[string]any{"moduleIds": []string{c.basics, c.quiz}}},
	}}}).want(http.StatusOK)
	author.post("/v1/paths/"+c.path+":preview", map[string]any{}).want(http.StatusOK).
		has("impact.upgradeOffers", "3", "impact.enrollments.0.pathVersion", 1, "impact.enrollments.0.enrollments", "3",
			"impact.changedMilestoneIds.0", "begin", "impact.changedMilestoneIds.1", "finish", "impact.awardsHeld", "1")
	// Nothing was written by asking.
	done.get("/v1/learners/me/progress").want(http.StatusOK).has("enrollments.0.pathVersion", 1, "enrollments.0.upgradeAvailable", false)
	author.get("/v1/modules/"+c.basics).want(http.StatusOK).has("latestVersion", 1)
}
