package rpc_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/rpc"
	"github.com/preceptor-dev/preceptor/internal/rpc/rpctest"
	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// callWith makes a call on a new connection with that TLS, and returns which
// service the server took us for.
func callWith(tb testing.TB, h *harness, config *tls.Config) (string, error) {
	tb.Helper()
	service := "nobody"
	h.Unary = func(ctx context.Context, req *rpctest.Echo) (*rpctest.Echo, error) {
		p, _ := auth.FromContext(ctx)
		service = p.Service
		return req, nil
	}
	conn := must(rpc.Dial(h.address, rpc.DialOptions{TLS: config}))
	defer func() { _ = conn.Close() }()
	_, err := h.Call(h.as(tb), conn, rpctest.Everyone, h.New())
	return service, err
}

func TestServicesAreKnownByTheirCertificates(t *testing.T) {
	h := newHarness(t)
	stranger := t.TempDir()
	progress := must(rpc.LocalPKI(h.dir, "progress", testenv.Now)).ClientTLS("catalog")
	person := progress.Clone()
	person.GetClientCertificate = nil
	forged := progress.Clone()
	forged.GetClientCertificate = must(rpc.LocalPKI(stranger, "progress", testenv.Now)).ClientTLS("catalog").GetClientCertificate
	for name, test := range map[string]struct {
		config  *tls.Config
		service string
		code    codes.Code
	}{
		"a service":                             {progress, "progress", codes.OK},
		"a person without certificate":          {person, "", codes.OK},
		"a certificate of another installation": {forged, "nobody", codes.Unavailable},
		"a server of another installation":      {must(rpc.LocalPKI(stranger, "progress", testenv.Now)).ClientTLS("catalog"), "nobody", codes.Unavailable},
		"a server that is another service":      {must(rpc.LocalPKI(h.dir, "progress", testenv.Now)).ClientTLS("profile"), "nobody", codes.Unavailable},
		"a name that only looks like one's":     {must(rpc.LocalPKI(h.dir, "progress.else", testenv.Now)).ClientTLS("catalog"), "", codes.OK},
	} {
		service, err := callWith(t, h, test.config)
		if service != test.service || status.Code(err) != test.code {
			t.Errorf("%s: taken for %q, %v", name, service, err)
		}
	}
}

func TestLocalPKIIsOneForAllAndPrivate(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { must(rpc.LocalPKI(dir, "catalog", testenv.Now)) })
	}
	wg.Wait()
	path := filepath.Join(dir, "pki", "ca.pem")
	info := must(os.Stat(path))
	folder := must(os.Stat(filepath.Dir(path)))
	if info.Mode().Perm() != 0o600 || folder.Mode().Perm() != 0o700 || len(must(os.ReadDir(filepath.Dir(path)))) != 1 {
		t.Errorf("%s %s", info.Mode(), folder.Mode())
	}
	if err := os.WriteFile(path, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := rpc.LocalPKI(dir, "catalog", testenv.Now); err == nil {
		t.Error("a damaged authority was taken")
	}
}

func TestLocalCertificatesAreRenewed(t *testing.T) {
	dir, now := t.TempDir(), testenv.Now()
	id := must(rpc.LocalPKI(dir, "catalog", func() time.Time { return now }))
	shown := func() *x509.Certificate { return must(id.ClientTLS("profile").GetClientCertificate(nil)).Leaf }
	first := shown()
	now = now.Add(11 * time.Hour)
	if !shown().Equal(first) {
		t.Error("renewed early")
	}
	now = now.Add(2 * time.Hour)
	if second := shown(); second.Equal(first) || !second.NotAfter.After(now.Add(23*time.Hour)) {
		t.Error("not renewed")
	}
	if end := id.AuthorityExpires(); id.Source() != rpc.FromLocalAuthority || end.Sub(now) < 9*365*24*time.Hour || end.Sub(now) > 10*365*24*time.Hour {
		t.Errorf("source %s, the authority ends on %s", id.Source(), end)
	}
	now = now.Add(11 * 365 * 24 * time.Hour)
	if _, err := rpc.LocalPKI(dir, "catalog", func() time.Time { return now }); err == nil {
		t.Error("an expired authority was taken")
	}
}

// writeIdentity writes a local identity as the files of a certificate manager.
func writeIdentity(tb testing.TB, dir, service string, to string) (cert, key, ca string) {
	tb.Helper()
	certificate := must(must(rpc.LocalPKI(dir, service, testenv.Now)).ClientTLS("x").GetClientCertificate(nil))
	cert, key, ca = filepath.Join(to, "tls.crt"), filepath.Join(to, "tls.key"), filepath.Join(to, "ca.crt")
	private := must(x509.MarshalPKCS8PrivateKey(certificate.PrivateKey))
	authority, _ := pem.Decode(must(os.ReadFile(filepath.Join(dir, "pki", "ca.pem"))))
	for path, block := range map[string]*pem.Block{
		cert: {Type: "CERTIFICATE", Bytes: certificate.Certificate[0]}, key: {Type: "PRIVATE KEY", Bytes: private}, ca: authority,
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return cert, key, ca
}

func TestFileIdentityFollowsItsFiles(t *testing.T) {
	h, files := newHarness(t), t.TempDir()
	if _, err := rpc.FileIdentity("progress", "absent", "absent", "absent", testenv.Now); err == nil {
		t.Error("absent files were taken")
	}
	cert, key, ca := writeIdentity(t, h.dir, "progress", files)
	id := must(rpc.FileIdentity("progress", cert, key, ca, testenv.Now))
	if service, err := callWith(t, h, id.ClientTLS("catalog")); err != nil || service != "progress" {
		t.Errorf("taken for %q, %v", service, err)
	}
	first, times := id.Expires(), 0
	change := func(dir, service string) {
		writeIdentity(t, dir, service, files)
		times++
		later := testenv.Now().Add(time.Duration(times) * time.Minute) // a coarse clock must not hide a change
		if err := os.Chtimes(cert, later, later); err != nil {
			t.Fatal(err)
		}
	}
	kept := func(what, says string) {
		t.Helper()
		if service, err := callWith(t, h, id.ClientTLS("catalog")); err != nil || service != "progress" {
			t.Errorf("%s taken for %q, %v", what, service, err)
		}
		if err := id.Unused(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: the fault is %v", what, err)
		}
	}
	change(h.dir, "profile")
	kept("with another service's certificate", "not for preceptor-progress")
	if err := os.WriteFile(cert, []byte("half writ"), 0o600); err != nil {
		t.Fatal(err)
	}
	kept("in the middle of a change", cert)
	_ = os.Remove(cert)
	kept("without the file", cert)
	time.Sleep(testenv.Until(first.Add(time.Second - 24*time.Hour))) // ends are in whole seconds
	change(h.dir, "progress")
	if service, err := callWith(t, h, id.ClientTLS("catalog")); err != nil || service != "progress" || id.Unused() != nil || !id.Expires().After(first) {
		t.Errorf("after the change taken for %q, %v, fault %v, ends %s after %s", service, err, id.Unused(), id.Expires(), first)
	}
	if err := os.WriteFile(ca, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	writeIdentity(t, h.dir, "profile", files)
	if err := os.WriteFile(ca, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := rpc.FileIdentity("progress", cert, key, ca, testenv.Now); err == nil {
		t.Error("an empty authority was taken")
	}
}

// TestCertificatesAreChangedUnderLoad replaces first the certificates and then the authority,
// as a certificate manager does, while calls go on; each call here is a handshake of its own.
func TestCertificatesAreChangedUnderLoad(t *testing.T) {
	older, newer := t.TempDir(), t.TempDir()
	at := map[string]string{"catalog": t.TempDir(), "gateway": t.TempDir()}
	ids, tick := map[string]rpc.Identity{}, testenv.Now()
	authority := func(dirs ...string) (text []byte) {
		for _, dir := range dirs {
			must(rpc.LocalPKI(dir, "catalog", testenv.Now))
			block, _ := pem.Decode(must(os.ReadFile(filepath.Join(dir, "pki", "ca.pem"))))
			text = append(text, pem.EncodeToMemory(block)...)
		}
		return text
	}
	change := func(from string, trusted ...string) {
		for service, to := range at {
			_, _, ca := writeIdentity(t, from, service, to)
			if err := os.WriteFile(ca, authority(trusted...), 0o600); err != nil {
				t.Fatal(err)
			}
			tick = tick.Add(time.Minute) // a coarse clock must not hide a change
			if err := os.Chtimes(ca, tick, tick); err != nil {
				t.Fatal(err)
			}
		}
	}
	change(older, older)
	for service, to := range at {
		ids[service] = must(rpc.FileIdentity(service, filepath.Join(to, "tls.crt"), filepath.Join(to, "tls.key"), filepath.Join(to, "ca.crt"), testenv.Now))
	}
	dir := t.TempDir()
	h := newHarnessAt(t, dir, must(auth.OpenLocalIssuer(dir, testenv.Now)), "127.0.0.1:0", func(_ *harness, o *rpc.Options) { o.TLS = ids["catalog"].ServerTLS() })
	kept := must(rpc.Dial(h.address, rpc.DialOptions{TLS: ids["gateway"].ClientTLS("catalog")}))
	defer func() { _ = kept.Close() }()
	call := func(step string) {
		if service, err := callWith(t, h, ids["gateway"].ClientTLS("catalog")); err != nil || service != "gateway" {
			t.Errorf("%s: taken for %q, %v", step, service, err)
		}
		if _, err := h.Call(h.as(t), kept, rpctest.Everyone, h.New()); err != nil {
			t.Errorf("%s: on the connection that was open: %v", step, err)
		}
	}
	call("at first")
	for _, step := range []struct {
		name, from string
		trusted    []string
	}{
		{"new certificates", older, []string{older}},
		{"both authorities", older, []string{older, newer}},
		{"certificates of the new one", newer, []string{older, newer}},
		{"the new authority alone", newer, []string{newer}},
	} {
		change(step.from, step.trusted...)
		call(step.name)
	}
	if left := testenv.Until(ids["gateway"].Expires()); left < 23*time.Hour || left > 25*time.Hour {
		t.Errorf("the certificate ends in %s", left)
	}
	if _, err := callWith(t, h, must(rpc.LocalPKI(older, "gateway", testenv.Now)).ClientTLS("catalog")); err == nil {
		t.Error("the authority that was replaced is trusted still")
	}
}

func TestFilesThatNobodyWouldTakeAreNamed(t *testing.T) {
	dir, files := t.TempDir(), t.TempDir()
	cert, key, ca := writeIdentity(t, dir, "progress", files)
	_, err := rpc.FileIdentity("progress", cert, key, ca, func() time.Time { return testenv.Now().Add(48 * time.Hour) })
	if err == nil || !strings.Contains(err.Error(), cert+" expired on 20") || strings.Contains(err.Error(), "\n") {
		t.Errorf("an expired certificate: %v", err)
	}
	_, err = rpc.FileIdentity("progress", filepath.Join(files, "absent"), key, ca, testenv.Now)
	if err == nil || !strings.Contains(err.Error(), "absent") || strings.Contains(err.Error(), "\n") {
		t.Errorf("an absent one: %v", err)
	}
	_, err = rpc.FileIdentity("catalog", cert, key, ca, testenv.Now)
	if err == nil || !strings.Contains(err.Error(), cert+` is for ["preceptor-progress" "localhost"], not for preceptor-catalog`) {
		t.Errorf("another service's: %v", err)
	}
	_, _, foreign := writeIdentity(t, t.TempDir(), "progress", t.TempDir())
	_, err = rpc.FileIdentity("progress", cert, key, foreign, testenv.Now)
	if err == nil || !strings.Contains(err.Error(), cert+" is by no authority in "+foreign) {
		t.Errorf("another authority's: %v", err)
	}
}

// TestAuthorityOfFiles: what counts is the authority that signed the certificate, not whichever the file of
// authorities holds besides, and it is known after its end too.
func TestAuthorityOfFiles(t *testing.T) {
	dir, files := t.TempDir(), t.TempDir()
	cert, key, ca := writeIdentity(t, dir, "progress", files)
	block, _ := pem.Decode(must(os.ReadFile(ca)))
	end := must(x509.ParseCertificate(block.Bytes)).NotAfter
	older := t.TempDir()
	must(rpc.LocalPKI(older, "progress", func() time.Time { return testenv.Now().AddDate(-9, 0, 0) }))
	other, _ := pem.Decode(must(os.ReadFile(filepath.Join(older, "pki", "ca.pem"))))
	both := append(pem.EncodeToMemory(other), pem.EncodeToMemory(block)...)
	if err := os.WriteFile(ca, both, 0o600); err != nil {
		t.Fatal(err)
	}
	now := testenv.Now()
	id := must(rpc.FileIdentity("progress", cert, key, ca, func() time.Time { return now }))
	for range 2 {
		if got := id.AuthorityExpires(); id.Source() != rpc.FromFiles || !got.Equal(end) {
			t.Errorf("source %s, the authority ends on %s, want %s", id.Source(), got, end)
		}
		now = end.Add(time.Hour)
	}
}
