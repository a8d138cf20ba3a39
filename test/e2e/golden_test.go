package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// shapes of what differs from run to run.
var (
	uuidShape = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	timeShape = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`)
	dayShape  = regexp.MustCompile(`"\d{4}-\d\d-\d\d"`)
	saidDate  = regexp.MustCompile(`\b\d{1,2} (January|February|March|April|May|June|July|August|September|October|November|December) \d{4}\b`)
	revision  = regexp.MustCompile(`"catalogRevision": ?"\d+"`)
	etagShape = regexp.MustCompile(`"[0-9a-f]{16}"`)
)

// normalized replaces ids by their order of appearance, times, dates, revisions and etags by their names.
func normalized(text []byte) []byte {
	names := map[string]string{}
	text = uuidShape.ReplaceAllFunc(text, func(id []byte) []byte {
		name, known := names[string(id)]
		if !known {
			name = fmt.Sprintf("<id %d>", len(names)+1)
			names[string(id)] = name
		}
		return []byte(name)
	})
	text = timeShape.ReplaceAll(text, []byte("<time>"))
	text = dayShape.ReplaceAll(text, []byte(`"<day>"`))
	text = saidDate.ReplaceAll(text, []byte("<date>"))
	text = revision.ReplaceAll(text, []byte(`"catalogRevision": "<revision>"`))
	return etagShape.ReplaceAll(text, []byte(`"<etag>"`))
}

// golden compares the response's JSON, in the order in which it is sent, with a file.
func (a *response) golden(name string) *response {
	a.t.Helper()
	return goldenText(a.t, a, name)
}

func goldenText(t *testing.T, a *response, name string) *response {
	t.Helper()
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, normalized(a.body), "", "  "); err != nil {
		t.Fatalf("%s: %v: %s", a.what, err, a.body)
	}
	pretty.WriteByte('\n')
	path := filepath.Join("testdata", name+".json")
	if *update {
		if err := os.WriteFile(path, pretty.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		return a
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, pretty.Bytes()) {
		t.Errorf("%s: the response is not as in %s (go test ./test/e2e -update writes it anew):\n%s", a.what, path, pretty.Bytes())
	}
	return a
}
