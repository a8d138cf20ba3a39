package rpc

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// FileIdentity is the identity in mounted files, as a certificate manager writes
// them: the service's certificate with a DNS name "preceptor-<service>", its key,
// and the authority that all services trust. Changed files are used from the next
// handshake on; connections that are open stay. It fails when a file is missing or
// the certificate has expired; one that expires later is missed by the others.
func FileIdentity(certFile, keyFile, caFile string, now func() time.Time) (Identity, error) {
	files := &fileIdentity{paths: [3]string{certFile, keyFile, caFile}, now: now}
	if _, _, err := files.pair(); err != nil {
		return nil, err
	}
	return identity{files.pair, now}, nil
}

type fileIdentity struct {
	paths [3]string // certificate, key, authority
	now   func() time.Time

	mu      sync.Mutex
	read    [3]time.Time // modification times of what is held
	current *tls.Certificate
	roots   *x509.CertPool
}

// pair reads the files again when one of them changed. While they cannot be
// read, as in the middle of a rotation, what is held stays in use.
func (f *fileIdentity) pair() (*tls.Certificate, *x509.CertPool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var times [3]time.Time
	for i, path := range f.paths {
		info, err := os.Stat(path)
		if err != nil && f.current == nil {
			return nil, nil, fmt.Errorf("certificates: %w", err)
		} else if err != nil {
			return f.current, f.roots, nil
		}
		times[i] = info.ModTime()
	}
	if f.current != nil && times == f.read {
		return f.current, f.roots, nil
	}
	certificate, roots, err := f.load()
	if err != nil && f.current == nil {
		return nil, nil, fmt.Errorf("certificates: %w", err)
	}
	if err == nil {
		f.current, f.roots, f.read = certificate, roots, times
	}
	return f.current, f.roots, nil
}

func (f *fileIdentity) load() (*tls.Certificate, *x509.CertPool, error) {
	certificate, err := tls.LoadX509KeyPair(f.paths[0], f.paths[1])
	if err != nil {
		return nil, nil, fmt.Errorf("%s and %s: %w", f.paths[0], f.paths[1], err)
	}
	if end := certificate.Leaf.NotAfter; f.now().After(end) {
		return nil, nil, fmt.Errorf("%s expired on %s", f.paths[0], end.UTC().Format(time.RFC3339))
	}
	text, err := os.ReadFile(f.paths[2])
	if err != nil {
		return nil, nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, nil, errors.New(f.paths[2] + " holds no certificate")
	}
	return &certificate, roots, nil
}
