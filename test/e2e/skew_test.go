//go:build realservers

package e2e

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/testenv"
)

var skewProgram = flag.String("skew.program", "", "the program of the release before, for TestSkew; it builds one when not given")

// previousVersion is what a program that was built for TestSkew calls itself.
const previousVersion = "v0.0.0-before"

// TestSkew runs each service by the program of the release before while others run by the one under test, on
// the schema that this one made, and goes back to that: a gateway before a progress of before, and the other
// way round. Learners record, read and watch throughout, an author publishes and imports, and no request fails.
func TestSkew(t *testing.T) {
	store := migrated(t)
	before := programBefore(t, store)
	server := testenv.NewMortalRedis(t)
	f := newFleet(t, store, directly, "redis://"+server.Addr)
	for _, m := range f.all() {
		m.args = append(m.args, "--drain-delay", "1s")
	}
	catalog, profile := []*member{f.catalog}, []*member{f.profile}
	scenarios := []scenario{nothing()}
	for _, step := range []struct {
		members []*member
		back    bool
	}{
		{f.progress, true},
		{f.gateways, true},
		{f.progress, false}, // now only the gateways are of before
		{catalog, true},
		{profile, true},
		{f.gateways, false}, // now only the catalog and profile are
		{catalog, false},
		{profile, false},
	} {
		name, program := "the "+step.members[0].service+" of now", ""
		if step.back {
			name, program = "the "+step.members[0].service+" of before", before
		}
		scenarios = append(scenarios, scenario{name: name, play: func(tr *trial, r *row) { tr.change(step.members, program, r) }, flawless: true})
	}
	try(t, f, scenarios)
}

// change has members run by another program, one after the other, and then an author work.
func (tr *trial) change(members []*member, program string, r *row) {
	tr.t.Helper()
	for _, m := range members {
		m.program = program
	}
	tr.roll(members, r)
	for _, m := range members {
		if is := versionOf(tr.t, m); *skewProgram == "" && !testenv.ClockMoved() && (is == previousVersion) != (program != "") {
			tr.t.Errorf("%s runs version %s", m.name, is)
		}
	}
	tr.author(strings.ReplaceAll(r.name, " ", "-"))
}

// versionOf is the version that a member says it is.
func versionOf(t *testing.T, m *member) string {
	t.Helper()
	page := (&client{t: t, base: "http://" + m.process.metrics}).get("/metrics")
	found := regexp.MustCompile(`(?m)^preceptor_build_info\{version="([^"]*)"\}`).FindSubmatch(page.body)
	if found == nil {
		t.Fatalf("%s shows no version", m.name)
	}
	return string(found[1])
}

// author publishes a module by one gateway and imports another by the other; learners find both.
func (tr *trial) author(name string) {
	tr.t.Helper()
	w := tr.fleet.world
	author := w.as(tr.t, "author", "author")
	author.post("/v1/modules?moduleId="+name, basicsContent("Skew")).want(http.StatusCreated)
	author.post("/v1/modules/"+name+":publish", map[string]any{}).want(http.StatusOK)
	author.base = "http://" + tr.fleet.gateways[1].addr
	document := fmt.Sprintf("modules:\n  - id: %s-imported\n    title: Skew\n    units:\n      - {id: one, title: One, kind: READING}\n", name)
	author.post("/v1/catalog:import", map[string]any{"files": []any{map[string]any{"name": "skew.yaml", "content": document}}}).want(http.StatusOK)
	me := w.as(tr.t, "reader")
	for module, unit := range map[string]string{name: "phi", name + "-imported": "one"} {
		within(tr.t, module+" is taken up", func() bool {
			a := me.post("/v1/learners/me/events:batch", map[string]any{"events": []any{event(module, unit, "PROGRESSED", "progress", 0.5)}})
			return a.want(http.StatusOK).text("results.0.status") == "ACCEPTED"
		})
	}
}

// programBefore returns the program of the release before. Without -skew.program, that is the last tag v*, and
// until there is one the parent of this commit; where the clone has neither, or the parent reads another
// format, which releases do not, it is the program under test by another version's name.
func programBefore(t *testing.T, store *records) string {
	t.Helper()
	if *skewProgram != "" {
		return *skewProgram
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	revision, released := revisionBefore(root)
	if revision == "" {
		t.Log("this clone has no history: the program of before is the one under test, by another version's name")
		return buildVersion(t, root)
	}
	sources := t.TempDir()
	unpack := exec.Command("sh", "-c", `git -C "$1" archive "$2" | tar -x -C "$3"`, "sh", root, revision, sources)
	if out, err := unpack.CombinedOutput(); err != nil {
		t.Fatalf("git archive %s: %v\n%s", revision, err, out)
	}
	program := buildVersion(t, sources)
	cmd := exec.Command(program, "migrate", "progress", "--database-url", store.urls["progress"])
	cmd.Env = environment()
	out, err := cmd.CombinedOutput()
	switch {
	case err == nil:
		t.Logf("the program of before is that of %s", revision)
		return program
	case !released && strings.Contains(string(out), "before the first release formats are not converted"):
		t.Logf("the program of %s reads another format: the program of before is the one under test, by another version's name", revision)
		return buildVersion(t, root)
	}
	t.Fatalf("the program of %s does not accept the schema of this one: %v\n%s", revision, err, out)
	return ""
}

// revisionBefore is the commit of the release before, "" for none, and reports whether it is a release.
func revisionBefore(root string) (revision string, released bool) {
	git := func(args ...string) string {
		out, err := exec.Command("git", append([]string{"-C", root}, args...)...).Output()
		if err != nil {
			return "" // no such commit in this clone, or no repository
		}
		return strings.TrimSpace(string(out))
	}
	parent := git("rev-parse", "--quiet", "--verify", "HEAD^^{commit}")
	if parent == "" {
		return "", false
	}
	if tag := git("describe", "--tags", "--match", "v*", "--abbrev=0", parent); tag != "" {
		return tag, true
	}
	return parent, false
}

// buildVersion builds the program of some sources, which calls itself previousVersion.
func buildVersion(t *testing.T, sources string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "preceptor")
	of := "./cmd/preceptor"
	if testenv.ClockMoved() {
		of = "./test/e2e/movedclock"
	}
	build := exec.Command("go", "build", "-buildvcs=false", "-ldflags", "-X main.version="+previousVersion, "-o", program, of)
	build.Dir = sources
	build.Env = append(os.Environ(), "GOWORK=off")
	began := testenv.Now()
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the program of before: %v\n%s", err, out)
	}
	t.Logf("built within %s", testenv.Since(began).Round(time.Second))
	return program
}
