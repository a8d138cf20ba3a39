package catalog_test

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/services/catalog"
	"github.com/preceptor-dev/preceptor/services/catalog/catalogtest"
)

const mebibyte = 1 << 20

// hospital is a catalog of modules with thirty units each, as an author writes it.
func hospital(modules int) string {
	var b strings.Builder
	b.WriteString("modules:\n")
	for m := range modules {
		fmt.Fprintf(&b, "  - id: module-%05d\n    topic: hand-hygiene\n    title: Hand hygiene on ward %d\n"+
			"    summary: What to do before and after each contact with a patient.\n", m, m)
		if m > 0 {
			fmt.Fprintf(&b, "    prerequisites: [module-%05d]\n", m/2)
		}
		b.WriteString("    units:\n")
		for u := range 30 {
			fmt.Fprintf(&b, "      - id: unit-%02d\n        title: Before contact %d\n        contentUri: wards/%d/%d\n        duration: PT10M\n", u, u, m, u)
		}
	}
	return b.String()
}

// hospitalJSON is the same as JSON.
func hospitalJSON(modules int) string {
	var b strings.Builder
	b.WriteString(`{"modules":[`)
	for m := range modules {
		fmt.Fprintf(&b, `{"id":"module-%05d","title":"Hand hygiene on ward %d","units":[`, m, m)
		for u := range 30 {
			fmt.Fprintf(&b, `{"id":"unit-%02d","title":"Before contact %d","contentUri":"wards/%d/%d","duration":"PT10M"},`, u, u, m, u)
		}
		b.WriteString(`{"id":"last"}]},`)
	}
	return strings.TrimSuffix(b.String(), ",") + "]}"
}

// peakMemory is how much more memory is live than before, at most, while f runs.
func peakMemory(f func()) int64 {
	defer debug.SetGCPercent(debug.SetGCPercent(10))
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	live := func() int64 {
		metrics.Read(sample)
		return int64(sample[0].Value.Uint64() + sample[1].Value.Uint64())
	}
	runtime.GC()
	runtime.GC()
	before := live()
	stop, peak := make(chan struct{}), make(chan int64)
	go func() {
		for most := before; ; {
			select {
			case <-stop:
				peak <- max(most, live())
				return
			case <-time.After(time.Millisecond):
				most = max(most, live())
			}
		}
	}()
	f()
	close(stop)
	return <-peak - before
}

// TestImportMemory proves that an import takes at most twice its size beside the files
// themselves, so three times with them, and a constant. What is measured is bytes, never time.
func TestImportMemory(t *testing.T) {
	const constant = 16 * mebibyte
	for name, c := range map[string]struct {
		text   string
		passes bool
	}{
		"a hospital's catalog":   {hospital(800), true},
		"the same as JSON":       {hospitalJSON(800), true},
		"modules of no content":  {"modules:\n" + strings.Repeat("- {id: m, title: x, units: [{id: u}]}\n", 60_000), false},
		"as many as are allowed": {"modules:\n" + strings.Repeat("- {id: m}\n", 19_999), false},
		"one text":               {"modules:\n- id: a\n  title: " + strings.Repeat("x", 15*mebibyte), false},
		"one text in a list":     {`{"modules":["` + strings.Repeat("x", 15*mebibyte) + `"]}`, false},
		"deep nesting":           {"modules: " + strings.Repeat("[", 500_000), false},
		"aliases": {"modules:\n- id: a\n  units: &u [" + strings.Repeat("{id: u}, ", 999) + "]\n" +
			strings.Repeat("- {id: b, units: *u}\n", 900), false},
		"aliases of a long text": {"modules:\n- id: a\n  roles: [&r " + strings.Repeat("x", 500_000) + strings.Repeat(", *r", 9000) + "]\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := newService(t)
			var err error
			peak := peakMemory(func() {
				_, err = s.Import(t.Context(), []catalog.File{file("f.yaml", c.text)}, catalog.ImportOptions{DryRun: true})
			})
			if (err == nil) != c.passes {
				t.Errorf("imported: %v", err)
			}
			if size := int64(len(c.text)); peak > 2*size+constant {
				t.Errorf("%d KiB take %d KiB more", size>>10, peak>>10)
			}
			if n := len(catalogtest.Violations(err)); n > 100 {
				t.Errorf("%d violations", n)
			}
			t.Logf("%d KiB take %d KiB more: %.120v", len(c.text)>>10, peak>>10, err)
		})
	}
}

// ring is modules that each build on the next, and the last on the first.
func ring(n int) string {
	var b strings.Builder
	b.WriteString("modules:\n")
	for m := range n {
		fmt.Fprintf(&b, "- {id: m%d, title: M, prerequisites: [m%d], units: [{id: u}]}\n", m, (m+1)%n)
	}
	return b.String() + "paths:\n- {id: p, title: P, milestones: [{id: a, title: A, groups: [{moduleIds: [m7]}]}]}\n"
}

// TestRingIsToldOnce proves that a ring is one violation, however many modules it has, and that it
// names few of them.
func TestRingIsToldOnce(t *testing.T) {
	s, _ := newService(t)
	_, err := s.Import(t.Context(), []catalog.File{file("f.yaml", ring(5000))}, catalog.ImportOptions{})
	wantFaults(t, err, "f.yaml:2:38 modules[0].prerequisites[0] PREREQUISITE_CYCLE")
	want := "f.yaml:2:38 modules[0].prerequisites[0]: leads back to the module: " +
		"m0 → m1 → m2 → m3 → m4 → m5 → m6 → m7 → m8 → … 4991 more … → m0"
	if err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
}

// TestManyFaultsOfAnImport proves that an import names a hundred faults, and how many more there are.
func TestManyFaultsOfAnImport(t *testing.T) {
	s, _ := newService(t)
	var text strings.Builder
	text.WriteString("modules:\n")
	for m := range 500 {
		fmt.Fprintf(&text, "- {id: m%d, title: M, prerequisites: [nobody], units: [{id: u}]}\n", m)
	}
	_, err := s.Import(t.Context(), []catalog.File{file("f.yaml", text.String())}, catalog.ImportOptions{})
	if n := len(catalogtest.Violations(err)); n != 100 || !strings.Contains(err.Error(), "500 fields are not valid") || !strings.Contains(err.Error(), "400 more") {
		t.Errorf("%d violations: %v", n, err)
	}
}

// TestManyDifferences proves that an import tells so many differences as a person reads.
func TestManyDifferences(t *testing.T) {
	s, c := newService(t)
	importing(t, s, catalog.ImportOptions{}, file("f.yaml", hospital(80)))
	c.addHour()
	changed := strings.ReplaceAll(hospital(80), "title: Before", "title: After")
	changed = strings.ReplaceAll(changed, "duration: PT10M", "duration: PT12M")
	changed = strings.ReplaceAll(changed, "topic:", "changeClass: MINOR\n    topic:")
	done := importing(t, s, catalog.ImportOptions{DryRun: true}, file("f.yaml", changed))
	lines := 0
	for _, change := range done.Changes {
		lines += len(change.Differences)
	}
	first, last := done.Changes[0].Differences, done.Changes[79].Differences
	if len(done.Changes) != 80 || len(first) != 51 || first[50] != "… 11 more" || len(last) != 1 || last[0] != "… 61 more" || lines > 2100 {
		t.Errorf("%d changes, %d lines, first %q, last %q", len(done.Changes), lines, first[len(first)-1], last)
	}
}
