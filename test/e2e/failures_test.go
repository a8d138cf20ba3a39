package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// TestCertificateFailures meets what can be wrong with the files of a certificate.
func TestCertificateFailures(t *testing.T) {
	t.Parallel()
	ours, foreign := newAuthority(t), newAuthority(t)
	good, late := ours.flags("catalog"), newAuthority(t).flagsUntil("catalog", time.Now().Add(-time.Minute))
	other := foreign.flags("catalog")
	const cert, key, ca = 1, 3, 5
	with := func(at int, file string) []string {
		changed := slices.Clone(good)
		changed[at] = file
		return changed
	}
	write := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct {
		service string
		files   []string
		words   []string
	}{
		{"catalog", with(cert, "/nowhere/tls.crt"), []string{"/nowhere/tls.crt", "no such file"}},
		{"catalog", with(key, "/nowhere/tls.key"), []string{"/nowhere/tls.key", "no such file"}},
		{"catalog", with(ca, "/nowhere/ca.crt"), []string{"/nowhere/ca.crt", "no such file"}},
		{"catalog", with(cert, write("no.crt", "no secret")), []string{"no.crt"}},
		{"catalog", with(key, write("no.key", "no secret")), []string{"no.key"}},
		{"catalog", with(ca, write("no.ca", "no secret")), []string{"no.ca holds no certificate"}},
		{"catalog", with(key, other[key]), []string{good[cert], other[key], "does not match"}},
		{"catalog", with(ca, other[ca]), []string{good[cert] + " is by no authority in " + other[ca]}},
		{"catalog", late, []string{late[cert] + " expired on 20"}},
		{"profile", good, []string{good[cert], "preceptor-catalog", "not for preceptor-profile"}},
		{"gateway", good, []string{good[cert], "not for preceptor-gateway"}},
	} {
		args := append([]string{"serve", c.service, "--data", t.TempDir()}, c.files...)
		refused(t, 1, args, append(c.words, "see --tls-cert")...)
	}
	data := t.TempDir()
	if err := os.Mkdir(filepath.Join(data, "pki"), 0o700); err != nil {
		t.Fatal(err)
	}
	authority := filepath.Join(data, "pki", "ca.pem")
	if err := os.WriteFile(authority, []byte("no secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, 1, []string{"serve", "catalog", "--data", data}, authority, "holds no certificate", "remove it")
}
