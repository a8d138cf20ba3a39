package e2e

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// readings publishes a module of readings, with more of its content in pairs.
func readings(author *client, id string, units []string, more ...any) {
	author.t.Helper()
	content := map[string]any{"topic": "hipaa", "title": id}
	all := []any{}
	for _, u := range units {
		all = append(all, map[string]any{"id": u, "title": u, "kind": "READING"})
	}
	content["units"] = all
	for i := 0; i < len(more); i += 2 {
		content[plain(more[i])] = more[i+1]
	}
	author.post("/v1/modules?moduleId="+id, content).want(http.StatusCreated)
	author.post("/v1/modules/"+id+":publish", map[string]any{}).want(http.StatusOK)
}

// onePathOf publishes a path of one milestone and one group; of is how many of the modules it asks for, 0: all.
func onePathOf(author *client, id string, of int, modules ...string) {
	author.t.Helper()
	group := map[string]any{"moduleIds": modules}
	if of > 0 {
		group["requiredCount"] = of
	}
	author.post("/v1/paths?pathId="+id, map[string]any{"title": id, "milestones": []any{
		map[string]any{"id": "all", "title": "All", "groups": []any{group}},
	}}).want(http.StatusCreated)
	author.post("/v1/paths/"+id+":publish", map[string]any{}).want(http.StatusOK)
}

// attest records for a learner what happened whenever it did, which only an admin may.
func attest(admin, learner *client, events ...map[string]any) {
	admin.t.Helper()
	for _, e := range events {
		e["reason"] = "there is a certificate"
	}
	a := admin.post("/v1/learners/"+learner.id()+"/events:batch", map[string]any{"events": events}).want(http.StatusOK)
	for i := range events {
		if got := dig(a.list("results")[i], "status"); got != "ACCEPTED" {
			admin.t.Errorf("event %d is %v: %s", i, got, a.body)
		}
	}
}

// done is that a unit was completed at a time.
func done(module, unit, at string) map[string]any {
	return event(module, unit, "COMPLETED", "occurredAt", at)
}

// moduleOf is how far the client's learner is in a module.
func (c *client) moduleOf(id string) *response {
	c.t.Helper()
	return c.get("/v1/learners/me/modules/" + id + "/progress").want(http.StatusOK)
}

// pathOf is how far the client's learner is on a path.
func (c *client) pathOf(id string) *response {
	c.t.Helper()
	return c.get("/v1/learners/me/paths/" + id + "/progress").want(http.StatusOK)
}

// testArchivedIsNotLearned enrolls in paths of which a module is in the archive.
func testArchivedIsNotLearned(t *testing.T, w *world) {
	author, me := w.as(t, "author", "author"), w.as(t, "unlearned-learner")
	modules := []string{"unlearned-a", "unlearned-b", "unlearned-c"}
	for _, id := range modules {
		readings(author, id, []string{"u"})
	}
	onePathOf(author, "unlearned-1-of-2", 1, modules[:2]...)
	onePathOf(author, "unlearned-only", 0, modules[0])
	onePathOf(author, "unlearned-2-of-3", 2, modules...)
	author.post("/v1/modules/unlearned-a:archive", map[string]any{}).want(http.StatusOK)
	for _, path := range []string{"unlearned-1-of-2", "unlearned-only", "unlearned-2-of-3"} {
		enroll(me, course{path: path})
	}
	me.pathOf("unlearned-1-of-2").has("percent", 0, "state", "ACTIVE", "requiredCount", 1, "milestones.0.award", "<none>", "next.0.moduleId", "unlearned-b")
	me.pathOf("unlearned-only").has("percent", "<none>", "state", "NOT_APPLICABLE", "milestones.0.award", "<none>")
	me.pathOf("unlearned-2-of-3").has("percent", 0, "state", "ACTIVE", "requiredCount", 2)
	me.record(event("unlearned-b", "u", "COMPLETED"))
	me.pathOf("unlearned-2-of-3").has("percent", 50, "completedCount", 1, "requiredCount", 2)
	// k falls where fewer modules are left.
	author.post("/v1/modules/unlearned-c:archive", map[string]any{}).want(http.StatusOK)
	me.pathOf("unlearned-2-of-3").has("percent", 100, "requiredCount", 1, "milestones.0.award.provisional", true)
	me.get("/v1/learners/me/awards").want(http.StatusOK).has("awards.0.pathId", "unlearned-1-of-2", "awards.1", "<none>")
}

// testFastPhone finishes before a sunset, and begins before an archiving, by a phone that is three minutes fast.
func testFastPhone(t *testing.T, w *world) {
	author, me := w.as(t, "author", "author"), w.as(t, "fast-learner")
	readings(author, "fast-sunset", []string{"u", "v"})
	readings(author, "fast-archive", []string{"u"})
	fast := func(module, unit, verb string) map[string]any {
		return event(module, unit, verb, "occurredAt", testenv.Now().Add(3*time.Minute).UTC().Format(time.RFC3339Nano))
	}
	me.record(fast("fast-sunset", "u", "COMPLETED"), fast("fast-archive", "u", "INITIALIZED"))
	sunset := testenv.Now().Add(time.Minute).UTC().Format(time.RFC3339)
	author.post("/v1/modules/fast-sunset:archive", map[string]any{"sunsetTime": sunset}).want(http.StatusOK)
	author.post("/v1/modules/fast-archive:archive", map[string]any{}).want(http.StatusOK)
	me.moduleOf("fast-archive").has("state", "IN_PROGRESS", "excused", "<none>")
	me.record(fast("fast-sunset", "v", "COMPLETED"), fast("fast-archive", "u", "COMPLETED")).has("results.0.note", "<none>", "results.1.note", "<none>")
	me.moduleOf("fast-sunset").has("percent", 100, "state", "COMPLETED")
	me.moduleOf("fast-archive").has("percent", 100, "state", "COMPLETED")
}

// testPeriods reckons when completions expire; each row is a policy, the completions, and the last one's expiry.
func testPeriods(t *testing.T, w *world) {
	author, admin := w.as(t, "author", "author"), w.as(t, "periods-admin", "admin")
	policy := func(pairs ...string) map[string]any {
		p := map[string]any{}
		for i := 0; i < len(pairs); i += 2 {
			p[pairs[i]] = pairs[i+1]
		}
		return p
	}
	yearly := policy("period", "P1Y", "window", "P30D")
	fixed := policy("period", "P1Y", "window", "P30D", "basis", "FIXED_DATE", "fixedDate", "01-31")
	chain := policy("period", "P1Y", "window", "P30D", "basis", "PRIOR_EXPIRY")
	monthly := policy("period", "P1M", "window", "P10D", "basis", "PRIOR_EXPIRY")
	for name, row := range map[string]struct {
		policy map[string]any
		zone   string
		at     []string
		expire []string
	}{
		"fixed-date":         {fixed, "", []string{"2025-01-31T12:00:00Z"}, []string{"2026-01-31T00:00:00Z"}},
		"fixed-date-sitting": {fixed, "", []string{"2025-01-15T08:00:00Z", "2025-01-15T08:05:00Z"}, []string{"2026-01-31T00:00:00Z"}},
		"month-ends": {
			monthly, "",
			[]string{"2024-01-31T08:00:00Z", "2024-02-25T08:00:00Z", "2024-03-25T08:00:00Z"},
			[]string{"2024-02-29T08:00:00Z", "2024-03-31T08:00:00Z", "2024-04-30T08:00:00Z"},
		},
		"leap-day": {
			chain, "",
			[]string{"2020-02-29T08:00:00Z", "2021-02-10T08:00:00Z", "2022-02-10T08:00:00Z", "2023-02-10T08:00:00Z"},
			[]string{"2021-02-28T08:00:00Z", "2022-02-28T08:00:00Z", "2023-02-28T08:00:00Z", "2024-02-29T08:00:00Z"},
		},
		"skipped-hour": {yearly, "America/New_York", []string{"2024-03-09T07:30:00Z"}, []string{"2025-03-09T07:00:00Z"}},
		"late-report": {
			yearly, "",
			[]string{"2025-06-01T08:00:00Z", "2024-07-10T08:00:00Z"},
			[]string{"2025-07-10T08:00:00Z", "2026-06-01T08:00:00Z"},
		},
		"repeated-early": {
			yearly, "",
			[]string{"2023-06-01T08:00:00Z", "2024-04-17T08:00:00Z"},
			[]string{"2024-06-01T08:00:00Z", "2025-04-17T08:00:00Z"},
		},
	} {
		id := "periods-" + name
		readings(author, id, []string{"u"}, "currencyPolicy", row.policy)
		me := w.as(t, id+"-learner")
		for _, at := range row.at {
			e := done(id, "u", at)
			e["timeZone"] = row.zone
			attest(admin, me, e)
		}
		var expire []string
		for _, c := range me.moduleOf(id).list("cycles") {
			expire = append(expire, plain(dig(c, "expireTime")))
		}
		if !slices.Equal(expire, row.expire) {
			t.Errorf("%s: expires %v, want %v", name, expire, row.expire)
		}
	}
	author.post("/v1/modules?moduleId=periods-refused", map[string]any{
		"topic": "hipaa", "title": "No", "units": []any{map[string]any{"id": "u", "title": "u", "kind": "READING"}},
		"currencyPolicy": policy("period", "P1M", "window", "P30D", "basis", "FIXED_DATE", "fixedDate", "01-31"),
	}).want(http.StatusCreated)
	author.post("/v1/modules/periods-refused:publish", map[string]any{}).problem(http.StatusBadRequest, "INVALID_ARGUMENT").
		violates("currencyPolicy.window", "BAD_WINDOW", "currencyPolicy.period", "BAD_PERIOD")
}

// testMaterialKeepsTheChain does a MATERIAL version in the middle of a year, which moves no date.
func testMaterialKeepsTheChain(t *testing.T, w *world) {
	author, admin, me := w.as(t, "author", "author"), w.as(t, "chain-admin", "admin"), w.as(t, "chain-learner")
	policy := map[string]any{"period": "P1Y", "window": "P30D", "basis": "PRIOR_EXPIRY"}
	readings(author, "chain", []string{"u"}, "currencyPolicy", policy)
	attest(admin, me, done("chain", "u", daysAgo(60)))
	expires := me.moduleOf("chain").text("currency.expireTime")
	author.patch("/v1/modules/chain", map[string]any{"units": []any{
		map[string]any{"id": "u", "title": "By the new rules", "kind": "READING"},
	}}).want(http.StatusOK)
	author.post("/v1/modules/chain:publish", map[string]any{"changeClass": "MATERIAL", "retake": "ALL_UNITS"}).want(http.StatusOK)
	me.moduleOf("chain").has("currency.state", "SUPERSEDED")
	me.record(event("chain", "u", "COMPLETED"))
	me.moduleOf("chain").has("cycles.1.opening", "MATERIAL", "currency.state", "CURRENT", "currency.expireTime", expires)
}

// testOldCredit waives with effect from years ago: that has its age. What is really learned later is the stronger label.
func testOldCredit(t *testing.T, w *world) {
	author, admin, me := w.as(t, "author", "author"), w.as(t, "age-admin", "admin"), w.as(t, "age-learner")
	yearly := map[string]any{"period": "P1Y", "window": "P30D"}
	readings(author, "age", []string{"u"}, "currencyPolicy", yearly)
	readings(author, "age-successor", []string{"u"}, "currencyPolicy", yearly, "credits", []any{map[string]any{"moduleIds": []string{"age"}}})
	onePathOf(author, "age-path", 0, "age")
	enroll(me, course{path: "age-path"})
	published := me.get("/v1/paths/age-path").want(http.StatusOK).text("version.publishTime")
	attest(admin, me, event("age", "", "WAIVED", "occurredAt", "2020-01-01T00:00:00Z"))
	me.moduleOf("age").has("credit", "WAIVER", "currency.state", "EXPIRED", "currency.expireTime", "2021-01-01T00:00:00Z")
	me.get("/v1/learners/me/progress").want(http.StatusOK).has("due.0.moduleId", "age", "due.1.moduleId", "age-successor", "due.2", "<none>", "next.0.reason", "RENEW")
	me.moduleOf("age-successor").has("credit", "EQUIVALENCE", "currency.state", "EXPIRED", "restsOn.0.moduleId", "age", "restsOn.0.cycle", 1)
	me.get("/v1/learners/me/awards").want(http.StatusOK).
		has("awards.0.awardTime", published, "awards.0.completions.0.completeTime", "2020-01-01T00:00:00Z")
	me.record(event("age", "u", "COMPLETED"))
	me.moduleOf("age").has("credit", "LEARNED", "currency.state", "CURRENT")
}

// testStaleHalves renews one half years ago, and the other one today.
func testStaleHalves(t *testing.T, w *world) {
	author, admin, me := w.as(t, "author", "author"), w.as(t, "stale-admin", "admin"), w.as(t, "stale-learner")
	readings(author, "stale", []string{"u", "v"}, "currencyPolicy", map[string]any{"period": "P1Y", "window": "P30D"})
	onePathOf(author, "stale-path", 0, "stale")
	enroll(me, course{path: "stale-path"})
	attest(admin, me, done("stale", "u", "2019-01-10T08:00:00Z"), done("stale", "v", "2019-01-10T08:00:00Z"), done("stale", "u", "2019-12-20T08:00:00Z"))
	me.record(event("stale", "v", "COMPLETED"))
	me.moduleOf("stale").has("state", "COMPLETED", "currency.state", "EXPIRED", "cycles.1.opening", "RENEWAL", "cycles.1.percent", 50)
	me.pathOf("stale-path").has("percent", 100, "next.0.reason", "RENEW", "next.0.unitId", "u")
	said := me.get("/v1/learners/me/paths/stale-path/progress:explain").want(http.StatusOK).
		text("milestones.0.groups.0.modules.0.units.0.summary")
	if want := "What was done on 20 December 2019 counted toward this renewal until 20 December 2020"; !strings.Contains(said, want) {
		t.Errorf("explained is %q, want %q in it", said, want)
	}
	me.record(event("stale", "u", "COMPLETED"))
	me.moduleOf("stale").has("currency.state", "CURRENT", "cycles.1.percent", 100)
}

// testMovingKeepsDays records on two days in a row at one moment, as it is in two zones, and moves then.
func testMovingKeepsDays(t *testing.T, w *world) {
	readings(w.as(t, "author", "author"), "moving", []string{"u"})
	me := w.as(t, "moving-learner")
	me.patch("/v1/learners/me", map[string]any{"timeZone": "Pacific/Kiritimati"}).want(http.StatusOK)
	me.record(event("moving", "u", "PROGRESSED"), event("moving", "u", "PROGRESSED", "timeZone", "UTC"), event("moving", "u", "PROGRESSED", "timeZone", "Etc/GMT+12"))
	was := me.get("/v1/learners/me/progress").want(http.StatusOK)
	if days := plain(was.get("streak.longestDays")); days != "2" && days != "3" {
		t.Errorf("the streak is of %s days: %s", days, was.body)
	}
	for _, zone := range []string{"America/Los_Angeles", "Etc/GMT+12", "Asia/Tokyo"} {
		me.patch("/v1/learners/me", map[string]any{"timeZone": zone}).want(http.StatusOK)
		me.get("/v1/learners/me/progress").want(http.StatusOK).has("streak.longestDays", was.get("streak.longestDays"),
			"streak.currentDays", was.get("streak.longestDays"), "streak.lastActiveDate", was.get("streak.lastActiveDate"), "streak.timeZone", zone)
	}
	for _, zone := range []string{"right/UTC", "posixrules", "Factory", "posix/Europe/Berlin", "Local", "localtime", "europe/berlin"} {
		me.patch("/v1/learners/me", map[string]any{"timeZone": zone}).problem(http.StatusBadRequest, "INVALID_ARGUMENT").violates("timeZone", "UNKNOWN_VALUE")
	}
}

// testTies sends, before the version is there that they are about, a result and a later one.
func testTies(t *testing.T, w *world) {
	c := publishCourse(t, w.as(t, "author", "author"), "ties")
	me := w.as(t, "ties-learner")
	passed, failed := event(c.quiz, "quiz", "PASSED", "occurredAt", daysAgo(2)), event(c.quiz, "quiz", "FAILED", "occurredAt", daysAgo(1))
	passed["eventId"], failed["eventId"] = "ffffffff-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000001"
	me.record(failed, passed).has("results.0.status", "ACCEPTED", "results.1.status", "ACCEPTED")
	me.moduleOf(c.quiz).has("units.1.results.0.verb", "PASSED", "units.1.results.1.verb", "FAILED")
}

// testLockedDoors previews a path that leads to a locked module, and asks what opens it.
func testLockedDoors(t *testing.T, w *world) {
	author, me := w.as(t, "author", "author"), w.as(t, "doors-learner")
	readings(author, "doors-root", []string{"u"})
	readings(author, "doors-key", []string{"u"}, "prerequisites", []string{"doors-root"})
	readings(author, "doors-other", []string{"u"})
	readings(author, "doors-locked", []string{"u"}, "prerequisites", []string{"doors-key"})
	// The path has the key, too, but its group has enough without it.
	author.post("/v1/paths?pathId=doors", map[string]any{"title": "Doors", "milestones": []any{
		map[string]any{"id": "all", "title": "All", "groups": []any{
			map[string]any{"moduleIds": []string{"doors-other", "doors-key"}, "requiredCount": 1}, map[string]any{"moduleIds": []string{"doors-locked"}},
		}},
	}}).want(http.StatusCreated)
	author.post("/v1/paths/doors:preview", map[string]any{}).want(http.StatusOK).has("warnings.0.reason", "PREREQUISITE_OUTSIDE_PATH")
	author.post("/v1/paths/doors:publish", map[string]any{}).want(http.StatusOK)
	enroll(me, course{path: "doors"})
	me.record(event("doors-other", "u", "COMPLETED"))
	for _, id := range []string{"doors-root", "doors-key"} {
		me.pathOf("doors").has("percent", 50, "next.0.moduleId", id, "next.0.unitId", "u", "next.0.reason", "PREREQUISITE", "next.1", "<none>")
		me.record(event(id, "u", "COMPLETED"))
	}
	me.pathOf("doors").has("next.0.moduleId", "doors-locked", "next.0.reason", "START")
}

// testEnrollingAgain enrolls and withdraws, and reads the list of that page by page.
func testEnrollingAgain(t *testing.T, w *world) {
	author, me, other := w.as(t, "author", "author"), w.as(t, "again-learner"), w.as(t, "again-other")
	readings(author, "again", []string{"u"})
	onePathOf(author, "again-path", 0, "again")
	var made []string
	for range 4 {
		id := me.post("/v1/learners/me/enrollments", map[string]any{"pathId": "again-path"}).want(http.StatusCreated).text("id")
		me.patch("/v1/learners/me/enrollments/"+id, map[string]any{"state": "WITHDRAWN"}).want(http.StatusOK)
		made = append(made, id)
	}
	list := "/v1/learners/me/enrollments?pageSize=1&pageToken="
	var listed []string
	token := ""
	for range made {
		page := me.get(list+token).want(http.StatusOK).has("enrollments.1", "<none>", "enrollments.0.state", "WITHDRAWN")
		listed, token = append(listed, page.text("enrollments.0.id")), page.text("nextPageToken")
		if token != "" {
			other.get(list+token).problem(http.StatusBadRequest, "BAD_PAGE_TOKEN").violates("pageToken", "BAD_PAGE_TOKEN")
		}
	}
	if !slices.Equal(listed, made) || token != "" {
		t.Errorf("listed are %v and %q, want %v", listed, token, made)
	}
	me.get(list+"forged").problem(http.StatusBadRequest, "BAD_PAGE_TOKEN").violates("pageToken", "BAD_PAGE_TOKEN")
}
