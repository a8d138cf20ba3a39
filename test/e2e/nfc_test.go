package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// testNFC writes by REST what a keyboard that decomposes sends, and looks for it as another sends it.
func testNFC(t *testing.T, w *world) {
	const sent, stored = "Zoe\u0308s Einfu\u0308hrung", "Zoës Einführung"
	author := w.as(t, "author", "author")
	content := basicsContent(sent)
	content["summary"] = strings.Repeat("a\u0308", 500) // as many characters as letters
	author.post("/v1/modules?moduleId=nfc", content).want(http.StatusCreated).has("draft.title", stored)
	author.post("/v1/modules/nfc:publish", map[string]any{}).want(http.StatusOK)
	reader := w.as(t, "nfc-learner")
	for _, q := range []string{sent, stored, "EINFU\u0308HRUNG"} {
		reader.get("/v1/modules?q="+url.QueryEscape(q)).want(http.StatusOK).has("modules.0.id", "nfc", "modules.1", "<none>")
	}

	id := reader.id()
	reader.patch("/v1/learners/me", map[string]any{"displayName": sent}).want(http.StatusOK).has("displayName", stored)
	admin := w.as(t, "admin", "admin")
	as := "/v1/learners/" + id + "/events:batch"
	waiver := event("nfc", "", "WAIVED", "reason", sent)
	for _, c := range []struct{ reason, status string }{
		{sent, "ACCEPTED"}, {sent, "DUPLICATE"}, {stored, "DUPLICATE"}, {stored + ".", "REJECTED"},
	} {
		waiver["reason"] = c.reason
		admin.post(as, map[string]any{"events": []any{waiver}}).want(http.StatusOK).has("results.0.status", c.status)
	}
	reader.get("/v1/learners/me/events").want(http.StatusOK).has("events.0.event.reason", stored)

	// A catalog as code: the same text in any form is no change, also where YAML escapes it.
	const changed = "Zoës Weg"
	apply := func(title string) *response {
		document := "modules:\n  - id: nfc-import\n    title: " + title + "\n    units:\n      - id: u\n        title: U\n        kind: READING\n"
		return author.post("/v1/catalog:import", map[string]any{"files": []any{map[string]any{"name": "nfc.yaml", "content": document}}}).want(http.StatusOK)
	}
	apply("Zoe\u0308s Weg").has("changes.0.id", "nfc-import")
	for _, title := range []string{"Zoe\u0308s Weg", changed, `"Zoe\u0308s Weg"`} {
		apply(title).has("changes.0", "<none>", "unchangedCount", 1)
	}
	reader.get("/v1/modules/nfc-import").want(http.StatusOK).has("version.title", changed)
}
