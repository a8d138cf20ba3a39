//go:build realservers

package e2e

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// TestServicesByHand runs the lines by which docs/operations.md starts the four services, on
// servers and ports of its own.
func TestServicesByHand(t *testing.T) {
	t.Parallel()
	_, section, found := strings.Cut(repoFile(t, "docs/operations.md"), "\n## The four services by hand\n")
	section, _, ends := strings.Cut(section, "\n## ")
	steps := stepsOf(section)
	if !found || !ends || len(steps) != 8 {
		t.Fatalf("the section has %d steps", len(steps))
	}
	postgres, err := url.Parse(testenv.NewPostgres(t, "fsync=off").URL)
	if err != nil {
		t.Fatal(err)
	}
	replace := []string{"runuser -u postgres -- psql", "psql " + postgres.String(), "127.0.0.1:5432", postgres.Host, "127.0.0.1:6379", testenv.Redis(t)}
	own := freeAddrs(t, 8)
	for i, name := range []string{"profile", "catalog", "progress"} {
		replace = append(replace, fmt.Sprintf("127.0.0.1:%d", 7001+i), own[i])
		// What a reader leaves to the defaults, other ports than which a machine may need.
		replace = append(replace, "preceptor serve "+name+" ", "preceptor serve "+name+" --listen "+own[i]+" ")
	}
	// A listed address names both replicas; the second one's own flag comes last, and counts.
	replace = append(replace, "preceptor serve gateway --health-addr 127.0.0.1:8090 ", "preceptor serve gateway --http "+own[4]+" --health-addr "+own[6]+" ",
		"127.0.0.1:7013", own[3], "127.0.0.1:8080", own[4], "127.0.0.1:8081", own[5], "127.0.0.1:8090", own[6], "127.0.0.1:8091", own[7])
	var script strings.Builder
	script.WriteString("export PRECEPTOR_PROFILE_ADDR=" + own[0] + " PRECEPTOR_CATALOG_ADDR=" + own[1] + " PRECEPTOR_PROGRESS_ADDR=" + own[2] +
		" PGCONNECT_TIMEOUT=10\ntrap 'kill -9 $(jobs -p) 2>/dev/null' EXIT\n")
	const mark = "--- end of step ---"
	for _, s := range steps {
		fmt.Fprintf(&script, "exec 2>>errors.log\n%s\necho; echo '%s'\n", s.script, mark)
	}
	for _, days := range []int{90, 3650} { // of certificates, which openssl makes by the machine's clock
		replace = append(replace, fmt.Sprintf("-days %d ", days), fmt.Sprintf("-days %d ", days+testenv.DaysAhead()))
	}
	outputs := strings.Split(bash(t, t.TempDir(), strings.NewReplacer(replace...).Replace(script.String())), mark+"\n")
	for i, s := range steps {
		if got, want := strings.TrimSpace(outputs[i]), strings.TrimSpace(s.answer); s.language != "" && got != want {
			t.Errorf("%s\nprints\n%s\nand the document has\n%s", s.script, got, want)
		}
	}
}
