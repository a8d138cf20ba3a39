package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/testenv"
)

func testSignIn(t *testing.T, w *world) {
	first := w.as(t, "signin").get("/v1/learners/me").want(http.StatusOK)
	first.golden("learner")
	second := w.as(t, "signin").get("/v1/learners/me").want(http.StatusOK)
	if first.text("id") != second.text("id") {
		t.Error("one subject is two learners")
	}
	w.as(t, "signin").get("/v1/learners/" + strings.ToUpper(first.text("id"))).want(http.StatusOK)
	anyone := &client{t: t, base: w.base}
	anyone.get("/v1/learners/me").problem(http.StatusUnauthorized, "TOKEN_MISSING")
	(&client{t: t, base: w.base, token: "nonsense"}).get("/v1/learners/me").problem(http.StatusUnauthorized, "TOKEN_INVALID")
	forged := &client{t: t, base: w.base, token: first.forgedToken(w.token(t, "signin"))}
	forged.get("/v1/learners/me").problem(http.StatusUnauthorized, "TOKEN_INVALID")

	other := w.as(t, "signin-other")
	other.get("/v1/learners/"+first.text("id")).problem(http.StatusForbidden, "NOT_YOUR_DATA")
	other.get("/v1/learners/not-an-id").problem(http.StatusBadRequest, "INVALID_ARGUMENT").violates("learnerId", "INVALID_UUID")
}

// forgedToken is a token whose signature was changed in its middle.
func (a *response) forgedToken(token string) string {
	at := strings.LastIndexByte(token, '.') + 10
	swap := byte('A')
	if token[at] == 'A' {
		swap = 'B'
	}
	return token[:at] + string(swap) + token[at+1:]
}

func testProfile(t *testing.T, w *world) {
	me := w.as(t, "profile-editor")
	was := me.get("/v1/learners/me").want(http.StatusOK)
	now := me.patch("/v1/learners/me", map[string]any{"displayName": "Ada", "background": "AI", "weeklyGoal": map[string]any{"minutes": 120}},
		"If-Match", `"`+was.text("etag")+`"`).want(http.StatusOK)
	now.has("displayName", "Ada", "background", "AI", "weeklyGoal.minutes", 120)
	me.patch("/v1/learners/me", map[string]any{"displayName": "Eve"}, "If-Match", was.text("etag")).problem(http.StatusPreconditionFailed, "ETAG_MISMATCH")
	me.get("/v1/learners/me").want(http.StatusOK).has("displayName", "Ada")
	bad := me.patch("/v1/learners/me", map[string]any{"email": "no", "timeZone": "Mars/Olympus", "targetRole": "A B"}).
		problem(http.StatusBadRequest, "INVALID_ARGUMENT")
	if n := len(bad.list("violations")); n != 3 {
		t.Errorf("%d violations, want 3: %s", n, bad.body)
	}
	me.patch("/v1/learners/me", map[string]any{"id": newID()}).want(http.StatusOK).has("id", was.text("id"))
	me.patch("/v1/learners/me", map[string]any{"nickname": "x"}).problem(http.StatusBadRequest, "INVALID_ARGUMENT").violates("nickname", "UNKNOWN_FIELD")
}

// testTimeZone: a learner who has set their time zone reads progress that uses it at once, and
// still does when nothing has changed since.
func testTimeZone(t *testing.T, w *world) {
	me := w.as(t, "traveller")
	c := publishCourse(t, w.as(t, "author", "author"), "time-zone")
	me.post("/v1/learners/me/enrollments", map[string]any{"pathId": c.path}).want(http.StatusCreated)
	reads := []string{"/v1/learners/me/progress", "/v1/learners/me/paths/" + c.path + "/progress"}
	var was []string
	for _, at := range reads {
		was = append(was, me.unchanged(at))
	}
	for _, zone := range []string{"America/New_York", "Asia/Tokyo"} {
		moved := me.patch("/v1/learners/me", map[string]any{"timeZone": zone}).want(http.StatusOK).has("timeZone", zone)
		if moved.header.Get("Preceptor-Profile-Revision") == "" {
			t.Error("the change has no revision")
		}
		for i, at := range reads {
			me.get(at, "If-None-Match", was[i]).want(http.StatusOK)
			was[i] = me.unchanged(at)
		}
	}
	me.record(c.basicsDone()...).has("results.0.status", "ACCEPTED", "results.1.status", "ACCEPTED")
}

func testLearners(t *testing.T, w *world) {
	admin := w.as(t, "learners-admin", "admin")
	for i := range 3 {
		admin.post("/v1/learners", map[string]any{
			"displayName": fmt.Sprintf("Paged Person %d", i),
			"subjects":    []any{map[string]any{"issuer": "https://id.example.org", "subject": fmt.Sprintf("paged-%d", i)}},
		}).want(http.StatusCreated)
	}
	admin.post("/v1/learners", map[string]any{"subjects": []any{map[string]any{"issuer": "https://id.example.org", "subject": "paged-0"}}}).
		problem(http.StatusConflict, "SUBJECT_TAKEN")
	first := admin.get("/v1/learners?q=paged+person&pageSize=2&includeTotal=true").want(http.StatusOK).
		has("totalSize", 3, "learners.1.displayName", "Paged Person 1")
	rest := admin.get("/v1/learners?q=paged+person&pageSize=2&pageToken=" + first.text("nextPageToken")).want(http.StatusOK)
	rest.has("learners.0.displayName", "Paged Person 2", "learners.1", "<none>", "nextPageToken", "", "totalSize", "<none>")
	admin.get("/v1/learners?q=other&pageToken="+first.text("nextPageToken")).problem(http.StatusBadRequest, "BAD_PAGE_TOKEN")
	admin.get("/v1/learners?pageSize=two").problem(http.StatusBadRequest, "INVALID_ARGUMENT").violates("pageSize", "INVALID_TYPE")
}

func testRecommended(t *testing.T, w *world) {
	me := w.as(t, "recommended")
	general := me.get("/v1/learners/me/recommendedPaths").want(http.StatusOK)
	if len(general.list("recommendedPaths")) == 0 {
		t.Fatal("nothing is recommended to a newcomer")
	}
	me.patch("/v1/learners/me", map[string]any{"targetRole": "clinical-ai-engineer"}).want(http.StatusOK)
	me.get("/v1/learners/me/recommendedPaths").want(http.StatusOK).has("recommendedPaths.0.reason", "TARGET_ROLE")
}

func testEnroll(t *testing.T, w *world) {
	c := publishCourse(t, w.as(t, "author", "author"), "enroll")
	other := publishCourse(t, w.as(t, "author", "author"), "enroll-other")
	me := w.as(t, "enroll-learner")
	const at = "/v1/learners/me/enrollments"
	body := map[string]any{"pathId": c.path}
	made := me.post(at, body, "Idempotency-Key", "enroll-1").want(http.StatusCreated)
	made.golden("enrollment")
	replay := me.post(at, body, "Idempotency-Key", "enroll-1").want(http.StatusCreated)
	if first, second := made.header.Get("Idempotency-Replayed"), replay.header.Get("Idempotency-Replayed"); first != "" || second != "true" {
		t.Errorf("Idempotency-Replayed is %q, then %q", first, second)
	}
	if string(replay.body) != string(made.body) {
		t.Errorf("the replay is %s, the first answer was %s", replay.body, made.body)
	}
	if want := "/v1/learners/" + me.id() + "/enrollments/" + made.text("id"); made.header.Get("Location") != want || replay.header.Get("Location") != want {
		t.Errorf("Location %q, and %q in the replay; want %q", made.header.Get("Location"), replay.header.Get("Location"), want)
	}
	me.post(at, map[string]any{"pathId": other.path}, "Idempotency-Key", "enroll-1").problem(http.StatusUnprocessableEntity, "IDEMPOTENCY_KEY_REUSED")
	me.post(at, body).problem(http.StatusConflict, "ALREADY_ENROLLED")
	me.post(at, map[string]any{"pathId": "no-such-path"}).problem(http.StatusNotFound, "PATH_NOT_FOUND")
	me.post(at, map[string]any{}).problem(http.StatusBadRequest, "INVALID_ARGUMENT").violates("pathId", "REQUIRED")
	me.get(at).want(http.StatusOK).has("enrollments.0.id", made.text("id"), "enrollments.1", "<none>")

	one := at + "/" + made.text("id")
	me.patch(one, map[string]any{"state": "PAUSED"}).want(http.StatusOK).has("state", "PAUSED")
	me.patch(one, map[string]any{"state": "COMPLETED"}).problem(http.StatusBadRequest, "INVALID_ARGUMENT").violates("state", "STATE_NOT_SETTABLE")
	me.patch(one, map[string]any{"state": "WITHDRAWN"}).want(http.StatusOK).has("state", "WITHDRAWN")
	me.patch(one, map[string]any{"state": "ACTIVE"}).problem(http.StatusBadRequest, "WITHDRAWN")
	me.get("/v1/learners/me/paths/"+c.path+"/progress").problem(http.StatusNotFound, "NOT_ENROLLED")
	anew := me.post(at, body).want(http.StatusCreated).text("id")
	me.patch(at+"/"+newID(), map[string]any{"state": "PAUSED"}).problem(http.StatusNotFound, "ENROLLMENT_NOT_FOUND")
	me.get(one).want(http.StatusOK).has("state", "WITHDRAWN")

	page := me.get(at+"?pageSize=1").want(http.StatusOK).has("enrollments.0.id", made.text("id"), "enrollments.0.state", "WITHDRAWN", "enrollments.1", "<none>")
	token := page.text("nextPageToken")
	me.get(at+"?pageSize=1&pageToken="+token).want(http.StatusOK).
		has("enrollments.0.id", anew, "enrollments.0.state", "ACTIVE", "enrollments.1", "<none>", "nextPageToken", "")
	me.get(at+"?pageToken=").want(http.StatusOK).has("enrollments.1.id", anew, "enrollments.2", "<none>", "nextPageToken", "")
	for _, other := range []string{token[1:], token + "AAAA", "token"} {
		me.get(at+"?pageToken="+other).problem(http.StatusBadRequest, "BAD_PAGE_TOKEN").violates("pageToken", "BAD_PAGE_TOKEN")
	}
	w.as(t, "enroll-other").get(at+"?pageToken="+token).problem(http.StatusBadRequest, "BAD_PAGE_TOKEN")
	me.get(at+"?pageSize=-1").problem(http.StatusBadRequest, "INVALID_ARGUMENT").violates("pageSize", "OUT_OF_RANGE")
}

// testLearn is the main job: from nothing to a finished path.
func testLearn(t *testing.T, w *world) {
	c := publishCourse(t, w.as(t, "author", "author"), "golden-course")
	me := w.as(t, "learn-learner")
	at := "/v1/learners/me/paths/" + c.path + "/progress"
	me.get(at).problem(http.StatusNotFound, "NOT_ENROLLED")
	me.post("/v1/learners/me/enrollments", map[string]any{"pathId": c.path}).want(http.StatusCreated)

	me.get(at).want(http.StatusOK).golden("path_progress_begun").has(
		"percent", 0, "milestones.1.modules.0.state", "LOCKED", "milestones.1.modules.0.blockedBy.0", c.basics, "next.0.unitId", "phi", "next.0.reason", "START")

	begun, done := event(c.basics, "phi", "COMPLETED"), event(c.basics, "rules", "COMPLETED")
	failed, passed, read := event(c.quiz, "quiz", "FAILED", "score", 0.4), event(c.quiz, "quiz", "PASSED", "score", 0.9), event(c.quiz, "read", "COMPLETED")
	day := oneDay(begun, done, failed, passed, read)
	me.record(begun).has("results.0.status", "ACCEPTED", "asOfSequence", 2)
	me.get(at).want(http.StatusOK).has("percent", 0, "milestones.0.modules.0.percent", 25, "next.0.unitId", "rules", "next.0.reason", "CONTINUE")

	earned := me.record(done).golden("batch_award").has("awards.0.milestoneId", "begin")
	me.record(done).has("results.0.status", "DUPLICATE", "results.0.sequence", 3, "awards.0.id", earned.text("awards.0.id"))
	me.get(at).want(http.StatusOK).golden("path_progress_half").has("percent", 50, "milestones.0.percent", 100, "milestones.1.modules.0.state", "AVAILABLE")
	me.get("/v1/learners/me/modules/" + c.basics + "/progress").want(http.StatusOK).golden("module_progress")

	me.record(failed, passed, read).
		has("results.2.status", "ACCEPTED", "awards.0.milestoneId", "finish")
	me.get(at).want(http.StatusOK).has("percent", 100, "state", "COMPLETED", "completedCount", 2, "requiredCount", 2, "next", "[]")
	all := me.get("/v1/learners/me/awards").want(http.StatusOK).golden("awards")
	awarded := me.get("/v1/learners/me/awards?pageSize=1").want(http.StatusOK).has("awards.0.id", all.text("awards.0.id"), "awards.1", "<none>")
	me.get("/v1/learners/me/awards?pageToken="+awarded.text("nextPageToken")).want(http.StatusOK).
		has("awards.0.id", all.text("awards.1.id"), "awards.1", "<none>", "nextPageToken", "")
	me.get("/v1/learners/me/progress").want(http.StatusOK).golden("overview").has("streak.lastActiveDate", day)
	me.get("/v1/learners/me/modules/"+c.quiz+"/progress").want(http.StatusOK).has("units.1.attempts", 2, "units.1.score", 0.9)
}

func testEvents(t *testing.T, w *world) {
	c := publishCourse(t, w.as(t, "author", "author"), "golden-events")
	me := w.as(t, "events-learner")
	sent := event(c.basics, "phi", "COMPLETED", "eventId", newID())
	me.record(sent).has("results.0.status", "ACCEPTED")
	reused := event(c.basics, "rules", "COMPLETED", "eventId", sent["eventId"])
	missing := event(c.basics, "phi", "COMPLETED")
	delete(missing, "occurredAt")
	me.record(
		sent, reused, missing,
		event(c.basics, "phj", "COMPLETED"),
		event("no-such-module", "phi", "COMPLETED"),
		event(c.basics, "phi", "WAIVED", "reason", "I asked"),
		event(c.quiz, "quiz", "PASSED", "score", 0.5),
		event(c.basics, "phi", "CHEATED"),
		event(c.basics, "phi", "COMPLETED", "score", 1.5),
		event(c.basics, "phi", "COMPLETED", "score", "NaN"),
		event(c.basics, "phi", "COMPLETED", "occurredAt", "yesterday"),
		event(c.basics, "phi", "COMPLETED", "colour", "blue"),
		event(c.basics, "phi", "COMPLETED", "reason", "a\x00b"),
		event(c.basics, "phi", "COMPLETED", "moduleVersion", "two"),
		event(c.basics, "", "COMPLETED"),
	).golden("batch_results")
	me.get("/v1/learners/me/events").want(http.StatusOK).has("asOfSequence", 1, "events.1", "<none>")
	me.post("/v1/learners/me/events:batch", map[string]any{"events": []any{}}).want(http.StatusOK).has("results", "[]", "asOfSequence", 1)
}

func testBatchFaults(t *testing.T, w *world) {
	me := w.as(t, "faults-learner")
	const at = "/v1/learners/me/events:batch"
	me.post(at, `{"events":[`).problem(http.StatusBadRequest, "INVALID_ARGUMENT")
	me.post(at, ``).want(http.StatusOK).has("results", "[]")
	me.post(at, `[]`).problem(http.StatusBadRequest, "INVALID_ARGUMENT")
	me.post(at, `{"events":[],"extra":1}`).problem(http.StatusBadRequest, "INVALID_ARGUMENT").violates("extra", "UNKNOWN_FIELD")
	many := make([]any, 501)
	for i := range many {
		many[i] = event("m", "u", "COMPLETED")
	}
	me.post(at, map[string]any{"events": many}).problem(http.StatusBadRequest, "INVALID_ARGUMENT")
	me.post(at, map[string]any{"events": []any{event("m", "u", "COMPLETED", "eventId", "seven")}}).
		problem(http.StatusBadRequest, "INVALID_ARGUMENT").violates("events[0].eventId", "INVALID_UUID")
	me.post(at, `{"events":[{"reason":"`+strings.Repeat("x", 1<<20)+`"}]}`).problem(http.StatusRequestEntityTooLarge, "BODY_TOO_LARGE")
	me.post(at, []byte("{\"events\":[{\"reason\":\"\xff\"}]}")).want(http.StatusBadRequest)
	me.get("/v1/learners/me/events").want(http.StatusOK).has("asOfSequence", 0)
}

func testAdminEvents(t *testing.T, w *world) {
	c := publishCourse(t, w.as(t, "author", "author"), "admin")
	me, admin := w.as(t, "admin-learner"), w.as(t, "admin", "admin")
	id := me.id()
	me.post("/v1/learners/me/enrollments", map[string]any{"pathId": c.path}).want(http.StatusCreated)
	wrong := event(c.basics, "phi", "COMPLETED")
	me.record(wrong, event(c.basics, "rules", "COMPLETED")).has("awards.0.milestoneId", "begin")

	as := "/v1/learners/" + id + "/events:batch"
	send := func(e map[string]any) *response {
		return admin.post(as, map[string]any{"events": []any{e}}).want(http.StatusOK)
	}
	send(event(c.quiz, "", "WAIVED")).has("results.0.reason", "FORBIDDEN_VERB")
	send(event(c.quiz, "", "WAIVED", "reason", "Did the like elsewhere.")).has("results.0.status", "ACCEPTED", "awards.0.milestoneId", "finish")
	at := "/v1/learners/" + id + "/paths/" + c.path + "/progress"
	admin.get(at).want(http.StatusOK).has("percent", 100, "milestones.1.modules.0.credit", "WAIVER")

	send(voidOf(wrong, "Wrong learner.")).has("results.0.status", "ACCEPTED")
	me.get(strings.Replace(at, id, "me", 1)).want(http.StatusOK).
		has("percent", 50, "previousPercent", 100, "milestones.0.award.id", me.get("/v1/learners/me/awards").text("awards.0.id"))
	again := event("", "", "VOIDED", "reason", "Twice.", "voidsEventId", wrong["eventId"])
	send(again).has("results.0.reason", "ALREADY_VOIDED")
	send(event("", "", "VOIDED", "reason", "Nothing there.", "voidsEventId", newID())).has("results.0.reason", "VOID_TARGET_UNKNOWN")
	w.as(t, "admin-other").post(as, map[string]any{"events": []any{}}).problem(http.StatusForbidden, "NOT_YOUR_DATA")
}

// testClocks sends events from devices whose clocks are wrong.
func testClocks(t *testing.T, w *world) {
	c := publishCourse(t, w.as(t, "author", "author"), "clocks")
	me := w.as(t, "clocks-learner")
	me.record(
		event(c.basics, "phi", "COMPLETED", "occurredAt", testenv.Now().Add(48*time.Hour).UTC().Format(time.RFC3339)),
		event(c.basics, "rules", "COMPLETED", "occurredAt", "2001-02-03T04:05:06Z"),
		event(c.basics, "extra", "COMPLETED", "occurredAt", "1969-12-31T23:59:59Z"),
		event(c.basics, "extra", "COMPLETED", "occurredAt", "10000-01-01T00:00:00Z"),
		event(c.basics, "extra", "COMPLETED", "occurredAt", "2026-02-30T00:00:00Z"),
		event(c.basics, "extra", "COMPLETED", "occurredAt", "0001-01-01T00:00:00Z"), // which programs take for no time at all
	).has("results.5.reason", "MALFORMED",
		"results.5.description", "occurredAt must be after 1970-01-01T00:00:00Z and before the year 10000").
		has("results.0.status", "ACCEPTED", "results.1.status", "ACCEPTED").
		has("results.2.reason", "MALFORMED", "results.3.reason", "MALFORMED", "results.4.reason", "MALFORMED")
	log := me.get("/v1/learners/me/events").want(http.StatusOK)
	log.has("events.0.effectiveAtAdjusted", true, "events.0.effectiveAt", log.text("events.0.receivedAt"), "events.1.effectiveAtAdjusted", true)
}

func testHistory(t *testing.T, w *world) {
	c := publishCourse(t, w.as(t, "author", "author"), "golden-history")
	me := w.as(t, "history-learner")
	me.post("/v1/learners/me/enrollments", map[string]any{"pathId": c.path}).want(http.StatusCreated)
	me.record(c.basicsDone()...)
	me.get("/v1/learners/me/events").want(http.StatusOK).golden("history")
	page := me.get("/v1/learners/me/events?pageSize=2").want(http.StatusOK).has("nextAfterSequence", 2, "asOfSequence", 3, "events.2", "<none>")
	rest := me.get("/v1/learners/me/events?afterSequence=" + page.text("nextAfterSequence")).want(http.StatusOK)
	rest.has("events.0.sequence", 3, "events.1", "<none>", "nextAfterSequence", 3)
	me.get("/v1/learners/me/events?afterSequence=99").want(http.StatusOK).has("events", "[]", "nextAfterSequence", 99)
	me.get("/v1/learners/me/events?afterSequence=-1").problem(http.StatusBadRequest, "INVALID_ARGUMENT").violates("afterSequence", "OUT_OF_RANGE")
}
