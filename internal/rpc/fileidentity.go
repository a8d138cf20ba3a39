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
// handshake on; connections that are open stay. It fails when a file is missing, or
// when nobody would take the certificate for the service's: it has expired, names
// another, or is not by that authority. One that expires later is missed by the others.
func FileIdentity(service, certFile, keyFile, caFile string, now func() time.Time) (Identity, error) {
	files := &fileIdentity{paths: [3]string{certFile, keyFile, caFile}, now: now}
	certificate, roots, err := files.pair()
	if err != nil {
		return nil, err
	}
	if err := files.prove(service, certificate, roots); err != nil {
		return nil, fmt.Errorf("certificates: %w", err)
	}
	return identity{files.pair, now}, nil
}

// prove looks at the certificate as the other services will. It is done at the start alone: in the
// middle of a rotation the files need not fit together.
func (f *fileIdentity) prove(service string, certificate *tls.Certificate, roots *x509.CertPool) error {
	chain := make([]*x509.Certificate, 0, len(certificate.Certificate))
	for _, der := range certificate.Certificate {
		each, err := x509.ParseCertificate(der)
		if err != nil {
			return fmt.Errorf("%s: %w", f.paths[0], err)
		}
		chain = append(chain, each)
	}
	name := certificatePrefix + service
	err := verifyChain(chain, roots, name, f.now())
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return fmt.Errorf("%s is for %q, not for %s", f.paths[0], chain[0].DNSNames, name)
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return fmt.Errorf("%s is by no authority in %s", f.paths[0], f.paths[2])
	}
	if err != nil {
		return fmt.Errorf("%s: %w", f.paths[0], err)
	}
	return nil
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
