package e2e

import (
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/preceptor-dev/preceptor/internal/audit"
)

// testAudit reads the chains, whatever other tests leave in them meanwhile.
func testAudit(t *testing.T, w *world) {
	admin := w.as(t, "audit-admin", "admin")
	for _, service := range []string{"profile", "catalog", "progress"} {
		at := "/v1/audit?service=" + service
		a := admin.get(at).want(http.StatusOK)
		a.list("entries")
		a.text("headSequence")
		a.text("headHash")
		(&client{t: t, base: w.base}).get(at).problem(http.StatusUnauthorized, "TOKEN_MISSING")
		for _, role := range []string{"learner", "manager", "author"} {
			w.as(t, "audit-"+role, role).get(at).problem(http.StatusForbidden, "ROLE_REQUIRED")
		}
	}
	admin.get("/v1/audit").problem(http.StatusBadRequest, "INVALID_ARGUMENT").violates("service", "REQUIRED")
	for _, query := range []string{"?service=gateway", "?service=Progress"} {
		a := admin.get("/v1/audit"+query).problem(http.StatusBadRequest, "INVALID_ARGUMENT")
		a.violates("service", "UNKNOWN_VALUE")
		if text := a.text("violations.0.description"); !strings.Contains(text, "catalog") || !strings.Contains(text, "progress") {
			t.Errorf("the violation of %q is %q", query, text)
		}
		w.as(t, "audit-learner", "learner").get("/v1/audit"+query).problem(http.StatusForbidden, "ROLE_REQUIRED")
	}
	admin.get("/v1/audit?service=catalog&afterSequence=-1").problem(http.StatusBadRequest, "INVALID_ARGUMENT").violates("afterSequence", "OUT_OF_RANGE")

	stdout, stderr, code := command(t, "audit", "verify", "--server", w.base, "--data", w.data)
	lines := regexp.MustCompile(`^profile: (no entries|\d+ entr(y|ies), chain whole, head profile:\d+:[0-9a-f]{64})\ncatalog: (no entries|\d+ entr(y|ies), chain whole, head catalog:\d+:[0-9a-f]{64})\nprogress: (no entries|\d+ entr(y|ies), chain whole, head progress:\d+:[0-9a-f]{64})\n$`)
	if code != 0 || stderr != "" || !lines.MatchString(stdout) {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	stdout, _, code = command(t, "audit", "verify", "--server", w.base, "--token", admin.token, "--service", "catalog")
	if code != 0 || !strings.HasPrefix(stdout, "catalog: ") || strings.Contains(stdout, "progress") {
		t.Errorf("exit code %d: %s", code, stdout)
	}
	refused(t, 1, []string{"audit", "verify", "--server", w.base, "--token", w.token(t, "audit-learner", "learner")}, "admin")
}

// TestAuditExample checks the documents' entry in the two ways that they describe.
func TestAuditExample(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Audit\n")
	blocks := regexp.MustCompile("(?s)```(?:json|sh)\n(.*?)```").FindAllStringSubmatch(section, 2)
	if len(blocks) != 2 {
		t.Fatal("docs/api.md shows no entry with a command to check it")
	}
	entry, check := blocks[0][1], blocks[1][1]
	head, err := audit.Head{}.FollowJSON([]byte(entry))
	if err != nil {
		t.Fatal(err)
	}
	if sum, _, _ := strings.Cut(bash(t, t.TempDir(), check), " "); sum != head.Hash {
		t.Errorf("sha256sum prints %s, the entry has %s", sum, head.Hash)
	}
	api, err := os.ReadFile("../../gateway/openapigen/examples.json")
	if err != nil || !strings.Contains(string(api), head.Hash) {
		t.Errorf("the description of the API has another entry: %v", err)
	}
}
