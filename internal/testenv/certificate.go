package testenv

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Authority issues the certificates of a test.
type Authority struct {
	// Certificate is the authority's own.
	Certificate *x509.Certificate
	// File holds it, as SSL_CERT_FILE and --tls-ca name it.
	File string

	key *ecdsa.PrivateKey
	dir string
}

// NewAuthority returns one that no program trusts yet.
func NewAuthority(t T) *Authority {
	t.Helper()
	dir := t.TempDir()
	a := &Authority{dir: dir, File: filepath.Join(dir, "ca.crt"), key: newKey(t)}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: Now().Add(-24 * time.Hour), NotAfter: Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	must(t, err)
	a.Certificate, err = x509.ParseCertificate(der)
	must(t, err)
	writePEM(t, a.File, "CERTIFICATE", der)
	return a
}

// Server issues a certificate for 127.0.0.1, which ends at a time, and returns the files of it and of its key.
func (a *Authority) Server(t T, end time.Time) (certificate, key string) {
	t.Helper()
	return a.issue(t, filepath.Join(t.TempDir(), "server"), end, &x509.Certificate{
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
}

// Service issues a certificate for one of our services, which ends at a time, and returns the files of
// it and of its key. They are the same files each time, replaced as a certificate manager does it.
func (a *Authority) Service(t T, name string, end time.Time) (certificate, key string) {
	t.Helper()
	return a.issue(t, filepath.Join(a.dir, name), end, &x509.Certificate{
		DNSNames:    []string{"preceptor-" + name},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
}

func (a *Authority) issue(t T, path string, end time.Time, template *x509.Certificate) (certificate, key string) {
	t.Helper()
	private := newKey(t)
	template.SerialNumber, template.KeyUsage = big.NewInt(Now().UnixNano()), x509.KeyUsageDigitalSignature
	template.NotBefore, template.NotAfter = end.Add(-2*time.Hour), end
	der, err := x509.CreateCertificate(rand.Reader, template, a.Certificate, &private.PublicKey, a.key)
	must(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	must(t, err)
	certificate, key = path+".crt", path+".key"
	writePEM(t, certificate, "CERTIFICATE", der)
	writePEM(t, key, "PRIVATE KEY", secret)
	return certificate, key
}

func newKey(t T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return key
}

// writePEM writes a file that is never seen half written.
func writePEM(t T, path, kind string, der []byte) {
	t.Helper()
	must(t, os.WriteFile(path+".new", pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	must(t, os.Rename(path+".new", path))
}
