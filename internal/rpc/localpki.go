package rpc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"path/filepath"
	"sync"
	"time"

	"github.com/preceptor-dev/preceptor/internal/auth"
)

const (
	caLife   = 10 * 365 * 24 * time.Hour
	leafLife = 24 * time.Hour
	// leafRenew is how long before its end a certificate is replaced.
	leafRenew = leafLife / 2
	// clockSkew backdates certificates for a peer whose clock is behind.
	clockSkew = 5 * time.Minute
)

// LocalPKI is the identity of a service among those that share a folder on one
// machine. The first to come makes a certificate authority in dir/pki, readable
// by its owner only; each issues itself short certificates from it, in memory.
// A process that can read that folder can be any of the services.
func LocalPKI(dir, service string, now func() time.Time) (Identity, error) {
	path := filepath.Join(dir, "pki", "ca.pem")
	text, err := auth.SecretFile(path, func() ([]byte, error) { return newAuthority(now()) })
	if err != nil {
		return nil, fmt.Errorf("local certificates: %w", err)
	}
	ca, err := tls.X509KeyPair(text, text)
	if err != nil {
		return nil, fmt.Errorf("local certificates: %w", auth.UnusableSecret(path, "holds no certificate with its key"))
	}
	if now().After(ca.Leaf.NotAfter) {
		return nil, fmt.Errorf("local certificates: %s expired on %s; remove it to have a new one made", path, ca.Leaf.NotAfter.Format(time.DateOnly))
	}
	issuer := &localIssuer{ca: ca, service: service, now: now, roots: x509.NewCertPool()}
	issuer.roots.AddCert(ca.Leaf)
	return identity{source: FromLocalAuthority, pair: issuer.pair, unused: func() error { return nil }, now: now}, nil
}

// newAuthority makes the certificate and the key of an authority, in one file so
// that the two always belong together.
func newAuthority(now time.Time) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template, err := newTemplate("Preceptor local authority", now, caLife)
	if err != nil {
		return nil, err
	}
	template.IsCA, template.BasicConstraintsValid, template.MaxPathLenZero = true, true, true
	template.KeyUsage = x509.KeyUsageCertSign
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})
	return append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...), nil
}

func newTemplate(name string, now time.Time, life time.Duration) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-clockSkew), NotAfter: now.Add(life),
	}, nil
}

// localIssuer issues its own service's certificates.
type localIssuer struct {
	ca      tls.Certificate
	service string
	now     func() time.Time
	roots   *x509.CertPool

	mu      sync.Mutex
	current *tls.Certificate
}

func (l *localIssuer) pair() (*tls.Certificate, *x509.CertPool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if l.current == nil || l.current.Leaf.NotAfter.Sub(now) < leafRenew {
		fresh, err := l.issue(now)
		if err != nil {
			return nil, nil, fmt.Errorf("local certificates: %w", err)
		}
		l.current = fresh
	}
	return l.current, l.roots, nil
}

func (l *localIssuer) issue(now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	name := certificatePrefix + l.service
	template, err := newTemplate(name, now, leafLife)
	if err != nil {
		return nil, err
	}
	template.DNSNames = []string{name, "localhost"}
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	der, err := x509.CreateCertificate(rand.Reader, template, l.ca.Leaf, &key.PublicKey, l.ca.PrivateKey)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}
