package rpc

import (
	"bytes"
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
// and the authority that all services trust. It fails when a file is missing, or when
// no service would take the certificate for the service's: it has expired, names another,
// or is not by that authority.
//
// Changed files are used from the next handshake on; connections that are open stay.
// While they do not fit together, as in the middle of a rotation, or would make the
// others refuse this one, what was read before stays in use.
func FileIdentity(service, certFile, keyFile, caFile string, now func() time.Time) (Identity, error) {
	files := &fileIdentity{service: service, paths: [3]string{certFile, keyFile, caFile}, now: now}
	if _, _, err := files.pair(); err != nil {
		return nil, fmt.Errorf("certificates: %w", err)
	}
	return identity{source: FromFiles, pair: files.pair, unused: files.unused, now: now}, nil
}

type fileIdentity struct {
	service string
	paths   [3]string // certificate, key, authority
	now     func() time.Time

	mu      sync.Mutex
	read    [3]time.Time // modification times of what is held, or of what is not used
	fault   error        // why that is not used
	current *tls.Certificate
	roots   *x509.CertPool
}

// pair reads the files again when one of them changed.
func (f *fileIdentity) pair() (*tls.Certificate, *x509.CertPool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.follow()
	if f.current == nil {
		return nil, nil, f.fault
	}
	return f.current, f.roots, nil
}

// unused is what is wrong with files that changed since; nil while what they hold is in use.
func (f *fileIdentity) unused() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.follow()
	return f.fault
}

// follow takes the files over if they have changed and are good.
func (f *fileIdentity) follow() {
	var times [3]time.Time
	for i, path := range f.paths {
		info, err := os.Stat(path)
		if err != nil {
			f.fault = err
			return
		}
		times[i] = info.ModTime()
	}
	if times == f.read && f.fault == nil {
		return
	}
	f.read = times
	certificate, roots, err := f.load()
	if err == nil {
		err = f.prove(certificate, roots)
	}
	if f.fault = err; err == nil {
		f.current, f.roots = certificate, roots
	}
}

func (f *fileIdentity) load() (*tls.Certificate, *x509.CertPool, error) {
	for _, path := range f.paths { // of two that do not fit together, nobody would guess that one is empty
		text, err := os.ReadFile(path) //nolint:gosec // the operator names it
		if err != nil {
			return nil, nil, err
		}
		if len(bytes.TrimSpace(text)) == 0 {
			return nil, nil, errors.New(path + " is empty")
		}
	}
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

// prove looks at the certificate as the other services will.
func (f *fileIdentity) prove(certificate *tls.Certificate, roots *x509.CertPool) error {
	chain := make([]*x509.Certificate, 0, len(certificate.Certificate))
	for _, der := range certificate.Certificate {
		each, err := x509.ParseCertificate(der)
		if err != nil {
			return fmt.Errorf("%s: %w", f.paths[0], err)
		}
		chain = append(chain, each)
	}
	name := certificatePrefix + f.service
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
