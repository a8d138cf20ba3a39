package e2e

import (
	"net/http"
	"strings"
	"testing"
)

func testAuthor(t *testing.T, w *world) {
	author, learner := w.as(t, "author", "author"), w.as(t, "author-reader")
	const id = "golden-module"

	made := author.post("/v1/modules?moduleId="+id, basicsContent("A module"), "Idempotency-Key", "make-1").want(http.StatusCreated)
	made.golden("module_draft")
	if at := made.header.Get("Location"); at != "/v1/modules/"+id {
		t.Errorf("Location %q", at)
	}
	again := author.post("/v1/modules?moduleId="+id, basicsContent("A module"), "Idempotency-Key", "make-1").want(http.StatusCreated)
	if string(again.body) != string(made.body) {
		t.Errorf("the replay is %s, the first answer was %s", again.body, made.body)
	}
	author.post("/v1/modules?moduleId="+id, basicsContent("Another"), "Idempotency-Key", "make-1").
		problem(http.StatusUnprocessableEntity, "IDEMPOTENCY_KEY_REUSED")
	author.post("/v1/modules?moduleId="+id, basicsContent("A module")).problem(http.StatusConflict, "MODULE_EXISTS")

	learner.get("/v1/modules/"+id).problem(http.StatusNotFound, "MODULE_NOT_FOUND")
	author.get("/v1/modules/"+id).want(http.StatusOK).has("state", "DRAFT", "latestVersion", 0)

	edited := author.patch("/v1/modules/"+id, map[string]any{"title": "A better title"}, "If-Match", made.text("etag")).want(http.StatusOK)
	edited.has("draft.title", "A better title", "draft.units.0.id", "phi")
	author.patch("/v1/modules/"+id, map[string]any{"title": "Lost"}, "If-Match", made.text("etag")).problem(http.StatusPreconditionFailed, "ETAG_MISMATCH")
	author.patch("/v1/modules/"+id+"?etag="+made.text("etag"), map[string]any{"title": "Lost"}).problem(http.StatusPreconditionFailed, "ETAG_MISMATCH")

	author.post("/v1/modules/"+id+":preview", map[string]any{}).want(http.StatusOK).golden("module_preview")
	author.post("/v1/modules/"+id+":publish", map[string]any{"etag": made.text("etag")}).problem(http.StatusPreconditionFailed, "ETAG_MISMATCH")
	published := author.post("/v1/modules/"+id+":publish", map[string]any{"etag": edited.text("etag")}).want(http.StatusOK)
	if published.header.Get("Preceptor-Catalog-Revision") == "" {
		t.Error("a publication has no catalog revision")
	}
	learner.get("/v1/modules/" + id).want(http.StatusOK).golden("module")
	learner.get("/v1/modules/" + id + "/versions/1").want(http.StatusOK).golden("module_version")
	learner.get("/v1/modules/"+id+"/versions").want(http.StatusOK).has("versions.0.number", 1, "nextPageToken", "")
	learner.get("/v1/modules/"+id+"/versions/2").problem(http.StatusNotFound, "VERSION_NOT_FOUND")

	archived := author.post("/v1/modules/"+id+":archive", map[string]any{}).want(http.StatusOK)
	archived.has("state", "ARCHIVED")
	author.post("/v1/modules/"+id+":archive", map[string]any{}).want(http.StatusBadRequest).has("reason", "NOT_ACTIVE")
	author.post("/v1/modules/"+id+":restore", map[string]any{}).want(http.StatusOK).has("state", "ACTIVE")
}

// testDiscard deletes drafts that were never published, and nothing else.
func testDiscard(t *testing.T, w *world) {
	author := w.as(t, "author", "author")
	made := author.post("/v1/modules?moduleId=discarded", basicsContent("Not to be")).want(http.StatusCreated)
	author.do(http.MethodDelete, "/v1/modules/discarded?etag=old", nil).problem(http.StatusPreconditionFailed, "ETAG_MISMATCH")
	author.do(http.MethodDelete, "/v1/modules/discarded", nil, "If-Match", `"old"`).problem(http.StatusPreconditionFailed, "ETAG_MISMATCH")
	w.as(t, "discarding").do(http.MethodDelete, "/v1/modules/discarded", nil).problem(http.StatusForbidden, "ROLE_REQUIRED")
	gone := author.do(http.MethodDelete, "/v1/modules/discarded", nil, "If-Match", made.text("etag")).want(http.StatusOK)
	if string(gone.body) != "{}" {
		t.Errorf("the answer is %s, want an empty object", gone.body)
	}
	author.get("/v1/modules/discarded").problem(http.StatusNotFound, "MODULE_NOT_FOUND")
	author.do(http.MethodDelete, "/v1/modules/discarded", nil).problem(http.StatusNotFound, "MODULE_NOT_FOUND")
	author.post("/v1/modules?moduleId=discarded", basicsContent("To be")).want(http.StatusCreated)
	author.post("/v1/modules/discarded:publish", map[string]any{}).want(http.StatusOK)
	author.do(http.MethodDelete, "/v1/modules/discarded", nil).problem(http.StatusBadRequest, "PUBLISHED")
	author.post("/v1/modules/discarded:archive", map[string]any{}).want(http.StatusOK)
	author.do(http.MethodDelete, "/v1/paths/discarded", nil).problem(http.StatusNotFound, "PATH_NOT_FOUND")
	author.post("/v1/paths?pathId=discarded", map[string]any{"title": "Not to be"}).want(http.StatusCreated)
	author.do(http.MethodDelete, "/v1/paths/discarded", nil).want(http.StatusOK)
	author.get("/v1/paths/discarded").problem(http.StatusNotFound, "PATH_NOT_FOUND")
}

// testPreviewArchive looks at what archiving a module would do, and then does it.
func testPreviewArchive(t *testing.T, w *world) {
	author := w.as(t, "author", "author")
	c := publishCourse(t, author, "archiving")
	idle, busy := w.as(t, "archiving-idle"), w.as(t, "archiving-busy")
	for _, me := range []*client{idle, busy} {
		me.post("/v1/learners/me/enrollments", map[string]any{"pathId": c.path}).want(http.StatusCreated)
	}
	busy.record(event(c.basics, "phi", "COMPLETED"))
	at := "/v1/modules/" + c.basics
	author.post(at+":previewArchive", map[string]any{}).want(http.StatusOK).golden("archive_preview").
		has("impact.learnersInProgress", "1", "impact.learnersExcused", "1", "impact.learnersCompleted", "0", "pathIds.0", c.path)
	author.post(at+":previewArchive", map[string]any{"sunsetTime": "2020-01-01T00:00:00Z"}).want(http.StatusOK).
		has("violations.0.reason", "SUNSET_IN_PAST", "impact", "<none>")
	for _, verb := range []string{":previewArchive", ":archive"} { // the zero time is a time, and not none
		author.post(at+verb, map[string]any{"sunsetTime": "0001-01-01T00:00:00Z"}).problem(http.StatusBadRequest, "INVALID_ARGUMENT").
			violates("sunsetTime", "OUT_OF_RANGE")
	}
	author.post("/v1/paths/"+c.path+":previewArchive", map[string]any{}).want(http.StatusOK).has("impact.enrollments.0.enrollments", "2")
	idle.post(at+":previewArchive", map[string]any{}).problem(http.StatusForbidden, "ROLE_REQUIRED")
	author.post(at+":archive", map[string]any{}).want(http.StatusOK)
	author.post(at+":previewArchive", map[string]any{}).want(http.StatusOK).has("violations.0.reason", "NOT_ACTIVE", "impact", "<none>")
}

func testPaths(t *testing.T, w *world) {
	author, learner := w.as(t, "author", "author"), w.as(t, "paths-reader")
	c := publishCourse(t, author, "golden")
	learner.get("/v1/paths/" + c.path).want(http.StatusOK).golden("path")
	learner.get("/v1/paths/"+c.path+"/versions/1").want(http.StatusOK).has("number", 1, "milestones.1.groups.0.requiredCount", 1)

	found := learner.get("/v1/paths?q=from+the+start").want(http.StatusOK)
	if len(found.list("paths")) == 0 {
		t.Errorf("the path is not found: %s", found.body)
	}
	learner.get("/v1/paths?role=clinical-ai-engineer&includeTotal=true&pageSize=1").want(http.StatusOK)
	author.post("/v1/paths/"+c.path+":preview", map[string]any{}).want(http.StatusOK).golden("path_preview")
	learner.get("/v1/topics").want(http.StatusOK).has("topics.0.id", learner.get("/v1/topics").text("topics.0.id"))
}

func testViolations(t *testing.T, w *world) {
	author := w.as(t, "author", "author")
	author.post("/v1/modules?moduleId=faulty", map[string]any{
		"title": "Faulty", "prerequisites": []string{"faulty", "no-such-module"},
		"units": []any{
			map[string]any{"id": "same", "title": "One", "moveOn": "NOT_APPLICABLE", "required": true},
			map[string]any{"id": "same", "title": "Two", "contentUri": "javascript:alert(1)"},
			map[string]any{"id": "quiz", "title": "Quiz", "kind": "QUIZ"},
		},
	}).want(http.StatusCreated)
	author.post("/v1/modules/faulty:publish", map[string]any{}).want(http.StatusBadRequest).golden("publish_violations")
	preview := author.post("/v1/modules/faulty:preview", map[string]any{}).want(http.StatusOK)
	if len(preview.list("violations")) < 5 {
		t.Errorf("preview names too little: %s", preview.body)
	}
	author.post("/v1/modules?moduleId=Not_A_Slug", basicsContent("x")).problem(http.StatusBadRequest, "INVALID_ARGUMENT").violates("moduleId", "MALFORMED")
}

const twoDocuments = `modules:
  - id: import-a
    topic: fhir
    title: First
    units:
      - {id: one, title: One, kind: READING}
---
paths:
  - id: import-path
    title: Imported
    milestones:
      - id: only
        title: Only
        groups:
          - moduleIds: [import-a]
`

func testCatalog(t *testing.T, w *world) {
	author := w.as(t, "author", "author")
	files := func(text string) map[string]any {
		return map[string]any{"files": []any{map[string]any{"name": "import.yaml", "content": text}}}
	}
	before := author.get("/v1/catalog/changes").want(http.StatusOK).text("revision")
	dry := files(twoDocuments)
	dry["dryRun"] = true
	author.post("/v1/catalog:import", dry).want(http.StatusOK).has("changes.0.kind", "MODULE", "changes.0.id", "import-a", "changes.1.kind", "PATH")
	author.get("/v1/modules/import-a").want(http.StatusNotFound)

	author.post("/v1/catalog:import", files(twoDocuments)).want(http.StatusOK).has("changes.1.id", "import-path", "unchangedCount", 0)
	author.post("/v1/catalog:import", files(twoDocuments)).want(http.StatusOK).has("changes", "[]", "unchangedCount", 2)
	// A body may also be the document itself.
	author.post("/v1/catalog:import", twoDocuments, "Content-Type", "application/yaml").want(http.StatusOK).has("unchangedCount", 2)

	changes := author.get("/v1/catalog/changes?afterRevision=" + before + "&pageSize=500").want(http.StatusOK)
	var seen strings.Builder
	for _, c := range changes.list("changes") {
		seen.WriteString(plain(dig(c, "action")) + " " + plain(dig(c, "id")) + ";")
	}
	if !strings.Contains(seen.String(), "PUBLISHED import-a;") || !strings.Contains(seen.String(), "PUBLISHED import-path;") {
		t.Errorf("changes are %s", seen.String())
	}

	// All or nothing, with every fault in its place.
	broken := strings.Replace(twoDocuments, "title: First", "title: Changed\n    nonsense: 1", 1)
	broken = strings.Replace(broken, "[import-a]", "[import-a, not-there]", 1)
	refused := author.post("/v1/catalog:import", files(broken)).want(http.StatusBadRequest)
	if len(refused.list("violations")) < 2 || !strings.HasPrefix(refused.text("violations.0.field"), "import.yaml:5:") {
		t.Errorf("violations: %s", refused.body)
	}
	author.get("/v1/modules/import-a").want(http.StatusOK).has("version.title", "First", "latestVersion", 1)

	export := author.get("/v1/catalog:export").want(http.StatusOK)
	if ct := export.header.Get("Content-Type"); ct != "application/yaml" {
		t.Errorf("export is %s", ct)
	}
	if !strings.Contains(string(export.body), "import-a") {
		t.Error("the export lacks what was imported")
	}
	author.get("/v1/catalog:export", "Accept", "application/json").want(http.StatusOK).
		has("modules.0.id", author.get("/v1/modules?pageSize=1").text("modules.0.id"))
}

// testVersions publishes a second version, and meets the rules of change classes.
func testVersions(t *testing.T, w *world) {
	author, learner := w.as(t, "author", "author"), w.as(t, "versions-learner")
	c := publishCourse(t, author, "versions")
	author.patch("/v1/modules/"+c.basics, map[string]any{"title": "Second edition"}).want(http.StatusOK)
	author.post("/v1/modules/"+c.basics+":publish", map[string]any{}).want(http.StatusBadRequest)
	author.post("/v1/modules/"+c.basics+":publish", map[string]any{"changeClass": "EDITORIAL"}).want(http.StatusOK).
		has("latestVersion", 2, "version.changeClass", "EDITORIAL")
	learner.record(event(c.basics, "phi", "COMPLETED", "moduleVersion", 1)).has("results.0.status", "ACCEPTED")
	learner.record(event(c.basics, "phi", "COMPLETED", "moduleVersion", 3)).has("results.0.status", "REJECTED", "results.0.reason", "UNKNOWN_VERSION")

	// A path gains a module: a learner who is enrolled stays on their version, and may move on.
	enrollment := learner.post("/v1/learners/me/enrollments", map[string]any{"pathId": c.path}).want(http.StatusCreated).text("id")
	author.patch("/v1/paths/"+c.path, map[string]any{"milestones": []any{
		map[string]any{"id": "begin", "title": "Begin", "groups": []any{map[string]any{"moduleIds": []string{c.basics}}}},
	}}).want(http.StatusOK)
	author.post("/v1/paths/"+c.path+":publish", map[string]any{}).want(http.StatusOK).has("latestVersion", 2)
	at := "/v1/learners/me/paths/" + c.path + "/progress"
	learner.get(at).want(http.StatusOK).has("pathVersion", 1, "upgrade.version", 2, "upgrade.removedModuleIds.0", c.quiz)
	learner.patch("/v1/learners/me/enrollments/"+enrollment, map[string]any{"pathVersion": 2}).want(http.StatusOK).has("pathVersion", 2)
	learner.get(at).want(http.StatusOK).has("pathVersion", 2, "requiredCount", 1, "upgrade", "<none>")
	learner.patch("/v1/learners/me/enrollments/"+enrollment, map[string]any{"pathVersion": 1}).problem(http.StatusBadRequest, "UPGRADE_TO_OLDER")
}

// testMandate makes the upgrade to a path's second version mandatory.
func testMandate(t *testing.T, w *world) {
	author, admin, learner := w.as(t, "author", "author"), w.as(t, "mandate-admin", "admin"), w.as(t, "mandate-reader")
	c := publishCourse(t, author, "mandate")
	at := "/v1/paths/" + c.path
	admin.post(at+"/versions/1:mandate", map[string]any{}).problem(http.StatusBadRequest, "NOTHING_TO_MANDATE")
	admin.post(at+"/versions/2:mandate", map[string]any{}).problem(http.StatusNotFound, "VERSION_NOT_FOUND")
	author.patch(at, map[string]any{"summary": "Two steps, by the new rules."}).want(http.StatusOK)
	author.post(at+":publish", map[string]any{}).want(http.StatusOK).has("latestVersion", 2)
	before := learner.get(at).want(http.StatusOK).has("version.mandateTime", "<none>")
	etag, hash := before.text("etag"), before.text("version.contentHash")

	order := map[string]any{"effectiveTime": "2020-01-01T00:00:00Z", "reason": "The law changed."}
	learner.post(at+"/versions/2:mandate", order).problem(http.StatusForbidden, "ROLE_REQUIRED")
	author.post(at+"/versions/2:mandate", order).problem(http.StatusForbidden, "ROLE_REQUIRED")
	admin.post(at+"/versions/2:mandate", order).problem(http.StatusBadRequest, "INVALID_ARGUMENT").violates("effectiveTime", "BAD_EFFECTIVE_TIME")
	delete(order, "effectiveTime")
	admin.post(at+"/versions/2:mandate", order, "If-Match", `"stale"`).problem(http.StatusPreconditionFailed, "ETAG_MISMATCH")
	revision := author.get("/v1/catalog/changes").want(http.StatusOK).text("revision")

	done := admin.post(at+"/versions/2:mandate", order, "If-Match", etag).want(http.StatusOK)
	from := done.text("version.mandateTime")
	if done.header.Get("Preceptor-Catalog-Revision") == "" || done.text("etag") == etag {
		t.Errorf("a mandate has no catalog revision, or leaves the etag: %v, %s", done.header, done.body)
	}
	admin.post(at+"/versions/2:mandate", order).want(http.StatusOK).has("version.mandateTime", from, "etag", done.text("etag"))
	learner.get(at).want(http.StatusOK).has("latestVersion", 2, "version.mandateTime", from, "version.contentHash", hash)
	learner.get(at+"/versions/2").want(http.StatusOK).has("mandateTime", from)
	learner.get(at+"/versions").want(http.StatusOK).has("versions.0.mandateTime", from, "versions.1.mandateTime", "<none>")
	found := 0
	for _, change := range author.get("/v1/catalog/changes?afterRevision=" + revision + "&pageSize=500").want(http.StatusOK).list("changes") {
		if plain(dig(change, "id")) == c.path && plain(dig(change, "action")) == "MANDATED" && plain(dig(change, "version")) == "2" {
			found++
		}
	}
	if found != 1 {
		t.Errorf("the changes hold %d mandates, want 1", found)
	}

	withdraw := at + "/versions/2:withdrawMandate"
	slip := map[string]any{"reason": "The wrong path."}
	learner.post(withdraw, slip).problem(http.StatusForbidden, "ROLE_REQUIRED")
	author.post(withdraw, slip).problem(http.StatusForbidden, "ROLE_REQUIRED")
	admin.post(withdraw, map[string]any{}).problem(http.StatusBadRequest, "INVALID_ARGUMENT").violates("reason", "REQUIRED")
	admin.post(withdraw, slip, "If-Match", etag).problem(http.StatusPreconditionFailed, "ETAG_MISMATCH")
	taken := admin.post(withdraw, slip, "If-Match", done.text("etag")).want(http.StatusOK).has("version.mandateTime", "<none>", "version.contentHash", hash)
	if taken.header.Get("Preceptor-Catalog-Revision") == "" || taken.text("etag") == done.text("etag") {
		t.Errorf("a withdrawal has no catalog revision, or leaves the etag: %v, %s", taken.header, taken.body)
	}
	admin.post(withdraw, slip).problem(http.StatusBadRequest, "NOT_MANDATED")
	learner.get(at).want(http.StatusOK).has("version.mandateTime", "<none>")
	if got := audited(admin, "catalog", "paths/"+c.path+"/versions/2"); got["UPGRADE_MANDATED"] != "The law changed." ||
		got["UPGRADE_MANDATE_WITHDRAWN"] != "The wrong path." {
		t.Errorf("the audit has %v", got)
	}
}

// testReadYourPublish enrolls in a path the moment it is published: progress must not respond
// from an older catalog than the caller has seen.
func testReadYourPublish(t *testing.T, w *world) {
	author, learner := w.as(t, "author", "author"), w.as(t, "fresh-learner")
	for _, name := range []string{"fresh-1", "fresh-2", "fresh-3"} {
		c := publishCourse(t, author, name)
		learner.post("/v1/learners/me/enrollments", map[string]any{"pathId": c.path}).want(http.StatusCreated)
		learner.record(c.basicsDone()...).has("results.0.status", "ACCEPTED", "results.1.status", "ACCEPTED", "awards.0.milestoneId", "begin")
	}
}
