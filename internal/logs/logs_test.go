package logs

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/auth"
)

func TestDuration(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		1234567 * time.Nanosecond: `{"duration_ms":1.235}`, 0: `{"duration_ms":0}`, 90 * time.Second: `{"duration_ms":90000}`, time.Microsecond: `{"duration_ms":0.001}`,
	} {
		var text bytes.Buffer
		drop := func(_ []string, a slog.Attr) slog.Attr {
			if a.Key != DurationKey {
				return slog.Attr{}
			}
			return a
		}
		slog.New(slog.NewJSONHandler(&text, &slog.HandlerOptions{ReplaceAttr: drop})).LogAttrs(t.Context(), slog.LevelInfo, "x", Duration(d))
		if got := strings.TrimSpace(text.String()); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
}

func TestSampler(t *testing.T) {
	t.Parallel()
	next := 0.0
	s := NewSampler(0.25)
	s.draw = func() float64 { return next }
	for _, c := range []struct {
		draw float64
		took time.Duration
		want string
	}{
		{0, time.Millisecond, "[sample_rate=0.25] true"},
		{0.2499, time.Millisecond, "[sample_rate=0.25] true"},
		{0.25, time.Millisecond, "[] false"},
		{0.99, Slow, "[] true"},
		{0, Slow, "[] true"},
		{0.99, -1, "[] false"},
		{0, -1, "[sample_rate=0.25] true"},
	} {
		next = c.draw
		attrs, keep := s.Keep(c.took)
		if got := fmt.Sprint(attrs, " ", keep); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
	for _, rate := range []float64{0, 1, 2} {
		if attrs, keep := NewSampler(rate).Keep(0); attrs != nil || !keep {
			t.Errorf("one of %v does not keep all", rate)
		}
	}
}

func TestCallers(t *testing.T) {
	t.Parallel()
	key := strings.Repeat("k", 32)
	ada := auth.Principal{Issuer: "https://id.example.org", Subject: "ada@example.org"}
	known := ada
	known.LearnerID = "0190"
	hash := ""
	for _, how := range []string{ByID, ByHash, BySubject} {
		c, err := NewCallers(how, key+"\n")
		if err != nil {
			t.Fatal(err)
		}
		if hash == "" {
			hash = c.Name(ada)
		}
		want := map[string][2]string{ByID: {hash, "0190"}, ByHash: {hash, hash}, BySubject: {"https://id.example.org|ada@example.org", "https://id.example.org|ada@example.org"}}[how]
		if c.Name(ada) != want[0] || c.Name(known) != want[1] || c.Name(auth.Principal{Service: "progress"}) != "" || c.Hash(ada.Issuer, ada.Subject) != hash {
			t.Errorf("%s: %q, %q", how, c.Name(ada), c.Name(known))
		}
	}
	if !regexp.MustCompile(`^h:[0-9a-f]{16}$`).MatchString(hash) {
		t.Error(hash)
	}
	other, err := NewCallers(ByID, strings.Repeat("K", 32))
	if err != nil || other.Name(ada) == hash {
		t.Errorf("another key gives the same name, %v", err)
	}
	same, err := NewCallers(ByID, key)
	if err != nil || same.Hash("https://id.example.org", "ada@example.orgx") == hash || same.Hash("https://id.example.orga", "da@example.org") == hash {
		t.Errorf("another person has the same name, %v", err)
	}
	if _, err := NewCallers("name", key); err == nil {
		t.Error("an unknown way")
	}
	if _, err := NewCallers(ByID, " "+key[1:]); err == nil {
		t.Error("a short key")
	}
	if (*Callers)(nil).Name(ada) != "" {
		t.Error("nobody")
	}
}

func TestKeyOfAFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := OpenKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := OpenKey(dir); err != nil || again != first {
		t.Errorf("%q, then %q, %v", first, again, err)
	}
	if other, err := OpenKey(t.TempDir()); err != nil || other == first {
		t.Errorf("two folders have the same key, %v", err)
	}
	path := filepath.Join(dir, KeyFile)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	for _, content := range []string{"", "short"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenKey(dir); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: %v", content, err)
		}
	}
}
