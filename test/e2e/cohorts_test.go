package e2e

import (
	"net/http"
	"strings"
	"testing"
)

// person makes a learner with a department, as an admin does, and returns the id.
func person(admin *client, name, department string) string {
	admin.t.Helper()
	return admin.post("/v1/learners", map[string]any{
		"displayName": name, "attributes": map[string]any{"department": department, "hireDate": "2026-03-01"},
	}).want(http.StatusCreated).has("state", "ACTIVE", "attributes.department", department).text("id")
}

// testAttributes sets what the organization knows of learners, suspends one and takes that back.
func testAttributes(t *testing.T, w *world) {
	admin, me := w.as(t, "attributes-admin", "admin"), w.as(t, "attributes-learner")
	at := "/v1/learners/" + me.id()
	was := admin.patch(at, map[string]any{"attributes": map[string]any{"department": "anaesthesia", "employeeId": "0042", "hireDate": "2026-03-01"}}).
		want(http.StatusOK).has("attributes.employeeId", "0042")
	me.get("/v1/learners/me").want(http.StatusOK).has("attributes.department", "anaesthesia", "etag", was.text("etag"))
	me.patch("/v1/learners/me", map[string]any{"attributes": map[string]any{"department": "surgery"}}).problem(http.StatusForbidden, "ROLE_REQUIRED")
	me.patch("/v1/learners/me", map[string]any{"displayName": "Ada", "attributes": was.get("attributes")}).want(http.StatusOK).has("displayName", "Ada")
	admin.patch(at+"?updateMask=attributes.department", map[string]any{"attributes": map[string]any{"department": "surgery", "employeeId": "1"}}).
		want(http.StatusOK).has("attributes.department", "surgery", "attributes.employeeId", "0042")
	admin.patch(at+"?updateMask=attributes.employeeId", map[string]any{}).want(http.StatusOK).has("attributes.employeeId", "<none>", "attributes.department", "surgery")
	admin.patch(at, map[string]any{"attributes": map[string]any{"hireDate": "1 March", "a b": "x", "c": strings.Repeat("x", 201)}}).
		problem(http.StatusBadRequest, "INVALID_ARGUMENT").violates("attributes.hireDate", "MALFORMED", "attributes.a b", "MALFORMED", "attributes.c", "TOO_LONG")
	admin.get("/v1/learners?q=surgery+ada").want(http.StatusOK).has("learners.0.id", me.id(), "learners.1", "<none>")

	me.post(at+":suspend", map[string]any{"reason": "x"}).problem(http.StatusForbidden, "ROLE_REQUIRED")
	admin.post(at+":suspend", map[string]any{"reason": " "}).problem(http.StatusBadRequest, "INVALID_ARGUMENT").violates("reason", "REQUIRED")
	admin.post(at+":suspend", map[string]any{"reason": "left"}).want(http.StatusOK).has("state", "SUSPENDED")
	admin.post(at+":suspend", map[string]any{"reason": "left"}).problem(http.StatusBadRequest, "LEARNER_SUSPENDED")
	me.patch("/v1/learners/me", map[string]any{"displayName": "Still Ada"}).want(http.StatusOK).has("state", "SUSPENDED")
	admin.post(at+":reactivate", map[string]any{"reason": "back"}).want(http.StatusOK).has("state", "ACTIVE")
	admin.post(at+":reactivate", map[string]any{"reason": "back"}).problem(http.StatusBadRequest, "LEARNER_ACTIVE")
}

// testCohorts makes cohorts by list and by rule, and follows who is in them and why.
func testCohorts(t *testing.T, w *world) {
	admin := w.as(t, "cohorts-admin", "admin")
	ann, bob := person(admin, "Ann Cohort", "e2e-radiology"), person(admin, "Bob Cohort", "e2e-oncology")
	const rule = `attributes.department == "e2e-radiology" && state == "ACTIVE"`
	admin.post("/v1/cohorts:evaluate", map[string]any{"rule": rule}).want(http.StatusOK).
		has("memberCount", 1, "members.0.learnerId", ann, "members.0.displayName", "Ann Cohort", "errorCount", 0)
	admin.post("/v1/cohorts:evaluate", map[string]any{"rule": "stat == 1 ||\n  name"}).problem(http.StatusBadRequest, "INVALID_ARGUMENT").
		has("violations.0.description", "line 1, column 1: undeclared reference to 'stat'", "violations.1.description", "line 2, column 3: undeclared reference to 'name'").
		violates("rule", "RULE_INVALID")
	body := map[string]any{"title": "Radiology", "kind": "RULE", "rule": rule, "managerIds": []any{bob}}
	made := admin.post("/v1/cohorts?cohortId=e2e-radiology", body, "Idempotency-Key", "cohort-1").want(http.StatusCreated).
		has("id", "e2e-radiology", "kind", "RULE", "managerIds.0", bob, "evaluating", true)
	if got := made.header.Get("Location"); got != "/v1/cohorts/e2e-radiology" {
		t.Errorf("it is at %q", got)
	}
	admin.post("/v1/cohorts?cohortId=e2e-radiology", body, "Idempotency-Key", "cohort-1").want(http.StatusCreated).has("etag", made.text("etag"))
	admin.post("/v1/cohorts?cohortId=e2e-radiology", body).problem(http.StatusConflict, "COHORT_EXISTS")
	const at = "/v1/cohorts/e2e-radiology"
	eventually(t, "the rule is evaluated", func() bool {
		a := admin.get(at).want(http.StatusOK)
		return a.get("evaluating") == false && plain(a.get("memberCount")) == "1"
	})
	admin.get(at+"/members").want(http.StatusOK).has("members.0.learnerId", ann, "members.0.displayName", "Ann Cohort",
		"members.0.reason", `version 1 of the rule holds: attributes.department = "e2e-radiology", state = "ACTIVE"`, "members.1", "<none>")

	// A transfer is followed at once, both ways, and the history stays.
	admin.patch("/v1/learners/"+ann, map[string]any{"attributes": map[string]any{"department": "e2e-oncology"}}).want(http.StatusOK)
	admin.patch("/v1/learners/"+bob, map[string]any{"attributes": map[string]any{"department": "e2e-radiology"}}).want(http.StatusOK)
	admin.get(at+"/members").want(http.StatusOK).has("members.0.learnerId", bob, "members.1", "<none>")
	admin.get(at+"/members/"+ann+":explain").want(http.StatusOK).has("member", false, "joinTime", "<none>", "rule", rule,
		"values", `{"attributes.department":"e2e-oncology","state":"ACTIVE"}`, "history.1", "<none>",
		"history.0.leaveReason", `version 1 of the rule does not hold: attributes.department = "e2e-oncology", state = "ACTIVE"`)
	admin.post(at+"/members:add", map[string]any{"learnerIds": []any{ann}}).problem(http.StatusBadRequest, "NOT_STATIC")
	admin.patch(at, map[string]any{"title": "Renamed"}, "If-Match", `"stale"`).problem(http.StatusPreconditionFailed, "ETAG_MISMATCH")
	admin.patch(at, map[string]any{"kind": "STATIC"}).problem(http.StatusBadRequest, "INVALID_ARGUMENT").violates("kind", "NOT_SETTABLE")
	admin.patch(at, map[string]any{"rule": "int(attributes.department) > 0"}).want(http.StatusOK)
	eventually(t, "the new rule is evaluated", func() bool { return admin.get(at).get("evaluating") == false })
	failing := admin.get(at).want(http.StatusOK).has("memberCount", 1) // bob stays what he was
	if failing.text("ruleError") == "" || plain(failing.get("ruleErrorCount")) == "0" {
		t.Errorf("the errors of the rule are not shown: %s", failing.body)
	}

	admin.post("/v1/cohorts?cohortId=e2e-list", map[string]any{"title": "A list", "kind": "STATIC"}).want(http.StatusCreated)
	list := map[string]any{"learnerIds": []any{ann, bob}, "reason": "working group"}
	admin.post("/v1/cohorts/e2e-list/members:add", list).want(http.StatusOK).has("addedCount", 2)
	admin.post("/v1/cohorts/e2e-list/members:add", list).want(http.StatusOK).has("addedCount", 0)
	admin.get("/v1/cohorts/e2e-list/members?pageSize=1").want(http.StatusOK).has("members.0.reason", "working group", "members.1", "<none>")
	list["learnerIds"] = []any{ann, newID()}
	admin.post("/v1/cohorts/e2e-list/members:remove", list).problem(http.StatusBadRequest, "INVALID_ARGUMENT").violates("learnerIds[1]", "LEARNER_NOT_FOUND")
	list["learnerIds"] = []any{ann}
	admin.post("/v1/cohorts/e2e-list/members:remove", list).want(http.StatusOK).has("removedCount", 1)
	admin.get("/v1/cohorts?q=a+list").want(http.StatusOK).has("cohorts.0.id", "e2e-list", "cohorts.0.memberCount", 1)
	admin.do(http.MethodDelete, "/v1/cohorts/e2e-list", nil).want(http.StatusOK)
	admin.get("/v1/cohorts/e2e-list").problem(http.StatusNotFound, "COHORT_NOT_FOUND")
	wantProfileAudit(t, admin, ann)
}

// wantProfileAudit looks for what was done to the cohorts in profile's chain.
func wantProfileAudit(t *testing.T, admin *client, ann string) {
	t.Helper()
	found := map[string]string{}
	for after := "0"; ; {
		a := admin.get("/v1/audit?service=profile&pageSize=500&afterSequence=" + after).want(http.StatusOK)
		for _, e := range a.list("entries") {
			found[plain(dig(e, "action"))+" "+plain(dig(e, "resource"))] = plain(dig(e, "actor")) + " " + plain(dig(e, "reason"))
			if strings.Contains(plain(dig(e, "reason")), "e2e-oncology") {
				t.Errorf("the chain has the value of an attribute: %v", e)
			}
		}
		if after = a.text("nextAfterSequence"); after == a.text("headSequence") {
			break
		}
	}
	for key, reason := range map[string]string{
		"COHORT_CREATED cohorts/e2e-radiology":                   "",
		"COHORT_CHANGED cohorts/e2e-radiology":                   "rule (version 2)",
		"COHORT_DELETED cohorts/e2e-list":                        "",
		"COHORT_MEMBERS_ADDED cohorts/e2e-list/members/" + ann:   "working group",
		"COHORT_MEMBERS_REMOVED cohorts/e2e-list/members/" + ann: "working group",
		"LEARNER_ATTRIBUTES_CHANGED learners/" + ann:             "department, hireDate",
	} {
		if want := admin.id() + " " + reason; found[key] != want {
			t.Errorf("the chain has %q for %s, want %q", found[key], key, want)
		}
	}
}

// testManagers reads, as a manager, what is theirs, until it is not any more.
func testManagers(t *testing.T, w *world) {
	admin, boss, ann := w.as(t, "managers-admin", "admin"), w.as(t, "managers-boss", "manager"), w.as(t, "managers-ann")
	other, plainBoss := person(admin, "Other", "e2e-nobody"), w.as(t, "managers-boss", "learner")
	c := publishCourse(t, w.as(t, "author", "author"), "managed")
	ann.post("/v1/learners/me/enrollments", map[string]any{"pathId": c.path}).want(http.StatusCreated)
	for _, id := range []string{"e2e-own", "e2e-other"} {
		admin.post("/v1/cohorts?cohortId="+id, map[string]any{"title": "Managed", "kind": "STATIC"}).want(http.StatusCreated)
	}
	admin.patch("/v1/cohorts/e2e-own", map[string]any{"managerIds": []any{boss.id()}}).want(http.StatusOK)
	members := map[string]any{"learnerIds": []any{ann.id()}}
	admin.post("/v1/cohorts/e2e-own/members:add", members).want(http.StatusOK)
	admin.post("/v1/cohorts/e2e-other/members:add", map[string]any{"learnerIds": []any{other}}).want(http.StatusOK)

	at := "/v1/learners/" + ann.id()
	reads := []string{
		at + "/progress", at + "/paths/" + c.path + "/progress", at + "/paths/" + c.path + "/progress:explain", at + "/modules/progress",
		at + "/modules/" + c.basics + "/progress", at + "/awards",
	}
	eventually(t, "progress knows the manager", func() bool { return boss.get(at+"/progress").status == http.StatusOK })
	for _, read := range reads {
		boss.get(read).want(http.StatusOK)
		plainBoss.get(read).problem(http.StatusForbidden, "NOT_YOUR_DATA")
	}
	for _, path := range []string{at, at + "/events", at + "/enrollments", at + "/paths/" + c.path + "/content", "/v1/learners/" + other + "/progress"} {
		boss.get(path).problem(http.StatusForbidden, "NOT_YOUR_DATA")
	}
	boss.post(at+"/events:batch", map[string]any{"events": []any{event(c.basics, "phi", "COMPLETED")}}).problem(http.StatusForbidden, "NOT_YOUR_DATA")
	boss.get("/v1/learners/me/progress").want(http.StatusOK)
	boss.get("/v1/cohorts").want(http.StatusOK).has("cohorts.0.id", "e2e-own", "cohorts.1", "<none>")
	boss.get("/v1/cohorts/e2e-own").want(http.StatusOK).has("memberCount", 1)
	boss.get("/v1/cohorts/e2e-own/members").want(http.StatusOK).has("members.0.learnerId", ann.id())
	boss.get("/v1/cohorts/e2e-own/members/"+ann.id()+":explain").want(http.StatusOK).has("member", true)
	boss.get("/v1/cohorts/e2e-own/members/"+other+":explain").problem(http.StatusForbidden, "NOT_YOUR_DATA")
	for _, path := range []string{"/v1/cohorts/e2e-other", "/v1/cohorts/e2e-other/members", "/v1/cohorts/none"} {
		boss.get(path).problem(http.StatusForbidden, "NOT_YOUR_DATA")
	}
	boss.patch("/v1/cohorts/e2e-own", map[string]any{"title": "Mine"}).problem(http.StatusForbidden, "ROLE_REQUIRED")
	boss.post("/v1/cohorts/e2e-own/members:add", members).problem(http.StatusForbidden, "ROLE_REQUIRED")
	plainBoss.get("/v1/cohorts").problem(http.StatusForbidden, "ROLE_REQUIRED")

	// A manager who is suspended manages nothing, and a member who left is not theirs any more.
	refused := func() bool { return boss.get(at+"/progress").status == http.StatusForbidden }
	admin.post("/v1/learners/"+boss.id()+":suspend", map[string]any{"reason": "left"}).want(http.StatusOK)
	boss.get("/v1/cohorts").want(http.StatusOK).has("cohorts.0", "<none>")
	boss.get("/v1/cohorts/e2e-own").problem(http.StatusForbidden, "NOT_YOUR_DATA")
	eventually(t, "progress knows of the suspension", refused)
	admin.post("/v1/learners/"+boss.id()+":reactivate", map[string]any{"reason": "back"}).want(http.StatusOK)
	eventually(t, "progress knows that the manager is back", func() bool { return !refused() })
	admin.post("/v1/cohorts/e2e-own/members:remove", members).want(http.StatusOK)
	eventually(t, "progress knows that the member left", refused)
}
