package zone_test

import (
	"archive/zip"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/zone"
)

var update = flag.Bool("update", false, "write names.txt anew")

// regions returns the names of the zones that the toolchain carries, and time/tzdata with it.
func regions(t *testing.T) []string {
	t.Helper()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	archive, err := zip.OpenReader(filepath.Join(strings.TrimSpace(string(root)), "lib", "time", "zoneinfo.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = archive.Close() }()
	var names []string
	for _, f := range archive.File {
		if isZone(t, f) && !slices.Contains([]string{"Factory", "Local", "localtime", "posixrules"}, f.Name) &&
			!strings.HasPrefix(f.Name, "posix/") && !strings.HasPrefix(f.Name, "right/") {
			names = append(names, f.Name)
		}
	}
	slices.Sort(names)
	return names
}

// isZone reports whether a file has the data of a zone: others are lists and versions.
func isZone(t *testing.T, f *zip.File) bool {
	t.Helper()
	if f.FileInfo().IsDir() {
		return false
	}
	content, err := f.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = content.Close() }()
	magic := make([]byte, 4)
	_, err = io.ReadFull(content, magic)
	return err == nil && string(magic) == "TZif"
}

func TestNames(t *testing.T) {
	names := regions(t)
	want := "# The time zones of Go's lib/time/zoneinfo.zip; `go generate ./internal/zone` writes them.\n" + strings.Join(names, "\n") + "\n"
	if *update {
		if err := os.WriteFile("names.txt", []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile("names.txt")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("names.txt is not what this Go has: run go generate ./internal/zone, and read the diff")
	}
	for _, name := range names {
		if !zone.Known(name) || zone.Of(name).String() != name {
			t.Errorf("%s: known %v, found %v", name, zone.Known(name), zone.Of(name))
		}
	}
	if len(names) < 500 {
		t.Errorf("%d names", len(names))
	}
}

func TestKnown(t *testing.T) {
	for _, name := range []string{"UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5", "EST5EDT", "Zulu", "US/Pacific", "Africa/Abidjan"} {
		if !zone.Known(name) || zone.Of(name).String() != name {
			t.Errorf("%q: known %v, found %v", name, zone.Known(name), zone.Of(name))
		}
	}
	text, err := os.ReadFile("names.txt")
	if err != nil {
		t.Fatal(err)
	}
	header, _, _ := strings.Cut(string(text), "\n")
	for _, name := range []string{
		"", "Factory", "Local", "localtime", "posixrules", "posix/Europe/Berlin", "right/UTC", "right/Europe/Berlin", "tzdata.zi", "zone.tab",
		"europe/berlin", "EUROPE/BERLIN", "utc", "Europe", "Europe/", "/Europe/Berlin", "Europe/Berlin ", "Berlin", "Europe/Berlin\n", "\n",
		"Europe/Berlin\nEurope/Bratislava", "../Europe/Berlin", "Europe/../UTC", "+01:00", "CET-1CEST", "Europe/Berlin\x00", header, strings.Repeat("a", 1<<20),
	} {
		if zone.Known(name) || zone.Of(name) != time.UTC {
			t.Errorf("%.40q: known %v, found %v", name, zone.Known(name), zone.Of(name))
		}
	}
}

func TestOf(t *testing.T) {
	if zone.Of("UTC") != time.UTC {
		t.Error("UTC is another zone")
	}
	at := time.Date(2025, 7, 1, 12, 0, 0, 0, time.UTC)
	if got := at.In(zone.Of("Asia/Kathmandu")).Format(time.RFC3339); got != "2025-07-01T17:45:00+05:45" {
		t.Errorf("noon of UTC is %s in Kathmandu", got)
	}
	// Whoever asks first, all get the same.
	found := make([]*time.Location, 16)
	var wg sync.WaitGroup
	for i := range found {
		wg.Go(func() { found[i] = zone.Of("Pacific/Chatham") })
	}
	wg.Wait()
	for _, loc := range found {
		if loc != found[0] || loc.String() != "Pacific/Chatham" {
			t.Errorf("%v beside %v", loc, found[0])
		}
	}
}

func BenchmarkOf(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		zone.Of("Europe/Berlin")
	}
}
